/*
 * id: the name of a message, for ever: a UUIDv7 (RFC 9562 5.7), printed as 26 characters of
 * Crockford's base 32.
 *
 * An id source gives strictly rising ids even when the clock stands still or goes back: it keeps
 * the highest millisecond it has used and counts on within it.
 * The printed form sorts as the id does. One source per thread; the random part keeps sources
 * apart.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <string.h>

#include "base/span.h"

#define ID_TEXT_LEN 26

struct id {
    uint8_t bytes[16];
};

struct id_source {
    uint64_t last_ms;
    uint16_t counter;
};

/* wall_ms: now, Unix milliseconds. random: 10 fresh random bytes. */
struct id id_next(struct id_source *source, uint64_t wall_ms, const uint8_t random[10]);
void id_format(struct id id, char text_out[ID_TEXT_LEN + 1]); /* NUL-terminated, upper case */
/* Exactly 26 characters of id_format's alphabet, in any case; *id_out is set only on true. */
__attribute__((warn_unused_result)) bool id_parse(struct span text, struct id *id_out);
int id_compare(struct id a, struct id b);
uint64_t id_wall_ms(struct id id); /* the millisecond it was made in */

static inline bool id_equal(struct id a, struct id b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

/* For tables of ids that we made ourselves, with random bits in them: mixed, and no more. It costs
   a tenth of map_hash, whose keys are chosen by an enemy. */
static inline uint64_t id_hash(struct id id)
{
    uint64_t high, low;
    memcpy(&high, id.bytes, sizeof high);
    memcpy(&low, id.bytes + sizeof high, sizeof low);
    uint64_t x = high * UINT64_C(0x9e3779b97f4a7c15) ^ low;
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static inline struct span id_span(const struct id *id)
{
    return span_of(id->bytes, sizeof id->bytes);
}

#endif
