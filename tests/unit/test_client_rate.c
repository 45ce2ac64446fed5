/* How often a client may come in a minute: the bucket's edge, its filling, and what is forgotten.
 */
#include "expect.h"

#include "receive/client_rate.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)

static struct client_rates rates;

static int begin(void **state)
{
    (void)state;
    client_rates_init(&rates, 7);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    client_rates_fini(&rates);
    return 0;
}

static struct endpoint client(uint32_t n)
{
    return (struct endpoint){.family = 4,
                             .ip = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

static bool take(uint32_t n, uint32_t per_minute, int64_t now_us)
{
    bool is_over = client_rate_is_over(&rates, client(n), RATE_MESSAGES, per_minute, now_us);
    if (!is_over)
        client_rate_count(&rates, client(n), RATE_MESSAGES, per_minute, now_us);
    return !is_over;
}

static void a_minutes_worth_at_once_and_then_evenly(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        assert_true(take(1, 6, MINUTE));
    assert_false(take(1, 6, MINUTE));
    assert_false(take(1, 6, MINUTE + 10 * SECOND - 1));
    assert_true(take(1, 6, MINUTE + 10 * SECOND));
    assert_false(take(1, 6, MINUTE + 19 * SECOND));
    assert_true(take(1, 6, MINUTE + 40 * SECOND));
    assert_true(take(1, 6, MINUTE + 40 * SECOND));
    assert_true(take(1, 6, MINUTE + 40 * SECOND));
    assert_false(take(1, 6, MINUTE + 40 * SECOND));
    for (int i = 0; i < 6; i++) /* never more than a minute's worth */
        assert_true(take(1, 6, 100 * MINUTE));
    assert_false(take(1, 6, 100 * MINUTE));
}

static void each_client_and_each_thing_has_its_own(void **state)
{
    (void)state;
    assert_true(take(1, 1, 0));
    assert_false(take(1, 1, 0));
    assert_true(take(2, 1, 0));
    assert_false(client_rate_is_over(&rates, client(1), RATE_SESSIONS, 1, 0));
    client_rate_count(&rates, client(1), RATE_SESSIONS, 1, 0);
    assert_true(client_rate_is_over(&rates, client(1), RATE_SESSIONS, 1, 0));
}

static void a_network_of_64_bits_is_one_client(void **state)
{
    (void)state;
    struct endpoint a = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 1}};
    struct endpoint same = a, other = a;
    same.ip[15] = 9;
    other.ip[7] = 2;
    client_rate_count(&rates, a, RATE_MESSAGES, 1, 0);
    assert_true(client_rate_is_over(&rates, same, RATE_MESSAGES, 1, 0));
    assert_false(client_rate_is_over(&rates, other, RATE_MESSAGES, 1, 0));
}

static void no_limit_remembers_nobody(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(take(1, 0, 0));
    assert_int_equal(rates.clients.count, 0);
}

static void who_is_back_at_nothing_is_forgotten(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(take(i, 10, 0));
    assert_int_equal(rates.clients.count, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(take(5000 + i, 10, MINUTE));
    assert_int_equal(rates.clients.count, 1000);
    assert_true(take(0, 10, MINUTE));
}

static void a_crowd_is_remembered_within_a_bound(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CLIENT_RATES_MAX + 1000; i++) {
        assert_true(take(i, 1, i));
        assert_true(rates.clients.count <= CLIENT_RATES_MAX);
    }
    assert_true(take(0, 1, CLIENT_RATES_MAX + 1000));                       /* forgotten */
    assert_false(take(CLIENT_RATES_MAX + 999, 1, CLIENT_RATES_MAX + 1000)); /* not yet */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_minutes_worth_at_once_and_then_evenly), CASE(each_client_and_each_thing_has_its_own),
        CASE(a_network_of_64_bits_is_one_client),      CASE(no_limit_remembers_nobody),
        CASE(who_is_back_at_nothing_is_forgotten),     CASE(a_crowd_is_remembered_within_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
