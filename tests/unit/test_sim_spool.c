/*
 * spool, simulated: lives of a spool with random appends and fetches, ended by kill -9 and power
 * cuts in the middle of any disk operation, on disks that fail and fill up for a time. What the
 * queue is told at each start is held against a model (spool_model.h): what was answered is there,
 * what was ended is not, what was in doubt is decided once and for all.
 *
 * SEEDS=n runs so many (FROM=n: not from the first), SEED=n only that one, VERBOSE=1 names each.
 */
#include "spool_lives.h"

enum { SEEDS = 300, BOUNDARIES = 100 };

static void nothing_is_lost_and_nothing_comes_back(void **state)
{
    (void)state;
    uint64_t first = number_from("FROM", 1), last = number_from("SEEDS", SEEDS);
    memset(&totals, 0, sizeof totals);
    for (uint64_t seed = first; seed <= last; seed++) {
        if (getenv("VERBOSE") != NULL)
            print_message("seed %llu\n", (unsigned long long)seed);
        (void)play(seed);
    }
#define SHOW(field) print_message("%llu " #field "\n", (unsigned long long)totals.field)
    SHOW(lives);
    SHOW(kills);
    SHOW(cuts);
    SHOW(stops);
    SHOW(accepted);
    SHOW(ended);
    SHOW(recovered);
    SHOW(fetched);
    SHOW(refused);
    SHOW(in_doubt);
    SHOW(compacted);
    SHOW(small);
    SHOW(limited);
#undef SHOW
}

/* Seeds that have found something, with what was drawn at that time. */
static void seeds_that_found_something(void **state)
{
    static const uint64_t kept[] = {32,   47,   231,  244,  302,  1078,
                                    1300, 1343, 2605, 3721, 4936, 7771};
    (void)state;
    for (size_t i = 0; i < ROWS(kept) && !is_only_some(); i++)
        (void)play(kept[i]);
}

/* A life that is killed in the middle of its n-th change of the disk, for every n of its first
   ones; with `is_second`, after one that has left something to be recovered. */
static void die_at(uint64_t seed, bool is_second, uint64_t n, enum sim_death how)
{
    set(seed);
    scene.settings.segment_bytes = 64u << 10;
    scene.pause_us = 8000;
    scene.messages_max = 150;
    scene.living_wanted = 20;
    if (is_second) {
        assert_true(life_starts(0, SIM_KILLED));
        assert_true(run(2 * SIM_SECOND));
        life_kill(scene.life, how);
        life_over();
    }
    if (life_starts(n, how) && run(2 * SIM_SECOND))
        life_kill(scene.life, how);
    life_over();
    last_lives();
    sim_free(scene.sim);
}

static void every_boundary(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= BOUNDARIES && !is_only_some(); n++) {
        die_at(7, false, n, n % 2 == 0 ? SIM_KILLED : SIM_POWER_CUT);
        die_at(8, true, n, n % 2 == 0 ? SIM_POWER_CUT : SIM_KILLED);
        die_at(9, true, n, n % 2 == 0 ? SIM_KILLED : SIM_POWER_CUT);
    }
}

static void a_seed_repeats_itself(void **state)
{
    (void)state;
    if (is_only_some())
        return;
    for (uint64_t seed = 1; seed <= 10; seed++)
        assert_true(play(seed) == play(seed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_and_nothing_comes_back),
        cmocka_unit_test(seeds_that_found_something),
        cmocka_unit_test(every_boundary),
        cmocka_unit_test(a_seed_repeats_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
