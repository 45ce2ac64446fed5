/*
 * lease: how many users something has that is replaced while it is in use, such as the settings
 * that a session began with. The last one ends it. All of one lease's users are of one thread;
 * NULL counts nothing.
 */
#ifndef BASE_LEASE_H
#define BASE_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

struct lease {
    uint32_t users;
    bool is_over;                   /* who can end soon, should */
    void (*on_end)(struct lease *); /* may free it */
};

static inline void lease_take(struct lease *l)
{
    if (l != NULL)
        l->users++;
}

static inline void lease_give(struct lease *l)
{
    if (l == NULL)
        return;
    check(l->users > 0);
    if (--l->users == 0)
        l->on_end(l);
}

static inline bool lease_is_over(const struct lease *l)
{
    return l != NULL && l->is_over;
}

#endif
