#include "agent/source.h"

#include <stdlib.h>

#include "mail/header.h"
#include "spool/content_block.h"

#define BLOCK_BYTES (CONTENT_HEADER_BYTES + CONTENT_BLOCK_BYTES + 1)

static bool is_clean(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7F)
            return false;
    return true;
}

/* An unframed enclosure is the content and nothing else. */
static enum fault read_plain(struct source *s, struct span *bytes_out)
{
    size_t got;
    enum fault fault = enclosure_read(s->enclosed, s->offset, s->block, CONTENT_BLOCK_BYTES, &got);
    if (fault != FAULT_NONE)
        return fault;
    s->offset += got;
    s->is_over = got < CONTENT_BLOCK_BYTES;
    *bytes_out = span_of(s->block, got);
    return FAULT_NONE;
}

static enum fault read_block(struct source *s, struct span *bytes_out)
{
    size_t got;
    enum fault fault = enclosure_read(s->enclosed, s->offset, s->block, BLOCK_BYTES, &got);
    if (fault == FAULT_NONE)
        fault = content_block_decode(s->put->id, s->number, span_of(s->block, got), bytes_out,
                                     &s->is_over);
    if (fault != FAULT_NONE)
        return fault;
    s->offset += CONTENT_HEADER_BYTES + bytes_out->len;
    s->number++;
    return FAULT_NONE;
}

static enum fault read_content(struct source *s, struct span *bytes_out)
{
    enum fault fault = s->put->is_framed != 0 ? read_block(s, bytes_out) : read_plain(s, bytes_out);
    if (fault != FAULT_NONE)
        return fault;
    s->given += bytes_out->len;
    bool is_right = s->is_over ? s->given == s->put->content_bytes
                               : s->given <= s->put->content_bytes && bytes_out->len > 0;
    return is_right ? FAULT_NONE : FAULT_DAMAGED;
}

/* The address as it was written by the delivery before, whatever the case of its letters. */
static bool was_delivered_to(struct span content, struct span address)
{
    struct header h = header_over(content);
    struct header_field field;
    while (header_next(&h, &field))
        if (span_equal_nocase(field.name, SPAN("Delivered-To")) &&
            span_equal_nocase(span_trim(field.value), address))
            return true;
    return false;
}

static bool write_head(struct source *s)
{
    const struct message_put *put = s->put;
    return buffer_put_text(&s->head, "Return-Path: <") && buffer_put(&s->head, put->sender) &&
           buffer_put_text(&s->head, ">\r\nDelivered-To: ") && buffer_put(&s->head, put->address) &&
           buffer_put_text(&s->head, "\r\n") && buffer_put(&s->head, put->prefix);
}

/* Looks at the first block alone: a header that is longer has other troubles. */
static enum fault look_for_loop(struct source *s)
{
    struct span first;
    enum fault fault = read_content(s, &first);
    if (fault == FAULT_NONE && was_delivered_to(first, s->put->address))
        fault = FAULT_MAIL_LOOP;
    s->is_over = false;
    s->offset = s->number = s->given = 0;
    return fault;
}

enum fault source_open(struct source *s, const struct message_put *put,
                       const struct enclosure *enclosed)
{
    *s = (struct source){.put = put, .enclosed = enclosed, .block = malloc(BLOCK_BYTES)};
    buffer_init(&s->head, SOURCE_HEAD_MAX);
    enum fault fault = FAULT_NONE;
    if (!is_clean(put->address) || !is_clean(put->sender))
        fault = FAULT_PROTOCOL;
    else if (s->block == NULL || !write_head(s))
        fault = FAULT_NO_MEMORY;
    else
        fault = look_for_loop(s);
    if (fault != FAULT_NONE)
        source_close(s);
    return fault;
}

enum fault source_next(struct source *s, struct span *bytes_out)
{
    if (!s->is_head_given) {
        s->is_head_given = true;
        *bytes_out = buffer_span(&s->head);
        return FAULT_NONE;
    }
    if (s->fault == FAULT_NONE && s->is_over)
        *bytes_out = (struct span){NULL, 0};
    else if (s->fault == FAULT_NONE)
        s->fault = read_content(s, bytes_out);
    return s->fault;
}

void source_close(struct source *s)
{
    free(s->block);
    s->block = NULL;
    buffer_fini(&s->head);
}

bool lines_convert(struct span piece, bool *is_cr, bool (*write)(void *context, struct span run),
                   void *context)
{
    size_t at = 0;
    if (piece.len == 0)
        return true;
    /* A CR that ended the piece before, and is not part of a line's end. */
    if (*is_cr && piece.data[0] != '\n' && !write(context, SPAN("\r")))
        return false;
    *is_cr = false;
    while (at < piece.len) {
        size_t cr = span_find_byte(piece, '\r', at);
        bool is_end = cr + 1 < piece.len && piece.data[cr + 1] == '\n';
        bool is_last = cr + 1 == piece.len;
        size_t stop = cr == piece.len || is_end || is_last ? cr : cr + 1;
        if (stop > at && !write(context, span_sub(piece, at, stop - at)))
            return false;
        if (is_last)
            *is_cr = true;
        at = cr == piece.len ? cr : cr + 1;
    }
    return true;
}
