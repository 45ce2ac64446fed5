/*
 * reply: see reply.h.
 */
#include "smtp/reply.h"

#include "base/check.h"

#define CODE_LEN 3

void reply_reader_init(struct reply_reader *r)
{
    *r = (struct reply_reader){.ended = true};
    buffer_init(&r->line, REPLY_LINE_MAX);
    buffer_init(&r->text, REPLY_TEXT_MAX);
}

void reply_reader_fini(struct reply_reader *r)
{
    buffer_fini(&r->line);
    buffer_fini(&r->text);
}

enum fault reply_reader_fault(const struct reply_reader *r)
{
    return r->fault;
}

static enum reply_progress fail(struct reply_reader *r, enum fault fault)
{
    r->fault = fault;
    return REPLY_FAULT;
}

/* Appends what fits below the buffer's end and drops the rest. False: no memory. */
static bool put_cut(struct buffer *b, struct span s)
{
    check(b->len <= b->max);
    return buffer_put(b, span_sub(s, 0, b->max - b->len));
}

static bool parse_code(struct span line, int *code_out)
{
    int code = 0;
    if (line.len < CODE_LEN)
        return false;
    for (size_t i = 0; i < CODE_LEN; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return false;
        code = code * 10 + (line.data[i] - '0');
    }
    *code_out = code;
    return true;
}

static struct span without_end(struct span line)
{
    while (line.len > 0 && (line.data[line.len - 1] == '\r' || line.data[line.len - 1] == ' ' ||
                            line.data[line.len - 1] == '\t'))
        line.len--;
    return line;
}

/* The text of the first line begins the reply's text; each further one follows behind a blank. */
static bool add_text(struct reply_reader *r, struct span text)
{
    if (text.len == 0)
        return true;
    if (r->text.len > 0 && !put_cut(&r->text, SPAN(" ")))
        return false;
    return put_cut(&r->text, text);
}

/* `line` without its LF. */
static enum reply_progress end_line(struct reply_reader *r, struct span line, struct reply *out)
{
    bool is_first = r->ended;
    line = without_end(span_sub(line, 0, REPLY_LINE_MAX));
    if (!parse_code(line, &out->code))
        return fail(r, FAULT_PROTOCOL);
    uint8_t mark = line.len > CODE_LEN ? line.data[CODE_LEN] : ' ';
    if (mark != ' ' && mark != '-')
        return fail(r, FAULT_PROTOCOL);
    if (is_first) {
        r->lines = 0;
        buffer_reset(&r->text);
    }
    if (++r->lines > REPLY_LINES_MAX)
        return fail(r, FAULT_PROTOCOL);
    out->line = span_skip(line, CODE_LEN + 1);
    if (!add_text(r, out->line))
        return fail(r, FAULT_NO_MEMORY);
    out->text = buffer_span(&r->text);
    out->is_first = is_first;
    out->is_final = mark == ' ';
    r->ended = out->is_final;
    return REPLY_LINE;
}

enum reply_progress reply_read(struct reply_reader *r, struct span input, size_t *used_out,
                               struct reply *reply_out)
{
    *used_out = 0;
    if (r->fault != FAULT_NONE)
        return REPLY_FAULT;
    if (r->line_bytes == 0)
        buffer_free_memory(&r->line); /* of the line before, which was given out */
    if (r->ended && r->lines > 0) {
        r->lines = 0;
        buffer_free_memory(&r->text);
    }
    size_t lf = span_find_byte(input, '\n', 0);
    struct span part = span_sub(input, 0, lf);
    if (part.len > REPLY_LINE_BYTES_MAX - r->line_bytes)
        return fail(r, FAULT_PROTOCOL);
    *used_out = lf < input.len ? lf + 1 : input.len;
    if (lf < input.len && r->line_bytes == 0)
        return end_line(r, part, reply_out); /* came whole: read where it lies */
    r->line_bytes += part.len;
    if (!put_cut(&r->line, part))
        return fail(r, FAULT_NO_MEMORY);
    if (lf == input.len)
        return REPLY_MORE;
    r->line_bytes = 0;
    return end_line(r, buffer_span(&r->line), reply_out);
}
