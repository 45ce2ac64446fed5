#include "expect.h"

#include "receive/client_limit.h"

static const struct endpoint v4 = {4, {192, 0, 2, 1}, 1000}, v4_other_port = {4, {192, 0, 2, 1}, 2};
static const struct endpoint v4_other = {4, {192, 0, 2, 2}, 1000};
static const struct endpoint v6 = {6, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 9}, 1000};
static const struct endpoint v6_same_64 = {6, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 7, 7}, 1000};
static const struct endpoint v6_other_64 = {6, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, 9}, 1000};
static const struct endpoint v6_like_v4 = {6, {192, 0, 2, 1}, 1000};

static void counts_addresses_and_networks_of_64_bits(void **state)
{
    (void)state;
    const struct {
        struct endpoint first, second;
        bool is_same;
    } rows[] = {{v4, v4_other_port, true}, {v4, v4_other, false},   {v6, v6_same_64, true},
                {v6, v6_other_64, false},  {v4, v6_like_v4, false}, {{0}, {0}, true}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct client_limit l;
        client_limit_init(&l, 1, 42);
        assert_int_equal(client_limit_take(&l, rows[i].first), FAULT_NONE);
        assert_int_equal(client_limit_take(&l, rows[i].second),
                         rows[i].is_same ? FAULT_LIMIT : FAULT_NONE);
        client_limit_fini(&l);
    }
}

static void the_limit_is_exact_and_comes_back(void **state)
{
    (void)state;
    struct client_limit l;
    client_limit_init(&l, 3, 42);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++)
            assert_int_equal(client_limit_take(&l, v4), FAULT_NONE);
        assert_int_equal(client_limit_take(&l, v4), FAULT_LIMIT);
        client_limit_give(&l, v4);
        assert_int_equal(client_limit_take(&l, v4), FAULT_NONE);
        assert_int_equal(client_limit_take(&l, v4), FAULT_LIMIT);
        for (int i = 0; i < 3; i++)
            client_limit_give(&l, v4);
        assert_int_equal(l.clients.count, 0); /* nothing is kept of who has left */
    }
    client_limit_fini(&l);
    client_limit_init(&l, 0, 42);
    assert_int_equal(client_limit_take(&l, v4), FAULT_LIMIT);
    client_limit_fini(&l);
}

static void give_what_was_not_taken(void)
{
    struct client_limit l;
    client_limit_init(&l, 3, 42);
    client_limit_give(&l, v4);
}

static void misuse_aborts(void **state)
{
    (void)state;
    expect_abort(give_what_was_not_taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_addresses_and_networks_of_64_bits),
        cmocka_unit_test(the_limit_is_exact_and_comes_back),
        cmocka_unit_test(misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
