/* restart: the delays of the crash-loop rule. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/restart.h"

static void who_never_lives_waits_longer(void **state)
{
    (void)state;
    static const int64_t delays[] = {0,    50,   100,  200,   400,   800,
                                     1600, 3200, 6400, 12800, 25600, 30000};
    struct restart r = {0};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++)
        assert_int_equal(restart_after_death(&r, false, 5), delays[i]);
    for (int i = 0; i < 100; i++)
        assert_int_equal(restart_after_death(&r, false, 5), RESTART_DELAY_MS_MAX);
    assert_int_equal(r.deaths, 112);
    r.deaths = UINT32_MAX;
    assert_int_equal(restart_after_death(&r, false, 5), RESTART_DELAY_MS_MAX);
}

static void who_was_well_is_followed_soon(void **state)
{
    (void)state;
    static const int64_t delays[] = {0, 50, 100, 200, 400, 400, 400};
    struct restart r = {0};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++)
        assert_int_equal(restart_after_death(&r, true, RESTART_WELL_AFTER_MS - 1), delays[i]);
    assert_int_equal(restart_after_death(&r, true, RESTART_WELL_AFTER_MS), 0);
    assert_int_equal(restart_after_death(&r, true, 1), 50);
    r.deaths_well = UINT32_MAX;
    assert_int_equal(restart_after_death(&r, true, 1), 0);
}

static void a_sign_of_life_ends_the_row(void **state)
{
    (void)state;
    struct restart r = {0};
    for (int i = 0; i < 10; i++)
        (void)restart_after_death(&r, false, 5);
    assert_int_equal(restart_after_death(&r, true, 5), 0);
    assert_int_equal(r.deaths, 0);
    assert_int_equal(restart_after_death(&r, false, 5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_never_lives_waits_longer),
        cmocka_unit_test(who_was_well_is_followed_soon),
        cmocka_unit_test(a_sign_of_life_ends_the_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
