/*
 * notify: what a sender wants to be told about a recipient (RFC 3461 4.1), and how much of the
 * message comes back with it (4.3).
 *
 * Values are written to the spool: never renumbered.
 */
#ifndef MAIL_NOTIFY_H
#define MAIL_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* A set; 0: nothing was said, which asks for failures and delays (RFC 3461 4.1). */
enum notify {
    NOTIFY_NEVER = 1,
    NOTIFY_SUCCESS = 2,
    NOTIFY_FAILURE = 4,
    NOTIFY_DELAY = 8,
    /* Not asked for by anybody: this is the name of a list, whose members stand beside it in the
       envelope. It is delivered nowhere; its sender, who asked for SUCCESS, is told of the
       expansion (RFC 3461 5.2.7.3). */
    NOTIFY_EXPANDED = 16
};

/* Of a whole message. */
enum notify_return { RETURN_UNSAID = 0, RETURN_FULL = 1, RETURN_HEADERS = 2 };

/* May this be told of a recipient with this set? `what`: one of SUCCESS, FAILURE, DELAY. */
static inline bool notify_wants(uint8_t set, enum notify what)
{
    return (set == 0 ? NOTIFY_FAILURE | NOTIFY_DELAY : set) & what;
}

#define NOTIFY_TEXT_MAX 40 /* NEVER,SUCCESS,FAILURE,DELAY would fit, though it never is said */

/* As RCPT says it, "SUCCESS,DELAY"; empty when nothing was said. Points into text_out. */
struct span notify_text(uint8_t set, char text_out[NOTIFY_TEXT_MAX]);
/* As MAIL says it; empty when nothing was said. */
struct span notify_return_text(enum notify_return ret);

#endif
