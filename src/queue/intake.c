/*
 * intake: accepted and recovered messages become entries of the queue; see inside.h.
 */
#include "mail/address.h"
#include "mail/notify.h"
#include "queue/inside.h"

#define CONTENT_BYTES_MAX ((UINT64_C(1) << 40) - 1)
#define NOTIFY_BITS       0x1fu
#define PATH_MEMORY_MAX   1024 /* to unquote one local part */

/* The destination of a forward-path; NULL: it has no domain. False: no memory. */
static bool find_destination(struct queue *q, struct span path,
                             struct destination **destination_out)
{
    *destination_out = NULL;
    struct arena arena;
    arena_init(&arena, PATH_MEMORY_MAX);
    struct address a;
    enum fault fault = address_parse(path, ADDRESS_POSTMASTER_OK | ADDRESS_UTF8_OK, &arena, &a);
    bool ok = true;
    if (fault == FAULT_NONE && a.domain.len > 0 && a.domain.len <= DESTINATION_NAME_MAX) {
        *destination_out = destination_get(&q->destinations, a.domain);
        ok = *destination_out != NULL;
    }
    arena_fini(&arena);
    return ok;
}

void intake_release(struct queue *q, struct message *m)
{
    fresh_drop(&q->fresh, m);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        list_remove(&r->node);
        reply_release(&q->replies, r->reply);
        if (r->destination != NULL)
            destination_release(&q->destinations, r->destination);
    }
    sender_release(&q->senders, m->sender);
    schedule_remove(&q->schedule, m);
    message_free(m);
}

/* The message with its sender and destinations, in no table yet; NULL: no memory. */
static struct message *make(struct queue *q, struct id id, const struct envelope *e)
{
    struct message *m = message_new(id, e->recipient_count);
    if (m == NULL)
        return NULL;
    m->sender = sender_get(&q->senders, e->client);
    if (m->sender == NULL) {
        message_free(m);
        return NULL;
    }
    m->arrival_wall_ms = e->arrival_wall_ms;
    m->content_bytes =
        (e->content_bytes < CONTENT_BYTES_MAX ? e->content_bytes : CONTENT_BYTES_MAX) &
        CONTENT_BYTES_MAX;
    m->has_no_sender = e->reverse_path.len == 0;
    m->is_last_resort = e->is_last_resort;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct envelope_recipient *to = &e->recipients[i];
        m->recipients[i].notify = to->notify & NOTIFY_BITS;
        if (!m->has_no_sender && notify_wants(to->notify, NOTIFY_DELAY))
            m->wants_delay = 1;
        if (!find_destination(q, to->path, &m->recipients[i].destination)) {
            intake_release(q, m);
            return NULL;
        }
    }
    return m;
}

/* False: there was no memory; or it is known already, and nothing is to be done. */
static bool put(struct queue *q, struct message *m, bool *is_known_out)
{
    *is_known_out = false;
    if (!schedule_add(&q->schedule, m, RETRY_NEVER))
        return false;
    enum catalog_put put = catalog_put(&q->catalog, m);
    *is_known_out = put == CATALOG_EXISTS;
    if (put != CATALOG_PUT)
        return false;
    q->counts.messages++;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        q->counts.recipients += recipient_is_waiting(&m->recipients[i]);
    return true;
}

/* It is safe in the spool, but there is no memory to think of it: the next start finds it. */
static void log_forgotten(struct queue *q, struct id id)
{
    LOG(q->log, EVENT_MESSAGE_HELD, log_id("id", id), log_fault("fault", FAULT_NO_MEMORY),
        log_text("reason", "there is no memory for it: it waits for the next start"));
}

void intake_mail(struct queue *q, struct mail_object *mail)
{
    struct message *m = make(q, mail->id, &mail->envelope);
    bool is_known = false;
    if (m == NULL || !put(q, m, &is_known)) {
        if (m != NULL)
            intake_release(q, m);
        if (!is_known)
            log_forgotten(q, mail->id);
        return;
    }
    for (uint32_t i = 0; i < m->recipient_count; i++)
        m->recipients[i].due_ms = q->clock.mono_ms;
    fresh_keep(&q->fresh, m, mail);
    resolve_message(q, m);
}

