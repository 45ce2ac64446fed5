/*
 * record: the bytes of one record of the spool, and of a group of records.
 *
 * Pure: takes and gives bytes. A record is a header of RECORD_HEADER_BYTES and a payload. The
 * payload's CRC-32C is computed by whoever made the payload; the header's CRC covers the header and
 * the epoch of the segment it lies in, so that the old bytes of a recycled segment can never be
 * taken for new ones, at a cost that does not depend on the payload. Nothing read here is believed:
 * lengths are held against RECORD_PAYLOAD_MAX and against what is there. docs/SPOOL.md draws the
 * layout.
 */
#ifndef SPOOL_RECORD_H
#define SPOOL_RECORD_H

#include "base/buffer.h"
#include "base/cursor.h"
#include "base/fault.h"
#include "base/id.h"

#define RECORD_HEADER_BYTES 40
#define RECORD_PAYLOAD_MAX \
    (4u * 1024 * 1024) /* an envelope of 1,000 recipients and 256 KiB of content, with room */
#define GROUP_MEMBER_HEADER_BYTES 28

enum record_type {
    RECORD_ACCEPTED = 1, /* the base of a message: envelope, and content or the name of its file */
    RECORD_SENDING = 2,  /* a final dot is about to be sent; not waited for */
    RECORD_OUTCOME = 3,  /* the state of all recipients after an attempt */
    RECORD_CONTROL = 4,  /* the same after an operator's command */
    RECORD_DONE = 5,     /* nothing is left to do */
    RECORD_GROUP = 6     /* several of the above, all or nothing */
};

struct record {
    enum record_type type;
    uint32_t version; /* of the message's state; the highest wins */
    struct id id;     /* of the message; all zero for a group */
    struct span payload;
};

/* payload_len <= RECORD_PAYLOAD_MAX (checked). */
void record_encode_header(uint8_t header_out[RECORD_HEADER_BYTES], uint64_t epoch,
                          enum record_type type, struct id id, uint32_t version,
                          uint32_t payload_len, uint32_t payload_crc);

/*
 * Reads the record at the start of `bytes`; *used_out is its length with header. The payload points
 * into `bytes`. Header and payload are both verified. DAMAGED: not a whole, valid record of this
 * epoch; nothing is set then.
 */
must_use enum fault record_decode(struct span bytes, uint64_t epoch, struct record *record_out,
                                  size_t *used_out);

/* Appends one member to the payload of a group. False: the buffer is full, or the member is itself
 * a group (checked). */
must_use bool group_put(struct buffer *payload, enum record_type type, struct id id,
                        uint32_t version, struct span member_payload);

/*
 * Takes the next member of a group's payload. False at the end; cursor_at_end() then tells a whole
 * group from a damaged one.
 */
bool group_next(struct cursor *payload, struct record *member_out);

#endif
