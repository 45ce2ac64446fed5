/*
 * dispatch: what is ready at a site becomes deliveries, as many as the site may have; see inside.h,
 * site.h and transfer/delivery.h.
 */
#include "base/check.h"
#include "queue/inside.h"

struct site *dispatch_site(struct queue *q, struct span key)
{
    struct site *s = map_get(&q->sites, key);
    if (s != NULL)
        return s;
    s = site_new(key, &q->limits, q->settings.secret);
    if (s == NULL)
        return NULL;
    if (!heap_insert(&q->sites_due, &s->wake, RETRY_NEVER)) {
        site_free(s);
        return NULL;
    }
    if (!map_put(&q->sites, s)) {
        heap_remove(&q->sites_due, &s->wake);
        site_free(s);
        return NULL;
    }
    return s;
}

void dispatch_site_release(struct queue *q, struct site *s)
{
    if (s->references > 0 || s->channels > 0 || s->ready.count > 0)
        return;
    (void)map_remove(&q->sites, site_key(s));
    heap_remove(&q->sites_due, &s->wake);
    list_remove(&s->hungry);
    site_free(s);
}

void dispatch_hungry(struct queue *q, struct site *s)
{
    list_remove(&s->hungry);
    list_append(&q->hungry, &s->hungry);
}

void dispatch_all_hungry(struct queue *q)
{
    struct site *s;
    size_t at = 0;
    while ((s = map_next(&q->sites, &at)) != NULL)
        if (s->ready.count > 0)
            dispatch_hungry(q, s);
}

bool dispatch_ready(struct queue *q, struct recipient *r)
{
    struct destination *d = r->destination;
    struct message *m = message_of(r);
    if (!fairness_add(&d->site->ready, m->sender, &r->node))
        return false;
    recipient_enter(r, PHASE_READY);
    d->ready++;
    /* Nothing is sent there for some time: its content need not stay in memory. */
    if (d->site->state != SITE_WELL)
        fresh_drop(&q->fresh, m);
    int64_t over_ms = outcome_over_ms(q, m), late_ms = notify_delay_ms(q, m);
    queue_look_by(q, m, late_ms < over_ms ? late_ms : over_ms);
    dispatch_hungry(q, d->site);
    return true;
}

void dispatch_unready(struct queue *q, struct recipient *r)
{
    (void)q;
    struct destination *d = r->destination;
    fairness_remove(&d->site->ready, message_of(r)->sender, &r->node);
    check(d->ready > 0);
    d->ready--;
}

static void take(struct queue *q, struct channel *c, struct recipient *r)
{
    dispatch_unready(q, r);
    recipient_enter(r, PHASE_BUSY);
    r->era = q->clock.era;
    c->recipients[c->delivery.recipient_count++] = r->index;
}

/* `first`, and the other recipients of its message that wait for the same site. */
static void take_recipients(struct queue *q, struct channel *c, struct recipient *first,
                            uint32_t most)
{
    struct message *m = c->message;
    take(q, c, first);
    for (uint32_t i = 1; i < m->recipient_count && i < QUEUE_SCAN_MAX; i++) {
        if (m->moving == 0 || c->delivery.recipient_count == most)
            return;
        struct recipient *r = &m->recipients[(first->index + i) % m->recipient_count];
        if (r->phase == PHASE_READY && r->destination->site == c->site)
            take(q, c, r);
    }
}

static uint32_t recipients_max(const struct queue *q, const struct message *m)
{
    uint32_t most = q->settings.delivery_recipients_max;
    return m->recipient_count < most ? m->recipient_count : most;
}

static void start(struct queue *q, struct channel *c, struct recipient *first)
{
    struct message *m = message_of(first);
    struct delivery *d = &c->delivery;
    q->counts.active += m->busy == 0;
    c->message = m;
    c->generation = site_on_start(c->site);
    d->route = route_retain(first->destination->route);
    d->id = m->id;
    d->version = m->version;
    d->recipients = c->recipients;
    d->recipient_count = 0;
    d->results = NULL;
    d->site_fault = FAULT_NONE;
    fairness_pass(&c->site->ready);
    take_recipients(q, c, first, recipients_max(q, m));
    d->mail = fresh_take(&q->fresh, m, m->moving == 0);
    channel_lend(q, c, DELIVERY_SEND);
}

/* No channel or no memory: again when a channel is closed, or after a pause. */
static void starve(struct queue *q, struct site *s)
{
    list_append(&q->starved, &s->hungry);
    q->starved_until_ms = q->clock.mono_ms + QUEUE_TROUBLE_MS;
}

void dispatch_starved(struct queue *q)
{
    list_each(node, &q->starved) dispatch_hungry(q, container_of(node, struct site, hungry));
}

/* Starts one delivery. False: nothing is ready, or it may not, or cannot now. */
static bool start_next(struct queue *q, struct site *s)
{
    struct list *entry = fairness_first(&s->ready);
    if (entry == NULL || !site_may_start(s))
        return false;
    struct recipient *r = container_of(entry, struct recipient, node);
    struct message *m = message_of(r);
    /* A site was away: its domains may have moved meanwhile. */
    if (!resolve_is_current(q, r->destination) && s->state == SITE_PROBE)
        return false;
    struct channel *c = save_work(q, m) == NULL ? NULL : channel_take(q, s);
    if (c == NULL) {
        starve(q, s);
        return false;
    }
    if (!channel_has_room(c, recipients_max(q, m))) {
        channel_idle(q, c);
        starve(q, s);
        return false;
    }
    start(q, c, r);
    return true;
}

