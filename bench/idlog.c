#include "idlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"

#define BATCH_BYTES_MAX (64 * 1024)

struct idlog {
    int fd;
    size_t used;
    char batch[BATCH_BYTES_MAX];
};

struct idlog *idlog_open(const char *path)
{
    struct idlog *log = malloc(sizeof *log);

    if (log == NULL)
        die("out of memory");
    log->fd = -1;
    log->used = 0;
    if (path != NULL) {
        log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (log->fd < 0)
            die("%s: %s", path, strerror(errno));
    }
    return log;
}

static void put(struct idlog *log, const char *bytes, size_t length)
{
    memcpy(log->batch + log->used, bytes, length);
    log->used += length;
}

void idlog_add(struct idlog *log, const char *id, size_t id_length, const char *recipient)
{
    size_t recipient_length = recipient == NULL ? 0 : strlen(recipient);
    size_t needed = id_length + recipient_length + 2;

    if (log->fd < 0)
        return;
    if (needed > sizeof log->batch)
        die("an id line of %zu bytes is too long", needed);
    if (needed > sizeof log->batch - log->used)
        idlog_flush(log);
    put(log, id, id_length);
    if (recipient != NULL) {
        put(log, " ", 1);
        put(log, recipient, recipient_length);
    }
    put(log, "\n", 1);
}

void idlog_flush(struct idlog *log)
{
    size_t done = 0;

    while (done < log->used) {
        ssize_t n = write(log->fd, log->batch + done, log->used - done);

        if (n < 0 && errno != EINTR)
            die("cannot write ids: %s", strerror(errno));
        if (n > 0)
            done += (size_t)n;
    }
    log->used = 0;
}

void idlog_close(struct idlog *log)
{
    idlog_flush(log);
    if (log->fd >= 0)
        close(log->fd);
    free(log);
}
