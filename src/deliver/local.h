/*
 * local: deliveries into mailboxes, which the agent does (ipc/message.def: DELIVER, OUTCOME).
 *
 * Each recipient is a request over the worker's channel to the agent, the content enclosed once for
 * all of them: a sealed copy, or the content's file. Requests wait in order while the agent has
 * enough to do; while it is away they wait no longer than LOCAL_AWAY_MS, then all are deferred with
 * a fault of the site. A request that was lost with the agent is made once more, as one that may be
 * a repeat; if it is lost again, the recipient is deferred. So nothing is lost, and nobody waits
 * for ever. Owns the channel, the requests and one delivery's memory each; never blocks. The
 * worker's thread.
 */
#ifndef DELIVER_LOCAL_H
#define DELIVER_LOCAL_H

#include "deliver/connection.h"

#define LOCAL_REQUESTS_MAX 200              /* with the agent at once */
#define LOCAL_AWAY_MS      INT64_C(20000)   /* without an agent */
#define LOCAL_ANSWER_MS    INT64_C(1800000) /* for one request: longer than any command may take */
#define LOCAL_LOSSES_MAX   2                /* of one request */

/* A delivery of a route with transport ROUTE_LOCAL (SEND). */
void local_deliver(struct deliverer *d, struct delivery *delivery);
/* Answers to its letters. */
void local_on_fetch(struct local_delivery *l);
void local_on_job(struct local_delivery *l);
void local_free(struct local *l); /* at any time; NULL is let be */

#endif
