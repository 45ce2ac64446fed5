/*
 * smtp_client: the client's side of an SMTP or LMTP connection, as a machine that does no I/O: any
 * number of transactions, one after the other.
 *
 * Takes bytes; gives commands and says what it wants done. It owns its commands, the reply that has
 * come in part and the texts of the results; the envelope is its owner's, the content is never
 * seen here. Never believes a byte; never logs; whatever the server says at whatever moment, each
 * recipient gets exactly one result, and DELIVERED only for a final 2xx that was read. One worker's
 * thread. RFC 3207 STARTTLS, RFC 5321 (order of commands 4.1.4, replies 4.2, 4.3), 1870 SIZE, 2920
 * PIPELINING, 6152 8BITMIME, 2033 LMTP, 3030 BDAT, 3461 DSN, 6531 SMTPUTF8.
 *
 *   EHLO --> STARTTLS --220--> SECURING --secured--> EHLO (only if wished, and offered)
 *   GREETING --> EHLO [--> HELO] --> IDLE --begin--> [RSET -->] MAIL --> RCPT… --> DATA --354-->
 *   CONTENT --content_end--> DOT --> IDLE             refusals, nobody left -----> IDLE
 *   RCPT… --BDAT n LAST--> CONTENT (when it goes as a chunk; then the dot is the chunk's end)
 *   IDLE --quit--> QUIT --> CLOSED                     421, loss, nonsense -----> CLOSED
 *
 * LMTP says LHLO for EHLO, and gets a reply for each recipient it took after the dot: DOT is left
 * with the last of them; what is lost before leaves only those without a reply in doubt.
 *
 * The phase is that of the oldest command without a reply; with PIPELINING later ones are under
 * way already. Of the server is known in IDLE: what it offers; from DATA on: whom it takes.
 *
 * The owner's loop: step; send what is in client_output; do what is wanted; when bytes come, step
 * with them. A timer of client_timeout_ms begins anew whenever client_progress has changed (and in
 * CONTENT with each piece that the kernel took), not with each byte: a server that drips must not
 * hold a connection for ever.
 */
#ifndef DELIVER_SMTP_CLIENT_H
#define DELIVER_SMTP_CLIENT_H

#include "base/buffer.h"
#include "deliver/smtp_result.h"
#include "mail/downgrade.h"
#include "mail/notify.h"
#include "smtp/extension.h"

#define CLIENT_OUTPUT_MAX     (16u * 1024) /* commands not yet sent; the window of pipelining */
#define CLIENT_TEXT_BYTES_MAX (64u * 1024) /* of refusals at RCPT; beyond it they keep the code */

/* RFC 5321 4.5.3.2: 5 min, 5 min, 5 min, 5 min, 2 min, 3 min, 10 min. Lives as long as the
   clients. */
struct client_limits {
    int64_t greeting_timeout_ms, ehlo_timeout_ms, mail_timeout_ms, rcpt_timeout_ms, data_timeout_ms,
        block_timeout_ms, dot_timeout_ms, quit_timeout_ms;
};

struct client_recipient {
    struct span path;            /* without < and > */
    struct span orcpt;           /* type;address in xtext (RFC 3461 4.2); may be empty */
    uint8_t notify;              /* a set of enum notify; 0: not said */
    struct span ascii_path;      /* the client's: the path for a server without SMTPUTF8 */
    struct client_result result; /* written by the client; final with CLIENT_WANT_RESULT. Its text
                                    is the client's, until the next client_begin */
};

/* Copied; the spans and the array live until CLIENT_WANT_RESULT. */
struct client_transaction {
    struct span reverse_path; /* without < and >; empty: MAIL FROM:<> */
    struct client_recipient *recipients;
    uint32_t recipient_count; /* at least 1 */
    uint64_t content_bytes;   /* before dots are doubled (RFC 1870 3) */
    bool is_8bitmime;
    bool likes_chunks;      /* BDAT where it is offered (RFC 3030): content_bytes is exact */
    bool needs_utf8;        /* the header does, whatever the addresses are (RFC 6531) */
    enum notify_return ret; /* RFC 3461 4.3 */
    struct span envid;      /* in xtext (RFC 3461 4.4); may be empty */
};

/* Of the connection; valid with and after CLIENT_WANT_RESULT, until the next client_begin, and when
 * CLIENT_WANT_CLOSE comes. */
struct client_outcome {
    bool is_host_trouble; /* the host, not a recipient, is the reason: try another one. (5xx in
                             GREETING, EHLO or HELO is DEFERRED here: whether all hosts say so is
                             the owner's to know; result.code has it) */
    bool is_stale;        /* a kept connection was gone, or useless, before it did anything for this
                             transaction: try at once on a new one, no trouble is proved */
    bool in_doubt; /* the final dot is out and no reply was understood: what is DEFERRED in DOT by
                      a fault, without a reply, may have been delivered (RFC 1047) */
    struct client_result trouble; /* why the connection is at its end; UNDECIDED: it is well, or
                                     was ended by client_quit */
};

