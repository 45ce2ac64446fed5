/*
 * client_limit: how many sessions each client has open.
 *
 * A client is an IPv4 address or an IPv6 network of 64 bits, since one customer has all of it. Owns
 * a few bytes for each client that has a session, none for the others. One worker's thread.
 */
#ifndef RECEIVE_CLIENT_LIMIT_H
#define RECEIVE_CLIENT_LIMIT_H

#include "base/fault.h"
#include "base/map.h"
#include "os/socket.h"

#define CLIENT_KEY_BYTES 9 /* the family; what is known of the address, then zeros */

void client_key(struct endpoint client, uint8_t key_out[CLIENT_KEY_BYTES]);

struct client_limit {
    struct map clients;
    uint32_t sessions_max; /* of one client */
};

void client_limit_init(struct client_limit *l, uint32_t sessions_max, uint64_t secret);
void client_limit_fini(struct client_limit *l);
/* One session more: LIMIT when there are as many as may be, NO_MEMORY. */
must_use enum fault client_limit_take(struct client_limit *l, struct endpoint client);
void client_limit_give(struct client_limit *l, struct endpoint client); /* one that was taken */

#endif
