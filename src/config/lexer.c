/*
 * lexer: see lexer.h.
 */
#include "config/lexer.h"

#include "base/encode.h"

#define BYTE_ORDER_MARK SPAN("\xef\xbb\xbf") /* U+FEFF: not seen, and not meant by anybody */

static struct place place_at(const struct lexer *l, size_t at)
{
    return (struct place){l->line, (uint32_t)(at - l->line_start + 1), l->line_start};
}

void lexer_init(struct lexer *l, struct span text)
{
    l->text = text;
    l->at = 0;
    l->line = 1;
    l->line_start = 0;
}

static bool is_line_end(struct span text, size_t at)
{
    return at >= text.len || text.data[at] == '\n' ||
           (text.data[at] == '\r' && at + 1 < text.len && text.data[at + 1] == '\n');
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct token bad(struct lexer *l, size_t at, const char *fault)
{
    struct token t = {.kind = TOKEN_BAD, .place = place_at(l, at), .fault = fault};
    l->at = span_find_byte(l->text, '\n', at);
    return t;
}

static struct token bad_character(struct lexer *l, size_t at)
{
    struct span rest = span_skip(l->text, at);
    if (rest.data[0] == 0)
        return bad(l, at, "a NUL byte; this is no text");
    if (span_starts_with(rest, BYTE_ORDER_MARK))
        return bad(l, at, "a byte order mark; save the file without it");
    bool is_character = rest.data[0] < 0x80 || utf8_sequence(rest) > 0;
    return bad(l, at, is_character ? "a control character" : "this is not UTF-8");
}

/* From a # to the end of the line; true unless a character is bad: *at_out is then that. */
static bool skip_comment(const struct lexer *l, size_t *at_out)
{
    while (!is_line_end(l->text, *at_out)) {
        size_t len = lexer_character(l->text, *at_out);
        if (len == 0)
            return false;
        *at_out += len;
    }
    return true;
}

static struct token read_string(struct lexer *l)
{
    size_t begin = l->at, at = l->at + 1, len = 0;
    while (!is_line_end(l->text, at) && l->text.data[at] != '"') {
        bool escape = l->text.data[at] == '\\';
        if (escape &&
            (is_line_end(l->text, ++at) || (l->text.data[at] != '"' && l->text.data[at] != '\\')))
            return bad(l, at - 1, "after \\ only \" or \\ may follow");
        size_t bytes = lexer_character(l->text, at);
        if (bytes == 0)
            return bad_character(l, at);
        if (bytes > sizeof l->string - len)
            return bad(l, begin, "the string is too long");
        for (size_t i = 0; i < bytes; i++)
            l->string[len++] = l->text.data[at++];
    }
    if (is_line_end(l->text, at))
        return bad(l, begin, "the string is not closed on its line");
    at++;
    if (!is_line_end(l->text, at) && !is_blank(l->text.data[at]))
        return bad(l, at, "a blank is missing after the string");
    l->at = at;
    return (struct token){
        .kind = TOKEN_STRING, .place = place_at(l, begin), .text = {l->string, len}};
}

/* How the braces of a word stand: each closed after it was opened. */
static bool braces_match(struct span word)
{
    size_t open = 0;
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] == '}' && open-- == 0)
            return false;
        if (word.data[i] == '{')
            open++;
    }
    return open == 0;
}

static struct token read_word(struct lexer *l)
{
    size_t begin = l->at, at = l->at;
    while (!is_line_end(l->text, at) && !is_blank(l->text.data[at])) {
        size_t bytes = lexer_character(l->text, at);
        if (bytes == 0)
            return bad_character(l, at);
        if (l->text.data[at] == '"')
            return bad(l, at, "a quote inside a word; quote it as a whole");
        at += bytes;
    }
    struct span word = span_sub(l->text, begin, at - begin);
    struct token t = {.kind = TOKEN_WORD, .place = place_at(l, begin), .text = word};
    if (word.len > CONFIG_WORD_BYTES_MAX)
        return bad(l, begin, "the word is too long");
    if (span_equal(word, SPAN("{")))
        t.kind = TOKEN_OPEN;
    else if (span_equal(word, SPAN("}")))
        t.kind = TOKEN_CLOSE;
    else if (!braces_match(word))
        return bad(l, begin, "a brace needs blanks around it");
    l->at = at;
    return t;
}

struct token lexer_next(struct lexer *l)
{
    while (l->at < l->text.len && is_blank(l->text.data[l->at]))
        l->at++;
    if (l->at < l->text.len && l->text.data[l->at] == '#' && !skip_comment(l, &l->at))
        return bad_character(l, l->at);
    if (l->at >= l->text.len)
        return (struct token){.kind = TOKEN_END, .place = place_at(l, l->text.len)};
    if (is_line_end(l->text, l->at)) {
        struct token t = {.kind = TOKEN_NEWLINE, .place = place_at(l, l->at)};
        l->at += l->text.data[l->at] == '\r' ? 2 : 1;
        l->line++;
        l->line_start = l->at;
        return t;
    }
    return l->text.data[l->at] == '"' ? read_string(l) : read_word(l);
}

size_t lexer_character(struct span text, size_t at)
{
    uint8_t byte = text.data[at];
    if (byte < ' ')
        return byte == '\t' ? 1 : 0;
    if (byte < 0x7f)
        return 1;
    struct span rest = span_skip(text, at);
    bool is_c1 = byte == 0xc2 && rest.len > 1 && rest.data[1] < 0xa0;
    if (byte == 0x7f || is_c1 || span_starts_with(rest, BYTE_ORDER_MARK))
        return 0;
    return utf8_sequence(rest);
}

bool lexer_needs_quotes(struct span value)
{
    if (value.len == 0 || value.data[0] == '#' || !braces_match(value))
        return true;
    for (size_t i = 0; i < value.len; i++)
        if (is_blank(value.data[i]) || value.data[i] == '"')
            return true;
    return false;
}
