/* The simulated world as a scenario sees it: time, machines, lives and deaths. */
#include "sim/world.h"

#include "expect.h"

#define SEEDS 200

static const struct endpoint first = {.family = 4, .ip = {10, 0, 0, 1}};
static const struct endpoint second = {.family = 4, .ip = {10, 0, 0, 2}};

/* A life that writes a little to its disk in each turn, which a timer repeats. */
struct worker {
    struct world *life;
    struct loop *loop;
    struct thread *thread;
    struct disk *disk;
    struct file *file;
    struct timer timer;
    int turns, faults;
};

static void on_timer(void *context)
{
    struct worker *w = context;
    if (file_write(w->file, (uint64_t)w->turns, &SPAN("x"), 1) != FAULT_NONE ||
        file_sync(w->file) != FAULT_NONE)
        w->faults++;
    assert_int_equal(timer_set(w->loop, &w->timer, loop_mono_us(w->loop) + 1000), FAULT_NONE);
}

static bool turn(void *context)
{
    struct worker *w = context;
    w->turns++;
    loop_poll(w->loop, true);
    return true;
}

static void worker_begin(struct worker *w, struct machine *m)
{
    *w = (struct worker){.life = life_begin(m)};
    assert_int_equal(loop_new(w->life, &w->loop), FAULT_NONE);
    assert_int_equal(disk_new(w->life, "/disk", &w->disk), FAULT_NONE);
    enum fault fault = file_open(w->disk, "file", DISK_WRITE, &w->file);
    if (fault == FAULT_NOT_FOUND)
        fault = file_open(w->disk, "file", DISK_CREATE, &w->file);
    assert_int_equal(fault, FAULT_NONE);
    timer_init(&w->timer, on_timer, w);
    assert_int_equal(timer_set(w->loop, &w->timer, loop_mono_us(w->loop)), FAULT_NONE);
    assert_int_equal(thread_start(w->life, "worker", w->loop, turn, w, &w->thread), FAULT_NONE);
}

static void worker_end(struct worker *w)
{
    thread_join(w->thread);
    timer_cancel(w->loop, &w->timer);
    file_close(w->file);
    disk_free(w->disk);
    loop_free(w->loop);
    life_end(w->life);
}

static void time_passes_without_anybody(void **state)
{
    (void)state;
    struct sim_options o = sim_options_calm();
    struct sim *s = sim_new(1, &o);
    int64_t now = sim_now_us(s);
    assert_int_equal(sim_run_until(s, SIM_NEVER), SIM_QUIET);
    assert_int_equal(sim_now_us(s), now);
    assert_int_equal(sim_run_until(s, now + SIM_SECOND), SIM_QUIET);
    assert_int_equal(sim_now_us(s), now + SIM_SECOND);
    assert_int_equal(sim_run_until(s, now), SIM_QUIET);
    assert_int_equal(sim_now_us(s), now + SIM_SECOND);
    assert_int_equal(sim_turns(s), 0);
    sim_free(s);
}

static void a_death_stops_the_run(void **state)
{
    static const enum sim_death deaths[] = {SIM_KILLED, SIM_POWER_CUT};
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        enum sim_death how = deaths[seed % 2];
        struct sim_options o = sim_options_calm();
        struct sim *s = sim_new(seed, &o);
        struct machine *m = machine_new(s, "one", first);
        struct machine *other = machine_new(s, "two", second);
        struct worker w, bystander;
        machine_disk(m, "/disk", 1 << 20);
        machine_disk(other, "/disk", 1 << 20);
        worker_begin(&bystander, other);
        worker_begin(&w, m);
        assert_int_equal(life_disk_operations(w.life), 1); /* it created a file */
        assert_int_equal(sim_run_until(s, sim_now_us(s) + SIM_SECOND / 10), SIM_TIME);
        assert_true(w.turns > 5);
        life_kill_at(w.life, 1 + seed % 9, how);
        uint64_t operations = life_disk_operations(w.life);
        assert_int_equal(sim_run_until(s, SIM_NEVER), SIM_DEATH);
        assert_int_equal(life_death(w.life), how);
        assert_int_equal(life_disk_operations(w.life), operations + 1 + seed % 9);
        assert_int_equal(w.faults, 1);
        assert_int_equal(life_death(bystander.life), SIM_ALIVE);

        /* The ghost runs no more; a second death is none. */
        int turns = w.turns, other_turns = bystander.turns;
        life_kill(w.life, SIM_KILLED);
        assert_int_equal(life_death(w.life), how);
        (void)loop_wake(w.loop);
        assert_int_equal(sim_run_until(s, sim_now_us(s) + SIM_SECOND / 10), SIM_TIME);
        assert_int_equal(w.turns, turns);
        assert_true(bystander.turns > other_turns);
        worker_end(&w);

        /* The next life is a new one. */
        worker_begin(&w, m);
        assert_int_equal(life_death(w.life), SIM_ALIVE);
        assert_int_equal(sim_run_until(s, sim_now_us(s) + SIM_SECOND / 10), SIM_TIME);
        assert_true(w.turns > 5 && w.faults == 0);
        worker_end(&w);
        worker_end(&bystander);
        sim_free(s);
    }
}

