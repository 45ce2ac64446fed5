/*
 * settings: see settings.h.
 */
#include "config/settings.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

/* The reference count is no part of what readers see: const for them, counted for us. */
static struct settings *counted(const struct settings *s)
{
    return (struct settings *)(uintptr_t)s;
}

const struct settings *settings_retain(const struct settings *s)
{
    if (s == NULL)
        return NULL;
    uint32_t before = atomic_fetch_add_explicit(&counted(s)->references, 1, memory_order_relaxed);
    check(before > 0 && before < UINT32_MAX);
    return s;
}

void settings_release(const struct settings *s)
{
    if (s == NULL)
        return;
    struct settings *own = counted(s);
    uint32_t before = atomic_fetch_sub_explicit(&own->references, 1, memory_order_acq_rel);
    check(before > 0);
    if (before > 1)
        return;
    arena_fini(&own->memory);
    free(own);
}

bool address_range_contains(const struct address_range *range, struct endpoint address)
{
    if (address.family != range->family)
        return false;
    check(range->prefix_bits <= sizeof range->ip * 8);
    size_t whole = range->prefix_bits / 8;
    for (size_t i = 0; i < whole; i++)
        if (address.ip[i] != range->ip[i])
            return false;
    unsigned rest = range->prefix_bits % 8u;
    return rest == 0 || (address.ip[whole] ^ range->ip[whole]) >> (8 - rest) == 0;
}

bool settings_may_relay(const struct settings *s, struct endpoint client)
{
    for (uint32_t i = 0; i < s->relay_from_count; i++)
        if (address_range_contains(&s->relay_from[i], client))
            return true;
    return false;
}
