#include "agent/mailbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/result.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)

/* The way from the base to the mailbox, base included. */
struct way {
    int folders[MAILBOX_DEPTH_MAX + 1];
    size_t count;
};

static enum fault fault_now(void)
{
    return mailbox_fault_of_errno(errno);
}

/* Everybody may write to a sticky folder such as /tmp without moving what others have there. */
static bool is_open_to_all(const struct stat *status)
{
    return (status->st_mode & S_IWOTH) != 0 && (status->st_mode & S_ISVTX) == 0;
}

static enum fault check_folder(int folder, bool must_be_ours)
{
    struct stat status;
    if (fstat(folder, &status) != 0)
        return fault_now();
    bool is_ours = status.st_uid == geteuid();
    if (is_open_to_all(&status) || !(is_ours || (status.st_uid == 0 && !must_be_ours)))
        return FAULT_MAILBOX_UNSAFE;
    return FAULT_NONE;
}

/* `name` is one component, never "." or "..". Makes it if it is not there. */
static enum fault step(int from, const char *name, bool must_be_ours, int *folder_out)
{
    int folder = openat(from, name, FOLDER_FLAGS);
    if (folder < 0 && errno == ENOENT) {
        if (mkdirat(from, name, 0700) != 0 && errno != EEXIST)
            return fault_now();
        folder = openat(from, name, FOLDER_FLAGS);
    }
    if (folder < 0)
        return fault_now();
    enum fault fault = check_folder(folder, must_be_ours);
    if (fault == FAULT_NONE)
        *folder_out = folder;
    else
        close(folder);
    return fault;
}

static void way_close(struct way *w)
{
    while (w->count > 0)
        close(w->folders[--w->count]);
}

static enum fault open_base(struct way *w, struct span base)
{
    char path[MAILBOX_PATH_MAX + 1];
    memcpy(path, base.data, base.len);
    path[base.len] = '\0';
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (folder < 0)
        return fault_now();
    w->folders[w->count++] = folder;
    return check_folder(folder, false);
}

static bool is_component(struct span name)
{
    return name.len > 0 && name.len <= NAME_MAX && !span_equal(name, SPAN(".")) &&
           !span_equal(name, SPAN("..")) && span_find_byte(name, '\0', 0) == name.len;
}

static enum fault walk(struct way *w, struct span rest)
{
    while (rest.len > 0) {
        struct span name;
        char text[NAME_MAX + 1];
        rest = span_split(rest, '/', &name);
        if (name.len == 0)
            continue;
        if (!is_component(name) || w->count > MAILBOX_DEPTH_MAX)
            return FAULT_MAILBOX_UNSAFE;
        memcpy(text, name.data, name.len);
        text[name.len] = '\0';
        enum fault fault =
            step(w->folders[w->count - 1], text, rest.len == 0, &w->folders[w->count]);
        if (fault != FAULT_NONE)
            return fault;
        w->count++;
    }
    return w->count > 1 ? FAULT_NONE : FAULT_MAILBOX_UNSAFE;
}

/* From the mailbox up to the base, which holds the first name that may be new. */
static enum fault sync_way(const struct way *w)
{
    for (size_t i = w->count; i-- > 0;)
        if (fsync(w->folders[i]) != 0 && errno != EINVAL)
            return fault_now();
    return FAULT_NONE;
}

static enum fault open_parts(struct mailbox *m, const struct way *w)
{
    struct stat status;
    bool is_complete = fstatat(m->folder, "cur", &status, AT_SYMLINK_NOFOLLOW) == 0;
    enum fault fault = step(m->folder, "tmp", true, &m->tmp);
    if (fault == FAULT_NONE)
        fault = step(m->folder, "new", true, &m->new);
    if (fault == FAULT_NONE && !is_complete)
        fault = sync_way(w);
    if (fault == FAULT_NONE)
        fault = step(m->folder, "cur", true, &m->cur);
    if (fault == FAULT_NONE && !is_complete && fsync(m->folder) != 0)
        fault = fault_now();
    return fault;
}

