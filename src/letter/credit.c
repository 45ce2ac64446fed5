/*
 * credit: see letter.h.
 */
#include "letter/letter.h"

void credit_init(struct credit *c, uint32_t amount)
{
    *c = (struct credit){.left = amount};
    list_init(&c->waiters);
}

bool credit_take(struct credit *c)
{
    if (c->left == 0 || !list_empty(&c->waiters))
        return false;
    c->left--;
    return true;
}

/* A waiter may give its credit back from within on_credit: the outermost call serves the next one,
   so that the stack stays flat however many waiters do so. */
void credit_give(struct credit *c)
{
    check(c->left < UINT32_MAX);
    c->left++;
    if (c->is_serving)
        return;
    c->is_serving = true;
    while (c->left > 0 && !list_empty(&c->waiters)) {
        struct list *node = list_take_first(&c->waiters);
        struct credit_waiter *w = container_of(node, struct credit_waiter, node);
        c->left--;
        w->on_credit(w->context);
    }
    c->is_serving = false;
}

void credit_wait(struct credit *c, struct credit_waiter *w)
{
    /* With a credit free and nobody to serve the waiters it would wait for ever. */
    check(c->left == 0 || c->is_serving);
    check(list_empty(&w->node));
    list_append(&c->waiters, &w->node);
}

void credit_waiter_init(struct credit_waiter *w, void (*on_credit)(void *context), void *context)
{
    *w = (struct credit_waiter){.on_credit = on_credit, .context = context};
    list_init(&w->node);
}

void credit_cancel(struct credit_waiter *w)
{
    list_remove(&w->node);
}
