/*
 * settings: see settings.h.
 */
#include "config/settings.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "config/value.h"

#define SMTP_PORT  25
#define MEMORY_MAX (2u * 1024 * 1024) /* the longest lists and texts need half of it */

/* Sets what has a default; those of the schema can only be right. */
static bool set_defaults(struct settings *s)
{
    struct buffer why;
    buffer_init(&why, 0);
    for (enum option_id id = 0; id < OPTION_COUNT; id++) {
        const struct option *o = schema_option(id);
        if (o->value == NULL)
            continue;
        enum fault fault = value_set(s, id, span_text(o->value), &why);
        check(fault != FAULT_SYNTAX);
        if (fault != FAULT_NONE)
            return false;
    }
    return true;
}

struct settings *settings_default(const char *hostname)
{
    struct settings *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    arena_init(&s->memory, MEMORY_MAX);
    s->references = 1;
    s->next_hop_port = SMTP_PORT; /* for who sets only the host */
    s->hostname = arena_text(&s->memory, span_text(hostname));
    if (s->hostname == NULL || !set_defaults(s)) {
        settings_release(s);
        return NULL;
    }
    return s;
}

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

bool address_ranges_contain(const struct address_range *ranges, size_t count,
                            struct endpoint address)
{
    for (size_t i = 0; i < count; i++)
        if (address_range_contains(&ranges[i], address))
            return true;
    return false;
}

bool settings_may_relay(const struct settings *s, struct endpoint client)
{
    return address_ranges_contain(s->relay_from, s->relay_from_count, client);
}

uint32_t settings_listener_count(const struct settings *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->listen_count; i++)
        count += s->listen[i]->at_count;
    return count;
}

const struct listen_settings *settings_listener(const struct settings *s, uint32_t index,
                                                struct endpoint *at_out)
{
    uint32_t i = 0;
    while (index >= s->listen[i]->at_count)
        index -= s->listen[i++]->at_count;
    *at_out = s->listen[i]->at[index];
    return s->listen[i];
}

const struct domain_settings *settings_domain(const struct settings *s, struct span name)
{
    for (uint32_t i = 0; i < s->domains_count; i++)
        if (span_equal_nocase(name, span_text(s->domains[i]->name)))
            return s->domains[i];
    return NULL;
}
