/*
 * receiver_inside: what the files of the receiver share; no other room includes it.
 */
#ifndef RECEIVE_RECEIVER_INSIDE_H
#define RECEIVE_RECEIVER_INSIDE_H

#include <stdatomic.h>

#include "receive/client_limit.h"
#include "receive/client_rate.h"
#include "receive/receiver.h"

/* One writer, many readers. */
struct receiver_counts {
    _Atomic uint64_t sessions, sessions_open, sessions_refused, messages, recipients, bytes,
        refused, copies;
};

struct receiver {
    struct actor *worker;
    struct loop *loop;
    struct log *log;
    const struct receiver_settings *settings; /* of sessions to come */
    struct spool *spool;
    struct actor *queue;
    struct list listeners;
    uint32_t listeners_round; /* of those that are made now */
    struct list conversations;
    struct list transactions;
    uint32_t conversation_count;
    bool is_stopping;
    int64_t starved_logged_us; /* 0: never */
    struct client_limit clients;
    struct client_rates rates;
    struct credit appends;
    struct id_source ids;
    uint64_t memory_bytes; /* of envelopes, drafts and buffers under way */
    struct receiver_counts counts;
};

#define RECEIVER_TOO_OFTEN "too many connections from your address in a minute"

/* One session more of this client: may it begin, by its rate? Counts it. */
bool receiver_admits(struct receiver *r, struct endpoint client);

static inline void receiver_count(_Atomic uint64_t *counter, int64_t n)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + (uint64_t)n, memory_order_relaxed);
}

/* What one owner uses has changed from *counted to `now`. */
static inline void receiver_memory(struct receiver *r, size_t *counted, size_t now)
{
    r->memory_bytes = r->memory_bytes - *counted + now;
    *counted = now;
}

static inline bool receiver_memory_is_full(const struct receiver *r)
{
    return r->memory_bytes >= r->settings->memory_bytes_max;
}

#endif
