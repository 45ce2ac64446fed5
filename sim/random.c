/*
 * random: see random.h.
 */
#include "sim/random.h"

#include <string.h>

#include "base/check.h"

/* splitmix64: spreads a small seed over the whole state. */
static uint64_t spread(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void random_init(struct random *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->state[i] = spread(&seed);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t random_next(struct random *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

/* The bias of the remainder is below 2^-32 for the small limits that are asked for. */
uint64_t random_below(struct random *r, uint64_t limit)
{
    check(limit > 0);
    return random_next(r) % limit;
}

int64_t random_between(struct random *r, int64_t least, int64_t most)
{
    check(least <= most);
    return least + (int64_t)random_below(r, (uint64_t)(most - least) + 1);
}

bool random_chance(struct random *r, uint32_t per_million)
{
    return per_million > 0 && random_below(r, 1000000) < per_million;
}

void random_bytes(struct random *r, void *bytes_out, size_t len)
{
    uint8_t *bytes = bytes_out;
    while (len > 0) {
        uint64_t value = random_next(r);
        size_t n = len < sizeof value ? len : sizeof value;
        memcpy(bytes, &value, n);
        bytes += n;
        len -= n;
    }
}
