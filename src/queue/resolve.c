/*
 * resolve: how recipients that are due find their way; see inside.h and destination.h.
 */
#include <stdlib.h>

#include "base/check.h"
#include "mail/notify.h"
#include "queue/inside.h"

/* There is no memory to go on now. */
static void try_later(struct queue *q, struct recipient *r)
{
    if (r->phase != PHASE_SCHEDULED)
        recipient_enter(r, PHASE_SCHEDULED);
    r->due_ms = q->clock.mono_ms + QUEUE_TROUBLE_MAX_MS;
    queue_look_by(q, message_of(r), r->due_ms);
}

static void send_question(void *context)
{
    struct question *question = context;
    struct queue *q = question->queue;
    q->resolves_sent++;
    letter_send(q->actor, q->resolver, &question->resolve.letter, LETTER_RESOLVE, &q->resolves);
}

/* One question at a time. False: no memory. */
static bool ask(struct queue *q, struct destination *d)
{
    if (d->question != NULL)
        return true;
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL)
        return false;
    question->queue = q;
    question->destination = d;
    question->resolve.name = destination_name(d);
    d->question = question;
    credit_waiter_init(&question->waiter, send_question, question);
    if (credit_take(&q->resolves))
        send_question(question);
    else
        credit_wait(&q->resolves, &question->waiter);
    return true;
}

bool resolve_is_current(struct queue *q, struct destination *d)
{
    return d->until_ms > q->clock.mono_ms || !ask(q, d);
}

/* The domain cannot be reached, for now or for good. */
static void refuse(struct queue *q, struct recipient *r)
{
    struct destination *d = r->destination;
    struct message *m = message_of(r);
    if (save_work(q, m) == NULL) {
        try_later(q, r);
        return;
    }
    struct reply *reply = reply_with_fault(&q->replies, NULL, d->fault);
    r->era = q->clock.era;
    if (!fault_is_temporary(d->fault)) {
        outcome_failed(q, r, reply, fresh_look(m));
        return;
    }
    outcome_deferred(q, r, reply, false, fresh_look(m));
    if (r->due_ms < d->until_ms)
        r->due_ms = d->until_ms;
}

static void go_on(struct queue *q, struct recipient *r)
{
    if (r->destination->fault != FAULT_NONE)
        refuse(q, r);
    else if (!dispatch_ready(q, r))
        try_later(q, r);
}

static void begin(struct queue *q, struct recipient *r)
{
    struct destination *d = r->destination;
    list_remove(&r->node);
    if ((r->notify & NOTIFY_EXPANDED) != 0) {
        if (save_work(q, message_of(r)) == NULL)
            try_later(q, r);
        else
            outcome_expanded(q, r, fresh_look(message_of(r)));
    } else if (d == NULL) {
        if (save_work(q, message_of(r)) == NULL)
            try_later(q, r);
        else
            outcome_stuck(q, r, HELD_NO_DOMAIN);
    } else if (d->until_ms > q->clock.mono_ms) {
        go_on(q, r);
    } else if (ask(q, d)) {
        recipient_enter(r, PHASE_RESOLVING);
        list_append(&d->waiting, &r->node);
    } else {
        try_later(q, r);
    }
}

void resolve_message(struct queue *q, struct message *m)
{
    if (m->is_held || m->is_removing || q->stop != NULL)
        return;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->phase == PHASE_SCHEDULED && r->due_ms <= q->clock.mono_ms)
            begin(q, r);
    }
}

void resolve_recall(struct queue *q, struct recipient *r)
{
    if (r->phase == PHASE_READY)
        dispatch_unready(q, r);
    if (r->phase == PHASE_RESOLVING)
        list_remove(&r->node);
    if (r->phase == PHASE_READY || r->phase == PHASE_RESOLVING)
        recipient_enter(r, PHASE_SCHEDULED);
}

/*
 * Takes the recipients of `d` that are READY out of their site, into the destination's list. Looks
 * at all that is ready there; it happens only when the hosts of a domain have changed, or are gone,
 * while mail for it waits.
 */
static void take_back_ready(struct queue *q, struct destination *d)
{
    struct site *s = d->site;
    struct list taken;
    list_init(&taken);
    for (uint32_t left = s == NULL || d->ready == 0 ? 0 : s->ready.count; left > 0; left--) {
        struct recipient *r = container_of(fairness_first(&s->ready), struct recipient, node);
        struct message *m = message_of(r);
        fairness_remove(&s->ready, m->sender, &r->node);
        list_append(&taken, &r->node);
    }
    struct list *node;
    while ((node = list_take_first(&taken)) != NULL) {
        struct recipient *r = container_of(node, struct recipient, node);
        if (r->destination == d) {
            d->ready--;
            recipient_enter(r, PHASE_SCHEDULED);
            recipient_enter(r, PHASE_RESOLVING);
            list_append(&d->waiting, &r->node);
        } else if (!fairness_add(&s->ready, message_of(r)->sender, &r->node)) {
            r->destination->ready--;
            try_later(q, r);
        }
    }
}

void resolve_drop_route(struct queue *q, struct destination *d)
{
    if (d->route == NULL)
        return;
    check(d->ready == 0);
    struct site *s = d->site;
    route_release(d->route);
    d->route = NULL;
    d->site = NULL;
    s->references--;
    dispatch_site_release(q, s);
}

/* Takes over the route of a good answer. False: no memory. */
static bool adopt(struct queue *q, struct destination *d, struct route *route)
{
    struct site *s = dispatch_site(q, route->site);
    if (s == NULL) {
        route_release(route);
        return false;
    }
    s->references++;
    if (d->site != NULL && d->site != s)
        take_back_ready(q, d);
    if (d->route != NULL) {
        struct site *old = d->site;
        route_release(d->route);
        old->references--;
        d->route = NULL;
        dispatch_site_release(q, old);
    }
    d->route = route;
    d->site = s;
    return true;
}

/* Notes the answer in the destination. */
static void note(struct queue *q, struct destination *d, const struct resolve *answer)
{
    d->fault = answer->fault;
    if (d->fault == FAULT_NONE && !adopt(q, d, answer->route))
        d->fault = FAULT_NO_MEMORY;
    bool is_temporary = d->fault != FAULT_NONE && fault_is_temporary(d->fault);
    d->faults = is_temporary ? d->faults + 1 : 0;
    int64_t ttl_ms = destination_ttl_ms(answer->ttl_ms);
    if (is_temporary)
        ttl_ms = retry_delay_ms(q->limits.retry_first_ms, q->limits.retry_max_ms, d->faults,
                                queue_random(q));
    d->until_ms = q->clock.mono_ms + ttl_ms;
    if (d->fault != FAULT_NONE && !is_temporary) {
        take_back_ready(q, d);
        resolve_drop_route(q, d);
    }
}

void resolve_answered(struct queue *q, struct question *question)
{
    struct destination *d = question->destination;
    q->resolves_sent--;
    d->question = NULL;
    note(q, d, &question->resolve);
    free(question);
    struct list *node;
    while ((node = list_take_first(&d->waiting)) != NULL)
        go_on(q, container_of(node, struct recipient, node));
    if (d->site != NULL)
        dispatch_hungry(q, d->site);
}

void resolve_forget(struct queue *q, bool all)
{
    struct destination *d;
    while ((d = destination_surplus(&q->destinations, all)) != NULL) {
        if (d->question != NULL) {
            credit_cancel(&d->question->waiter);
            route_release(d->question->resolve.route); /* an answer that was never read */
            free(d->question);
            d->question = NULL;
        }
        resolve_drop_route(q, d);
        destination_drop(&q->destinations, d);
    }
}
