/*
 * session: the server's side of an SMTP conversation, as a machine that does no I/O.
 *
 * Takes bytes and answers; gives replies and says what it wants done. It owns its line, its
 * envelope and its state, and no more than SESSION_ENVELOPE_BYTES_MAX of memory for the envelope;
 * while nothing is under way it holds its own struct and the client's name. The content is never
 * kept here: it is handed on run by run. Never believes a byte; never logs. One worker's thread.
 * RFC 5321 (order of commands 4.1.4, replies 4.2, limits 4.5.3), 1870 SIZE, 2034 and 3463 enhanced
 * codes, 2920 PIPELINING, 3030 CHUNKING, 3207 STARTTLS, 3461 DSN, 6152 8BITMIME, 6531 SMTPUTF8,
 * 2033 LMTP.
 *
 *   CONNECTED --EHLO, HELO--> READY --MAIL--> MAIL
 *   MAIL, RECIPIENTS --RCPT--> RESOLVING --answer--> RECIPIENTS; MAIL while all were refused
 *   RECIPIENTS --DATA--> DATA --dot--> COMMITTING
 *   RECIPIENTS --BDAT--> CHUNK --> BETWEEN_CHUNKS --BDAT--> CHUNK --LAST--> COMMITTING
 *   COMMITTING --answer--> READY; MAIL to BETWEEN_CHUNKS --RSET, EHLO, refusal--> READY
 *   CONNECTED, READY --STARTTLS--> SECURING --handshake--> CONNECTED
 *   any --QUIT, 421--> CLOSING
 *
 * A message by BDAT whose last line is open gets the CRLF that it lacks (as Postfix does): text is
 * made of lines (RFC 5321 2.3.7), and DATA could not carry it on. Nothing else of any content is
 * changed. In RESOLVING and COMMITTING no input is taken, so that a pipelined command is answered
 * after what came before it.
 *
 * Who may be written to is not decided here: RESOLVING asks the owner, who knows the settings and
 * the client (recipient_resolve).
 */
#ifndef RECEIVE_SESSION_H
#define RECEIVE_SESSION_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/id.h"
#include "mail/address.h"
#include "mail/notify.h"
#include "smtp/command.h"
#include "smtp/content.h"

#define SESSION_ENVELOPE_BYTES_MAX (512u * 1024)
#define SESSION_OUTPUT_MAX         (64u * 1024) /* replies not yet sent; beyond it input waits */

/* Immutable while sessions run with it. */
struct session_limits {
    uint64_t message_bytes_max;
    uint32_t recipients_max;    /* RFC 5321 4.5.3.1.8: at least 100 */
    uint32_t errors_max;        /* refused commands in one session */
    uint32_t idle_commands_max; /* commands in a row that bring no mail forward: NOOP, RSET, VRFY,
                                   HELP, EHLO */
};

enum session_state {
    SESSION_CONNECTED,
    SESSION_READY,
    SESSION_MAIL,
    SESSION_RESOLVING,
    SESSION_RECIPIENTS,
    SESSION_DATA,
    SESSION_CHUNK,
    SESSION_BETWEEN_CHUNKS,
    SESSION_COMMITTING,
    SESSION_SECURING,
    SESSION_CLOSING
};

/* What the owner has to do next. */
enum session_want {
    SESSION_WANT_INPUT,     /* send the replies; give more bytes when they come */
    SESSION_WANT_KEEP,      /* keep `run` as the next bytes of the content */
    SESSION_WANT_RECIPIENT, /* who is session_asked? then session_recipient_resolved */
    SESSION_WANT_COMMIT,    /* the message is complete: make it durable, then session_committed */
    SESSION_WANT_LOG,       /* something was refused: log session_refused, that is all */
    SESSION_WANT_TLS, /* send the replies, drop all input (what a client sends behind STARTTLS is
                         not its own), begin the handshake, then session_secured */
    SESSION_WANT_ABANDON, /* forget the content kept so far; there is no message */
    SESSION_WANT_CLOSE    /* send the replies, then close */
};

