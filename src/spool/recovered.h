/*
 * recovered: RECOVERED, spool -> queue: messages that were there at the start, some at a time.
 *
 * Everything pointed to is the spool's and lives until the answer. The last letter has `last` set.
 */
#ifndef SPOOL_RECOVERED_H
#define SPOOL_RECOVERED_H

#include "base/id.h"
#include "letter/letter.h"
#include "spool/envelope.h"
#include "spool/state.h"

struct recovered_message {
    struct id id;
    uint32_t version;         /* of its newest state; 0: none was written */
    bool sending;             /* a final dot may be out whose end is not in that state (RFC 1047) */
    struct envelope envelope; /* without content */
    struct message_state state; /* recipient_count 0: none was written, all wait */
};

struct recovered {
    struct letter letter;
    const struct recovered_message *messages;
    uint32_t count;
    bool last;
};

#endif
