/*
 * list: an intrusive, circular, doubly linked list. A node belongs to the object around it; the
 * list owns nothing.
 * A node that is in no list points to itself, so list_remove is safe to call twice.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_after(struct list *where, struct list *node)
{
    node->prev = where;
    node->next = where->next;
    where->next->prev = node;
    where->next = node;
}

static inline void list_append(struct list *l, struct list *node)
{
    list_insert_after(l->prev, node);
}

static inline void list_prepend(struct list *l, struct list *node)
{
    list_insert_after(l, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, taken off the list, or NULL. */
static inline struct list *list_take_first(struct list *l)
{
    struct list *first = l->next;
    if (first == l)
        return NULL;
    list_remove(first);
    return first;
}

/* Walks; the body may remove `node` itself, not its neighbours. */
#define list_each(node, l)                                                      \
    for (struct list *node = (l)->next, *node##_next = node->next; node != (l); \
         node = node##_next, node##_next = node->next)

#endif
