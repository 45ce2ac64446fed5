#include "agent/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/mailbox.h"
#include "agent/source.h"

#define NAME_BYTES_MAX  255
#define WRITE_BYTES_MAX (64u * 1024)

struct writer {
    int file;
    uint64_t bytes;
    int error;
    size_t len;
    uint8_t gathered[WRITE_BYTES_MAX];
};

struct span maildir_prefix(struct id id, uint32_t recipient, char text_out[MAILDIR_PREFIX_MAX])
{
    char text[ID_TEXT_LEN + 1];
    id_format(id, text);
    int len = snprintf(text_out, MAILDIR_PREFIX_MAX, "%llu.%s-%u.",
                       (unsigned long long)(id_wall_ms(id) / 1000), text, recipient);
    check(len > 0 && len < MAILDIR_PREFIX_MAX);
    return span_of(text_out, (size_t)len);
}

/* Writing. ----------------------------------------------------------------------------------- */

static bool flush(struct writer *w)
{
    for (size_t at = 0; at < w->len;) {
        ssize_t n = write(w->file, w->gathered + at, w->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            w->error = n < 0 ? errno : ENOSPC;
            return false;
        }
        at += (size_t)n;
    }
    w->len = 0;
    return true;
}

static bool gather(void *context, struct span run)
{
    struct writer *w = context;
    w->bytes += run.len;
    while (run.len > 0) {
        size_t room = WRITE_BYTES_MAX - w->len;
        size_t n = run.len < room ? run.len : room;
        memcpy(w->gathered + w->len, run.data, n);
        w->len += n;
        run = span_skip(run, n);
        if (w->len == WRITE_BYTES_MAX && !flush(w))
            return false;
    }
    return true;
}

static enum fault write_all(struct writer *w, struct source *s)
{
    bool is_cr = false;
    struct span piece;
    enum fault fault;
    while ((fault = source_next(s, &piece)) == FAULT_NONE && piece.len > 0)
        if (!lines_convert(piece, &is_cr, gather, w))
            return mailbox_fault_of_errno(w->error);
    if (fault != FAULT_NONE)
        return fault;
    if ((is_cr && !gather(w, SPAN("\r"))) || !flush(w))
        return mailbox_fault_of_errno(w->error);
    return fsync(w->file) == 0 ? FAULT_NONE : mailbox_fault_of_errno(errno);
}

/* Names. ------------------------------------------------------------------------------------- */

/* Nobody else has this name: not another process, nor this one before. */
static void name_for_tmp(char name_out[NAME_BYTES_MAX + 1], struct span prefix, uint32_t attempt)
{
    (void)snprintf(name_out, NAME_BYTES_MAX + 1, "%.*sP%ldQ%u", SPAN_PRINT(prefix), (long)getpid(),
                   attempt);
}

/* A slash or colon of the host's name is written as three digits, as Maildir says. */
static void name_for_new(char name_out[NAME_BYTES_MAX + 1], struct span prefix,
                         const char *hostname, uint64_t bytes)
{
    char host[100];
    size_t len = 0;
    for (; *hostname != '\0' && len + 5 < sizeof host; hostname++) {
        bool is_plain = *hostname != '/' && *hostname != ':' && *hostname != ',';
        if (is_plain)
            host[len++] = *hostname;
        else
            len += (size_t)snprintf(host + len, 5, "\\%03o", (unsigned)(uint8_t)*hostname);
    }
    host[len] = '\0';
    (void)snprintf(name_out, NAME_BYTES_MAX + 1, "%.*s%s,S=%llu", SPAN_PRINT(prefix), host,
                   (unsigned long long)bytes);
}

