/*
 * resolution: from what the DNS says about one domain to its route (RFC 5321 5.1, RFC 7505).
 *
 * The resolver's protocol machine: it says what it wants to know, is told, and concludes. It does
 * no I/O and knows no time; answers of a step may come in any order. One allocation for the hosts;
 * at most RESOLVER_HOSTS_MAX of them. Names and settings are the caller's while it lives.
 *
 * What is configured for a domain needs no MX, and what has addresses no question.
 *
 *   EXCHANGES ──(MX, or none: the domain itself)──► ADDRESSES ──► CONCLUDED
 *       └──────────(no domain, null MX, only ourselves, doubt)────────▲
 */
#ifndef DNS_RESOLUTION_H
#define DNS_RESOLUTION_H

#include "dns/answers.h"
#include "dns/resolver.h"

struct resolution_host;

enum resolution_state {
    RESOLUTION_NEW,
    RESOLUTION_EXCHANGES, /* the MX of the domain are asked for: one question */
    RESOLUTION_ADDRESSES, /* A and AAAA of each host: two questions a host */
    RESOLUTION_CONCLUDED,
};

struct resolution {
    enum resolution_state state;
    const struct resolver_settings *settings;
    struct span name;
    bool is_configured; /* the hosts are: then they may be ourselves */
    enum route_transport transport;
    enum route_tls tls;
    bool is_self_seen;        /* a host was left out since it is us */
    uint16_t self_preference; /* then: and all that are no better */
    uint32_t ttl_s;           /* of the MX */
    uint32_t open_count;      /* questions of this step without answer */
    uint32_t host_count;
    struct resolution_host *hosts;
    enum fault fault;    /* the conclusion, and the following */
    struct route *route; /* NULL after a fault; one reference, until it is taken */
    int64_t ttl_ms;
};

struct resolution_question {
    struct span name;
    enum answer_type type;
};

/* It may be CONCLUDED at once. */
void resolution_init(struct resolution *r, const struct resolver_settings *settings,
                     struct span name);
void resolution_fini(struct resolution *r);

/* Of the present step; 0 when it is CONCLUDED. */
uint32_t resolution_question_count(const struct resolution *r);
struct resolution_question resolution_question(const struct resolution *r, uint32_t index);

/* The answer to a question of the present step, each once; the last one of a step enters the next.
   The packet counts after NONE only. */
void resolution_answer(struct resolution *r, uint32_t index, enum fault fault, struct span packet);

#endif
