/*
 * conversation_inside: what conversation.c (input, output, the transaction, time) and beginning.c
 * (until the greeting) share; nobody else includes it.
 */
#ifndef RECEIVE_CONVERSATION_INSIDE_H
#define RECEIVE_CONVERSATION_INSIDE_H

#include "receive/conversation.h"
#include "receive/session.h"
#include "tls/link.h"

struct conversation {
    struct list node;
    struct receiver *receiver;
    const struct receiver_settings *settings; /* of its beginning */
    struct link link;
    struct session *session;
    struct transaction *transaction; /* being filled, or made durable */
    struct timer timer;
    struct endpoint client;
    struct buffer sending; /* replies of which the kernel has a part */
    struct buffer pending; /* input that has to wait */
    int64_t opened_us;
    int64_t active_us; /* when the client last did what we waited for */
    size_t counted;    /* memory */
    uint32_t messages, refused;
    bool may_relay;     /* the client is in a range that may */
    bool is_committing; /* the transaction is being made durable */
    bool is_securing;   /* the TLS handshake is under way, or begins once the replies are sent */
    bool has_begun_tls;
    bool is_implicit;     /* TLS from the first byte */
    bool awaits_greeting; /* it is held back, to see who speaks before it */
    bool awaits_proxy;    /* of the connection only a PROXY header is read, into `pending` */
    bool is_counted;      /* the client, in its limit */
    bool is_closing;      /* to be closed once the replies are sent */
    bool is_half;         /* the client sends no more, but may still read */
    const char *why;      /* it closes */
};

/* conversation.c */
void conversation_touch(struct conversation *c); /* the client did what we waited for, or may now */
void conversation_recount(struct conversation *c); /* its memory */
/* Sooner than the next possible time-out it need not look. False: closed. */
bool conversation_set_timer(struct conversation *c);
/* Once the 220 is with the kernel. False: it has closed. */
bool conversation_begin_tls(struct conversation *c, struct span early);
/* Goes on with what has come and could not be taken before. May free. */
void conversation_proceed(struct conversation *c);
/* After every event: what is to be done about the state that came out of it. May free. */
void conversation_settle(struct conversation *c);

/* beginning.c; all may free. */
/* Who the client is stands now. What has come behind a PROXY header is in `pending`. */
void beginning_of(struct conversation *c);
void beginning_hear_proxy(struct conversation *c, struct span bytes); /* while awaits_proxy */
void beginning_greet(struct conversation *c);
void beginning_turn_away(struct conversation *c); /* it spoke before the greeting */

#endif
