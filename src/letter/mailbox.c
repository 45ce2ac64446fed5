/*
 * mailbox: see mailbox.h.
 */
#include "letter/mailbox.h"

void mailbox_init(struct mailbox *m)
{
    atomic_init(&m->newest, NULL);
}

/* Sequentially consistent: the push must be seen before the sender looks whether the owner's loop
   sleeps (loop_wake), and the owner clears its loop's state before it takes (loop_poll). */
bool mailbox_push(struct mailbox *m, struct letter *newest, struct letter *oldest)
{
    struct letter *before = atomic_load_explicit(&m->newest, memory_order_relaxed);
    do
        oldest->next = before;
    while (!atomic_compare_exchange_weak(&m->newest, &before, newest));
    return before == NULL;
}

struct letter *mailbox_take(struct mailbox *m)
{
    if (mailbox_is_empty(m))
        return NULL;
    struct letter *newest = atomic_exchange(&m->newest, NULL);
    struct letter *oldest = NULL;
    while (newest != NULL) {
        struct letter *older = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}

bool mailbox_is_empty(const struct mailbox *m)
{
    return atomic_load(&m->newest) == NULL;
}
