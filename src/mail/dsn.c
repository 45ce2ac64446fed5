/*
 * dsn: see dsn.h.
 */
#include "mail/dsn.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/encode.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/domain.h"
#include "mail/header.h"

#define LINE_WISH     76  /* lines are broken before this where a blank allows it */
#define WORD_MAX      500 /* and inside a word at this, so that no line reaches 998 */
#define ORIGINAL_MAX  500 /* RFC 3461 5.2 */
#define ENVELOPE_MAX  100 /* RFC 3461 4.4 */
#define LINE_MAX_SMTP 998 /* RFC 5321 4.5.3.1.6, CRLF apart */

/* The writing of one notification. What peers gave passes through put_clean or put_wrapped
   alone. */
struct writer {
    struct buffer *out;
    const struct dsn *dsn;
    char id[ID_TEXT_LEN + 1];
};

static void put(struct writer *w, const char *text)
{
    (void)buffer_put_text(w->out, text); /* the buffer remembers that it was full */
}

static bool is_ascii(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] >= 0x80)
            return false;
    return true;
}

static uint8_t clean(uint8_t byte)
{
    if (byte == '\t' || byte == '\r' || byte == '\n')
        return ' ';
    return byte < 32 || byte > 126 ? '?' : byte;
}

/* At most `max` bytes on the present line. */
static void put_clean(struct writer *w, struct span s, size_t max)
{
    s = span_sub(s, 0, max);
    for (size_t i = 0; i < s.len; i++) {
        size_t utf8 = 0;
        if (w->dsn->is_international && s.data[i] >= 0x80)
            utf8 = utf8_sequence(span_skip(s, i));
        if (utf8 == 0) {
            (void)buffer_put_u8(w->out, clean(s.data[i]));
            continue;
        }
        (void)buffer_put(w->out, span_sub(s, i, utf8));
        i += utf8 - 1;
    }
}

/* The next word, as long as a line may take, and what follows it; blanks of any kind part words. */
static struct span take_word(struct span *s)
{
    size_t start = 0;
    while (start < s->len && clean(s->data[start]) == ' ')
        start++;
    size_t stop = start;
    while (stop < s->len && stop - start < WORD_MAX && clean(s->data[stop]) != ' ')
        stop++;
    struct span word = span_sub(*s, start, stop - start);
    *s = span_skip(*s, stop);
    return word;
}

/* Words with single blanks, broken into lines that begin with `indent` (which begins with a
   blank, so that in a field it folds and in a text it can begin no boundary). `column` bytes are
   on the line already. */
static void put_wrapped(struct writer *w, struct span s, size_t max, size_t column,
                        const char *indent)
{
    size_t indent_len = span_text(indent).len;
    bool first = true;
    s = span_sub(s, 0, max);
    for (struct span word = take_word(&s); word.len > 0; word = take_word(&s)) {
        if (!first && column + 1 + word.len > LINE_WISH) {
            put(w, "\r\n");
            put(w, indent);
            column = indent_len;
        } else if (!first) {
            put(w, " ");
            column++;
        }
        put_clean(w, word, word.len);
        column += word.len;
        first = false;
    }
}

static bool is_all_blank(struct span s)
{
    return take_word(&s).len == 0;
}

static void put_date_field(struct writer *w, const char *name, int64_t wall_ms)
{
    char text[DATE_LEN + 1];
    date_format(wall_ms, text);
    (void)buffer_printf(w->out, "%s: %s\r\n", name, text);
}

static bool any(const struct dsn *d, enum dsn_action action)
{
    for (size_t i = 0; i < d->recipient_count; i++) {
        if (d->recipients[i].action == action)
            return true;
    }
    return false;
}

static const char *subject(const struct dsn *d)
{
    if (d->is_to_postmaster)
        return "Undelivered mail: a message without a sender could not be delivered";
    if (any(d, DSN_FAILED))
        return "Undelivered mail: your message could not be delivered";
    if (any(d, DSN_DELAYED))
        return "Delayed mail: your message is still being tried";
    return "Delivery report for your message";
}

