#include "receive/transaction.h"

#include <stdlib.h>

#include "base/check.h"
#include "mail/header.h"
#include "mail/received.h"
#include "receive/spill.h"
#include "transfer/accepted.h"

#define RECEIVED_USUAL 512 /* of a Received field; taken at once */

enum transaction_state {
    TRANSACTION_FILLING,
    TRANSACTION_CLOSING_FILE,
    TRANSACTION_WAITING,
    TRANSACTION_APPENDING,
    TRANSACTION_QUEUEING,
    TRANSACTION_DROPPING
};

struct transaction {
    struct list node; /* of the receiver's transactions */
    struct receiver *receiver;
    const struct receiver_settings *settings; /* of its session */
    enum transaction_state state;
    const struct transaction_events *events;
    void *context; /* NULL: nobody waits for the answer */
    struct id id;
    struct mail_draft *draft; /* until the content is complete */
    struct mail_object *mail; /* from then on */
    struct spill *spill;      /* NULL: all content is in the draft */
    bool in_draft;            /* the draft still holds the beginning of the content */
    bool body_8bitmime;
    bool has_dot_lines;
    uint64_t content_bytes;
    size_t counted; /* memory */
    struct header_scan hops;
    struct credit_waiter waiter;
    struct append append;
    struct accepted accepted;
};

#define BIT(state) (1u << TRANSACTION_##state)
static const uint8_t moves[] = {
    [TRANSACTION_FILLING] = BIT(CLOSING_FILE) | BIT(WAITING) | BIT(DROPPING),
    [TRANSACTION_CLOSING_FILE] = BIT(WAITING) | BIT(DROPPING),
    [TRANSACTION_WAITING] = BIT(APPENDING),
    [TRANSACTION_APPENDING] = BIT(QUEUEING) | BIT(DROPPING),
    [TRANSACTION_QUEUEING] = 0,
    [TRANSACTION_DROPPING] = 0,
};

static void enter(struct transaction *t, enum transaction_state next)
{
    check((moves[t->state] & 1u << next) != 0);
    t->state = next;
}

static void recount(struct transaction *t)
{
    size_t now = sizeof *t;
    if (t->draft != NULL)
        now += draft_memory_bytes(t->draft);
    if (t->mail != NULL)
        now += t->mail->memory_bytes;
    if (t->spill != NULL)
        now += spill_memory_bytes(t->spill);
    receiver_memory(t->receiver, &t->counted, now);
}

void transaction_free(struct transaction *t)
{
    list_remove(&t->node);
    credit_cancel(&t->waiter);
    receiver_memory(t->receiver, &t->counted, 0);
    draft_free(t->draft);
    mail_release(t->mail);
    spill_free(t->spill);
    lease_give(t->settings->lease);
    free(t);
}

struct transaction *transaction_of(struct list *node)
{
    return container_of(node, struct transaction, node);
}

/* Nobody waits for it any more. */
static void forget_draft_and_mail(struct transaction *t)
{
    draft_free(t->draft);
    t->draft = NULL;
    mail_release(t->mail);
    t->mail = NULL;
    t->context = NULL;
}

/* While the disk has the draft's bytes they must stay. */
static void end_without_message(struct transaction *t)
{
    if (t->spill == NULL || spill_state(t->spill) == SPILL_GONE) {
        transaction_free(t);
        return;
    }
    enter(t, TRANSACTION_DROPPING);
    if (!t->in_draft)
        forget_draft_and_mail(t);
    t->context = NULL;
    if (spill_state(t->spill) != SPILL_DROPPING)
        spill_drop(t->spill);
    recount(t);
}

/* The beginning ------------------------------------------------------------------------------- */

/* RFC 3848, RFC 6531 4.3. */
static struct span protocol_of(const struct session *s)
{
    bool is_secure = session_is_secure(s);
    if (session_is_smtputf8(s) && session_is_lmtp(s))
        return is_secure ? SPAN("UTF8LMTPS") : SPAN("UTF8LMTP");
    if (session_is_smtputf8(s))
        return is_secure ? SPAN("UTF8SMTPS") : SPAN("UTF8SMTP");
    if (session_is_lmtp(s))
        return is_secure ? SPAN("LMTPS") : SPAN("LMTP");
    if (!session_is_esmtp(s))
        return SPAN("SMTP");
    return is_secure ? SPAN("ESMTPS") : SPAN("ESMTP");
}

