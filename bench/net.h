/*
 * net: numeric addresses and non-blocking TCP sockets. Names are never looked up: what is measured
 * is on loopback, and a resolver would be part of the measurement.
 */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stdbool.h>
#include <sys/socket.h>

struct endpoint {
    struct sockaddr_storage address;
    socklen_t length;
};

/* "127.0.0.1:25" or "[::1]:25"; false if it is neither. */
bool net_parse(const char *text, struct endpoint *endpoint_out);

/* A listening, non-blocking socket; dies with the reason if the address cannot be had. */
int net_listen(const struct endpoint *endpoint);

/* A non-blocking socket whose connection is under way, or -1 with errno set. The outcome is told
 * by the first event on the descriptor and net_error(). */
int net_connect(const struct endpoint *endpoint);

/* As many descriptors as the system permits this process. */
void net_raise_limit(void);

/* The pending error of a socket (0: none); reading clears it. */
int net_error(int fd);

/* No Nagle: a bench measures the server, not the 40 ms of a delayed acknowledgement. */
void net_no_delay(int fd);

#endif
