/*
 * report: the errors of a configuration, for people.
 *
 *     postrider.conf:1:1: unknown option 'hostnam'; did you mean 'hostname'?
 *         hostnam mx.test
 *         ^
 *
 * Writes into a buffer that is the caller's and keeps what fits. The line is shown without what a
 * terminal would obey, and only REPORT_LINE_MAX bytes of it around the place. After
 * CONFIG_ERRORS_MAX errors they are only counted. One thread.
 */
#ifndef CONFIG_REPORT_H
#define CONFIG_REPORT_H

#include "config/lexer.h"

#define REPORT_LINE_MAX 160
#define REPORT_WORD_MAX 60 /* bytes of a word of the file in a message */

struct report {
    struct span text;
    const char *file_name;
    struct buffer *out;
    uint32_t errors;
};

void report_init(struct report *r, struct span text, const char *file_name, struct buffer *out);
void report_error(struct report *r, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Says how many errors were not shown; true: there was none at all. */
bool report_end(struct report *r);

/* A word of the file as "%.*s" shows it: cut to REPORT_WORD_MAX, at the border of a character. */
struct span report_word(struct span word);

#endif
