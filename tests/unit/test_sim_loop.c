/* Loops of the simulated world: timers, wake-ups, clocks and threads. */
#include "os/loop.h"

#include "expect.h"
#include "os/disk.h"
#include "sim/world.h"

#define SEEDS 100

static const struct endpoint address = {.family = 4, .ip = {10, 0, 0, 1}};

/* A thread with a loop that counts its turns. */
struct runner {
    struct loop *loop;
    struct thread *thread;
    int turns, turns_max; /* 0: for ever */
    int64_t last_us;      /* of the simulation, at its last turn */
    int64_t cost_us;      /* what the turn before has cost */
    int *order, first;    /* counts the turns of several runners */
    struct disk *disk;
    struct sim *sim;
};

struct bench {
    struct sim *sim;
    struct machine *machine;
    struct world *life;
    struct runner a, b;
    int order;
};

static bool turn(void *context)
{
    struct runner *r = context;
    r->turns++;
    r->first = r->turns == 1 ? ++*r->order : r->first;
    r->cost_us = sim_now_us(r->sim) - r->last_us;
    r->last_us = sim_now_us(r->sim);
    loop_poll(r->loop, true);
    if (r->disk != NULL)
        assert_int_equal(disk_sync(r->disk), FAULT_NONE);
    return r->turns != r->turns_max;
}

static struct sim_options still(void)
{
    struct sim_options o = sim_options_calm();
    o.wake_us_max = o.turn_us_max = 0;
    o.stall = o.spurious_wake = 0;
    return o;
}

static void runner_begin(struct bench *b, struct runner *r)
{
    *r = (struct runner){.order = &b->order, .sim = b->sim, .last_us = sim_now_us(b->sim)};
    assert_int_equal(loop_new(b->life, &r->loop), FAULT_NONE);
    assert_int_equal(thread_start(b->life, "runner", r->loop, turn, r, &r->thread), FAULT_NONE);
}

static void runner_end(struct runner *r)
{
    thread_join(r->thread);
    loop_free(r->loop);
}

static void bench_begin(struct bench *b, uint64_t seed, const struct sim_options *options)
{
    *b = (struct bench){.sim = sim_new(seed, options)};
    b->machine = machine_new(b->sim, "machine", address);
    b->life = life_begin(b->machine);
    runner_begin(b, &b->a);
    runner_begin(b, &b->b);
}

static void bench_end(struct bench *b)
{
    runner_end(&b->a);
    runner_end(&b->b);
    life_end(b->life);
    sim_free(b->sim);
}

struct fired {
    struct timer timer;
    struct runner *runner;
    int *next, order, count;
    int64_t at_us, again_us;
    struct timer *cancels;
};

static void on_timer(void *context)
{
    struct fired *f = context;
    f->order = ++*f->next;
    f->count++;
    f->at_us = loop_mono_us(f->runner->loop);
    if (f->cancels != NULL)
        timer_cancel(f->runner->loop, f->cancels);
    if (f->again_us != 0)
        assert_int_equal(timer_set(f->runner->loop, &f->timer, f->at_us + f->again_us), FAULT_NONE);
}

static void fired_init(struct fired *f, struct runner *r, int *next, int64_t in_us)
{
    *f = (struct fired){.runner = r, .next = next};
    timer_init(&f->timer, on_timer, f);
    assert_int_equal(timer_set(r->loop, &f->timer, loop_mono_us(r->loop) + in_us), FAULT_NONE);
}

static void timers_fire_in_order_and_in_time(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = still();
        struct bench b;
        struct fired f[4];
        int next = 0;
        bench_begin(&b, seed, &o);
        int64_t now = loop_mono_us(b.a.loop);
        fired_init(&f[0], &b.a, &next, 3 * SIM_SECOND);
        fired_init(&f[1], &b.a, &next, 1 * SIM_SECOND);
        fired_init(&f[2], &b.b, &next, 9 * SIM_SECOND);
        fired_init(&f[3], &b.a, &next, 1);
        timer_cancel(b.a.loop, &f[3].timer);
        timer_cancel(b.a.loop, &f[3].timer);
        assert_int_equal(timer_set(b.b.loop, &f[2].timer, now + 2 * SIM_SECOND), FAULT_NONE);
        assert_int_equal(sim_run_until(b.sim, SIM_NEVER), SIM_QUIET);
        assert_true(f[1].order == 1 && f[2].order == 2 && f[0].order == 3 && f[3].count == 0);
        assert_int_equal(f[1].at_us, now + 1 * SIM_SECOND);
        assert_int_equal(f[2].at_us, now + 2 * SIM_SECOND);
        assert_int_equal(f[0].at_us, now + 3 * SIM_SECOND);
        bench_end(&b);
    }
}