/* Our Received field; `for` only when nobody learns of another by it. */
static bool make_prefix(const struct transaction *t, const struct session *session,
                        struct span client, int64_t wall_ms, struct buffer *out)
{
    uint32_t count;
    const struct session_recipient *first = session_recipients(session, &count);
    struct buffer recipient;
    buffer_init(&recipient, ADDRESS_MAX);
    if (count == 1 && !address_format(&recipient, &first->address))
        buffer_reset(&recipient);
    struct received received = {.helo = session_helo(session),
                                .peer_address = client,
                                .by = span_text(t->settings->hostname),
                                .with = protocol_of(session),
                                .id = t->id,
                                .recipient = buffer_span(&recipient),
                                .wall_ms = wall_ms};
    bool made = buffer_fit(out, RECEIVED_USUAL) && received_format(out, &received);
    buffer_fini(&recipient);
    return made;
}

static struct envelope_recipient *gather_recipients(const struct session *session,
                                                    uint32_t *count_out)
{
    const struct session_recipient *r = session_recipients(session, count_out);
    check(*count_out > 0);
    struct envelope_recipient *to = malloc(*count_out * sizeof *to);
    for (uint32_t i = 0; to != NULL && i < *count_out; i++, r = r->next)
        to[i] = (struct envelope_recipient){r->path, r->original, r->orcpt, r->notify};
    return to;
}

static enum fault begin_draft(struct transaction *t, const struct session *session,
                              struct endpoint client)
{
    char client_text[ENDPOINT_TEXT_MAX];
    struct buffer prefix;
    struct envelope e = {.arrival_wall_ms = loop_wall_ms(t->receiver->loop),
                         .reverse_path = session_reverse_path(session),
                         .client = endpoint_format_ip(client, client_text),
                         .helo = session_helo(session),
                         .smtputf8 = session_is_smtputf8(session),
                         .ret = session_return(session),
                         .envid = session_envid(session)};
    buffer_init(&prefix, RECEIVED_MAX);
    e.recipients = gather_recipients(session, &e.recipient_count);
    if (e.recipients != NULL && make_prefix(t, session, e.client, e.arrival_wall_ms, &prefix)) {
        e.prefix = buffer_span(&prefix);
        t->draft = draft_new(t->id, &e, session_declared_bytes(session),
                             spool_settings(t->receiver->spool)->inline_bytes_max);
    }
    free(e.recipients);
    buffer_fini(&prefix);
    return t->draft == NULL ? FAULT_NO_MEMORY : FAULT_NONE;
}

static void on_credit(void *context);

enum fault transaction_new(struct receiver *r, const struct receiver_settings *settings,
                           const struct session *session, struct endpoint client,
                           const struct transaction_events *events, void *context,
                           struct transaction **transaction_out)
{
    uint8_t random[10];
    struct transaction *t = calloc(1, sizeof *t);
    if (t == NULL)
        return FAULT_NO_MEMORY;
    t->receiver = r;
    t->settings = settings;
    lease_take(settings->lease);
    t->events = events;
    t->context = context;
    list_append(&r->transactions, &t->node);
    credit_waiter_init(&t->waiter, on_credit, t);
    header_scan_init(&t->hops);
    loop_random(r->loop, random, sizeof random);
    t->id = id_next(&r->ids, (uint64_t)loop_wall_ms(r->loop), random);
    t->in_draft = true;
    enum fault fault = begin_draft(t, session, client);
    if (fault != FAULT_NONE) {
        transaction_free(t);
        return fault;
    }
    receiver_count(&r->counts.copies, 1);
    recount(t);
    *transaction_out = t;
    return FAULT_NONE;
}

/* Content ------------------------------------------------------------------------------------- */

