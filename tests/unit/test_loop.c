/* loop: timers, wake-ups and clocks of the real world. */
#include "os/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "os/linux/real_world.h"

static struct world *world;
static struct loop *loop;

static int begin(void **state)
{
    (void)state;
    return world_new_real(&world) != FAULT_NONE || loop_new(world, &loop) != FAULT_NONE;
}

static int finish(void **state)
{
    (void)state;
    loop_free(loop);
    world_free_real(world);
    return 0;
}

struct fired {
    struct timer timer;
    int order, count;
    int *next;
    int64_t at_us, again_us;
    struct timer *cancels;
};

static void on_timer(void *context)
{
    struct fired *f = context;
    f->order = ++*f->next;
    f->count++;
    f->at_us = loop_mono_us(loop);
    if (f->cancels != NULL)
        timer_cancel(loop, f->cancels);
    if (f->again_us != 0)
        assert_int_equal(timer_set(loop, &f->timer, f->again_us), FAULT_NONE);
}

static void start(struct fired *f, int *next, int64_t at_us)
{
    memset(f, 0, sizeof *f);
    f->next = next;
    timer_init(&f->timer, on_timer, f);
    assert_int_equal(timer_set(loop, &f->timer, at_us), FAULT_NONE);
}

static void timers_fire_in_order_and_not_early(void **state)
{
    struct fired f[4];
    int next = 0;
    int64_t now = loop_mono_us(loop);
    (void)state;
    start(&f[0], &next, now + 30000);
    start(&f[1], &next, now + 10000);
    start(&f[2], &next, now + 20000);
    start(&f[3], &next, now + 1000);
    timer_cancel(loop, &f[3].timer);
    timer_cancel(loop, &f[3].timer);                                        /* no-op */
    assert_int_equal(timer_set(loop, &f[2].timer, now + 5000), FAULT_NONE); /* moves */
    while (next < 3)
        loop_poll(loop, true);
    assert_int_equal(f[2].order, 1);
    assert_int_equal(f[1].order, 2);
    assert_int_equal(f[0].order, 3);
    assert_int_equal(f[3].count, 0);
    assert_true(f[2].at_us >= now + 5000 && f[1].at_us >= now + 10000);
    assert_true(f[0].at_us >= now + 30000);
}

static void a_timer_may_cancel_another_that_is_due(void **state)
{
    struct fired f[2];
    int next = 0;
    (void)state;
    start(&f[0], &next, 1);
    start(&f[1], &next, 2);
    f[0].cancels = &f[1].timer;
    loop_poll(loop, false);
    assert_int_equal(f[0].count, 1);
    assert_int_equal(f[1].count, 0);
}

/* Set for the past in its own call-back: once a poll, not for ever. */
static void a_timer_that_renews_itself_ends_the_poll(void **state)
{
    struct fired f;
    int next = 0;
    (void)state;
    start(&f, &next, 1);
    f.again_us = 1;
    loop_poll(loop, true);
    assert_int_equal(f.count, 1);
    loop_poll(loop, true);
    assert_int_equal(f.count, 2);
    timer_cancel(loop, &f.timer);
}

static void a_wake_up_before_the_poll_is_not_lost(void **state)
{
    (void)state;
    assert_false(loop_wake(loop)); /* it is awake: no system call */
    assert_false(loop_wake(loop));
    loop_poll(loop, true); /* would sleep for ever */
    struct loop_counters c;
    loop_counters(loop, &c);
    assert_int_equal(c.wakes, 0);
    assert_int_equal(c.waits, 1);
}

static void *wake_late(void *context)
{
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    *(bool *)context = loop_wake(loop);
    return NULL;
}

static void a_sleeping_loop_is_woken(void **state)
{
    pthread_t thread;
    bool was_asleep = false;
    int64_t before = loop_mono_us(loop);
    (void)state;
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(pthread_create(&thread, NULL, wake_late, &was_asleep), 0);
        loop_poll(loop, true);
        pthread_join(thread, NULL);
        assert_true(was_asleep);
        struct loop_counters c;
        loop_counters(loop, &c);
        assert_int_equal(c.wakes, i);
    }
    assert_true(loop_mono_us(loop) - before >= 60000);
}

static void on_tick(void *context)
{
    *(int64_t *)context = loop_wall_ms(loop);
}

static void clocks_stand_still_within_a_turn(void **state)
{
    struct timespec pause = {.tv_nsec = 3000000};
    int64_t ticked = 0;
    (void)state;
    int64_t mono = loop_mono_us(loop), wall = loop_wall_ms(loop);
    nanosleep(&pause, NULL);
    assert_int_equal(loop_mono_us(loop), mono);
    assert_int_equal(loop_wall_ms(loop), wall);
    loop_on_tick(loop, on_tick, &ticked);
    loop_poll(loop, false);
    assert_true(loop_mono_us(loop) >= mono + 3000);
    assert_int_equal(ticked, loop_wall_ms(loop));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    assert_true(now_ms >= ticked && now_ms - ticked < 10000);
}

static void random_differs(void **state)
{
    uint8_t a[16], b[16], big[1000] = {0};
    size_t zeros = 0;
    (void)state;
    for (int i = 0; i < 200; i++) {
        loop_random(loop, a, sizeof a);
        loop_random(loop, b, sizeof b);
        assert_memory_not_equal(a, b, sizeof a);
    }
    loop_random(loop, big, sizeof big);
    for (size_t i = 0; i < sizeof big; i++)
        zeros += big[i] == 0;
    assert_true(zeros < 50);
    loop_random(loop, a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
        TEST(timers_fire_in_order_and_not_early),
        TEST(a_timer_may_cancel_another_that_is_due),
        TEST(a_timer_that_renews_itself_ends_the_poll),
        TEST(a_wake_up_before_the_poll_is_not_lost),
        TEST(a_sleeping_loop_is_woken),
        TEST(clocks_stand_still_within_a_turn),
        TEST(random_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
