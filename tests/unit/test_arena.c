#include "expect.h"

#include "base/arena.h"

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    uint8_t *pieces[300];
    for (size_t i = 0; i < 300; i++) {
        pieces[i] = arena_alloc(&a, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < i; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < 300; i++) {
        for (size_t k = 0; k < i; k++)
            assert_int_equal(pieces[i][k], i & 0xff);
    }
    arena_fini(&a);
    assert_null(a.blocks);
}

static void holds_nothing_at_first_and_after_a_reset(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 64);
    assert_null(a.blocks);
    assert_non_null(arena_alloc(&a, 64));
    assert_null(arena_alloc(&a, 1));
    arena_reset(&a);
    assert_null(a.blocks);
    assert_int_equal(a.used, 0);
    assert_false(a.full);
    assert_non_null(arena_alloc(&a, 64));
    arena_fini(&a);
}

static void the_end_is_hard_and_sticky(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 128);
    assert_non_null(arena_alloc(&a, 112));
    assert_null(arena_alloc(&a, 17)); /* limit + 1 */
    assert_true(a.full);
    assert_null(arena_alloc(&a, 1)); /* would fit, but full is sticky */
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 112));
    assert_non_null(arena_alloc(&a, 16)); /* at the limit */
    assert_false(a.full);
    arena_fini(&a);
    arena_init(&a, 0);
    assert_null(arena_alloc(&a, 0));
    arena_fini(&a);
}

static void sizes_that_would_overflow_are_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < ROWS(sizes); i++) {
        struct arena a;
        arena_init(&a, SIZE_MAX / 2);
        assert_null(arena_alloc(&a, sizes[i]));
        assert_true(a.full);
        arena_fini(&a);
    }
}

static void a_large_piece_fits_beside_small_ones(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    uint8_t *small = arena_alloc(&a, 10);
    uint8_t *large = arena_alloc(&a, 500 * 1000);
    assert_non_null(small);
    assert_non_null(large);
    memset(large, 1, 500 * 1000);
    assert_int_equal(small[0], 0);
    assert_non_null(arena_alloc(&a, 100));
    arena_fini(&a);
}

static void copies(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 64);
    char bytes[] = "abc";
    struct span copy = arena_copy(&a, span_text(bytes));
    char *text = arena_text(&a, span_of(bytes, 2));
    struct span printed = arena_printf(&a, "%s-%d", bytes, 42);
    bytes[0] = 'X';
    expect_span(copy, SPAN("abc"));
    assert_string_equal(text, "ab");
    expect_span(printed, SPAN("abc-42"));
    assert_string_equal(arena_text(&a, (struct span){NULL, 0}), "");
    assert_int_equal(arena_copy(&a, SPAN("")).len, 0);
    assert_false(a.full);
    assert_null(arena_copy(&a, SPAN("x")).data);
    assert_null(arena_text(&a, SPAN("")));
    assert_null(arena_printf(&a, "x").data);
    assert_true(a.full);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(holds_nothing_at_first_and_after_a_reset),
        cmocka_unit_test(the_end_is_hard_and_sticky),
        cmocka_unit_test(sizes_that_would_overflow_are_refused),
        cmocka_unit_test(a_large_piece_fits_beside_small_ones),
        cmocka_unit_test(copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
