/*
 * notice: a delivery status notification being composed for the queue (transfer/notification.h).
 *
 * Of the original only the header is returned, so of content in a file one block is read. The
 * notification is a message like any other, from the null reverse-path (RFC 3464 2).
 */
#include <stdlib.h>

#include "deliver/connection.h"
#include "mail/dsn.h"
#include "transfer/notification.h"

#define NOTICE_BYTES_MAX (192u * 1024) /* of a whole notification, which stays inline */

struct notice {
    struct list node; /* in deliverer.notices */
    struct deliverer *deliverer;
    struct notification *letter;
    struct mail_object *mail;
    struct fetching fetching;
    struct reading reading;
    bool has_content;
};

static void notice_free(struct notice *n)
{
    if (n->has_content)
        content_fini(&n->reading.content);
    mail_release(n->mail);
    mail_release(n->fetching.fetch.mail);
    list_remove(&n->node);
    free(n);
}

static void answer(struct notice *n, enum fault fault)
{
    struct actor *worker = n->deliverer->worker;
    struct notification *letter = n->letter;
    letter->fault = fault;
    notice_free(n);
    letter_answer(worker, &letter->letter);
}

static struct status status_of(const struct notified_recipient *r)
{
    uint64_t code;
    if (!r->is_reply || !span_parse_u64(span_sub(r->text, 0, 3), 999, &code))
        return status_of_fault(r->fault);
    return status_of_reply((int)code, span_trim(span_skip(r->text, 3)));
}

/* Only a permanent code may stand beside "failed" (RFC 3464 2.3.4): a recipient whose time is over
   failed for that, whatever temporary reply came last. */
static struct status failed_status(const struct notified_recipient *r)
{
    struct status s = r->fault == FAULT_EXPIRED ? status_of_fault(FAULT_EXPIRED) : status_of(r);
    if (s.class != 5)
        s.class = 5;
    return s;
}

/* "mx.example.org[192.0.2.1]" as a name; a host without one is its address in brackets. */
static struct span name_of(struct span remote)
{
    size_t bracket = span_find_byte(remote, '[', 0);
    return bracket == 0 ? remote : span_sub(remote, 0, bracket);
}

static enum fault fill_recipients(const struct notice *n, struct dsn_recipient *out)
{
    const struct envelope *e = &n->mail->envelope;
    int64_t now_ms = loop_wall_ms(actor_loop(n->deliverer->worker));
    for (uint32_t i = 0; i < n->letter->recipient_count; i++) {
        const struct notified_recipient *r = &n->letter->recipients[i];
        if (r->index >= e->recipient_count)
            return FAULT_DAMAGED; /* it is not the message that the queue knows */
        out[i] = (struct dsn_recipient){
            .address = e->recipients[r->index].path,
            .action = DSN_FAILED,
            .status = failed_status(r),
            .remote_mta = name_of(r->remote),
            .diagnostic = r->text.len > 0 ? r->text : span_text(fault_text(r->fault)),
            .diagnostic_is_reply = r->is_reply,
            .last_attempt_ms = now_ms,
        };
    }
    return FAULT_NONE;
}

static bool write_dsn(const struct notice *n, struct id id, const struct dsn_recipient *recipients,
                      struct span original, struct buffer *out)
{
    struct dsn dsn = {
        .id = id,
        .reporting_mta = span_text(n->deliverer->settings->hostname),
        .to = n->mail->envelope.reverse_path,
        .now_ms = loop_wall_ms(actor_loop(n->deliverer->worker)),
        .original_id = n->letter->id,
        .arrival_ms = n->mail->envelope.arrival_wall_ms,
        .recipients = recipients,
        .recipient_count = n->letter->recipient_count,
        .original = original,
    };
    buffer_reset(out);
    return dsn_format(out, &dsn);
}

/* When all of it is too large, the original is what can be done without. */
static enum fault format(const struct notice *n, struct id id, struct span original,
                         struct buffer *out)
{
    struct dsn_recipient *recipients = calloc(n->letter->recipient_count, sizeof *recipients);
    if (recipients == NULL)
        return FAULT_NO_MEMORY;
    enum fault fault = fill_recipients(n, recipients);
    if (fault == FAULT_NONE && !write_dsn(n, id, recipients, original, out) &&
        !write_dsn(n, id, recipients, (struct span){NULL, 0}, out))
        fault = FAULT_LIMIT;
    free(recipients);
    return fault;
}

