/*
 * state_pool: the payloads of many states, equal ones kept once.
 *
 * A start has to have the newest state of every message in memory before it knows where the message
 * itself lies. Most states say the same but for when they are due, which a payload has last: so the
 * last 8 bytes are kept apart, and the rest is counted and shared. A million messages deferred for
 * a hundred reasons cost a hundred payloads. Owns the rests. Knows no more of a payload than that.
 * One thread at a time.
 */
#ifndef SPOOL_STATE_POOL_H
#define SPOOL_STATE_POOL_H

#include "base/arena.h"
#include "base/map.h"

#define POOLED_TAIL_BYTES 8

struct pooled_rest;

struct pooled_state {
    struct pooled_rest *rest; /* NULL: none, or a payload too short to be a state */
    uint8_t tail[POOLED_TAIL_BYTES];
};

struct state_pool {
    struct map rests;
};

/* secret: reply texts come from peers (map.h). */
void state_pool_init(struct state_pool *p, uint64_t secret);
void state_pool_fini(struct state_pool *p); /* whatever is still in it */
/* False: no memory; nothing has changed. */
__attribute__((warn_unused_result)) bool state_pool_put(struct state_pool *p, struct span payload,
                                                        struct pooled_state *state_out);
/* The payload again, in the arena: empty when nothing was kept, or the arena is full. */
struct span state_pool_get(const struct pooled_state *state, struct arena *arena);
void state_pool_drop(struct state_pool *p, struct pooled_state *state); /* no-op for none */

#endif
