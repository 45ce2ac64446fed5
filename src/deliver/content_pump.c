/*
 * content_pump: the content on its way out, after the 354: header prefix, content with dots doubled
 * (RFC 5321 4.5.2), the final dot; or as one chunk (RFC 3030). Inline content goes as it lies in
 * the mail object, without a copy; content in a file block by block, each verified before its first
 * byte leaves. Nothing goes before the SENDING record is written, so that the dot cannot.
 */
#include "deliver/connection.h"
#include "smtp/content.h"

/* Of one send: the time that RFC 5321 4.5.3.2.5 gives is for a block, not for all of the content.
 */
#define PIECE_BYTES_MAX (64u * 1024)

#define CONVERT_BYTES_MAX (16u * 1024) /* converted at once */

static const struct span dot = {(const uint8_t *)".", 1};
static const struct span final_dot = {(const uint8_t *)".\r\n", 3};

void outgoing_begin(struct connection *c)
{
    const struct envelope *e = &c->mail->envelope;
    check(!c->out.is_active);
    c->out = (struct outgoing){.line_start = true, .is_active = true};
    c->out.is_chunk = client_is_chunked(c->client);
    c->out.is_converting = client_is_downgraded(c->client);
    if (c->out.is_converting)
        downgrade_begin(c->downgrade);
    if (!e->content_in_file) {
        c->out.rest = e->content;
        c->out.is_all_read = true;
    }
}

void outgoing_end(struct connection *c)
{
    c->out.is_active = c->is_surveying = false;
    c->out.rest = c->out.converted = (struct span){NULL, 0};
    if (!c->has_content)
        return;
    if (c->is_job_out) {
        c->is_job_stale = true;
        return;
    }
    content_fini(&c->reading.content);
    c->has_content = false;
}

/* Parts for `piece`, dots doubled where lines may begin with one; the last place is left for the
   final dot. What had no room is left in `piece`. */
static size_t cut(struct outgoing *o, struct span *piece, bool has_dot_lines, struct span *parts,
                  size_t count)
{
    while (piece->len > 0 && count + 3 <= SOCKET_PARTS_MAX) {
        bool stuff = false;
        struct span run = *piece;
        if (has_dot_lines)
            run = content_stuff(piece, &o->line_start, &stuff);
        else
            piece->len = 0;
        if (stuff)
            parts[count++] = dot;
        parts[count++] = run;
    }
    return count;
}

/* Fills parts with what comes next. */
static size_t gather(struct connection *c, struct span *parts)
{
    const struct envelope *e = &c->mail->envelope;
    struct outgoing *o = &c->out;
    struct span piece = span_sub(o->rest, 0, PIECE_BYTES_MAX);
    size_t piece_len = piece.len;
    size_t count = 0;
    if (!o->is_prefix_sent) {
        parts[count++] = e->prefix;
        o->is_prefix_sent = true;
    }
    count = cut(o, &piece, e->has_dot_lines && !o->is_chunk, parts, count);
    o->rest = span_skip(o->rest, piece_len - piece.len);
    return count;
}

/* The next piece, as far as it gives anything. False: no memory. */
static bool convert(struct connection *c)
{
    const struct envelope *e = &c->mail->envelope;
    struct outgoing *o = &c->out;
    bool ok = true;
    buffer_reset(&c->converted);
    if (!o->is_prefix_sent)
        ok = downgrade_put(c->downgrade, e->prefix, &c->converted);
    o->is_prefix_sent = true;
    while (ok && c->converted.len == 0 && o->rest.len > 0) {
        struct span piece = span_sub(o->rest, 0, CONVERT_BYTES_MAX);
        o->rest = span_skip(o->rest, piece.len);
        ok = downgrade_put(c->downgrade, piece, &c->converted);
    }
    if (ok && o->rest.len == 0 && o->is_all_read && !o->is_converted) {
        o->is_converted = true;
        ok = downgrade_end(c->downgrade, &c->converted);
    }
    o->converted = buffer_span(&c->converted);
    return ok;
}

/* The same of content that is made 7-bit on its way. Its lines are ours, so any of them may begin
   with a dot. */
static size_t gather_converted(struct connection *c, struct span *parts)
{
    struct outgoing *o = &c->out;
    if (o->converted.len == 0 && !convert(c)) {
        client_lost(c->client, FAULT_NO_MEMORY);
        o->is_active = false;
        return 0;
    }
    return cut(o, &o->converted, true, parts, 0);
}

void outgoing_read_block(struct connection *c)
{
    struct deliverer *d = c->deliverer;
    if (!c->has_content)
        content_init(&c->reading.content, d->spool, c->mail->id);
    c->has_content = true;
    c->is_job_out = true;
    content_send(d->worker, &c->reading.content, CONTENT_READ);
}

bool outgoing_take_block(struct connection *c)
{
    const struct content *read = &c->reading.content;
    c->out.rest = read->bytes;
    c->out.is_all_read = read->is_over || read->bytes.len == 0;
    return !c->out.is_all_read || read->total_bytes == c->mail->envelope.content_bytes;
}

static bool may_send(const struct connection *c)
{
    return c->out.is_active && c->is_sending_written && !c->is_sending && !c->is_job_out &&
           !c->out.is_dot_sent;
}

static bool is_at_end(const struct outgoing *o)
{
    bool is_converted = !o->is_converting || (o->is_converted && o->converted.len == 0);
    return o->rest.len == 0 && o->is_all_read && is_converted;
}

/* Until the socket says later, a block has to be read, or all is sent. The machine is told of the
   dot once the kernel has all of it: what is answered before that is no answer to it. */
void outgoing_continue(struct connection *c)
{
    struct outgoing *o = &c->out;
    while (may_send(c)) {
        struct span parts[SOCKET_PARTS_MAX];
        size_t count = o->is_converting ? gather_converted(c, parts) : gather(c, parts);
        uint64_t bytes = 0;
        if (!o->is_active)
            return;
        if (count == 0 && !o->is_all_read) {
            outgoing_read_block(c);
            return;
        }
        if (is_at_end(o)) {
            if (!o->is_chunk)
                parts[count++] = final_dot;
            o->is_dot_sent = true;
        }
        for (size_t i = 0; i < count; i++)
            bytes += parts[i].len;
        deliverer_count(&c->deliverer->counters.bytes, (int64_t)bytes);
        c->is_sending = link_send(c->link, parts, count) == SEND_LATER;
    }
    if (o->is_active && o->is_dot_sent && !c->is_sending)
        o->is_active = !client_content_end(c->client);
}
