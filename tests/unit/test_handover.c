/* handover: messages and descriptors between supervisor and child, whole or not at all. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/handover.h"

static uint8_t bytes[HANDOVER_BYTES_MAX];
static int descriptors[HANDOVER_DESCRIPTORS_MAX];

static void a_message_with_descriptors(void **state)
{
    (void)state;
    int ends[2], pipes[2];
    size_t len, count;
    char letter = 0;
    assert_true(handover_pair(ends));
    assert_int_equal(pipe(pipes), 0);
    struct span parts[] = {SPAN("one "), SPAN("two")};
    assert_true(handover_send(ends[0], HANDOVER_GENERATION, parts, 2, pipes, 2));
    assert_int_equal(handover_receive(ends[1], 1000, bytes, &len, descriptors, &count),
                     HANDOVER_GENERATION);
    assert_true(span_equal(span_of(bytes, len), SPAN("one two")));
    assert_int_equal(count, 2);
    assert_int_equal(write(descriptors[1], "x", 1), 1);
    assert_int_equal(read(pipes[0], &letter, 1), 1);
    assert_int_equal(letter, 'x');
    for (int i = 0; i < 2; i++) {
        close(descriptors[i]);
        close(pipes[i]);
        close(ends[i]);
    }
}

static void nothing_comes(void **state)
{
    (void)state;
    int ends[2];
    size_t len, count;
    assert_true(handover_pair(ends));
    assert_int_equal(handover_receive(ends[1], 0, bytes, &len, descriptors, &count), 0);
    assert_int_equal(handover_receive(ends[1], 5, bytes, &len, descriptors, &count), 0);
    close(ends[0]);
    assert_int_equal(handover_receive(ends[1], -1, bytes, &len, descriptors, &count), 0);
    assert_false(handover_send(ends[1], HANDOVER_WANTED, NULL, 0, NULL, 0));
    close(ends[1]);
}

/* As many as may be come through; what is longer than a message may be is none. */
static void the_edges(void **state)
{
    (void)state;
    static uint8_t long_text[HANDOVER_BYTES_MAX + 1];
    int ends[2], many[HANDOVER_DESCRIPTORS_MAX];
    size_t len, count;
    assert_true(handover_pair(ends));
    for (size_t i = 0; i < HANDOVER_DESCRIPTORS_MAX; i++)
        many[i] = ends[0];
    struct span most = span_of(long_text, HANDOVER_BYTES_MAX);
    assert_true(handover_send(ends[0], HANDOVER_RESULT, &most, 1, many, HANDOVER_DESCRIPTORS_MAX));
    assert_int_equal(handover_receive(ends[1], 1000, bytes, &len, descriptors, &count),
                     HANDOVER_RESULT);
    assert_int_equal(len, HANDOVER_BYTES_MAX);
    assert_int_equal(count, HANDOVER_DESCRIPTORS_MAX);
    for (size_t i = 0; i < count; i++)
        close(descriptors[i]);
    struct span more = span_of(long_text, HANDOVER_BYTES_MAX + 1);
    assert_true(handover_send(ends[0], HANDOVER_RESULT, &more, 1, NULL, 0));
    assert_int_equal(handover_receive(ends[1], 1000, bytes, &len, descriptors, &count), 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_with_descriptors),
        cmocka_unit_test(nothing_comes),
        cmocka_unit_test(the_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
