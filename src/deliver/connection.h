/*
 * connection: a channel's connection to one host of its site, and the delivery that is under way on
 * it; for the deliverer's own files alone.
 *
 * It outlives the socket: between two deliveries it is kept idle, and a host that fails is followed
 * by the next one of the route. States are named for what is awaited:
 *
 *   UNUSED      no socket; a delivery may wait for a letter of the one before
 *   FETCHING    the mail object of the delivery; a kept socket may be there
 *   CONNECTING  the socket; or two, of which the first that stands is taken (connecting.c)
 *   TALKING     the client's machine has the delivery's transaction
 *   IDLE        the next delivery, or the end of idle_ms
 *   QUITTING    the answer to QUIT, no longer than its time
 *   DRAINING    a letter of its own, after its channel was closed: then it is freed
 *
 *   UNUSED, IDLE, QUITTING --deliver--> [FETCHING -->] CONNECTING --> TALKING --> IDLE or UNUSED
 *   IDLE --deliver--> [FETCHING -->] TALKING      CONNECTING, TALKING --trouble--> CONNECTING
 *   IDLE --time, close--> QUITTING --> UNUSED     IDLE, FETCHING --lost--> the socket is gone
 *
 * A letter of its own (append, fetch, content) may be under way in any of them; while one is, it is
 * not freed and no new delivery begins. Whatever calls the machine (conversation.c) may end the
 * delivery and free an orphan: its callers do nothing after it.
 */
#ifndef DELIVER_CONNECTION_H
#define DELIVER_CONNECTION_H

#include <stdatomic.h>

#include "deliver/deliverer.h"
#include "deliver/silence.h"
#include "deliver/smtp_client.h"
#include "spool/content.h"
#include "tls/link.h"
#include "transfer/delivery.h"

#define CONNECTION_ATTEMPTS_MAX 64

struct connection;
struct notice;
struct local_delivery;

/* Letters that connections, notices and local deliveries send, with whose they are: one of them. */
struct fetching {
    struct fetch fetch;
    struct connection *connection;
    struct notice *notice;
    struct local_delivery *local;
};
struct reading {
    struct content content;
    struct connection *connection;
    struct notice *notice;
    struct local_delivery *local;
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
    bool is_prefix_sent, is_all_read;
    bool is_dot_sent;                 /* given to the socket */
    bool is_chunk;                    /* without doubled dots, and without a final one */
    bool is_converting, is_converted; /* to 7 bits; and to its end */
    struct span converted;            /* what is still to be sent of connection.converted */
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

    struct link links[2];
    struct link *link;  /* open, and the client there: both or neither, but for CONNECTING */
    struct link *rival; /* the other one: open while two addresses are raced */
    struct endpoint rival_peer;
    bool is_race_due; /* the timer of CONNECTING begins the race */
    struct client *client;
    const struct deliverer_settings *settings; /* of the client; NULL: there is none */
    struct client_limits limits;
    struct endpoint peer;
    uint32_t transactions; /* over this socket */
    bool is_securing;      /* the handshake is under way */
    struct endpoint
        clear_peer;        /* whose handshake has failed: it is talked to in clear (RFC 7435) */
    bool is_sending;       /* link_send has not told on_sent yet */
    struct buffer sending; /* the commands of that send; changes places with the client's output */
    struct timer timer;
    uint64_t progress; /* of the client when the timer was set */
    bool has_moved;    /* since then: the kernel took something, or a letter came back */

    bool is_started; /* the delivery is worked on; before: a letter of the last one is out */
    struct client_recipient *recipients; /* in the delivery's arena */
    struct mail_object *mail;            /* a reference */
    struct outgoing out;
    struct attempt attempts[CONNECTION_ATTEMPTS_MAX];
    uint32_t attempt_count, attempt_next;
    bool is_reused;  /* the transaction is on the socket of a delivery before */
    bool has_result; /* CLIENT_WANT_RESULT was seen, the delivery is still to be concluded */
    enum fault trouble_fault;
    struct span trouble_text, trouble_remote; /* in the delivery's arena */
    bool trouble_is_reply;

    struct append append; /* the SENDING record */
    bool is_append_out, is_sending_written;
    struct fetching fetching;
    bool is_fetch_out;
    struct reading reading;
    bool has_content;  /* reading.content is begun */
    bool is_job_out;   /* reading.content is on a disk thread */
    bool is_job_stale; /* what it reads is not wanted any more */

    struct downgrade *downgrade; /* once a host without 8BITMIME has asked */
    enum downgrade_verdict verdict;
    bool is_judged, is_surveying;
    struct buffer converted; /* a piece of the content in 7 bits */
};

