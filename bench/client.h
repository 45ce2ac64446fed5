/*
 * client: one SMTP session of the generator, from connect to QUIT, over and over.
 *
 * Owns its socket. Reads replies of any split; sends MAIL, RCPT and DATA in one group when
 * pipelining is asked for and offered (RFC 2920), each after the last reply otherwise; content by
 * DATA, or by one BDAT ... LAST (RFC 3030) that rides in the same group.
 *
 * The states, each named for what is awaited:
 *
 *   OFF -> CONNECTING -> GREETING -> EHLO -> IDLE <-> MAIL -> RCPT -> DATA -> DOT -> (next message)
 *                                                  a refusal before the dot: -> RSET -> (next)
 *                                                  nothing left to send:     -> QUIT -> OFF
 *   Any state -> OFF when the connection is lost.
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdint.h>

#include "load.h"

/* Dies when memory is out. */
struct client *client_new(struct load *load);
void client_free(struct client *client);

/* Begins to connect; only when there is no connection. */
void client_connect(struct client *client);

/* What epoll reported for this session's socket. */
void client_on_event(struct client *client, uint32_t events);

/* A parked session may ask for a message again, or is to quit because the run ends. */
void client_wake(struct client *client);

/* Intrusive link for the load's lists (parked, waiting to reconnect), and when to reconnect. */
struct client_link {
    struct client *next;
    uint64_t reconnect_at_ns;
    unsigned failures; /* in a row, for the back-off */
};

struct client_link *client_link(struct client *client);

#endif
