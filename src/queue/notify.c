/*
 * notify: tells senders what they want to know (RFC 3461, RFC 3464); see inside.h and
 * transfer/notification.h.
 *
 * All that have failed, or were delivered with a report asked for, since the last round are in one
 * notification. Its mail object and the state in which they have been told of become durable
 * together (save.c); until then, on disk, the failed wait and the reports are owed. When it cannot
 * be composed, it is tried again later; the recipients are tried no more in this life. That a
 * message is late is told once, by itself or together with such; nobody changes by it.
 *
 * What NOTIFY allows has been judged before (outcome.c), but for delays, which are judged here. A
 * message without a sender is told to the postmaster.
 */
#include <stdlib.h>

#include "base/check.h"
#include "mail/notify.h"
#include "queue/inside.h"

/* Delays ----------------------------------------------------------------------------------------
 */

int64_t notify_delay_ms(const struct queue *q, struct message *m)
{
    if (q->settings.delay_notice_ms == 0 || !m->wants_delay || m->is_delay_told || m->is_held)
        return RETRY_NEVER;
    return outcome_over_ms(q, m) - q->settings.lifetime_ms + q->settings.delay_notice_ms;
}

/* A wall clock that has jumped makes nobody late who was not tried since (retry.h). */
static bool is_late(const struct queue *q, const struct recipient *r)
{
    return recipient_is_tried(r) && r->era == q->clock.era &&
           notify_wants((uint8_t)r->notify, NOTIFY_DELAY);
}

static uint32_t count_late(const struct queue *q, const struct message *m)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        count += is_late(q, &m->recipients[i]);
    return count;
}

void notify_look(struct queue *q, struct message *m)
{
    if (notify_delay_ms(q, m) > q->clock.mono_ms || (m->work != NULL && m->work->delay_due))
        return;
    if (count_late(q, m) == 0)
        return;
    struct work *w = save_work(q, m);
    if (w == NULL) /* at the next look */
        return;
    w->delay_due = true;
    save_touch(q, w);
}

bool notify_is_due(const struct work *w)
{
    return w->untold > 0 || (w->delay_due && !w->message->is_removing);
}

/* The list of those told of ------------------------------------------------------------------- */

static void add(struct work *w, const struct recipient *r, enum dsn_action action)
{
    uint32_t at = w->notified_count++;
    w->notified_replies[at] = reply_retain(r->reply);
    w->notified[at] = (struct notified_recipient){.index = r->index,
                                                  .action = action,
                                                  .text = reply_text(r->reply),
                                                  .remote = reply_remote(r->reply),
                                                  .is_reply = reply_is_remote(r->reply),
                                                  .fault = reply_fault(r->reply)};
}

static enum dsn_action action_of(const struct recipient *r)
{
    switch ((enum recipient_report)r->report) {
    case REPORT_DELIVERED:
        return DSN_DELIVERED;
    case REPORT_RELAYED:
        return DSN_RELAYED;
    case REPORT_EXPANDED:
        return DSN_EXPANDED;
    case REPORT_NONE:
        break;
    }
    return DSN_FAILED;
}

/* Moves up to notify_max recipients from UNTOLD to TELLING; the late ones stay what they are. */
static void gather(struct work *w)
{
    struct message *m = w->message;
    for (uint32_t i = 0; i < m->recipient_count && w->notified_count < w->notify_max; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->phase == PHASE_UNTOLD) {
            recipient_enter(r, PHASE_TELLING);
            w->untold--;
            add(w, r, action_of(r));
        } else if (w->delay_due && is_late(w->queue, r)) {
            w->tells_delay = true;
            add(w, r, DSN_DELAYED);
        }
    }
}

void notify_forget(struct queue *q, struct work *w)
{
    for (uint32_t i = 0; i < w->notified_count; i++)
        reply_release(&q->replies, w->notified_replies[i]);
    free(w->notified_replies);
    free(w->notified);
    w->notified_replies = NULL;
    w->notified = NULL;
    w->notified_count = 0;
}

static bool make_list(struct queue *q, struct work *w, uint32_t most)
{
    w->notified = calloc(most, sizeof *w->notified);
    w->notified_replies = calloc(most, sizeof *w->notified_replies);
    if (w->notified != NULL && w->notified_replies != NULL)
        return true;
    notify_forget(q, w);
    return false;
}

/* Composing ------------------------------------------------------------------------------------ */

static void pause_telling(struct queue *q, struct work *w)
{
    w->notify_faults++;
    w->notify_after_ms = q->clock.mono_ms + queue_trouble_ms(q, w->notify_faults);
    save_touch(q, w);
}

/* Nobody is late any more, or has been told so. */
static void end_delay(struct work *w)
{
    w->delay_due = w->tells_delay = false;
    w->message->is_delay_told = 1;
}

static void send_nothing(struct queue *q, struct work *w, bool is_short_of_memory)
{
    credit_give(&q->notifications);
    save_work_enter(q, w, WORK_IDLE);
    if (is_short_of_memory) {
        pause_telling(q, w);
        return;
    }
    w->delay_due = false; /* nobody is late just now */
    save_touch(q, w);
}

