#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "arguments.h"

/* Longer than somaxconn on any machine: the kernel cuts it down to what it permits. */
#define BACKLOG 65535

static bool parse_port(const char *text, in_port_t *port_out)
{
    char *end = NULL;
    unsigned long port = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || port > UINT16_MAX)
        return false;
    *port_out = htons((uint16_t)port);
    return true;
}

bool net_parse(const char *text, struct endpoint *endpoint_out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&endpoint_out->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&endpoint_out->address;
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN];
    size_t length = colon == NULL ? 0 : (size_t)(colon - text);

    memset(endpoint_out, 0, sizeof *endpoint_out);
    if (length == 0 || length >= sizeof host)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    if (host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        v6->sin6_family = AF_INET6;
        endpoint_out->length = sizeof *v6;
        return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1 &&
               parse_port(colon + 1, &v6->sin6_port);
    }
    v4->sin_family = AF_INET;
    endpoint_out->length = sizeof *v4;
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1 && parse_port(colon + 1, &v4->sin_port);
}

static int open_socket(const struct endpoint *endpoint)
{
    return socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int net_listen(const struct endpoint *endpoint)
{
    int fd = open_socket(endpoint);
    int on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&endpoint->address, endpoint->length) != 0 ||
        listen(fd, BACKLOG) != 0)
        die("cannot listen: %s", strerror(errno));
    return fd;
}

int net_connect(const struct endpoint *endpoint)
{
    int fd = open_socket(endpoint);

    if (fd < 0)
        return -1;
    net_no_delay(fd);
    if (connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->length) != 0 &&
        errno != EINPROGRESS) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

void net_raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* without it a run of many sessions says so itself */
}

int net_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        return errno;
    return error;
}

void net_no_delay(int fd)
{
    int on = 1;

    /* It can only fail on a socket that is dead already; the next read tells. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}
