/*
 * status: enhanced status codes (RFC 3463; RFC 2034 for where they stand in replies). Pure, any
 * thread.
 */
#ifndef MAIL_STATUS_H
#define MAIL_STATUS_H

#include "base/fault.h"
#include "base/span.h"

#define STATUS_TEXT_MAX 9 /* 5.999.999 */

struct status {
    uint8_t class; /* 2, 4 or 5 */
    uint16_t subject;
    uint16_t detail;
};

/* "5.1.1" and nothing else; *status_out is set only on true. */
must_use bool status_parse(struct span text, struct status *status_out);

/* NUL-terminated. Numbers out of range (a damaged record) come out as some code, never longer. */
void status_format(struct status s, char text_out[STATUS_TEXT_MAX + 1]);

/*
 * Of a reply that a peer gave: the code at the start of its text when there is one and it is of the
 * reply's class (RFC 2034 4), else what the three digits alone mean. A code that is no SMTP final
 * reply gives 4.5.0: doubt is temporary.
 */
struct status status_of_reply(int code, struct span text);

struct status status_of_fault(enum fault f);
bool status_equal(struct status a, struct status b);

#endif
