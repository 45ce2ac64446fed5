#include "content.h"

#include <string.h>

/* Length of the run from here that needs no thought: up to and including the next CR. */
static size_t plain_run(const char *bytes, size_t length)
{
    const char *cr = memchr(bytes, '\r', length);

    return cr == NULL ? length : (size_t)(cr - bytes) + 1;
}

static enum content_state after_byte(char byte)
{
    return byte == '\r' ? CONTENT_CR : CONTENT_IN_LINE;
}

size_t content_read(struct content *content, const char *bytes, size_t length, content_take *take,
                    void *owner, bool *ended_out)
{
    size_t start = 0; /* of what was read and not yet given away */
    size_t at = 0;

    *ended_out = false;
    while (at < length && !*ended_out) {
        switch (content->state) {
        case CONTENT_LINE_START:
            if (bytes[at] == '.') {
                take(owner, bytes + start, at - start);
                start = ++at; /* stuffed, or the end */
                content->state = CONTENT_DOT;
                break;
            }
            content->state = CONTENT_IN_LINE;
            break;
        case CONTENT_IN_LINE:
            at += plain_run(bytes + at, length - at);
            content->state = after_byte(bytes[at - 1]);
            break;
        case CONTENT_CR:
            content->state = bytes[at] == '\n' ? CONTENT_LINE_START : after_byte(bytes[at]);
            at++;
            break;
        case CONTENT_DOT:
            if (bytes[at] == '\r') {
                content->state = CONTENT_DOT_CR;
                start = ++at; /* kept back until the next byte */
                break;
            }
            content->state = CONTENT_IN_LINE;
            break;
        case CONTENT_DOT_CR:
            if (bytes[at] == '\n') {
                start = ++at;
                *ended_out = true;
                break;
            }
            take(owner, "\r", 1);
            content->state = after_byte(bytes[at++]);
            break;
        }
    }
    take(owner, bytes + start, at - start);
    return at;
}
