#include "expect.h"

#include <time.h>

#include "mail/date.h"

static void known_dates(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_ms;
        const char *text;
    } rows[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 +0000"},
        {1795496607123, "Tue, 24 Nov 2026 05:03:27 +0000"},
        {951868799999, "Tue, 29 Feb 2000 23:59:59 +0000"},
        {-1, "Wed, 31 Dec 1969 23:59:59 +0000"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 +0000"},
        {INT64_MIN, "Sat, 01 Jan 0000 00:00:00 +0000"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        char text[DATE_LEN + 1];
        date_format(rows[i].wall_ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void every_month_and_weekday(void **state)
{
    (void)state;
    for (int day = 0; day < 800; day++) {
        char text[DATE_LEN + 1], expected[64];
        time_t t = (time_t)day * 86400 + 1790000000;
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        assert_int_equal(strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S +0000", &tm),
                         DATE_LEN);
        date_format((int64_t)t * 1000, text);
        assert_string_equal(text, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dates),
        cmocka_unit_test(every_month_and_weekday),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
