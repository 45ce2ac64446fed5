/*
 * envelope: the payload of an ACCEPTED record: who sends what to whom, and where its content is.
 *
 * A row of tagged fields (tag u16, zero u16, length u32, value), so that a later version can add
 * some: unknown tags are passed over here and survive compaction, which copies payloads as they
 * are. The content, when it is inline, is the value of the last field, so that it can be written
 * without being copied behind the rest. Pure. Everything read is held against the limits below.
 */
#ifndef SPOOL_ENVELOPE_H
#define SPOOL_ENVELOPE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "mail/notify.h"

#define ENVELOPE_RECIPIENTS_MAX     100000u
#define ENVELOPE_FIELD_HEADER_BYTES 8
#define ENVELOPE_INLINE_MAX         (256u * 1024) /* beyond it: a file of its own */

/* Empty and 0 in all but the path: as nearly always, and it costs no byte. */
struct envelope_recipient {
    struct span path;     /* the final address, without brackets: where the mail goes */
    struct span original; /* what the client said, if that differs; without brackets */
    struct span orcpt;    /* type;address as it came, still in xtext (RFC 3461 4.2) */
    uint8_t notify;       /* a set of enum notify */
};

struct envelope {
    int64_t arrival_wall_ms;
    struct span
        reverse_path;   /* without its brackets; empty: the null reverse-path (RFC 5321 4.5.5) */
    struct span client; /* address of the client, as text */
    struct span helo;
    struct span prefix; /* header fields that we generated, to be sent before the content */
    uint64_t content_bytes;
    bool content_in_file; /* else `content` is all of it */
    bool body_8bitmime;   /* declared by BODY=8BITMIME (RFC 6152) */
    bool has_dot_lines;   /* some line begins with a dot: sending must stuff it (RFC 5321 4.5.2) */
    bool smtputf8;        /* MAIL said so (RFC 6531 3.4) */
    bool is_last_resort;  /* a report to the postmaster about mail without a sender: should it fail,
                             there is nobody left to tell */
    enum notify_return ret;
    struct span envid; /* as it came, still in xtext (RFC 3461 4.4); empty: not said */
    struct span content;
    struct envelope_recipient *recipients; /* in the order of RCPT */
    uint32_t recipient_count;
};

/*
 * Encodes all but the bytes of inline content: *out then ends with that field's header, and the
 * caller writes the content_bytes right behind it. False: `out` is full.
 */
must_use bool envelope_encode(const struct envelope *e, struct buffer *out);

/* Exactly what envelope_encode adds. */
size_t envelope_encoded_bytes(const struct envelope *e);

/*
 * What is known only when the content has come: sets content_bytes and the flags of e in `encoded`,
 * which envelope_encode made as if for inline content. The result is the length of the envelope:
 * `len`, or less when the content is in a file, since its field then falls away.
 */
size_t envelope_patch(uint8_t *encoded, size_t len, const struct envelope *e);

/* Reads a whole payload. Spans point into it, `recipients` into the arena. DAMAGED, or NO_MEMORY
 * when the arena is full. */
must_use enum fault envelope_decode(struct span payload, struct arena *arena,
                                    struct envelope *envelope_out);

/* What an index file keeps, in two parts: the payload up to its inline content (the field's header
 * left out too), without the prefix, which is as long as all the rest, and which only a delivery
 * needs. False: not a row of fields. */
must_use bool envelope_head(struct span payload, struct span head_out[2]);
/* Reads such a head; content_bytes says how long the content is that is not here. */
must_use enum fault envelope_decode_head(struct span head, struct arena *arena,
                                         struct envelope *envelope_out);
/* Does it say that its content lies in a file? Of a payload or a head; false for what is neither.
 */
bool envelope_is_in_file(struct span head);
/* And how long it is, there or inline; 0 for what is neither. */
uint64_t envelope_content_bytes(struct span head);

#endif
