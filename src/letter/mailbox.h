/*
 * mailbox: where the letters for one actor lie until it takes them.
 *
 * Owns nothing: the letters are linked through themselves, so a push never fails. Any number of
 * threads push, whole chains at a time, by one compare-and-swap; the owner takes all of them by one
 * exchange. There is no element-wise pop, hence no ABA problem. Letters of one sender keep their
 * order.
 */
#ifndef LETTER_MAILBOX_H
#define LETTER_MAILBOX_H

#include <stdatomic.h>

#include "letter/letter.h"

struct mailbox {
    _Atomic(struct letter *) newest;
};

void mailbox_init(struct mailbox *m);

/* Any thread. The chain is linked from its newest letter to its oldest. True when the mailbox was
   empty: then it is up to this caller to wake the owner. */
bool mailbox_push(struct mailbox *m, struct letter *newest, struct letter *oldest);

/* The owner: takes all letters, linked from the oldest to the newest; NULL when there are none. */
struct letter *mailbox_take(struct mailbox *m);

/* The owner: a glance; a letter may arrive right after it. */
bool mailbox_is_empty(const struct mailbox *m);

#endif
