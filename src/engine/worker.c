#include "engine/worker.h"

#include <stdlib.h>

#include "engine/generation.h"

struct worker {
    struct actor *actor;
    struct receiver *receiver;
    struct deliverer *deliverer;
    struct letter *stop; /* to be answered once no session is left */
    bool is_stopping;
};

static void on_stop(struct worker *w, struct letter *letter)
{
    if (w->is_stopping) {
        letter_answer(w->actor, letter);
        actor_stop(w->actor);
        return;
    }
    w->is_stopping = true;
    w->stop = letter;
    receiver_stop(w->receiver);
}

/* The new sockets are those of before under other descriptors, but for what has changed. */
static enum fault renew_listeners(struct worker *w, const struct generation *g)
{
    enum fault fault = FAULT_NONE;
    if (w->is_stopping)
        return FAULT_STOPPING;
    receiver_renew_listeners(w->receiver);
    for (uint32_t i = 0; i < g->source.listener_count && fault == FAULT_NONE; i++) {
        struct receiver_door door = generation_door(g, i);
        fault = receiver_listen(w->receiver, g->source.listeners[i], &door);
    }
    receiver_close_listeners(w->receiver, fault != FAULT_NONE);
    return fault;
}

static void on_renew(struct worker *w, struct worker_renewal *renewal)
{
    struct worker_generation *g = renewal->generation;
    if (renewal->retires) {
        g->lease.is_over = true;
        receiver_retire(w->receiver);
    } else {
        receiver_use(w->receiver, &g->receiver);
        deliverer_use(w->deliverer, &g->deliverer);
        renewal->fault = renew_listeners(w, g->whole);
    }
    letter_answer(w->actor, &renewal->letter);
}

static void on_letter(void *self, struct letter *letter)
{
    struct worker *w = self;
    if (letter->type == LETTER_PING) {
        letter_answer(w->actor, letter);
    } else if (letter->type == LETTER_RENEW) {
        on_renew(w, container_of(letter, struct worker_renewal, letter));
    } else if (letter->type == LETTER_STOP) {
        on_stop(w, letter);
    } else {
        bool is_taken =
            receiver_on_letter(w->receiver, letter) || deliverer_on_letter(w->deliverer, letter);
        check(is_taken);
    }
}

static void on_turn(void *self)
{
    struct worker *w = self;
    if (w->stop != NULL && receiver_is_idle(w->receiver)) {
        letter_answer(w->actor, w->stop);
        w->stop = NULL;
    }
}

static const struct actor_role role = {"worker", on_letter, on_turn};

enum fault worker_new(struct world *w, uint32_t max_letters, struct log *log,
                      struct worker **worker_out)
{
    struct worker *made = calloc(1, sizeof *made);
    if (made == NULL)
        return FAULT_NO_MEMORY;
    enum fault fault = actor_new(w, &role, made, max_letters, log, &made->actor);
    if (fault == FAULT_NONE)
        *worker_out = made;
    else
        free(made);
    return fault;
}

struct actor *worker_actor(struct worker *w)
{
    return w->actor;
}

enum fault worker_equip(struct worker *w, const struct receiver_settings *receiver,
                        const struct deliverer_settings *deliverer, struct spool *spool,
                        struct actor *queue)
{
    enum fault fault = receiver_new(w->actor, receiver, spool, queue, &w->receiver);
    if (fault == FAULT_NONE)
        fault = deliverer_new(w->actor, deliverer, spool, &w->deliverer);
    return fault;
}

struct receiver *worker_receiver(const struct worker *w)
{
    return w->receiver;
}

struct deliverer *worker_deliverer(const struct worker *w)
{
    return w->deliverer;
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    receiver_free(w->receiver);
    deliverer_free(w->deliverer);
    actor_free(w->actor);
    free(w);
}
