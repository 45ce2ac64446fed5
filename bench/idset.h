/*
 * idset: remembers which ids were seen, to count duplicates while the sink runs.
 *
 * It keeps a 64-bit hash of each, 8 bytes an id at a load of at most one half: two different ids
 * among a million are taken for one with a chance of 3 in 10^8. check_ids.py compares the texts.
 */
#ifndef BENCH_IDSET_H
#define BENCH_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct idset {
    uint64_t *slots;
    size_t capacity;
    size_t used;
};

/* A zeroed struct is an empty set. True if the id was not in it before; a recipient, unless NULL,
 * is part of the id. */
bool idset_add(struct idset *set, const char *id, size_t id_length, const char *recipient);

void idset_fini(struct idset *set);

#endif
