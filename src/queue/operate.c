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
    struct list node;
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

void operate_abandon(struct queue *q)
{
    list_each(node, &q->operations)
    {
        struct errand *p = container_of(node, struct errand, node);
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
    o->fault = FAULT_NONE;
    list_append(&q->operations, &p->node);
    if (o->all) /* operate_turn walks, in this turn */
        return;
    struct message *m = catalog_get(&q->catalog, o->id);
    if (m != NULL)
        apply(q, p, m);
    else
        o->fault = FAULT_NOT_FOUND;
    p->has_walked = true;
    finish(q, p);
}

/* The row's text: why it is held, else the words about the recipient that was tried most. */
static struct span words_of(const struct message *m)
{
    if (m->is_held)
        return held_reason_text((enum held_reason)m->held_reason);
    const struct recipient *newest = &m->recipients[0];
    for (uint32_t i = 1; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        if (newest->reply == NULL || (r->reply != NULL && r->attempts > newest->attempts))
            newest = r;
    }
    return reply_text(newest->reply);
}

/* False: the arena is full. */
static bool describe(struct queue *q, struct operate *o, const struct message *m,
                     struct operate_row *row)
{
    int64_t due_ms = RETRY_NEVER;
    *row = (struct operate_row){.id = m->id,
                                .arrival_wall_ms = m->arrival_wall_ms,
                                .content_bytes = m->content_bytes,
                                .recipients_total = m->recipient_count,
                                .held = m->is_held,
                                .active = m->busy > 0};
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
    struct span words = words_of(m);
    row->reply = arena_copy(o->arena, words);
    return row->reply.len == 0 || row->reply.data != NULL;
}

static enum fault list(struct queue *q, struct operate *o)
{
    uint32_t most = o->rows_max < OPERATE_ROWS_MAX ? o->rows_max : OPERATE_ROWS_MAX;
    struct id after = o->after;
    o->row_count = 0;
    while (o->row_count < most) {
        const struct message *m = catalog_after(&q->catalog, after);
        if (m == NULL)
            break;
        if (!describe(q, o, m, &o->rows[o->row_count]))
            return FAULT_NO_MEMORY;
        o->row_count++;
        after = m->id;
    }
    return FAULT_NONE;
}

static enum fault show(struct queue *q, struct operate *o)
{
    const struct message *m = catalog_get(&q->catalog, o->id);
    o->row_count = 0;
    o->recipient_count = 0;
    if (m == NULL)
        return FAULT_NOT_FOUND;
    o->recipients = arena_alloc(o->arena, m->recipient_count * sizeof *o->recipients);
    if (o->recipients == NULL || !describe(q, o, m, &o->rows[0]))
        return FAULT_NO_MEMORY;
    o->row_count = 1;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        struct span text = reply_text(r->reply);
        struct span reply = arena_copy(o->arena, text);
        if (text.len > 0 && reply.data == NULL)
            return FAULT_NO_MEMORY;
        o->recipients[i] =
            (struct operate_recipient){.index = i,
                                       .standing = (uint8_t)r->standing,
                                       .attempts = r->attempts,
                                       .due_wall_ms = retry_wall_of_mono(&q->clock, due_of(r)),
                                       .reply = reply};
    }
    o->recipient_count = m->recipient_count;
    return FAULT_NONE;
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
    case OPERATE_COUNT:
        answer(q, o, FAULT_NONE);
        return;
    case OPERATE_RETRY:
    case OPERATE_HOLD:
    case OPERATE_RELEASE:
    case OPERATE_REMOVE:
        if (q->stop != NULL)
            answer(q, o, FAULT_STOPPING);
        else
            change(q, o);
        return;
    }
    answer(q, o, FAULT_NOT_FOUND);
}
