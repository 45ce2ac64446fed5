/*
 * map: a hash table from byte strings to objects.
 *
 * The objects hold their own keys; `key_of` tells where. Owns its slots, never the objects. Open
 * addressing, 12 bytes a slot; the hash is keyed with a secret given at init, since keys come from
 * peers (hash flooding). One thread at a time. Grows by doubling, so a put is O(1) amortised.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/span.h"

struct map {
    void **values;
    uint32_t *hashes;
    size_t count;
    size_t capacity;
    uint64_t secret;
    struct span (*key_of)(const void *object);
};

void map_init(struct map *m, struct span (*key_of)(const void *object), uint64_t secret);
void map_fini(struct map *m);
void *map_get(const struct map *m, struct span key); /* NULL when absent */

/* Puts an object whose key is absent (checked). False when memory is short; then nothing has
   changed. */
__attribute__((warn_unused_result)) bool map_put(struct map *m, void *object);
void *map_remove(struct map *m, struct span key); /* what was there, or NULL */

/* Walks all objects in no particular order: `size_t at = 0; while ((o = map_next(&m, &at)))`. No
   change to the map meanwhile. */
void *map_next(const struct map *m, size_t *at);

/* Keyed 64-bit hash of bytes, for other tables. */
uint64_t map_hash(struct span key, uint64_t secret);

#endif
