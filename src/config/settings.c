/*
 * settings: see settings.h.
 */
#include "config/settings.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"
#include "config/value.h"
#include "mail/domain.h"
#include "mail/idn.h"

#define IDN_MEMORY_MAX 1024
#define MEMORY_MAX     (16u * 1024 * 1024) /* the longest lists and texts need half of it */

static bool set_defaults(struct settings *s)
{
    for (enum block_id id = 0; id < BLOCK_COUNT; id++)
        if (!schema_block(id)->times.has_records && value_set_defaults(s, id) != FAULT_NONE)
            return false;
    return true;
}

struct settings *settings_default(const char *hostname)
{
    struct settings *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    arena_init(&s->memory, MEMORY_MAX);
    s->references = 1;
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
    for (uint32_t i = 0; i < own->domains_count; i++) {
        table_release(own->domains[i]->users);
        table_release(own->domains[i]->aliases);
    }
    table_release(own->aliases);
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

/* A slot holds the index + 1 of a domain. */
static uint32_t *slot_of(const struct settings *s, struct span name)
{
    uint32_t mask = s->domain_slot_count - 1;
    uint32_t at = (uint32_t)map_hash(name, 0) & mask;
    while (s->domain_slots[at] != 0 &&
           !span_equal(span_text(s->domains[s->domain_slots[at] - 1]->name), name))
        at = (at + 1) & mask;
    return &s->domain_slots[at];
}

bool settings_index_domains(struct settings *s)
{
    s->domain_slot_count = 4;
    while (s->domain_slot_count < s->domains_count * 2)
        s->domain_slot_count *= 2;
    s->domain_slots = arena_alloc(&s->memory, s->domain_slot_count * sizeof s->domain_slots[0]);
    if (s->domain_slots == NULL)
        return false;
    for (uint32_t i = 0; i < s->domains_count; i++)
        *slot_of(s, span_text(s->domains[i]->name)) = i + 1;
    return true;
}

static const struct domain_settings *find_domain(const struct settings *s, struct span name)
{
    uint8_t lower[DOMAIN_MAX];
    if (name.len == 0 || name.len > sizeof lower)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = byte_lower(name.data[i]);
    name.data = lower;
    if (s->domain_slots != NULL) {
        uint32_t found = *slot_of(s, name);
        return found == 0 ? NULL : s->domains[found - 1];
    }
    for (uint32_t i = 0; i < s->domains_count; i++)
        if (span_equal(name, span_text(s->domains[i]->name)))
            return s->domains[i];
    return NULL;
}

const struct domain_settings *settings_domain(const struct settings *s, struct span name)
{
    struct arena arena;
    struct span ascii;
    if (idn_is_ascii(name))
        return find_domain(s, name);
    arena_init(&arena, IDN_MEMORY_MAX);
    bool is_name = idn_domain_to_ascii(&arena, name, &ascii) == FAULT_NONE;
    const struct domain_settings *found = is_name ? find_domain(s, ascii) : NULL;
    arena_fini(&arena);
    return found;
}