/* One address that the message is to go to; several may come of one RCPT. */
struct session_recipient {
    struct session_recipient *next;
    struct span path;       /* final, without brackets */
    struct address address; /* what RCPT said */
    struct span original;   /* the text of that, when `path` is another; else empty */
    struct span orcpt;      /* ORCPT as it came (RFC 3461 4.2); empty: none */
    uint8_t notify;         /* a set of enum notify */
};

/* What was refused, for the log. */
struct session_refused {
    struct refusal reply;
    struct span command; /* the line, cut; empty when a message was refused after its data */
    bool is_message;
};

struct session;
/* NULL: no memory. hostname lives as long as the session. */
struct session *session_new(const struct session_limits *limits, const char *hostname);
void session_free(struct session *s);

/* What the server can do about TLS in this session, before session_greet: STARTTLS may be offered;
   or the connection is under TLS from its first byte. */
void session_offer_tls(struct session *s);
/* The connection is under TLS from now on: all that was said before is forgotten (RFC 3207 4.2).
   After WANT_TLS, or before session_greet for implicit TLS. */
void session_secured(struct session *s);
bool session_is_secure(const struct session *s);

/* Before session_greet: the client is to speak LMTP (RFC 2033): LHLO, and after the content one
   reply for each RCPT that was answered 250. */
void session_speak_lmtp(struct session *s);

void session_greet(struct session *s); /* 220; once, first */
/* Instead of it: 554, and the session is over (RFC 5321 3.1). */
void session_turn_away(struct session *s, const char *text);

/*
 * Goes on with `input` until something is wanted; *used_out bytes are used up. Call again with the
 * rest, whatever was wanted, but for RECIPIENT (after session_recipient_resolved), COMMIT (after
 * session_committed) and CLOSE (no more). Any split of the same bytes gives the same replies.
 */
enum session_want session_step(struct session *s, struct span input, size_t *used_out,
                               struct span *run_out);

/* Who is asked for, at WANT_RECIPIENT: address and path as RCPT said them. */
const struct session_recipient *session_asked(const struct session *s);
/*
 * The answer to RECIPIENT: FAULT_NONE and where the mail shall go: the paths, without brackets, or
 * (count 0) the address itself. They are copied. Or why it is refused, by the fault's codes.
 */
void session_recipient_resolved(struct session *s, enum fault fault, const struct span *paths,
                                uint32_t count);

/* Before that: who is asked for takes no larger messages (RFC 1870 6.3: more may be known at RCPT
   than at MAIL). TOO_BIG: this one was announced as larger. */
must_use enum fault session_limit_content(struct session *s, uint64_t message_bytes_max);

/* The answer to COMMIT: FAULT_NONE and the id that was given, or why not. */
void session_committed(struct session *s, enum fault fault, struct id id);
/* From now on MAIL and RCPT are answered with this fault (memory, disk); NONE: no longer. */
void session_refuse_mail(struct session *s, enum fault fault);
/* The owner can keep no more content of this message; it is read to its end and then refused with
 * this fault. */
void session_content_fault(struct session *s, enum fault fault);
/* Ends from outside: 421 with the fault's text (a time-out, stopping). The next step says CLOSE. */
void session_end(struct session *s, enum fault fault);

struct buffer *session_output(struct session *s); /* replies to be sent; the owner consumes them */
enum session_state session_state(const struct session *s);

struct session_refused session_refused(const struct session *s); /* valid at WANT_LOG */
size_t session_memory_bytes(const struct session *s); /* of the envelope and what waits */

/* The transaction; valid from MAIL until session_committed or the step after WANT_ABANDON. */
struct span session_reverse_path(const struct session *s);
const struct session_recipient *session_recipients(const struct session *s, uint32_t *count_out);
uint64_t session_declared_bytes(const struct session *s); /* by SIZE (RFC 1870); 0: not told */
const struct content_facts *session_facts(const struct session *s);
struct span session_helo(const struct session *s);
bool session_is_esmtp(const struct session *s);
bool session_is_lmtp(const struct session *s);
bool session_is_8bitmime(const struct session *s);
bool session_is_smtputf8(const struct session *s);          /* RFC 6531 3.4 */
enum notify_return session_return(const struct session *s); /* RFC 3461 4.3 */
struct span session_envid(const struct session *s);         /* in xtext; empty: none */

#endif
