#include "os/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#define MODE 0640

bool log_file_open(struct log_file *f)
{
    f->descriptor = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return f->descriptor >= 0;
}

void log_file_replace(struct log_file *f, int descriptor)
{
    (void)dup3(descriptor, f->descriptor, O_CLOEXEC);
    close(descriptor);
}

/* Not through a link that somebody else may have put there. */
int log_file_append_to(const char *path, uint32_t uid, uint32_t gid)
{
    int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW;
    int file = open(path, flags | O_CREAT | O_EXCL, MODE);
    if (file < 0 && errno == EEXIST)
        return open(path, flags);
    if (file >= 0 && geteuid() == 0 && fchown(file, uid, gid) != 0) {
        close(file);
        return -1;
    }
    return file;
}

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
