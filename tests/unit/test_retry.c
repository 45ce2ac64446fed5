/* retry: times, clocks and eras. */
#include "queue/retry.h"

#include "expect.h"

#define HOUR_MS (INT64_C(3600) * 1000)

static void delays_double_up_to_the_most(void **state)
{
    (void)state;
    const struct {
        uint32_t attempts;
        int64_t delay_ms;
    } rows[] = {{1, 300000},  {2, 600000},  {3, 1200000},  {4, 2400000},
                {5, 3000000}, {6, 3000000}, {60, 3000000}, {UINT32_MAX, 3000000}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        int64_t low = INT64_MAX, high = 0;
        for (uint32_t random = 0; random < 400000; random += 97) {
            int64_t d = retry_delay_ms(300000, 3000000, rows[i].attempts, random * 7919u);
            low = d < low ? d : low;
            high = d > high ? d : high;
        }
        assert_true(low >= rows[i].delay_ms * 9 / 10 && low < rows[i].delay_ms * 92 / 100);
        assert_true(high <= rows[i].delay_ms * 11 / 10 && high > rows[i].delay_ms * 108 / 100);
    }
}

static void delays_at_the_limits(void **state)
{
    (void)state;
    assert_int_equal(retry_delay_ms(1, 1, 1, UINT32_MAX), 1);
    assert_int_equal(retry_delay_ms(1, 1, 100, 0), 1);
    int64_t most = INT64_MAX / 4;
    for (uint32_t attempts = 1; attempts < 200; attempts++) {
        int64_t d = retry_delay_ms(1000, most, attempts, 0xffffffffu);
        assert_true(d > 0 && d <= most / 10 * 11 + 10);
    }
}

static void delay_without_attempt(void)
{
    (void)retry_delay_ms(1000, 2000, 0, 0);
}

static void programmers_errors(void **state)
{
    (void)state;
    expect_abort(delay_without_attempt);
}

static void clocks_are_converted(void **state)
{
    (void)state;
    struct retry_clock c;
    retry_clock_init(&c, 5000000, 1795000000000);
    assert_int_equal(retry_mono_of_wall(&c, 1795000000000), 5000);
    assert_int_equal(retry_wall_of_mono(&c, 6000), 1795000001000);
    assert_int_equal(retry_mono_of_wall(&c, RETRY_NEVER), RETRY_NEVER);
    assert_int_equal(retry_wall_of_mono(&c, RETRY_NEVER), RETRY_NEVER);
    /* Whatever a damaged record says, nothing wraps. */
    assert_true(retry_mono_of_wall(&c, INT64_MAX - 1) > HOUR_MS);
    assert_true(retry_mono_of_wall(&c, INT64_MIN) < 0);
    assert_true(retry_wall_of_mono(&c, INT64_MIN) < 0);
}

static void eras_begin_with_jumps(void **state)
{
    (void)state;
    struct retry_clock c;
    int64_t mono_us = 0, wall_ms = 1795000000000;
    retry_clock_init(&c, mono_us, wall_ms);
    uint8_t era = c.era;
    const struct {
        int64_t mono_ms, wall_ms;
        bool begins;
    } rows[] = {
        {1000, 1000, false},     {HOUR_MS * 24, HOUR_MS * 24, false}, /* sleeping long is no jump */
        {0, HOUR_MS, false},                                          /* at the limit */
        {0, HOUR_MS + 1, true},  {0, -HOUR_MS, false},
        {0, -HOUR_MS - 1, true}, {HOUR_MS * 2, 0, true}, /* the wall clock stood still */
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        mono_us += rows[i].mono_ms * 1000;
        wall_ms += rows[i].wall_ms;
        assert_int_equal(retry_clock_read(&c, mono_us, wall_ms), rows[i].begins);
        assert_int_equal(c.era != era, rows[i].begins);
        era = c.era;
    }
    for (int i = 0; i < 1000; i++) {
        wall_ms += 2 * HOUR_MS;
        assert_true(retry_clock_read(&c, mono_us, wall_ms));
        assert_true(c.era != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_double_up_to_the_most), cmocka_unit_test(delays_at_the_limits),
        cmocka_unit_test(programmers_errors),           cmocka_unit_test(clocks_are_converted),
        cmocka_unit_test(eras_begin_with_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
