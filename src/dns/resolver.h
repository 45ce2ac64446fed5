/*
 * resolver: the actor that turns a domain into a route (RFC 5321 5.1).
 *
 * What the configuration says of a domain comes first: its own hosts, in their order, a mail store,
 * or ourselves. All else is asked of the DNS.
 *
 * RESOLVE: MX and the hosts' addresses, or the domain's own address (implicit MX), null MX (RFC
 * 7505), ourselves taken out with all that is no better. It asks through dns/lookup, parses wire
 * answers itself and believes none of them; a bogus answer is a temporary fault. At most
 * RESOLVER_LOOKUPS_MAX questions are under way; what is more waits.
 */
#ifndef DNS_RESOLVER_H
#define DNS_RESOLVER_H

#include "dns/route.h"
#include "letter/actor.h"
#include "os/socket.h"

#define RESOLVER_LOOKUPS_MAX   1000
#define RESOLVER_HOSTS_MAX     20 /* of one domain; the best ones */
#define RESOLVER_ADDRESSES_MAX 8  /* of one host */

/* Bounds of resolve.ttl_ms, whatever the DNS says. */
#define RESOLVER_TTL_MIN_MS       INT64_C(5000)
#define RESOLVER_TTL_MAX_MS       INT64_C(3600000)
#define RESOLVER_TTL_FAULT_MAX_MS INT64_C(300000)
#define RESOLVER_TTL_DOUBT_MS     INT64_C(30000) /* of DNS_TEMPORARY */

struct resolver;

struct resolver_settings {
    const char *hostname;   /* ours: the MX that is ourselves */
    struct endpoint server; /* family 0: as the system has it */
    int64_t timeout_ms;     /* for a whole RESOLVE */
    uint16_t port;          /* put into every address of the route */
    /* Where mail goes without DNS (route/destination.h); a reference is taken. NULL: nowhere. */
    const struct settings *settings;
    const struct endpoint *own; /* our own addresses (ports ignored): a host that has one is us,
                                   but for one that was configured */
    size_t own_count;
};

/*
 * `name`: a domain in lower case, or an address literal with brackets. Answers: NONE with a route
 * of the asker's, or DNS_TEMPORARY, DNS_NO_DOMAIN, DNS_NO_ADDRESS, NULL_MX, MAIL_LOOP,
 * NO_DESTINATION, TIMEOUT, NO_MEMORY.
 */
struct resolve {
    struct letter letter;
    struct span name;    /* the asker's until the answer */
    struct route *route; /* out */
    enum fault fault;    /* out */
    int64_t ttl_ms;      /* out: how long it may be kept, also a fault */
    struct list node;    /* the resolver's, while it is lent */
    void *work;          /* the resolver's */
};

/* RENEW: for questions from now on. */
struct resolver_renewal {
    struct letter letter;
    const struct resolver_settings *settings; /* the asker's until the answer */
    enum fault fault;                         /* out; nothing has changed */
};

must_use enum fault resolver_new(struct world *w, const struct resolver_settings *settings,
                                 uint32_t max_letters, struct log *log,
                                 struct resolver **resolver_out);
struct actor *resolver_actor(struct resolver *r);
void resolver_free(struct resolver *r); /* after its actor was joined */

#endif
