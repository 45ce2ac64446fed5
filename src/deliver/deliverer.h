/*
 * deliverer: the outbound connections of one worker: joins the client's machine (smtp_client.h) to
 * sockets, to the spool and to the queue's deliveries (transfer/delivery.h).
 *
 * Owns the connections, one to a channel at most, and keeps each open between two deliveries for
 * idle_ms. For a delivery it tries the hosts and addresses of the route in order, equal preferences
 * shuffled, at most attempts_max, until one has taken the transaction to its end; before the final
 * dot it has a SENDING record written. What is for us it gives to the agent (local.h). It also
 * composes notifications.
 */
#ifndef DELIVER_DELIVERER_H
#define DELIVER_DELIVERER_H

#include "base/lease.h"
#include "letter/actor.h"
#include "os/socket.h"
#include "spool/spool.h"

struct deliverer;

/* Immutable. A connection keeps those it was made under, and is a user of their lease; the
   deliverer itself is one, too. */
struct deliverer_settings {
    struct lease *lease; /* NULL: they live as long as the deliverer */
    const char *hostname;
    const char *postmaster;      /* is told of failed mail without a sender; NULL: nobody */
    int agent_door;              /* os/packet.h; -1: there is no agent */
    const char *tls_authorities; /* a PEM file; NULL: those of the system */
    struct endpoint source_ipv4, source_ipv6; /* family 0: any */
    uint32_t attempts_max;                    /* addresses tried for one delivery */
    uint32_t messages_max; /* transactions on one connection before it is renewed */
    int64_t idle_ms;       /* how long a connection is kept for the next delivery */
    int64_t connect_timeout_ms;
    int64_t greeting_timeout_ms, ehlo_timeout_ms, mail_timeout_ms, rcpt_timeout_ms, data_timeout_ms,
        block_timeout_ms, dot_timeout_ms, quit_timeout_ms; /* RFC 5321 4.5.3.2 */
};

/* Figures for status; written by the worker, read by anybody. */
struct deliverer_counters {
    uint64_t connections, connections_open, connects_failed, transactions, delivered, bytes,
        fetched;
};

must_use enum fault deliverer_new(struct actor *worker, const struct deliverer_settings *settings,
                                  struct spool *spool, struct deliverer **deliverer_out);
/* For connections that are made from now on; idle ones end. */
void deliverer_use(struct deliverer *d, const struct deliverer_settings *settings);
/* A DELIVER or NOTIFY request, or an answer to its own APPEND, FETCH or JOB; false: not the
 * deliverer's. */
bool deliverer_on_letter(struct deliverer *d, struct letter *letter);
void deliverer_counters(const struct deliverer *d, struct deliverer_counters *counters_out);
void deliverer_free(struct deliverer *d); /* at any time, as receiver_free */

#endif
