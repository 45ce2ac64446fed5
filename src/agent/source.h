/*
 * source: the bytes that a delivery writes: our own header fields, then the content out of its
 * enclosure, plain or in the blocks of a content file.
 *
 * The content's length is held against what was announced, and a content file's blocks against
 * their checksums, so that what is damaged or cut is a fault and never a mail. Owns its block; the
 * enclosure is the owner's. One thread.
 */
#ifndef AGENT_SOURCE_H
#define AGENT_SOURCE_H

#include "ipc/message.h"
#include "os/packet.h"

#define SOURCE_HEAD_MAX (16u * 1024)

struct source {
    const struct message_put *put;
    const struct enclosure *enclosed;
    uint8_t *block;
    struct buffer head;
    bool is_head_given, is_over;
    enum fault fault; /* the first stays */
    uint64_t offset;  /* in the enclosure */
    uint64_t number;  /* of the next block */
    uint64_t given;   /* of the content */
};

/*
 * Writes Return-Path (RFC 5321 4.4), Delivered-To and the prefix of `put` into the head, and looks
 * whether the content has been delivered to this address before. MAIL_LOOP: it has. DAMAGED,
 * NO_MEMORY, PROTOCOL (a text with control bytes in it). After a fault nothing is held.
 */
must_use enum fault source_open(struct source *s, const struct message_put *put,
                                const struct enclosure *enclosed);
/* The next bytes, valid until the next call; empty at the end. */
must_use enum fault source_next(struct source *s, struct span *bytes_out);
void source_close(struct source *s);

/* CRLF to LF, over pieces: what of `piece` is to be written goes to `write`. *is_cr is false at
   first; at the end of all pieces it tells that a CR is still owed. */
must_use bool lines_convert(struct span piece, bool *is_cr,
                            bool (*write)(void *context, struct span run), void *context);

#endif
