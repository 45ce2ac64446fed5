/*
 * save: makes the standings of a message's recipients durable, one record at a time; see inside.h.
 *
 * A record holds the whole table. Results count only once their record is durable: until then a
 * recipient is tried no more, and one that was delivered never is. When nothing can be made
 * durable, results stay in memory and are appended again later, under a new version, since a
 * refused record may still be found after a crash.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "queue/inside.h"

static const uint8_t moves[] = {
    [WORK_IDLE] = 1 << WORK_WANTS_NOTIFY | 1 << WORK_WANTS_APPEND,
    [WORK_WANTS_NOTIFY] = 1 << WORK_NOTIFYING | 1 << WORK_IDLE,
    [WORK_NOTIFYING] = 1 << WORK_WANTS_APPEND | 1 << WORK_IDLE,
    [WORK_WANTS_APPEND] = 1 << WORK_APPENDING | 1 << WORK_IDLE,
    [WORK_APPENDING] = 1 << WORK_IDLE | 1 << WORK_WANTS_APPEND,
};

void save_work_enter(struct queue *q, struct work *w, enum work_state state)
{
    check((moves[w->state] & 1 << state) != 0);
    q->work_waiting -= w->state != WORK_IDLE;
    q->work_waiting += state != WORK_IDLE;
    w->state = state;
}

struct work *save_work(struct queue *q, struct message *m)
{
    if (m->work != NULL)
        return m->work;
    struct work *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->queue = q;
    w->message = m;
    w->notify_max = NOTIFICATION_RECIPIENTS_MAX;
    list_init(&w->touched);
    list_init(&w->waits);
    list_init(&w->waits_sent);
    credit_waiter_init(&w->waiter, NULL, w);
    buffer_init(&w->payload, RECORD_PAYLOAD_MAX);
    m->work = w;
    return w;
}

void save_work_free(struct queue *q, struct work *w)
{
    if (w == NULL)
        return;
    q->work_waiting -= w->state != WORK_IDLE;
    credit_cancel(&w->waiter);
    list_remove(&w->touched);
    operate_answered(q, &w->waits_sent, FAULT_NOT_FOUND);
    operate_answered(q, &w->waits, FAULT_NOT_FOUND);
    buffer_fini(&w->payload);
    notify_forget(q, w);
    mail_release(w->mail);
    mail_release(w->dsn);
    mail_release(w->notification.dsn); /* an answer that was never read */
    w->message->work = NULL;
    free(w);
}

void save_touch(struct queue *q, struct work *w)
{
    list_remove(&w->touched);
    list_append(&q->touched, &w->touched);
}

/* The table of texts: each reply once, as far as there is room for it. */
static uint16_t number_of(struct queue *q, struct reply *reply, struct message_state *s)
{
    if (reply == NULL)
        return STATE_NO_REPLY;
    uint16_t number = reply_number(&q->replies, reply, s->reply_count);
    if (number < s->reply_count)
        return number;
    if (s->reply_count == STATE_REPLIES_MAX)
        return STATE_NO_REPLY;
    s->replies[s->reply_count++] = reply_text(reply);
    return number;
}

/* How a recipient stands on disk once this record is: who is being told of has failed with it; who
   is not told of yet is tried again after a crash. */
static void describe(struct queue *q, struct recipient *r, bool with_told, struct message_state *s)
{
    struct recipient_state *to = &s->recipients[r->index];
    to->standing = (enum recipient_standing)r->standing;
    to->report = (enum recipient_report)r->report;
    if (r->phase == PHASE_TELLING && with_told) {
        to->standing = recipient_is_waiting(r) ? RECIPIENT_FAILED : to->standing;
        to->report = REPORT_NONE;
    }
    to->attempts = r->attempts;
    to->due_wall_ms = retry_wall_of_mono(&q->clock, r->due_ms);
    to->reply = number_of(q, r->reply, s);
}

static bool encode_state(struct queue *q, struct work *w, struct buffer *out)
{
    struct message *m = w->message;
    struct message_state s = {.held = m->is_held,
                              .crashes = (uint8_t)m->crashes,
                              .is_delivering = m->busy > 0,
                              .is_delay_told =
                                  m->is_delay_told || (w->dsn != NULL && w->tells_delay),
                              .recipient_count = m->recipient_count};
    if (m->is_held)
        s.reason = held_reason_text((enum held_reason)m->held_reason);
    uint32_t replies_max =
        m->recipient_count < STATE_REPLIES_MAX ? m->recipient_count : STATE_REPLIES_MAX;
    s.recipients = malloc(m->recipient_count * sizeof *s.recipients);
    s.replies = malloc(replies_max * sizeof *s.replies);
    bool ok = s.recipients != NULL && s.replies != NULL;
    if (ok) {
        replies_number_from_zero(&q->replies);
        for (uint32_t i = 0; i < m->recipient_count; i++)
            describe(q, &m->recipients[i], w->dsn != NULL, &s);
        ok = state_encode(&s, out);
    }
    free(s.recipients);
    free(s.replies);
    return ok;
}

