/*
 * cursor: reads binary data with a sticky fault.
 *
 * After the first read past the end a cursor gives zeros and empty spans and no longer advances;
 * the reader checks once, at the end, with cursor_ok(). Integers are little-endian. Owns nothing;
 * any thread; pure. Inline, since an index file is read by millions of such calls.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/span.h"

struct cursor {
    struct span rest;
    bool failed;
};

static inline struct cursor cursor_over(struct span s)
{
    return (struct cursor){.rest = s};
}

static inline void cursor_fail(struct cursor *c)
{
    c->failed = true;
}

/* Nothing has failed so far. */
static inline bool cursor_ok(const struct cursor *c)
{
    return !c->failed;
}

/* Ok, and all has been read. */
static inline bool cursor_at_end(const struct cursor *c)
{
    return !c->failed && c->rest.len == 0;
}

static inline struct span cursor_bytes(struct cursor *c, size_t n)
{
    if (c->failed || n > c->rest.len) {
        cursor_fail(c);
        return (struct span){0};
    }
    struct span bytes = span_sub(c->rest, 0, n);
    c->rest = span_skip(c->rest, n);
    return bytes;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
    struct span b = cursor_bytes(c, 1);
    if (b.len == 0)
        return 0;
    return b.data[0];
}

static inline uint16_t cursor_u16(struct cursor *c)
{
    struct span b = cursor_bytes(c, 2);
    if (b.len == 0)
        return 0;
    return (uint16_t)(b.data[0] | b.data[1] << 8);
}

static inline uint32_t cursor_u32(struct cursor *c)
{
    struct span b = cursor_bytes(c, 4);
    if (b.len == 0)
        return 0;
    return (uint32_t)b.data[0] | (uint32_t)b.data[1] << 8 | (uint32_t)b.data[2] << 16 |
           (uint32_t)b.data[3] << 24;
}

static inline uint64_t cursor_u64(struct cursor *c)
{
    if (c->rest.len < 8) {
        cursor_fail(c);
        return 0;
    }
    uint64_t low = cursor_u32(c);
    return low | (uint64_t)cursor_u32(c) << 32;
}

uint16_t cursor_u16_be(struct cursor *c); /* network order, for DNS */
uint32_t cursor_u32_be(struct cursor *c);

#endif
