/*
 * trouble: how the sink misbehaves on demand, drawn per message from a seeded generator, so that a
 * run with one session can be repeated exactly.
 */
#ifndef BENCH_TROUBLE_H
#define BENCH_TROUBLE_H

#include <stdint.h>

enum trouble {
    TROUBLE_NONE,
    TROUBLE_TEMPFAIL_RCPT,
    TROUBLE_TEMPFAIL_DOT,
    TROUBLE_REJECT_RCPT,
    TROUBLE_REJECT_DOT,
    TROUBLE_DROP_MAIL, /* the connection closes instead of the reply */
    TROUBLE_DROP_RCPT,
    TROUBLE_DROP_DATA,
    TROUBLE_DROP_CONTENT, /* at the first bytes of content */
    TROUBLE_DROP_DOT,     /* taken, id noted, but the reply is never sent (RFC 1047) */
    TROUBLE_DROP_REPLY,   /* taken, id noted, the reply torn off after two digits */
};

struct trouble_plan {
    double tempfail_percent;
    double reject_percent;
    double drop_percent;
    uint64_t random; /* state; any seed */
};

/* What befalls the next message; equally likely at each moment that its kind knows. */
enum trouble trouble_draw(struct trouble_plan *plan);

#endif
