/*
 * random: the simulator's own generator (xoshiro256**, Blackman and Vigna 2018), from one seed.
 *
 * Everything that a seed decides comes from here, so that a run can be repeated on any machine.
 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_init(struct random *r, uint64_t seed);
uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t limit); /* 0 .. limit - 1; limit > 0 */
int64_t random_between(struct random *r, int64_t least, int64_t most); /* both included */
bool random_chance(struct random *r, uint32_t per_million);
void random_bytes(struct random *r, void *bytes_out, size_t len);

#endif
