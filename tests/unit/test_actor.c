/* actor: two real threads that write to each other. */
#include "letter/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/linux/real_world.h"

enum { ROUNDS = 5000, BATCH = 32, CREDITS = 4, WANTED = 3000 };

struct question {
    struct letter letter;
    uint64_t number, answer;
    bool is_open; /* until its answer is in on_letter, which is after its credit has returned */
};

/* Answers each question with its double, in order; some only at the end of the turn. */
struct answerer {
    struct actor *actor;
    uint64_t taken;
    bool in_order;
    bool late;
    struct letter *held;
    struct timer stop;
    struct letter *stop_letter;
};

static void answerer_on_letter(void *self, struct letter *letter)
{
    struct answerer *a = self;
    if (letter->type == LETTER_STOP) {
        letter_answer(a->actor, letter);
        actor_stop(a->actor);
        return;
    }
    struct question *q = (struct question *)letter;
    a->in_order = a->in_order && q->number == a->taken;
    a->taken++;
    q->answer = 2 * q->number;
    if (a->late) {
        letter->next = a->held;
        a->held = letter;
    } else {
        letter_answer(a->actor, letter);
    }
}

static void answerer_on_turn(void *self)
{
    struct answerer *a = self;
    while (a->held != NULL) {
        struct letter *l = a->held;
        a->held = l->next;
        letter_answer(a->actor, l);
    }
}

/* Asks `wanted` questions, at most as many at once as it has letters or credits. */
struct asker {
    struct actor *actor;
    struct actor *other;
    struct question questions[BATCH];
    struct letter stop;
    uint32_t count;
    uint64_t asked, answered, wanted, wrong;
    uint32_t open, open_max;
    struct credit credit;
    struct credit_waiter waiter;
    bool uses_credit;
    bool begun;
};

static void ask(struct asker *a, struct question *q)
{
    q->number = a->asked++;
    q->is_open = true;
    a->open++;
    a->open_max = a->open > a->open_max ? a->open : a->open_max;
    letter_send(a->actor, a->other, &q->letter, LETTER_FETCH, a->uses_credit ? &a->credit : NULL);
}

static void asker_on_credit(void *context)
{
    struct asker *a = context;
    struct question *q = NULL;
    for (uint32_t i = 0; i < a->count && q == NULL; i++)
        if (!a->questions[i].is_open)
            q = &a->questions[i];
    if (q == NULL || a->asked >= a->wanted) {
        credit_give(&a->credit);
        return;
    }
    ask(a, q);
    if (a->asked < a->wanted)
        credit_wait(&a->credit, &a->waiter);
}

static void asker_on_letter(void *self, struct letter *letter)
{
    struct asker *a = self;
    if (letter->type == LETTER_STOP) {
        actor_stop(a->actor);
        return;
    }
    struct question *q = (struct question *)letter;
    assert_true(letter->is_answer);
    assert_null(letter->credit);
    q->is_open = false;
    a->open--;
    a->answered++;
    a->wrong += q->answer != 2 * q->number;
    if (!a->uses_credit && a->asked < a->wanted)
        ask(a, q);
    if (a->answered == a->wanted)
        letter_send(a->actor, a->other, &a->stop, LETTER_STOP, NULL);
}

static void asker_on_turn(void *self)
{
    struct asker *a = self;
    if (a->begun)
        return;
    a->begun = true;
    if (!a->uses_credit) {
        for (uint32_t i = 0; i < a->count; i++)
            ask(a, &a->questions[i]);
        return;
    }
    for (uint32_t i = 0; i < a->count && credit_take(&a->credit); i++)
        ask(a, &a->questions[i]);
    credit_wait(&a->credit, &a->waiter);
}

static const struct actor_role answerer_role = {"answerer", answerer_on_letter, NULL};
static const struct actor_role late_role = {"late", answerer_on_letter, answerer_on_turn};
static const struct actor_role asker_role = {"asker", asker_on_letter, asker_on_turn};

struct pair {
    struct world *world;
    struct answerer answerer;
    struct asker asker;
};

