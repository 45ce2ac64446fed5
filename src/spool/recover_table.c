#include "spool/recover_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define CHUNK_ENTRIES 8192u /* large enough to be given back to the kernel */
#define SLOTS_FIRST   8192u
#define PAIRS_FIRST   1024u

struct found_chunk {
    uint32_t dropped;
    struct found entries[CHUNK_ENTRIES];
};

void recover_table_init(struct recover_table *t)
{
    *t = (struct recover_table){0};
}

void recover_table_fini(struct recover_table *t)
{
    for (uint32_t i = 0; i < t->chunk_count; i++)
        free(t->chunks[i]);
    free(t->chunks);
    free(t->slots);
    recover_table_init(t);
}

struct found *recover_table_at(const struct recover_table *t, uint32_t i)
{
    check(i < t->count);
    struct found_chunk *chunk = t->chunks[i / CHUNK_ENTRIES];
    check(chunk != NULL);
    return &chunk->entries[i % CHUNK_ENTRIES];
}

void recover_table_forget_ids(struct recover_table *t)
{
    free(t->slots);
    t->slots = NULL;
    t->slot_count = 0;
}

void recover_table_drop(struct recover_table *t, uint32_t i)
{
    struct found_chunk **chunk = &t->chunks[i / CHUNK_ENTRIES];
    check(t->slots == NULL && i < t->count && *chunk != NULL);
    uint32_t before = i / CHUNK_ENTRIES * CHUNK_ENTRIES;
    uint32_t used = t->count - before < CHUNK_ENTRIES ? t->count - before : CHUNK_ENTRIES;
    if (++(*chunk)->dropped < used)
        return;
    free(*chunk);
    *chunk = NULL;
}

static uint32_t first_slot(const struct recover_table *t, struct id id)
{
    return (uint32_t)id_hash(id) & (t->slot_count - 1);
}

/* The slot where the id is, or where it belongs. There is always an empty one. */
static uint32_t slot_of(const struct recover_table *t, struct id id)
{
    uint32_t slot = first_slot(t, id);
    while (t->slots[slot] != 0 && !id_equal(recover_table_at(t, t->slots[slot] - 1)->id, id))
        slot = (slot + 1) & (t->slot_count - 1);
    return slot;
}

/* The entry after the last one, or NULL. */
static struct found *beside_last(struct recover_table *t, struct id id)
{
    uint32_t i = t->last + 1;
    if (i >= t->count || !id_equal(recover_table_at(t, i)->id, id))
        return NULL;
    t->last = i;
    return recover_table_at(t, i);
}

struct found *recover_table_get(const struct recover_table *t, struct id id)
{
    uint32_t entry = t->slot_count == 0 ? 0 : t->slots[slot_of(t, id)];
    return entry == 0 ? NULL : recover_table_at(t, entry - 1);
}

/* Keeps the slots at most two thirds full. */
static bool room_for_slot(struct recover_table *t)
{
    if (t->count < t->slot_count / 3 * 2)
        return true;
    if (t->slot_count > UINT32_MAX / 4)
        return false;
    uint32_t slot_count = t->slot_count == 0 ? SLOTS_FIRST : t->slot_count * 4;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL)
        return false;
    free(t->slots);
    t->slots = slots;
    t->slot_count = slot_count;
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t slot = first_slot(t, recover_table_at(t, i)->id);
        while (slots[slot] != 0) /* all are different */
            slot = (slot + 1) & (slot_count - 1);
        slots[slot] = i + 1;
    }
    return true;
}

static bool room_for_entry(struct recover_table *t)
{
    if (t->count < t->chunk_count * CHUNK_ENTRIES)
        return true;
    struct found_chunk **chunks =
        realloc(t->chunks, (t->chunk_count + (size_t)1) * sizeof(struct found_chunk *));
    if (chunks == NULL)
        return false;
    t->chunks = chunks;
    struct found_chunk *chunk = malloc(sizeof *chunk);
    if (chunk == NULL)
        return false;
    chunk->dropped = 0;
    chunks[t->chunk_count++] = chunk;
    return true;
}

void recover_table_touch(const struct recover_table *t, struct id id)
{
    if (t->slot_count > 0)
        __builtin_prefetch(&t->slots[first_slot(t, id)], 1);
}

struct found *recover_table_make(struct recover_table *t, struct id id)
{
    struct found *beside = beside_last(t, id);
    if (beside != NULL)
        return beside;
    if (!room_for_slot(t) || !room_for_entry(t))
        return NULL;
    uint32_t slot = slot_of(t, id);
    if (t->slots[slot] == 0) {
        *recover_table_at(t, t->count++) = (struct found){.id = id};
        t->slots[slot] = t->count;
    }
    t->last = t->slots[slot] - 1;
    return recover_table_at(t, t->last);
}

void pair_set_init(struct pair_set *s)
{
    *s = (struct pair_set){0};
}

void pair_set_fini(struct pair_set *s)
{
    free(s->pairs);
    pair_set_init(s);
}

static int compare_pairs(const void *a, const void *b)
{
    uint64_t one, other;
    memcpy(&one, a, sizeof one);
    memcpy(&other, b, sizeof other);
    return (one > other) - (one < other);
}

void pair_set_sort(struct pair_set *s)
{
    size_t kept = 0;
    if (s->count > 0)
        qsort(s->pairs, s->count, sizeof *s->pairs, compare_pairs);
    for (size_t i = 0; i < s->count; i++) {
        if (kept == 0 || s->pairs[kept - 1] != s->pairs[i])
            s->pairs[kept++] = s->pairs[i];
    }
    s->count = kept;
}

/* Sorts first; grows only when that leaves it more than half full. */
static bool make_room(struct pair_set *s)
{
    pair_set_sort(s);
    if (s->capacity > 0 && s->count <= s->capacity / 2)
        return true;
    size_t capacity = s->capacity == 0 ? PAIRS_FIRST : s->capacity * 2;
    uint64_t *pairs = realloc(s->pairs, capacity * sizeof *pairs);
    if (pairs == NULL)
        return s->count < s->capacity;
    s->pairs = pairs;
    s->capacity = capacity;
    return true;
}

bool pair_set_add(struct pair_set *s, uint32_t a, uint32_t b)
{
    uint64_t pair = (uint64_t)a << 32 | b;
    if (s->count > 0 && s->pairs[s->count - 1] == pair)
        return true; /* messages that came together end together */
    if (s->count == s->capacity && !make_room(s))
        return false;
    s->pairs[s->count++] = pair;
    return true;
}
