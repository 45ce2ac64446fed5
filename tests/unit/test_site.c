/* site: the window, the back-off and the probe. */
#include "queue/site.h"

#include "expect.h"

static const struct site_limits limits = {
    .connections_max = 20, .retry_first_ms = 300000, .retry_max_ms = 14400000};

static struct site *new_site(void)
{
    struct site *s = site_new(SPAN("mx.b.test:25"), &limits, 7);
    assert_non_null(s);
    return s;
}

static void begins_well(void **state)
{
    (void)state;
    struct site *s = new_site();
    expect_span(site_key(s), SPAN("mx.b.test:25"));
    assert_int_equal(s->state, SITE_WELL);
    assert_int_equal(site_window(s), QUEUE_WINDOW_FIRST);
    for (uint32_t i = 0; i < QUEUE_WINDOW_FIRST; i++) {
        assert_true(site_may_start(s));
        (void)site_on_start(s);
    }
    assert_false(site_may_start(s));
    site_on_end(s);
    assert_true(site_may_start(s));
    for (uint32_t i = 1; i < QUEUE_WINDOW_FIRST; i++)
        site_on_end(s);
    site_free(s);
}

static void window_never_passes_a_small_limit(void **state)
{
    (void)state;
    struct site_limits small = limits;
    small.connections_max = 2;
    struct site *s = site_new(SPAN("x"), &small, 7);
    assert_non_null(s);
    assert_int_equal(site_window(s), 2);
    for (int i = 0; i < 100; i++)
        (void)site_on_well(s, true, &small);
    assert_int_equal(site_window(s), 2);
    site_free(s);
}

static void window_grows_by_one_for_a_windowful(void **state)
{
    (void)state;
    struct site *s = new_site();
    for (uint32_t window = QUEUE_WINDOW_FIRST; window < limits.connections_max; window++) {
        uint32_t taken = 0;
        while (site_window(s) == window) {
            assert_false(site_on_well(s, true, &limits));
            taken++;
        }
        assert_true(taken >= window && taken <= window + 3);
    }
    for (int i = 0; i < 1000; i++)
        (void)site_on_well(s, true, &limits);
    assert_int_equal(site_window(s), limits.connections_max);
    site_free(s);
}

static void refusing_recipients_does_not_grow_it(void **state)
{
    (void)state;
    struct site *s = new_site();
    for (int i = 0; i < 1000; i++)
        (void)site_on_well(s, false, &limits);
    assert_int_equal(site_window(s), QUEUE_WINDOW_FIRST);
    site_free(s);
}

/* Of all that fail together only the first one counts. */
static void one_backoff_for_all_that_fail_together(void **state)
{
    (void)state;
    struct site *s = new_site();
    for (int i = 0; i < 100; i++)
        (void)site_on_well(s, true, &limits);
    uint32_t window = site_window(s);
    uint32_t generations[4];
    for (size_t i = 0; i < ROWS(generations); i++)
        generations[i] = site_on_start(s);
    for (size_t i = 0; i < ROWS(generations); i++) {
        site_on_end(s);
        int64_t backoff_ms = site_on_fault(s, generations[i], &limits, 0);
        assert_int_equal(backoff_ms > 0, i == 0);
        assert_int_equal(s->state, SITE_BACKOFF);
        assert_false(site_may_start(s));
    }
    assert_in_range(site_window(s), window / 2, window / 2 + 1);
    assert_int_equal(s->faults, 1);
    site_free(s);
}

static void probes_one_at_a_time_and_doubles(void **state)
{
    (void)state;
    struct site *s = new_site();
    uint32_t generation = site_on_start(s);
    site_on_end(s);
    int64_t expected_ms = SITE_BACKOFF_FIRST_MS;
    for (int i = 0; i < 20; i++) {
        int64_t backoff_ms = site_on_fault(s, generation, &limits, 12345);
        assert_in_range(backoff_ms, expected_ms * 9 / 10, expected_ms * 11 / 10);
        expected_ms = expected_ms * 2 < limits.retry_max_ms ? expected_ms * 2 : limits.retry_max_ms;
        assert_false(site_may_start(s));
        site_on_time(s);
        assert_int_equal(s->state, SITE_PROBE);
        assert_true(site_may_start(s));
        generation = site_on_start(s);
        assert_false(site_may_start(s)); /* one probe before the flood */
        site_on_end(s);
    }
    assert_true(site_window(s) >= 1);
    assert_true(site_on_well(s, true, &limits));
    assert_int_equal(s->state, SITE_WELL);
    assert_int_equal(s->faults, 0);
    assert_true(site_may_start(s));
    site_free(s);
}

static void first_backoff_is_not_longer_than_the_first_retry(void **state)
{
    (void)state;
    struct site_limits quick = {
        .connections_max = 20, .retry_first_ms = 1000, .retry_max_ms = 5000};
    struct site *s = new_site();
    assert_in_range(site_on_fault(s, site_on_start(s), &quick, 5), 900, 1100);
    site_free(s);
}

/* A delivery that began before the back-off ends well: the site is there. */
static void old_success_ends_it(void **state)
{
    (void)state;
    struct site *s = new_site();
    uint32_t bad = site_on_start(s);
    (void)site_on_start(s);
    assert_true(site_on_fault(s, bad, &limits, 0) > 0);
    assert_true(site_on_well(s, true, &limits));
    assert_int_equal(s->state, SITE_WELL);
    /* And one that began before it and ends badly only now says nothing about the present. */
    assert_int_equal(site_on_fault(s, bad, &limits, 0), 0);
    assert_int_equal(s->state, SITE_WELL);
    site_free(s);
}

static void old_fault_does_not_end_a_probe(void **state)
{
    (void)state;
    struct site *s = new_site();
    uint32_t old = site_on_start(s);
    assert_true(site_on_fault(s, old, &limits, 0) > 0);
    site_on_time(s);
    (void)site_on_start(s);
    assert_int_equal(site_on_fault(s, old, &limits, 0), 0);
    assert_int_equal(s->state, SITE_PROBE);
    assert_false(site_may_start(s));
    site_free(s);
}

static void start_in_backoff(void)
{
    struct site *s = site_new(SPAN("x"), &limits, 7);
    (void)site_on_fault(s, site_on_start(s), &limits, 0);
    (void)site_on_start(s);
}

static void end_without_start(void)
{
    site_on_end(site_new(SPAN("x"), &limits, 7));
}

static void programmers_errors(void **state)
{
    (void)state;
    expect_abort(start_in_backoff);
    expect_abort(end_without_start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_well),
        cmocka_unit_test(window_never_passes_a_small_limit),
        cmocka_unit_test(window_grows_by_one_for_a_windowful),
        cmocka_unit_test(refusing_recipients_does_not_grow_it),
        cmocka_unit_test(one_backoff_for_all_that_fail_together),
        cmocka_unit_test(probes_one_at_a_time_and_doubles),
        cmocka_unit_test(first_backoff_is_not_longer_than_the_first_retry),
        cmocka_unit_test(old_success_ends_it),
        cmocka_unit_test(old_fault_does_not_end_a_probe),
        cmocka_unit_test(programmers_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
