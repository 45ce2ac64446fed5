#include "expect.h"

#include "base/span.h"

static const struct span null_span = {NULL, 0};

static void sub_never_leaves_its_span(void **state)
{
    (void)state;
    static const struct {
        size_t from, len;
        const char *expected;
    } rows[] = {
        {0, 5, "hello"},      {0, 0, ""},
        {1, 3, "ell"},        {4, 1, "o"},
        {4, 2, "o"},          {5, 1, ""},
        {6, 1, ""},           {0, SIZE_MAX, "hello"},
        {SIZE_MAX, 1, ""},    {SIZE_MAX, SIZE_MAX, ""},
        {2, SIZE_MAX, "llo"},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_span(span_sub(SPAN("hello"), rows[i].from, rows[i].len),
                    span_text(rows[i].expected));
    expect_span(span_sub(null_span, 0, 1), null_span);
    expect_span(span_skip(null_span, 1), null_span);
    expect_span(span_skip(SPAN("hello"), 4), SPAN("o"));
    expect_span(span_skip(SPAN("hello"), SIZE_MAX), SPAN(""));
}

static void trim_takes_blanks_only(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},     {" ", ""},          {" \t ", ""},         {"a", "a"},
        {" a ", "a"}, {"\ta b\t", "a b"}, {"\r\n a", "\r\n a"}, {"a\r\n", "a\r\n"},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_span(span_trim(span_text(rows[i][0])), span_text(rows[i][1]));
    expect_span(span_trim(null_span), null_span);
}

static void equality(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal, nocase;
    } rows[] = {
        {"", "", true, true},           {"a", "a", true, true},   {"a", "A", false, true},
        {"Ab1", "aB1", false, true},    {"a", "b", false, false}, {"a", "ab", false, false},
        {"", "a", false, false},        {"[", "{", false, false}, {"@", "`", false, false},
        {"\xc4", "\xe4", false, false}, /* no case beyond ASCII */
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct span a = span_text(rows[i].a), b = span_text(rows[i].b);
        assert_int_equal(span_equal(a, b), rows[i].equal);
        assert_int_equal(span_equal(b, a), rows[i].equal);
        assert_int_equal(span_equal_nocase(a, b), rows[i].nocase);
    }
    assert_true(span_equal(null_span, SPAN("")));
    assert_true(span_equal_nocase(null_span, SPAN("")));
    assert_false(span_equal(SPAN("a\0b"), SPAN("a\0c")));
}

static void beginnings_and_ends(void **state)
{
    (void)state;
    assert_true(span_starts_with(SPAN("MAIL FROM"), SPAN("MAIL")));
    assert_true(span_starts_with(SPAN("x"), null_span));
    assert_false(span_starts_with(SPAN("MAI"), SPAN("MAIL")));
    assert_false(span_starts_with(SPAN("mail"), SPAN("MAIL")));
    assert_true(span_starts_with_nocase(SPAN("mail from"), SPAN("MAIL")));
    assert_false(span_starts_with_nocase(SPAN("mai"), SPAN("MAIL")));
    assert_false(span_starts_with_nocase(SPAN("mall"), SPAN("MAIL")));
    assert_true(span_ends_with_nocase(SPAN("a.Example"), SPAN(".EXAMPLE")));
    assert_true(span_ends_with_nocase(SPAN("x"), SPAN("")));
    assert_false(span_ends_with_nocase(SPAN("xample"), SPAN("example")));
    assert_false(span_ends_with_nocase(SPAN("a.examples"), SPAN("example")));
}

static void order(void **state)
{
    (void)state;
    static const char *const rising[] = {"", "A", "AB", "B", "a", "ab", "b", "\xff"};
    for (size_t i = 0; i < ROWS(rising); i++) {
        for (size_t k = 0; k < ROWS(rising); k++)
            assert_int_equal(span_compare(span_text(rising[i]), span_text(rising[k])),
                             (i > k) - (i < k));
    }
    assert_int_equal(span_compare(null_span, SPAN("")), 0);
}

static void finding(void **state)
{
    (void)state;
    struct span s = SPAN("a,b,,c");
    assert_int_equal(span_find_byte(s, ',', 0), 1);
    assert_int_equal(span_find_byte(s, ',', 1), 1);
    assert_int_equal(span_find_byte(s, ',', 2), 3);
    assert_int_equal(span_find_byte(s, ',', 5), 6);
    assert_int_equal(span_find_byte(s, 'x', 0), 6);
    assert_int_equal(span_find_byte(s, ',', 100), 6);
    assert_int_equal(span_find_byte(null_span, ',', 0), 0);
    assert_int_equal(span_find(s, SPAN(",,"), 0), 3);
    assert_int_equal(span_find(s, SPAN(",c"), 4), 4);
    assert_int_equal(span_find(s, SPAN(",c"), 5), 6);
    assert_int_equal(span_find(s, SPAN("a,b,,cd"), 0), 6);
    assert_int_equal(span_find(s, SPAN(""), 2), 2);
    assert_int_equal(span_find(s, s, 0), 0);
    assert_int_equal(span_find(s, SPAN("a"), SIZE_MAX), 6);
    assert_int_equal(span_find(null_span, SPAN("a"), 0), 0);
}

static void splitting(void **state)
{
    (void)state;
    static const struct {
        const char *text, *head, *rest;
    } rows[] = {
        {"a,b", "a", "b"}, {"a,b,c", "a", "b,c"}, {"a", "a", ""},  {"", "", ""},
        {",", "", ""},     {"a,", "a", ""},       {",b", "", "b"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct span head;
        struct span rest = span_split(span_text(rows[i].text), ',', &head);
        expect_span(head, span_text(rows[i].head));
        expect_span(rest, span_text(rows[i].rest));
    }
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", 0, true, 0},
        {"000", 5, true, 0},
        {"10", 10, true, 10},
        {"11", 10, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"18446744073709551620", UINT64_MAX, false, 0},
        {"99999999999999999999999", UINT64_MAX, false, 0},
        {"", 10, false, 0},
        {"-1", 10, false, 0},
        {"+1", 10, false, 0},
        {" 1", 10, false, 0},
        {"1 ", 10, false, 0},
        {"1a", 10, false, 0},
        {"0x1", 10, false, 0},
        {"/", 10, false, 0},
        {":", 10, false, 0},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        uint64_t value = 77;
        assert_int_equal(span_parse_u64(span_text(rows[i].text), rows[i].max, &value), rows[i].ok);
        assert_int_equal(value, rows[i].ok ? rows[i].value : 77);
    }
}

static void lower_case_is_ascii(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned expected = byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;
        assert_int_equal(byte_lower((uint8_t)byte), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sub_never_leaves_its_span),
        cmocka_unit_test(trim_takes_blanks_only),
        cmocka_unit_test(equality),
        cmocka_unit_test(beginnings_and_ends),
        cmocka_unit_test(order),
        cmocka_unit_test(finding),
        cmocka_unit_test(splitting),
        cmocka_unit_test(numbers),
        cmocka_unit_test(lower_case_is_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
