/*
 * heap: an intrusive binary min-heap over int64 keys (timers, due messages).
 *
 * Owns its array of pointers (8 bytes an element); the nodes belong to the objects around them.
 * Insert, remove and change are O(log n). The order of equal keys is not promised.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_NOWHERE UINT32_MAX

struct heap_node {
    int64_t key;
    uint32_t index; /* HEAP_NOWHERE while in no heap */
};

struct heap {
    struct heap_node **nodes;
    uint32_t count;
    uint32_t capacity;
};

void heap_init(struct heap *h);
void heap_fini(struct heap *h); /* frees the array; nodes are left as they are */
void heap_node_init(struct heap_node *n);
bool heap_contains(const struct heap_node *n); /* n is in some heap */

/* False when memory is short; then nothing has changed. n must be in no heap. */
__attribute__((warn_unused_result)) bool heap_insert(struct heap *h, struct heap_node *n,
                                                     int64_t key);
void heap_change(struct heap *h, struct heap_node *n, int64_t key); /* n is in h */
void heap_remove(struct heap *h, struct heap_node *n);              /* no-op when n is in no heap */
struct heap_node *heap_first(const struct heap *h);                 /* smallest key, or NULL */

#endif