static void timers_may_cancel_and_renew(void **state)
{
    struct sim_options o = still();
    struct bench b;
    struct fired f[3];
    int next = 0;
    (void)state;
    bench_begin(&b, 1, &o);
    fired_init(&f[0], &b.a, &next, 100);
    fired_init(&f[1], &b.a, &next, 101);
    fired_init(&f[2], &b.b, &next, 10);
    f[0].cancels = &f[1].timer;
    f[2].again_us = SIM_SECOND;
    assert_int_equal(sim_run_until(b.sim, sim_now_us(b.sim) + 10 * SIM_SECOND), SIM_TIME);
    assert_int_equal(f[0].count, 1);
    assert_int_equal(f[1].count, 0);
    assert_int_equal(f[2].count, 10);
    timer_cancel(b.b.loop, &f[2].timer);
    assert_int_equal(sim_run_until(b.sim, SIM_NEVER), SIM_QUIET);
    bench_end(&b);
}

/* A loop sleeps until it is woken; a wake-up is never lost, also one before it began. */
static void wakes(void **state)
{
    struct loop_counters c;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = still();
        struct bench b;
        o.wake_us_max = 100;
        bench_begin(&b, seed, &o);
        (void)loop_wake(b.a.loop);
        assert_int_equal(sim_run_until(b.sim, SIM_NEVER), SIM_QUIET);
        assert_int_equal(b.a.turns, 1);
        assert_int_equal(b.b.turns, 1);
        int64_t before = sim_now_us(b.sim);
        assert_true(loop_wake(b.a.loop));
        assert_int_equal(sim_run_until(b.sim, SIM_NEVER), SIM_QUIET);
        assert_int_equal(b.a.turns, 2);
        assert_int_equal(b.b.turns, 1);
        assert_in_range(b.a.last_us - before, 0, 100);
        loop_counters(b.a.loop, &c);
        assert_int_equal(c.waits, 2);
        bench_end(&b);
    }
}

static void finished_threads_run_no_more(void **state)
{
    struct sim_options o = still();
    struct bench b;
    (void)state;
    bench_begin(&b, 1, &o);
    b.a.turns_max = 2;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sim_run_until(b.sim, SIM_NEVER), SIM_QUIET);
        (void)loop_wake(b.a.loop);
        (void)loop_wake(b.b.loop);
    }
    assert_int_equal(b.a.turns, 2);
    assert_int_equal(b.b.turns, 5);
    assert_int_equal(sim_turns(b.sim), 7);
    bench_end(&b);
}

static void who_is_due_is_drawn(void **state)
{
    int a_first = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = still();
        struct bench b;
        bench_begin(&b, seed, &o);
        assert_int_equal(sim_run_until(b.sim, SIM_NEVER), SIM_QUIET);
        a_first += b.a.first == 1;
        bench_end(&b);
    }
    assert_in_range(a_first, SEEDS / 4, SEEDS * 3 / 4);
}

static void wall_clock_jumps_alone(void **state)
{
    struct sim_options o = still();
    struct bench b;
    (void)state;
    bench_begin(&b, 1, &o);
    (void)sim_run_until(b.sim, SIM_NEVER);
    int64_t mono = loop_mono_us(b.a.loop), wall = loop_wall_ms(b.a.loop);
    machine_wall_jump(b.machine, -3600 * 1000);
    assert_int_equal(loop_wall_ms(b.a.loop), wall); /* until the next poll */
    (void)sim_run_until(b.sim, sim_now_us(b.sim) + 5 * SIM_SECOND);
    (void)loop_wake(b.a.loop);
    (void)sim_run_until(b.sim, SIM_NEVER);
    assert_int_equal(loop_mono_us(b.a.loop), mono + 5 * SIM_SECOND);
    assert_int_equal(loop_wall_ms(b.a.loop), wall - 3600 * 1000 + 5000);
    bench_end(&b);
}

