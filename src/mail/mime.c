/*
 * mime: see mime.h.
 */
#include "mail/mime.h"

#include <string.h>

static void begin_entity(struct mime *m, uint32_t number, bool is_digest, bool is_sealed)
{
    m->entity = (struct mime_entity){.number = number, .is_sealed = is_sealed};
    m->is_digest = is_digest;
    m->is_ambiguous = m->has_encoding = m->is_field_long = m->has_parameters = false;
    m->next.boundary_len = 0;
    m->field_len = 0;
    m->place = MIME_HEADER;
}

void mime_init(struct mime *m)
{
    m->depth = m->nesting = 0;
    begin_entity(m, 0, false, false);
}

/* Fields -------------------------------------------------------------------------------------- */

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* Blanks, folds and comments (RFC 5322 3.2.2). False: a comment that does not end. */
static bool skip_blanks(struct span *s)
{
    int depth = 0;
    while (s->len > 0 && (depth > 0 || is_space(s->data[0]) || s->data[0] == '(')) {
        uint8_t byte = s->data[0];
        if (byte == '\\' && s->len > 1)
            *s = span_skip(*s, 1);
        depth += byte == '(' ? 1 : byte == ')' && depth > 0 ? -1 : 0;
        *s = span_skip(*s, 1);
    }
    return depth == 0;
}

/* RFC 2045 5.1: no blanks, controls or tspecials. Empty: there is none. */
static struct span take_token(struct span *s)
{
    static const char specials[] = "()<>@,;:\\\"/[]?=";
    size_t len = 0;
    while (len < s->len && s->data[len] > ' ' && s->data[len] < 127 &&
           memchr(specials, s->data[len], sizeof specials - 1) == NULL)
        len++;
    struct span token = span_sub(*s, 0, len);
    *s = span_skip(*s, len);
    return token;
}

static bool take_byte(struct span *s, uint8_t byte)
{
    if (!skip_blanks(s) || s->len == 0 || s->data[0] != byte)
        return false;
    *s = span_skip(*s, 1);
    return skip_blanks(s);
}

/* A token or a quoted string, into `value`; false: neither, or too long. */
static bool take_value(struct span *s, uint8_t *value, size_t max, size_t *len_out)
{
    *len_out = 0;
    if (s->len == 0 || s->data[0] != '"') {
        struct span token = take_token(s);
        *len_out = token.len;
        if (token.len == 0 || token.len > max)
            return false;
        memcpy(value, token.data, token.len);
        return true;
    }
    *s = span_skip(*s, 1);
    while (s->len > 0 && s->data[0] != '"') {
        if (s->data[0] == '\\' && s->len > 1)
            *s = span_skip(*s, 1);
        if (*len_out == max)
            return false;
        if (s->data[0] != '\r' && s->data[0] != '\n')
            value[(*len_out)++] = s->data[0];
        *s = span_skip(*s, 1);
    }
    bool is_closed = s->len > 0;
    *s = span_skip(*s, 1);
    return is_closed;
}

/* ";" attribute "=" value …; only the boundary matters. False: it cannot be read, or is there
   twice. */
static bool read_parameters(struct mime *m, struct span rest)
{
    uint8_t value[MIME_FIELD_MAX];
    while (take_byte(&rest, ';')) {
        if (rest.len == 0)
            return true; /* a last semicolon is common */
        size_t len;
        struct span name = take_token(&rest);
        if (name.len == 0 || !take_byte(&rest, '=') ||
            !take_value(&rest, value, sizeof value, &len))
            return false;
        if (span_starts_with_nocase(name, SPAN("boundary*")))
            return false; /* RFC 2231: nobody writes it, few read it */
        if (!span_equal_nocase(name, SPAN("boundary")))
            continue;
        if (m->next.boundary_len > 0 || len == 0 || len > MIME_BOUNDARY_MAX ||
            value[len - 1] == ' ')
            return false;
        memcpy(m->next.boundary, value, len);
        m->next.boundary_len = (uint8_t)len;
    }
    return rest.len == 0;
}

static void read_type(struct mime *m, struct span value)
{
    struct mime_entity *e = &m->entity;
    bool is_second = e->has_type;
    e->has_type = true;
    bool ok = skip_blanks(&value);
    struct span type = take_token(&value);
    ok = ok && type.len > 0 && take_byte(&value, '/');
    struct span subtype = take_token(&value);
    ok = ok && subtype.len > 0 && skip_blanks(&value) && read_parameters(m, value);
    if (!ok || is_second) {
        m->is_ambiguous = true;
        return;
    }
    e->kind = MIME_LEAF;
    m->next.is_digest = span_equal_nocase(subtype, SPAN("digest"));
    m->next.is_sealed =
        span_equal_nocase(subtype, SPAN("signed")) || span_equal_nocase(subtype, SPAN("encrypted"));
    if (span_equal_nocase(type, SPAN("multipart")))
        e->kind = MIME_MULTIPART;
    else if (span_equal_nocase(type, SPAN("message")))
        e->kind = span_equal_nocase(subtype, SPAN("rfc822")) ? MIME_MESSAGE : MIME_OPAQUE;
}

