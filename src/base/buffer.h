/*
 * buffer: a growing run of bytes with a hard end.
 *
 * Owns its memory. `max` is a promise: a put that would pass it changes nothing, sets `full`
 * (sticky until buffer_reset) and answers false; the caller turns that into 452, 552 or a closed
 * connection. No memory is held before the first put nor after buffer_fini.
 * Integers are little-endian. One thread at a time.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/span.h"

struct buffer {
    uint8_t *data;
    size_t len;
    size_t capacity;
    size_t max;
    bool full;
};

void buffer_init(struct buffer *b, size_t max);
void buffer_fini(struct buffer *b);  /* frees; the buffer may be used again after buffer_init */
void buffer_reset(struct buffer *b); /* empty and not full; keeps its memory */
void buffer_free_memory(struct buffer *b); /* the same, but gives its memory back; keeps max */

bool buffer_put(struct buffer *b, struct span s);
bool buffer_put_text(struct buffer *b, const char *text);
bool buffer_put_u8(struct buffer *b, uint8_t v);
bool buffer_put_u16(struct buffer *b, uint16_t v);
bool buffer_put_u32(struct buffer *b, uint32_t v);
bool buffer_put_u64(struct buffer *b, uint64_t v);
bool buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for exactly `n` more bytes (uninitialised), or NULL and full. buffer_commit says how many
   of them were written. */
uint8_t *buffer_reserve(struct buffer *b, size_t n);
void buffer_commit(struct buffer *b, size_t n);

/* Makes the memory exactly `capacity` bytes (from len to max): for a length that is known
   beforehand, and to give back what is not needed. False: short of memory, nothing has changed. */
bool buffer_fit(struct buffer *b, size_t capacity);

/* Gives bytes and memory away; `b` is empty and keeps its max. */
struct buffer buffer_take(struct buffer *b);

/* Drops the first n bytes (n <= len) and moves the rest to the front. */
void buffer_consume(struct buffer *b, size_t n);

struct span buffer_span(const struct buffer *b);

#endif
