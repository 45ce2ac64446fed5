#include "spool/envelope.h"

#include "base/check.h"
#include "base/cursor.h"

/* Never reused, never renumbered. */
enum tag {
    TAG_ARRIVAL = 1,
    TAG_REVERSE_PATH = 2,
    TAG_CLIENT = 3,
    TAG_HELO = 4,
    TAG_PREFIX = 5,
    TAG_CONTENT_BYTES = 6,
    TAG_FLAGS = 7,
    TAG_RECIPIENT = 8,
    TAG_CONTENT = 9,
    TAG_ENVID = 10,
    TAG_ORIGINAL = 11, /* this and the next two: of the recipient before */
    TAG_ORCPT = 12,
    TAG_NOTIFY = 13
};

/* The fields of fixed length come first, so that they can be set later where they lie. */
enum {
    FIELD_U64_BYTES = ENVELOPE_FIELD_HEADER_BYTES + 8,
    AT_FLAGS = FIELD_U64_BYTES,
    AT_CONTENT_BYTES = 2 * FIELD_U64_BYTES
};

enum {
    FLAG_IN_FILE = 1,
    FLAG_8BITMIME = 2,
    FLAG_DOT_LINES = 4,
    FLAG_SMTPUTF8 = 8,
    FLAG_RETURN_FULL = 16,
    FLAG_RETURN_HEADERS = 32,
    FLAG_LAST_RESORT = 64
};

static bool put_header(struct buffer *out, enum tag tag, uint64_t len)
{
    return len <= UINT32_MAX && buffer_put_u16(out, (uint16_t)tag) && buffer_put_u16(out, 0) &&
           buffer_put_u32(out, (uint32_t)len);
}

static bool put_span(struct buffer *out, enum tag tag, struct span value)
{
    return put_header(out, tag, value.len) && buffer_put(out, value);
}

static bool put_u64(struct buffer *out, enum tag tag, uint64_t value)
{
    return put_header(out, tag, 8) && buffer_put_u64(out, value);
}

static uint64_t flags_of(const struct envelope *e)
{
    return (e->content_in_file ? FLAG_IN_FILE : 0u) | (e->body_8bitmime ? FLAG_8BITMIME : 0u) |
           (e->has_dot_lines ? FLAG_DOT_LINES : 0u) | (e->smtputf8 ? FLAG_SMTPUTF8 : 0u) |
           (e->ret == RETURN_FULL ? FLAG_RETURN_FULL : 0u) |
           (e->ret == RETURN_HEADERS ? FLAG_RETURN_HEADERS : 0u) |
           (e->is_last_resort ? FLAG_LAST_RESORT : 0u);
}

/* What is seldom there and then costs nothing. */
static bool put_if_any(struct buffer *out, enum tag tag, struct span value)
{
    return value.len == 0 || put_span(out, tag, value);
}

static bool put_recipient(struct buffer *out, const struct envelope_recipient *r)
{
    return put_span(out, TAG_RECIPIENT, r->path) && put_if_any(out, TAG_ORIGINAL, r->original) &&
           put_if_any(out, TAG_ORCPT, r->orcpt) &&
           put_if_any(out, TAG_NOTIFY, span_of(&r->notify, r->notify != 0));
}

bool envelope_encode(const struct envelope *e, struct buffer *out)
{
    check(e->content_in_file || e->content_bytes <= ENVELOPE_INLINE_MAX);
    bool ok = put_u64(out, TAG_ARRIVAL, (uint64_t)e->arrival_wall_ms) &&
              put_u64(out, TAG_FLAGS, flags_of(e)) &&
              put_u64(out, TAG_CONTENT_BYTES, e->content_bytes) &&
              put_span(out, TAG_REVERSE_PATH, e->reverse_path) &&
              put_span(out, TAG_CLIENT, e->client) && put_span(out, TAG_HELO, e->helo) &&
              put_span(out, TAG_PREFIX, e->prefix) && put_if_any(out, TAG_ENVID, e->envid);
    for (uint32_t i = 0; ok && i < e->recipient_count; i++)
        ok = put_recipient(out, &e->recipients[i]);
    if (ok && !e->content_in_file)
        ok = put_header(out, TAG_CONTENT, e->content_bytes);
    return ok;
}

static size_t bytes_if_any(size_t len)
{
    return len == 0 ? 0 : ENVELOPE_FIELD_HEADER_BYTES + len;
}

