/*
 * worker: one thread's sockets, inbound and outbound: an actor that holds a receiver and a
 * deliverer and hands each letter to the one that it is for.
 *
 * STOP comes twice: at the first it takes no new sessions and answers when those it has are over
 * (deliveries go on, the queue decides about them); at the second it ends.
 */
#ifndef ENGINE_WORKER_H
#define ENGINE_WORKER_H

#include "deliver/deliverer.h"
#include "letter/actor.h"
#include "receive/receiver.h"

struct worker;
struct worker_generation;

/* RENEW: new sessions and connections go by this from now on; or (`retires`) those that go by it
   are to end as soon as they may. */
struct worker_renewal {
    struct letter letter;
    struct worker_generation *generation;
    bool retires;
    enum fault fault; /* out: the listening sockets stay what they were */
};

must_use enum fault worker_new(struct world *w, uint32_t max_letters, struct log *log,
                               struct worker **worker_out);
struct actor *worker_actor(struct worker *w);
/* Before the start. */
must_use enum fault worker_equip(struct worker *w, const struct receiver_settings *receiver,
                                 const struct deliverer_settings *deliverer, struct spool *spool,
                                 struct actor *queue);
struct receiver *worker_receiver(const struct worker *w);
struct deliverer *worker_deliverer(const struct worker *w);
void worker_free(struct worker *w); /* after its actor was joined */

#endif
