/*
 * outcome: what has become of a recipient: its new standing, its next time, and the line in the
 * log; see inside.h. save.c makes it durable.
 */
#include "mail/notify.h"
#include "queue/inside.h"

void outcome_settle(struct queue *q, struct recipient *r, enum recipient_standing standing)
{
    q->counts.recipients -= recipient_is_waiting(r);
    r->standing = (unsigned)standing & 0xf;
    q->counts.recipients += recipient_is_waiting(r);
}

/* A wall clock that was wrong and went back leaves arrivals in the future, which would never be
   over: the message then came now, at the latest. */
static int64_t arrival_wall_ms(const struct queue *q, struct message *m)
{
    if (m->arrival_wall_ms > q->clock.wall_ms)
        m->arrival_wall_ms = q->clock.wall_ms;
    return m->arrival_wall_ms;
}

int64_t outcome_over_ms(const struct queue *q, struct message *m)
{
    return retry_mono_of_wall(&q->clock, arrival_wall_ms(q, m) + q->settings.lifetime_ms);
}

bool outcome_is_over(const struct queue *q, const struct recipient *r)
{
    const struct site *s = r->destination == NULL ? NULL : r->destination->site;
    uint8_t era = q->clock.era;
    bool was_tried = r->era == era || (s != NULL && s->state != SITE_WELL && s->fault_era == era);
    return was_tried && outcome_over_ms(q, message_of(r)) <= q->clock.mono_ms;
}

static struct span address_of(const struct recipient *r, const struct mail_object *mail)
{
    if (mail == NULL || r->index >= mail->envelope.recipient_count)
        return (struct span){0};
    return mail->envelope.recipients[r->index].path;
}

static struct span domain_of(const struct recipient *r)
{
    return r->destination == NULL ? (struct span){0} : destination_name(r->destination);
}

static void replace_reply(struct queue *q, struct recipient *r, struct reply *reply)
{
    if (reply == NULL)
        return;
    reply_release(&q->replies, r->reply);
    r->reply = reply;
}

static void count_attempt(struct recipient *r)
{
    if (r->attempts < UINT16_MAX)
        r->attempts++;
}

/* Its work is there (inside.h), so that nothing can fail from here on. */
static void enter(struct queue *q, struct recipient *r, enum phase phase)
{
    struct work *w = message_of(r)->work;
    recipient_enter(r, phase);
    w->unsaved += phase == PHASE_UNSAVED;
    w->untold += phase == PHASE_UNTOLD;
    save_touch(q, w);
}

/* Of whom the sender wants to hear, where nobody else reports it. */
static enum recipient_report report_of(const struct recipient *r,
                                       const struct delivery_result *result)
{
    const struct route *route = r->destination == NULL ? NULL : r->destination->route;
    enum route_transport transport = route == NULL ? ROUTE_SMTP : route->transport;
    if ((r->notify & NOTIFY_SUCCESS) == 0 || message_of(r)->has_no_sender)
        return REPORT_NONE;
    if (transport == ROUTE_LOCAL)
        return REPORT_DELIVERED;
    if (!result->is_relayed)
        return REPORT_NONE;
    return transport == ROUTE_LMTP ? REPORT_DELIVERED : REPORT_RELAYED;
}

/* A report needs the original's header. */
static void keep_mail(struct message *m, const struct mail_object *mail)
{
    if (m->work->mail == NULL && mail != NULL)
        m->work->mail = mail_retain((struct mail_object *)(uintptr_t)mail);
}

void outcome_expanded(struct queue *q, struct recipient *r, const struct mail_object *mail)
{
    struct message *m = message_of(r);
    outcome_settle(q, r, RECIPIENT_DELIVERED);
    if (m->has_no_sender) {
        enter(q, r, PHASE_UNSAVED);
        return;
    }
    keep_mail(m, mail);
    r->report = REPORT_EXPANDED;
    enter(q, r, PHASE_UNTOLD);
}

void outcome_delivered(struct queue *q, struct recipient *r, const struct delivery_result *result,
                       const struct mail_object *mail)
{
    struct message *m = message_of(r);
    q->counts.delivered++;
    count_attempt(r);
    reply_release(&q->replies, r->reply);
    r->reply = NULL;
    r->report = (unsigned)report_of(r, result) & 3;
    if (r->report != REPORT_NONE) {
        keep_mail(m, mail);
        r->reply = reply_get(&q->replies, result->text, result->remote, FAULT_NONE);
    }
    outcome_settle(q, r, RECIPIENT_DELIVERED);
    enter(q, r, PHASE_UNSAVED);
    LOG(q->log, EVENT_MESSAGE_DELIVERED, log_id("id", m->id), log_span("to", address_of(r, mail)),
        log_u64("recipient", r->index), log_span("domain", domain_of(r)),
        log_span("host", result->remote),
        log_span("tls", result->tls.len == 0 ? SPAN("none") : result->tls),
        log_span("reply", result->text), log_u64("attempts", r->attempts),
        log_i64("age-ms", q->clock.wall_ms - m->arrival_wall_ms));
}

