/*
 * heap: see heap.h.
 */
#include "base/heap.h"

#include <stdlib.h>

#include "base/check.h"

#define CAPACITY_FIRST 16

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_fini(struct heap *h)
{
    free(h->nodes);
    heap_init(h);
}

void heap_node_init(struct heap_node *n)
{
    *n = (struct heap_node){.index = HEAP_NOWHERE};
}

bool heap_contains(const struct heap_node *n)
{
    return n->index != HEAP_NOWHERE;
}

static void place(struct heap *h, struct heap_node *n, uint32_t at)
{
    h->nodes[at] = n;
    n->index = at;
}

static void sift_up(struct heap *h, struct heap_node *n, uint32_t at)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (h->nodes[parent]->key <= n->key)
            break;
        place(h, h->nodes[parent], at);
        at = parent;
    }
    place(h, n, at);
}

static void sift_down(struct heap *h, struct heap_node *n, uint32_t at)
{
    for (;;) {
        size_t child = 2 * (size_t)at + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->nodes[child + 1]->key < h->nodes[child]->key)
            child++;
        if (n->key <= h->nodes[child]->key)
            break;
        place(h, h->nodes[child], at);
        at = (uint32_t)child;
    }
    place(h, n, at);
}

/* Puts n where its key belongs, from the place `at` that is free. */
static void settle(struct heap *h, struct heap_node *n, uint32_t at)
{
    if (at > 0 && h->nodes[(at - 1) / 2]->key > n->key)
        sift_up(h, n, at);
    else
        sift_down(h, n, at);
}

static bool grow(struct heap *h)
{
    if (h->capacity > HEAP_NOWHERE / 2)
        return false;
    uint32_t capacity = h->capacity == 0 ? CAPACITY_FIRST : h->capacity * 2;
    struct heap_node **nodes = realloc(h->nodes, capacity * sizeof(struct heap_node *));
    if (nodes == NULL)
        return false;
    h->nodes = nodes;
    h->capacity = capacity;
    return true;
}

bool heap_insert(struct heap *h, struct heap_node *n, int64_t key)
{
    check(!heap_contains(n));
    if (h->count == h->capacity && !grow(h))
        return false;
    n->key = key;
    sift_up(h, n, h->count++);
    return true;
}

void heap_change(struct heap *h, struct heap_node *n, int64_t key)
{
    check(n->index < h->count && h->nodes[n->index] == n);
    n->key = key;
    settle(h, n, n->index);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (!heap_contains(n))
        return;
    check(n->index < h->count && h->nodes[n->index] == n);
    uint32_t at = n->index;
    struct heap_node *last = h->nodes[--h->count];
    n->index = HEAP_NOWHERE;
    if (last != n)
        settle(h, last, at);
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->count == 0 ? NULL : h->nodes[0];
}
