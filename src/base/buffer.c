/*
 * buffer: see buffer.h.
 */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define CAPACITY_FIRST 64

void buffer_init(struct buffer *b, size_t max)
{
    *b = (struct buffer){.max = max};
}

void buffer_fini(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_reset(struct buffer *b)
{
    b->len = 0;
    b->full = false;
}

void buffer_free_memory(struct buffer *b)
{
    size_t max = b->max;
    buffer_fini(b);
    buffer_init(b, max);
}

static bool set_capacity(struct buffer *b, size_t capacity)
{
    uint8_t *data = realloc(b->data, capacity);
    if (data == NULL)
        return false;
    b->data = data;
    b->capacity = capacity;
    return true;
}

/* Doubles until `need` fits, never beyond max. Short memory is answered like a passed limit. */
static bool grow(struct buffer *b, size_t need)
{
    size_t capacity = b->capacity < CAPACITY_FIRST ? CAPACITY_FIRST : b->capacity;
    while (capacity < need)
        capacity = capacity > b->max / 2 ? b->max : capacity * 2;
    if (capacity > b->max)
        capacity = b->max;
    return set_capacity(b, capacity);
}

bool buffer_fit(struct buffer *b, size_t capacity)
{
    check(capacity >= b->len && capacity <= b->max);
    if (capacity > 0)
        return capacity == b->capacity || set_capacity(b, capacity);
    free(b->data);
    b->data = NULL;
    b->capacity = 0;
    return true;
}

struct buffer buffer_take(struct buffer *b)
{
    struct buffer taken = *b;
    buffer_init(b, taken.max);
    return taken;
}

uint8_t *buffer_reserve(struct buffer *b, size_t n)
{
    check(b->len <= b->capacity);
    if (b->full || n > b->max - b->len || (n > b->capacity - b->len && !grow(b, b->len + n))) {
        b->full = true;
        return NULL;
    }
    if (b->data == NULL) /* no room was asked for: any address but NULL */
        return (uint8_t *)b;
    return b->data + b->len;
}

void buffer_commit(struct buffer *b, size_t n)
{
    check(n <= b->capacity - b->len);
    b->len += n;
}

bool buffer_put(struct buffer *b, struct span s)
{
    uint8_t *room = buffer_reserve(b, s.len);
    if (room == NULL)
        return false;
    if (s.len > 0) {
        memcpy(room, s.data, s.len);
        buffer_commit(b, s.len);
    }
    return true;
}

bool buffer_put_text(struct buffer *b, const char *text)
{
    return buffer_put(b, span_text(text));
}

static bool put_little_endian(struct buffer *b, uint64_t v, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    return buffer_put(b, span_of(bytes, n));
}

bool buffer_put_u8(struct buffer *b, uint8_t v)
{
    return put_little_endian(b, v, 1);
}

bool buffer_put_u16(struct buffer *b, uint16_t v)
{
    return put_little_endian(b, v, 2);
}

bool buffer_put_u32(struct buffer *b, uint32_t v)
{
    return put_little_endian(b, v, 4);
}

bool buffer_put_u64(struct buffer *b, uint64_t v)
{
    return put_little_endian(b, v, 8);
}

/* Most texts are short: the second pass is for the others. vsnprintf wants a byte more for its
   NUL than the buffer may hold, so the text is made beside it. */
bool buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    char small[256];
    va_start(args, format);
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    check(len >= 0);
    size_t need = (size_t)len;
    if (need < sizeof small)
        return buffer_put(b, span_of(small, need));
    if (b->full || need > b->max - b->len) {
        b->full = true;
        return false;
    }
    char *large = malloc(need + 1);
    if (large == NULL) {
        b->full = true;
        return false;
    }
    va_start(args, format);
    (void)vsnprintf(large, need + 1, format, args);
    va_end(args);
    bool done = buffer_put(b, span_of(large, need));
    free(large);
    return done;
}

void buffer_consume(struct buffer *b, size_t n)
{
    check(n <= b->len);
    if (n == 0)
        return;
    b->len -= n;
    memmove(b->data, b->data + n, b->len);
}

struct span buffer_span(const struct buffer *b)
{
    return (struct span){b->data, b->len};
}
