/*
 * command: the grammar of one SMTP command line, from a client to a server.
 *
 * Pure. Strict: what RFC 5321 4.1.1 does not allow is refused with the code that says why
 * (4.2.4, 4.3.2), and never guessed at. Addresses are only cut out here; mail/address judges them.
 * Spans point into the line.
 */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "base/fault.h"
#include "base/span.h"
#include "mail/notify.h"

/* 512 with CRLF (RFC 5321 4.5.3.1.4), and room for what extensions add to MAIL and RCPT: RFC 1870
 * 3, RFC 6152 2, RFC 3461 4 (537 for RCPT alone), RFC 4954 3 (500), RFC 6531 3.4. */
#define COMMAND_LINE_MAX 2048

enum command_verb {
#define COMMAND(name, argument) COMMAND_##name,
#include "smtp/command.def"
#undef COMMAND
};

enum body_type { BODY_7BIT, BODY_8BITMIME };

struct command {
    enum command_verb verb;
    struct span argument;   /* the name of EHLO and HELO; what stands between < and > of MAIL and
                               RCPT; the text of NOOP, VRFY, EXPN, HELP */
    enum body_type body;    /* MAIL: BODY= (RFC 6152) */
    bool smtputf8;          /* MAIL, VRFY, EXPN: SMTPUTF8 (RFC 6531 3.4) */
    enum notify_return ret; /* MAIL: RET= (RFC 3461 4.3) */
    struct span envid;      /* MAIL: ENVID=, in xtext; empty: none */
    uint8_t notify;         /* RCPT: NOTIFY=, a set of enum notify */
    struct span orcpt;      /* RCPT: ORCPT=, in xtext; empty: none */
    bool has_size;
    uint64_t size; /* MAIL: SIZE= (RFC 1870); BDAT: octets of the chunk */
    bool last;     /* BDAT: LAST */
};

/* An answer that refuses: "501 5.5.4 text". The texts are constants. */
struct refusal {
    int code;
    const char *enhanced;
    const char *text;
};

/* `line` without its CRLF. False: *refusal_out says what to answer. */
must_use bool command_parse(struct span line, struct command *command_out,
                            struct refusal *refusal_out);

#endif
