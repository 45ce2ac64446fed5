/*
 * header: see header.h.
 */
#include "mail/header.h"

#include <string.h>

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static bool is_name_byte(uint8_t byte)
{
    return byte > 32 && byte < 127 && byte != ':';
}

struct header header_over(struct span message)
{
    return (struct header){.rest = message};
}

/* Length of the line at `from`, its CRLF included; without CRLF the line is all that follows. */
static size_t line_length(struct span s, size_t from)
{
    size_t end = span_find(s, SPAN("\r\n"), from);
    return (end == s.len ? s.len : end + 2) - from;
}

/* The name of a field whose first line this is; empty when it is none. */
static struct span field_name(struct span line, size_t colon)
{
    struct span name = span_sub(line, 0, colon);
    while (name.len > 0 && is_blank(name.data[name.len - 1]))
        name.len--;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_byte(name.data[i]))
            return (struct span){NULL, 0};
    }
    return name;
}

static struct span without_crlf(struct span s)
{
    if (s.len >= 2 && s.data[s.len - 2] == '\r' && s.data[s.len - 1] == '\n')
        s.len -= 2;
    return s;
}

static bool end(struct header *h, bool malformed)
{
    h->ended = true;
    h->malformed = malformed;
    return false;
}

bool header_next(struct header *h, struct header_field *field_out)
{
    if (h->ended || h->rest.len == 0)
        return end(h, h->malformed);
    if (span_starts_with(h->rest, SPAN("\r\n"))) {
        h->rest = span_skip(h->rest, 2);
        return end(h, false);
    }
    size_t len = line_length(h->rest, 0);
    struct span line = span_sub(h->rest, 0, len);
    size_t colon = span_find_byte(line, ':', 0);
    struct span name = field_name(line, colon);
    if (colon == line.len || name.len == 0)
        return end(h, true);
    while (len < h->rest.len && is_blank(h->rest.data[len]) && h->rest.data[len - 1] == '\n')
        len += line_length(h->rest, len);
    field_out->name = name;
    field_out->whole = span_sub(h->rest, 0, len);
    field_out->value = without_crlf(span_skip(field_out->whole, colon + 1));
    h->rest = span_skip(h->rest, len);
    return true;
}

bool header_find(struct span message, struct span name, struct header_field *field_out)
{
    struct header h = header_over(message);
    struct header_field field;
    while (header_next(&h, &field)) {
        if (span_equal_nocase(field.name, name)) {
            *field_out = field;
            return true;
        }
    }
    return false;
}

size_t header_count(struct span message, struct span name)
{
    struct header h = header_over(message);
    struct header_field field;
    size_t count = 0;
    while (header_next(&h, &field))
        count += span_equal_nocase(field.name, name) ? 1 : 0;
    return count;
}

bool header_unfold(struct buffer *out, struct span value)
{
    size_t before = out->len;
    bool done = true;
    value = span_trim(value);
    for (size_t at = 0; done && at < value.len;) {
        size_t fold = span_find(value, SPAN("\r\n"), at);
        done = buffer_put(out, span_sub(value, at, fold - at));
        at = fold + 2;
    }
    if (!done)
        out->len = before;
    /* A fold at either end leaves blanks there. */
    struct span put = span_trim(span_skip(buffer_span(out), before));
    size_t start = put.len == 0 ? before : (size_t)(put.data - out->data);
    if (start > before)
        memmove(out->data + before, put.data, put.len);
    out->len = before + put.len;
    return done;
}

enum scan_state {
    LINE_START, /* at the first byte of a line */
    FIRST_CR,   /* a CR there: an empty line if LF follows */
    NAME,
    AFTER_NAME, /* blanks before the colon */
    VALUE,
    VALUE_CR,
};

static const char received_name[] = "received";

void header_scan_init(struct header_scan *s)
{
    *s = (struct header_scan){.state = LINE_START};
}

static void scan_line_start(struct header_scan *s, uint8_t byte)
{
    s->name_len = 0;
    s->name_matches = true;
    if (byte == '\r')
        s->state = FIRST_CR;
    else if (is_blank(byte) && s->seen_field)
        s->state = VALUE;
    else
        s->state = NAME;
}

static void scan_name(struct header_scan *s, uint8_t byte)
{
    if (byte == ':' && s->name_len > 0) {
        s->seen_field = true;
        s->received += s->name_matches && s->name_len == sizeof received_name - 1 ? 1 : 0;
        s->state = VALUE;
    } else if (is_blank(byte) && s->name_len > 0) {
        s->state = AFTER_NAME;
    } else if (is_name_byte(byte) && s->state == NAME) {
        if (s->name_len >= sizeof received_name - 1)
            s->name_matches = false;
        else if (byte_lower(byte) != (uint8_t)received_name[s->name_len++])
            s->name_matches = false;
    } else {
        s->ended = true; /* no field: the body begins without an empty line */
    }
}

static void scan_byte(struct header_scan *s, uint8_t byte)
{
    switch ((enum scan_state)s->state) {
    case LINE_START:
        scan_line_start(s, byte);
        if (s->state == NAME)
            scan_name(s, byte);
        return;
    case FIRST_CR:
        s->ended = true; /* the empty line, or a line that is no field */
        return;
    case NAME:
    case AFTER_NAME:
        scan_name(s, byte);
        return;
    case VALUE:
        if (byte == '\r')
            s->state = VALUE_CR;
        return;
    case VALUE_CR:
        if (byte == '\n')
            s->state = LINE_START;
        else if (byte != '\r')
            s->state = VALUE;
        return;
    }
}

void header_scan_feed(struct header_scan *s, struct span piece)
{
    for (size_t i = 0; i < piece.len && !s->ended; i++) {
        if (s->state == VALUE) {
            i = span_find_byte(piece, '\r', i);
            if (i == piece.len)
                return;
        }
        scan_byte(s, piece.data[i]);
    }
}
