#include "deliver/local.h"

#include <stdlib.h>

#include "ipc/channel.h"

#define TICK_MS INT64_C(500)

/* The worker's side of its channel to the agent. */
struct local {
    struct deliverer *deliverer;
    struct ipc_channel channel;
    bool is_welcome;       /* somebody listens at the other side */
    uint32_t requests_max; /* of the agent and us, the lesser */
    uint32_t sent_count, next_number;
    struct list waiting, sent; /* of local_request, the oldest first */
    struct list deliveries;
    struct timer timer;
    bool is_ticking;
    int64_t away_since_us; /* while it is not welcome and something waits */
};

struct local_request {
    struct list node; /* in local.waiting, or local.sent */
    struct local_delivery *delivery;
    uint32_t index; /* of the recipient in the delivery */
    uint32_t number;
    uint32_t losses;
    int64_t sent_us;
};

struct local_delivery {
    struct list node; /* in local.deliveries */
    struct local *local;
    struct delivery *delivery;
    struct mail_object *mail; /* a reference */
    struct enclosure *enclosed;
    bool may_be_repeated;
    struct fetching fetching;
    struct reading reading;
    bool has_content; /* reading.content is begun */
    uint32_t count;   /* of recipients */
    uint32_t left;    /* of them without a result */
    struct local_request requests[];
};

static struct loop *loop_of(const struct local *l)
{
    return actor_loop(l->deliverer->worker);
}

/* A delivery and its results. -----------------------------------------------------------------
 */

static void delivery_free(struct local_delivery *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        list_remove(&d->requests[i].node);
    if (d->has_content)
        content_fini(&d->reading.content);
    enclosure_close(d->enclosed);
    mail_release(d->mail);
    mail_release(d->fetching.fetch.mail);
    list_remove(&d->node);
    free(d);
}

/* The letter goes back, with a reference of the mail for the queue. */
static void finish(struct local_delivery *d)
{
    struct delivery *delivery = d->delivery;
    struct actor *worker = d->local->deliverer->worker;
    if (delivery->mail == NULL)
        delivery->mail = mail_retain(d->mail);
    delivery_free(d);
    letter_answer(worker, &delivery->letter);
}

static void defer_all(struct local_delivery *d, enum fault fault)
{
    struct delivery *delivery = d->delivery;
    for (uint32_t i = 0; i < delivery->recipient_count; i++)
        delivery->results[i] = (struct delivery_result){.end = DELIVERY_DEFERRED, .fault = fault};
    finish(d);
}

/* `r` is in no list. May finish and free its delivery. */
static void conclude(struct local_request *r, struct delivery_result result)
{
    struct local_delivery *d = r->delivery;
    check(list_empty(&r->node) && d->left > 0);
    d->delivery->results[r->index] = result;
    if (result.end == DELIVERY_DELIVERED)
        deliverer_count(&d->local->deliverer->counters.delivered, 1);
    if (--d->left == 0)
        finish(d);
}

static void conclude_for(struct local_request *r, enum fault fault)
{
    conclude(r, (struct delivery_result){.end = DELIVERY_DEFERRED, .fault = fault});
}

/* Requests. ---------------------------------------------------------------------------------- */

static void tick_later(struct local *l);

static struct local_request *first_of(const struct list *requests)
{
    return list_empty(requests) ? NULL : container_of(requests->next, struct local_request, node);
}

static enum fault send(struct local *l, struct local_request *r)
{
    const struct local_delivery *d = r->delivery;
    const struct envelope *e = &d->mail->envelope;
    uint32_t recipient = d->delivery->recipients[r->index];
    r->number = l->next_number++;
    struct ipc_message m = {.type = MESSAGE_TYPE_DELIVER,
                            .deliver = {.number = r->number,
                                        .id = d->mail->id,
                                        .recipient = recipient,
                                        .may_be_repeated = d->may_be_repeated || r->losses > 0,
                                        .is_framed = e->content_in_file,
                                        .content_bytes = e->content_bytes,
                                        .address = e->recipients[recipient].path,
                                        .sender = e->reverse_path,
                                        .prefix = e->prefix}};
    return channel_send(&l->channel, &m, d->enclosed);
}

/* As many as the agent takes now. One that finds no room waits for an answer to another. */
static void pump(struct local *l)
{
    struct local_request *r;
    while (l->is_welcome && l->sent_count < l->requests_max &&
           (r = first_of(&l->waiting)) != NULL) {
        enum fault fault = send(l, r);
        if (fault == FAULT_LIMIT || fault == FAULT_CONNECTION_LOST)
            return;
        list_remove(&r->node);
        if (fault != FAULT_NONE) {
            conclude_for(r, fault);
            continue;
        }
        r->sent_us = loop_mono_us(loop_of(l));
        list_append(&l->sent, &r->node);
        l->sent_count++;
    }
}

