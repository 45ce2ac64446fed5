/*
 * image: see image.h.
 */
#include "sim/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* A write that no sync has followed yet. */
struct unsynced {
    struct unsynced *next; /* written later */
    uint64_t offset;
    size_t len;
    size_t sectors;      /* touched by it, the first and last maybe in part */
    uint8_t *is_settled; /* a byte for each sector: durable already, or lost for good */
    uint8_t bytes[];
};

struct image {
    uint8_t *cached, *durable; /* zeros from their size on, up to `capacity` */
    uint64_t size, durable_size;
    uint64_t capacity;
    uint8_t *is_allocated; /* a byte for each block */
    uint64_t blocks;
    struct unsynced *first, **end; /* in the order of writing */
    size_t unsynced_count;
    bool has_lost; /* bytes that are cached, but are not durable and never will be */
};

struct image *image_new(void)
{
    struct image *c = calloc(1, sizeof *c);
    check(c != NULL);
    c->end = &c->first;
    return c;
}

static void forget_unsynced(struct image *c)
{
    for (struct unsynced *u; (u = c->first) != NULL;) {
        c->first = u->next;
        free(u);
    }
    c->end = &c->first;
    c->unsynced_count = 0;
}

void image_free(struct image *c)
{
    forget_unsynced(c);
    free(c->cached);
    free(c->durable);
    free(c->is_allocated);
    free(c);
}

uint64_t image_size(const struct image *c)
{
    return c->size;
}

uint64_t image_blocks(const struct image *c)
{
    return c->blocks;
}

size_t image_read(const struct image *c, uint64_t offset, void *bytes_out, size_t len)
{
    if (offset >= c->size)
        return 0;
    size_t n = len < c->size - offset ? len : c->size - offset;
    if (n > 0)
        memcpy(bytes_out, c->cached + offset, n);
    return n;
}

static bool has_block(const struct image *c, uint64_t block)
{
    return block < c->capacity / IMAGE_BLOCK_BYTES && c->is_allocated[block] != 0;
}

size_t image_fits(const struct image *c, uint64_t offset, size_t len, uint64_t blocks)
{
    uint64_t end = offset + len;
    uint64_t at = offset;
    while (at < end) {
        if (!has_block(c, at / IMAGE_BLOCK_BYTES) && blocks-- == 0)
            return at - offset;
        at = (at / IMAGE_BLOCK_BYTES + 1) * IMAGE_BLOCK_BYTES;
    }
    return len;
}

static uint8_t *grown(uint8_t *bytes, uint64_t old_len, uint64_t len)
{
    uint8_t *more = calloc(len, 1); /* pages that nobody touches cost nothing */
    check(more != NULL);
    if (old_len > 0)
        memcpy(more, bytes, old_len);
    free(bytes);
    return more;
}

static void reserve(struct image *c, uint64_t end)
{
    uint64_t capacity = c->capacity == 0 ? IMAGE_BLOCK_BYTES : c->capacity;
    while (capacity < end)
        capacity *= 2;
    if (capacity == c->capacity)
        return;
    c->cached = grown(c->cached, c->capacity, capacity);
    c->durable = grown(c->durable, c->capacity, capacity);
    c->is_allocated =
        grown(c->is_allocated, c->capacity / IMAGE_BLOCK_BYTES, capacity / IMAGE_BLOCK_BYTES);
    c->capacity = capacity;
}

static void allocate(struct image *c, uint64_t offset, uint64_t end)
{
    for (uint64_t b = offset / IMAGE_BLOCK_BYTES; b * IMAGE_BLOCK_BYTES < end; b++) {
        c->blocks += !c->is_allocated[b];
        c->is_allocated[b] = 1;
    }
}

void image_write(struct image *c, uint64_t offset, struct span bytes)
{
    if (bytes.len == 0)
        return;
    uint64_t end = offset + bytes.len;
    size_t sectors = (end - 1) / IMAGE_SECTOR_BYTES - offset / IMAGE_SECTOR_BYTES + 1;
    struct unsynced *u = malloc(sizeof *u + bytes.len + sectors);
    check(u != NULL);
    *u = (struct unsynced){.offset = offset, .len = bytes.len, .sectors = sectors};
    u->is_settled = u->bytes + bytes.len;
    memcpy(u->bytes, bytes.data, bytes.len);
    memset(u->is_settled, 0, sectors);
    *c->end = u;
    c->end = &u->next;
    c->unsynced_count++;

    reserve(c, end);
    allocate(c, offset, end);
    memcpy(c->cached + offset, bytes.data, bytes.len);
    c->size = c->size > end ? c->size : end;
}

