#include "mail/compose.h"

#include <string.h>

#include "mail/date.h"
#include "mail/header.h"

/* Lines ---------------------------------------------------------------------------------------- */

/* The next line without its end; *rest is what follows. */
static struct span next_line(struct span *rest)
{
    size_t end = 0;
    while (end < rest->len && rest->data[end] != '\n' && rest->data[end] != '\r')
        end++;
    struct span line = span_sub(*rest, 0, end);
    bool is_crlf = end + 1 < rest->len && rest->data[end] == '\r' && rest->data[end + 1] == '\n';
    *rest = span_skip(*rest, end + (is_crlf ? 2 : 1));
    return line;
}

static bool put_line(struct buffer *out, struct span line)
{
    while (line.len > 0) {
        size_t end = span_find_byte(line, 0, 0);
        if (!buffer_put(out, span_sub(line, 0, end)))
            return false;
        line = span_skip(line, end + 1);
    }
    return buffer_put(out, SPAN("\r\n"));
}

/* All lines with CRLF, up to a lone dot if that ends it. */
static bool normalise(struct span input, bool dot_ends, struct buffer *out)
{
    bool ok = true;
    if (span_starts_with(input, SPAN("From ")) || span_starts_with(input, SPAN(">From ")))
        (void)next_line(&input);
    while (ok && input.len > 0) {
        struct span line = next_line(&input);
        if (dot_ends && span_equal(line, SPAN(".")))
            break;
        ok = put_line(out, line);
    }
    return ok;
}

/* Addresses ------------------------------------------------------------------------------------ */

struct list_reader {
    struct span text;
    size_t at;
    struct buffer word; /* what stands outside of names and comments */
    bool in_angle, had_angle, in_literal;
};

/* Behind a quoted string or a comment that begins here. */
static size_t skip_to(struct span text, size_t at, uint8_t open, uint8_t close)
{
    uint32_t depth = 0;
    for (; at < text.len; at++) {
        uint8_t byte = text.data[at];
        if (byte == '\\')
            at++;
        else if (byte == close && (open != close || depth > 0))
            depth--;
        else if (byte == open)
            depth++;
        if (depth == 0)
            return at + 1 < text.len ? at + 1 : text.len;
    }
    return text.len;
}