static void read_encoding(struct mime *m, struct span value)
{
    static const struct {
        const char *name;
        enum mime_encoding encoding;
    } rows[] = {{"7bit", MIME_7BIT},
                {"8bit", MIME_8BIT},
                {"binary", MIME_BINARY},
                {"quoted-printable", MIME_QUOTED_PRINTABLE},
                {"base64", MIME_BASE64}};
    bool ok = skip_blanks(&value);
    struct span name = take_token(&value);
    ok = ok && skip_blanks(&value) && value.len == 0 && name.len > 0;
    m->is_ambiguous = m->is_ambiguous || !ok || m->has_encoding;
    m->has_encoding = true;
    m->entity.encoding = MIME_OTHER;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (span_equal_nocase(name, span_text(rows[i].name)))
            m->entity.encoding = rows[i].encoding;
}

static void end_field(struct mime *m)
{
    struct span name, field = span_of(m->field, m->field_len);
    if (m->field_len == 0)
        return;
    struct span value = span_split(field, ':', &name);
    bool is_field = name.len > 0 && name.len < field.len;
    name = span_trim(name);
    for (size_t i = 0; i < name.len; i++)
        is_field = is_field && name.data[i] > ' ' && name.data[i] != 127;
    bool is_ours = span_starts_with_nocase(name, SPAN("content-"));
    m->is_ambiguous = m->is_ambiguous || !is_field || (is_ours && m->is_field_long);
    if (span_equal_nocase(name, SPAN("content-type")))
        read_type(m, value);
    else if (span_equal_nocase(name, SPAN("content-transfer-encoding")))
        read_encoding(m, value);
    else if (span_equal_nocase(name, SPAN("mime-version")))
        m->entity.has_version = true;
    m->field_len = 0;
    m->is_field_long = false;
}

static void add_to_field(struct mime *m, struct span piece)
{
    size_t room = sizeof m->field - m->field_len;
    size_t len = piece.len < room ? piece.len : room;
    m->is_field_long = m->is_field_long || len < piece.len;
    memcpy(m->field + m->field_len, piece.data, len);
    m->field_len += (uint32_t)len;
}

/* Structure ----------------------------------------------------------------------------------- */

static bool is_identity(enum mime_encoding e)
{
    return e == MIME_7BIT || e == MIME_8BIT || e == MIME_BINARY;
}

static bool may_contain(const struct mime *m)
{
    const struct mime_entity *e = &m->entity;
    if (m->is_ambiguous || !is_identity(e->encoding) || m->nesting + m->depth >= MIME_DEPTH_MAX)
        return false;
    return e->kind != MIME_MULTIPART || m->next.boundary_len > 0;
}

/* The header is over: what follows? */
static void end_header(struct mime *m)
{
    struct mime_entity *e = &m->entity;
    end_field(m);
    if (!e->has_type && m->is_digest)
        e->kind = MIME_MESSAGE;
    bool is_container = e->kind == MIME_MULTIPART || e->kind == MIME_MESSAGE;
    if (m->is_ambiguous || (is_container && !may_contain(m)))
        e->kind = MIME_OPAQUE;
    m->ended = *e;
    m->place = MIME_BODY;
    if (e->kind == MIME_MULTIPART) {
        m->next.is_sealed = m->next.is_sealed || e->is_sealed;
        m->levels[m->depth++] = m->next;
        m->place = MIME_OUTSIDE;
    } else if (e->kind == MIME_MESSAGE) {
        m->nesting++;
        begin_entity(m, e->number + 1, false, e->is_sealed);
    }
}

/* "--boundary", with "--" for the last one, and blanks (RFC 2046 5.1.1). */
static bool is_boundary(const struct mime_level *level, struct span line, bool *is_last_out)
{
    struct span boundary = span_of(level->boundary, level->boundary_len);
    struct span rest = span_skip(line, 2);
    if (!span_starts_with(line, SPAN("--")) || !span_starts_with(rest, boundary))
        return false;
    rest = span_skip(rest, boundary.len);
    *is_last_out = span_starts_with(rest, SPAN("--"));
    if (*is_last_out)
        rest = span_skip(rest, 2);
    for (size_t i = 0; i < rest.len; i++)
        if (!is_space(rest.data[i]))
            return false;
    return true;
}

/* That of an outer multipart ends the inner ones. */
static bool take_boundary(struct mime *m, struct span line)
{
    for (uint32_t level = m->depth; level > 0; level--) {
        const struct mime_level *l = &m->levels[level - 1];
        bool is_last;
        if (!is_boundary(l, line, &is_last))
            continue;
        m->nesting = 0; /* counted anew: what is open below is bounded by the levels */
        m->depth = is_last ? level - 1 : level;
        if (is_last)
            m->place = MIME_OUTSIDE;
        else
            begin_entity(m, m->entity.number + 1, l->is_digest, l->is_sealed);
        return true;
    }
    return false;
}

static bool is_whole(struct span piece)
{
    return piece.len > 0 && piece.data[piece.len - 1] == '\n';
}

enum mime_place mime_line(struct mime *m, struct span piece, bool is_begin)
{
    bool is_empty = span_equal(piece, SPAN("\r\n")) || span_equal(piece, SPAN("\n"));
    if (is_begin && is_whole(piece) && piece.len > 2 && take_boundary(m, piece))
        return MIME_BOUNDARY;
    if (m->place != MIME_HEADER)
        return m->place;
    if (is_begin && is_empty) {
        end_header(m);
        return MIME_HEADER_END;
    }
    if (is_begin && piece.len > 0 && piece.data[0] != ' ' && piece.data[0] != '\t')
        end_field(m);
    add_to_field(m, piece);
    return MIME_HEADER;
}