/* What was under way is asked for again, once; the oldest first. */
static void lose_channel(struct local *l)
{
    struct list lost;
    channel_close(&l->channel);
    l->is_welcome = false;
    l->away_since_us = loop_mono_us(loop_of(l));
    l->sent_count = 0;
    list_init(&lost);
    for (struct list *node; (node = list_take_first(&l->sent)) != NULL;)
        list_prepend(&lost, node);
    for (struct list *node; (node = list_take_first(&lost)) != NULL;) {
        struct local_request *r = container_of(node, struct local_request, node);
        if (++r->losses < LOCAL_LOSSES_MAX)
            list_prepend(&l->waiting, &r->node);
        else
            conclude_for(r, FAULT_CONNECTION_LOST);
    }
}

static struct local_request *find_sent(const struct local *l, uint32_t number)
{
    list_each(node, &l->sent)
    {
        struct local_request *r = container_of(node, struct local_request, node);
        if (r->number == number)
            return r;
    }
    return NULL;
}

static struct delivery_result result_of(struct delivery *d, const struct message_outcome *m)
{
    static const enum delivery_end ends[] = {
        [MESSAGE_DELIVERED] = DELIVERY_DELIVERED,
        [MESSAGE_DEFERRED] = DELIVERY_DEFERRED,
        [MESSAGE_FAILED] = DELIVERY_FAILED,
    };
    struct span text = arena_copy(&d->arena, m->text);
    bool has_reply = text.len > 0 && text.data != NULL;
    return (struct delivery_result){.end = ends[m->end],
                                    .is_reply = has_reply,
                                    .fault = has_reply ? FAULT_NONE : FAULT_UNKNOWN,
                                    .text = has_reply ? text : (struct span){NULL, 0}};
}

static void on_outcome(struct local *l, const struct message_outcome *m)
{
    struct local_request *r = find_sent(l, m->number);
    if (r == NULL || m->end > MESSAGE_FAILED) {
        lose_channel(l); /* it lies */
        tick_later(l);
        return;
    }
    list_remove(&r->node);
    l->sent_count--;
    conclude(r, result_of(r->delivery->delivery, m));
    pump(l);
}

static void on_message(void *context, const struct ipc_message *m, struct enclosure *enclosed)
{
    struct local *l = context;
    (void)enclosed; /* the table permits none */
    if (m->type == MESSAGE_TYPE_OUTCOME) {
        on_outcome(l, &m->outcome);
        return;
    }
    uint32_t most = m->welcome.requests_max;
    l->is_welcome = true;
    l->requests_max = most == 0 ? 1 : most < LOCAL_REQUESTS_MAX ? most : LOCAL_REQUESTS_MAX;
    pump(l);
}

static void on_end(void *context, enum fault why)
{
    struct local *l = context;
    (void)why;
    lose_channel(l);
    tick_later(l);
}

static const struct channel_events events = {on_message, on_end};

/* Time. -------------------------------------------------------------------------------------- */

static void offer(struct local *l)
{
    int door = l->deliverer->settings->agent_door;
    l->is_welcome = false;
    if (door < 0 || channel_offer(&l->channel, loop_of(l), door) != FAULT_NONE)
        return; /* tried again at the next tick */
    pump(l);
}

/* Nobody has been there for too long: the site's back-off keeps the mail, not we. */
static void give_up(struct local *l)
{
    channel_close(&l->channel);
    for (struct local_request *r; (r = first_of(&l->waiting)) != NULL;) {
        list_remove(&r->node);
        r->delivery->delivery->site_fault = FAULT_UNREACHABLE;
        conclude_for(r, FAULT_UNREACHABLE);
    }
}

static void look_at_time(struct local *l)
{
    int64_t now_us = loop_mono_us(loop_of(l));
    const struct local_request *oldest = first_of(&l->sent);
    if (oldest != NULL && now_us - oldest->sent_us >= LOCAL_ANSWER_MS * 1000)
        lose_channel(l);
    if (!l->is_welcome && now_us - l->away_since_us >= LOCAL_AWAY_MS * 1000)
        give_up(l);
    if (!channel_is_open(&l->channel) && !list_empty(&l->waiting))
        offer(l);
}

static void on_tick(void *context)
{
    struct local *l = context;
    l->is_ticking = false;
    look_at_time(l);
    if (!list_empty(&l->waiting) || !list_empty(&l->sent))
        tick_later(l);
}

/* Without memory for a timer the next delivery sets it. */
static void tick_later(struct local *l)
{
    if (!l->is_ticking)
        l->is_ticking = timer_set(loop_of(l), &l->timer,
                                  loop_mono_us(loop_of(l)) + TICK_MS * 1000) == FAULT_NONE;
}