/* A credit has been taken. */
static void send_notification(void *context)
{
    struct work *w = context;
    struct queue *q = w->queue;
    uint32_t all = w->untold + (w->delay_due ? count_late(q, w->message) : 0);
    uint32_t most = all < w->notify_max ? all : w->notify_max;
    if (most == 0 || !make_list(q, w, most)) { /* or an operator has removed it meanwhile */
        send_nothing(q, w, most > 0);
        return;
    }
    struct notification *n = &w->notification;
    gather(w);
    n->id = w->message->id;
    n->mail = w->mail;
    n->recipient_count = w->notified_count;
    n->recipients = w->notified;
    n->retry_until_ms = w->message->arrival_wall_ms + q->settings.lifetime_ms;
    n->is_to_postmaster = w->message->has_no_sender;
    n->dsn = NULL;
    n->fault = FAULT_NONE;
    save_work_enter(q, w, WORK_NOTIFYING);
    letter_send(q->actor, queue_next_worker(q), &n->letter, LETTER_NOTIFY, &q->notifications);
}

void notify_begin(struct queue *q, struct work *w)
{
    save_work_enter(q, w, WORK_WANTS_NOTIFY);
    credit_waiter_init(&w->waiter, send_notification, w);
    if (credit_take(&q->notifications))
        send_notification(w);
    else
        credit_wait(&q->notifications, &w->waiter);
}

/* TELLING back to UNTOLD. */
static void untell(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    mail_release(w->dsn);
    w->dsn = NULL;
    w->tells_delay = false;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].phase == PHASE_TELLING) {
            recipient_enter(&m->recipients[i], PHASE_UNTOLD);
            w->untold++;
        }
    }
    save_touch(q, w);
}

/* Nobody can ever be told. Of a failure: then an operator has to look. All else ends untold. */
static void give_up(struct queue *q, struct work *w, enum held_reason reason)
{
    struct message *m = w->message;
    if (w->delay_due)
        end_delay(w);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->phase != PHASE_UNTOLD)
            continue;
        w->untold--;
        if (recipient_is_waiting(r)) {
            outcome_stuck(q, r, reason);
            continue;
        }
        r->report = REPORT_NONE;
        recipient_enter(r, PHASE_UNSAVED);
        w->unsaved++;
    }
}

static void not_composed(struct queue *q, struct work *w, enum fault fault)
{
    untell(q, w);
    if (fault == FAULT_DAMAGED || fault == FAULT_NOT_FOUND) {
        give_up(q, w, HELD_DAMAGED);
    } else if (fault == FAULT_DENIED) { /* there is no postmaster any more */
        give_up(q, w, HELD_UNDELIVERABLE);
    } else if (fault == FAULT_LIMIT && w->notification.recipient_count > 1) {
        w->notify_max = w->notification.recipient_count / 2;
    } else {
        pause_telling(q, w);
    }
}

void notify_too_long(struct queue *q, struct work *w)
{
    if (w->dsn != NULL)
        not_composed(q, w, FAULT_LIMIT);
}

void notify_answered(struct queue *q, struct work *w)
{
    struct notification *n = &w->notification;
    notify_forget(q, w);
    if (n->fault == FAULT_NONE && n->dsn != NULL) {
        w->dsn = n->dsn;
        n->dsn = NULL;
        w->notify_faults = 0;
        save_append(q, w);
        return;
    }
    save_work_enter(q, w, WORK_IDLE);
    not_composed(q, w, n->fault);
}

/* Telling -------------------------------------------------------------------------------------- */

static uint32_t count_telling(const struct message *m)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        count += m->recipients[i].phase == PHASE_TELLING;
    return count;
}

void notify_review(struct work *w)
{
    if (w->dsn == NULL || !w->tells_delay || !message_is_ended(w->message) ||
        count_telling(w->message) > 0)
        return;
    mail_release(w->dsn);
    w->dsn = NULL;
    end_delay(w);
}

static void told(struct queue *q, struct recipient *r)
{
    if (recipient_is_waiting(r))
        outcome_settle(q, r, RECIPIENT_FAILED);
    r->report = REPORT_NONE;
    recipient_enter(r, PHASE_FINISHED);
}

void notify_told(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    struct mail_object *dsn = w->dsn;
    uint32_t count = 0, failed = 0;
    w->dsn = NULL;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].phase == PHASE_TELLING) {
            failed += recipient_is_waiting(&m->recipients[i]);
            told(q, &m->recipients[i]);
            count++;
        }
    }
    bool was_delay = w->tells_delay;
    if (was_delay)
        end_delay(w);
    if (w->untold == 0) {
        mail_release(w->mail);
        w->mail = NULL;
    }
    q->counts.notified++;
    LOG(q->log, failed > 0 ? EVENT_MESSAGE_BOUNCED : EVENT_MESSAGE_REPORTED, log_id("id", m->id),
        log_id("notification", dsn->id), log_u64("recipients", count),
        log_u64("delayed", was_delay));
    intake_mail(q, dsn);
    mail_release(dsn);
}
