/*
 * queue: see queue.h. The actor: letters in, a turn's end, and the stop.
 */
#include "queue/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "queue/inside.h"

void queue_look_by(struct queue *q, struct message *m, int64_t at_ms)
{
    schedule_by(&q->schedule, m, at_ms);
}

uint32_t queue_random(struct queue *q)
{
    uint32_t random;
    loop_random(q->loop, &random, sizeof random);
    return random;
}

int64_t queue_trouble_ms(struct queue *q, uint32_t faults)
{
    return retry_delay_ms(QUEUE_TROUBLE_MS, QUEUE_TROUBLE_MAX_MS, faults, queue_random(q));
}

struct actor *queue_next_worker(struct queue *q)
{
    check(q->worker_count > 0);
    return q->workers[q->next_worker++ % q->worker_count];
}

/* Those that wait for their turn at a site that is away may have waited for too long. */
static void expire(struct queue *q, struct message *m)
{
    if (m->moving == 0 || outcome_over_ms(q, m) > q->clock.mono_ms)
        return;
    struct work *w = save_work(q, m);
    for (uint32_t i = 0; i < m->recipient_count && w != NULL; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->phase != PHASE_READY || r->destination->site->state == SITE_WELL ||
            !outcome_is_over(q, r))
            continue;
        resolve_recall(q, r);
        if (!outcome_expired(q, r, NULL))
            r->due_ms = q->clock.mono_ms + QUEUE_TROUBLE_MAX_MS;
    }
}

/* When the message has to be looked at next. Always later than now. */
static int64_t next_look_ms(const struct queue *q, struct message *m)
{
    int64_t now_ms = q->clock.mono_ms;
    int64_t over_ms = outcome_over_ms(q, m);
    if (over_ms <= now_ms) /* but it was not tried in this era, or its turn is about to come */
        over_ms = now_ms + QUEUE_TROUBLE_MAX_MS;
    int64_t next_ms = m->moving > 0 ? over_ms : RETRY_NEVER;
    int64_t late_ms = notify_delay_ms(q, m);
    if (late_ms > now_ms && late_ms < next_ms)
        next_ms = late_ms;
    bool can_start = !m->is_held && !m->is_removing;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        if (can_start && r->phase == PHASE_SCHEDULED && r->due_ms < next_ms)
            next_ms = r->due_ms;
    }
    int64_t work_ms = m->work == NULL ? RETRY_NEVER : save_next_ms(m->work);
    if (work_ms < next_ms)
        next_ms = work_ms;
    return next_ms > now_ms ? next_ms : now_ms + 1;
}

static void look_at(struct queue *q, struct message *m)
{
    /* Its end was recovered, but not that it was known. */
    if (m->work == NULL && message_is_ended(m))
        (void)save_work(q, m);
    if (m->work != NULL)
        save_touch(q, m->work);
    expire(q, m);
    notify_look(q, m);
    resolve_message(q, m);
    schedule_set(&q->schedule, m, next_look_ms(q, m));
}

/* Messages whose time has come, some of them a turn. */
static void run_schedule(struct queue *q)
{
    for (uint32_t left = QUEUE_TURN_MAX; left > 0 && q->stop == NULL; left--) {
        struct message *m = schedule_due(&q->schedule, q->clock.mono_ms);
        if (m == NULL)
            return;
        look_at(q, m);
    }
}

static void on_timer(void *context)
{
    (void)context; /* on_turn does the rest */
}

/* Sleeps until something is due. The timer is always set, so that setting it cannot fail. */
static void set_timer(struct queue *q)
{
    int64_t next_ms = dispatch_next_ms(q);
    if (q->stop == NULL && schedule_first_ms(&q->schedule) < next_ms)
        next_ms = schedule_first_ms(&q->schedule);
    if (next_ms <= q->clock.mono_ms) {
        (void)loop_wake(q->loop);
        return;
    }
    int64_t at_us = next_ms > INT64_MAX / 2000 ? INT64_MAX / 2 : next_ms * 1000;
    enum fault fault = timer_set(q->loop, &q->timer, at_us);
    check(fault == FAULT_NONE);
}

