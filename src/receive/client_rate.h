/*
 * client_rate: how often each client does something, held to so many times a minute.
 *
 * A client is what it is in client_limit. For each thing it has a bucket that holds a minute's
 * worth and fills again evenly; a client whose buckets are full is forgotten. Memory is bounded:
 * beyond CLIENT_RATES_MAX the one that came longest ago is forgotten, whatever it had left, and
 * without memory all may. So it holds back those that come often; it does not prove anything about
 * a crowd. One worker's thread.
 */
#ifndef RECEIVE_CLIENT_RATE_H
#define RECEIVE_CLIENT_RATE_H

#include "base/list.h"
#include "base/map.h"
#include "os/socket.h"

#define CLIENT_RATES_MAX 20000 /* clients remembered, of one worker: 2 MiB */

enum rate { RATE_SESSIONS, RATE_MESSAGES, RATE_COUNT };

struct client_rates {
    struct map clients;
    struct list by_time; /* who came longest ago first */
};

void client_rates_init(struct client_rates *r, uint64_t secret);
void client_rates_fini(struct client_rates *r);
/* per_minute 0: as often as it likes. Has it been there too often by now? */
bool client_rate_is_over(const struct client_rates *r, struct endpoint client, enum rate rate,
                         uint32_t per_minute, int64_t now_us);
/* Once more. */
void client_rate_count(struct client_rates *r, struct endpoint client, enum rate rate,
                       uint32_t per_minute, int64_t now_us);

#endif
