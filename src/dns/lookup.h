/*
 * lookup: the seam to the DNS: ask one question, be told the answer's packet later.
 *
 * Two implementations: src/dns/unbound (libunbound over our loop, real world) and sim/lookup.c
 * (records and faults from a seed). Each parses nothing for the asker: the packet is as hostile as
 * the network, dns/answers reads it. All of it for the loop's own thread, but for lookups_new and
 * lookups_free, which may come from another before its first and after its last turn.
 */
#ifndef DNS_LOOKUP_H
#define DNS_LOOKUP_H

#include "dns/answers.h"
#include "os/loop.h"
#include "os/socket.h"

struct lookups;

enum lookup_trust {
    LOOKUP_INSECURE, /* nothing was signed, or nobody looked */
    LOOKUP_BOGUS,    /* signatures are wrong: the packet, though it may look good, is not */
    LOOKUP_SECURE,
};

/* The asker's; it stays where it is from lookup_start until on_answer or lookup_cancel. */
struct lookup {
    /*
     * Once, perhaps already from inside lookup_start. The packet is valid only during the call and
     * empty after a fault: DNS_TEMPORARY, DNS_NO_DOMAIN (without a packet that says how long),
     * NO_MEMORY. The lookup is the asker's again; it may start and cancel others from here.
     */
    void (*on_answer)(void *context, enum fault fault, struct span packet, enum lookup_trust trust);
    void *context;
    void *work; /* the implementation's */
};

/* server: the only one to be asked, which recurses or knows; family 0: as the system has it. */
must_use enum fault lookups_new(struct world *w, struct loop *l, struct endpoint server,
                                struct lookups **lookups_out);
void lookups_free(struct lookups *l); /* no lookup is under way */

/* `name` passes domain_check and needs to live only during the call. After a fault (NO_MEMORY,
   LIMIT) no on_answer comes. It has no time limit of its own. */
must_use enum fault lookup_start(struct lookups *l, struct lookup *lookup, struct span name,
                                 enum answer_type type);
void lookup_cancel(struct lookups *l, struct lookup *lookup); /* under way: no on_answer comes */

#endif
