/*
 * report: see report.h.
 */
#include "config/report.h"

#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_MAX 600

void report_init(struct report *r, struct span text, const char *file_name, struct buffer *out)
{
    *r = (struct report){.text = text, .file_name = file_name, .out = out};
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

struct span report_word(struct span word)
{
    size_t len = word.len < REPORT_WORD_MAX ? word.len : REPORT_WORD_MAX;
    while (len > 0 && len < word.len && is_continuation(word.data[len]))
        len--;
    return span_sub(word, 0, len);
}

/* Bytes of the next character, or 1 for a byte that is none. */
static size_t step(struct span line, size_t at)
{
    size_t len = lexer_character(line, at);
    return len > 0 ? len : 1;
}

/* The line, and under it a caret: behind as many columns as the terminal has used before it. */
static void show_line(struct report *r, struct place place)
{
    size_t end = span_find_byte(r->text, '\n', place.line_start);
    struct span line = span_sub(r->text, place.line_start, end - place.line_start);
    size_t caret = place.column - 1;
    size_t from = caret > REPORT_LINE_MAX / 2 ? caret - REPORT_LINE_MAX / 2 : 0;
    while (from > 0 && is_continuation(line.data[from]))
        from--;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0)
        return;
    buffer_put_text(r->out, "    ");
    for (size_t i = from; i < line.len && i < from + REPORT_LINE_MAX; i += step(line, i)) {
        size_t len = lexer_character(line, i);
        buffer_put(r->out, len > 0 ? span_sub(line, i, len) : SPAN("?"));
    }
    buffer_put_text(r->out, "\n    ");
    for (size_t i = from; i < caret && i < line.len; i += step(line, i))
        buffer_put_u8(r->out, line.data[i] == '\t' ? '\t' : ' ');
    buffer_put_text(r->out, "^\n");
}

void report_error(struct report *r, struct place place, const char *format, ...)
{
    char message[MESSAGE_MAX];
    if (r->errors++ >= CONFIG_ERRORS_MAX)
        return;
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    buffer_printf(r->out, "%s:%u:%u: %s\n", r->file_name, place.line, place.column, message);
    show_line(r, place);
}

bool report_end(struct report *r)
{
    if (r->errors > CONFIG_ERRORS_MAX)
        buffer_printf(r->out, "%s: %u more errors\n", r->file_name, r->errors - CONFIG_ERRORS_MAX);
    return r->errors == 0;
}