/* Nothing that was begun is left under way: the stop is answered. */
static void stop_if_done(struct queue *q)
{
    if (q->stop == NULL)
        return;
    channel_close_idle(q, true);
    if (q->channels_lent > 0 || q->work_waiting > 0 || q->resolves_sent > 0)
        return;
    operate_abandon(q);
    if (!list_empty(&q->operations))
        return;
    timer_cancel(q->loop, &q->timer);
    letter_answer(q->actor, q->stop);
    actor_stop(q->actor);
}

static void on_turn(void *self)
{
    struct queue *q = self;
    (void)retry_clock_read(&q->clock, loop_mono_us(q->loop), loop_wall_ms(q->loop));
    run_schedule(q);
    operate_turn(q);
    dispatch_turn(q);
    save_turn(q);
    channel_close_idle(q, false);
    resolve_forget(q, false);
    set_timer(q);
    stop_if_done(q);
}

static void on_answer(struct queue *q, struct letter *letter)
{
    switch (letter->type) {
    case LETTER_DELIVER:
        dispatch_answered(q, container_of(letter, struct channel, delivery.letter));
        return;
    case LETTER_APPEND:
        save_answered(q, container_of(letter, struct work, append.letter));
        return;
    case LETTER_NOTIFY:
        notify_answered(q, container_of(letter, struct work, notification.letter));
        return;
    case LETTER_RESOLVE:
        resolve_answered(q, container_of(letter, struct question, resolve.letter));
        return;
    case LETTER_STOP:
    case LETTER_RENEW:
    case LETTER_PING:
    case LETTER_JOB:
    case LETTER_FETCH:
    case LETTER_RECOVERED:
    case LETTER_ACCEPTED:
    case LETTER_OPERATE:
    case LETTER_COUNT:
        break;
    }
    check(false);
}

static void on_renew(struct queue *q, struct queue_renewal *renewal);

static void on_recovered(struct queue *q, struct recovered *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        intake_recovered(q, &r->messages[i]);
    letter_answer(q->actor, &r->letter);
}

static void on_accepted(struct queue *q, struct accepted *a)
{
    q->counts.accepted++;
    intake_mail(q, a->mail);
    letter_answer(q->actor, &a->letter);
}

static void on_request(struct queue *q, struct letter *letter)
{
    switch (letter->type) {
    case LETTER_ACCEPTED:
        on_accepted(q, container_of(letter, struct accepted, letter));
        return;
    case LETTER_RECOVERED:
        on_recovered(q, container_of(letter, struct recovered, letter));
        return;
    case LETTER_OPERATE:
        operate_request(q, container_of(letter, struct operate, letter));
        return;
    case LETTER_RENEW:
        on_renew(q, container_of(letter, struct queue_renewal, letter));
        return;
    case LETTER_PING:
        letter_answer(q->actor, letter);
        return;
    case LETTER_STOP:
        q->stop = letter;
        return;
    case LETTER_JOB:
    case LETTER_APPEND:
    case LETTER_FETCH:
    case LETTER_DELIVER:
    case LETTER_NOTIFY:
    case LETTER_RESOLVE:
    case LETTER_COUNT:
        break;
    }
    check(false);
}

static void on_letter(void *self, struct letter *letter)
{
    struct queue *q = self;
    (void)retry_clock_read(&q->clock, loop_mono_us(q->loop), loop_wall_ms(q->loop));
    if (letter->is_answer)
        on_answer(q, letter);
    else
        on_request(q, letter);
}

static const struct actor_role role = {"queue", on_letter, on_turn};

static void init_tables(struct queue *q)
{
    uint64_t secret = q->settings.secret;
    catalog_init(&q->catalog);
    schedule_init(&q->schedule);
    senders_init(&q->senders, secret);
    replies_init(&q->replies, secret);
    fresh_init(&q->fresh, q->settings.fresh_bytes_max);
    destinations_init(&q->destinations, secret);
    map_init(&q->sites, site_key, secret);
    heap_init(&q->sites_due);
    list_init(&q->hungry);
    list_init(&q->starved);
    list_init(&q->channels);
    list_init(&q->idle);
    list_init(&q->touched);
    list_init(&q->operations);
    credit_init(&q->appends, QUEUE_APPENDS_MAX);
    credit_init(&q->resolves, QUEUE_RESOLVES_MAX);
    credit_init(&q->notifications, QUEUE_NOTIFICATIONS_MAX);
}

