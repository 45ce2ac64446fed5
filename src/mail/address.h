/*
 * address: what may stand between < and > in MAIL and RCPT.
 *
 * RFC 5321 4.1.2 (grammar), 4.5.3.1 (lengths), 4.1.1.3 (postmaster), appendix C (source routes:
 * accepted and ignored); RFC 6531 3.3 by a flag. No comments, no folding, no blanks: those belong
 * to header fields. Owns nothing; pure; any thread.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

#define ADDRESS_LOCAL_MAX 64  /* as written, quotes included */
#define ADDRESS_MAX       254 /* all between < and >, a source route included: 256 with them */

enum address_flags {
    ADDRESS_EMPTY_OK = 1,      /* "" is the empty reverse-path, MAIL FROM:<> */
    ADDRESS_POSTMASTER_OK = 2, /* "postmaster" needs no domain, RCPT TO:<postmaster> */
    ADDRESS_UTF8_OK = 4,       /* SMTPUTF8 was asked for: UTF-8 in both parts */
    ADDRESS_STRICT = 8,        /* no underscore in the domain (see DOMAIN_STRICT) */
};

/*
 * One address has one `local`, however it was quoted: "a.b"@x and a.b@x are the same (RFC 5321
 * 4.1.2). Case is kept.
 */
struct address {
    struct span local;  /* without quotes and backslashes; may be empty ("") */
    struct span domain; /* as written; empty for the empty path and for postmaster without domain */
    bool quoted;        /* local is no dot-string: it needs quotes when it is written */
    bool literal;       /* domain is an address literal, brackets included */
};

/*
 * Parses the text between < and >. The spans point into `text`, or into `arena` where backslashes
 * had to go.
 * SYNTAX; TOO_LONG (a limit of length); NO_MEMORY (the arena is full). 8-bit bytes are SYNTAX
 * without ADDRESS_UTF8_OK. *address_out is set only on FAULT_NONE. flags: of enum address_flags.
 */
must_use enum fault address_parse(struct span text, unsigned flags, struct arena *arena,
                                  struct address *address_out);

bool address_is_empty(const struct address *a); /* the empty path <> */

/* Local parts byte by byte, domains without case. */
bool address_equal(const struct address *a, const struct address *b);

/* Writes it, with quotes where they are needed, without < and >: what address_parse reads back.
   False: full. */
bool address_format(struct buffer *out, const struct address *a);

#endif
