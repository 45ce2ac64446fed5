/*
 * dsn_check: reads a notification back and aborts unless it is what RFC 3464 and 6522 want,
 * whatever was put into it: for the unit test and the fuzz target of mail/dsn.
 */
#ifndef FUZZ_DSN_CHECK_H
#define FUZZ_DSN_CHECK_H

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "mail/dsn.h"

enum { DSN_LINE_MAX = 998 };

struct dsn_parts {
    struct span header, part_header[3], body[3];
};

/* A line without its CRLF, off the front. Beyond ASCII only where the message says 8bit, which its
   reader looks at before (dsn_check). */
static inline struct span dsn_take_line(struct span *rest)
{
    size_t end = span_find(*rest, SPAN("\r\n"), 0);
    check(end < rest->len && end <= DSN_LINE_MAX);
    struct span line = span_sub(*rest, 0, end);
    *rest = span_skip(*rest, end + 2);
    for (size_t i = 0; i < line.len; i++)
        check((line.data[i] >= 32 && line.data[i] != 127) || line.data[i] == '\t');
    return line;
}

static inline bool dsn_is_blank(struct span line)
{
    return span_trim(line).len == 0;
}

/* Up to the empty line, which is taken too. */
static inline struct span dsn_take_header(struct span *rest)
{
    struct span whole = *rest;
    for (;;) {
        struct span line = dsn_take_line(rest);
        if (line.len == 0)
            break;
        check(!dsn_is_blank(line));
    }
    return span_sub(whole, 0, whole.len - rest->len - 2);
}

/* Up to the delimiter, which is taken too and must be the one expected; its CRLF belongs to it. */
static inline struct span dsn_take_body(struct span *rest, const char *id, bool is_last)
{
    char delimiter[64];
    struct span whole = *rest;
    int len = snprintf(delimiter, sizeof delimiter, "--=_%s", id);
    for (;;) {
        size_t left = rest->len;
        struct span line = dsn_take_line(rest);
        if (!span_starts_with(line, span_of(delimiter, (size_t)len)))
            continue;
        check(span_equal(span_skip(line, (size_t)len), is_last ? SPAN("--") : SPAN("")));
        size_t body = whole.len - left;
        return span_sub(whole, 0, body >= 2 ? body - 2 : 0);
    }
}

static inline struct dsn_parts dsn_split(struct span out, const char *id)
{
    struct dsn_parts p;
    struct span rest = out;
    p.header = dsn_take_header(&rest);
    (void)dsn_take_body(&rest, id, false);
    for (int i = 0; i < 3; i++) {
        p.part_header[i] = dsn_take_header(&rest);
        p.body[i] = dsn_take_body(&rest, id, i == 2);
    }
    check(rest.len == 0);
    return p;
}

static inline bool dsn_has(struct span header, const char *text)
{
    return span_find(header, span_text(text), 0) < header.len;
}

/* `fields`: the names in their order, "?" before those that may be missing. Values are not empty;
   what continues one is not blank. */
static inline void dsn_check_fields(struct span group, const char *const *fields, size_t count)
{
    size_t at = 0;
    bool was_field = false;
    while (group.len > 0) {
        struct span line = dsn_take_line(&group);
        check(!dsn_is_blank(line));
        if (line.data[0] == ' ' || line.data[0] == '\t') {
            check(was_field);
            continue;
        }
        struct span name;
        struct span value = span_split(line, ':', &name);
        check(name.len < line.len && !dsn_is_blank(value));
        was_field = true;
        while (at < count && !span_equal(name, span_text(fields[at] + (fields[at][0] == '?'))))
            check(fields[at++][0] == '?');
        check(at++ < count);
    }
    while (at < count)
        check(fields[at++][0] == '?');
}

static inline struct span dsn_take_group(struct span *rest)
{
    size_t end = span_find(*rest, SPAN("\r\n\r\n"), 0);
    struct span group = span_sub(*rest, 0, end == rest->len ? end : end + 2);
    *rest = span_skip(*rest, end == rest->len ? end : end + 4);
    return group;
}

/* The group of one recipient with a CRLF behind each field. */
static inline void dsn_check_report(struct span body, const struct dsn *d)
{
    static const char *const message[] = {"?Original-Envelope-Id", "Reporting-MTA", "Arrival-Date"};
    static const char *const recipient[] = {
        "?Original-Recipient", "Final-Recipient",    "Action",           "Status", "?Remote-MTA",
        "?Diagnostic-Code",    "?Last-Attempt-Date", "?Will-Retry-Until"};
    check(body.len > 2 && body.data[body.len - 1] == '\n');
    dsn_check_fields(dsn_take_group(&body), message, 3);
    for (size_t i = 0; i < d->recipient_count; i++)
        dsn_check_fields(dsn_take_group(&body), recipient, 8);
    check(body.len == 0);
}

