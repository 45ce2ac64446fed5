/*
 * loop: loops, timers and threads of the simulated world; see os/loop.h and os/world.h.
 */
#include "os/loop.h"

#include <stdlib.h>
#include <string.h>

#include "sim/inside.h"

#define WALL_MS_FIRST INT64_C(1795000000000) /* November 2026 */

static void read_clocks(struct loop *l)
{
    const struct world *w = l->world;
    l->mono_us = w->sim->now_us + w->mono_offset_us;
    l->wall_ms = WALL_MS_FIRST + w->sim->now_us / 1000 + w->machine->wall_offset_ms;
}

enum fault loop_new(struct world *w, struct loop **loop_out)
{
    struct loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return FAULT_NO_MEMORY;
    l->world = w;
    l->run_at_us = SIM_NEVER;
    heap_init(&l->timers);
    list_init(&l->ready);
    list_init(&l->sockets);
    list_init(&l->dead);
    list_append(&w->loops, &l->node);
    read_clocks(l);
    *loop_out = l;
    return FAULT_NONE;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    check(l->thread == NULL && !l->is_dispatching);
    check(list_empty(&l->sockets) && heap_first(&l->timers) == NULL);
    heap_fini(&l->timers);
    list_remove(&l->node);
    free(l);
}

static int64_t timers_due_us(const struct loop *l)
{
    const struct heap_node *first = heap_first(&l->timers);
    return first == NULL ? SIM_NEVER : first->key - l->world->mono_offset_us;
}

/* When the thread's next turn is: at once when it has more to do, else when something comes. */
static void plan_next_turn(struct loop *l, int64_t began_us)
{
    struct sim *s = l->world->sim;
    if (!l->may_sleep || !list_empty(&l->ready))
        loop_run_by(l, s->now_us);
    loop_run_by(l, timers_due_us(l));
    if (random_chance(&s->random, s->options.spurious_wake))
        loop_run_by(l, s->now_us + random_between(&s->random, 0, 2000));
    /* Time on the disk is time in which letters gather. */
    l->free_us = began_us + l->busy_us;
    if (random_chance(&s->random, s->options.stall))
        l->free_us += random_between(&s->random, 0, s->options.stall_us_max);
    if (l->run_at_us < l->free_us)
        l->run_at_us = l->free_us;
}

void loop_run_by(struct loop *l, int64_t at_us)
{
    if (at_us < l->free_us)
        at_us = l->free_us;
    if (at_us < l->run_at_us)
        l->run_at_us = at_us;
}

void loop_turn(struct loop *l)
{
    struct sim *s = l->world->sim;
    struct thread *t = l->thread;
    int64_t began_us = s->now_us;
    s->turns++;
    sim_note(s, NOTE_TURN, s->turns);
    l->run_at_us = SIM_NEVER;
    l->busy_us = 0;
    l->may_sleep = true;
    read_clocks(l); /* as the real loop does when its wait is over; letters come before the poll */
    s->running = l;
    bool goes_on = t->turn(t->context);
    s->running = NULL;
    s->now_us += random_between(&s->random, 0, s->options.turn_us_max);
    t->is_finished = !goes_on;
    plan_next_turn(l, began_us);
}

static void dispatch_timers(struct loop *l)
{
    for (uint32_t left = l->timers.count; left > 0; left--) {
        struct heap_node *first = heap_first(&l->timers);
        if (first == NULL || first->key > l->mono_us)
            return;
        heap_remove(&l->timers, first);
        struct timer *t = container_of(first, struct timer, node);
        sim_note(l->world->sim, NOTE_TIMER, (uint64_t)first->key);
        t->on_timer(t->context);
    }
}

void loop_poll(struct loop *l, bool may_sleep)
{
    struct sim *s = l->world->sim;
    check(!l->is_dispatching);
    l->may_sleep = may_sleep;
    l->counters.waits++;
    read_clocks(l);
    l->is_dispatching = true;
    if (l->on_tick != NULL)
        l->on_tick(l->tick_context);
    bool timers_first = random_chance(&s->random, 500000);
    if (timers_first)
        dispatch_timers(l);
    network_dispatch(l);
    if (!timers_first)
        dispatch_timers(l);
    l->is_dispatching = false;
    network_bury(l);
}

bool loop_wake(struct loop *l)
{
    struct sim *s = l->world->sim;
    if (l->world->death != SIM_ALIVE || l->run_at_us <= s->now_us)
        return false;
    bool was_asleep = l != s->running;
    sim_note(s, NOTE_WAKE, was_asleep);
    l->counters.wakes += was_asleep;
    loop_run_by(l, sim_effect_us(s) + random_between(&s->random, 0, s->options.wake_us_max));
    return was_asleep;
}

void loop_on_tick(struct loop *l, void (*on_tick)(void *context), void *context)
{
    l->on_tick = on_tick;
    l->tick_context = context;
}

int64_t loop_mono_us(const struct loop *l)
{
    return l->mono_us;
}

int64_t loop_wall_ms(const struct loop *l)
{
    return l->wall_ms;
}

void loop_random(struct loop *l, void *bytes_out, size_t len)
{
    random_bytes(&l->world->sim->random, bytes_out, len);
}

void loop_counters(const struct loop *l, struct loop_counters *counters_out)
{
    *counters_out = l->counters;
}

void timer_init(struct timer *t, void (*on_timer)(void *context), void *context)
{
    heap_node_init(&t->node);
    t->on_timer = on_timer;
    t->context = context;
}

enum fault timer_set(struct loop *l, struct timer *t, int64_t at_us)
{
    if (heap_contains(&t->node))
        heap_change(&l->timers, &t->node, at_us);
    else if (!heap_insert(&l->timers, &t->node, at_us))
        return FAULT_NO_MEMORY;
    loop_run_by(l, timers_due_us(l));
    return FAULT_NONE;
}

void timer_cancel(struct loop *l, struct timer *t)
{
    heap_remove(&l->timers, &t->node);
}

enum fault thread_start(struct world *w, const char *name, struct loop *loop, thread_turn turn,
                        void *context, struct thread **thread_out)
{
    struct sim *s = w->sim;
    check(loop->thread == NULL && loop->world == w && strlen(name) <= 15);
    struct thread *t = calloc(1, sizeof *t);
    if (t == NULL)
        return FAULT_NO_MEMORY;
    *t = (struct thread){.world = w, .loop = loop, .turn = turn, .context = context};
    loop->thread = t;
    w->thread_count++;
    loop_run_by(loop, s->now_us + random_between(&s->random, 0, s->options.wake_us_max));
    *thread_out = t;
    return FAULT_NONE;
}

void thread_join(struct thread *t)
{
    t->loop->thread = NULL;
    t->world->thread_count--;
    free(t);
}
