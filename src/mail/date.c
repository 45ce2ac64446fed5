/*
 * date: see date.h.
 */
#include "mail/date.h"

#include <string.h>

#include "base/calendar.h"

static const char day_names[] = "SunMonTueWedThuFriSat";
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static void put_number(char *to, int value, size_t width)
{
    for (size_t i = width; i > 0; i--, value /= 10)
        to[i - 1] = (char)('0' + value % 10);
}

void date_format(int64_t wall_ms, char text_out[DATE_LEN + 1])
{
    struct calendar c = calendar_of(wall_ms);
    memcpy(text_out, "Day, 00 Mon 0000 00:00:00 +0000", DATE_LEN + 1);
    memcpy(text_out, day_names + 3 * c.weekday, 3);
    put_number(text_out + 5, c.day, 2);
    memcpy(text_out + 8, month_names + 3 * (c.month - 1), 3);
    put_number(text_out + 12, c.year, 4);
    put_number(text_out + 17, c.hour, 2);
    put_number(text_out + 20, c.minute, 2);
    put_number(text_out + 23, c.second, 2);
}
