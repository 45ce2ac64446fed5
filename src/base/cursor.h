/*
 * cursor: reads binary data with a sticky fault.
 *
 * After the first read past the end a cursor gives zeros and empty spans and no longer advances;
 * the reader checks once, at the end, with cursor_ok(). Integers are little-endian. Owns nothing;
 * any thread; pure.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/span.h"

struct cursor {
    struct span rest;
    bool failed;
};

struct cursor cursor_over(struct span s);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
uint16_t cursor_u16_be(struct cursor *c); /* network order, for DNS */
uint32_t cursor_u32_be(struct cursor *c);
struct span cursor_bytes(struct cursor *c, size_t n);
void cursor_fail(struct cursor *c);
bool cursor_ok(const struct cursor *c);     /* nothing has failed so far */
bool cursor_at_end(const struct cursor *c); /* ok, and all has been read */

#endif