static void log_failed(struct queue *q, const struct recipient *r, const struct mail_object *mail,
                       enum fault fault)
{
    LOG(q->log, EVENT_MESSAGE_FAILED, log_id("id", message_of(r)->id),
        log_span("to", address_of(r, mail)), log_u64("recipient", r->index),
        log_span("domain", domain_of(r)), log_span("host", reply_remote(r->reply)),
        log_span("reply", reply_text(r->reply)), log_fault("fault", fault),
        log_u64("attempts", r->attempts));
}

/* It has failed for good; the attempt is counted. */
static void fail(struct queue *q, struct recipient *r, const struct mail_object *mail)
{
    struct message *m = message_of(r);
    q->counts.failed++;
    log_failed(q, r, mail, reply_fault(r->reply));
    r->due_ms = q->clock.mono_ms;
    if (m->has_no_sender && (m->is_last_resort || !q->settings.has_postmaster)) {
        outcome_stuck(q, r, HELD_UNDELIVERABLE);
        return;
    }
    /* Its sender wants to hear nothing of it (RFC 3461 4.1): that is its end. */
    if (!m->has_no_sender && !notify_wants((uint8_t)r->notify, NOTIFY_FAILURE)) {
        outcome_settle(q, r, RECIPIENT_FAILED);
        enter(q, r, PHASE_UNSAVED);
        return;
    }
    keep_mail(m, mail);
    enter(q, r, PHASE_UNTOLD);
}

/* Nobody fails without a reason to be told: while there is no memory for it, he is deferred. */
void outcome_failed(struct queue *q, struct recipient *r, struct reply *reply,
                    const struct mail_object *mail)
{
    if (reply == NULL) {
        outcome_deferred(q, r, NULL, false, mail);
        return;
    }
    replace_reply(q, r, reply);
    count_attempt(r);
    fail(q, r, mail);
}

bool outcome_bounced(struct queue *q, struct recipient *r)
{
    struct reply *reply = reply_with_fault(&q->replies, r->reply, FAULT_BOUNCED);
    if (reply == NULL)
        return false;
    replace_reply(q, r, reply);
    fail(q, r, NULL);
    return true;
}

bool outcome_expired(struct queue *q, struct recipient *r, const struct mail_object *mail)
{
    struct reply *reply = reply_with_fault(&q->replies, r->reply, FAULT_EXPIRED);
    if (reply == NULL)
        return false;
    replace_reply(q, r, reply);
    q->counts.expired++;
    fail(q, r, mail);
    return true;
}

void outcome_deferred(struct queue *q, struct recipient *r, struct reply *reply, bool in_doubt,
                      const struct mail_object *mail)
{
    struct message *m = message_of(r);
    replace_reply(q, r, reply);
    count_attempt(r);
    if (outcome_is_over(q, r) && outcome_expired(q, r, mail))
        return;
    q->counts.deferrals++;
    q->counts.deferred += !m->was_deferred;
    m->was_deferred = 1;
    int64_t delay_ms = retry_delay_ms(q->settings.retry_first_ms, q->settings.retry_max_ms,
                                      r->attempts, queue_random(q));
    r->due_ms = q->clock.mono_ms + delay_ms;
    enter(q, r, PHASE_UNSAVED);
    LOG(q->log, EVENT_MESSAGE_DEFERRED, log_id("id", m->id), log_span("to", address_of(r, mail)),
        log_u64("recipient", r->index), log_span("domain", domain_of(r)),
        log_span("host", reply_remote(r->reply)), log_span("reply", reply_text(r->reply)),
        log_u64("attempts", r->attempts), log_i64("again-ms", delay_ms),
        log_u64("in-doubt", in_doubt));
}

void outcome_stuck(struct queue *q, struct recipient *r, enum held_reason reason)
{
    struct message *m = message_of(r);
    if (!m->is_held)
        m->held_reason = (unsigned)reason & 0xf;
    enter(q, r, PHASE_STUCK);
}