size_t envelope_encoded_bytes(const struct envelope *e)
{
    size_t bytes = 3 * FIELD_U64_BYTES + 4 * ENVELOPE_FIELD_HEADER_BYTES + e->reverse_path.len +
                   e->client.len + e->helo.len + e->prefix.len + bytes_if_any(e->envid.len);
    for (uint32_t i = 0; i < e->recipient_count; i++) {
        const struct envelope_recipient *r = &e->recipients[i];
        bytes += ENVELOPE_FIELD_HEADER_BYTES + r->path.len + bytes_if_any(r->original.len) +
                 bytes_if_any(r->orcpt.len) + bytes_if_any(r->notify != 0);
    }
    return bytes + (e->content_in_file ? 0 : ENVELOPE_FIELD_HEADER_BYTES);
}

static void write_little_endian(uint8_t *at, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

size_t envelope_patch(uint8_t *encoded, size_t len, const struct envelope *e)
{
    check(encoded[AT_FLAGS] == TAG_FLAGS && encoded[AT_CONTENT_BYTES] == TAG_CONTENT_BYTES);
    check(encoded[len - ENVELOPE_FIELD_HEADER_BYTES] == TAG_CONTENT);
    const uint64_t of_content = FLAG_IN_FILE | FLAG_8BITMIME | FLAG_DOT_LINES;
    uint8_t *flags = encoded + AT_FLAGS + ENVELOPE_FIELD_HEADER_BYTES;
    *flags = (uint8_t)((*flags & ~of_content) | (flags_of(e) & of_content));
    write_little_endian(encoded + AT_CONTENT_BYTES + ENVELOPE_FIELD_HEADER_BYTES, e->content_bytes,
                        8);
    if (e->content_in_file)
        return len - ENVELOPE_FIELD_HEADER_BYTES;
    check(e->content_bytes <= ENVELOPE_INLINE_MAX);
    write_little_endian(encoded + len - 4, e->content_bytes, 4);
    return len;
}

/* In place of three calls of cursor: a start reads ten fields of each of a million messages. */
static bool next_field(struct cursor *c, uint16_t *tag_out, struct span *value_out)
{
    struct span rest = c->rest;
    if (!cursor_ok(c) || rest.len == 0)
        return false;
    uint32_t len = 0;
    if (rest.len >= ENVELOPE_FIELD_HEADER_BYTES) {
        const uint8_t *at = rest.data;
        *tag_out = (uint16_t)(at[0] | at[1] << 8);
        len =
            (uint32_t)at[4] | (uint32_t)at[5] << 8 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 24;
    }
    if (rest.len < ENVELOPE_FIELD_HEADER_BYTES || len > rest.len - ENVELOPE_FIELD_HEADER_BYTES) {
        cursor_fail(c);
        return false;
    }
    *value_out = (struct span){rest.data + ENVELOPE_FIELD_HEADER_BYTES, len};
    size_t used = ENVELOPE_FIELD_HEADER_BYTES + (size_t)len;
    c->rest = (struct span){rest.data + used, rest.len - used};
    return true;
}

static uint64_t value_u64(struct cursor *outer, struct span value)
{
    struct cursor c = cursor_over(value);
    uint64_t v = cursor_u64(&c);
    if (!cursor_at_end(&c))
        cursor_fail(outer);
    return v;
}

static void take_flags(struct envelope *e, uint64_t flags)
{
    e->content_in_file = (flags & FLAG_IN_FILE) != 0;
    e->body_8bitmime = (flags & FLAG_8BITMIME) != 0;
    e->has_dot_lines = (flags & FLAG_DOT_LINES) != 0;
    e->smtputf8 = (flags & FLAG_SMTPUTF8) != 0;
    e->is_last_resort = (flags & FLAG_LAST_RESORT) != 0;
    e->ret = (flags & FLAG_RETURN_FULL) != 0      ? RETURN_FULL
             : (flags & FLAG_RETURN_HEADERS) != 0 ? RETURN_HEADERS
                                                  : RETURN_UNSAID;
}

/* A field that says more of the recipient before. */
static void take_of_recipient(struct envelope_recipient *r, struct cursor *c, uint16_t tag,
                              struct span value)
{
    if (tag == TAG_ORIGINAL)
        r->original = value;
    else if (tag == TAG_ORCPT)
        r->orcpt = value;
    else if (value.len == 1)
        r->notify = value.data[0];
    else
        cursor_fail(c);
}

static void take_field(struct envelope *e, struct cursor *c, uint16_t tag, struct span value)
{
    switch (tag) {
    case TAG_ARRIVAL:
        e->arrival_wall_ms = (int64_t)value_u64(c, value);
        break;
    case TAG_FLAGS:
        take_flags(e, value_u64(c, value));
        break;
    case TAG_CONTENT_BYTES:
        e->content_bytes = value_u64(c, value);
        break;
    case TAG_REVERSE_PATH:
        e->reverse_path = value;
        break;
    case TAG_CLIENT:
        e->client = value;
        break;
    case TAG_HELO:
        e->helo = value;
        break;
    case TAG_PREFIX:
        e->prefix = value;
        break;
    case TAG_RECIPIENT: /* there is no room for more than the first yet */
        if (e->recipient_count++ == 0)
            e->recipients->path = value;
        break;
    case TAG_ORIGINAL:
    case TAG_ORCPT:
    case TAG_NOTIFY:
        if (e->recipient_count == 0)
            cursor_fail(c);
        else if (e->recipient_count == 1)
            take_of_recipient(e->recipients, c, tag, value);
        break;
    case TAG_ENVID:
        e->envid = value;
        break;
    case TAG_CONTENT:
        e->content = value;
        break;
    default:
        break; /* of a later version */
    }
}

/* False: a field that is none. */
static bool take_recipients(struct envelope *e, struct span payload)
{
    struct cursor c = cursor_over(payload);
    struct envelope_recipient *next = e->recipients;
    uint16_t tag;
    struct span value;
    while (next_field(&c, &tag, &value)) {
        if (tag == TAG_RECIPIENT)
            *next++ = (struct envelope_recipient){.path = value};
        else if (tag >= TAG_ORIGINAL && tag <= TAG_NOTIFY)
            take_of_recipient(next - 1, &c, tag, value);
    }
    return cursor_ok(&c);
}

/* One walk, when there is one recipient, as nearly always. */
static enum fault decode_fields(struct span payload, struct arena *arena,
                                struct envelope *envelope_out)
{
    struct envelope_recipient first = {.notify = 0};
    struct envelope e = {.recipients = &first};
    struct cursor c = cursor_over(payload);
    uint16_t tag;
    struct span value;
    while (next_field(&c, &tag, &value))
        take_field(&e, &c, tag, value);
    if (!cursor_at_end(&c) || e.recipient_count == 0 || e.recipient_count > ENVELOPE_RECIPIENTS_MAX)
        return FAULT_DAMAGED;
    e.recipients = arena_alloc(arena, e.recipient_count * sizeof *e.recipients);
    if (e.recipients == NULL)
        return FAULT_NO_MEMORY;
    if (e.recipient_count == 1)
        e.recipients[0] = first;
    else if (!take_recipients(&e, payload))
        return FAULT_DAMAGED;
    *envelope_out = e;
    return FAULT_NONE;
}

enum fault envelope_decode(struct span payload, struct arena *arena, struct envelope *envelope_out)
{
    struct envelope e;
    enum fault fault = decode_fields(payload, arena, &e);
    if (fault != FAULT_NONE)
        return fault;
    bool whole = e.content_in_file ? e.content.len == 0 : e.content.len == e.content_bytes;
    if (!whole)
        return FAULT_DAMAGED;
    *envelope_out = e;
    return FAULT_NONE;
}

/* Where a field with this value begins in the payload. */
static size_t field_begin(struct span payload, struct span value)
{
    return (size_t)(value.data - payload.data) - ENVELOPE_FIELD_HEADER_BYTES;
}

bool envelope_head(struct span payload, struct span head_out[2])
{
    struct cursor c = cursor_over(payload);
    size_t prefix_begin = payload.len, prefix_end = payload.len, content_begin = payload.len;
    uint16_t tag;
    struct span value;
    while (next_field(&c, &tag, &value)) {
        if (tag == TAG_CONTENT) {
            content_begin = field_begin(payload, value);
            break;
        }
        if (tag == TAG_PREFIX && prefix_begin == payload.len) {
            prefix_begin = field_begin(payload, value);
            prefix_end = payload.len - c.rest.len;
        }
    }
    if (!cursor_at_end(&c)) /* content is the last field */
        return false;
    payload = span_sub(payload, 0, content_begin);
    head_out[0] = span_sub(payload, 0, prefix_begin);
    head_out[1] = span_skip(payload, prefix_end);
    return true;
}

enum fault envelope_decode_head(struct span head, struct arena *arena,
                                struct envelope *envelope_out)
{
    struct envelope e;
    enum fault fault = decode_fields(head, arena, &e);
    if (fault != FAULT_NONE)
        return fault;
    if (e.content.data != NULL)
        return FAULT_DAMAGED;
    *envelope_out = e;
    return FAULT_NONE;
}

/* The one field with this tag. */
static struct envelope one_field(struct span head, uint16_t wanted)
{
    struct cursor c = cursor_over(head);
    struct envelope e = {0};
    uint16_t tag;
    struct span value;
    while (next_field(&c, &tag, &value)) {
        if (tag == wanted) {
            take_field(&e, &c, tag, value);
            break;
        }
    }
    return e;
}

bool envelope_is_in_file(struct span head)
{
    return one_field(head, TAG_FLAGS).content_in_file;
}

uint64_t envelope_content_bytes(struct span head)
{
    return one_field(head, TAG_CONTENT_BYTES).content_bytes;
}
