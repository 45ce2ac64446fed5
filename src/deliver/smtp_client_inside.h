/*
 * smtp_client_inside: the two halves of the client's machine; nobody else includes it.
 *
 * smtp_client.c has the connection: greeting, hello, TLS, its end, and the steps.
 * smtp_transaction.c has what happens between two of its IDLEs: commands, replies, results.
 */
#ifndef DELIVER_SMTP_CLIENT_INSIDE_H
#define DELIVER_SMTP_CLIENT_INSIDE_H

#include "base/arena.h"
#include "base/check.h"
#include "deliver/smtp_client.h"
#include "smtp/reply.h"

/* The longest of ours is RCPT: 260 bytes with its path (RFC 5321 4.5.3.1.4), 28 for NOTIFY and 509
   for ORCPT (RFC 3461 4.1, 4.2). */
#define COMMAND_MAX 1024

struct client {
    const struct client_limits *limits;
    const char *hostname;
    enum client_phase phase;
    uint64_t progress;
    struct reply_reader replies;
    struct buffer output;
    struct extensions extensions;
    bool is_esmtp;
    struct client_manner manner;
    bool is_secure;
    bool is_open; /* the server holds a transaction that RSET or a final dot has to end */
    uint32_t transactions;

    bool has_transaction; /* from client_begin until RESULT was given */
    bool result_ready;
    bool content_wanted; /* CONTENT is still to be given */
    bool judgement_wanted, is_judged, is_downgraded, is_chunked;
    bool lone_dot; /* DOT: nobody was taken, the content is empty */
    struct client_transaction transaction;
    uint32_t put, awaited;
    uint32_t taken;             /* RCPTs with a 2xx */
    uint32_t confirmed;         /* LMTP, DOT: the recipient whose reply is the next */
    uint32_t answers;           /* replies that brought this transaction forward */
    struct client_result whole; /* for everybody who has nothing of his own, once decided */
    struct buffer whole_text;
    struct span ascii_reverse_path;
    bool says_utf8;     /* SMTPUTF8 is needed, and offered */
    struct arena texts; /* of RCPT replies, and paths in ASCII */
    struct span last_text;

    struct client_outcome outcome;
    struct buffer trouble_text;
};

/* smtp_client.c */
void client_enter(struct client *c, enum client_phase next);
/* No further transaction here; the one under way is over. `next` is QUIT or CLOSED. */
void client_end(struct client *c, struct client_result why, enum client_phase next);
void client_end_by_nonsense(struct client *c, const struct reply *reply);
/* Others are ours: they prove nothing about the host. */
bool client_is_fault_of_host(enum fault fault);
/* Short memory costs the text, nothing more. */
struct span client_keep_text(struct buffer *b, struct span text);

/* smtp_envelope.c */
/* What the server would refuse, is refused here: the whole transaction, and single recipients. */
void smtp_envelope_judge(struct client *c);
bool smtp_envelope_is_sendable(struct span path);
struct client_result smtp_envelope_refuse(enum fault fault);
void smtp_envelope_put_mail(struct client *c);
void smtp_envelope_put_rcpt(struct client *c, const struct client_recipient *r);

/* smtp_transaction.c */
/* In IDLE. Refuses by itself what the server would refuse (RFC 1870 5). */
void transaction_start(struct client *c);
void transaction_decide_whole(struct client *c, struct client_result r);
/* Everybody has a result now. */
void transaction_finish(struct client *c);
void transaction_put_commands(struct client *c);
/* In a phase from RSET to DOT. */
void transaction_on_reply(struct client *c, const struct reply *reply);
/* The final dot is out. */
void transaction_await_verdict(struct client *c);
bool transaction_in_envelope(const struct client *c);

#endif
