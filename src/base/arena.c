/*
 * arena: see arena.h.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define ALIGNMENT     16
#define BLOCK_FIRST   512
#define BLOCK_LARGEST (64 * 1024)

/* `size` counts the header too, so that a block is what malloc is asked for. */
struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    size_t unused_; /* keeps the data that follows aligned */
};

_Static_assert(sizeof(struct arena_block) % ALIGNMENT == 0, "data after the header is aligned");

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_fini(struct arena *a)
{
    arena_reset(a);
    a->max = 0;
}

void arena_reset(struct arena *a)
{
    struct arena_block *block = a->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena_init(a, a->max);
}

/* A block in front of the others. A large request gets one of its own size, so that the sizes of
   the regular ones stay powers of two, which allocators serve best. */
static struct arena_block *add_block(struct arena *a, size_t need)
{
    size_t size = BLOCK_FIRST;
    if (a->blocks != NULL)
        size = a->blocks->size >= BLOCK_LARGEST / 2 ? BLOCK_LARGEST : a->blocks->size * 2;
    if (size < need + sizeof(struct arena_block))
        size = need + sizeof(struct arena_block);
    struct arena_block *block = malloc(size);
    if (block == NULL)
        return NULL;
    *block = (struct arena_block){.next = a->blocks, .size = size, .used = sizeof *block};
    a->blocks = block;
    return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t need = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (a->full || need < size || a->used > a->max || need > a->max - a->used) {
        a->full = true;
        return NULL;
    }
    struct arena_block *block = a->blocks;
    if (block == NULL || need > block->size - block->used)
        block = add_block(a, need);
    if (block == NULL) {
        a->full = true;
        return NULL;
    }
    void *memory = (char *)block + block->used;
    block->used += need;
    a->used += need;
    return memset(memory, 0, need);
}

struct span arena_copy(struct arena *a, struct span s)
{
    if (s.len == 0)
        return (struct span){NULL, 0};
    void *copy = arena_alloc(a, s.len);
    if (copy == NULL)
        return (struct span){NULL, 0};
    memcpy(copy, s.data, s.len);
    return span_of(copy, s.len);
}

char *arena_text(struct arena *a, struct span s)
{
    if (s.len == SIZE_MAX) {
        a->full = true;
        return NULL;
    }
    char *text = arena_alloc(a, s.len + 1);
    if (text != NULL && s.len > 0)
        memcpy(text, s.data, s.len);
    return text;
}

struct span arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(len >= 0);
    char *text = arena_alloc(a, (size_t)len + 1);
    if (text == NULL)
        return (struct span){NULL, 0};
    va_start(args, format);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return span_of(text, (size_t)len);
}
