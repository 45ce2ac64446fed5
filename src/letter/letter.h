/*
 * letter: the only way in which actors reach each other.
 *
 * A letter is a struct that begins with struct letter. It is a request whose memory belongs to its
 * sender; while it is under way it is lent, and its answer is the same letter coming back
 * (letter_answer). So an answer always has room, and no letter is ever dropped. How many requests
 * one actor may have open with another is bounded by a credit; without credit the sender waits
 * (credit_wait) and meanwhile stops reading its sockets.
 */
#ifndef LETTER_LETTER_H
#define LETTER_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct actor;
struct credit;

enum letter_type {
#define LETTER(name, from, to) LETTER_##name,
#include "letter/letter.def"
#undef LETTER
    LETTER_COUNT
};

struct letter {
    struct letter *next; /* owned by the mailbox or outbox that holds it */
    struct actor *from;  /* set by letter_send: where the answer goes */
    struct credit *credit;
    enum letter_type type;
    bool is_answer;
};

const char *letter_name(enum letter_type type);

/*
 * credit: how many more requests of one kind may be under way. Belongs to the sending actor.
 * Waiters are served first come, first served, one for each credit that comes back.
 */
struct credit {
    uint32_t left;
    bool is_serving; /* credit_give is handing credits to waiters further up the stack */
    struct list waiters;
};

struct credit_waiter {
    struct list node;
    /* A credit has been taken for the waiter: send now, or give it back. */
    void (*on_credit)(void *context);
    void *context;
};

void credit_init(struct credit *c, uint32_t amount);
bool credit_take(struct credit *c); /* false: none left, or others wait before us */
void credit_give(struct credit *c); /* hands it to the first waiter, if any */
/* Only after credit_take answered false. on_credit comes from credit_give, never from here. */
void credit_wait(struct credit *c, struct credit_waiter *w);
void credit_waiter_init(struct credit_waiter *w, void (*on_credit)(void *context), void *context);
void credit_cancel(struct credit_waiter *w); /* waits no longer; no-op when it did not */

#endif
