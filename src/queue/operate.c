/*
 * operate: what an operator asks of the queue; see inside.h and transfer/operate.h.
 *
 * Changes are answered once they are durable. A change of all messages walks over them a piece a
 * turn, and no further than the records that it waits for allow, so that mail goes on meanwhile.
 */
#include <stdlib.h>

#include "base/check.h"
#include "queue/inside.h"

/* A message's record that an operation waits for. */
struct wait {
    struct list node; /* of the work whose record it is */
    struct list own;  /* of the errand */
    struct errand *errand;
};

static void answer(struct queue *q, struct operate *o, enum fault fault)
{
    o->fault = fault;
    o->counts = q->counts;
    o->counts.sites = q->sites.count;
    o->counts.channels = q->channel_count;
    letter_answer(q->actor, &o->letter);
}

/* Answers once nothing more is to come. */
static void finish(struct queue *q, struct errand *p)
{
    if (!p->has_walked || p->pending > 0)
        return;
    list_remove(&p->node);
    answer(q, p->operate, p->operate->fault);
    free(p);
}

void operate_answered(struct queue *q, struct list *waits, enum fault fault)
{
    struct list *node;
    while ((node = list_take_first(waits)) != NULL) {
        struct wait *wait = container_of(node, struct wait, node);
        struct errand *p = wait->errand;
        list_remove(&wait->own);
        free(wait);
        if (fault != FAULT_NONE && p->operate->fault == FAULT_NONE)
            p->operate->fault = fault;
        check(p->pending > 0);
        p->pending--;
        finish(q, p);
    }
}

/* Has the message's next record answer the operation. */
static void wait_for(struct queue *q, struct errand *p, struct work *w)
{
    struct wait *wait = malloc(sizeof *wait);
    if (wait == NULL) {
        p->operate->fault = FAULT_NO_MEMORY;
    } else {
        wait->errand = p;
        list_append(&w->waits, &wait->node);
        list_append(&p->waits, &wait->own);
        p->pending++;
    }
    save_touch(q, w);
}

static int64_t due_of(const struct recipient *r)
{
    const struct site *s = r->destination == NULL ? NULL : r->destination->site;
    if (r->phase == PHASE_READY && s->state == SITE_BACKOFF)
        return s->wake.key;
    return r->due_ms;
}

static bool retry(struct queue *q, struct message *m)
{
    bool has_changed = false;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        struct destination *d = r->destination;
        if (r->phase == PHASE_SCHEDULED || r->phase == PHASE_READY) {
            has_changed = true;
            if (d != NULL)
                d->until_ms = 0;
            if (d != NULL && d->site != NULL && d->site->state == SITE_BACKOFF)
                dispatch_end_backoff(q, d->site);
        }
        if (r->phase == PHASE_SCHEDULED)
            r->due_ms = q->clock.mono_ms;
    }
    if (has_changed)
        queue_look_by(q, m, q->clock.mono_ms);
    return has_changed && !m->is_held;
}

static bool release(struct queue *q, struct message *m, struct work *w)
{
    if (!m->is_held)
        return false;
    m->is_held = 0;
    m->held_reason = HELD_NONE;
    m->crashes = 0;
    q->counts.held--;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->phase == PHASE_STUCK)
            recipient_enter(r, PHASE_SCHEDULED);
        if (r->phase == PHASE_SCHEDULED)
            r->due_ms = q->clock.mono_ms;
    }
    w->control_due = true;
    queue_look_by(q, m, q->clock.mono_ms);
    return true;
}

/* Those that are in a delivery go on; if it does not deliver them, they wait as before. */
static bool bounce(struct queue *q, struct message *m, struct work *w)
{
    bool has_changed = release(q, m, w);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        resolve_recall(q, r);
        if (r->phase == PHASE_SCHEDULED && recipient_is_waiting(r))
            has_changed |= outcome_bounced(q, r);
    }
    return has_changed;
}

