/*
 * notify: tells the sender of recipients that have failed (RFC 3464); see inside.h and
 * transfer/notification.h.
 *
 * All that have failed since the last round are in one notification. Its mail object and the state
 * in which they have failed become durable together (save.c); until then, on disk, they wait. When
 * it cannot be composed, it is tried again later; the recipients are tried no more in this life.
 */
#include <stdlib.h>

#include "base/check.h"
#include "queue/inside.h"

/* Moves up to notify_max recipients from UNTOLD to TELLING, described in `notified`. */
static uint32_t gather(struct work *w)
{
    struct message *m = w->message;
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->recipient_count && count < w->notify_max; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->phase != PHASE_UNTOLD)
            continue;
        recipient_enter(r, PHASE_TELLING);
        w->untold--;
        w->notified[count++] = (struct notified_recipient){.index = i,
                                                           .text = reply_text(r->reply),
                                                           .remote = reply_remote(r->reply),
                                                           .is_reply = reply_is_remote(r->reply),
                                                           .fault = reply_fault(r->reply)};
    }
    return count;
}

static void pause_telling(struct queue *q, struct work *w)
{
    w->notify_faults++;
    w->notify_after_ms = q->clock.mono_ms + queue_trouble_ms(q, w->notify_faults);
    save_touch(q, w);
}

/* A credit has been taken. */
static void send_notification(void *context)
{
    struct work *w = context;
    struct queue *q = w->queue;
    uint32_t most = w->untold < w->notify_max ? w->untold : w->notify_max;
    w->notified = most == 0 ? NULL : calloc(most, sizeof *w->notified);
    if (w->notified == NULL) { /* or an operator has removed it meanwhile */
        credit_give(&q->notifications);
        save_work_enter(q, w, WORK_IDLE);
        pause_telling(q, w);
        return;
    }
    struct notification *n = &w->notification;
    n->id = w->message->id;
    n->mail = w->mail;
    n->recipient_count = gather(w);
    n->recipients = w->notified;
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
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].phase == PHASE_TELLING) {
            recipient_enter(&m->recipients[i], PHASE_UNTOLD);
            w->untold++;
        }
    }
    save_touch(q, w);
}

/* The original cannot be read, so that nobody can ever be told: an operator has to look. */
static void give_up(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->phase != PHASE_UNTOLD)
            continue;
        w->untold--;
        outcome_stuck(q, r, HELD_DAMAGED);
    }
}

static void not_composed(struct queue *q, struct work *w, enum fault fault)
{
    untell(q, w);
    if (fault == FAULT_DAMAGED || fault == FAULT_NOT_FOUND) {
        give_up(q, w);
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
    free(w->notified);
    w->notified = NULL;
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

void notify_told(struct queue *q, struct work *w)
{
    struct message *m = w->message;
    struct mail_object *dsn = w->dsn;
    uint32_t count = 0;
    w->dsn = NULL;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].phase == PHASE_TELLING) {
            outcome_settle(q, &m->recipients[i], RECIPIENT_FAILED);
            recipient_enter(&m->recipients[i], PHASE_FINISHED);
            count++;
        }
    }
    if (w->untold == 0) {
        mail_release(w->mail);
        w->mail = NULL;
    }
    q->counts.notified++;
    LOG(q->log, EVENT_MESSAGE_BOUNCED, log_id("id", m->id), log_id("notification", dsn->id),
        log_u64("recipients", count));
    intake_mail(q, dsn);
    mail_release(dsn);
}
