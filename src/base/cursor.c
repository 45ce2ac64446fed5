/*
 * cursor: see cursor.h.
 */
#include "base/cursor.h"

/* n bytes as a number, or 0: an empty span after a failure adds nothing. */
static uint64_t big_endian(struct cursor *c, size_t n)
{
    struct span bytes = cursor_bytes(c, n);
    uint64_t v = 0;
    for (size_t i = 0; i < bytes.len; i++)
        v = v << 8 | bytes.data[i];
    return v;
}

uint16_t cursor_u16_be(struct cursor *c)
{
    return (uint16_t)big_endian(c, 2);
}

uint32_t cursor_u32_be(struct cursor *c)
{
    return (uint32_t)big_endian(c, 4);
}