/* One message; `changed` says whether there was anything to change. */
static void apply(struct queue *q, struct errand *p, struct message *m)
{
    enum operation kind = p->operate->operation;
    bool has_changed = false;
    if (kind == OPERATE_RETRY) {
        p->operate->changed += retry(q, m);
        return;
    }
    struct work *w = save_work(q, m);
    if (w == NULL) {
        p->operate->fault = FAULT_NO_MEMORY;
        return;
    }
    if (kind == OPERATE_HOLD && !m->is_held) {
        save_hold(q, m, w, HELD_OPERATOR);
        has_changed = true;
    } else if (kind == OPERATE_RELEASE) {
        has_changed = release(q, m, w);
    } else if (kind == OPERATE_BOUNCE) {
        has_changed = bounce(q, m, w);
    } else if (kind == OPERATE_REMOVE) {
        m->is_removing = 1;
        has_changed = true;
    }
    if (has_changed) {
        p->operate->changed++;
        wait_for(q, p, w);
    }
    save_touch(q, w);
}

static void walk(struct queue *q, struct errand *p)
{
    for (uint32_t left = QUEUE_TURN_MAX; left > 0 && p->pending < QUEUE_APPENDS_MAX; left--) {
        struct message *m = catalog_after(&q->catalog, p->after);
        if (m == NULL) {
            p->has_walked = true;
            return;
        }
        p->after = m->id;
        apply(q, p, m);
    }
}

void operate_turn(struct queue *q)
{
    list_each(node, &q->operations)
    {
        struct errand *p = container_of(node, struct errand, node);
        if (!p->has_walked) {
            walk(q, p);
            if (!p->has_walked && p->pending < QUEUE_APPENDS_MAX)
                (void)loop_wake(q->loop);
            finish(q, p);
        }
    }
}

/* No record is under way any more: what an errand still waits for is written after the next start,
   or not at all, such as the notification that a bounce wants. */
static void wait_no_longer(struct errand *p)
{
    struct list *node;
    while ((node = list_take_first(&p->waits)) != NULL) {
        struct wait *wait = container_of(node, struct wait, own);
        list_remove(&wait->node);
        free(wait);
        p->pending--;
        p->has_walked = false;
    }
}

void operate_abandon(struct queue *q)
{
    list_each(node, &q->operations)
    {
        struct errand *p = container_of(node, struct errand, node);
        wait_no_longer(p);
        if (!p->has_walked && p->operate->fault == FAULT_NONE)
            p->operate->fault = FAULT_STOPPING;
        p->has_walked = true;
        finish(q, p);
    }
}

static void change(struct queue *q, struct operate *o)
{
    struct errand *p = calloc(1, sizeof *p);
    if (p == NULL) {
        answer(q, o, FAULT_NO_MEMORY);
        return;
    }
    p->operate = o;
    list_init(&p->waits);
    o->fault = FAULT_NONE;
    list_append(&q->operations, &p->node);
    if (o->all) /* operate_turn walks, in this turn */
        return;
    for (uint32_t i = 0; i < (o->ids == NULL ? 1 : o->id_count); i++) {
        struct message *m = catalog_get(&q->catalog, o->ids == NULL ? o->id : o->ids[i]);
        if (m != NULL)
            apply(q, p, m);
        else if (o->ids == NULL)
            o->fault = FAULT_NOT_FOUND;
    }
    p->has_walked = true;
    finish(q, p);
}

static const char *state_of(const struct message *m)
{
    if (m->is_held)
        return "held";
    if (m->busy > 0)
        return "active";
    return m->was_deferred ? "deferred" : "new";
}

/* A text that is empty is known all the same. */
static struct span known(struct span text)
{
    return text.len == 0 ? SPAN("") : text;
}

static struct span site_of(const struct recipient *r)
{
    const struct destination *d = r->destination;
    return d == NULL || d->site == NULL ? SPAN("") : site_key(d->site);
}

static struct span domain_of(const struct recipient *r)
{
    return r->destination == NULL ? SPAN("") : destination_name(r->destination);
}

