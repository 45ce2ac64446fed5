#include "expect.h"

#include "base/id.h"

static const uint8_t zeros[10];
static const uint8_t ones[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

static struct span text_of(struct id id, char text[ID_TEXT_LEN + 1])
{
    id_format(id, text);
    return span_of(text, ID_TEXT_LEN);
}

/* The example of RFC 9562 A.6: its time, and its random bits as ours are laid out. */
static void bits_are_where_the_rfc_has_them(void **state)
{
    (void)state;
    struct id_source source = {0, 0};
    const uint8_t random[10] = {0xd8, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f, 0x04, 0xc3};
    static const uint8_t expected[16] = {0x01, 0x7f, 0x22, 0xe2, 0x79, 0xb0, 0x74, 0xc3,
                                         0x98, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    struct id id = id_next(&source, UINT64_C(0x017f22e279b0), random);
    assert_memory_equal(id.bytes, expected, 16);
    assert_int_equal(id_wall_ms(id), UINT64_C(0x017f22e279b0));
    assert_ptr_equal(id_span(&id).data, id.bytes);
    assert_int_equal(id_span(&id).len, 16);
}

static void version_and_variant_hold_for_all_random_bytes(void **state)
{
    (void)state;
    struct id_source source = {0, 0};
    for (unsigned i = 0; i < 2; i++) {
        struct id id = id_next(&source, 1000, i == 0 ? zeros : ones);
        assert_int_equal(id.bytes[6] >> 4, 7);
        assert_int_equal(id.bytes[8] >> 6, 2);
    }
}

/* The clock stands, goes back, and jumps; a burst fills the counter. */
static void ids_rise_whatever_the_clock_does(void **state)
{
    (void)state;
    struct id_source source = {0, 0};
    uint64_t wall_ms = 1700000000000;
    struct id last = id_next(&source, wall_ms, ones);
    for (unsigned i = 0; i < 30000; i++) {
        if (i == 10000)
            wall_ms -= 3600000;
        if (i == 20000)
            wall_ms += 7200000;
        struct id id = id_next(&source, wall_ms, i % 2 == 0 ? zeros : ones);
        char earlier[ID_TEXT_LEN + 1], later[ID_TEXT_LEN + 1];
        assert_true(id_compare(last, id) < 0);
        assert_true(span_compare(text_of(last, earlier), text_of(id, later)) < 0);
        last = id;
    }
    assert_int_equal(id_wall_ms(last) / 1000, (wall_ms + 3) / 1000);
}

static void known_texts(void **state)
{
    (void)state;
    struct id id = {{0}};
    char text[ID_TEXT_LEN + 1];
    expect_span(text_of(id, text), SPAN("00000000000000000000000000"));
    memset(id.bytes, 0xff, sizeof id.bytes);
    expect_span(text_of(id, text), SPAN("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"));
    memset(id.bytes, 0, sizeof id.bytes);
    id.bytes[15] = 33;
    expect_span(text_of(id, text), SPAN("00000000000000000000000011"));
    for (uint8_t i = 0; i < 16; i++)
        id.bytes[i] = (uint8_t)(i * 17);
    expect_span(text_of(id, text), SPAN("0024H36H2NCSVRH6DAQF6DVVQZ"));
}

static void text_and_back(void **state)
{
    (void)state;
    struct id_source source = {0, 0};
    uint8_t random[10];
    for (unsigned i = 0; i < 1000; i++) {
        char text[ID_TEXT_LEN + 1];
        struct id parsed;
        for (unsigned k = 0; k < 10; k++)
            random[k] = (uint8_t)(i * 31 + k * 97 + i * k);
        struct id id = id_next(&source, i * UINT64_C(987654321), random);
        struct span formatted = text_of(id, text);
        assert_int_equal(strlen(text), ID_TEXT_LEN);
        assert_true(id_parse(formatted, &parsed));
        assert_true(id_equal(id, parsed));
        assert_int_equal(id_compare(id, parsed), 0);
        for (char *c = text; *c != '\0'; c++)
            *c = (char)byte_lower((uint8_t)*c);
        assert_true(id_parse(formatted, &parsed));
        assert_true(id_equal(id, parsed));
    }
}

static void what_is_no_id_is_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "0",
        "0000000000000000000000000",   /* 25 */
        "000000000000000000000000000", /* 27 */
        "80000000000000000000000000",  /* 2^128 */
        "ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "0000000000000000000000000I",
        "0000000000000000000000000l",
        "0000000000000000000000000O",
        "0000000000000000000000000u",
        "0000000000000-000000000000",
        " 0000000000000000000000000",
        "0000000000000000000000000 ",
        "0000000000000000000000000\xff",
    };
    const struct id before = {{42}};
    for (size_t i = 0; i < ROWS(refused); i++) {
        struct id id = before;
        assert_false(id_parse(span_text(refused[i]), &id));
        assert_true(id_equal(id, before));
    }
    struct id id;
    assert_false(id_parse(SPAN("0000000000000\0"
                               "000000000000"),
                          &id));
}

/* Every bit counts, in the low bits of the hash, which tables use: of ids that differ in two bytes,
 * wherever these are, no bucket of a half full table gets many. */
static void a_hash_spreads_ids_that_differ_anywhere(void **state)
{
    (void)state;
    enum { BUCKETS = 4096 };
    for (size_t at = 0; at + 1 < sizeof(struct id); at++) {
        static uint8_t buckets[BUCKETS];
        memset(buckets, 0, sizeof buckets);
        for (unsigned n = 0; n < BUCKETS / 2; n++) {
            struct id id = {{0}};
            id.bytes[at] = (uint8_t)n;
            id.bytes[at + 1] = (uint8_t)(n >> 8);
            assert_true(++buckets[id_hash(id) % BUCKETS] <= 8);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_where_the_rfc_has_them),
        cmocka_unit_test(version_and_variant_hold_for_all_random_bytes),
        cmocka_unit_test(ids_rise_whatever_the_clock_does),
        cmocka_unit_test(known_texts),
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(a_hash_spreads_ids_that_differ_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
