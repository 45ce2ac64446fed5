#include "expect.h"

#include <time.h>

#include "base/calendar.h"

static void known_times(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_ms;
        const char *text;
        int weekday;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z", 4},
        {-1, "1969-12-31T23:59:59.999Z", 3},
        {1795496607123, "2026-11-24T05:03:27.123Z", 2},
        {951782400000, "2000-02-29T00:00:00.000Z", 2},
        {951868800000, "2000-03-01T00:00:00.000Z", 3},
        {4107542399999, "2100-02-28T23:59:59.999Z", 0},
        {4107542400000, "2100-03-01T00:00:00.000Z", 1},
        {1709164800000, "2024-02-29T00:00:00.000Z", 4},
        {1735689599999, "2024-12-31T23:59:59.999Z", 2},
        {-62167219200000, "0000-01-01T00:00:00.000Z", 6},
        {-62167219200001, "0000-01-01T00:00:00.000Z", 6}, /* limit + 1 */
        {253402300799999, "9999-12-31T23:59:59.999Z", 5},
        {253402300800000, "9999-12-31T23:59:59.999Z", 5}, /* limit + 1 */
        {INT64_MIN, "0000-01-01T00:00:00.000Z", 6},
        {INT64_MAX, "9999-12-31T23:59:59.999Z", 5},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        char text[CALENDAR_ISO_LEN + 1];
        calendar_format_iso(rows[i].wall_ms, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(calendar_of(rows[i].wall_ms).weekday, rows[i].weekday);
    }
}

/* The C library's own arithmetic, on every day of six centuries at a time that wanders. */
static void agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t day = -100000; day < 120000; day++) {
        int64_t seconds = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        time_t t = (time_t)seconds;
        struct tm tm;
        struct calendar c = calendar_of(seconds * 1000 + 7);
        assert_non_null(gmtime_r(&t, &tm));
        if (c.year != tm.tm_year + 1900 || c.month != tm.tm_mon + 1 || c.day != tm.tm_mday ||
            c.weekday != tm.tm_wday || c.hour != tm.tm_hour || c.minute != tm.tm_min ||
            c.second != tm.tm_sec || c.millisecond != 7)
            fail_msg("day %lld", (long long)day);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times),
        cmocka_unit_test(agrees_with_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