/* The monotonic clock of the next life has nothing to do with that of the last one. */
static void monotonic_clock_starts_anywhere(void **state)
{
    int later = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim *sim = sim_new(seed, &(struct sim_options){0});
        struct machine *m = machine_new(sim, "machine", address);
        int64_t mono[2];
        for (int i = 0; i < 2; i++) {
            struct world *life = life_begin(m);
            struct loop *l;
            assert_int_equal(loop_new(life, &l), FAULT_NONE);
            mono[i] = loop_mono_us(l);
            assert_true(mono[i] >= 0);
            loop_free(l);
            life_end(life);
        }
        later += mono[1] > mono[0];
        sim_free(sim);
    }
    assert_in_range(later, SEEDS / 4, SEEDS * 3 / 4);
}

/* Who waits for the disk runs no turn meanwhile; others do. */
static void the_disk_takes_time(void **state)
{
    struct sim_options o = still();
    struct bench b;
    int64_t longest = 0;
    (void)state;
    o.disk_us_max = 1000;
    o.write_back = 0;
    bench_begin(&b, 1, &o);
    machine_disk(b.machine, "/disk", 1 << 20);
    assert_int_equal(disk_new(b.life, "/disk", &b.a.disk), FAULT_NONE);
    for (int i = 0; i < 100; i++) {
        (void)loop_wake(b.a.loop);
        (void)loop_wake(b.b.loop);
        (void)sim_run_until(b.sim, sim_now_us(b.sim) + 1000);
        longest = b.a.cost_us > longest ? b.a.cost_us : longest;
    }
    assert_in_range(longest, 2000, 11000);
    assert_true(b.b.turns > b.a.turns);
    disk_free(b.a.disk);
    bench_end(&b);
}

static void stalls_and_spurious_wakes(void **state)
{
    struct sim_options o = still();
    struct bench b;
    (void)state;
    o.stall = 1000000;
    o.stall_us_max = SIM_SECOND;
    bench_begin(&b, 1, &o);
    (void)sim_run_until(b.sim, SIM_NEVER);
    int64_t longest = 0;
    for (int i = 0; i < 50; i++) {
        int64_t before = sim_now_us(b.sim);
        (void)loop_wake(b.a.loop);
        (void)sim_run_until(b.sim, SIM_NEVER);
        longest = b.a.last_us - before > longest ? b.a.last_us - before : longest;
    }
    assert_in_range(longest, SIM_SECOND / 2, SIM_SECOND);
    assert_int_equal(b.a.turns, 51);
    sim_options(b.sim)->stall = 0;
    sim_options(b.sim)->spurious_wake = 900000;
    (void)loop_wake(b.a.loop);
    (void)sim_run_until(b.sim, SIM_NEVER);
    assert_true(b.a.turns > 52);
    bench_end(&b);
}

static uint64_t random_of(uint64_t seed)
{
    struct sim_options o = still();
    struct bench b;
    uint64_t value;
    bench_begin(&b, seed, &o);
    loop_random(b.a.loop, &value, sizeof value);
    bench_end(&b);
    return value;
}

static void random_comes_from_the_seed(void **state)
{
    (void)state;
    assert_true(random_of(1) == random_of(1));
    assert_true(random_of(1) != random_of(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_and_in_time),
        cmocka_unit_test(timers_may_cancel_and_renew),
        cmocka_unit_test(wakes),
        cmocka_unit_test(finished_threads_run_no_more),
        cmocka_unit_test(who_is_due_is_drawn),
        cmocka_unit_test(wall_clock_jumps_alone),
        cmocka_unit_test(monotonic_clock_starts_anywhere),
        cmocka_unit_test(the_disk_takes_time),
        cmocka_unit_test(stalls_and_spurious_wakes),
        cmocka_unit_test(random_comes_from_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
