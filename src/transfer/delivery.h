/*
 * delivery: DELIVER, queue -> worker: some recipients of a message to a site.
 *
 * The letter is at the same time a *channel*: the place for one connection to a site on one worker.
 * The queue makes as many channels as the site's window allows and lends each with one delivery
 * after the other; the worker keeps the connection between them (`connection`, which nobody else
 * touches), so a worker asks for its next delivery in the letter that reports the last. A worker
 * closes an idle connection by itself; a channel is ended by DELIVERY_CLOSE, after which the queue
 * may free it.
 */
#ifndef TRANSFER_DELIVERY_H
#define TRANSFER_DELIVERY_H

#include "base/arena.h"
#include "dns/route.h"
#include "letter/letter.h"
#include "spool/mail_object.h"

#define DELIVERY_RECIPIENTS_MAX 1000
#define DELIVERY_REPLY_MAX      1024
#define DELIVERY_MEMORY_MAX     (4u * 1024 * 1024) /* of its arena: results and their texts */

enum delivery_kind { DELIVERY_SEND, DELIVERY_CLOSE };

enum delivery_end { DELIVERY_DELIVERED, DELIVERY_DEFERRED, DELIVERY_FAILED };

struct delivery_result {
    enum delivery_end end;
    bool is_reply;    /* `text` is what the remote said, code first: "550 5.1.1 no such user" */
    bool in_doubt;    /* the final dot was out and no reply came: it may be delivered (RFC 1047) */
    bool is_relayed;  /* DELIVERED to a host that does no DSN: who has asked for a notification of
                         success gets it from us (RFC 3461 5.2.2: "relayed") */
    enum fault fault; /* ours, when it is no reply */
    struct span text; /* in the letter's arena */
    struct span tls;  /* "TLSv1.3 TLS_AES_256_GCM_SHA384 verified", in the arena; empty: in clear */
    struct span
        remote; /* the host that said it, in the letter's arena or the route; may be empty */
};

struct delivery {
    struct letter letter;
    enum delivery_kind kind;
    struct actor *worker; /* where the channel lives */

    /* In; the queue's until the answer. */
    struct route *route;
    struct id id;
    uint32_t version;         /* for the SENDING record */
    struct mail_object *mail; /* the queue's reference, or NULL: the worker fetches it and leaves a
                                 reference here for the queue */
    const uint32_t *recipients; /* indexes into the envelope's */
    uint32_t recipient_count;

    /* Out. */
    struct delivery_result *
        results; /* one for each of `recipients`, in the arena; NULL: no memory, all are deferred */
    enum fault site_fault; /* no host could be used: connect, greeting, 421, lost; NONE: the site is
                              well */
    bool keeps_connection; /* the next delivery finds it open */
    struct arena arena;    /* initialised by the queue, reset by it before each use */

    void *connection; /* the worker's; NULL at first */
};

#endif
