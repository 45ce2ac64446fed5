/*
 * dsn: writes a delivery status notification (RFC 3464) as a whole message: multipart/report (RFC
 * 6522) of a text for people, a message/delivery-status and the original or its header.
 *
 * Everything that peers gave (addresses, host names, replies, the original's header) is cut and
 * cleaned: it can break neither the fields nor the MIME structure, and the result is 7-bit (unless
 * dsn_is_8bit) with lines of at most 998 bytes. The boundary is made of the notification's own id;
 * should the original hold it all the same, the original is encoded so that it cannot appear, and
 * only its header is returned. International ones are RFC 6533's. Envelope and
 * sending are the caller's: the reverse-path of a DSN is empty (RFC 3464 2). Pure; any thread.
 */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "base/buffer.h"
#include "base/id.h"
#include "base/span.h"
#include "mail/status.h"

#define DSN_HEADER_MAX          (16 * 1024) /* of the original's header that is returned */
#define DSN_DIAGNOSTIC_MAX      1024        /* of one reply */
#define DSN_TEXT_RECIPIENTS_MAX 100         /* listed in the text for people; the report has all */

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };

struct dsn_recipient {
    struct span address;  /* as address_format writes it */
    struct span original; /* ORCPT, "rfc822;a@b", decoded; empty: none was given */
    enum dsn_action action;
    struct status status;
    struct span remote_mta;      /* who gave the reply; empty: nobody was reached */
    struct span diagnostic;      /* that reply, "550 5.1.1 no such user", or our own reason */
    bool diagnostic_is_reply;    /* of SMTP, from remote_mta */
    int64_t last_attempt_ms;     /* 0: none */
    int64_t will_retry_until_ms; /* of DSN_DELAYED; 0: not said */
};

struct dsn {
    struct id id;              /* of this notification */
    struct span reporting_mta; /* our host name */
    struct span to;            /* the original's reverse-path */
    int64_t now_ms;
    struct id original_id;   /* of the message that it is about */
    int64_t arrival_ms;      /* when that came */
    struct span envelope_id; /* ENVID, decoded; empty: none was given */
    const struct dsn_recipient *recipients;
    size_t recipient_count; /* at least 1 */
    struct span original;   /* the message, or just its header */
    bool returns_all;       /* the original, where its lines allow it; else its header alone */
    bool is_international;  /* UTF-8 in addresses and header (RFC 6533) */
    bool is_to_postmaster;  /* since the original has no sender */
};

/* Will it hold bytes beyond ASCII? Then it goes out as 8BITMIME. */
bool dsn_is_8bit(const struct dsn *d);

/* Appends the message, header and body, CRLF line ends. False: out is full; what it then holds
   is of no use. */
bool dsn_format(struct buffer *out, const struct dsn *d);

#endif
