/*
 * calendar: Unix milliseconds as a date and time in UTC, by arithmetic alone.
 *
 * Proleptic Gregorian calendar, no leap seconds (as Unix time has none); independent of locale and
 * time zone. Pure, any thread.
 */
#ifndef BASE_CALENDAR_H
#define BASE_CALENDAR_H

#include <stdint.h>

/* Years 0 to 9999; times outside are given as the nearest inside, since no format of ours can
   show them. */
struct calendar {
    int year;
    int month;   /* 1 to 12 */
    int day;     /* 1 to 31 */
    int weekday; /* 0 is Sunday */
    int hour;
    int minute;
    int second;
    int millisecond;
};

struct calendar calendar_of(int64_t wall_ms);

#define CALENDAR_ISO_LEN 24

/* "2026-11-24T05:03:27.123Z" (RFC 3339), NUL-terminated. */
void calendar_format_iso(int64_t wall_ms, char text_out[CALENDAR_ISO_LEN + 1]);

#endif
