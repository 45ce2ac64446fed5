/*
 * arena: memory that is given back all at once, with a hard end.
 *
 * One per session, one per message. arena_alloc gives zeroed memory aligned to 16, or NULL once
 * `max` would be passed; from then on the arena is `full` (sticky until arena_reset) and the caller
 * answers 452 or 552 once, instead of checking each allocation for another reason.
 * Holds no memory before the first allocation. Blocks grow from 512 bytes, so that an idle session
 * stays small.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/span.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used;
    size_t max;
    bool full;
};

void arena_init(struct arena *a, size_t max);
void arena_fini(struct arena *a);  /* frees all that was allocated from it */
void arena_reset(struct arena *a); /* the same, and ready for use again */
void *arena_alloc(struct arena *a, size_t size);
/* A copy; its data is NULL when the arena is full and s was not empty. */
struct span arena_copy(struct arena *a, struct span s);
char *arena_text(struct arena *a, struct span s); /* NUL-terminated copy, or NULL */
struct span arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
