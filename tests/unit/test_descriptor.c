#include "os/descriptor.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "expect.h"
#include "os/linux/real_world.h"

struct seen {
    struct descriptor *descriptor;
    unsigned count, ready;
    bool ends;
};

static void on_ready(void *context, unsigned ready)
{
    struct seen *seen = context;
    seen->count++;
    seen->ready = ready;
    if (seen->ends) {
        descriptor_unwatch(seen->descriptor);
        seen->descriptor = NULL;
    }
}

struct bench {
    struct world *world;
    struct loop *loop;
    int ends[2];
};

static struct bench bench_new(void)
{
    struct bench b;
    assert_int_equal(world_new_real(&b.world), FAULT_NONE);
    assert_int_equal(loop_new(b.world, &b.loop), FAULT_NONE);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b.ends), 0);
    return b;
}

static void bench_free(struct bench *b)
{
    loop_free(b->loop);
    world_free_real(b->world);
    close(b->ends[0]);
    close(b->ends[1]);
}

static void watch(struct bench *b, unsigned wanted, struct seen *seen)
{
    *seen = (struct seen){0};
    assert_int_equal(
        descriptor_watch(b->loop, b->ends[0], wanted, on_ready, seen, &seen->descriptor),
        FAULT_NONE);
}

/* Unread bytes are told again and again, and nothing else is. */
static void is_told_by_level(void **state)
{
    (void)state;
    struct bench b = bench_new();
    struct seen seen;
    char byte;
    watch(&b, DESCRIPTOR_READABLE, &seen);
    loop_poll(b.loop, false);
    assert_int_equal(seen.count, 0);
    assert_int_equal(write(b.ends[1], "x", 1), 1);
    for (unsigned i = 1; i <= 3; i++) {
        loop_poll(b.loop, true);
        assert_int_equal(seen.count, i);
        assert_int_equal(seen.ready, DESCRIPTOR_READABLE);
    }
    assert_int_equal(read(b.ends[0], &byte, 1), 1);
    loop_poll(b.loop, false);
    assert_int_equal(seen.count, 3);
    descriptor_unwatch(seen.descriptor);
    bench_free(&b);
}

static void both_ways(void **state)
{
    (void)state;
    struct bench b = bench_new();
    struct seen seen;
    watch(&b, DESCRIPTOR_WRITABLE, &seen);
    assert_int_equal(write(b.ends[1], "x", 1), 1);
    loop_poll(b.loop, true);
    assert_int_equal(seen.ready, DESCRIPTOR_WRITABLE);
    descriptor_unwatch(seen.descriptor);
    watch(&b, DESCRIPTOR_READABLE | DESCRIPTOR_WRITABLE, &seen);
    loop_poll(b.loop, true);
    assert_int_equal(seen.ready, DESCRIPTOR_READABLE | DESCRIPTOR_WRITABLE);
    descriptor_unwatch(seen.descriptor);
    loop_poll(b.loop, false);
    assert_int_equal(seen.count, 1);
    bench_free(&b);
}

static void an_end_is_readable(void **state)
{
    (void)state;
    struct bench b = bench_new();
    struct seen seen;
    watch(&b, DESCRIPTOR_READABLE, &seen);
    assert_int_equal(shutdown(b.ends[1], SHUT_RDWR), 0);
    loop_poll(b.loop, true);
    assert_int_equal(seen.ready, DESCRIPTOR_READABLE);
    descriptor_unwatch(seen.descriptor);
    bench_free(&b);
}

/* The descriptor stays open, and may be watched again. */
static void a_watch_ends_inside(void **state)
{
    (void)state;
    struct bench b = bench_new();
    struct seen seen, other;
    watch(&b, DESCRIPTOR_WRITABLE, &seen);
    seen.ends = true;
    assert_int_equal(descriptor_watch(b.loop, b.ends[0], DESCRIPTOR_READABLE, on_ready, &other,
                                      &other.descriptor),
                     FAULT_EXISTS);
    loop_poll(b.loop, true);
    loop_poll(b.loop, false);
    assert_int_equal(seen.count, 1);
    assert_null(seen.descriptor);
    assert_true(fcntl(b.ends[0], F_GETFD) >= 0);
    watch(&b, DESCRIPTOR_WRITABLE, &other);
    loop_poll(b.loop, true);
    assert_int_equal(other.count, 1);
    descriptor_unwatch(other.descriptor);
    bench_free(&b);
}

static void what_cannot_be_watched(void **state)
{
    (void)state;
    struct bench b = bench_new();
    struct descriptor *d = NULL;
    assert_int_not_equal(descriptor_watch(b.loop, -1, DESCRIPTOR_READABLE, on_ready, NULL, &d),
                         FAULT_NONE);
    assert_null(d);
    bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_told_by_level),       cmocka_unit_test(both_ways),
        cmocka_unit_test(an_end_is_readable),     cmocka_unit_test(a_watch_ends_inside),
        cmocka_unit_test(what_cannot_be_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
