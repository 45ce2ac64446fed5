#include "supervisor/doors.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
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

static int sorry(int code, const char *what, const char *name)
{
    fprintf(stderr, "postrider: %s %s: %s\n", what, name, strerror(errno));
    return code;
}

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

static int open_listeners(struct doors *d, const struct settings *settings)
{
    for (uint32_t i = 0; i < settings->listener_count && i < CONFIG_LISTENERS_MAX; i++) {
        char text[ENDPOINT_TEXT_MAX];
        int s = listen_at(settings->listeners[i]);
        if (s < 0) {
            struct span name = endpoint_format(settings->listeners[i], text);
            fprintf(stderr, "postrider: cannot listen on %.*s: %s\n", SPAN_PRINT(name),
                    strerror(errno));
            return errno == EADDRINUSE ? EX_UNAVAILABLE : EX_OSERR;
        }
        d->listeners[d->listener_count++] = s;
    }
    return 0;
}

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
static int open_spool(const struct settings *settings)
{
    struct stat status;
    if (mkdir(settings->spool, 0700) != 0 && errno != EEXIST)
        return sorry(EX_CANTCREAT, "cannot make the spool", settings->spool);
    if (stat(settings->spool, &status) != 0 || !S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return sorry(EX_CANTCREAT, "the spool", settings->spool);
    }
    if ((status.st_mode & 022) != 0) {
        fprintf(stderr, "postrider: the spool %s can be written by others; chmod go-w it first\n",
                settings->spool);
        return EX_NOPERM;
    }
    sync_parent(settings->spool);
    return 0;
}

static bool somebody_answers(const struct sockaddr_un *address)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = s >= 0 && connect(s, (const struct sockaddr *)address, sizeof *address) == 0;
    if (s >= 0)
        close(s);
    return answers;
}

static int open_control(struct doors *d, const struct settings *settings)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(settings->control) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return sorry(EX_CONFIG, "the control socket", settings->control);
    }
    strcpy(address.sun_path, settings->control);
    if (somebody_answers(&address)) {
        errno = EADDRINUSE;
        return sorry(EX_UNAVAILABLE, "another postrider runs with the control socket",
                     settings->control);
    }
    (void)unlink(settings->control); /* of a life that is over */
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return sorry(EX_OSERR, "the control socket", settings->control);
    mode_t mask = umask(0117);
    bool is_bound = bind(s, (struct sockaddr *)&address, sizeof address) == 0;
    umask(mask);
    if (!is_bound || listen(s, BACKLOG) != 0) {
        int code = sorry(EX_CANTCREAT, "cannot make the control socket", settings->control);
        close(s);
        return code;
    }
    d->control = s;
    return 0;
}

static void add_own(struct doors *d, struct endpoint e)
{
    e.port = 0;
    if (d->own_count < DOORS_ADDRESSES_MAX)
        d->own[d->own_count++] = e;
}

static bool is_any(struct endpoint e)
{
    static const uint8_t zeros[16] = {0};
    return memcmp(e.ip, zeros, sizeof zeros) == 0;
}

static struct endpoint interface_address(const struct sockaddr *address)
{
    struct sockaddr_storage storage = {0};
    bool is_ipv6 = address->sa_family == AF_INET6;
    if (!is_ipv6 && address->sa_family != AF_INET)
        return (struct endpoint){0};
    memcpy(&storage, address, is_ipv6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    return address_decode(&storage);
}

/* Of all interfaces; the loopback's are left out, since MX records with them are somebody's mistake
   and not us. */
static void add_interfaces(struct doors *d, uint8_t family)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *a = all; a != NULL; a = a->ifa_next) {
        if (a->ifa_addr == NULL || (a->ifa_flags & IFF_LOOPBACK) != 0)
            continue;
        struct endpoint e = interface_address(a->ifa_addr);
        if (e.family == family)
            add_own(d, e);
    }
    freeifaddrs(all);
}

static void find_own(struct doors *d, const struct settings *settings)
{
    for (uint32_t i = 0; i < settings->listener_count; i++) {
        struct endpoint e = settings->listeners[i];
        if (is_any(e))
            add_interfaces(d, e.family);
        else
            add_own(d, e);
    }
}

int doors_open(struct doors *d, const struct settings *settings)
{
    *d = (struct doors){.control = -1};
    int code = open_listeners(d, settings);
    if (code == 0)
        code = open_spool(settings);
    if (code == 0)
        code = open_control(d, settings);
    if (code == 0)
        find_own(d, settings);
    else
        doors_close(d, settings);
    return code;
}

void doors_close(struct doors *d, const struct settings *settings)
{
    for (uint32_t i = 0; i < d->listener_count; i++)
        close(d->listeners[i]);
    if (d->control >= 0) {
        close(d->control);
        (void)unlink(settings->control);
    }
    *d = (struct doors){.control = -1};
}
