#include "expect.h"

#include "mail/status.h"

static void codes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct status status;
        const char *formatted;
    } rows[] = {
        {"2.0.0", {2, 0, 0}, "2.0.0"},    {"4.2.1", {4, 2, 1}, "4.2.1"},
        {"5.7.26", {5, 7, 26}, "5.7.26"}, {"5.999.999", {5, 999, 999}, "5.999.999"},
        {"5.01.001", {5, 1, 1}, "5.1.1"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct status s;
        char text[STATUS_TEXT_MAX + 1];
        assert_true(status_parse(span_text(rows[i].text), &s));
        assert_true(status_equal(s, rows[i].status));
        status_format(s, text);
        assert_string_equal(text, rows[i].formatted);
    }
}

static void refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",        "5",        "5.",       "5.1",     "5.1.",   "5..1",  ".1.1",  "5.1.1.",
        "5.1.1.1", "5.1.1 ",   " 5.1.1",   "5.1.1 x", "1.1.1",  "3.1.1", "0.1.1", "6.1.1",
        "55.1.1",  "5.1000.1", "5.1.1000", "5.-1.1",  "5.a.1",  "5.1.a", "5,1,1", "5.1.1\r",
        "a.1.1",   "\xff.1.1", "5.1. 1",   "5 .1.1",  "#5.1.1",
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct status s = {.class = 9};
        assert_false(status_parse(span_text(rows[i]), &s));
        assert_int_equal(s.class, 9);
    }
}

static void replies(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *text, *expected;
    } rows[] = {
        {550, "5.1.1 no such user", "5.1.1"},
        {550, "5.1.1", "5.1.1"},
        {550, "5.7.1\tdenied", "5.7.1"},
        {550, "5.1.1\r\n5.1.1 more", "5.1.1"},
        {250, "2.1.5 ok", "2.1.5"},
        {450, "4.2.0 later", "4.2.0"},
        {550, "no such user", "5.0.0"},
        {550, "", "5.0.0"},
        {550, "4.1.1 of another class", "5.0.0"},
        {450, "5.1.1 of another class", "4.2.0"},
        {550, "5.1.1: glued", "5.0.0"},
        {550, " 5.1.1 behind a blank", "5.0.0"},
        {550, "<a@b>: 5.1.1 later", "5.0.0"},
        {421, "closing", "4.3.2"},
        {452, "full", "4.3.1"},
        {530, "first say who you are", "5.7.0"},
        {552, "too much", "5.2.2"},
        {556, "no mail here", "5.1.10"},
        {599, "?", "5.0.0"},
        {499, "?", "4.0.0"},
        {250, "ok", "2.0.0"},
        {354, "go on", "4.5.0"},
        {0, "", "4.5.0"},
        {-550, "5.1.1", "4.5.0"},
        {199, "", "4.5.0"},
        {600, "6.1.1", "4.5.0"},
        {5500, "5.1.1", "4.5.0"},
        {354, "5.1.1", "4.5.0"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        char text[STATUS_TEXT_MAX + 1];
        status_format(status_of_reply(rows[i].code, span_text(rows[i].text)), text);
        assert_string_equal(text, rows[i].expected);
    }
}

static void every_code_has_its_own_class(void **state)
{
    (void)state;
    for (int code = -1000; code < 2000; code++) {
        struct status s = status_of_reply(code, SPAN(""));
        bool final = (code >= 200 && code < 300) || (code >= 400 && code < 600);
        assert_int_equal(s.class, final ? code / 100 : 4);
    }
}

static void faults(void **state)
{
    (void)state;
    for (int f = FAULT_NONE; f < FAULT_COUNT; f++) {
        char text[STATUS_TEXT_MAX + 1];
        status_format(status_of_fault((enum fault)f), text);
        assert_string_equal(text, fault_enhanced((enum fault)f));
    }
}

static void damaged_numbers_stay_short(void **state)
{
    (void)state;
    char text[STATUS_TEXT_MAX + 1];
    status_format((struct status){255, 65535, 65535}, text);
    assert_true(strlen(text) <= STATUS_TEXT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes),   cmocka_unit_test(refused),
        cmocka_unit_test(replies), cmocka_unit_test(every_code_has_its_own_class),
        cmocka_unit_test(faults),  cmocka_unit_test(damaged_numbers_stay_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
