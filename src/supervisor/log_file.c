#include "supervisor/log_file.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

/* The most whole lines that one atomic write takes; a single longer line goes as it is. */
static size_t whole_lines(struct span lines)
{
    if (lines.len <= PIPE_BUF)
        return lines.len;
    size_t len = PIPE_BUF;
    while (len > 0 && lines.data[len - 1] != '\n')
        len--;
    return len > 0 ? len : span_find_byte(lines, '\n', 0) + 1;
}

static size_t write_lines(void *context, struct span lines)
{
    const struct log_file *f = context;
    size_t taken = 0;
    while (taken < lines.len) {
        struct span rest = span_skip(lines, taken);
        struct pollfd ready = {.fd = f->descriptor, .events = POLLOUT};
        size_t len = whole_lines(rest);
        /* A writable pipe has room for PIPE_BUF bytes (pipe(7)). */
        if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0)
            break;
        ssize_t n = write(f->descriptor, rest.data, len < rest.len ? len : rest.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        taken += (size_t)n;
    }
    return taken;
}

struct log_sink log_file_sink(struct log_file *f)
{
    return (struct log_sink){write_lines, f};
}
