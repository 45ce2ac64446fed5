/*
 * table: see table.h.
 */
#include "config/table.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

struct table {
    _Atomic uint32_t references;
};

struct table *table_retain(struct table *t)
{
    atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
    return t;
}

void table_release(struct table *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) > 1)
        return;
    free(t);
}
