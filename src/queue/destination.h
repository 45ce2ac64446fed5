/*
 * destination: a domain that mail goes to, and what is known of the way there (RFC 5321 5.1).
 *
 * Counted by its recipients. One question for a domain is under way at the most; recipients that
 * need its answer wait in the destination. The answer, also a fault, is kept for its time to live
 * within the bounds below. A destination that nobody needs is kept a while for the next message,
 * DESTINATIONS_IDLE_MAX of them at most. Knows names and times; asking, sites and routes' use are
 * the dispatcher's. The queue's thread only.
 */
#ifndef QUEUE_DESTINATION_H
#define QUEUE_DESTINATION_H

#include "base/list.h"
#include "base/map.h"
#include "dns/route.h"

#define DESTINATIONS_IDLE_MAX  10000
#define DESTINATION_TTL_MIN_MS (INT64_C(60) * 1000)
#define DESTINATION_TTL_MAX_MS (INT64_C(3600) * 1000)
#define DESTINATION_NAME_MAX   255

struct site;
struct question;

struct destination {
    struct list waiting;       /* recipients RESOLVING */
    struct list node;          /* idle: in the list of those that nobody needs */
    struct question *question; /* under way, or waiting for its credit */
    struct route *route;       /* a reference: the last good answer, or NULL */
    struct site *site;         /* of `route`; NULL with it */
    enum fault fault;          /* the last answer */
    int64_t until_ms;          /* how long that holds; 0 before the first */
    uint32_t references;       /* recipients */
    uint32_t ready;            /* recipients READY at `site` */
    uint32_t faults;           /* temporary ones in a row */
    uint16_t name_len;
    uint8_t name[]; /* in lower case */
};

struct destinations {
    struct map map;
    struct list idle; /* the one unneeded longest first */
    uint32_t idle_count;
};

void destinations_init(struct destinations *d, uint64_t secret);
void destinations_fini(struct destinations *d); /* all have been dropped */
/* `name` in any case, at most DESTINATION_NAME_MAX bytes (checked). NULL: no memory. Counted. */
struct destination *destination_get(struct destinations *d, struct span name);
struct destination *destination_retain(struct destination *d);
void destination_release(struct destinations *d, struct destination *destination);
/* One to be forgotten, when there are more than DESTINATIONS_IDLE_MAX (or any: `all`), else NULL.
   The caller gives up its site and route, then drops it. */
struct destination *destination_surplus(const struct destinations *d, bool all);
void destination_drop(struct destinations *d, struct destination *destination);

struct span destination_name(const struct destination *d);
/* Keeps a time to live within the bounds. */
int64_t destination_ttl_ms(int64_t ttl_ms);

#endif
