/*
 * notice: a delivery status notification being composed for the queue (transfer/notification.h).
 *
 * A failure returns the original where RET=FULL asks for it or where it is small (RFC 3461 4.3), as
 * far as the spool takes it inline; all else only its header, so of content in a file one block is
 * read. The notification is a message like any other, from the null reverse-path (RFC 3464 2),
 * about which nobody is to be notified.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "deliver/connection.h"
#include "mail/dsn.h"
#include "mail/idn.h"
#include "mail/notify.h"
#include "transfer/notification.h"

#define NOTICE_BYTES_MAX  (192u * 1024)  /* of a whole notification, which stays inline */
#define NOTICE_RETURN_MAX (50u * 1024)   /* of content that is returned without being asked for */
#define NOTICE_TEXTS_MAX  (1024u * 1024) /* of decoded addresses */

struct notice {
    struct list node; /* in deliverer.notices */
    struct deliverer *deliverer;
    struct notification *letter;
    struct mail_object *mail;
    struct fetching fetching;
    struct reading reading;
    struct arena texts;
    bool has_content;
};

static void notice_free(struct notice *n)
{
    if (n->has_content)
        content_fini(&n->reading.content);
    mail_release(n->mail);
    mail_release(n->fetching.fetch.mail);
    arena_fini(&n->texts);
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

/* Only a permanent code may stand beside "failed", a temporary beside "delayed", and one of success
   beside the others (RFC 3464 2.3.4): a recipient whose time is over failed for that, whatever
   temporary reply came last. */
static struct status status_beside(const struct notified_recipient *r)
{
    struct status s = r->fault == FAULT_EXPIRED ? status_of_fault(FAULT_EXPIRED) : status_of(r);
    uint8_t class = r->action == DSN_FAILED ? 5 : r->action == DSN_DELAYED ? 4 : 2;
    if (s.class != class && class == 2)
        s = (struct status){2, 0, 0};
    s.class = class;
    return s;
}

/* "mx.example.org[192.0.2.1]" as a name; a host without one is its address in brackets. */
static struct span name_of(struct span remote)
{
    size_t bracket = span_find_byte(remote, '[', 0);
    return bracket == 0 ? remote : span_sub(remote, 0, bracket);
}

/* xtext of RFC 3461 as what it stands for; as it came when it is none. */
static struct span decode(struct notice *n, struct span xtext)
{
    struct buffer text;
    buffer_init(&text, xtext.len);
    bool is_good = decode_xtext(&text, xtext);
    struct span decoded = is_good ? arena_copy(&n->texts, buffer_span(&text)) : xtext;
    buffer_fini(&text);
    return decoded;
}

static struct span join(struct notice *n, const char *type, struct span address)
{
    struct buffer text;
    buffer_init(&text, address.len + 16);
    bool fits = buffer_printf(&text, "%s;", type) && buffer_put(&text, address);
    struct span joined = fits ? arena_copy(&n->texts, buffer_span(&text)) : (struct span){0};
    buffer_fini(&text);
    return joined;
}

/* "type;address" as it was first said: by ORCPT, or to us (RFC 3464 2.3.1). */
static struct span original_of(struct notice *n, const struct envelope_recipient *r)
{
    struct span type;
    if (r->orcpt.len == 0 && r->original.len == 0)
        return (struct span){0};
    if (r->orcpt.len == 0)
        return join(n, idn_is_ascii(r->original) ? "rfc822" : "utf-8", r->original);
    struct span address = span_split(r->orcpt, ';', &type);
    if (span_equal_nocase(type, SPAN("utf-8")))
        return r->orcpt;
    size_t before = r->orcpt.len - address.len;
    char text[64];
    if (before > sizeof text)
        return r->orcpt;
    (void)snprintf(text, sizeof text, "%.*s", SPAN_PRINT(type));
    return join(n, text, decode(n, address));
}

static struct span diagnostic_of(const struct notified_recipient *r)
{
    if (r->text.len > 0 || r->action == DSN_EXPANDED)
        return r->text;
    return r->action == DSN_DELAYED ? SPAN("its turn has not come yet")
                                    : span_text(fault_text(r->fault));
}

static enum fault fill_recipients(struct notice *n, struct dsn_recipient *out)
{
    const struct envelope *e = &n->mail->envelope;
    int64_t now_ms = loop_wall_ms(actor_loop(n->deliverer->worker));
    for (uint32_t i = 0; i < n->letter->recipient_count; i++) {
        const struct notified_recipient *r = &n->letter->recipients[i];
        if (r->index >= e->recipient_count)
            return FAULT_DAMAGED; /* it is not the message that the queue knows */
        out[i] = (struct dsn_recipient){
            .address = e->recipients[r->index].path,
            .original = original_of(n, &e->recipients[r->index]),
            .action = r->action,
            .status = status_beside(r),
            .remote_mta = name_of(r->remote),
            .diagnostic = diagnostic_of(r),
            .diagnostic_is_reply = r->is_reply,
            .last_attempt_ms = r->action == DSN_FAILED ? now_ms : 0,
            .will_retry_until_ms = n->letter->retry_until_ms,
        };
    }
    return FAULT_NONE;
}

static struct span addressee(const struct notice *n)
{
    if (n->letter->is_to_postmaster)
        return span_text(n->deliverer->settings->postmaster);
    return n->mail->envelope.reverse_path;
}

/* RFC 6533: only for mail that came as such, and only where something of it needs it. */
static bool is_international(const struct notice *n, const struct dsn *d)
{
    bool is_ascii = idn_is_ascii(d->to);
    for (size_t i = 0; is_ascii && i < d->recipient_count; i++)
        is_ascii =
            idn_is_ascii(d->recipients[i].address) && idn_is_ascii(d->recipients[i].original);
    return n->mail->envelope.smtputf8 && !is_ascii;
}

/* What could not go to one server in 7 bits might not come back over another one either, and take
   the report with it. */
static bool is_inconvertible(const struct notice *n)
{
    for (uint32_t i = 0; i < n->letter->recipient_count; i++)
        if (n->letter->recipients[i].fault == FAULT_NO_8BIT)
            return true;
    return false;
}

/* Is the content to be returned, if there is room? RET is about failures alone (RFC 3461 4.3). */
static bool returns_all(const struct notice *n)
{
    const struct envelope *e = &n->mail->envelope;
    bool has_failed = false;
    for (uint32_t i = 0; i < n->letter->recipient_count; i++)
        has_failed = has_failed || n->letter->recipients[i].action == DSN_FAILED;
    bool is_wanted =
        e->ret == RETURN_FULL || (e->ret == RETURN_UNSAID && e->content_bytes <= NOTICE_RETURN_MAX);
    return has_failed && is_wanted && !e->content_in_file && !is_inconvertible(n);
}

/* When all of it is too large, the original's content is what can be done without, then its
 * header. */
static bool write_dsn(struct dsn *dsn, struct buffer *out)
{
    buffer_reset(out);
    if (dsn_format(out, dsn))
        return true;
    if (dsn->original.len == 0)
        return false;
    if (dsn->returns_all)
        dsn->returns_all = false;
    else
        dsn->original = (struct span){NULL, 0};
    return write_dsn(dsn, out);
}

static enum fault format(struct notice *n, struct dsn *dsn, struct buffer *out)
{
    struct dsn_recipient *recipients = calloc(n->letter->recipient_count, sizeof *recipients);
    if (recipients == NULL)
        return FAULT_NO_MEMORY;
    enum fault fault = fill_recipients(n, recipients);
    dsn->reporting_mta = span_text(n->deliverer->settings->hostname);
    dsn->to = addressee(n);
    dsn->now_ms = loop_wall_ms(actor_loop(n->deliverer->worker));
    dsn->original_id = n->letter->id;
    dsn->arrival_ms = n->mail->envelope.arrival_wall_ms;
    dsn->envelope_id = decode(n, n->mail->envelope.envid);
    dsn->recipients = recipients;
    dsn->recipient_count = n->letter->recipient_count;
    dsn->returns_all = returns_all(n);
    dsn->is_international = is_international(n, dsn);
    dsn->is_to_postmaster = n->letter->is_to_postmaster;
    if (fault == FAULT_NONE && n->texts.full)
        fault = FAULT_NO_MEMORY;
    if (fault == FAULT_NONE && !write_dsn(dsn, out))
        fault = FAULT_LIMIT;
    dsn->recipients = NULL;
    free(recipients);
    return fault;
}

static enum fault make_mail(struct notice *n, const struct dsn *dsn, struct span content)
{
    struct id id = dsn->id;
    struct envelope_recipient to = {.path = dsn->to, .notify = NOTIFY_NEVER};
    struct envelope e = {
        .arrival_wall_ms = loop_wall_ms(actor_loop(n->deliverer->worker)),
        .smtputf8 = dsn->is_international,
        .is_last_resort = dsn->is_to_postmaster,
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
    return draft_finish(draft, content.len, dsn_is_8bit(dsn), has_dot_lines, &n->letter->dsn);
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

static void compose(struct notice *n, struct span content)
{
    struct dsn dsn = {.id = next_id(n->deliverer)};
    struct span prefix = n->mail->envelope.prefix;
    if (!returns_all(n))
        content = span_sub(content, 0, CONTENT_BLOCK_BYTES);
    struct buffer original, out;
    buffer_init(&original, prefix.len + content.len);
    buffer_init(&out, bytes_max(n));
    enum fault fault = FAULT_NO_MEMORY;
    if (buffer_put(&original, prefix) && buffer_put(&original, content)) {
        dsn.original = buffer_span(&original);
        fault = format(n, &dsn, &out);
    }
    if (fault == FAULT_NONE)
        fault = make_mail(n, &dsn, buffer_span(&out));
    buffer_fini(&original);
    buffer_fini(&out);
    answer(n, fault);
}

static void read_original(struct notice *n)
{
    const struct envelope *e = &n->mail->envelope;
    if ((e->reverse_path.len == 0) != n->letter->is_to_postmaster) { /* not what the queue knows */
        answer(n, FAULT_DAMAGED);
        return;
    }
    if (n->letter->is_to_postmaster && n->deliverer->settings->postmaster == NULL) {
        answer(n, FAULT_DENIED);
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
    arena_init(&n->texts, NOTICE_TEXTS_MAX);
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