struct deliverer {
    struct actor *worker;
    const struct deliverer_settings *settings; /* of connections to come */
    struct spool *spool;
    struct tls_context *tls; /* made when first needed */
    struct list connections, notices;
    struct silence silence;
    struct local *local; /* made when first needed */
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

static inline struct loop *connection_loop(const struct connection *c)
{
    return actor_loop(c->deliverer->worker);
}

/* connection.c: its life, its letters. NULL: no memory. */
struct connection *connection_new(struct deliverer *d);
void connection_free(struct connection *c);
/* A delivery for the channel whose connection this is (SEND). */
void connection_deliver(struct connection *c, struct delivery *delivery);
/* Its channel is closed: says goodbye and frees itself. */
void connection_close(struct connection *c);
/* The deliverer has new settings: an idle socket ends, one in use does after its delivery. */
void connection_renew(struct connection *c);
/* Answers to its letters. */
void connection_on_append(struct connection *c);
void connection_on_fetch(struct connection *c);
void connection_on_job(struct connection *c);

void connection_enter(struct connection *c, enum connection_state next);
/* False: no memory for a timer; none is set then. */
must_use bool connection_set_timer(struct connection *c, int64_t after_ms);
/* Closes the socket, if there is one; the content is not sent any more. */
void connection_drop(struct connection *c);
/* The delivery is over: its letter goes back, the socket is kept or closed. */
void connection_finish(struct connection *c, enum fault site_fault);
/* A socket without a transaction has ended. May free. */
void connection_over(struct connection *c);

/* connecting.c: the next address; when none is left, the end of the delivery. */
void connecting_try_next(struct connection *c);
void connecting_on_time(struct connection *c);
/* The rival of a race is closed, if there is one. */
void connecting_end_race(struct connection *c);

/* conversation.c: commands, replies, time. The socket is connected; NO_MEMORY. */
must_use enum fault conversation_start(struct connection *c);
void conversation_on_bytes(void *context, struct span bytes);
void conversation_on_sent(void *context);
void conversation_on_secure(void *context, enum fault fault);
void conversation_on_end(void *context, enum fault fault);
/* The transaction begins on the socket that is there. */
void conversation_begin(struct connection *c);
/* More of the content may be sent: a block has come, the SENDING record is written. */
void conversation_go_on(struct connection *c);
/* The delivery cannot go on, for a reason of ours. */
void conversation_lost(struct connection *c, enum fault fault);
void conversation_quit(struct connection *c);
void conversation_on_time(struct connection *c);

/* outcome.c: what the queue is told. */
void outcome_take(struct connection *c);
/* Nobody was reached: every recipient is deferred, for this fault and the trouble noted last. */
void outcome_defer_all(struct connection *c, enum fault fault);
/* The host of the present attempt cannot be used; r: what the client said of it, or NULL. */
void outcome_note_trouble(struct connection *c, enum fault fault, const struct client_result *r);

/* securing.c: TLS. How the host of the present attempt is spoken to. */
struct client_manner securing_manner(const struct connection *c);
/* What all handshakes share; why it cannot be had is logged. */
enum fault securing_prepare(struct deliverer *d);
/* The settings have changed, and with them perhaps who is trusted. */
void securing_renew(struct deliverer *d);
/* The handshake begins; false: no memory. */
must_use bool securing_start(struct connection *c);
/* The handshake is over, with this fault: may the conversation go on? TLS_FAILED, UNVERIFIED. */
enum fault securing_judge(struct connection *c, enum fault fault);
/* The kept connection does for the delivery to this host of its route. */
bool securing_suits(const struct connection *c, uint16_t host);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384 verified"; empty in clear. */
struct span securing_describe(const struct connection *c, struct arena *arena);

/* downgrading.c: what the content is to a host without 8BITMIME: `verdict`, when is_judged is set;
   else it is being read, and conversation_go_on follows. NO_MEMORY. */
must_use enum fault downgrading_judge(struct connection *c);
void downgrading_on_block(struct connection *c, bool is_stale, enum fault fault);
void downgrading_forget(struct connection *c);

/* content_pump.c: sends as much of the content as the socket takes now; nothing before the SENDING
   record is written. */
void outgoing_begin(struct connection *c);
void outgoing_continue(struct connection *c);
/* The next block of content in a file; connection_on_job follows. */
void outgoing_read_block(struct connection *c);
/* A block was read; false: it is not to be sent. */
must_use bool outgoing_take_block(struct connection *c);
/* No more of it is sent, the content file is closed, at once or when its job is back. */
void outgoing_end(struct connection *c);

/* attempts.c: the addresses of a route in the order to be tried: by preference, equal ones in an
   order drawn (RFC 5321 5.1). */
uint32_t attempts_order(struct loop *l, const struct route *route, uint32_t max,
                        struct attempt out[CONNECTION_ATTEMPTS_MAX]);
/* The number of the attempt at `peer`; `count`: there is none. */
uint32_t attempts_find(const struct route *route, struct endpoint peer,
                       const struct attempt *attempts, uint32_t count);
/* Addresses that were silent come last, in their order. */
void attempts_defer_silent(const struct silence *s, int64_t now_us, const struct route *route,
                           struct attempt *attempts, uint32_t count);
/* Moves one to the front. */
void attempts_prefer(struct attempt *attempts, uint32_t number);

/* notice.c: one notification being composed. */
void notice_begin(struct deliverer *d, struct letter *letter);
void notice_on_fetch(struct notice *n);
void notice_on_job(struct notice *n);
void notices_free(struct deliverer *d);

#endif
