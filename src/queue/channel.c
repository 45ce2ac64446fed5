/*
 * channel: the places for connections: made, lent, kept idle, closed; see inside.h and
 * transfer/delivery.h.
 */
#include <stdlib.h>

#include "base/check.h"
#include "queue/inside.h"

/* The worker with the fewest channels; of equals each in turn. */
static uint32_t choose_worker(struct queue *q)
{
    check(q->worker_count > 0);
    uint32_t best = q->next_worker++ % q->worker_count;
    for (uint32_t i = 1; i < q->worker_count; i++) {
        uint32_t other = (best + i) % q->worker_count;
        if (q->worker_channels[other] < q->worker_channels[best])
            best = other;
    }
    return best;
}

static struct channel *channel_new(struct queue *q, struct site *s)
{
    struct channel *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    list_init(&c->idle);
    list_init(&c->idle_long);
    list_append(&q->channels, &c->node);
    c->site = s;
    c->worker = choose_worker(q);
    c->delivery.worker = q->workers[c->worker];
    arena_init(&c->delivery.arena, DELIVERY_MEMORY_MAX);
    s->channels++;
    q->worker_channels[c->worker]++;
    q->channel_count++;
    return c;
}

static void channel_free(struct queue *q, struct channel *c)
{
    struct site *s = c->site;
    list_remove(&c->node);
    list_remove(&c->idle);
    list_remove(&c->idle_long);
    mail_release(c->delivery.mail);
    route_release(c->delivery.route);
    arena_fini(&c->delivery.arena);
    free(c->recipients);
    free(c);
    check(s->channels > 0);
    s->channels--;
    q->channel_count--;
    dispatch_site_release(q, s);
}

static void channel_close(struct queue *q, struct channel *c)
{
    list_remove(&c->idle);
    list_remove(&c->idle_long);
    channel_lend(q, c, DELIVERY_CLOSE);
}

struct channel *channel_take(struct queue *q, struct site *s)
{
    struct list *idle = list_take_first(&s->idle);
    if (idle != NULL) {
        struct channel *c = container_of(idle, struct channel, idle);
        list_remove(&c->idle_long);
        return c;
    }
    if (q->channel_count < QUEUE_CHANNELS_MAX)
        return channel_new(q, s);
    /* Others keep connections that they do not use: the room of the longest idle is next. */
    if (!list_empty(&q->idle))
        channel_close(q, container_of(q->idle.next, struct channel, idle_long));
    return NULL;
}

bool channel_has_room(struct channel *c, uint32_t recipients)
{
    if (recipients <= c->recipient_capacity)
        return true;
    uint32_t *larger = realloc(c->recipients, recipients * sizeof *larger);
    if (larger == NULL)
        return false;
    c->recipients = larger;
    c->recipient_capacity = recipients;
    return true;
}

void channel_lend(struct queue *q, struct channel *c, enum delivery_kind kind)
{
    check(!c->is_lent);
    c->is_lent = true;
    q->channels_lent++;
    c->delivery.kind = kind;
    letter_send(q->actor, c->delivery.worker, &c->delivery.letter, LETTER_DELIVER, NULL);
}

void channel_back(struct queue *q, struct channel *c)
{
    check(c->is_lent);
    c->is_lent = false;
    q->channels_lent--;
    if (c->delivery.kind != DELIVERY_CLOSE)
        return;
    q->worker_channels[c->worker]--;
    channel_free(q, c);
    dispatch_starved(q);
}

void channel_idle(struct queue *q, struct channel *c)
{
    struct site *s = c->site;
    c->message = NULL;
    mail_release(c->delivery.mail);
    c->delivery.mail = NULL;
    route_release(c->delivery.route);
    c->delivery.route = NULL;
    arena_reset(&c->delivery.arena);
    c->idle_since_ms = q->clock.mono_ms;
    list_append(&q->idle, &c->idle_long);
    /* One with a connection is used before one without. */
    if (c->delivery.keeps_connection)
        list_prepend(&s->idle, &c->idle);
    else
        list_append(&s->idle, &c->idle);
    if (s->channels > site_window(s) || q->stop != NULL)
        channel_close(q, container_of(s->idle.prev, struct channel, idle));
}

void channel_close_idle(struct queue *q, bool all)
{
    while (!list_empty(&q->idle)) {
        struct channel *c = container_of(q->idle.next, struct channel, idle_long);
        if (!all && c->idle_since_ms + QUEUE_CHANNEL_IDLE_MS > q->clock.mono_ms)
            return;
        channel_close(q, c);
    }
}

int64_t channel_next_ms(const struct queue *q)
{
    if (list_empty(&q->idle))
        return RETRY_NEVER;
    const struct channel *c = container_of(q->idle.next, struct channel, idle_long);
    return c->idle_since_ms + QUEUE_CHANNEL_IDLE_MS;
}

void channel_free_all(struct queue *q)
{
    struct list *node;
    while ((node = list_take_first(&q->channels)) != NULL)
        channel_free(q, container_of(node, struct channel, node));
}