/* The site is as it should be again: who was deferred since it was not is due now. */
static void on_recovered(struct queue *q, struct site *s)
{
    heap_change(&q->sites_due, &s->wake, RETRY_NEVER);
    struct list *node;
    while ((node = list_take_first(&s->deferred)) != NULL) {
        struct recipient *r = container_of(node, struct recipient, node);
        r->due_ms = q->clock.mono_ms;
        queue_look_by(q, message_of(r), r->due_ms);
    }
}

static void on_site_fault(struct queue *q, struct channel *c)
{
    struct site *s = c->site;
    s->fault_era = q->clock.era;
    s->fault = c->delivery.site_fault;
    int64_t backoff_ms = site_on_fault(s, c->generation, &q->limits, queue_random(q));
    if (backoff_ms == 0)
        return;
    heap_change(&q->sites_due, &s->wake, q->clock.mono_ms + backoff_ms);
    LOG(q->log, EVENT_SITE_FAILED, log_span("site", site_key(s)),
        log_fault("fault", c->delivery.site_fault), log_u64("faults", s->faults),
        log_i64("pause-ms", backoff_ms), log_u64("waiting", s->ready.count));
}

/* What the delivery says about the site. */
static void judge_site(struct queue *q, struct channel *c)
{
    const struct delivery *d = &c->delivery;
    if (d->site_fault != FAULT_NONE) {
        on_site_fault(q, c);
        return;
    }
    uint32_t taken = 0;
    for (uint32_t i = 0; d->results != NULL && i < d->recipient_count; i++)
        taken += d->results[i].end == DELIVERY_DELIVERED;
    site_count(c->site, taken, q->clock.mono_ms);
    if (site_on_well(c->site, taken > 0, &q->limits))
        on_recovered(q, c->site);
}

static struct reply *reply_of(struct queue *q, const struct delivery_result *result)
{
    struct span text = result->text;
    if (text.len == 0)
        text = span_text(fault_text(result->fault));
    enum fault fault = result->is_reply ? FAULT_NONE : result->fault;
    return reply_get(&q->replies, text, result->remote, fault);
}

static void apply(struct queue *q, struct channel *c, uint32_t i)
{
    static const struct delivery_result none = {.end = DELIVERY_DEFERRED, .fault = FAULT_NO_MEMORY};
    struct delivery *d = &c->delivery;
    const struct delivery_result *result = d->results == NULL ? &none : &d->results[i];
    struct recipient *r = &c->message->recipients[d->recipients[i]];
    switch (result->end) {
    case DELIVERY_DELIVERED:
        outcome_delivered(q, r, result, d->mail);
        return;
    case DELIVERY_DEFERRED:
        outcome_deferred(q, r, reply_of(q, result), result->in_doubt, d->mail);
        if (c->site->state != SITE_WELL && d->site_fault != FAULT_NONE && r->phase == PHASE_UNSAVED)
            list_append(&c->site->deferred, &r->node);
        return;
    case DELIVERY_FAILED:
        outcome_failed(q, r, reply_of(q, result), d->mail);
        return;
    }
}

void dispatch_answered(struct queue *q, struct channel *c)
{
    enum delivery_kind kind = c->delivery.kind;
    channel_back(q, c);
    if (kind == DELIVERY_CLOSE)
        return;
    struct message *m = c->message;
    struct site *s = c->site;
#ifdef PLANTED_BUG_WINDOW_LEAK
    if (c->delivery.site_fault == FAULT_NONE)
#endif
        site_on_end(s);
    judge_site(q, c);
    for (uint32_t i = 0; i < c->delivery.recipient_count; i++)
        apply(q, c, i);
    q->counts.active -= m->busy == 0;
    channel_idle(q, c);
    dispatch_hungry(q, s);
}

void dispatch_end_backoff(struct queue *q, struct site *s)
{
    site_on_time(s);
    heap_change(&q->sites_due, &s->wake, RETRY_NEVER);
    dispatch_hungry(q, s);
}

/* Nothing is delivered whose outcome could not be made durable. */
static bool may_deliver(const struct queue *q)
{
    return q->stop == NULL && !q->is_spool_failing;
}

void dispatch_turn(struct queue *q)
{
    struct heap_node *first;
    while ((first = heap_first(&q->sites_due)) != NULL && first->key <= q->clock.mono_ms)
        dispatch_end_backoff(q, container_of(first, struct site, wake));
    if (!may_deliver(q))
        return;
    if (q->clock.mono_ms >= q->starved_until_ms)
        dispatch_starved(q);
    struct list *node;
    while ((node = list_take_first(&q->hungry)) != NULL) {
        struct site *s = container_of(node, struct site, hungry);
        while (start_next(q, s))
            continue;
    }
}

int64_t dispatch_next_ms(struct queue *q)
{
    const struct heap_node *first = heap_first(&q->sites_due);
    int64_t next_ms = first == NULL ? RETRY_NEVER : first->key;
    int64_t idle_ms = channel_next_ms(q);
    if (idle_ms < next_ms)
        next_ms = idle_ms;
    if (may_deliver(q) && !list_empty(&q->starved) && q->starved_until_ms < next_ms)
        next_ms = q->starved_until_ms;
    return next_ms;
}

void dispatch_free(struct queue *q)
{
    channel_free_all(q);
    check(q->sites.count == 0);
    map_fini(&q->sites);
    heap_fini(&q->sites_due);
}