/* Old file systems cannot rename without replacing; a link does not replace either. */
static int move(int from, const char *old, int to, const char *name)
{
    if (renameat2(from, old, to, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    if (linkat(from, old, to, name, 0) != 0)
        return errno;
    (void)unlinkat(from, old, 0);
    return 0;
}

/* Putting. ----------------------------------------------------------------------------------- */

static enum fault sync_folder(int folder)
{
    return fsync(folder) == 0 ? FAULT_NONE : mailbox_fault_of_errno(errno);
}

/* In this order, since a reader moves from new to cur meanwhile. What is there may have come by a
   delivery that was killed before its sync. */
static enum fault was_put(const struct mailbox *m, struct span prefix, bool *was_out)
{
    int folder = m->new;
    enum fault fault = mailbox_find(folder, prefix, was_out);
    if (fault == FAULT_NONE && !*was_out) {
        folder = m->cur;
        fault = mailbox_find(folder, prefix, was_out);
    }
    return fault == FAULT_NONE && *was_out ? sync_folder(folder) : fault;
}

static enum fault publish(const struct mailbox *m, const struct writer *w, const char *tmp_name,
                          struct span prefix, const char *hostname)
{
    char name[NAME_BYTES_MAX + 1];
    name_for_new(name, prefix, hostname, w->bytes);
    int error = move(m->tmp, tmp_name, m->new, name);
    if (error != 0)
        (void)unlinkat(m->tmp, tmp_name, 0);
    if (error != 0 && error != EEXIST)
        return mailbox_fault_of_errno(error);
    return sync_folder(m->new);
}

static enum fault write_and_publish(const struct mailbox *m, struct source *s, struct span prefix,
                                    const char *hostname, uint32_t attempt)
{
    struct writer w;
    char name[NAME_BYTES_MAX + 1];
    w.bytes = w.len = 0;
    w.error = 0;
    name_for_tmp(name, prefix, attempt);
    w.file = openat(m->tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (w.file < 0)
        return mailbox_fault_of_errno(errno);
    enum fault fault = write_all(&w, s);
    close(w.file);
    if (fault != FAULT_NONE) {
        (void)unlinkat(m->tmp, name, 0);
        return fault;
    }
    return publish(m, &w, name, prefix, hostname);
}

/* *fits_out: there is room; *ever_out: there would be, were the mailbox empty. */
static enum fault look_at_quota(const struct mailbox *m, const struct message_put *put,
                                bool *fits_out, bool *ever_out)
{
    uint64_t used;
    *fits_out = *ever_out = true;
    if (put->quota_bytes == 0)
        return FAULT_NONE;
    *ever_out = put->content_bytes <= put->quota_bytes;
    enum fault fault = mailbox_bytes(m, &used);
    *fits_out = *ever_out && used <= put->quota_bytes - put->content_bytes;
    return fault;
}

static struct agent_result put_into(const struct mailbox *m, const struct message_put *put,
                                    struct source *s, const char *hostname, uint32_t attempt)
{
    char text[MAILDIR_PREFIX_MAX];
    struct span prefix = maildir_prefix(put->id, put->recipient, text);
    bool was = false, fits, ever;
    enum fault fault = put->may_be_repeated != 0 ? was_put(m, prefix, &was) : FAULT_NONE;
    if (fault != FAULT_NONE || was)
        return fault == FAULT_NONE ? result_delivered() : result_of_fault(fault);
    fault = look_at_quota(m, put, &fits, &ever);
    if (fault == FAULT_NONE && !ever)
        return result_of(MESSAGE_FAILED, "552 5.2.2", "the message is larger than the mailbox",
                         (struct span){NULL, 0});
    if (fault == FAULT_NONE && !fits)
        fault = FAULT_MAILBOX_FULL;
    if (fault == FAULT_NONE)
        fault = write_and_publish(m, s, prefix, hostname, attempt);
    return fault == FAULT_NONE ? result_delivered() : result_of_fault(fault);
}

struct agent_result maildir_put(const struct message_put *put, const struct enclosure *enclosed,
                                const char *hostname, uint32_t attempt)
{
    struct source s;
    struct mailbox m;
    enum fault fault = source_open(&s, put, enclosed);
    if (fault != FAULT_NONE)
        return result_of_fault(fault);
    fault = mailbox_open(&m, put->path, put->base_bytes);
    if (fault != FAULT_NONE) {
        source_close(&s);
        return result_of_fault(fault);
    }
    struct agent_result r = put_into(&m, put, &s, hostname, attempt);
    mailbox_close(&m);
    source_close(&s);
    return r;
}
