#include "expect.h"

#include "base/crc32c.h"

/* Bit by bit, from the definition. */
static uint32_t slowly(uint32_t crc, struct span s)
{
    crc = ~crc;
    for (size_t i = 0; i < s.len; i++) {
        crc ^= s.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* RFC 3720 B.4. */
static void known_answers(void **state)
{
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(crc32c(0, SPAN("")), 0);
    assert_int_equal(crc32c(0, (struct span){NULL, 0}), 0);
    assert_int_equal(crc32c(0, SPAN("123456789")), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc32c(0, span_of(bytes, 32)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c(0, span_of(bytes, 32)), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(crc32c(0, span_of(bytes, 32)), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(0, span_of(bytes, 32)), 0x113fdb5c);
}

static void all_ways_agree(void **state)
{
    (void)state;
    uint8_t bytes[300];
    uint32_t random = 12345;
    for (size_t i = 0; i < sizeof bytes; i++) {
        random = random * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(random >> 24);
    }
    for (size_t from = 0; from < 9; from++) {
        for (size_t len = 0; len < sizeof bytes - from; len++) {
            struct span s = span_of(bytes + from, len);
            uint32_t expected = slowly(random, s);
            assert_int_equal(crc32c(random, s), expected);
            assert_int_equal(crc32c_by_table(random, s), expected);
        }
    }
}

static void every_single_byte_by_table(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        assert_int_equal(crc32c_by_table(0, span_of(&byte, 1)), slowly(0, span_of(&byte, 1)));
    }
}

static void pieces_continue(void **state)
{
    (void)state;
    struct span s = SPAN("the quick brown fox jumps over the lazy dog, twice");
    uint32_t whole = crc32c(0, s);
    for (size_t at = 0; at <= s.len; at++) {
        uint32_t head = crc32c(0, span_sub(s, 0, at));
        assert_int_equal(crc32c(head, span_skip(s, at)), whole);
        assert_int_equal(crc32c_by_table(head, span_skip(s, at)), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(all_ways_agree),
        cmocka_unit_test(every_single_byte_by_table),
        cmocka_unit_test(pieces_continue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
