#include "supervisor/doors.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "os/address.h"

#define BACKLOG 1024 /* cut by net.core.somaxconn */

static int sorry(struct buffer *why, int code, const char *what, const char *name)
{
    (void)!buffer_printf(why, "postrider: %s %s: %s\n", what, name, strerror(errno));
    return code;
}

/* Listening ------------------------------------------------------------------------------------ */

/* IPv6 alone: "[::]:25" then leaves 0.0.0.0:25 to a listener of its own, as written. */
static int listen_at(struct endpoint at)
{
    struct sockaddr_storage address;
    socklen_t len = address_encode(at, &address);
    int one = 1;
    int s = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return -1;
    (void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (at.family == 6)
        (void)setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&address, len) != 0 || listen(s, BACKLOG) != 0) {
        int error = errno;
        close(s);
        errno = error;
        return -1;
    }
    return s;
}

static int listen_or_say(struct endpoint at, int *listener_out, struct buffer *why)
{
    char text[ENDPOINT_TEXT_MAX];
    *listener_out = listen_at(at);
    if (*listener_out >= 0)
        return 0;
    const char *help = errno == EADDRINUSE ? "; another server has this port"
                       : errno == EACCES   ? "; ports below 1024 need root"
                                           : "";
    (void)!buffer_printf(why, "postrider: cannot listen on %.*s: %s%s\n",
                         SPAN_PRINT(endpoint_format(at, text)), strerror(errno), help);
    return errno == EADDRINUSE ? EX_UNAVAILABLE : errno == EACCES ? EX_NOPERM : EX_OSERR;
}

static int find(const struct doors *d, struct endpoint at)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (endpoint_equal(d->at[i], at))
            return d->listeners[i];
    return -1;
}

/* Those of `from` that `other` has not. */
static void close_others(const struct doors *from, const struct doors *other)
{
    for (uint32_t i = 0; i < from->count; i++)
        if (find(other, from->at[i]) < 0)
            close(from->listeners[i]);
}

int doors_renew(struct doors *d, const struct rehearsal_result *wanted, struct buffer *why)
{
    struct doors next = *d;
    next.count = 0;
    for (uint32_t i = 0; i < wanted->listener_count; i++) {
        struct endpoint at = wanted->listeners[i];
        int listener = find(d, at);
        int code = listener >= 0 ? 0 : listen_or_say(at, &listener, why);
        if (code != 0) {
            close_others(&next, d);
            return code;
        }
        next.at[next.count] = at;
        next.listeners[next.count++] = listener;
    }
    close_others(d, &next);
    *d = next;
    return 0;
}

/* Folders -------------------------------------------------------------------------------------- */

/* What is synced in a folder is lost with it when the folder's own name was not durable, whoever
   made it. A parent that may not be read is left alone. */
static void sync_parent(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int parent = folder < 0 ? -1 : openat(folder, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent >= 0) {
        (void)fsync(parent);
        close(parent);
    }
    if (folder >= 0)
        close(folder);
}

/* The last folder of the path is made; whoever gives another place has made the rest. */
static bool make_folder(const char *path, mode_t mode, const struct rehearsal_result *owner)
{
    if (mkdir(path, mode) != 0)
        return errno == EEXIST;
    return geteuid() != 0 || chown(path, owner->uid, owner->gid) == 0;
}

static int open_spool(const struct rehearsal_result *w, struct buffer *why)
{
    struct stat status;
    if (!make_folder(w->spool, 0700, w))
        return sorry(why, EX_CANTCREAT, "cannot make the spool", w->spool);
    if (stat(w->spool, &status) != 0 || !S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return sorry(why, EX_CANTCREAT, "the spool", w->spool);
    }
    if (status.st_uid != w->uid) {
        (void)!buffer_printf(why,
                             "postrider: the spool %s belongs to the user %u, not to %s (%u); "
                             "'chown -R %s %s' gives it over\n",
                             w->spool, status.st_uid, w->user, w->uid, w->user, w->spool);
        return EX_NOPERM;
    }
    if ((status.st_mode & 022) != 0) {
        (void)!buffer_printf(
            why, "postrider: the spool %s can be written by others; chmod go-w it first\n",
            w->spool);
        return EX_NOPERM;
    }
    sync_parent(w->spool);
    return 0;
}

/* The control socket --------------------------------------------------------------------------- */

static bool somebody_answers(const struct sockaddr_un *address)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = s >= 0 && connect(s, (const struct sockaddr *)address, sizeof *address) == 0;
    if (s >= 0)
        close(s);
    return answers;
}

static bool make_control_folder(const struct rehearsal_result *w)
{
    char folder[REHEARSAL_CONTROL_MAX];
    memcpy(folder, w->control, sizeof folder);
    char *end = strrchr(folder, '/');
    *end = '\0';
    return end == folder || make_folder(folder, 0755, w);
}

/* Who may connect is decided by its mode and owners first; by the engine, for each peer, again. */
static int bind_control(const struct sockaddr_un *address, const struct rehearsal_result *w)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    gid_t group = w->has_control_group ? w->control_gid : w->gid;
    mode_t mask = umask(0117);
    bool ok = s >= 0 && bind(s, (const struct sockaddr *)address, sizeof *address) == 0;
    umask(mask);
    uid_t owner = geteuid() == 0 ? w->uid : (uid_t)-1;
    if (ok && (geteuid() == 0 || w->has_control_group))
        ok = lchown(address->sun_path, owner, group) == 0;
    if (ok && listen(s, BACKLOG) == 0)
        return s;
    int error = errno;
    if (s >= 0)
        close(s);
    errno = error;
    return -1;
}

static int open_control(struct doors *d, const struct rehearsal_result *w, struct buffer *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(w->control) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return sorry(why, EX_CONFIG, "the control socket", w->control);
    }
    strcpy(address.sun_path, w->control);
    if (somebody_answers(&address)) {
        errno = EADDRINUSE;
        return sorry(why, EX_UNAVAILABLE, "another postrider runs with the control socket",
                     w->control);
    }
    if (!make_control_folder(w))
        return sorry(why, EX_CANTCREAT, "cannot make the folder of the control socket", w->control);
    (void)unlink(w->control); /* of a life that is over */
    d->control = bind_control(&address, w);
    if (d->control < 0)
        return sorry(why, EX_CANTCREAT, "cannot make the control socket", w->control);
    memcpy(d->control_path, w->control, sizeof d->control_path);
    return 0;
}

int doors_open(struct doors *d, const struct rehearsal_result *wanted, struct buffer *why)
{
    *d = (struct doors){.control = -1};
    int code = doors_renew(d, wanted, why);
    if (code == 0)
        code = open_spool(wanted, why);
    if (code == 0)
        code = open_control(d, wanted, why);
    if (code != 0)
        doors_close(d);
    return code;
}

void doors_close(struct doors *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        close(d->listeners[i]);
    if (d->control >= 0) {
        close(d->control);
        (void)unlink(d->control_path);
    }
    *d = (struct doors){.control = -1};
}