enum fault mailbox_open(struct mailbox *m, struct span path, size_t base_bytes)
{
    struct way w = {.count = 0};
    *m = (struct mailbox){-1, -1, -1, -1};
    if (path.len > MAILBOX_PATH_MAX || base_bytes == 0 || base_bytes > path.len ||
        path.data[0] != '/' || path.data[base_bytes - 1] != '/')
        return FAULT_MAILBOX_UNSAFE;
    while (path.len > base_bytes && path.data[path.len - 1] == '/')
        path.len--;
    enum fault fault = open_base(&w, span_sub(path, 0, base_bytes));
    if (fault == FAULT_NONE)
        fault = walk(&w, span_skip(path, base_bytes));
    if (fault == FAULT_NONE) {
        m->folder = fcntl(w.folders[w.count - 1], F_DUPFD_CLOEXEC, 3);
        fault = m->folder < 0 ? fault_now() : open_parts(m, &w);
    }
    way_close(&w);
    if (fault != FAULT_NONE)
        mailbox_close(m);
    return fault;
}

void mailbox_close(struct mailbox *m)
{
    int *all[] = {&m->folder, &m->tmp, &m->new, &m->cur};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (*all[i] >= 0)
            close(*all[i]);
        *all[i] = -1;
    }
}

/* Looking. ----------------------------------------------------------------------------------- */

static DIR *list_begin(int folder)
{
    int again = openat(folder, ".", FOLDER_FLAGS);
    DIR *d = again < 0 ? NULL : fdopendir(again);
    if (d == NULL && again >= 0)
        close(again);
    return d;
}

enum fault mailbox_find(int folder, struct span prefix, bool *found_out)
{
    DIR *d = list_begin(folder);
    *found_out = false;
    if (d == NULL)
        return fault_now();
    errno = 0;
    for (const struct dirent *e; !*found_out && (e = readdir(d)) != NULL;)
        *found_out = span_starts_with(span_text(e->d_name), prefix);
    enum fault fault = !*found_out && errno != 0 ? fault_now() : FAULT_NONE;
    closedir(d);
    return fault;
}

/* ",S=1234" in a name, as Maildir++ writes it, spares a look at the file. */
static uint64_t bytes_of(int folder, const char *name)
{
    struct stat status;
    struct span text = span_text(name), digits;
    size_t at = span_find(text, SPAN(",S="), 0);
    if (at < text.len) {
        digits = span_skip(text, at + 3);
        size_t len = 0;
        while (len < digits.len && digits.data[len] >= '0' && digits.data[len] <= '9')
            len++;
        uint64_t bytes;
        if (span_parse_u64(span_sub(digits, 0, len), UINT32_MAX, &bytes))
            return bytes;
    }
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
        return 0;
    return (uint64_t)status.st_size;
}

static enum fault add_files(int folder, uint64_t *bytes)
{
    DIR *d = list_begin(folder);
    if (d == NULL)
        return fault_now();
    errno = 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL; errno = 0)
        if (e->d_name[0] != '.')
            *bytes += bytes_of(folder, e->d_name);
    enum fault fault = errno != 0 ? fault_now() : FAULT_NONE;
    closedir(d);
    return fault;
}

/* Folders that cannot be opened count nothing: they are the user's. */
static void add_part(int folder, const char *name, const char *part, uint64_t *bytes)
{
    int sub = openat(folder, name, FOLDER_FLAGS);
    int files = sub < 0 ? -1 : openat(sub, part, FOLDER_FLAGS);
    if (files >= 0) {
        enum fault fault = add_files(files, bytes);
        (void)fault;
        close(files);
    }
    if (sub >= 0)
        close(sub);
}

enum fault mailbox_bytes(const struct mailbox *m, uint64_t *bytes_out)
{
    *bytes_out = 0;
    enum fault fault = add_files(m->new, bytes_out);
    if (fault == FAULT_NONE)
        fault = add_files(m->cur, bytes_out);
    DIR *d = fault == FAULT_NONE ? list_begin(m->folder) : NULL;
    if (d == NULL)
        return fault;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.' || !is_component(span_text(e->d_name)))
            continue;
        add_part(m->folder, e->d_name, "new", bytes_out);
        add_part(m->folder, e->d_name, "cur", bytes_out);
    }
    closedir(d);
    return FAULT_NONE;
}
