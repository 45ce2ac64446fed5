/*
 * schedule: see schedule.h.
 */
#include "queue/schedule.h"

#include "base/check.h"
#include "queue/retry.h"

void schedule_init(struct schedule *s)
{
    heap_init(&s->heap);
}

void schedule_fini(struct schedule *s)
{
    check(s->heap.count == 0);
    heap_fini(&s->heap);
}

bool schedule_add(struct schedule *s, struct message *m, int64_t at_ms)
{
    return heap_insert(&s->heap, &m->due, at_ms);
}

void schedule_remove(struct schedule *s, struct message *m)
{
    heap_remove(&s->heap, &m->due);
}

void schedule_by(struct schedule *s, struct message *m, int64_t at_ms)
{
    if (at_ms < m->due.key)
        heap_change(&s->heap, &m->due, at_ms);
}

void schedule_set(struct schedule *s, struct message *m, int64_t at_ms)
{
    heap_change(&s->heap, &m->due, at_ms);
}

struct message *schedule_due(const struct schedule *s, int64_t now_ms)
{
    struct heap_node *first = heap_first(&s->heap);
    if (first == NULL || first->key > now_ms)
        return NULL;
    return container_of(first, struct message, due);
}

int64_t schedule_first_ms(const struct schedule *s)
{
    const struct heap_node *first = heap_first(&s->heap);
    return first == NULL ? RETRY_NEVER : first->key;
}
