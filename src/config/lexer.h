/*
 * lexer: the text of a configuration as words, braces and ends of lines.
 *
 *   word      any bytes but blanks; a # only inside, braces only in pairs; UTF-8 without control
 *             characters
 *   "string"  on one line; \" and \\ stand for " and \
 *   { }       words of their own
 *   # comment from a # at the beginning of a word to the end of the line
 *
 * Blanks are SP, HT and the CR before an LF. A fault of the text is a token too (TOKEN_BAD): the
 * rest of its line is then skipped. Owns one buffer, for the string it is at; never reads beyond
 * the text; one thread. At most CONFIG_WORD_BYTES_MAX bytes a word.
 */
#ifndef CONFIG_LEXER_H
#define CONFIG_LEXER_H

#include "config/config.h"

/* Where something stands: counted from 1, a column for each byte. */
struct place {
    uint32_t line;
    uint32_t column;
    size_t line_start; /* offset of the line in the text */
};

enum token_kind {
    TOKEN_WORD,
    TOKEN_STRING,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_NEWLINE,
    TOKEN_BAD,
    TOKEN_END
};

struct token {
    enum token_kind kind;
    struct place place;
    struct span text;  /* of a word or string, quotes and escapes undone; until the next token */
    const char *fault; /* of TOKEN_BAD: what is wrong there */
};

struct lexer {
    struct span text;
    size_t at;
    uint32_t line;
    size_t line_start;
    uint8_t string[CONFIG_WORD_BYTES_MAX];
};

void lexer_init(struct lexer *l, struct span text);
struct token lexer_next(struct lexer *l); /* TOKEN_END again and again at the end */

/* Bytes of the character at text.data[at]; 0 for one that no configuration may hold: control
   characters but HT, those of C1 included (a terminal obeys them too), the byte order mark, and
   what is no UTF-8. */
size_t lexer_character(struct span text, size_t at);

/* `value` cannot be written as a plain word: it would be read as something else. */
bool lexer_needs_quotes(struct span value);

#endif
