/*
 * state: the payload of OUTCOME and CONTROL records: where every recipient of a message stands.
 *
 * A state is whole: it replaces every older one, so that recovery needs only the newest (highest
 * version) and compaction merges nothing. Equal neighbours are one run on disk, so 1,000 recipients
 * deferred for one reason cost 30 bytes. Reply texts are kept once each. Pure. Limits:
 * STATE_REPLIES_MAX texts of STATE_REPLY_BYTES_MAX; the number of recipients is that of the
 * envelope, given by the caller.
 */
#ifndef SPOOL_STATE_H
#define SPOOL_STATE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"

#define STATE_REPLIES_MAX     1000u
#define STATE_REPLY_BYTES_MAX 1024u
#define STATE_NO_REPLY        UINT16_MAX

enum recipient_standing {
    RECIPIENT_WAITING = 1, /* to be tried at due_wall_ms, for the first time or again */
    RECIPIENT_DELIVERED = 2,
    RECIPIENT_FAILED = 3, /* told the sender, or nobody is to be told */
    RECIPIENT_REMOVED = 4 /* by an operator's command */
};

/* What the sender, who asked for it, is still to be told of a recipient that is DELIVERED. */
enum recipient_report {
    REPORT_NONE = 0,
    REPORT_DELIVERED = 1,
    REPORT_RELAYED = 2, /* to a host that sends no report of its own (RFC 3461 5.2.2) */
    REPORT_EXPANDED = 3
};

struct recipient_state {
    enum recipient_standing standing;
    uint16_t attempts;
    uint16_t reply; /* index of the last reply's text, or STATE_NO_REPLY */
    int64_t due_wall_ms;
    enum recipient_report report;
};

struct message_state {
    bool held;
    uint8_t crashes;    /* at how many crashes it was being worked on */
    bool is_delay_told; /* its sender knows that it is late */
    bool is_delivering; /* other recipients were with a server meanwhile: a SENDING before this
                           record still counts */
    struct span reason; /* why it is held, or who changed it */
    struct recipient_state *recipients;
    uint32_t recipient_count;
    struct span *replies;
    uint16_t reply_count;
};

/* False: `out` is full. Reply texts are cut to STATE_REPLY_BYTES_MAX. */
must_use bool state_encode(const struct message_state *s, struct buffer *out);

/* recipient_count: the envelope's; a state for another number is DAMAGED. Spans point into the
 * payload, tables into the arena. NO_MEMORY when that is full. */
must_use enum fault state_decode(struct span payload, uint32_t recipient_count, struct arena *arena,
                                 struct message_state *state_out);

/* For tools that have no envelope beside it: of how many recipients it tells. False: no state. */
must_use bool state_recipient_count(struct span payload, uint32_t *count_out);

#endif