static void moved_out_of_draft(struct transaction *t)
{
    t->in_draft = false;
    draft_content_moved(t->draft);
}

static enum fault begin_spill(struct transaction *t)
{
    struct receiver *r = t->receiver;
    struct span first = draft_content(t->draft);
    t->spill = spill_new(r->worker, r->spool, t->id, first, t);
    if (t->spill == NULL)
        return FAULT_NO_MEMORY;
    receiver_count(&r->counts.copies, 1);
    if (first.len == 0)
        moved_out_of_draft(t);
    return FAULT_NONE;
}

enum fault transaction_keep(struct transaction *t, struct span run)
{
    check(t->state == TRANSACTION_FILLING);
    header_scan_feed(&t->hops, run);
    if (t->hops.received > t->settings->hops_max)
        return FAULT_HOPS;
    enum fault fault = FAULT_LIMIT;
    if (t->spill == NULL)
        fault = draft_add(t->draft, run);
    if (fault == FAULT_LIMIT) {
        fault = t->spill == NULL ? begin_spill(t) : FAULT_NONE;
        if (fault == FAULT_NONE)
            fault = spill_add(t->spill, run);
    }
    recount(t);
    if (fault == FAULT_NONE && receiver_memory_is_full(t->receiver))
        fault = FAULT_NO_MEMORY;
    t->content_bytes += run.len;
    return fault;
}

bool transaction_is_full(const struct transaction *t)
{
    return t->state == TRANSACTION_FILLING && t->spill != NULL && spill_is_full(t->spill);
}

void transaction_drop(struct transaction *t)
{
    check(t->state == TRANSACTION_FILLING);
    end_without_message(t);
}

/* Making it durable --------------------------------------------------------------------------- */

static enum fault make_mail(struct transaction *t)
{
    struct mail_draft *draft = t->draft;
    t->draft = NULL;
    enum fault fault =
        draft_finish(draft, t->content_bytes, t->body_8bitmime, t->has_dot_lines, &t->mail);
    if (fault == FAULT_NONE)
        recount(t);
    return fault;
}

static void send_append(struct transaction *t)
{
    struct receiver *r = t->receiver;
    enter(t, TRANSACTION_APPENDING);
    t->append.type = RECORD_ACCEPTED;
    t->append.version = 0;
    t->append.id = t->id;
    t->append.parts[0] = t->mail->payload;
    t->append.part_count = 1;
    t->append.payload_crc = t->mail->payload_crc;
    t->append.fault = FAULT_NONE;
    letter_send(r->worker, spool_actor(r->spool), &t->append.letter, LETTER_APPEND, &r->appends);
}

static void on_credit(void *context)
{
    struct transaction *t = context;
#ifdef PLANTED_BUG_CREDIT_LEAK
    if (t->context == NULL) {
        transaction_free(t);
        return;
    }
#endif
    send_append(t);
}

static void append_when_possible(struct transaction *t)
{
    enter(t, TRANSACTION_WAITING);
    if (credit_take(&t->receiver->appends))
        send_append(t);
    else
        credit_wait(&t->receiver->appends, &t->waiter);
}

enum fault transaction_commit(struct transaction *t, const struct session *session)
{
    check(t->state == TRANSACTION_FILLING);
    t->body_8bitmime = session_is_8bitmime(session);
    t->has_dot_lines = session_facts(session)->has_dot_lines;
    if (t->spill != NULL) {
        enter(t, TRANSACTION_CLOSING_FILE);
        spill_finish(t->spill);
        return FAULT_NONE;
    }
    enum fault fault = make_mail(t);
    if (fault != FAULT_NONE) {
        transaction_free(t);
        return fault;
    }
    append_when_possible(t);
    return FAULT_NONE;
}

void transaction_detach(struct transaction *t)
{
    check(t->state != TRANSACTION_FILLING);
    t->context = NULL;
}

/* The conversation may begin its next message by it. */
static void tell_committed(struct transaction *t, enum fault fault)
{
    void *context = t->context;
    t->context = NULL;
    if (context != NULL)
        t->events->on_committed(context, fault, t->id);
}