/* Decides about the write's share in its i-th sector, once. */
static void settle(struct image *c, struct unsynced *u, size_t i, bool keep)
{
    uint64_t sector = (u->offset / IMAGE_SECTOR_BYTES + i) * IMAGE_SECTOR_BYTES;
    uint64_t from = sector > u->offset ? sector : u->offset;
    uint64_t to = sector + IMAGE_SECTOR_BYTES;
    if (u->is_settled[i])
        return;
    u->is_settled[i] = 1;
    to = to < u->offset + u->len ? to : u->offset + u->len;
    if (keep)
        memcpy(c->durable + from, u->bytes + (from - u->offset), to - from);
}

void image_sync(struct image *c)
{
    for (struct unsynced *u = c->first; u != NULL; u = u->next) {
        if (memchr(u->is_settled, 1, u->sectors) == NULL)
            memcpy(c->durable + u->offset, u->bytes, u->len);
        else
            for (size_t i = 0; i < u->sectors; i++)
                settle(c, u, i, true);
    }
    forget_unsynced(c);
    c->durable_size = c->size;
}

/* Everything or nothing about as often as a mixture. */
static uint32_t draw_chance(struct random *r)
{
    switch (random_below(r, 4)) {
    case 0:
        return 0;
    case 1:
        return 1000000;
    default:
        return (uint32_t)random_below(r, 1000001);
    }
}

static void settle_by_chance(struct image *c, struct random *r)
{
    uint32_t chance = draw_chance(r);
    for (struct unsynced *u = c->first; u != NULL; u = u->next)
        for (size_t i = 0; i < u->sectors; i++)
            settle(c, u, i, random_chance(r, chance));
}

/* What Linux does since PostgreSQL found out in 2018: the pages that could not be written are
   marked clean, and the next fsync has nothing to do. */
void image_sync_fail(struct image *c, struct random *r)
{
    if (random_chance(r, 300000))
        return;
    c->has_lost = c->has_lost || c->first != NULL;
    settle_by_chance(c, r);
    forget_unsynced(c);
}

bool image_is_dirty(const struct image *c)
{
    return c->first != NULL || c->durable_size != c->size;
}

static void write_back_size(struct image *c, struct random *r)
{
    if (c->durable_size < c->size)
        c->durable_size += 1 + random_below(r, c->size - c->durable_size);
}

/* As the disk writes a sector whole, the shares of all writes in it go together. */
static void write_back_sector(struct image *c, uint64_t sector)
{
    for (struct unsynced *u = c->first; u != NULL; u = u->next) {
        uint64_t first = u->offset / IMAGE_SECTOR_BYTES;
        if (sector >= first && sector - first < u->sectors)
            settle(c, u, sector - first, true);
    }
}

void image_write_back(struct image *c, struct random *r)
{
    if (random_chance(r, 200000)) {
        image_sync(c);
        return;
    }
    if (random_chance(r, 500000))
        write_back_size(c, r);
    if (c->first == NULL)
        return;
    struct unsynced *u = c->first;
    for (uint64_t skip = random_below(r, c->unsynced_count); skip > 0; skip--)
        u = u->next;
    uint64_t from = random_below(r, u->sectors);
    uint64_t count = 1 + random_below(r, u->sectors - from);
    count = count < 16 ? count : 16;
    for (uint64_t i = from; i < from + count; i++)
        write_back_sector(c, u->offset / IMAGE_SECTOR_BYTES + i);
}

static void cut_size(struct image *c, struct random *r)
{
    if (c->size == c->durable_size)
        return;
    check(c->durable_size < c->size);
    switch (random_below(r, 3)) {
    case 0:
        break;
    case 1:
        c->durable_size = c->size;
        break;
    default:
        write_back_size(c, r);
        break;
    }
    memset(c->durable + c->durable_size, 0, c->size - c->durable_size);
    for (uint64_t b = (c->durable_size + IMAGE_BLOCK_BYTES - 1) / IMAGE_BLOCK_BYTES;
         b < c->capacity / IMAGE_BLOCK_BYTES; b++) {
        c->blocks -= c->is_allocated[b];
        c->is_allocated[b] = 0;
    }
}

void image_power_cut(struct image *c, struct random *r)
{
    settle_by_chance(c, r);
    cut_size(c, r);
    for (struct unsynced *u = c->first; u != NULL; u = u->next)
        memcpy(c->cached + u->offset, c->durable + u->offset, u->len);
    if (c->has_lost && c->size > 0)
        memcpy(c->cached, c->durable, c->size);
    if (c->size > c->durable_size)
        memset(c->cached + c->durable_size, 0, c->size - c->durable_size);
    c->size = c->durable_size;
    c->has_lost = false;
    forget_unsynced(c);
}