static void use(struct queue *q, const struct queue_settings *settings)
{
    struct queue_settings *s = &q->settings;
    *s = *settings;
    check(s->retry_first_ms > 0 && s->lifetime_ms > 0);
    check(s->site_connections_max > 0 && s->delivery_recipients_max > 0);
    if (s->retry_max_ms < s->retry_first_ms)
        s->retry_max_ms = s->retry_first_ms;
    if (s->delivery_recipients_max > DELIVERY_RECIPIENTS_MAX)
        s->delivery_recipients_max = DELIVERY_RECIPIENTS_MAX;
    if (s->site_connections_max > QUEUE_CHANNELS_MAX)
        s->site_connections_max = QUEUE_CHANNELS_MAX;
    q->limits = (struct site_limits){.connections_max = s->site_connections_max,
                                     .retry_first_ms = s->retry_first_ms,
                                     .retry_max_ms = s->retry_max_ms};
}

/* Every domain is asked for anew before its next delivery: the way there may be another now. */
static void on_renew(struct queue *q, struct queue_renewal *renewal)
{
    struct destination *d;
    use(q, renewal->settings);
    fresh_limit(&q->fresh, q->settings.fresh_bytes_max);
    for (size_t at = 0; (d = map_next(&q->destinations.map, &at)) != NULL;)
        d->until_ms = 0;
    renewal->fault = FAULT_NONE;
    letter_answer(q->actor, &renewal->letter);
}

enum fault queue_new(struct world *w, const struct queue_settings *settings, uint32_t max_letters,
                     struct log *log, struct queue **queue_out)
{
    struct queue *q = calloc(1, sizeof *q);
    if (q == NULL)
        return FAULT_NO_MEMORY;
    q->log = log;
    use(q, settings);
    init_tables(q);
    timer_init(&q->timer, on_timer, q);
    enum fault fault = actor_new(w, &role, q, max_letters, log, &q->actor);
    if (fault == FAULT_NONE) {
        q->loop = actor_loop(q->actor);
        retry_clock_init(&q->clock, loop_mono_us(q->loop), loop_wall_ms(q->loop));
        fault = timer_set(q->loop, &q->timer, INT64_MAX / 2);
    }
    if (fault != FAULT_NONE) {
        queue_free(q);
        return fault;
    }
    *queue_out = q;
    return FAULT_NONE;
}

struct actor *queue_actor(struct queue *q)
{
    return q->actor;
}

void queue_introduce(struct queue *q, struct actor *spool, struct actor *resolver,
                     struct actor *const *workers, uint32_t worker_count)
{
    check(worker_count > 0 && worker_count <= QUEUE_WORKERS_MAX);
    q->spool = spool;
    q->resolver = resolver;
    memcpy(q->workers, workers, worker_count * sizeof(struct actor *));
    q->worker_count = worker_count;
}

/* At the end, lent letters are nobody's any more: all are freed as if they were back. */
static void free_messages(struct queue *q)
{
    struct message *m;
    while ((m = catalog_after(&q->catalog, (struct id){0})) != NULL) {
        for (uint32_t i = 0; i < m->recipient_count; i++)
            resolve_recall(q, &m->recipients[i]);
        intake_end(q, m);
    }
}

static void free_operations(struct queue *q)
{
    struct list *node;
    while ((node = list_take_first(&q->operations)) != NULL)
        free(container_of(node, struct errand, node));
}

void queue_free(struct queue *q)
{
    if (q == NULL)
        return;
    if (q->loop != NULL)
        timer_cancel(q->loop, &q->timer);
    free_messages(q);
    resolve_forget(q, true);
    dispatch_free(q);
    free_operations(q);
    catalog_fini(&q->catalog);
    schedule_fini(&q->schedule);
    senders_fini(&q->senders);
    replies_fini(&q->replies);
    destinations_fini(&q->destinations);
    actor_free(q->actor);
    free(q);
}