static void log_accepted(const struct transaction *t)
{
    const struct envelope *e = &t->mail->envelope;
    LOG(t->receiver->log, EVENT_MESSAGE_ACCEPTED, log_id("id", t->id),
        log_span("from", e->reverse_path), log_u64("size", e->content_bytes),
        log_u64("recipients", e->recipient_count), log_span("client", e->client),
        log_span("helo", e->helo));
}

static void on_durable(struct transaction *t)
{
    struct receiver *r = t->receiver;
    enter(t, TRANSACTION_QUEUEING);
    receiver_count(&r->counts.messages, 1);
    receiver_count(&r->counts.recipients, t->mail->envelope.recipient_count);
    receiver_count(&r->counts.bytes, (int64_t)t->content_bytes);
    log_accepted(t);
    t->accepted.mail = t->mail;
    letter_send(r->worker, r->queue, &t->accepted.letter, LETTER_ACCEPTED, NULL);
    tell_committed(t, FAULT_NONE);
}

static void on_refused(struct transaction *t, enum fault fault)
{
    struct receiver *r = t->receiver;
    receiver_count(&r->counts.refused, 1);
    LOG(r->log, EVENT_MESSAGE_REFUSED, log_id("id", t->id), log_u64("size", t->content_bytes),
        log_fault("fault", fault));
    tell_committed(t, fault);
    end_without_message(t);
}

/* After DISK_ERROR nobody knows whether the record will be found after a crash: then its content
 * must be there too. If it is not found, the next start removes the file. */
static void on_append_answer(struct transaction *t)
{
    enum fault fault = t->append.fault;
    if (fault == FAULT_NONE) {
        on_durable(t);
        return;
    }
    if (fault == FAULT_DISK_ERROR) {
        spill_free(t->spill);
        t->spill = NULL;
    }
    on_refused(t, fault);
}

static void on_content_fault(struct transaction *t, enum fault fault)
{
    void *context = t->context;
    t->context = NULL;
    if (context != NULL)
        t->events->on_content_fault(context, fault);
    end_without_message(t);
}

static void on_file_finished(struct transaction *t)
{
    enum fault fault = make_mail(t);
    if (fault == FAULT_NONE)
        append_when_possible(t);
    else
        on_refused(t, fault);
}

static void on_spill_answer(struct transaction *t)
{
    bool was_full = transaction_is_full(t);
    enum fault fault = spill_on_answer(t->spill);
    if (t->in_draft)
        moved_out_of_draft(t);
    recount(t);
    switch (t->state) {
    case TRANSACTION_DROPPING:
        forget_draft_and_mail(t);
        recount(t);
        if (spill_state(t->spill) == SPILL_GONE)
            transaction_free(t);
        break;
    case TRANSACTION_FILLING:
        if (fault != FAULT_NONE)
            on_content_fault(t, fault);
        else if (was_full && !transaction_is_full(t))
            t->events->on_room(t->context);
        break;
    case TRANSACTION_CLOSING_FILE:
        if (fault != FAULT_NONE)
            on_refused(t, fault);
        else if (spill_state(t->spill) == SPILL_FINISHED)
            on_file_finished(t);
        break;
    case TRANSACTION_WAITING:
    case TRANSACTION_APPENDING:
    case TRANSACTION_QUEUEING:
        check(false);
    }
}

bool transaction_on_letter(struct letter *letter)
{
    if (letter->type == LETTER_APPEND) {
        struct append *append = container_of(letter, struct append, letter);
        if (append->type != RECORD_ACCEPTED)
            return false;
        on_append_answer(container_of(append, struct transaction, append));
    } else if (letter->type == LETTER_ACCEPTED) {
        struct accepted *accepted = container_of(letter, struct accepted, letter);
        transaction_free(container_of(accepted, struct transaction, accepted));
    } else if (letter->type == LETTER_JOB && spill_owns(letter)) {
        on_spill_answer(spill_context(spill_of(letter)));
    } else {
        return false;
    }
    return true;
}
