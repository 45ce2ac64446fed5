/*
 * actor: see actor.h.
 */
#include "letter/actor.h"

#include <stdlib.h>

#include "letter/mailbox.h"

/* What this turn has written to one receiver, newest first, as mailbox_push wants it. */
struct outbox {
    struct actor *to;
    struct letter *newest;
    struct letter *oldest;
};

/* One writer, many readers: a plain load and store instead of a locked addition. */
struct counters {
    _Atomic uint64_t turns, letters_sent, letters_taken, wakeups_sent, polls_slept;
};

struct actor {
    const struct actor_role *role;
    void *self;
    struct world *world;
    struct loop *loop;
    struct log *log;
    struct thread *thread;
    uint32_t letters_max; /* of one turn; 0: all */
    bool is_stopping;
    uint32_t outbox_count;
    struct letter *taken; /* out of the mailbox, not yet handed to on_letter; oldest first */
    struct counters counters;
    struct mailbox mailbox;
    struct outbox outboxes[ACTOR_PEERS_MAX]; /* the receivers of this turn, in order of first use */
};

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + n, memory_order_relaxed);
}

static void on_tick(void *context)
{
    struct actor *a = context;
    log_set_time(a->log, loop_wall_ms(a->loop));
}

enum fault actor_new(struct world *w, const struct actor_role *role, void *self,
                     uint32_t max_letters, struct log *log, struct actor **actor_out)
{
    check(role->on_letter != NULL);
    struct actor *a = calloc(1, sizeof *a);
    if (a == NULL)
        return FAULT_NO_MEMORY;
    a->role = role;
    a->self = self;
    a->world = w;
    a->log = log;
    a->letters_max = max_letters == 0 ? UINT32_MAX : max_letters;
    mailbox_init(&a->mailbox);
    enum fault fault = loop_new(w, &a->loop);
    if (fault != FAULT_NONE) {
        free(a);
        return fault;
    }
    if (log != NULL) {
        on_tick(a);
        loop_on_tick(a->loop, on_tick, a);
    }
    *actor_out = a;
    return FAULT_NONE;
}

/* Hands on at most letters_max letters. The next letter is read before the handler may reuse the
   one in hand. */
static uint32_t hand_out_letters(struct actor *a)
{
    uint32_t handed = 0;
    while (handed < a->letters_max) {
        if (a->taken == NULL)
            a->taken = handed == 0 ? mailbox_take(&a->mailbox) : NULL;
        struct letter *letter = a->taken;
        if (letter == NULL)
            break;
        a->taken = letter->next;
        letter->next = NULL;
        handed++;
        if (letter->is_answer && letter->credit != NULL) {
            struct credit *credit = letter->credit;
            letter->credit = NULL;
            credit_give(credit);
        }
        a->role->on_letter(a->self, letter);
    }
    return handed;
}

/* It may sleep only when this turn has seen no letter: what a letter started is finished by on_turn
   and leaves with the flush, both after the poll. */
static bool turn(void *context)
{
    struct actor *a = context;
    uint32_t handed = hand_out_letters(a);
    bool may_sleep = handed == 0 && a->taken == NULL && a->outbox_count == 0 && !a->is_stopping &&
                     mailbox_is_empty(&a->mailbox);
    count(&a->counters.turns, 1);
    count(&a->counters.letters_taken, handed);
    count(&a->counters.polls_slept, may_sleep);
    loop_poll(a->loop, may_sleep);
    if (a->role->on_turn != NULL)
        a->role->on_turn(a->self);
    actor_flush(a);
    if (a->log != NULL)
        log_flush(a->log);
    return !a->is_stopping;
}

enum fault actor_start(struct actor *a)
{
    check(a->thread == NULL);
    return thread_start(a->world, a->role->name, a->loop, turn, a, &a->thread);
}

void actor_stop(struct actor *a)
{
    a->is_stopping = true;
}

void actor_join(struct actor *a)
{
    if (a->thread != NULL)
        thread_join(a->thread);
    a->thread = NULL;
}

void actor_free(struct actor *a)
{
    if (a == NULL)
        return;
    check(a->thread == NULL);
    loop_free(a->loop);
    free(a);
}

struct loop *actor_loop(struct actor *a)
{
    return a->loop;
}

struct log *actor_log(struct actor *a)
{
    return a->log;
}

struct world *actor_world(struct actor *a)
{
    return a->world;
}

/* A turn writes to few receivers, so looking through them is cheaper than any table. */
static struct outbox *outbox_to(struct actor *a, struct actor *to)
{
    for (uint32_t i = 0; i < a->outbox_count; i++)
        if (a->outboxes[i].to == to)
            return &a->outboxes[i];
    check(a->outbox_count < ACTOR_PEERS_MAX);
    struct outbox *o = &a->outboxes[a->outbox_count++];
    *o = (struct outbox){.to = to};
    return o;
}

static void put(struct actor *a, struct actor *to, struct letter *letter)
{
    struct outbox *o = outbox_to(a, to);
    letter->next = o->newest;
    o->newest = letter;
    if (o->oldest == NULL)
        o->oldest = letter;
    count(&a->counters.letters_sent, 1);
}

void letter_send(struct actor *from, struct actor *to, struct letter *letter, enum letter_type type,
                 struct credit *credit)
{
    check((unsigned)type < LETTER_COUNT);
    letter->from = from;
    letter->credit = credit;
    letter->type = type;
    letter->is_answer = false;
    put(from, to, letter);
}

void letter_answer(struct actor *from, struct letter *letter)
{
    check(!letter->is_answer);
    letter->is_answer = true;
    put(from, letter->from, letter);
}

void actor_flush(struct actor *a)
{
    uint32_t receivers = a->outbox_count;
    a->outbox_count = 0;
    for (uint32_t i = 0; i < receivers; i++) {
        struct outbox *o = &a->outboxes[i];
        bool was_empty = mailbox_push(&o->to->mailbox, o->newest, o->oldest);
        if (was_empty && loop_wake(o->to->loop))
            count(&a->counters.wakeups_sent, 1);
    }
}

void actor_counters(const struct actor *a, struct actor_counters *counters_out)
{
    const struct counters *c = &a->counters;
    counters_out->turns = atomic_load_explicit(&c->turns, memory_order_relaxed);
    counters_out->letters_sent = atomic_load_explicit(&c->letters_sent, memory_order_relaxed);
    counters_out->letters_taken = atomic_load_explicit(&c->letters_taken, memory_order_relaxed);
    counters_out->wakeups_sent = atomic_load_explicit(&c->wakeups_sent, memory_order_relaxed);
    counters_out->polls_slept = atomic_load_explicit(&c->polls_slept, memory_order_relaxed);
}