/* A time from disk: not later than a retry could be, whatever the clock did meanwhile. */
static int64_t due_of_wall(const struct queue *q, int64_t due_wall_ms)
{
    int64_t due_ms = retry_mono_of_wall(&q->clock, due_wall_ms);
    int64_t latest_ms = q->clock.mono_ms + q->settings.retry_max_ms;
    return due_ms < latest_ms ? due_ms : latest_ms;
}

static void restore(struct queue *q, struct message *m, const struct message_state *s)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        const struct recipient_state *from = &s->recipients[i];
        r->standing = (unsigned)from->standing & 0xf;
        r->attempts = from->attempts;
        r->due_ms = due_of_wall(q, from->due_wall_ms);
        r->report = (unsigned)from->report & 3;
        if (!recipient_is_waiting(r) && r->report == REPORT_NONE)
            recipient_enter(r, PHASE_FINISHED);
        if (from->attempts > 0 && recipient_is_waiting(r))
            m->was_deferred = 1;
        /* Without memory for it only its last words are lost. */
        if (from->reply < s->reply_count)
            r->reply =
                reply_get(&q->replies, s->replies[from->reply], (struct span){0}, FAULT_UNKNOWN);
    }
    m->is_held = s->held;
    m->held_reason = (unsigned)held_reason_of(s->reason) & 0xf;
    m->is_delay_told = s->is_delay_told;
    m->crashes = s->crashes;
}

/* Reports that were owed when the program ended. Without memory they are given up. */
static void owe_reports(struct queue *q, struct message *m)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->report == REPORT_NONE)
            continue;
        struct work *w = save_work(q, m);
        if (w == NULL) {
            r->report = REPORT_NONE;
            recipient_enter(r, PHASE_FINISHED);
            continue;
        }
        recipient_enter(r, PHASE_UNTOLD);
        w->untold++;
        save_touch(q, w);
    }
}

/*
 * It was being worked on at the crash. The count must be on disk before it is tried again, or a
 * message that kills us each time would never be counted beyond one; so its recipients are UNSAVED
 * at first.
 */
static void count_crash(struct queue *q, struct message *m)
{
    q->counts.repeated++;
    if (m->crashes < UINT8_MAX)
        m->crashes++;
    LOG(q->log, EVENT_MESSAGE_REPEATED, log_id("id", m->id), log_u64("crashes", m->crashes));
    struct work *w = save_work(q, m);
    if (w == NULL)
        return;
    if (m->crashes >= QUEUE_CRASHES_MAX && !m->is_held)
        save_hold(q, m, w, HELD_CRASHES);
    w->control_due = true;
    save_touch(q, w);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (recipient_is_waiting(&m->recipients[i])) {
            recipient_enter(&m->recipients[i], PHASE_UNSAVED);
            w->unsaved++;
        }
    }
}

void intake_recovered(struct queue *q, const struct recovered_message *from)
{
    struct message *m = make(q, from->id, &from->envelope);
    bool is_known = false;
    bool has_state = m != NULL && from->state.recipient_count == m->recipient_count;
    if (has_state)
        restore(q, m, &from->state);
    else if (m != NULL) /* no state was ever written: the first attempt is due */
        for (uint32_t i = 0; i < m->recipient_count; i++)
            m->recipients[i].due_ms = q->clock.mono_ms;
    if (m == NULL || !put(q, m, &is_known)) {
        if (m != NULL)
            intake_release(q, m);
        if (!is_known)
            log_forgotten(q, from->id);
        return;
    }
    m->version = from->version;
    q->counts.recovered++;
    q->counts.held += m->is_held;
    q->counts.deferred += m->was_deferred;
    owe_reports(q, m);
    if (from->sending)
        count_crash(q, m);
    /* Not now: a million are read in one go, and each turn takes some that are due. */
    int64_t first_ms = RETRY_NEVER;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        if (m->recipients[i].phase == PHASE_SCHEDULED && m->recipients[i].due_ms < first_ms)
            first_ms = m->recipients[i].due_ms;
    queue_look_by(q, m, m->work != NULL || message_is_ended(m) ? q->clock.mono_ms : first_ms);
}

void intake_end(struct queue *q, struct message *m)
{
    catalog_remove(&q->catalog, m);
    q->counts.messages--;
    q->counts.held -= m->is_held;
    q->counts.deferred -= m->was_deferred;
    save_work_free(q, m->work);
    intake_release(q, m);
}