/* Killed by the scenario between two turns; a run goes on with the rest. */
static void killed_from_outside(void **state)
{
    (void)state;
    struct sim_options o = sim_options_calm();
    struct sim *s = sim_new(1, &o);
    struct machine *m = machine_new(s, "one", first);
    struct worker w;
    machine_disk(m, "/disk", 1 << 20);
    worker_begin(&w, m);
    life_kill_at(w.life, 1, SIM_KILLED);
    life_kill_at(w.life, 0, SIM_KILLED); /* never mind */
    assert_int_equal(sim_run_until(s, sim_now_us(s) + SIM_SECOND), SIM_TIME);
    life_kill(w.life, SIM_POWER_CUT);
    assert_int_equal(sim_run_until(s, sim_now_us(s) + SIM_SECOND), SIM_QUIET);
    assert_int_equal(w.faults, 0);
    worker_end(&w);
    sim_free(s);
}

static uint64_t hash_of(uint64_t seed, bool is_rough)
{
    struct random r;
    random_init(&r, seed);
    struct sim_options o = is_rough ? sim_options_rough(&r) : sim_options_calm();
    o.open_error = 0; /* the worker insists on its file */
    struct sim *s = sim_new(seed, &o);
    struct machine *m = machine_new(s, "one", first);
    struct worker w;
    machine_disk(m, "/disk", 1 << 20);
    for (int i = 0; i < 3; i++) {
        worker_begin(&w, m);
        life_kill_at(w.life, 1 + random_below(sim_random(s), 100),
                     random_chance(sim_random(s), 500000) ? SIM_KILLED : SIM_POWER_CUT);
        assert_int_equal(sim_run_until(s, SIM_NEVER), SIM_DEATH);
        sim_note(s, 1, (uint64_t)w.turns);
        worker_end(&w);
    }
    uint64_t hash = sim_hash(s);
    sim_free(s);
    return hash;
}

static void one_seed_one_hash(void **state)
{
    static uint64_t seen[SEEDS];
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        seen[seed] = hash_of(seed, seed % 2 == 0);
        if (seed % 5 == 0)
            assert_true(seen[seed] == hash_of(seed, seed % 2 == 0));
        for (uint64_t other = 0; other < seed; other++)
            assert_true(seen[seed] != seen[other]);
    }
}

/* What a scenario notes is part of the hash. */
static void notes_count(void **state)
{
    struct sim_options o = sim_options_calm();
    (void)state;
    struct sim *a = sim_new(1, &o), *b = sim_new(1, &o);
    assert_true(sim_hash(a) == sim_hash(b));
    sim_note(a, 1, 2);
    assert_true(sim_hash(a) != sim_hash(b));
    sim_note(b, 1, 2);
    assert_true(sim_hash(a) == sim_hash(b));
    sim_note(a, 1, 3);
    sim_note(b, 2, 3);
    assert_true(sim_hash(a) != sim_hash(b));
    sim_free(a);
    sim_free(b);
}

static void rough_options_vary(void **state)
{
    int calm = 0, failing = 0;
    struct random r;
    (void)state;
    random_init(&r, 1);
    for (int i = 0; i < SEEDS; i++) {
        struct sim_options o = sim_options_rough(&r);
        assert_true(o.latency_us_max > 0 && o.window_bytes_max > 0);
        assert_true(o.reset < 1000000 && o.silence < 1000000 && o.refuse < 1000000);
        calm += o.write_error == 0;
        failing += o.write_error > 0;
    }
    assert_true(calm > SEEDS / 4 && failing > SEEDS / 4);
    struct sim_options o = sim_options_calm();
    assert_int_equal(o.reset + o.refuse + o.silence, 0);
    assert_int_equal(o.write_error + o.read_error + o.sync_error + o.open_error, 0);
}

static void random_is_even(void **state)
{
    int seen[10] = {0};
    struct random r, same;
    (void)state;
    random_init(&r, 7);
    random_init(&same, 7);
    for (int i = 0; i < 10000; i++)
        seen[random_below(&r, 10)]++;
    for (int i = 0; i < 10; i++)
        assert_in_range(seen[i], 900, 1100);
    for (int i = 0; i < 10000; i++)
        (void)random_below(&same, 3);
    assert_true(random_next(&r) == random_next(&same));
    assert_false(random_chance(&r, 0));
    assert_true(random_chance(&r, 1000000));
    assert_int_equal(random_between(&r, -5, -5), -5);
}

static struct worker unfinished;

static void end_with_an_open_file(void)
{
    struct sim_options o = sim_options_calm();
    struct sim *s = sim_new(1, &o);
    struct machine *m = machine_new(s, "one", first);
    machine_disk(m, "/disk", 1 << 20);
    worker_begin(&unfinished, m);
    unfinished.file = NULL; /* forgotten */
    worker_end(&unfinished);
}

static void end_with_an_open_disk(void)
{
    struct sim_options o = sim_options_calm();
    struct sim *s = sim_new(1, &o);
    struct machine *m = machine_new(s, "one", first);
    machine_disk(m, "/disk", 1 << 20);
    worker_begin(&unfinished, m);
    life_kill(unfinished.life, SIM_KILLED);
    unfinished.disk = NULL;
    worker_end(&unfinished);
}

static void leaks_are_seen(void **state)
{
    (void)state;
    expect_abort(end_with_an_open_file);
    expect_abort(end_with_an_open_disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_passes_without_anybody),
        cmocka_unit_test(a_death_stops_the_run),
        cmocka_unit_test(killed_from_outside),
        cmocka_unit_test(one_seed_one_hash),
        cmocka_unit_test(notes_count),
        cmocka_unit_test(rough_options_vary),
        cmocka_unit_test(random_is_even),
        cmocka_unit_test(leaks_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
