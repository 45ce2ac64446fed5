/*
 * cursor: see cursor.h.
 */
#include "base/cursor.h"

struct cursor cursor_over(struct span s)
{
    return (struct cursor){.rest = s};
}

void cursor_fail(struct cursor *c)
{
    c->failed = true;
}

struct span cursor_bytes(struct cursor *c, size_t n)
{
    if (c->failed || n > c->rest.len) {
        cursor_fail(c);
        return (struct span){0};
    }
    struct span bytes = span_sub(c->rest, 0, n);
    c->rest = span_skip(c->rest, n);
    return bytes;
}

/* n bytes as a number, or 0: an empty span after a failure adds nothing. */
static uint64_t little_endian(struct cursor *c, size_t n)
{
    struct span bytes = cursor_bytes(c, n);
    uint64_t v = 0;
    for (size_t i = bytes.len; i > 0; i--)
        v = v << 8 | bytes.data[i - 1];
    return v;
}

static uint64_t big_endian(struct cursor *c, size_t n)
{
    struct span bytes = cursor_bytes(c, n);
    uint64_t v = 0;
    for (size_t i = 0; i < bytes.len; i++)
        v = v << 8 | bytes.data[i];
    return v;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)little_endian(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
    return (uint16_t)little_endian(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
    return (uint32_t)little_endian(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
    return little_endian(c, 8);
}

uint16_t cursor_u16_be(struct cursor *c)
{
    return (uint16_t)big_endian(c, 2);
}

uint32_t cursor_u32_be(struct cursor *c)
{
    return (uint32_t)big_endian(c, 4);
}

bool cursor_ok(const struct cursor *c)
{
    return !c->failed;
}

bool cursor_at_end(const struct cursor *c)
{
    return !c->failed && c->rest.len == 0;
}
