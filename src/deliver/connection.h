/*
 * connection: a channel's connection to one host of its site, and the delivery that is under way on
 * it; for the deliverer's own files alone.
 *
 * It outlives the socket: between two deliveries it is kept idle, and a host that fails is followed
 * by the next one of the route. States are named for what is awaited:
 *
 *   UNUSED --deliver--> FETCHING (no mail object yet) --> CONNECTING --> TALKING --> IDLE
 *   IDLE --deliver--> TALKING                 CONNECTING, TALKING --trouble--> CONNECTING (next
 * host) IDLE --time--> QUITTING --> UNUSED        TALKING --no host is left--> UNUSED
 *
 * A letter of its own (append, fetch, content) may be under way in any of them; while one is, it is
 * not freed, and in DRAINING it waits for just that.
 */
#ifndef DELIVER_CONNECTION_H
#define DELIVER_CONNECTION_H

#include <stdatomic.h>

#include "deliver/deliverer.h"
#include "deliver/smtp_client.h"
#include "spool/content.h"
#include "transfer/delivery.h"

#define CONNECTION_ATTEMPTS_MAX 64
#define CONNECTION_REMOTE_MAX   320 /* "mx.example.org[2001:db8::1]:25" */

struct connection;
struct notice;

/* Letters that connections and notices both send, with whose they are: one of the two. */
struct fetching {
    struct fetch fetch;
    struct connection *connection;
    struct notice *notice;
};
struct reading {
    struct content content;
    struct connection *connection;
    struct notice *notice;
};

enum connection_state {
    CONNECTION_UNUSED,
    CONNECTION_FETCHING,
    CONNECTION_CONNECTING,
    CONNECTION_TALKING,
    CONNECTION_IDLE,
    CONNECTION_QUITTING,
    CONNECTION_DRAINING
};

/* What of the content is still to be sent. */
struct outgoing {
    struct span rest; /* of the piece in memory */
    bool line_start;  /* the next byte of the content begins a line */
    bool is_active;   /* 354 has come, the final dot is not yet with the kernel */
    bool is_prefix_sent, is_all_read, is_dot_sent;
    bool wants_block; /* the next block of a content file */
};

struct attempt {
    uint16_t host, address; /* indexes into the route */
};

struct connection {
    struct list node; /* in deliverer.connections */
    struct deliverer *deliverer;
    struct delivery *delivery; /* under way, or NULL */
    enum connection_state state;
    bool is_orphan; /* its channel has been closed: freed as soon as possible */

    struct socket *socket;
    struct client *client;
    struct endpoint peer;
    uint32_t transactions;          /* over this socket */
    bool is_sending;                /* socket_send has not told on_sent yet */
    struct buffer sending, waiting; /* commands with the kernel; those behind them */
    struct timer timer;
    uint64_t progress; /* of the client when the timer was set */

    struct client_recipient *recipients; /* in the delivery's arena */
    struct mail_object *mail;
    struct outgoing out;
    struct attempt attempts[CONNECTION_ATTEMPTS_MAX];
    uint32_t attempt_count, attempt_next;
    bool is_started; /* the delivery is worked on; before: a letter of the last one is out */
    bool has_begun;  /* client_begin was called for this delivery on this socket */
    bool has_result; /* and its results are there */
    bool is_reused;  /* the socket is one of a delivery before */
    enum fault trouble_fault;
    struct span trouble_text, trouble_remote; /* in the delivery's arena */
    bool trouble_is_reply;

    struct append append; /* the SENDING record */
    bool is_append_out, is_sending_written;
    struct fetching fetching;
    bool is_fetch_out;
    struct reading reading;
    bool is_job_out, has_content;
};

struct deliverer {
    struct actor *worker;
    const struct deliverer_settings *settings;
    struct client_limits limits;
    struct spool *spool;
    struct list connections, notices;
    struct id_source ids;
    struct {
        _Atomic uint64_t connections, connections_open, connects_failed, transactions, delivered,
            bytes, fetched;
    } counters;
};

static inline void deliverer_count(_Atomic uint64_t *counter, int64_t n)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + (uint64_t)n, memory_order_relaxed);
}

/* NULL: no memory. */
struct connection *connection_new(struct deliverer *d);
void connection_free(struct connection *c);
/* A delivery for the channel whose connection this is (SEND). */
void connection_deliver(struct connection *c, struct delivery *delivery);
/* Its channel is closed: says goodbye and frees itself. */
void connection_close(struct connection *c);
/* Answers to its letters. */
void connection_on_append(struct connection *c);
void connection_on_fetch(struct connection *c);
void connection_on_job(struct connection *c);

/* content_pump.c: sends as much of the content as the socket takes now. */
void outgoing_begin(struct connection *c);
void outgoing_continue(struct connection *c);
/* True: the final dot is with the kernel. */
bool outgoing_is_done(const struct connection *c);

/* attempts.c: the addresses of a route in the order to be tried: by preference, equal ones in an
   order drawn (RFC 5321 5.1). */
uint32_t attempts_order(struct loop *l, const struct route *route, uint32_t max,
                        struct attempt out[CONNECTION_ATTEMPTS_MAX]);

/* notice.c: one notification being composed. */
void notice_begin(struct deliverer *d, struct letter *letter);
void notice_on_fetch(struct notice *n);
void notice_on_job(struct notice *n);
void notices_free(struct deliverer *d);

#endif
