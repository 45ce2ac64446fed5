/*
 * site: the hosts that take mail for some domains, and how much of it may go there at once.
 *
 * All domains whose mail goes to the same set of hosts share one site (DESIGN §7), and with it:
 * what is ready, the window (how many deliveries may be under way), the back-off and the channels.
 * The window is additive increase, multiplicative decrease: it begins at QUEUE_WINDOW_FIRST, grows
 * by 1/window with each delivery that the site took, and halves when the site is at fault. Decides;
 * sends nothing. The queue's thread only.
 *
 *   WELL     up to `window` deliveries are under way
 *   BACKOFF  a delivery found the site at fault: none starts until the time is over
 *   PROBE    it is over: one delivery may be under way; its end decides
 *
 *   WELL -> BACKOFF (site_on_fault) -> PROBE (site_on_time) -> BACKOFF, twice as long
 * (site_on_fault) BACKOFF, PROBE -> WELL (site_on_well: also by a delivery that began before)
 *
 * Deliveries that began before the back-off and fail after it say nothing new: each start gives the
 * present `generation`, and faults of an older one are passed over.
 */
#ifndef QUEUE_SITE_H
#define QUEUE_SITE_H

#include "base/fault.h"
#include "base/heap.h"
#include "queue/fairness.h"

#define QUEUE_WINDOW_FIRST    5
#define SITE_BACKOFF_FIRST_MS (30 * 1000) /* or the first retry, when that is sooner */
#define SITE_WINDOW_UNIT      256

enum site_state { SITE_WELL, SITE_BACKOFF, SITE_PROBE };

struct site_limits {
    uint32_t connections_max;
    int64_t retry_first_ms, retry_max_ms;
};

struct site {
    struct heap_node
        wake;           /* in the queue's heap, always: when the back-off is over, or RETRY_NEVER */
    struct list hungry; /* in the queue's list of sites that may start something */
    struct fairness ready; /* recipients READY */
    struct list deferred;  /* recipients SCHEDULED, since the site was at fault */
    struct list idle;      /* channels without a delivery, the one used last first */
    enum site_state state;
    uint32_t window; /* in 1/SITE_WINDOW_UNIT */
    uint32_t channels, busy;
    uint32_t generation;
    uint32_t faults; /* in a row */
    bool is_probing;
    uint8_t fault_era;                  /* of the last fault (retry.h) */
    enum fault fault;                   /* the last; NONE: there was none */
    uint64_t delivered;                 /* recipients */
    int64_t minute;                     /* the one that is being counted */
    uint32_t in_minute, in_last_minute; /* recipients delivered */
    uint32_t tally;      /* while sites are described: recipients of its destinations */
    uint32_t references; /* destinations */
    uint32_t key_len;
    uint8_t key[];
};

/* NULL: no memory. */
struct site *site_new(struct span key, const struct site_limits *limits, uint64_t secret);
void site_free(struct site *s); /* has no channels, nothing ready, is in no list or heap */
struct span site_key(const void *site);

/* May a delivery start now? */
bool site_may_start(const struct site *s);
uint32_t site_window(const struct site *s); /* in whole deliveries, at least 1 */
/* A delivery starts. What it gives goes into site_on_fault. */
uint32_t site_on_start(struct site *s);
/* A delivery has ended (before one of the next two). */
void site_on_end(struct site *s);
/* The site answered as it should; has_taken: it took the message for somebody. True: it was not
   WELL before. */
bool site_on_well(struct site *s, bool has_taken, const struct site_limits *limits);
/* The site could not be used. Gives for how long nothing is to be sent there; 0: nothing new. */
int64_t site_on_fault(struct site *s, uint32_t generation, const struct site_limits *limits,
                      uint32_t random);
/* So many recipients were delivered. */
void site_count(struct site *s, uint32_t recipients, int64_t now_ms);
uint32_t site_per_minute(struct site *s, int64_t now_ms); /* in the last whole minute */
void site_on_time(struct site *s); /* the back-off is over; no-op when there is none */

#endif
