/*
 * The simulated lives of test_sim_spool.c, with memory that is short for the spool and its disk
 * threads for a time: whatever is refused, nothing that was answered may be lost, nothing leaks,
 * and once there is memory again all goes on.
 *
 * SEEDS=n runs so many (FROM=n: not from the first), VERBOSE=1 names each.
 */
#include "spool_lives.h"

#include "sim/inside.h"

enum { SEEDS = 100 };

/* The linker sends all allocations, and the calls of the disk, through here (meson.build). The
   simulated disk itself always has memory. */
static struct {
    uint32_t per_mille, state, outside;
    uint64_t failed;
} shortage;

static bool is_of_the_spool(const struct loop *running)
{
    if (running == NULL || scene.spool == NULL)
        return scene.is_starting;
    for (uint32_t i = 0; i < disk_pool_threads(scene.pool); i++)
        if (running == actor_loop(disk_pool_actor(scene.pool, i)))
            return true;
    return running == actor_loop(spool_actor(scene.spool));
}

static bool is_short(void)
{
    if (shortage.per_mille == 0 || shortage.outside > 0 || !is_of_the_spool(scene.sim->running))
        return false;
    shortage.state = shortage.state * 1664525 + 1013904223;
    bool fails = (shortage.state >> 8) % 1000 < shortage.per_mille;
    shortage.failed += fails;
    return fails;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return is_short() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_short() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_short() ? NULL : __real_realloc(old, size);
}

#define OUTSIDE(function, parameters, arguments)        \
    enum fault __real_##function parameters;            \
    enum fault __wrap_##function parameters;            \
    enum fault __wrap_##function parameters             \
    {                                                   \
        shortage.outside++;                             \
        enum fault fault = __real_##function arguments; \
        shortage.outside--;                             \
        return fault;                                   \
    }

OUTSIDE(disk_new, (struct world * w, const char *path, struct disk **disk_out), (w, path, disk_out))
OUTSIDE(disk_list, (struct disk * d, void (*call)(void *, const char *), void *context),
        (d, call, context))
OUTSIDE(disk_unlink, (struct disk * d, const char *name), (d, name))
OUTSIDE(disk_rename, (struct disk * d, const char *from, const char *to), (d, from, to))
OUTSIDE(disk_room, (struct disk * d, uint64_t *bytes_free_out), (d, bytes_free_out))
OUTSIDE(disk_sync, (struct disk * d), (d))
OUTSIDE(file_open, (struct disk * d, const char *name, enum disk_open how, struct file **file_out),
        (d, name, how, file_out))
OUTSIDE(file_read, (struct file * f, uint64_t offset, void *bytes_out, size_t len, size_t *got_out),
        (f, offset, bytes_out, len, got_out))
OUTSIDE(file_write, (struct file * f, uint64_t offset, const struct span *parts, size_t count),
        (f, offset, parts, count))
OUTSIDE(file_sync, (struct file * f), (f))

static void draw_shortage(void)
{
    static const uint32_t chances[] = {0, 0, 5, 50, 300, 1000};
    if (shortage.per_mille > 0)
        scene.trouble_us = now_us();
    shortage.per_mille = chances[below(6)];
    scene.is_short = shortage.per_mille > 0;
}

static void play_short(uint64_t seed)
{
    set(seed);
    shortage.state = (uint32_t)seed;
    scene.on_phase = draw_shortage;
    for (uint64_t lives = 1 + below(4); lives > 0; lives--)
        any_life();
    shortage.per_mille = 0;
    last_lives();
    sim_free(scene.sim);
}

static void nothing_is_lost_for_want_of_memory(void **state)
{
    (void)state;
    uint64_t first = number_from("FROM", 1), last = number_from("SEEDS", SEEDS);
    for (uint64_t seed = first; seed <= last; seed++) {
        if (getenv("VERBOSE") != NULL)
            print_message("seed %llu\n", (unsigned long long)seed);
        play_short(seed);
    }
    print_message("%llu allocations failed, %llu accepted, %llu refused\n",
                  (unsigned long long)shortage.failed, (unsigned long long)totals.accepted,
                  (unsigned long long)totals.refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_for_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
