#include "idset.h"

#include <stdlib.h>
#include <string.h>

#include "arguments.h"

#define CAPACITY_FIRST 4096

static uint64_t mix(uint64_t hash, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* FNV-1a with a final avalanche, since the low bits choose the slot; 0 marks an empty slot. */
static uint64_t hash_of(const char *id, size_t id_length, const char *recipient)
{
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), id, id_length);

    if (recipient != NULL)
        hash = mix(mix(hash, " ", 1), recipient, strlen(recipient));
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    return hash == 0 ? 1 : hash;
}

static bool insert(struct idset *set, uint64_t hash)
{
    size_t mask = set->capacity - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        if (set->slots[i] == hash)
            return false;
        if (set->slots[i] == 0) {
            set->slots[i] = hash;
            set->used++;
            return true;
        }
    }
}

static void grow(struct idset *set)
{
    struct idset bigger = {.capacity = set->capacity == 0 ? CAPACITY_FIRST : set->capacity * 2};

    bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        die("out of memory for %zu ids", bigger.capacity);
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i] != 0)
            insert(&bigger, set->slots[i]);
    free(set->slots);
    *set = bigger;
}

bool idset_add(struct idset *set, const char *id, size_t id_length, const char *recipient)
{
    if (set->used >= set->capacity / 2)
        grow(set);
    return insert(set, hash_of(id, id_length, recipient));
}

void idset_fini(struct idset *set)
{
    free(set->slots);
    memset(set, 0, sizeof *set);
}