static void put_facts(struct queue *q, const struct recipient *r, struct filter_facts *facts)
{
    const char *state = state_of(message_of(r));
    int64_t due_ms = due_of(r) - q->clock.mono_ms;
    facts->texts[FILTER_STATE] = span_text(state);
    facts->texts[FILTER_DOMAIN] = known(domain_of(r));
    facts->texts[FILTER_SITE] = known(site_of(r));
    facts->texts[FILTER_LAST] = known(reply_text(r->reply));
    facts->numbers[FILTER_DUE] = due_ms > 0 ? (uint64_t)due_ms : 0;
    facts->numbers[FILTER_ATTEMPTS] = r->attempts;
}

/* The best answer that one of the recipients who wait gives. */
static enum filter_answer ask(struct queue *q, const struct filter *f, struct message *m)
{
    char id[ID_TEXT_LEN + 1];
    enum filter_answer best = FILTER_NO;
    int64_t age_ms = q->clock.wall_ms - m->arrival_wall_ms;
    struct filter_facts facts = {
        .numbers = {
            [FILTER_SIZE] = m->content_bytes, [FILTER_AGE] = age_ms > 0 ? (uint64_t)age_ms : 0}};
    if (f == NULL)
        return FILTER_YES;
    id_format(m->id, id);
    facts.texts[FILTER_ID] = span_of(id, ID_TEXT_LEN);
    for (uint32_t i = 0; i < m->recipient_count && best != FILTER_YES; i++) {
        struct recipient *r = &m->recipients[i];
        if (!recipient_is_waiting(r))
            continue;
        put_facts(q, r, &facts);
        enum filter_answer answer = filter_ask(f, &facts);
        best = answer > best ? answer : best;
    }
    return best;
}

/* Whom a row is about: who was tried most, of those that anything was said about. */
static const struct recipient *foremost(const struct message *m)
{
    const struct recipient *newest = &m->recipients[0];
    for (uint32_t i = 1; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        if (newest->reply == NULL || (r->reply != NULL && r->attempts > newest->attempts))
            newest = r;
    }
    return newest;
}

static bool copy(struct arena *a, struct span text, struct span *copy_out)
{
    *copy_out = arena_copy(a, text);
    return text.len == 0 || copy_out->data != NULL;
}

/* False: the arena is full. */
static bool describe(struct queue *q, struct operate *o, const struct message *m,
                     struct operate_row *row)
{
    int64_t due_ms = RETRY_NEVER;
    const struct recipient *about = foremost(m);
    *row = (struct operate_row){.id = m->id,
                                .arrival_wall_ms = m->arrival_wall_ms,
                                .content_bytes = m->content_bytes,
                                .recipients_total = m->recipient_count,
                                .held = m->is_held,
                                .active = m->busy > 0,
                                .state = state_of(m)};
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        if (r->attempts > row->attempts)
            row->attempts = r->attempts;
        if (!recipient_is_waiting(r))
            continue;
        row->recipients_waiting++;
        if (due_of(r) < due_ms)
            due_ms = due_of(r);
    }
    row->due_wall_ms = due_ms == RETRY_NEVER ? 0 : retry_wall_of_mono(&q->clock, due_ms);
    struct span words =
        m->is_held ? held_reason_text((enum held_reason)m->held_reason) : reply_text(about->reply);
    return copy(o->arena, words, &row->reply) && copy(o->arena, domain_of(about), &row->domain) &&
           copy(o->arena, site_of(about), &row->site);
}

static bool describe_recipient(struct queue *q, struct operate *o, const struct recipient *r,
                               struct operate_recipient *to)
{
    *to = (struct operate_recipient){.index = r->index,
                                     .standing = (uint8_t)r->standing,
                                     .attempts = r->attempts,
                                     .due_wall_ms = retry_wall_of_mono(&q->clock, due_of(r))};
    return copy(o->arena, reply_text(r->reply), &to->reply) &&
           copy(o->arena, domain_of(r), &to->domain) && copy(o->arena, site_of(r), &to->site);
}

