/* letter: names, credits and the mailbox itself. */
#include "letter/letter.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "letter/mailbox.h"

static void names(void **state)
{
    (void)state;
    assert_string_equal(letter_name(LETTER_APPEND), "APPEND");
    assert_string_equal(letter_name(LETTER_OPERATE), "OPERATE");
    assert_string_equal(letter_name(LETTER_COUNT), "UNKNOWN");
    for (int type = 0; type < (int)LETTER_COUNT; type++)
        assert_non_null(letter_name((enum letter_type)type));
}

static void credits_run_out(void **state)
{
    struct credit c;
    (void)state;
    credit_init(&c, 2);
    assert_true(credit_take(&c));
    assert_true(credit_take(&c));
    assert_false(credit_take(&c));
    credit_give(&c);
    assert_true(credit_take(&c));
    assert_false(credit_take(&c));
    credit_init(&c, 0);
    assert_false(credit_take(&c));
}

struct waiting {
    struct credit_waiter waiter;
    struct credit *credit;
    int served_as;
    int *served;
    bool gives_back;
    bool waits_again;
};

static void on_credit(void *context)
{
    struct waiting *w = context;
    w->served_as = ++*w->served;
    if (w->waits_again) {
        w->waits_again = false;
        credit_wait(w->credit, &w->waiter);
    }
    if (w->gives_back)
        credit_give(w->credit);
}

static void start_waiting(struct waiting *w, struct credit *c, int *served)
{
    *w = (struct waiting){.credit = c, .served = served};
    credit_waiter_init(&w->waiter, on_credit, w);
    credit_wait(c, &w->waiter);
}

static void first_come_first_served(void **state)
{
    struct credit c;
    struct waiting w[3];
    int served = 0;
    (void)state;
    credit_init(&c, 0);
    for (int i = 0; i < 3; i++)
        start_waiting(&w[i], &c, &served);
    assert_int_equal(served, 0);
    credit_give(&c);
    assert_int_equal(w[0].served_as, 1);
    assert_int_equal(served, 1);
    assert_false(credit_take(&c)); /* it went to the waiter */
    credit_cancel(&w[1].waiter);
    credit_cancel(&w[1].waiter); /* no-op */
    credit_give(&c);
    assert_int_equal(w[1].served_as, 0);
    assert_int_equal(w[2].served_as, 2);
    credit_give(&c);
    assert_int_equal(c.left, 1);
    assert_true(credit_take(&c));
}

/* 100,000 waiters that give back at once would overflow the stack if each served the next. */
static void giving_back_is_flat(void **state)
{
    enum { WAITERS = 100000 };
    static struct waiting w[WAITERS];
    struct credit c;
    int served = 0;
    (void)state;
    credit_init(&c, 0);
    for (int i = 0; i < WAITERS; i++) {
        start_waiting(&w[i], &c, &served);
        w[i].gives_back = true;
    }
    credit_give(&c);
    assert_int_equal(served, WAITERS);
    assert_int_equal(w[WAITERS - 1].served_as, WAITERS);
    assert_int_equal(c.left, 1);
}

static void waiting_again_in_the_call_back(void **state)
{
    struct credit c;
    struct waiting w;
    int served = 0;
    (void)state;
    credit_init(&c, 0);
    start_waiting(&w, &c, &served);
    w.waits_again = true;
    w.gives_back = true;
    credit_give(&c);
    assert_int_equal(served, 2);
    assert_int_equal(c.left, 1);
}

static void mailbox_keeps_the_order_of_chains(void **state)
{
    struct mailbox m;
    struct letter l[6] = {0};
    (void)state;
    mailbox_init(&m);
    assert_true(mailbox_is_empty(&m));
    assert_null(mailbox_take(&m));
    l[2].next = &l[1]; /* newest to oldest */
    l[1].next = &l[0];
    assert_true(mailbox_push(&m, &l[2], &l[0]));
    assert_false(mailbox_push(&m, &l[3], &l[3]));
    l[5].next = &l[4];
    assert_false(mailbox_push(&m, &l[5], &l[4]));
    struct letter *at = mailbox_take(&m);
    for (int i = 0; i < 6; i++, at = at->next)
        assert_ptr_equal(at, &l[i]);
    assert_null(at);
    assert_true(mailbox_is_empty(&m));
    assert_true(mailbox_push(&m, &l[0], &l[0]));
}

enum { PUSHERS = 4, LETTERS = 20000 };

struct numbered {
    struct letter letter;
    int pusher, number;
};

static struct numbered pool[PUSHERS][LETTERS];

struct pusher {
    struct mailbox *mailbox;
    int number;
    uint64_t empties;
};

static void *push_all(void *context)
{
    struct pusher *p = context;
    for (int i = 0; i < LETTERS;) {
        int chain = i % 3 + 1;
        struct letter *newest = NULL, *oldest = NULL;
        for (; chain > 0 && i < LETTERS; chain--, i++) {
            struct numbered *n = &pool[p->number][i];
            n->pusher = p->number;
            n->number = i;
            n->letter.next = newest;
            newest = &n->letter;
            if (oldest == NULL)
                oldest = newest;
        }
        p->empties += mailbox_push(p->mailbox, newest, oldest);
    }
    return NULL;
}

/* Nothing lost, nothing doubled, each sender's order kept; as many "was empty" as takes. */
static void many_threads_push(void **state)
{
    struct mailbox m;
    struct pusher pushers[PUSHERS];
    pthread_t threads[PUSHERS];
    int next[PUSHERS] = {0};
    int total = 0;
    uint64_t takes = 0, empties = 0;
    (void)state;
    mailbox_init(&m);
    for (int i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pusher){.mailbox = &m, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, push_all, &pushers[i]), 0);
    }
    while (total < PUSHERS * LETTERS) {
        struct letter *l = mailbox_take(&m);
        takes += l != NULL;
        for (; l != NULL; l = l->next, total++) {
            struct numbered *n = container_of(l, struct numbered, letter);
            assert_int_equal(n->number, next[n->pusher]++);
        }
    }
    for (int i = 0; i < PUSHERS; i++) {
        pthread_join(threads[i], NULL);
        empties += pushers[i].empties;
    }
    assert_true(mailbox_is_empty(&m));
    assert_int_equal(takes, empties);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(credits_run_out),
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(giving_back_is_flat),
        cmocka_unit_test(waiting_again_in_the_call_back),
        cmocka_unit_test(mailbox_keeps_the_order_of_chains),
        cmocka_unit_test(many_threads_push),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