enum client_want {
    CLIENT_WANT_INPUT,   /* send the output; give the unused rest, and more when it comes */
    CLIENT_WANT_CONTENT, /* once: send the output, then the content with dots doubled
                            (content_stuff), its last line ended, and the final ".\r\n"; or, when
                            client_is_chunked, the content as it is and nothing else. When all that
                            is with the kernel, client_content_end */
    CLIENT_WANT_RESULT, /* once: the transaction is over, all recipients have results; step again to
                           see what becomes of the connection. Content not yet sent is not wanted */
    CLIENT_WANT_JUDGEMENT, /* the server takes 7 bits alone: look at the content, then client_judge;
                              wanted until then */
    CLIENT_WANT_TLS,  /* drop all input (CVE-2021-38371), shake hands, then client_secured; wanted
                         until then */
    CLIENT_WANT_IDLE, /* client_begin or client_quit; bytes (or a loss) may come as well */
    CLIENT_WANT_CLOSE /* close; nothing is left to be sent */
};

struct client;

/* Awaits the greeting. NULL: no memory. hostname (ours, a valid one) lives as long as the client.
 */
struct client *client_new(const struct client_limits *limits, const char *hostname);
void client_free(struct client *c);

/*
 * Begins a transaction; at any time when none is under way: before the greeting too, and on a
 * connection that has ended, which gives a result at once. A path that cannot be written in a
 * command (control bytes, too long) FAILs with SYNTAX; what needs SMTPUTF8 of a server that does
 * not offer it FAILs with NO_UTF8, unless a domain in A-labels is all it takes.
 */
void client_begin(struct client *c, const struct client_transaction *t);

/*
 * Goes on with `input` until something is wanted; *used_out bytes are used up. Call again with the
 * rest, whatever was wanted, but for CLOSE. Any split of the same bytes gives the same results.
 * When sending fails, give what can still be read before client_lost: the reason may be there.
 */
enum client_want client_step(struct client *c, struct span input, size_t *used_out);

/* Commands to be sent. Move them out (the owner consumes) before the client is called again: the
 * memory may move. */
struct buffer *client_output(struct client *c);

/*
 * The final dot is out: called at once when the kernel has taken all of it, before any more input
 * is given, since a reply from before is no answer to it and a loss from before leaves no doubt.
 * (The SENDING record was written before the dot was sent.) False: the transaction has ended
 * meanwhile.
 */
must_use bool client_content_end(struct client *c);

/*
 * The connection broke (CONNECTION_LOST), a time is over (TIMEOUT), or the owner gives up for a
 * reason of its own (STOPPING, DISK_ERROR, …), which is no trouble of the host. At any time; then
 * step.
 */
void client_lost(struct client *c, enum fault fault);

struct client_manner {
    bool is_lmtp;    /* RFC 2033 */
    bool wishes_tls; /* STARTTLS where it is offered (RFC 3207); a server that offers it and then
                        refuses is talked to in clear (RFC 7435) */
    bool needs_tls;  /* one that does not give it is no use: NO_TLS; nothing of a message is said in
                        clear. Implies wishes_tls */
};

/* Before the first step; without it SMTP in clear. */
void client_speak(struct client *c, struct client_manner manner);
/*
 * What the content is to a server without 8BITMIME (RFC 6152 3). POSSIBLE: what is sent will be the
 * converted content, of about so many bytes. IMPOSSIBLE: all fail with NO_8BIT. After
 * WANT_JUDGEMENT.
 */
void client_judge(struct client *c, enum downgrade_verdict verdict, uint64_t content_bytes);
/* In CONTENT and after: the content was to be converted for this server. */
bool client_is_downgraded(const struct client *c);
/* The same: it goes as one chunk. */
bool client_is_chunked(const struct client *c);

/* The connection is under TLS now: what the server has said before is forgotten, EHLO comes again.
 * After WANT_TLS. */
void client_secured(struct client *c);
bool client_is_secure(const struct client *c);

/* QUIT, when there is anybody to say it to. No transaction may be under way. Waiting for the answer
 * is a courtesy. */
void client_quit(struct client *c);

enum client_phase client_phase(const struct client *c);
int64_t client_timeout_ms(const struct client *c); /* of this phase; -1: none (IDLE, CLOSED) */
uint64_t client_progress(const struct client *c);  /* changes with each reply and phase */

const struct client_outcome *client_outcome(const struct client *c);
bool client_is_usable(const struct client *c); /* IDLE: another transaction may follow */
const struct extensions *client_extensions(const struct client *c); /* from IDLE on */
bool client_is_esmtp(const struct client *c);                       /* EHLO was understood */

#endif
