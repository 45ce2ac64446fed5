/*
 * receiver: the sessions of one worker: joins the protocol machine (session.h) to sockets, to the
 * spool and to the queue.
 *
 * Owns its listening sockets, its sessions and the transactions that are being made durable; a
 * transaction outlives its session when the client goes away after the final dot. It answers 250
 * only when the spool has answered its APPEND. What bounds it is in receiver_settings: sessions,
 * sessions of one client address, memory of all content under way; beyond them it answers 421 or
 * 452 and goes on with the work in hand.
 */
#ifndef RECEIVE_RECEIVER_H
#define RECEIVE_RECEIVER_H

#include "base/lease.h"
#include "config/settings.h"
#include "letter/actor.h"
#include "os/socket.h"
#include "receive/session.h"
#include "spool/spool.h"

struct receiver;
struct tls_context;

/*
 * Immutable. A session and its messages keep those of its beginning (receiver_use gives the next
 * ones theirs): each, and the receiver itself, is a user of the lease, at whose end they may go.
 */
struct receiver_settings {
    struct lease *lease; /* NULL: they live as long as the receiver */
    const char *hostname;
    const struct settings *all; /* domains, users, aliases; NULL: no domain is ours */
    struct session_limits session;
    uint32_t sessions_max;                  /* of this worker */
    uint32_t sessions_per_client_max;       /* of one address (IPv6: one /64), on this worker */
    int64_t command_timeout_ms;             /* RFC 5321 4.5.3.2.7: 5 minutes */
    int64_t data_timeout_ms;                /* between two pieces of content */
    int64_t session_time_max_ms;            /* of a whole session; 0: no limit */
    uint64_t memory_bytes_max;              /* of drafts and envelopes under way */
    uint32_t hops_max;                      /* Received fields (RFC 5321 6.3) */
    const struct address_range *relay_from; /* clients that may relay */
    size_t relay_from_count;
    /* The following are not for clients that may relay. */
    int64_t greeting_delay_ms;        /* who speaks before the greeting is turned away; 0: none */
    uint32_t messages_per_minute_max; /* of one client, on this worker; 0: no limit */
    uint32_t sessions_per_minute_max;
    uint32_t appends_max;    /* credits with the spool; only the first ones count */
    struct tls_context *tls; /* STARTTLS is offered; NULL: no TLS */
};

/* What is special about one listening socket. A value; the ranges live as long as the socket. */
struct receiver_door {
    bool is_implicit; /* under TLS from the first byte (RFC 8314); only with a context */
    bool is_lmtp;     /* RFC 2033 */
    /* Who connects for others, and says for whom in a PROXY header; it must, and nobody else may.
     */
    const struct address_range *proxy_from;
    size_t proxy_from_count;
};

/* Figures for status; written by the worker, read by anybody. `refused`: messages, after their
 * data. `copies`: times that some content was copied; a message that comes alone costs one. */
struct receiver_counters {
    uint64_t sessions, sessions_open, sessions_refused, messages, recipients, bytes, refused,
        copies;
};

must_use enum fault receiver_new(struct actor *worker, const struct receiver_settings *settings,
                                 struct spool *spool, struct actor *queue,
                                 struct receiver **receiver_out);
/* For sessions that begin from now on. */
void receiver_use(struct receiver *r, const struct receiver_settings *settings);
/* Sessions whose lease is over get 421 as soon as they have no message under way. */
void receiver_retire(struct receiver *r);
/* Accepts on an inherited descriptor (os/socket.h) from now on. */
must_use enum fault receiver_listen(struct receiver *r, int descriptor,
                                    const struct receiver_door *door);
/* What was listened on before the last call of this, or from then on, is closed; clients that wait
 * there stay with the descriptor. */
void receiver_renew_listeners(struct receiver *r);
void receiver_close_listeners(struct receiver *r, bool the_new);
/*
 * A letter came back; false: it is not the receiver's. Its own are APPENDs of ACCEPTED records,
 * ACCEPTED, and JOBs that write, finish or drop a content; nobody else on the worker sends such.
 */
bool receiver_on_letter(struct receiver *r, struct letter *letter);
/* No new sessions; those that are idle get 421, the others after their message. */
void receiver_stop(struct receiver *r);
bool receiver_is_idle(const struct receiver *r); /* nothing is open or under way */
void receiver_counters(const struct receiver *r, struct receiver_counters *counters_out);
void receiver_free(struct receiver *r); /* at any time: closes what is open; lent letters must have
                                           come back or the world is dead */

#endif
