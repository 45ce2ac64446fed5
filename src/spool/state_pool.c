/*
 * state_pool: see state_pool.h.
 */
#include "spool/state_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct pooled_rest {
    uint32_t references;
    uint32_t len;
    uint8_t bytes[];
};

static struct span key_of(const void *object)
{
    const struct pooled_rest *rest = object;
    return span_of(rest->bytes, rest->len);
}

void state_pool_init(struct state_pool *p, uint64_t secret)
{
    map_init(&p->rests, key_of, secret);
}

void state_pool_fini(struct state_pool *p)
{
    struct pooled_rest *rest;
    size_t at = 0;
    while ((rest = map_next(&p->rests, &at)) != NULL)
        free(rest);
    map_fini(&p->rests);
}

static struct pooled_rest *add(struct state_pool *p, struct span bytes)
{
    struct pooled_rest *rest = malloc(sizeof *rest + bytes.len);
    if (rest == NULL)
        return NULL;
    rest->references = 0;
    rest->len = (uint32_t)bytes.len;
    if (bytes.len > 0)
        memcpy(rest->bytes, bytes.data, bytes.len);
    if (!map_put(&p->rests, rest)) {
        free(rest);
        return NULL;
    }
    return rest;
}

bool state_pool_put(struct state_pool *p, struct span payload, struct pooled_state *state_out)
{
    *state_out = (struct pooled_state){NULL, {0}};
    if (payload.len < POOLED_TAIL_BYTES || payload.len > UINT32_MAX)
        return true;
    struct span rest_bytes = span_sub(payload, 0, payload.len - POOLED_TAIL_BYTES);
    struct pooled_rest *rest = map_get(&p->rests, rest_bytes);
    if (rest == NULL)
        rest = add(p, rest_bytes);
    if (rest == NULL)
        return false;
    rest->references++;
    state_out->rest = rest;
    memcpy(state_out->tail, payload.data + rest_bytes.len, POOLED_TAIL_BYTES);
    return true;
}

struct span state_pool_get(const struct pooled_state *state, struct arena *arena)
{
    const struct pooled_rest *rest = state->rest;
    if (rest == NULL)
        return (struct span){NULL, 0};
    uint8_t *payload = arena_alloc(arena, (size_t)rest->len + POOLED_TAIL_BYTES);
    if (payload == NULL)
        return (struct span){NULL, 0};
    if (rest->len > 0)
        memcpy(payload, rest->bytes, rest->len);
    memcpy(payload + rest->len, state->tail, POOLED_TAIL_BYTES);
    return span_of(payload, (size_t)rest->len + POOLED_TAIL_BYTES);
}

void state_pool_drop(struct state_pool *p, struct pooled_state *state)
{
    struct pooled_rest *rest = state->rest;
    state->rest = NULL;
    if (rest == NULL)
        return;
    check(rest->references > 0);
    if (--rest->references > 0)
        return;
    (void)map_remove(&p->rests, key_of(rest));
    free(rest);
}