static enum fault end_address(struct list_reader *r, struct span hostname, struct arena *arena,
                              struct span **list, uint32_t *count)
{
    struct span word = span_trim(buffer_span(&r->word));
    struct span address = {0};
    bool is_empty = word.len == 0;
    if (!is_empty) {
        bool has_domain = false;
        for (size_t i = 0; i < word.len; i++)
            has_domain = has_domain || word.data[i] == '@';
        address = has_domain
                      ? arena_copy(arena, word)
                      : arena_printf(arena, "%.*s@%.*s", SPAN_PRINT(word), SPAN_PRINT(hostname));
        if (address.data == NULL)
            return FAULT_NO_MEMORY;
    }
    buffer_reset(&r->word);
    r->in_angle = r->had_angle = r->in_literal = false;
    if (is_empty)
        return FAULT_NONE;
    if (*count == COMPOSE_RECIPIENTS_MAX)
        return FAULT_LIMIT;
    if (*list == NULL)
        *list = arena_alloc(arena, COMPOSE_RECIPIENTS_MAX * sizeof **list);
    if (*list == NULL)
        return FAULT_NO_MEMORY;
    (*list)[(*count)++] = address;
    return FAULT_NONE;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* One thing of the list. False: no memory. */
static bool read_thing(struct list_reader *r, bool *ends_out)
{
    uint8_t byte = r->text.data[r->at];
    size_t from = r->at++;
    *ends_out = false;
    if (byte == '(') {
        r->at = skip_to(r->text, from, '(', ')');
    } else if (byte == '"') {
        r->at = skip_to(r->text, from, '"', '"');
        return r->had_angle && !r->in_angle
                   ? true
                   : buffer_put(&r->word, span_sub(r->text, from, r->at - from));
    } else if (byte == '<') {
        buffer_reset(&r->word); /* what came before was a name */
        r->in_angle = r->had_angle = true;
    } else if (byte == '>') {
        r->in_angle = false;
    } else if (!r->in_angle && (byte == ',' || byte == ';')) {
        *ends_out = true;
    } else if (!r->in_angle && !r->in_literal && byte == ':') {
        buffer_reset(&r->word); /* of a group */
    } else if (!is_blank(byte) && (r->in_angle || !r->had_angle)) {
        r->in_literal = byte == '[' || (r->in_literal && byte != ']');
        return buffer_put_u8(&r->word, byte);
    }
    return true;
}

enum fault compose_addresses(struct span value, struct span hostname, struct arena *arena,
                             struct span **list, uint32_t *count)
{
    struct list_reader r = {.text = value};
    enum fault fault = FAULT_NONE;
    buffer_init(&r.word, value.len + 1);
    while (fault == FAULT_NONE && r.at < value.len) {
        bool ends;
        if (!read_thing(&r, &ends))
            fault = FAULT_NO_MEMORY;
        else if (ends)
            fault = end_address(&r, hostname, arena, list, count);
    }
    if (fault == FAULT_NONE)
        fault = end_address(&r, hostname, arena, list, count);
    buffer_fini(&r.word);
    return fault;
}

/* The header ------------------------------------------------------------------------------------
 */

static bool is_one_of(struct span name, const struct span *names, size_t count)
{
    bool is_one = false;
    for (size_t i = 0; i < count; i++)
        is_one = is_one || span_equal_nocase(name, names[i]);
    return is_one;
}

static bool is_dropped(struct span name)
{
    static const struct span names[] = {SPAN("Bcc"), SPAN("Resent-Bcc"), SPAN("Return-Path"),
                                        SPAN("Content-Length")};
    return is_one_of(name, names, sizeof names / sizeof names[0]);
}

static enum fault take_recipients(struct span message, const struct compose_options *o,
                                  struct arena *arena, struct span **list, uint32_t *count)
{
    static const struct span plain[] = {SPAN("To"), SPAN("Cc"), SPAN("Bcc")};
    static const struct span resent[] = {SPAN("Resent-To"), SPAN("Resent-Cc"), SPAN("Resent-Bcc")};
    struct header_field field;
    bool is_resent = false;
    enum fault fault = FAULT_NONE;
    for (struct header h = header_over(message); header_next(&h, &field);)
        is_resent = is_resent || is_one_of(field.name, resent, 3);
    struct header h = header_over(message);
    while (fault == FAULT_NONE && header_next(&h, &field))
        if (is_one_of(field.name, is_resent ? resent : plain, 3))
            fault = compose_addresses(field.value, o->hostname, arena, list, count);
    return fault;
}

/* A name as a quoted string (RFC 5322 3.2.4). */
static bool put_name(struct buffer *out, struct span name)
{
    bool ok = buffer_put_u8(out, '"');
    for (size_t i = 0; ok && i < name.len; i++) {
        uint8_t byte = name.data[i];
        if (byte == '"' || byte == '\\')
            ok = buffer_put_u8(out, '\\');
        if (ok && byte >= 32 && byte != 127)
            ok = buffer_put_u8(out, byte);
    }
    return ok && buffer_put_text(out, "\" ");
}

static bool put_missing(struct span message, const struct compose_options *o, struct buffer *out)
{
    struct header_field field;
    char date[DATE_LEN + 1], id[ID_TEXT_LEN + 1];
    bool ok = true;
    if (!header_find(message, SPAN("From"), &field))
        ok = buffer_put_text(out, "From: ") && (o->name.len == 0 || put_name(out, o->name)) &&
             buffer_printf(out, "<%.*s>\r\n", SPAN_PRINT(o->from));
    if (ok && !header_find(message, SPAN("Date"), &field)) {
        date_format(o->wall_ms, date);
        ok = buffer_printf(out, "Date: %s\r\n", date);
    }
    if (ok && !header_find(message, SPAN("Message-ID"), &field)) {
        id_format(o->id, id);
        ok = buffer_printf(out, "Message-ID: <%s@%.*s>\r\n", id, SPAN_PRINT(o->hostname));
    }
    return ok;
}

/* The fields that stay; *rest_out is the body. What is no field begins the body. */
static bool put_fields(struct span message, struct buffer *out, struct span *rest_out)
{
    struct header h = header_over(message);
    struct header_field field;
    bool ok = true;
    while (ok && header_next(&h, &field)) {
        if (!is_dropped(field.name))
            ok = buffer_put(out, field.whole);
    }
    *rest_out = h.rest;
    return ok;
}

enum fault compose(struct span input, const struct compose_options *o, struct arena *arena,
                   struct buffer *out, struct span **recipients_out, uint32_t *recipient_count_out)
{
    struct buffer lines;
    struct span message, body;
    enum fault fault = FAULT_NONE;
    *recipients_out = NULL;
    *recipient_count_out = 0;
    buffer_init(&lines, input.len * 2 + 2);
    bool ok = normalise(input, o->dot_ends, &lines);
    message = buffer_span(&lines);
    if (ok && o->takes_recipients)
        fault = take_recipients(message, o, arena, recipients_out, recipient_count_out);
    ok = ok && put_missing(message, o, out) && put_fields(message, out, &body) &&
         buffer_put(out, SPAN("\r\n")) && buffer_put(out, body);
    buffer_fini(&lines);
    return fault == FAULT_NONE && !ok ? FAULT_NO_MEMORY : fault;
}
