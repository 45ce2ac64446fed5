/* Silent addresses: how long, how many, and which makes room. */
#include "expect.h"

#include "deliver/silence.h"

static struct silence silence;

static struct endpoint at(uint32_t number)
{
    return (struct endpoint){
        4, {10, 0, (uint8_t)(number >> 8), (uint8_t)number}, (uint16_t)(25 + number / 65536)};
}

static void for_a_time(void **state)
{
    (void)state;
    silence = (struct silence){.count = 0};
    assert_false(silence_has(&silence, at(1), 0));
    assert_true(silence_add(&silence, at(1), 1000));
    assert_true(silence_has(&silence, at(1), 1000));
    assert_true(silence_has(&silence, at(1), 1000 + SILENCE_MS * 1000 - 1));
    assert_false(silence_has(&silence, at(1), 1000 + SILENCE_MS * 1000));
    assert_false(silence_has(&silence, at(2), 1000));
    assert_false(silence_add(&silence, at(1), 2000)); /* again: longer */
    assert_true(silence_has(&silence, at(1), 1000 + SILENCE_MS * 1000));
    assert_true(silence_add(&silence, at(1), 2000 + SILENCE_MS * 1000)); /* it was over */
    assert_int_equal(silence.count, 1);
    silence_remove(&silence, at(2));
    silence_remove(&silence, at(1));
    silence_remove(&silence, at(1));
    assert_false(silence_has(&silence, at(1), 1000));
    assert_int_equal(silence.count, 0);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    silence = (struct silence){.count = 0};
    for (uint32_t i = 0; i < SILENCE_MAX; i++)
        assert_true(silence_add(&silence, at(i), (i * 7 + 3) % SILENCE_MAX));
    assert_true(silence_add(&silence, at(1000), 5000));
    assert_int_equal(silence.count, SILENCE_MAX);
    uint32_t gone = 0;
    for (uint32_t i = 0; i < SILENCE_MAX; i++)
        if (!silence_has(&silence, at(i), 5000)) {
            gone++;
            assert_int_equal((i * 7 + 3) % SILENCE_MAX, 0);
        }
    assert_int_equal(gone, 1);
    assert_true(silence_has(&silence, at(1000), 5000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_a_time),
        cmocka_unit_test(the_oldest_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