/* Beginning. --------------------------------------------------------------------------------- */

static void enqueue(struct local_delivery *d)
{
    struct local *l = d->local;
    bool was_idle = list_empty(&l->waiting) && list_empty(&l->sent);
    for (uint32_t i = 0; i < d->count; i++)
        list_append(&l->waiting, &d->requests[i].node);
    if (was_idle && !l->is_welcome)
        l->away_since_us = loop_mono_us(loop_of(l));
    tick_later(l);
    if (channel_is_open(&l->channel))
        pump(l);
    else if (was_idle)
        offer(l);
}

/* The mail object is there. */
static void ready(struct local_delivery *d)
{
    const struct envelope *e = &d->mail->envelope;
    struct deliverer *deliverer = d->local->deliverer;
    for (uint32_t i = 0; i < d->count; i++)
        if (d->delivery->recipients[i] >= e->recipient_count) {
            defer_all(d, FAULT_DAMAGED); /* it is not the message that the queue knows */
            return;
        }
    if (e->content_in_file) {
        content_init(&d->reading.content, deliverer->spool, d->mail->id);
        d->has_content = true;
        content_send(deliverer->worker, &d->reading.content, CONTENT_ENCLOSE);
        return;
    }
    enum fault fault =
        enclosure_of_bytes(actor_world(deliverer->worker), &e->content, 1, &d->enclosed);
    if (fault != FAULT_NONE) {
        d->enclosed = NULL;
        defer_all(d, fault);
    } else {
        enqueue(d);
    }
}

void local_on_job(struct local_delivery *d)
{
    struct content *content = &d->reading.content;
    if (content->fault != FAULT_NONE) {
        defer_all(d, content->fault);
        return;
    }
    d->enclosed = content->enclosed;
    content->enclosed = NULL;
    enqueue(d);
}

void local_on_fetch(struct local_delivery *d)
{
    struct fetch *f = &d->fetching.fetch;
    if (f->fault != FAULT_NONE) {
        defer_all(d, f->fault);
        return;
    }
    deliverer_count(&d->local->deliverer->counters.fetched, 1);
    d->mail = f->mail;
    f->mail = NULL;
    ready(d);
}

static struct local *local_new(struct deliverer *d)
{
    struct local *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->deliverer = d;
    list_init(&l->waiting);
    list_init(&l->sent);
    list_init(&l->deliveries);
    timer_init(&l->timer, on_tick, l);
    channel_init(&l->channel, SIDE_ENGINE, SIDE_AGENT, &events, l);
    return l;
}

static struct local_delivery *delivery_new(struct local *l, struct delivery *delivery)
{
    uint32_t count = delivery->recipient_count;
    struct local_delivery *d = calloc(1, sizeof *d + count * sizeof d->requests[0]);
    if (d == NULL)
        return NULL;
    d->local = l;
    d->delivery = delivery;
    d->count = d->left = count;
    d->fetching.local = d->reading.local = d;
    for (uint32_t i = 0; i < count; i++) {
        d->requests[i] = (struct local_request){.delivery = d, .index = i};
        list_init(&d->requests[i].node);
    }
    list_append(&l->deliveries, &d->node);
    return d;
}

/* Mail that comes from memory was accepted in this life and is tried for the first time. */
void local_deliver(struct deliverer *deliverer, struct delivery *delivery)
{
    if (deliverer->local == NULL)
        deliverer->local = local_new(deliverer);
    delivery->results =
        arena_alloc(&delivery->arena, delivery->recipient_count * sizeof *delivery->results);
    struct local_delivery *d = NULL;
    if (deliverer->local != NULL && delivery->results != NULL)
        d = delivery_new(deliverer->local, delivery);
    if (d == NULL) {
        delivery->results = NULL; /* the queue defers all (transfer/delivery.h) */
        letter_answer(deliverer->worker, &delivery->letter);
        return;
    }
    d->may_be_repeated = delivery->mail == NULL;
    if (delivery->mail != NULL) {
        d->mail = mail_retain(delivery->mail);
        ready(d);
        return;
    }
    d->fetching.fetch = (struct fetch){.id = delivery->id};
    letter_send(deliverer->worker, spool_actor(deliverer->spool), &d->fetching.fetch.letter,
                LETTER_FETCH, NULL);
}

void local_free(struct local *l)
{
    if (l == NULL)
        return;
    while (!list_empty(&l->deliveries))
        delivery_free(container_of(l->deliveries.next, struct local_delivery, node));
    channel_close(&l->channel);
    timer_cancel(loop_of(l), &l->timer);
    free(l);
}
