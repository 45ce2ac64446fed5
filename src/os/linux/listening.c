#include "os/listening.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/address.h"

#define BACKLOG 1024 /* cut by net.core.somaxconn */

/* IPv6 alone: "[::]:25" then leaves 0.0.0.0:25 to a listener of its own, as written. */
int listening_open(struct endpoint at)
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

static bool address_of(const char *path, struct sockaddr_un *address_out)
{
    *address_out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address_out->sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(address_out->sun_path, path);
    return true;
}

/* The mask makes the mode; nobody can be quicker than the owner's change. */
int listening_open_path(const char *path, uid_t owner, gid_t group)
{
    struct sockaddr_un address;
    if (!address_of(path, &address))
        return -1;
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask = umask(0117);
    bool ok = s >= 0 && bind(s, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(mask);
    if (ok && (owner != (uid_t)-1 || group != (gid_t)-1))
        ok = lchown(path, owner, group) == 0;
    if (ok && listen(s, BACKLOG) == 0)
        return s;
    int error = errno;
    if (s >= 0)
        close(s);
    errno = error;
    return -1;
}

bool listening_is_answered(const char *path)
{
    struct sockaddr_un address;
    if (!address_of(path, &address))
        return false;
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = s >= 0 && connect(s, (const struct sockaddr *)&address, sizeof address) == 0;
    if (s >= 0)
        close(s);
    return answers;
}

bool folder_make(const char *path, mode_t mode, uid_t owner, gid_t group)
{
    if (mkdir(path, mode) != 0)
        return errno == EEXIST;
    return geteuid() != 0 || chown(path, owner, group) == 0;
}

bool folder_make_parent(const char *path, mode_t mode, uid_t owner, gid_t group)
{
    char folder[PATH_MAX];
    const char *end = strrchr(path, '/');
    size_t len = end == NULL ? 0 : (size_t)(end - path);
    if (len == 0 || len >= sizeof folder)
        return len == 0;
    memcpy(folder, path, len);
    folder[len] = '\0';
    return folder_make(folder, mode, owner, group);
}

void folder_sync_parent(const char *path)
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
