/*
 * id: see id.h.
 *
 * Bits, from the first: 48 of milliseconds, 4 of version (7), 12 of counter, 2 of variant (binary
 * 10), 62 random (RFC 9562 5.7, method 1 of 6.2: the counter fills rand_a). The text form is the
 * same 128 bits, 5 a character, with two zero bits in front.
 */
#include "base/id.h"

#include <string.h>

#define COUNTER_MAX      0xfff
#define MILLISECONDS_MAX ((UINT64_C(1) << 48) - 1)

/* Half of the counter's room stays for counting, so that a burst within one millisecond does not
   run ahead of the clock. */
#define COUNTER_SEED_MASK 0x7ff

static void advance(struct id_source *source, uint64_t wall_ms, uint16_t seed)
{
    if (wall_ms > MILLISECONDS_MAX)
        wall_ms = MILLISECONDS_MAX;
    if (wall_ms > source->last_ms) {
        source->last_ms = wall_ms;
        source->counter = seed & COUNTER_SEED_MASK;
    } else if (source->counter < COUNTER_MAX) {
        source->counter++;
    } else {
        source->last_ms++;
        source->counter = seed & COUNTER_SEED_MASK;
    }
}

struct id id_next(struct id_source *source, uint64_t wall_ms, const uint8_t random[10])
{
    struct id id;
    advance(source, wall_ms, (uint16_t)(random[8] << 8 | random[9]));
    for (size_t i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(source->last_ms >> (40 - 8 * i));
    id.bytes[6] = (uint8_t)(0x70 | source->counter >> 8);
    id.bytes[7] = (uint8_t)source->counter;
    memcpy(id.bytes + 8, random, 8);
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void id_format(struct id id, char text_out[ID_TEXT_LEN + 1])
{
    uint32_t bits = 0; /* the low `count` bits of it are not yet printed */
    unsigned count = 2;
    size_t at = 0;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        bits = bits << 8 | id.bytes[i];
        count += 8;
        while (count >= 5) {
            count -= 5;
            text_out[at++] = alphabet[bits >> count & 31];
        }
        bits &= (1U << count) - 1;
    }
    text_out[at] = '\0';
}

/* Value of a character, or -1. Only the 32 letters and digits that id_format writes: one id has
   one spelling, but for case. */
static int digit_value(uint8_t byte)
{
    if (byte >= 'a' && byte <= 'z')
        byte = (uint8_t)(byte - ('a' - 'A'));
    const char *found = byte == 0 ? NULL : strchr(alphabet, byte);
    return found == NULL ? -1 : (int)(found - alphabet);
}

bool id_parse(struct span text, struct id *id_out)
{
    struct id id;
    uint32_t bits = 0;
    unsigned count = 0;
    size_t at = 0;
    if (text.len != ID_TEXT_LEN)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = digit_value(text.data[i]);
        if (value < 0 || (i == 0 && value > 7)) /* 130 bits: the first two must be zero */
            return false;
        bits = bits << 5 | (uint32_t)value;
        count += i == 0 ? 3 : 5;
        if (count >= 8) {
            count -= 8;
            id.bytes[at++] = (uint8_t)(bits >> count);
            bits &= (1U << count) - 1;
        }
    }
    *id_out = id;
    return true;
}

int id_compare(struct id a, struct id b)
{
    int order = memcmp(a.bytes, b.bytes, sizeof a.bytes);
    return (order > 0) - (order < 0);
}

uint64_t id_wall_ms(struct id id)
{
    uint64_t ms = 0;
    for (size_t i = 0; i < 6; i++)
        ms = ms << 8 | id.bytes[i];
    return ms;
}