/* The record alone, or, with a notification, both in one group: both or neither. */
static bool compose_group(struct work *w, struct span state)
{
    struct append *a = &w->append;
    struct mail_object *dsn = w->dsn;
    bool ok = group_put(&w->payload, a->type, a->id, a->version, state);
#ifndef PLANTED_BUG_DSN_APART
    ok = ok && group_put(&w->payload, RECORD_ACCEPTED, dsn->id, 0, dsn->payload);
#else
    (void)dsn;
#endif
    a->type = RECORD_GROUP;
    a->id = (struct id){0};
    a->version = 0;
    return ok;
}

static bool compose_payload(struct queue *q, struct work *w)
{
    if (w->dsn == NULL)
        return w->is_done || encode_state(q, w, &w->payload);
    struct buffer state;
    buffer_init(&state, RECORD_PAYLOAD_MAX);
    bool ok = (w->is_done || encode_state(q, w, &state)) && compose_group(w, buffer_span(&state));
    buffer_fini(&state);
    return ok;
}

static bool compose(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    struct append *a = &w->append;
    notify_review(w);
    w->is_done = message_is_ended(m) && (w->dsn != NULL || w->untold == 0);
    a->type = w->control_due ? RECORD_CONTROL : RECORD_OUTCOME;
    if (w->is_done)
        a->type = RECORD_DONE;
    a->id = m->id;
    a->version = ++m->version;
    buffer_reset(&w->payload);
    if (!compose_payload(q, w))
        return false;
    a->parts[0] = buffer_span(&w->payload);
    a->part_count = a->parts[0].len > 0;
    a->payload_crc = crc32c(0, a->parts[0]);
    return true;
}

/* Those whose results are in the record under way. */
static void mark_saving(struct work *w)
{
    struct message *m = w->message;
    for (uint32_t i = 0; i < m->recipient_count && w->unsaved > 0; i++) {
        if (m->recipients[i].phase != PHASE_UNSAVED)
            continue;
        recipient_enter(&m->recipients[i], PHASE_SAVING);
        w->unsaved--;
    }
    check(w->unsaved == 0);
}

/* Whom the record will tell: operators wait for their change, but for a removal until the end. */
static void take_waits(struct work *w)
{
    if (w->message->is_removing && !w->is_done)
        return;
    struct list *node;
    while ((node = list_take_first(&w->waits)) != NULL)
        list_append(&w->waits_sent, node);
}

static void pause_appending(struct queue *q, struct work *w)
{
    w->append_faults++;
    w->append_after_ms = q->clock.mono_ms + queue_trouble_ms(q, w->append_faults);
    save_touch(q, w);
}

/* A credit has been taken. */
static void send_append(void *context)
{
    struct work *w = context;
    struct queue *q = w->queue;
    if (!compose(q, w)) {
        credit_give(&q->appends);
        save_work_enter(q, w, WORK_IDLE);
        pause_appending(q, w);
        return;
    }
    mark_saving(w);
    w->control_sent = w->control_due;
    w->control_due = false;
    take_waits(w);
    save_work_enter(q, w, WORK_APPENDING);
    letter_send(q->actor, q->spool, &w->append.letter, LETTER_APPEND, &q->appends);
}

void save_append(struct queue *q, struct work *w)
{
    save_work_enter(q, w, WORK_WANTS_APPEND);
    credit_waiter_init(&w->waiter, send_append, w);
    if (credit_take(&q->appends))
        send_append(w);
    else
        credit_wait(&q->appends, &w->waiter);
}

/* The record is durable: what it says counts from now on. */
static void saved(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->phase != PHASE_SAVING)
            continue;
        if (r->report != REPORT_NONE) {
            recipient_enter(r, PHASE_UNTOLD);
            w->untold++;
            continue;
        }
        recipient_enter(r, recipient_is_waiting(r) ? PHASE_SCHEDULED : PHASE_FINISHED);
        if (r->phase == PHASE_SCHEDULED)
            queue_look_by(q, m, r->due_ms);
    }
}

static void not_saved(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].phase == PHASE_SAVING) {
            recipient_enter(&m->recipients[i], PHASE_UNSAVED);
            w->unsaved++;
        }
    }
    /* A notification is kept for the next try: should the refused record be found after a crash, it
       is the same one, and nobody is told twice. */
    if (w->append.fault == FAULT_LIMIT)
        notify_too_long(q, w);
    w->control_due = w->control_due || w->control_sent;
    w->is_lost = w->append.fault == FAULT_NOT_FOUND;
    if (w->is_lost)
        LOG(q->log, EVENT_SPOOL_DAMAGED, log_id("id", m->id),
            log_text("reason", "the spool does not know a queued message"));
    q->is_spool_failing = q->is_spool_failing || w->append.fault == FAULT_DISK_ERROR;
    pause_appending(q, w);
}

static void end(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    bool was_removed = m->is_removing;
    q->counts.removed += was_removed;
    LOG(q->log, was_removed ? EVENT_MESSAGE_REMOVED : EVENT_MESSAGE_DONE, log_id("id", m->id),
        log_i64("age-ms", q->clock.wall_ms - m->arrival_wall_ms));
    intake_end(q, m);
}

