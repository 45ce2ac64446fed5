/*
 * content: finds the end of what follows DATA and takes the stuffed dots away (RFC 5321 4.5.2).
 *
 * Only CRLF . CRLF ends the content; a bare CR or LF is passed on as it is. Any split of the same
 * bytes gives the same output.
 */
#ifndef BENCH_CONTENT_H
#define BENCH_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

/* Named for what was read last. */
enum content_state { CONTENT_LINE_START, CONTENT_IN_LINE, CONTENT_CR, CONTENT_DOT, CONTENT_DOT_CR };

struct content {
    enum content_state state; /* zero: at the start of the first line */
};

/* Takes bytes of the message as they come out, without stuffed dots. */
typedef void content_take(void *owner, const char *bytes, size_t length);

/* Reads at most length bytes, gives the message's own bytes to take() and returns how many it
 * read; *ended_out says that the last of them ended the content. */
size_t content_read(struct content *content, const char *bytes, size_t length, content_take *take,
                    void *owner, bool *ended_out);

#endif
