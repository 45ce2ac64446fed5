/*
 * calendar: see calendar.h.
 */
#include "base/calendar.h"

#include <stddef.h>

#define MS_PER_DAY    INT64_C(86400000)
#define YEAR_0_MS     INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define YEAR_9999_MS  INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */
#define DAYS_PER_ERA  146097                   /* 400 years */
#define DAYS_TO_EPOCH 719468                   /* from 0000-03-01 to 1970-01-01 */

/*
 * Years are counted from 1 March, so that the leap day is the last of its year, and in eras of 400
 * years, which are all of one length.
 * The month follows from the day of such a year since the months from March on have 31, 30, 31, 30,
 * 31 days, and again: 153 in five.
 */
static void set_date(struct calendar *c, int64_t days_since_1970)
{
    int64_t days = days_since_1970 + DAYS_TO_EPOCH;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int day_of_era = (int)(days - era * DAYS_PER_ERA);
    int year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int months_since_march = (5 * day_of_year + 2) / 153;
    c->day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    c->month = months_since_march < 10 ? months_since_march + 3 : months_since_march - 9;
    c->year = (int)(era * 400) + year_of_era + (c->month <= 2 ? 1 : 0);
    int64_t weekday = (days_since_1970 + 4) % 7; /* 1970-01-01 was a Thursday */
    c->weekday = (int)(weekday < 0 ? weekday + 7 : weekday);
}

struct calendar calendar_of(int64_t wall_ms)
{
    struct calendar c;
    if (wall_ms < YEAR_0_MS)
        wall_ms = YEAR_0_MS;
    if (wall_ms > YEAR_9999_MS)
        wall_ms = YEAR_9999_MS;
    int64_t days = wall_ms / MS_PER_DAY;
    int64_t rest = wall_ms % MS_PER_DAY;
    if (rest < 0) {
        rest += MS_PER_DAY;
        days--;
    }
    set_date(&c, days);
    c.hour = (int)(rest / 3600000);
    c.minute = (int)(rest / 60000 % 60);
    c.second = (int)(rest / 1000 % 60);
    c.millisecond = (int)(rest % 1000);
    return c;
}

static char *put_digits(char *to, int value, size_t width, char after)
{
    for (size_t i = width; i > 0; i--) {
        to[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    to[width] = after;
    return to + width + 1;
}

void calendar_format_iso(int64_t wall_ms, char text_out[CALENDAR_ISO_LEN + 1])
{
    struct calendar c = calendar_of(wall_ms);
    char *to = put_digits(text_out, c.year, 4, '-');
    to = put_digits(to, c.month, 2, '-');
    to = put_digits(to, c.day, 2, 'T');
    to = put_digits(to, c.hour, 2, ':');
    to = put_digits(to, c.minute, 2, ':');
    to = put_digits(to, c.second, 2, '.');
    to = put_digits(to, c.millisecond, 3, 'Z');
    *to = '\0';
}