static void put_header(struct writer *w)
{
    const struct dsn *d = w->dsn;
    put(w, "From: Mail Delivery System <MAILER-DAEMON@");
    put_clean(w, d->reporting_mta, DOMAIN_MAX);
    put(w, ">\r\nTo: <");
    put_clean(w, d->to, ADDRESS_MAX);
    (void)buffer_printf(w->out, ">\r\nSubject: %s\r\n", subject(d));
    put_date_field(w, "Date", d->now_ms);
    (void)buffer_printf(w->out, "Message-ID: <%s@", w->id);
    put_clean(w, d->reporting_mta, DOMAIN_MAX);
    (void)buffer_printf(w->out,
                        ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: multipart/report; report-type=%sdelivery-status;\r\n"
                        "\tboundary=\"=_%s\"\r\nContent-Transfer-Encoding: %s\r\n\r\n"
                        "This is a message in MIME format.\r\n",
                        d->is_international ? "global-" : "", w->id,
                        dsn_is_8bit(d) ? "8bit" : "7bit");
}

static void put_part(struct writer *w, const char *type, const char *description)
{
    (void)buffer_printf(w->out, "\r\n--=_%s\r\nContent-Description: %s\r\nContent-Type: %s\r\n",
                        w->id, description, type);
}

/* One of ours, which is in ASCII but for addresses of an international one. */
static void put_own_part(struct writer *w, const char *type, const char *global,
                         const char *description)
{
    bool is_international = w->dsn->is_international;
    put_part(w, is_international ? global : type, description);
    put(w, is_international ? "Content-Transfer-Encoding: 8bit\r\n\r\n" : "\r\n");
}

static const char *const said_of_action[] = {
    [DSN_FAILED] = "Your message could not be delivered to",
    [DSN_DELAYED] = "Your message is late and still being tried (do not send it again), for",
    [DSN_DELIVERED] = "Your message was delivered to",
    [DSN_RELAYED] = "Your message was handed on to a server that may send no report, for",
    [DSN_EXPANDED] = "Your message was handed on to the members of",
};

static void put_text_recipient(struct writer *w, const struct dsn_recipient *r)
{
    put(w, "  <");
    put_clean(w, r->address, ADDRESS_MAX);
    put(w, ">\r\n");
    if (is_all_blank(r->diagnostic))
        return;
    put(w, "      ");
    size_t column = 6;
    if (r->diagnostic_is_reply && r->remote_mta.len > 0) {
        put_clean(w, r->remote_mta, DOMAIN_MAX);
        put(w, " answered:\r\n      ");
    }
    put_wrapped(w, r->diagnostic, DSN_DIAGNOSTIC_MAX, column, "      ");
    put(w, "\r\n");
}

static void put_text_group(struct writer *w, enum dsn_action action, size_t *left)
{
    const struct dsn *d = w->dsn;
    if (!any(d, action))
        return;
    const char *said = d->is_to_postmaster ? "A message without a sender could not be delivered to"
                                           : said_of_action[action];
    (void)buffer_printf(w->out, "\r\n%s:\r\n\r\n", said);
    for (size_t i = 0; i < d->recipient_count; i++) {
        if (d->recipients[i].action != action)
            continue;
        if (*left == 0) {
            put(w, "  and more, which the report that follows names.\r\n");
            return;
        }
        (*left)--;
        put_text_recipient(w, &d->recipients[i]);
    }
}

static void put_text(struct writer *w)
{
    char original[ID_TEXT_LEN + 1];
    size_t left = DSN_TEXT_RECIPIENTS_MAX;
    id_format(w->dsn->original_id, original);
    put_own_part(w, "text/plain; charset=us-ascii", "text/plain; charset=utf-8", "Notification");
    put(w, "This report comes from the mail server at\r\n  ");
    put_clean(w, w->dsn->reporting_mta, DOMAIN_MAX);
    (void)buffer_printf(w->out, "\r\nwhere %s message has the id %s.\r\n",
                        w->dsn->is_to_postmaster ? "the" : "your", original);
    put_text_group(w, DSN_FAILED, &left);
    put_text_group(w, DSN_DELAYED, &left);
    put_text_group(w, DSN_DELIVERED, &left);
    put_text_group(w, DSN_RELAYED, &left);
    put_text_group(w, DSN_EXPANDED, &left);
}

