/*
 * catalog: see catalog.h.
 */
#include "queue/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BLOCK_ENTRIES 509 /* a block is just under 4 KiB */

struct catalog_block {
    struct id first; /* of entries[0]; blocks are never empty */
    uint32_t count;
    struct message *entries[BLOCK_ENTRIES];
};

void catalog_init(struct catalog *c)
{
    *c = (struct catalog){0};
}

void catalog_fini(struct catalog *c)
{
    for (uint32_t i = 0; i < c->block_count; i++)
        free(c->blocks[i]);
    free(c->blocks);
    catalog_init(c);
}

/* The last block that begins at or before `id`; 0 when all begin after it. Nearly always that is
 * the last of all. */
static uint32_t block_for(const struct catalog *c, struct id id)
{
    uint32_t low = 0, high = c->block_count;
    if (id_compare(c->blocks[high - 1]->first, id) <= 0)
        return high - 1;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (id_compare(c->blocks[middle]->first, id) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The first entry whose id is at or after `id`; it is known to be within low .. high. */
static uint32_t entry_between(const struct catalog_block *b, struct id id, uint32_t low,
                              uint32_t high)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (id_compare(b->entries[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t entry_for(const struct catalog_block *b, struct id id)
{
    return entry_between(b, id, 0, b->count);
}

/* The same for a new one, whose place is at the end or a few before it: the others are not looked
 * at, since each is a miss of the cache. */
static uint32_t entry_for_new(const struct catalog_block *b, struct id id)
{
    uint32_t high = b->count;
    for (uint32_t step = 1; high > 0; step *= 2) {
        uint32_t low = high > step ? high - step : 0;
        if (id_compare(b->entries[low]->id, id) < 0)
            return entry_between(b, id, low + 1, high);
        high = low;
    }
    return 0;
}

static bool directory_has_room(struct catalog *c)
{
    if (c->block_count < c->block_capacity)
        return true;
    uint32_t capacity = c->block_capacity == 0 ? 16 : c->block_capacity * 2;
    struct catalog_block **blocks = realloc(c->blocks, capacity * sizeof(struct catalog_block *));
    if (blocks == NULL)
        return false;
    c->blocks = blocks;
    c->block_capacity = capacity;
    return true;
}

/* A new, empty block at place `at` of the directory; NULL: no memory. */
static struct catalog_block *insert_block(struct catalog *c, uint32_t at)
{
    struct catalog_block *b = directory_has_room(c) ? malloc(sizeof *b) : NULL;
    if (b == NULL)
        return NULL;
    b->count = 0;
    memmove(c->blocks + at + 1, c->blocks + at,
            (c->block_count - at) * sizeof(struct catalog_block *));
    c->blocks[at] = b;
    c->block_count++;
    return b;
}

static void drop_block(struct catalog *c, uint32_t at)
{
    free(c->blocks[at]);
    c->block_count--;
    memmove(c->blocks + at, c->blocks + at + 1,
            (c->block_count - at) * sizeof(struct catalog_block *));
}

static void insert_entry(struct catalog_block *b, uint32_t at, struct message *m)
{
    memmove(b->entries + at + 1, b->entries + at, (b->count - at) * sizeof(struct message *));
    b->entries[at] = m;
    b->count++;
    b->first = b->entries[0]->id;
}

/* Splits the full block `at` for an entry at place `entry` of it: in the middle, or, at the very
 * end of all, by beginning a new block, so that rising ids leave full blocks behind. */
static bool split(struct catalog *c, uint32_t at, uint32_t entry)
{
    bool is_end = at + 1 == c->block_count && entry == BLOCK_ENTRIES;
    struct catalog_block *right = insert_block(c, at + 1);
    if (right == NULL)
        return false;
    if (is_end)
        return true;
    struct catalog_block *left = c->blocks[at];
    uint32_t kept = BLOCK_ENTRIES / 2;
    right->count = left->count - kept;
    memcpy(right->entries, left->entries + kept, right->count * sizeof(struct message *));
    right->first = right->entries[0]->id;
    left->count = kept;
    return true;
}

enum catalog_put catalog_put(struct catalog *c, struct message *m)
{
    if (c->block_count == 0 && insert_block(c, 0) == NULL)
        return CATALOG_NO_MEMORY;
    uint32_t at = block_for(c, m->id);
    struct catalog_block *b = c->blocks[at];
    uint32_t entry = entry_for_new(b, m->id);
    if (entry < b->count && id_equal(b->entries[entry]->id, m->id))
        return CATALOG_EXISTS;
    if (b->count == BLOCK_ENTRIES) {
        if (!split(c, at, entry))
            return CATALOG_NO_MEMORY;
        if (entry > b->count || b->count == BLOCK_ENTRIES) {
            entry -= b->count;
            b = c->blocks[at + 1];
        }
    }
    insert_entry(b, entry, m);
    c->count++;
    return CATALOG_PUT;
}

/* Two neighbours that together fill half a block become one, so that what is left of a large queue
   does not keep its blocks. */
static void merge(struct catalog *c, uint32_t at)
{
    if (at + 1 >= c->block_count)
        return;
    struct catalog_block *left = c->blocks[at], *right = c->blocks[at + 1];
    if (left->count + right->count > BLOCK_ENTRIES / 2)
        return;
    memcpy(left->entries + left->count, right->entries, right->count * sizeof(struct message *));
    left->count += right->count;
    drop_block(c, at + 1);
}

void catalog_remove(struct catalog *c, struct message *m)
{
    check(c->block_count > 0);
    uint32_t at = block_for(c, m->id);
    struct catalog_block *b = c->blocks[at];
    uint32_t entry = entry_for(b, m->id);
    check(entry < b->count && b->entries[entry] == m);
    b->count--;
    c->count--;
    memmove(b->entries + entry, b->entries + entry + 1,
            (b->count - entry) * sizeof(struct message *));
    if (b->count == 0) {
        drop_block(c, at);
        return;
    }
    b->first = b->entries[0]->id;
    merge(c, at);
    if (at > 0)
        merge(c, at - 1);
}

struct message *catalog_get(const struct catalog *c, struct id id)
{
    if (c->block_count == 0)
        return NULL;
    const struct catalog_block *b = c->blocks[block_for(c, id)];
    uint32_t entry = entry_for(b, id);
    if (entry == b->count || !id_equal(b->entries[entry]->id, id))
        return NULL;
    return b->entries[entry];
}

struct message *catalog_after(const struct catalog *c, struct id id)
{
    if (c->block_count == 0)
        return NULL;
    uint32_t at = block_for(c, id);
    const struct catalog_block *b = c->blocks[at];
    uint32_t entry = entry_for(b, id);
    if (entry < b->count && id_equal(b->entries[entry]->id, id))
        entry++;
    if (entry < b->count)
        return b->entries[entry];
    return at + 1 < c->block_count ? c->blocks[at + 1]->entries[0] : NULL;
}