/* Its recipients go to the end of o->recipients, which has room for them. */
static bool describe_recipients(struct queue *q, struct operate *o, const struct message *m,
                                struct operate_row *row)
{
    row->recipients_first = o->recipient_count;
    row->recipients_count = m->recipient_count;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        if (!describe_recipient(q, o, &m->recipients[i], &o->recipients[o->recipient_count++]))
            return false;
    return true;
}

/* Is there room for the recipients of one message more in this page? The first one always fits. */
static bool has_room(struct operate *o, const struct message *m, uint32_t *capacity)
{
    if (o->recipients == NULL) {
        *capacity = m->recipient_count > OPERATE_RECIPIENTS_MAX ? m->recipient_count
                                                                : OPERATE_RECIPIENTS_MAX;
        o->recipients = arena_alloc(o->arena, *capacity * sizeof *o->recipients);
    }
    return o->recipients != NULL && o->recipient_count + m->recipient_count <= *capacity;
}

/* False: the arena is full. */
static bool put_row(struct queue *q, struct operate *o, const struct message *m, bool is_maybe)
{
    struct operate_row *row = &o->rows[o->row_count++];
    if (!describe(q, o, m, row))
        return false;
    row->is_maybe = is_maybe;
    return !(is_maybe || o->wants_recipients) || describe_recipients(q, o, m, row);
}

static enum fault list(struct queue *q, struct operate *o)
{
    uint32_t most = o->rows_max < OPERATE_ROWS_MAX ? o->rows_max : OPERATE_ROWS_MAX;
    uint32_t capacity = 0;
    o->row_count = o->recipient_count = 0;
    o->recipients = NULL;
    o->is_end = false;
    for (uint32_t left = OPERATE_SCAN_MAX; left > 0 && o->row_count < most; left--) {
        struct message *m = catalog_after(&q->catalog, o->after);
        o->is_end = m == NULL;
        if (o->is_end)
            break;
        enum filter_answer answer = ask(q, o->filter, m);
        bool is_maybe = answer == FILTER_MAYBE;
        bool is_full = answer != FILTER_NO && (is_maybe || o->wants_recipients);
        if (is_full && !has_room(o, m, &capacity))
            return o->row_count > 0 ? FAULT_NONE : FAULT_NO_MEMORY;
        if (answer != FILTER_NO && !put_row(q, o, m, is_maybe))
            return FAULT_NO_MEMORY;
        o->after = m->id;
    }
    return FAULT_NONE;
}

static enum fault show(struct queue *q, struct operate *o)
{
    const struct message *m = catalog_get(&q->catalog, o->id);
    o->row_count = o->recipient_count = 0;
    if (m == NULL)
        return FAULT_NOT_FOUND;
    o->recipients = arena_alloc(o->arena, m->recipient_count * sizeof *o->recipients);
    if (o->recipients == NULL || !describe(q, o, m, &o->rows[0]))
        return FAULT_NO_MEMORY;
    o->row_count = 1;
    return describe_recipients(q, o, m, &o->rows[0]) ? FAULT_NONE : FAULT_NO_MEMORY;
}

void operate_request(struct queue *q, struct operate *o)
{
    o->changed = 0;
    switch (o->operation) {
    case OPERATE_LIST:
        answer(q, o, list(q, o));
        return;
    case OPERATE_SHOW:
        answer(q, o, show(q, o));
        return;
    case OPERATE_SITES:
        answer(q, o, sites_describe(q, o));
        return;
    case OPERATE_COUNT:
        answer(q, o, FAULT_NONE);
        return;
    case OPERATE_RETRY:
    case OPERATE_HOLD:
    case OPERATE_RELEASE:
    case OPERATE_REMOVE:
    case OPERATE_BOUNCE:
        if (q->stop != NULL)
            answer(q, o, FAULT_STOPPING);
        else
            change(q, o);
        return;
    }
    answer(q, o, FAULT_NOT_FOUND);
}
