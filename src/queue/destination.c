/*
 * destination: see destination.h.
 */
#include "queue/destination.h"

#include <stdlib.h>

#include "base/check.h"

static struct span key_of(const void *object)
{
    return destination_name(object);
}

void destinations_init(struct destinations *d, uint64_t secret)
{
    map_init(&d->map, key_of, secret);
    list_init(&d->idle);
    d->idle_count = 0;
}

void destinations_fini(struct destinations *d)
{
    check(d->map.count == 0);
    map_fini(&d->map);
}

static struct destination *destination_new(struct span name)
{
    struct destination *d = calloc(1, sizeof *d + name.len);
    if (d == NULL)
        return NULL;
    list_init(&d->waiting);
    list_init(&d->node);
    d->name_len = (uint16_t)name.len;
    for (size_t i = 0; i < name.len; i++)
        d->name[i] = name.data[i];
    return d;
}

struct destination *destination_get(struct destinations *d, struct span name)
{
    check(name.len <= DESTINATION_NAME_MAX);
    uint8_t lower[DESTINATION_NAME_MAX];
    for (size_t i = 0; i < name.len; i++)
        lower[i] = byte_lower(name.data[i]);
    name = span_of(lower, name.len);
    struct destination *found = map_get(&d->map, name);
    if (found == NULL) {
        found = destination_new(name);
        if (found != NULL && !map_put(&d->map, found)) {
            free(found);
            return NULL;
        }
    } else if (found->references == 0) {
        list_remove(&found->node);
        d->idle_count--;
    }
    return found == NULL ? NULL : destination_retain(found);
}

struct destination *destination_retain(struct destination *d)
{
    d->references++;
    return d;
}

void destination_release(struct destinations *d, struct destination *destination)
{
    check(destination->references > 0);
    if (--destination->references > 0)
        return;
    check(destination->ready == 0 && list_empty(&destination->waiting));
    list_append(&d->idle, &destination->node);
    d->idle_count++;
}

struct destination *destination_surplus(const struct destinations *d, bool all)
{
    if (d->idle_count <= (all ? 0 : DESTINATIONS_IDLE_MAX))
        return NULL;
    list_each(node, &d->idle)
    {
        struct destination *first = container_of(node, struct destination, node);
        if (first->question == NULL || all)
            return first;
    }
    return NULL;
}

void destination_drop(struct destinations *d, struct destination *destination)
{
    check(destination->references == 0 && destination->route == NULL);
    (void)map_remove(&d->map, destination_name(destination));
    list_remove(&destination->node);
    d->idle_count--;
    free(destination);
}

struct span destination_name(const struct destination *d)
{
    return span_of(d->name, d->name_len);
}

int64_t destination_ttl_ms(int64_t ttl_ms)
{
    if (ttl_ms < DESTINATION_TTL_MIN_MS)
        return DESTINATION_TTL_MIN_MS;
    return ttl_ms > DESTINATION_TTL_MAX_MS ? DESTINATION_TTL_MAX_MS : ttl_ms;
}