/* What peers gave stands behind blanks: no line of it can be taken for ours. */
static inline void dsn_check_text(struct span body)
{
    while (body.len > 0) {
        struct span line = dsn_take_line(&body);
        check(line.len == 0 || line.data[0] == ' ' ||
              span_starts_with(line, SPAN("This report comes from ")) ||
              span_starts_with(line, SPAN("where your message ")) ||
              span_starts_with(line, SPAN("where the message ")) ||
              span_starts_with(line, SPAN("A message without a sender ")) ||
              span_starts_with(line, SPAN("Your message ")));
    }
}

static inline int dsn_hex(uint8_t byte)
{
    return byte >= 'A' ? byte - 'A' + 10 : byte - '0';
}

static inline size_t dsn_unquote(struct span s, uint8_t *to)
{
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] != '=') {
            to[len++] = s.data[i];
        } else {
            check(i + 2 < s.len);
            if (s.data[i + 1] != '\r')
                to[len++] = (uint8_t)(dsn_hex(s.data[i + 1]) * 16 + dsn_hex(s.data[i + 2]));
            i += 2;
        }
    }
    return len;
}

/* The start of the original, whole fields of it. */
static inline void dsn_check_original(const struct dsn_parts *p, const struct dsn *d)
{
    static uint8_t memory[4 * DSN_HEADER_MAX];
    struct span got = p->body[2];
    bool is_whole = dsn_has(p->part_header[2], "Content-Type: message/rfc822") ||
                    dsn_has(p->part_header[2], "Content-Type: message/global\r\n");
    check(!is_whole || d->returns_all);
    check(is_whole || dsn_has(p->part_header[2], "Content-Type: text/rfc822-headers") ||
          (d->is_international &&
           dsn_has(p->part_header[2], "Content-Type: message/global-headers")));
    if (dsn_has(p->part_header[2], "quoted-printable")) {
        check(got.len <= sizeof memory);
        got = span_of(memory, dsn_unquote(got, memory));
    }
    bool has_more = got.len >= 2 && !span_starts_with(d->original, got);
    if (has_more) /* the CRLF that its last line lacked, or the one of an empty part */
        got.len -= 2;
    check((is_whole || got.len <= DSN_HEADER_MAX) && span_starts_with(d->original, got));
    check(!is_whole || got.len == d->original.len);
    bool is_at_end = got.len == d->original.len || got.len == 0;
    check(is_at_end || got.data[got.len - 1] == '\n' || has_more);
}

static inline void dsn_check_ascii(struct span out)
{
    for (size_t i = 0; i < out.len; i++)
        check(out.data[i] < 127);
}

/* `out` is what dsn_format made of d. */
static inline struct dsn_parts dsn_check(struct span out, const struct dsn *d)
{
    static const char *const header[] = {
        "From",         "To",           "Subject",
        "Date",         "Message-ID",   "Auto-Submitted",
        "MIME-Version", "Content-Type", "Content-Transfer-Encoding"};
    char id[ID_TEXT_LEN + 1], boundary[64];
    id_format(d->id, id);
    struct dsn_parts p = dsn_split(out, id);
    snprintf(boundary, sizeof boundary, "boundary=\"=_%s\"", id);
    dsn_check_fields(p.header, header, 9);
    check(dsn_has(p.header, boundary));
    bool is_8bit = dsn_is_8bit(d), is_international = d->is_international;
    check(dsn_has(p.header, "Content-Transfer-Encoding: 8bit") == is_8bit);
    if (!is_8bit)
        dsn_check_ascii(out);
    check(dsn_has(p.header, is_international
                                ? "multipart/report; report-type=global-delivery-status;"
                                : "multipart/report; report-type=delivery-status;"));
    check(dsn_has(p.part_header[0], is_international
                                        ? "Content-Type: text/plain; charset=utf-8"
                                        : "Content-Type: text/plain; charset=us-ascii"));
    check(dsn_has(p.part_header[1], is_international
                                        ? "Content-Type: message/global-delivery-status"
                                        : "Content-Type: message/delivery-status"));
    dsn_check_text(p.body[0]);
    dsn_check_report(p.body[1], d);
    dsn_check_original(&p, d);
    return p;
}

#endif
