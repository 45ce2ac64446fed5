#include "expect.h"

#include "base/buffer.h"

static void holds_nothing_before_the_first_put(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 100);
    assert_null(b.data);
    assert_int_equal(buffer_span(&b).len, 0);
    assert_true(buffer_put(&b, (struct span){NULL, 0}));
    assert_non_null(buffer_reserve(&b, 0));
    buffer_commit(&b, 0);
    buffer_consume(&b, 0);
    assert_null(b.data);
    buffer_fini(&b);
}

static void grows_by_doubling_up_to_max(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 200);
    size_t expected = 64;
    for (size_t i = 0; i < 200; i++) {
        assert_true(buffer_put_u8(&b, (uint8_t)i));
        if (i + 1 > expected)
            expected = expected * 2 > 200 ? 200 : expected * 2;
        assert_int_equal(b.capacity, expected);
    }
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(b.data[i], i);
    buffer_fini(&b);
}

static void a_put_past_max_changes_nothing(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 5);
    assert_true(buffer_put_text(&b, "1234"));
    assert_false(buffer_put_text(&b, "56"));
    assert_true(b.full);
    expect_span(buffer_span(&b), SPAN("1234"));
    assert_false(buffer_put_u8(&b, '5')); /* it would fit, but full is sticky */
    assert_null(buffer_reserve(&b, 1));
    assert_false(buffer_printf(&b, "x"));
    buffer_reset(&b);
    assert_true(buffer_put_text(&b, "12345")); /* at the limit */
    assert_false(b.full);
    assert_false(buffer_put_u8(&b, '6')); /* limit + 1 */
    buffer_fini(&b);
    buffer_init(&b, 0);
    assert_false(buffer_put_u8(&b, '1'));
    assert_false(buffer_put_u64(&b, 1));
    buffer_fini(&b);
}

static void a_size_that_would_overflow_is_refused(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, SIZE_MAX);
    assert_true(buffer_put_u8(&b, 1));
    assert_null(buffer_reserve(&b, SIZE_MAX));
    assert_true(b.full);
    assert_int_equal(b.len, 1);
    buffer_fini(&b);
}

static void integers_are_little_endian(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 15);
    assert_true(buffer_put_u8(&b, 0x01));
    assert_true(buffer_put_u16(&b, 0x0302));
    assert_true(buffer_put_u32(&b, 0x07060504));
    assert_true(buffer_put_u64(&b, UINT64_C(0x0f0e0d0c0b0a0908)));
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(b.data[i], i + 1);
    buffer_fini(&b);
}

static void printf_of_every_length(void **state)
{
    (void)state;
    char text[601];
    memset(text, 'x', sizeof text - 1);
    for (size_t len = 0; len < sizeof text; len++) {
        struct buffer b;
        text[len] = '\0';
        buffer_init(&b, len + 1);
        assert_true(buffer_printf(&b, "%s", text));
        expect_span(buffer_span(&b), span_text(text));
        assert_false(buffer_printf(&b, "%s%s", text, "yz"));
        assert_int_equal(b.len, len);
        buffer_fini(&b);
        text[len] = 'x';
    }
}

static void reserve_and_commit(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 100);
    assert_true(buffer_put_text(&b, "ab"));
    uint8_t *room = buffer_reserve(&b, 98);
    assert_non_null(room);
    memcpy(room, "cd", 2);
    buffer_commit(&b, 2);
    expect_span(buffer_span(&b), SPAN("abcd"));
    assert_null(buffer_reserve(&b, 97));
    buffer_fini(&b);
}

static void consume_moves_the_rest(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 100);
    assert_true(buffer_put_text(&b, "abcdef"));
    buffer_consume(&b, 0);
    expect_span(buffer_span(&b), SPAN("abcdef"));
    buffer_consume(&b, 2);
    expect_span(buffer_span(&b), SPAN("cdef"));
    buffer_consume(&b, 4);
    expect_span(buffer_span(&b), SPAN(""));
    buffer_fini(&b);
}

static void giving_memory_back_keeps_the_limit(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 3);
    assert_true(buffer_put_text(&b, "abc"));
    assert_false(buffer_put_text(&b, "d"));
    buffer_free_memory(&b);
    assert_null(b.data);
    assert_int_equal(b.capacity, 0);
    assert_true(buffer_put_text(&b, "abc"));
    assert_false(buffer_put_text(&b, "d"));
    buffer_fini(&b);
}

static void a_known_length_is_fitted_exactly(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 1000);
    assert_true(buffer_fit(&b, 300));
    assert_int_equal(b.capacity, 300);
    assert_true(buffer_put_text(&b, "abc") && b.capacity == 300);
    assert_true(buffer_fit(&b, 3));
    assert_int_equal(b.capacity, 3);
    expect_span(buffer_span(&b), SPAN("abc"));
    assert_true(buffer_put_text(&b, "d")); /* and it grows on from there */
    expect_span(buffer_span(&b), SPAN("abcd"));
    buffer_reset(&b);
    assert_true(buffer_fit(&b, 0));
    assert_null(b.data);
    buffer_fini(&b);
}

static void taking_leaves_an_empty_buffer(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 10);
    assert_true(buffer_put_text(&b, "abc"));
    struct buffer taken = buffer_take(&b);
    expect_span(buffer_span(&taken), SPAN("abc"));
    assert_null(b.data);
    assert_int_equal(b.max, 10);
    buffer_fini(&taken);
    buffer_fini(&b);
}

static void fit_less_than_is_there(void)
{
    struct buffer b;
    buffer_init(&b, 10);
    (void)buffer_put_text(&b, "abc");
    (void)buffer_fit(&b, 2);
}

static void fit_more_than_max(void)
{
    struct buffer b;
    buffer_init(&b, 10);
    (void)buffer_fit(&b, 11);
}

static void commit_too_much(void)
{
    struct buffer b;
    buffer_init(&b, 10);
    buffer_commit(&b, 1);
}

static void consume_too_much(void)
{
    struct buffer b;
    buffer_init(&b, 10);
    buffer_consume(&b, 1);
}

static void misuse_aborts(void **state)
{
    (void)state;
    expect_abort(commit_too_much);
    expect_abort(consume_too_much);
    expect_abort(fit_less_than_is_there);
    expect_abort(fit_more_than_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_nothing_before_the_first_put),
        cmocka_unit_test(grows_by_doubling_up_to_max),
        cmocka_unit_test(a_put_past_max_changes_nothing),
        cmocka_unit_test(a_size_that_would_overflow_is_refused),
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(printf_of_every_length),
        cmocka_unit_test(reserve_and_commit),
        cmocka_unit_test(consume_moves_the_rest),
        cmocka_unit_test(giving_memory_back_keeps_the_limit),
        cmocka_unit_test(a_known_length_is_fitted_exactly),
        cmocka_unit_test(taking_leaves_an_empty_buffer),
        cmocka_unit_test(misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