static const char *const action_names[] = {
    [DSN_FAILED] = "failed",   [DSN_DELAYED] = "delayed",   [DSN_DELIVERED] = "delivered",
    [DSN_RELAYED] = "relayed", [DSN_EXPANDED] = "expanded",
};

/* "Name: type; value" of a peer's value, unless that is empty. */
static void put_typed(struct writer *w, const char *start, struct span value, size_t max)
{
    value = span_sub(value, 0, max);
    if (is_all_blank(value))
        return;
    put(w, start);
    put_clean(w, value, max);
    put(w, "\r\n");
}

/* "rfc822;a@b": the type is required, and a word (RFC 3464 2.1.1). */
static bool is_typed(struct span value)
{
    size_t len = span_find_byte(value, ';', 0);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = byte_lower(value.data[i]);
        if ((byte < 'a' || byte > 'z') && (byte < '0' || byte > '9') && byte != '-')
            return false;
    }
    return len > 0 && len < value.len;
}

static void put_diagnostic(struct writer *w, const struct dsn_recipient *r)
{
    const char *start =
        r->diagnostic_is_reply ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: X-Postrider; ";
    if (is_all_blank(r->diagnostic))
        return;
    put(w, start);
    put_wrapped(w, r->diagnostic, DSN_DIAGNOSTIC_MAX, span_text(start).len, " ");
    put(w, "\r\n");
}

/* RFC 3464 2.3: one group of fields for each recipient. */
static void put_recipient(struct writer *w, const struct dsn_recipient *r)
{
    char status[STATUS_TEXT_MAX + 1];
    status_format(r->status, status);
    put(w, "\r\n");
    if (is_typed(r->original))
        put_typed(w, "Original-Recipient: ", r->original, ORIGINAL_MAX);
    put(w, is_ascii(r->address) || !w->dsn->is_international ? "Final-Recipient: rfc822; "
                                                             : "Final-Recipient: utf-8; ");
    put_clean(w, r->address, ADDRESS_MAX);
    (void)buffer_printf(w->out, "\r\nAction: %s\r\nStatus: %s\r\n", action_names[r->action],
                        status);
    put_typed(w, "Remote-MTA: dns; ", r->remote_mta, DOMAIN_MAX);
    put_diagnostic(w, r);
    if (r->last_attempt_ms != 0)
        put_date_field(w, "Last-Attempt-Date", r->last_attempt_ms);
    if (r->action == DSN_DELAYED && r->will_retry_until_ms != 0)
        put_date_field(w, "Will-Retry-Until", r->will_retry_until_ms);
}

static void put_report(struct writer *w)
{
    const struct dsn *d = w->dsn;
    put_own_part(w, "message/delivery-status", "message/global-delivery-status", "Delivery report");
    put_typed(w, "Original-Envelope-Id: ", d->envelope_id, ENVELOPE_MAX);
    put(w, "Reporting-MTA: dns; ");
    put_clean(w, d->reporting_mta, DOMAIN_MAX);
    put(w, "\r\n");
    put_date_field(w, "Arrival-Date", d->arrival_ms);
    for (size_t i = 0; i < d->recipient_count; i++)
        put_recipient(w, &d->recipients[i]);
}

/* The first fields of the original, whole ones, at most DSN_HEADER_MAX bytes. */
static struct span original_fields(struct span original)
{
    struct header h = header_over(original);
    struct header_field field;
    size_t len = 0;
    while (header_next(&h, &field) && field.whole.len <= DSN_HEADER_MAX - len)
        len += field.whole.len;
    return span_sub(original, 0, len);
}

/* Lines of a length that SMTP carries, ended by CRLF, without our boundary, whose bytes are of
 * ASCII, or more where `is_8bit`. */
