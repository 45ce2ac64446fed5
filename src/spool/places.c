/*
 * places: see places.h.
 *
 * Linear hashing (Litwin 1980): the buckets are 0 .. bucket_count - 1; a hash is taken modulo the
 * power of two above bucket_count, or below where that bucket does not exist yet. When there are
 * more messages than buckets, one bucket is split. A bucket is a chain through the entries.
 */
#include "spool/places.h"

#include <stdlib.h>

#include "base/check.h"

#define CHUNK_ENTRIES 4096u
#define CHUNK_BUCKETS 16384u
#define ENTRIES_MAX   (UINT32_MAX - 1)

void places_init(struct places *p)
{
    *p = (struct places){.first_free = PLACE_NOWHERE};
}

void places_fini(struct places *p)
{
    for (uint32_t i = 0; i < p->chunk_count; i++)
        free(p->chunks[i]);
    for (uint32_t i = 0; i < p->bucket_chunk_count; i++)
        free(p->bucket_chunks[i]);
    free(p->chunks);
    free(p->bucket_chunks);
    places_init(p);
}

static struct placed *entry(const struct places *p, uint32_t at)
{
    return &p->chunks[at / CHUNK_ENTRIES][at % CHUNK_ENTRIES];
}

static uint32_t *bucket(const struct places *p, uint32_t at)
{
    return &p->bucket_chunks[at / CHUNK_BUCKETS][at % CHUNK_BUCKETS];
}

/* The largest power of two that is not above n; n > 0. */
static uint32_t power_below(uint32_t n)
{
    return UINT32_C(1) << (31 - __builtin_clz(n));
}

static uint32_t bucket_of(const struct places *p, struct id id)
{
    uint32_t hash = (uint32_t)id_hash(id);
    uint32_t half = power_below(p->bucket_count);
    uint32_t at = hash & (2 * half - 1);
    return at < p->bucket_count ? at : hash & (half - 1);
}

static struct placed *find_in(const struct places *p, uint32_t at, struct id id)
{
    while (at != PLACE_NOWHERE && !id_equal(entry(p, at)->id, id))
        at = entry(p, at)->next;
    return at == PLACE_NOWHERE ? NULL : entry(p, at);
}

struct placed *places_find(const struct places *p, struct id id)
{
    return p->count == 0 ? NULL : find_in(p, *bucket(p, bucket_of(p, id)), id);
}

/* Appends a pointer to a table that grows by doubling: it is small, a pointer a chunk. */
static bool table_put(void ***table, uint32_t *count, uint32_t *capacity, void *chunk)
{
    if (*count == *capacity) {
        uint32_t larger = *capacity == 0 ? 16 : *capacity * 2;
        void **grown = realloc(*table, larger * sizeof **table);
        if (grown == NULL)
            return false;
        *table = grown;
        *capacity = larger;
    }
    (*table)[(*count)++] = chunk;
    return true;
}

static bool add_chunk(struct places *p)
{
    struct placed *chunk = malloc(CHUNK_ENTRIES * sizeof *chunk);
    void **table = (void **)p->chunks;
    if (chunk == NULL)
        return false;
    bool done = table_put(&table, &p->chunk_count, &p->chunk_capacity, chunk);
    p->chunks = (struct placed **)table;
    if (!done)
        free(chunk);
    return done;
}

static bool add_buckets(struct places *p)
{
    uint32_t *chunk = malloc(CHUNK_BUCKETS * sizeof *chunk);
    void **table = (void **)p->bucket_chunks;
    if (chunk == NULL)
        return false;
    bool done = table_put(&table, &p->bucket_chunk_count, &p->bucket_chunk_capacity, chunk);
    p->bucket_chunks = (uint32_t **)table;
    if (!done)
        free(chunk);
    return done;
}

static bool has_first_bucket(struct places *p)
{
    if (p->bucket_count > 0)
        return true;
    if (!add_buckets(p))
        return false;
    p->bucket_count = 1;
    *bucket(p, 0) = PLACE_NOWHERE;
    return true;
}

bool places_reserve(struct places *p, uint32_t more)
{
    if (!has_first_bucket(p))
        return false;
    while ((uint64_t)p->chunk_count * CHUNK_ENTRIES - p->count < more)
        if (p->chunk_count >= ENTRIES_MAX / CHUNK_ENTRIES || !add_chunk(p))
            return false;
    return true;
}

static void link_in(struct places *p, uint32_t *head, uint32_t at)
{
    entry(p, at)->next = *head;
    *head = at;
}

/* Without memory for another bucket (false) the chains grow longer, and nothing worse happens. */
static bool split_one(struct places *p)
{
    if (p->bucket_count == p->bucket_chunk_count * CHUNK_BUCKETS && !add_buckets(p))
        return false;
    uint32_t from = p->bucket_count - power_below(p->bucket_count);
    uint32_t at = *bucket(p, from);
    *bucket(p, from) = PLACE_NOWHERE;
    *bucket(p, p->bucket_count++) = PLACE_NOWHERE;
    while (at != PLACE_NOWHERE) {
        uint32_t next = entry(p, at)->next;
        link_in(p, bucket(p, bucket_of(p, entry(p, at)->id)), at);
        at = next;
    }
    return true;
}

void places_expect(struct places *p, uint64_t count)
{
    if (count > ENTRIES_MAX)
        count = ENTRIES_MAX;
    if (!has_first_bucket(p))
        return;
    while (p->bucket_count < count && split_one(p))
        continue;
}

void places_touch(const struct places *p, struct id id, enum places_touch step)
{
    if (p->bucket_count == 0)
        return;
    const uint32_t *head = bucket(p, bucket_of(p, id));
    if (step == PLACES_TOUCH_BUCKET)
        __builtin_prefetch(head, 1);
    else if (*head != PLACE_NOWHERE)
        __builtin_prefetch(entry(p, *head));
}

struct placed *places_add(struct places *p, struct id id)
{
    check((uint64_t)p->chunk_count * CHUNK_ENTRIES > p->count);
    uint32_t *head = bucket(p, bucket_of(p, id));
    check(find_in(p, *head, id) == NULL);
    uint32_t at = p->first_free;
    if (at == PLACE_NOWHERE)
        at = p->used++;
    else
        p->first_free = entry(p, at)->next;
    *entry(p, at) = (struct placed){.id = id,
                                    .base_segment = PLACE_NOWHERE,
                                    .state_segment = PLACE_NOWHERE,
                                    .sending_segment = PLACE_NOWHERE};
    link_in(p, head, at);
    p->count++;
    if (p->count > p->bucket_count)
        (void)split_one(p);
    return entry(p, at);
}

void places_remove(struct places *p, struct placed *placed)
{
    uint32_t *link = bucket(p, bucket_of(p, placed->id));
    while (entry(p, *link) != placed)
        link = &entry(p, *link)->next;
    uint32_t at = *link;
    *link = placed->next;
    placed->next = p->first_free;
    p->first_free = at;
    p->count--;
}

uint32_t places_count(const struct places *p)
{
    return p->count;
}

size_t places_memory_bytes(const struct places *p)
{
    return (size_t)p->chunk_count * CHUNK_ENTRIES * sizeof(struct placed) +
           (size_t)p->bucket_chunk_count * CHUNK_BUCKETS * sizeof(uint32_t) +
           (size_t)p->chunk_capacity * sizeof(void *) +
           (size_t)p->bucket_chunk_capacity * sizeof(void *);
}
