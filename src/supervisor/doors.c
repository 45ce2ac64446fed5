#include "supervisor/doors.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "os/listening.h"

static int sorry(struct buffer *why, int code, const char *what, const char *name)
{
    (void)!buffer_printf(why, "postrider: %s %s: %s\n", what, name, strerror(errno));
    return code;
}

/* Listening ------------------------------------------------------------------------------------ */

static int listen_or_say(struct endpoint at, int *listener_out, struct buffer *why)
{
    char text[ENDPOINT_TEXT_MAX];
    *listener_out = listening_open(at);
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

static int open_spool(const struct rehearsal_result *w, struct buffer *why)
{
    struct stat status;
    if (!folder_make(w->spool, 0700, w->uid, w->gid))
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
    folder_sync_parent(w->spool);
    return 0;
}

/* The control socket --------------------------------------------------------------------------- */

/* Who may connect is decided by its mode and owners first; by the engine, for each peer, again. */
static int open_control(struct doors *d, const struct rehearsal_result *w, struct buffer *why)
{
    bool is_root = geteuid() == 0;
    if (listening_is_answered(w->control)) {
        errno = EADDRINUSE;
        return sorry(why, EX_UNAVAILABLE, "another postrider runs with the control socket",
                     w->control);
    }
    if (!folder_make_parent(w->control, 0755, w->uid, w->gid))
        return sorry(why, EX_CANTCREAT, "cannot make the folder of the control socket", w->control);
    (void)unlink(w->control); /* of a life that is over */
    d->control = listening_open_path(w->control, is_root ? w->uid : (uid_t)-1,
                                     w->has_control_group ? w->control_gid
                                     : is_root            ? w->gid
                                                          : (gid_t)-1);
    if (d->control < 0)
        return sorry(why, errno == ENAMETOOLONG ? EX_CONFIG : EX_CANTCREAT,
                     "cannot make the control socket", w->control);
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