static enum fault make_mail(struct notice *n, struct id id, struct span content)
{
    struct envelope_recipient to = {.path = n->mail->envelope.reverse_path};
    struct envelope e = {
        .arrival_wall_ms = loop_wall_ms(actor_loop(n->deliverer->worker)),
        .recipients = &to,
        .recipient_count = 1,
    };
    struct mail_draft *draft = draft_new(id, &e, content.len, ENVELOPE_INLINE_MAX);
    if (draft == NULL)
        return FAULT_NO_MEMORY;
    enum fault fault = draft_add(draft, content);
    if (fault != FAULT_NONE) {
        draft_free(draft);
        return fault;
    }
    /* Whether a line begins with a dot is not known of a text made here: sending looks for itself.
     */
    bool has_dot_lines = true;
    return draft_finish(draft, content.len, false, has_dot_lines, &n->letter->dsn);
}

/* It is a message like any other: larger than the spool takes inline, it would be refused. */
static size_t bytes_max(const struct notice *n)
{
    uint32_t inline_max = spool_settings(n->deliverer->spool)->inline_bytes_max;
    return inline_max < NOTICE_BYTES_MAX ? inline_max : NOTICE_BYTES_MAX;
}

static struct id next_id(struct deliverer *d)
{
    struct loop *l = actor_loop(d->worker);
    uint8_t random[10];
    loop_random(l, random, sizeof random);
    return id_next(&d->ids, (uint64_t)loop_wall_ms(l), random);
}

static void compose(struct notice *n, struct span content_head)
{
    struct id id = next_id(n->deliverer);
    struct span prefix = n->mail->envelope.prefix;
    struct span head = span_sub(content_head, 0, CONTENT_BLOCK_BYTES);
    struct buffer original, out;
    buffer_init(&original, prefix.len + head.len);
    buffer_init(&out, bytes_max(n));
    enum fault fault = FAULT_NO_MEMORY;
    if (buffer_put(&original, prefix) && buffer_put(&original, head))
        fault = format(n, id, buffer_span(&original), &out);
    if (fault == FAULT_NONE)
        fault = make_mail(n, id, buffer_span(&out));
    buffer_fini(&original);
    buffer_fini(&out);
    answer(n, fault);
}

static void read_original(struct notice *n)
{
    const struct envelope *e = &n->mail->envelope;
    if (e->reverse_path.len == 0) { /* nobody is told of those: not what the queue knows */
        answer(n, FAULT_DAMAGED);
        return;
    }
    if (!e->content_in_file) {
        compose(n, e->content);
        return;
    }
    content_init(&n->reading.content, n->deliverer->spool, n->mail->id);
    n->has_content = true;
    content_send(n->deliverer->worker, &n->reading.content, CONTENT_READ);
}

void notice_on_job(struct notice *n)
{
    /* A notification without the original's header is better than none. */
    bool is_read = n->reading.content.fault == FAULT_NONE;
    compose(n, is_read ? n->reading.content.bytes : (struct span){NULL, 0});
}

void notice_on_fetch(struct notice *n)
{
    if (n->fetching.fetch.fault != FAULT_NONE) {
        answer(n, n->fetching.fetch.fault);
        return;
    }
    n->mail = n->fetching.fetch.mail;
    n->fetching.fetch.mail = NULL;
    read_original(n);
}

void notice_begin(struct deliverer *d, struct letter *letter)
{
    struct notification *asked = container_of(letter, struct notification, letter);
    struct notice *n = calloc(1, sizeof *n);
    asked->dsn = NULL;
    if (n == NULL) {
        asked->fault = FAULT_NO_MEMORY;
        letter_answer(d->worker, letter);
        return;
    }
    check(asked->recipient_count > 0);
    n->deliverer = d;
    n->letter = asked;
    n->fetching.notice = n->reading.notice = n;
    list_append(&d->notices, &n->node);
    if (asked->mail != NULL) {
        n->mail = mail_retain(asked->mail);
        read_original(n);
        return;
    }
    n->fetching.fetch.id = asked->id;
    letter_send(d->worker, spool_actor(d->spool), &n->fetching.fetch.letter, LETTER_FETCH, NULL);
}

void notices_free(struct deliverer *d)
{
    list_each(node, &d->notices) notice_free(container_of(node, struct notice, node));
}