#ifdef PLANTED_BUG_DSN_APART
/* The notification in a record of its own, after the outcome's. */
static bool send_apart(struct queue *q, struct work *w)
{
    struct mail_object *dsn = w->dsn;
    if (dsn == NULL || w->append.type != RECORD_GROUP)
        return false;
    w->append.type = RECORD_ACCEPTED;
    w->append.id = dsn->id;
    w->append.parts[0] = dsn->payload;
    w->append.payload_crc = dsn->payload_crc;
    letter_send(q->actor, q->spool, &w->append.letter, LETTER_APPEND, NULL);
    return true;
}
#endif

void save_answered(struct queue *q, struct work *w)
{
#ifdef PLANTED_BUG_DSN_APART
    if (w->append.fault == FAULT_NONE && send_apart(q, w))
        return;
#endif
    enum fault fault = w->append.fault;
    save_work_enter(q, w, WORK_IDLE);
    if (fault != FAULT_NONE) {
        not_saved(q, w);
        operate_answered(q, &w->waits_sent, fault);
        return;
    }
    w->append_faults = 0;
    if (q->is_spool_failing) {
        q->is_spool_failing = false;
        dispatch_all_hungry(q);
    }
    saved(q, w);
    if (w->dsn != NULL)
        notify_told(q, w);
    operate_answered(q, &w->waits_sent, FAULT_NONE);
    if (w->is_done)
        end(q, w);
    else
        save_touch(q, w);
}

/* An operator has removed it, or it is lost: nobody waits any more, but for those under way. */
static void give_up_rest(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        resolve_recall(q, r);
        bool rests =
            r->phase == PHASE_SCHEDULED || r->phase == PHASE_STUCK || r->phase == PHASE_UNTOLD;
        if (rests) {
            w->untold -= r->phase == PHASE_UNTOLD;
            r->report = REPORT_NONE;
            recipient_enter(r, PHASE_UNSAVED);
            w->unsaved++;
        }
        if (r->phase == PHASE_UNSAVED && recipient_is_waiting(r))
            outcome_settle(q, r, RECIPIENT_REMOVED);
    }
}

void save_hold(struct queue *q, struct message *m, struct work *w, enum held_reason reason)
{
    if (!m->is_held)
        q->counts.held++;
    m->is_held = 1;
    m->held_reason = (unsigned)reason & 0xf;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        resolve_recall(q, &m->recipients[i]);
    fresh_drop(&q->fresh, m);
    w->control_due = true;
    save_touch(q, w);
    LOG(q->log, EVENT_MESSAGE_HELD, log_id("id", m->id),
        log_span("reason", held_reason_text(reason)));
}

/* Once nobody else waits, a message with recipients that are STUCK is held. */
static void hold_if_stuck(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    bool is_stuck = false;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        if (r->phase == PHASE_STUCK)
            is_stuck = true;
        else if (recipient_is_waiting(r))
            return;
    }
    if (is_stuck && !m->is_held)
        save_hold(q, m, w, (enum held_reason)m->held_reason);
}

static bool wants_append(const struct queue *q, const struct work *w)
{
    if (q->stop != NULL && w->append_faults > 0)
        return false;
    if (w->append_after_ms > q->clock.mono_ms)
        return false;
    return w->unsaved > 0 || w->dsn != NULL || w->control_due || message_is_ended(w->message);
}

static bool wants_notify(const struct queue *q, const struct work *w)
{
    return notify_is_due(w) && w->dsn == NULL && q->stop == NULL &&
           w->notify_after_ms <= q->clock.mono_ms;
}

/* Does what can be done next, which may end the message. */
static void review(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    if (m->is_removing || w->is_lost)
        give_up_rest(q, w);
    if (w->state != WORK_IDLE)
        return;
    if (w->is_lost) {
        if (m->busy == 0)
            intake_end(q, m);
        return;
    }
    hold_if_stuck(q, w);
    if (wants_notify(q, w)) {
        notify_begin(q, w);
    } else if (wants_append(q, w)) {
        save_append(q, w);
    } else if (m->busy == 0 && save_next_ms(w) == RETRY_NEVER) {
        save_work_free(q, w);
    } else {
        queue_look_by(q, m, save_next_ms(w));
    }
}

void save_turn(struct queue *q)
{
    struct list *node;
    while ((node = list_take_first(&q->touched)) != NULL)
        review(q, container_of(node, struct work, touched));
}

int64_t save_next_ms(const struct work *w)
{
    int64_t next_ms = RETRY_NEVER;
    if (w->state != WORK_IDLE)
        return next_ms;
    if (w->unsaved > 0 || w->dsn != NULL || w->control_due || message_is_ended(w->message))
        next_ms = w->append_after_ms;
    if (notify_is_due(w) && w->dsn == NULL && w->notify_after_ms < next_ms)
        next_ms = w->notify_after_ms;
    return next_ms;
}
