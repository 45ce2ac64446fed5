/*
 * compose: a message as local programs write it becomes one that can be sent: `sendmail`'s work on
 * its input (RFC 5322; RFC 6409 8).
 *
 * Lines may end with LF, CRLF or CR alone; they come out with CRLF. An mbox "From " line at the top
 * goes, and so do Bcc, Resent-Bcc, Return-Path and Content-Length. From, Date and Message-ID are
 * added when they are missing. Where no empty line parts header and body, one is put in. NUL goes.
 * Pure; one pass over a message in memory.
 */
#ifndef MAIL_COMPOSE_H
#define MAIL_COMPOSE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/id.h"

#define COMPOSE_RECIPIENTS_MAX 10000u

struct compose_options {
    struct span from;     /* the address for a From field that is missing */
    struct span name;     /* the full name in it; may be empty */
    struct span hostname; /* for Message-ID, and behind addresses without a domain */
    struct id id;         /* unique: of Message-ID */
    int64_t wall_ms;
    bool takes_recipients; /* -t: those of To, Cc and Bcc, or of Resent-To, -Cc, -Bcc */
    bool dot_ends;         /* a line with a dot alone ends the message */
};

/* *recipients_out: in the arena, as compose_addresses gives them; empty unless takes_recipients.
   LIMIT: too many. NO_MEMORY: `out` or the arena is full. */
must_use enum fault compose(struct span input, const struct compose_options *o, struct arena *arena,
                            struct buffer *out, struct span **recipients_out,
                            uint32_t *recipient_count_out);

/*
 * The addresses of a list (RFC 5322 3.4): without names, comments and the names of groups, with
 * @hostname behind those that have no domain; in the arena. They are added to *list behind *count,
 * at most COMPOSE_RECIPIENTS_MAX in all (LIMIT). What is no address is given as it is: whoever
 * takes it refuses it. NO_MEMORY.
 */
must_use enum fault compose_addresses(struct span value, struct span hostname, struct arena *arena,
                                      struct span **list, uint32_t *count);

#endif