static bool is_plain(struct span s, const char *id, bool is_8bit)
{
    size_t line = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t byte = s.data[i];
        if (byte == '\r' && i + 1 < s.len && s.data[i + 1] == '\n') {
            i++;
            line = 0;
        } else if ((byte < 32 && byte != '\t') || byte == 127 || (byte > 127 && !is_8bit) ||
                   ++line > LINE_MAX_SMTP) {
            return false;
        }
    }
    return span_find(s, span_text(id), 0) == s.len;
}

/* Quoted-printable (RFC 2045 6.7). It has no "=_", which the boundary begins with. */
static void put_quoted_printable(struct writer *w, struct span s)
{
    size_t column = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t byte = s.data[i];
        bool line_ends = span_starts_with(span_skip(s, i + 1), SPAN("\r\n")) || i + 1 == s.len;
        if (byte == '\r' && i + 1 < s.len && s.data[i + 1] == '\n') {
            put(w, "\r\n");
            column = 0;
            i++;
            continue;
        }
        bool plain = byte >= 32 && byte <= 126 && byte != '=' && !(byte == ' ' && line_ends);
        size_t width = plain ? 1 : 3;
        if (column + width > LINE_WISH - 1) {
            put(w, "=\r\n");
            column = 0;
        }
        if (plain)
            (void)buffer_put_u8(w->out, byte);
        else
            (void)buffer_printf(w->out, "=%02X", byte);
        column += width;
    }
}

/* A message with raw 8-bit bytes in its header cannot be made 7-bit (mail/downgrade): as a part of
   it the report could not be delivered to a server without 8BITMIME. */
static bool returns_all(const struct dsn *d, const char *id)
{
    bool is_safe = d->is_international || is_ascii(original_fields(d->original));
    return d->returns_all && is_safe && is_plain(d->original, id, true);
}

static void put_end_of_line(struct writer *w, struct span s)
{
    if (s.len > 0 && !span_ends_with_nocase(s, SPAN("\r\n")))
        put(w, "\r\n");
}

static void put_all(struct writer *w)
{
    const struct dsn *d = w->dsn;
    put_part(w, d->is_international ? "message/global" : "message/rfc822", "The message");
    (void)buffer_printf(w->out, "Content-Transfer-Encoding: %s\r\n\r\n",
                        is_ascii(d->original) ? "7bit" : "8bit");
    (void)buffer_put(w->out, d->original);
    put_end_of_line(w, d->original);
}

/* RFC 6533 3: as it is, where it is in UTF-8. */
static bool put_global_header(struct writer *w, struct span fields)
{
    if (!w->dsn->is_international || !utf8_valid(fields) || !is_plain(fields, w->id, true))
        return false;
    put_part(w, "message/global-headers", "Header of the message");
    put(w, "Content-Transfer-Encoding: 8bit\r\n\r\n");
    (void)buffer_put(w->out, fields);
    put_end_of_line(w, fields);
    return true;
}

/* RFC 6522 4: the header alone, unless all of it was asked for or is small. */
static void put_original(struct writer *w)
{
    struct span fields = original_fields(w->dsn->original);
    bool plain = is_plain(fields, w->id, false);
    if (returns_all(w->dsn, w->id)) {
        put_all(w);
        return;
    }
    if (put_global_header(w, fields))
        return;
    put_part(w, "text/rfc822-headers", "Header of the message");
    put(w, plain ? "Content-Transfer-Encoding: 7bit\r\n\r\n"
                 : "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
    if (plain)
        (void)buffer_put(w->out, fields);
    else
        put_quoted_printable(w, fields);
    put_end_of_line(w, fields);
}

bool dsn_is_8bit(const struct dsn *d)
{
    char id[ID_TEXT_LEN + 1];
    id_format(d->id, id);
    return d->is_international || (!is_ascii(d->original) && returns_all(d, id));
}

bool dsn_format(struct buffer *out, const struct dsn *d)
{
    struct writer w = {.out = out, .dsn = d};
    check(d->recipient_count > 0);
    id_format(d->id, w.id);
    put_header(&w);
    put_text(&w);
    put_report(&w);
    put_original(&w);
    (void)buffer_printf(out, "\r\n--=_%s--\r\n", w.id);
    return !out->full;
}