static void run_pair(struct pair *p, bool late, uint32_t max_letters)
{
    const struct actor_role *role = late ? &late_role : &answerer_role;
    p->answerer = (struct answerer){.in_order = true, .late = late};
    assert_int_equal(world_new_real(&p->world), FAULT_NONE);
    assert_int_equal(actor_new(p->world, role, &p->answerer, max_letters, NULL, &p->answerer.actor),
                     FAULT_NONE);
    assert_int_equal(
        actor_new(p->world, &asker_role, &p->asker, max_letters, NULL, &p->asker.actor),
        FAULT_NONE);
    p->asker.other = p->answerer.actor;
    assert_int_equal(actor_start(p->answerer.actor), FAULT_NONE);
    /* The first turn may sleep, since nothing has happened: a wake-up before the start counts. */
    loop_wake(actor_loop(p->asker.actor));
    assert_int_equal(actor_start(p->asker.actor), FAULT_NONE);
    actor_join(p->asker.actor);
    actor_join(p->answerer.actor);
    assert_int_equal(p->asker.answered, p->asker.wanted);
    assert_int_equal(p->asker.wrong, 0);
    assert_int_equal(p->answerer.taken, p->asker.wanted);
}

static void end_pair(struct pair *p)
{
    actor_free(p->asker.actor);
    actor_free(p->answerer.actor);
    world_free_real(p->world);
    free(p);
}

static struct pair *new_pair(uint32_t letters, uint64_t wanted)
{
    struct pair *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->asker.count = letters;
    p->asker.wanted = wanted;
    return p;
}

static void ping_pong(void **state)
{
    (void)state;
    struct pair *p = new_pair(1, ROUNDS);
    run_pair(p, false, 0);
    assert_true(p->answerer.in_order);
    struct actor_counters c;
    actor_counters(p->answerer.actor, &c);
    assert_int_equal(c.letters_taken, ROUNDS + 1);
    assert_int_equal(c.letters_sent, ROUNDS + 1);
    assert_true(c.wakeups_sent <= c.letters_sent);
    assert_true(c.turns >= ROUNDS);
    end_pair(p);
}

static void letters_travel_in_batches(void **state)
{
    (void)state;
    struct pair *p = new_pair(BATCH, (uint64_t)ROUNDS * BATCH);
    run_pair(p, false, 0);
    assert_true(p->answerer.in_order);
    assert_int_equal(p->asker.open_max, BATCH);
    struct actor_counters c;
    actor_counters(p->asker.actor, &c);
    assert_true(c.wakeups_sent <= c.turns);
    assert_true(c.wakeups_sent < c.letters_sent / 4);
    end_pair(p);
}

/* A mailbox of one: a turn takes one letter and never sleeps while others lie there. */
static void one_letter_a_turn(void **state)
{
    (void)state;
    struct pair *p = new_pair(BATCH, 2000);
    run_pair(p, false, 1);
    assert_true(p->answerer.in_order);
    struct actor_counters c;
    actor_counters(p->answerer.actor, &c);
    assert_true(c.turns >= c.letters_taken);
    end_pair(p);
}

/* Answers that only on_turn writes must leave before the actor sleeps. */
static void answers_of_on_turn_leave(void **state)
{
    (void)state;
    struct pair *p = new_pair(3, 2000);
    run_pair(p, true, 0);
    end_pair(p);
}

static void credits_bound_what_is_open(void **state)
{
    (void)state;
    struct pair *p = new_pair(BATCH, WANTED);
    p->asker.uses_credit = true;
    credit_init(&p->asker.credit, CREDITS);
    credit_waiter_init(&p->asker.waiter, asker_on_credit, &p->asker);
    run_pair(p, false, 0);
    assert_int_equal(p->asker.asked, WANTED);
    /* A credit comes back just before its letter does. */
    assert_in_range(p->asker.open_max, CREDITS, CREDITS + 1);
    assert_int_equal(p->asker.credit.left, CREDITS);
    end_pair(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ping_pong),
        cmocka_unit_test(letters_travel_in_batches),
        cmocka_unit_test(one_letter_a_turn),
        cmocka_unit_test(answers_of_on_turn_leave),
        cmocka_unit_test(credits_bound_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
