/*
 * transfer_encoding: see transfer_encoding.h.
 */
#include "mail/transfer_encoding.h"

#include "base/encode.h"

#define COLUMNS_MAX 75 /* and a "=" behind them */

/* Quoted-printable ---------------------------------------------------------------------------- */

static bool put_unit(struct quoted_printable *q, struct span unit, struct buffer *out)
{
    if (q->column + unit.len > COLUMNS_MAX) {
        if (!buffer_put_text(out, "=\r\n"))
            return false;
        q->column = 0;
        /* Else a line of ours might begin as a boundary does. */
        if (span_equal(unit, SPAN("-")))
            unit = SPAN("=2D");
    }
    q->column += (uint32_t)unit.len;
    return buffer_put(out, unit);
}

static bool put_escaped(struct quoted_printable *q, uint8_t byte, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    char unit[3] = {'=', digits[byte >> 4], digits[byte & 15]};
    return put_unit(q, span_of(unit, sizeof unit), out);
}

/* What waited is no line end. */
static bool put_waiting(struct quoted_printable *q, struct buffer *out)
{
    uint8_t blank = q->blank;
    bool has_cr = q->has_cr;
    q->blank = 0;
    q->has_cr = false;
    return (blank == 0 || put_unit(q, span_of(&blank, 1), out)) &&
           (!has_cr || put_escaped(q, '\r', out));
}

/* A blank at the end of a line would be lost on the way (RFC 2045 6.7 rule 3). */
static bool put_line_end(struct quoted_printable *q, struct buffer *out)
{
    uint8_t blank = q->blank;
    q->blank = 0;
    q->has_cr = false;
    if (blank != 0 && !put_escaped(q, blank, out))
        return false;
    q->column = 0;
    return buffer_put_text(out, "\r\n");
}

static bool put_byte(struct quoted_printable *q, uint8_t byte, struct buffer *out)
{
    if (q->has_cr && byte == '\n')
        return put_line_end(q, out);
    bool is_blank = byte == ' ' || byte == '\t';
    if (byte == '\r' && !q->has_cr) {
        q->has_cr = true;
        return true;
    }
    if (!put_waiting(q, out))
        return false;
    if (byte == '\r')
        q->has_cr = true;
    else if (is_blank)
        q->blank = byte;
    else if (byte > ' ' && byte < 127 && byte != '=')
        return put_unit(q, span_of(&byte, 1), out);
    else
        return put_escaped(q, byte, out);
    return true;
}

bool quoted_printable_put(struct quoted_printable *q, struct span bytes, struct buffer *out)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (!put_byte(q, bytes.data[i], out))
            return false;
    return true;
}

/* An end in the middle of a line is one of the encoding, not of the text: a soft break. */
bool quoted_printable_end(struct quoted_printable *q, struct buffer *out)
{
    uint8_t blank = q->blank;
    bool has_cr = q->has_cr;
    q->blank = 0;
    q->has_cr = false;
    if ((blank != 0 && !put_escaped(q, blank, out)) || (has_cr && !put_escaped(q, '\r', out)))
        return false;
    bool ok = q->column == 0 || buffer_put_text(out, "=\r\n");
    q->column = 0;
    return ok;
}

/* Base64 -------------------------------------------------------------------------------------- */

static bool flush(struct base64_lines *b, struct buffer *out)
{
    bool ok = b->held_len == 0 ||
              (encode_base64(out, span_of(b->held, b->held_len)) && buffer_put_text(out, "\r\n"));
    b->held_len = 0;
    return ok;
}

static bool hold(struct base64_lines *b, uint8_t byte, struct buffer *out)
{
    b->held[b->held_len++] = byte;
    return b->held_len < BASE64_LINE_BYTES || flush(b, out);
}

static bool release_line_end(struct base64_lines *b, struct buffer *out)
{
    uint8_t count = b->line_end;
    b->line_end = 0;
    return (count < 1 || hold(b, '\r', out)) && (count < 2 || hold(b, '\n', out));
}

bool base64_lines_put(struct base64_lines *b, struct span bytes, struct buffer *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.data[i];
        if (byte == '\n' && b->line_end == 1) {
            b->line_end = 2;
            continue;
        }
        if (!release_line_end(b, out))
            return false;
        if (byte == '\r')
            b->line_end = 1;
        else if (!hold(b, byte, out))
            return false;
    }
    return true;
}

bool base64_lines_end(struct base64_lines *b, bool takes_line_end, struct buffer *out)
{
    if (b->line_end == 2 && !takes_line_end)
        b->line_end = 0;
    return release_line_end(b, out) && flush(b, out);
}
