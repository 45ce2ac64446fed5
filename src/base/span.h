/*
 * span: a run of bytes that somebody else owns.
 *
 * What comes from outside is a span; it is never NUL-terminated and may hold any byte. A span owns
 * nothing and is passed by value.
 * An empty span may have a NULL `data`. All functions are pure and may be called from any thread.
 * Case folding is ASCII only (RFC 5321 2.4), independent of any locale. What every parser does at
 * every byte is inline: as calls these took a tenth of the time of a start.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

struct span {
    const uint8_t *data;
    size_t len;
};

/* A span over a string literal, without its NUL. */
#define SPAN(literal) ((struct span){(const uint8_t *)("" literal), sizeof(literal) - 1})

/* printf: "%.*s" with SPAN_PRINT(s). For text that is known to be printable; peer bytes go
   through the log's escaping. */
#define SPAN_PRINT(s) (int)(s).len, (const char *)(s).data

static inline struct span span_of(const void *data, size_t len)
{
    check(data != NULL || len == 0);
    return (struct span){(const uint8_t *)data, len};
}

struct span span_text(const char *text); /* a NUL-terminated C string of ours */

/* Without the first n bytes (clamped). */
static inline struct span span_skip(struct span s, size_t n)
{
    if (n > s.len)
        n = s.len;
    if (n == 0) /* NULL + 0 is undefined in C17 */
        return s;
    return (struct span){s.data + n, s.len - n};
}

/* Clamped to `s`, never outside. */
static inline struct span span_sub(struct span s, size_t from, size_t len)
{
    s = span_skip(s, from);
    if (len < s.len)
        s.len = len;
    return s;
}

struct span span_trim(struct span s); /* without leading and trailing SP and HT */

bool span_equal(struct span a, struct span b);
bool span_equal_nocase(struct span a, struct span b);
bool span_starts_with(struct span s, struct span prefix);
bool span_starts_with_nocase(struct span s, struct span prefix);
bool span_ends_with_nocase(struct span s, struct span suffix);
int span_compare(struct span a, struct span b); /* memcmp order, the shorter first */

/* Index of the first occurrence at or after `from`, or s.len when there is none. */
size_t span_find_byte(struct span s, uint8_t byte, size_t from);
size_t span_find(struct span s, struct span needle, size_t from);

/* Splits at the first `byte`: *head_out is before it, the result is what follows. Without the
   byte all is head, the result empty. */
struct span span_split(struct span s, uint8_t byte, struct span *head_out);

/* Digits only, no sign, no blanks, at most `max`; false (and *value_out untouched) for anything
   else, the empty span included. */
__attribute__((warn_unused_result)) bool span_parse_u64(struct span s, uint64_t max,
                                                        uint64_t *value_out);

/* ASCII lower case of one byte; bytes over 127 are unchanged. */
static inline uint8_t byte_lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

#endif
