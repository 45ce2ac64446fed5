/*
 * date: the date and time of header fields (RFC 5322 3.3), always in UTC. Pure, any thread.
 *
 * ISO dates are base/calendar's.
 */
#ifndef MAIL_DATE_H
#define MAIL_DATE_H

#include <stdint.h>

#define DATE_LEN 31

/* "Tue, 24 Nov 2026 05:03:27 +0000", NUL-terminated, from Unix milliseconds. */
void date_format(int64_t wall_ms, char text_out[DATE_LEN + 1]);

#endif
