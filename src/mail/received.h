/*
 * received: our Received field (RFC 5321 4.4), the mark of one hop.
 *
 * What the peer said (its HELO, the recipient) is cut and cleaned here: no byte of it can end the
 * field, open a comment or reach a terminal.
 * Pure; any thread.
 */
#ifndef MAIL_RECEIVED_H
#define MAIL_RECEIVED_H

#include "base/buffer.h"
#include "base/id.h"
#include "base/span.h"

#define RECEIVED_MAX 2048 /* no field of ours is longer */

struct received {
    struct span helo;         /* as the client gave it; empty: unknown */
    struct span peer_name;    /* the verified name of the client's address; empty: none */
    struct span peer_address; /* "192.0.2.1" or "2001:db8::1"; empty: a local submission */
    struct span by;           /* our own host name */
    struct span with;         /* SMTP, ESMTP, ESMTPS, … (RFC 3848) */
    struct id id;
    /* The one recipient, as address_format writes it; empty when there are several, since no one
       may learn of the others. */
    struct span recipient;
    int64_t wall_ms;
};

/* Appends the folded field, its CRLF included. False: full. */
bool received_format(struct buffer *out, const struct received *r);

#endif
