#include "expect.h"

#include "base/cursor.h"

static const uint8_t bytes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                12, 13, 14, 15, 16, 17, 18, 19, 20, 21};

static void reads_integers(void **state)
{
    (void)state;
    struct cursor c = cursor_over(span_of(bytes, sizeof bytes));
    assert_int_equal(cursor_u8(&c), 1);
    assert_int_equal(cursor_u16(&c), 0x0302);
    assert_int_equal(cursor_u32(&c), 0x07060504);
    assert_int_equal(cursor_u64(&c), UINT64_C(0x0f0e0d0c0b0a0908));
    assert_int_equal(cursor_u16_be(&c), 0x1011);
    assert_int_equal(cursor_u32_be(&c), 0x12131415);
    assert_true(cursor_at_end(&c));
    assert_true(cursor_ok(&c));
}

/* One byte short: zero, the fault sticks, and nothing is read any more. */
static void each_read_past_the_end_fails_for_good(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 4, 8, 2, 4, 5};
    for (size_t kind = 0; kind < ROWS(sizes); kind++) {
        for (size_t len = 0; len <= sizes[kind]; len++) {
            struct cursor c = cursor_over(span_of(bytes, len));
            bool enough = len == sizes[kind];
            uint64_t got = kind == 0   ? cursor_u8(&c)
                           : kind == 1 ? cursor_u16(&c)
                           : kind == 2 ? cursor_u32(&c)
                           : kind == 3 ? cursor_u64(&c)
                           : kind == 4 ? cursor_u16_be(&c)
                           : kind == 5 ? cursor_u32_be(&c)
                                       : cursor_bytes(&c, 5).len;
            assert_int_equal(got != 0, enough);
            assert_int_equal(cursor_ok(&c), enough);
            assert_int_equal(cursor_at_end(&c), enough);
            if (!enough) {
                assert_int_equal(cursor_u8(&c), 0); /* although a byte may be there */
                assert_int_equal(cursor_bytes(&c, 0).len, 0);
                assert_int_equal(c.rest.len, len);
            }
        }
    }
}

static void bytes_are_not_copied(void **state)
{
    (void)state;
    struct cursor c = cursor_over(span_of(bytes, 4));
    struct span all = cursor_bytes(&c, 4);
    assert_ptr_equal(all.data, bytes);
    assert_int_equal(cursor_bytes(&c, 0).len, 0);
    assert_true(cursor_at_end(&c));
    assert_int_equal(cursor_bytes(&c, SIZE_MAX).len, 0);
    assert_false(cursor_ok(&c));
}

static void a_reader_can_fail_it(void **state)
{
    (void)state;
    struct cursor c = cursor_over(span_of(bytes, 4));
    cursor_fail(&c);
    assert_false(cursor_ok(&c));
    assert_false(cursor_at_end(&c));
    assert_int_equal(cursor_u16(&c), 0);
}

static void an_empty_cursor(void **state)
{
    (void)state;
    struct cursor c = cursor_over((struct span){NULL, 0});
    assert_true(cursor_ok(&c));
    assert_true(cursor_at_end(&c));
    assert_int_equal(cursor_bytes(&c, 0).len, 0);
    assert_true(cursor_ok(&c));
    assert_int_equal(cursor_u8(&c), 0);
    assert_false(cursor_ok(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_integers),
        cmocka_unit_test(each_read_past_the_end_fails_for_good),
        cmocka_unit_test(bytes_are_not_copied),
        cmocka_unit_test(a_reader_can_fail_it),
        cmocka_unit_test(an_empty_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
