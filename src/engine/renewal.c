/*
 * renewal: how the engine's members come from one generation of the configuration to the next.
 *
 * A round: RENEW to the workers and the resolver; when all have answered, to the queue, which then
 * has domains asked for anew. Only one round is under way. A generation is freed here, once nobody
 * goes by it; while there are as many as may be, the next waits and the oldest one's sessions are
 * told to end between two messages.
 */
#include <stdlib.h>

#include "engine/engine_inside.h"

static void send(struct engine *e, struct actor *to, struct letter *letter)
{
    letter_send(e->actor, to, letter, LETTER_RENEW, NULL);
    e->renewal.letters_out++;
}

static void tell_workers(struct engine *e, struct generation *g, bool retires)
{
    for (uint32_t i = 0; i < e->worker_count; i++) {
        struct worker_renewal *w = &e->renewal.workers[i];
        w->generation = &g->workers[i];
        w->retires = retires;
        send(e, worker_actor(e->workers[i]), &w->letter);
    }
}

static void count(struct engine *e)
{
    const struct renewal *r = &e->renewal;
    atomic_store(&e->generation_count, r->count);
    atomic_store(&e->generation_number, r->alive[r->count - 1]->number);
}

static void add(struct engine *e, struct generation *g)
{
    struct renewal *r = &e->renewal;
    g->number = atomic_load(&e->generation_number) + 1;
    r->alive[r->count++] = g;
    r->is_oldest_over = false;
    count(e);
}

void renewal_begin(struct engine *e, struct generation *first)
{
    add(e, first);
}

/* All but the present one may go when nobody goes by them. */
static void sweep(struct engine *e)
{
    struct renewal *r = &e->renewal;
    for (uint32_t i = 0; i + 1 < r->count;) {
        if (!generation_is_unused(r->alive[i])) {
            i++;
            continue;
        }
        generation_free(r->alive[i]);
        r->count--;
        for (uint32_t k = i; k < r->count; k++)
            r->alive[k] = r->alive[k + 1];
        if (i == 0)
            r->is_oldest_over = false;
    }
    count(e);
}

static void next_round(struct engine *e, struct generation *g)
{
    struct renewal *r = &e->renewal;
    add(e, g);
    r->fault = FAULT_NONE;
    r->is_queue_next = true;
    r->resolver.settings = &g->resolver;
    tell_workers(e, g, false);
    send(e, resolver_actor(e->resolver), &r->resolver.letter);
    r->control.settings = g->source.settings;
    r->importer.settings = g->source.settings;
    if (e->importer != NULL)
        send(e, importer_actor(e->importer), &r->importer.letter);
    if (e->control != NULL)
        send(e, control_actor(e->control), &r->control.letter);
}

void renewal_tend(struct engine *e)
{
    struct renewal *r = &e->renewal;
    if (r->letters_out > 0)
        return;
    if (r->count > 1)
        sweep(e);
    if (e->stage != STAGE_RUNNING || atomic_load(&r->pending) == NULL)
        return;
    if (r->count < ENGINE_GENERATIONS_MAX) {
        next_round(e, atomic_exchange(&r->pending, NULL));
    } else if (!r->is_oldest_over) {
        r->is_oldest_over = true;
        tell_workers(e, r->alive[0], true);
    }
}

static void end_round(struct engine *e)
{
    struct renewal *r = &e->renewal;
    LOG(actor_log(e->actor), EVENT_ENGINE_RELOADED,
        log_u64("generation", atomic_load(&e->generation_number)), log_u64("alive", r->count),
        log_fault("fault", r->fault));
}

static void be_taken(struct generation *g)
{
    if (g->source.on_taken != NULL)
        g->source.on_taken(g->source.context);
}

static void note(struct renewal *r, enum fault fault)
{
    if (fault != FAULT_NONE)
        r->fault = fault;
}

void renewal_answered(struct engine *e)
{
    struct renewal *r = &e->renewal;
    if (--r->letters_out > 0)
        return;
    if (r->is_queue_next) {
        for (uint32_t i = 0; i < e->worker_count; i++)
            note(r, r->workers[i].fault);
        note(r, r->resolver.fault);
        be_taken(r->alive[r->count - 1]);
        r->is_queue_next = false;
        r->queue.settings = &r->alive[r->count - 1]->queue;
        send(e, queue_actor(e->queue), &r->queue.letter);
    } else if (!r->is_oldest_over) {
        note(r, r->queue.fault);
        end_round(e);
    }
}

void renewal_free(struct engine *e)
{
    struct renewal *r = &e->renewal;
    generation_free(atomic_exchange(&r->pending, NULL));
    for (uint32_t i = 0; i < r->count; i++)
        generation_free(r->alive[i]);
    r->count = 0;
}

void engine_reload_ended(struct engine *e, bool is_good, struct span text)
{
    if (e->control != NULL)
        control_reload_ended(e->control, is_good, text);
}

enum fault engine_reload(struct engine *e, const struct generation_source *source,
                         struct buffer *why)
{
    struct generation *g;
    enum fault fault = generation_new(&e->options, source, e->worker_count, why, &g);
    if (fault != FAULT_NONE)
        return fault;
    generation_free(atomic_exchange(&e->renewal.pending, g)); /* it was not yet anybody's */
    (void)loop_wake(actor_loop(e->actor));
    return FAULT_NONE;
}
