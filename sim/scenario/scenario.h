/*
 * scenario: the whole life of one seed: a town, clients that send, an engine that dies and comes
 * back, faults of everything around it; then peace, until all is quiet; then the verdict.
 *
 * See docs/RELIABILITY.md for what is simulated and what is checked. A run depends on its seed
 * alone.
 */
#ifndef SIM_SCENARIO_SCENARIO_H
#define SIM_SCENARIO_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

struct verdict {
    bool is_broken;
    char sentence[512]; /* which promise, when it is */
    uint64_t hash;      /* of all events */
    uint64_t turns, lives;
    int64_t virtual_us;
};

struct verdict scenario_run(uint64_t seed, bool is_traced);

#endif
