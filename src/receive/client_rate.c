#include "receive/client_rate.h"

#include <stdlib.h>
#include <string.h>

#include "receive/client_limit.h"

#define MINUTE_US         INT64_C(60000000)
#define FORGOTTEN_AT_ONCE 2 /* so that each call does little, and the list keeps up */

/* `full_us`: when the bucket will be full again, if nothing more is taken. It is empty when that is
 * a minute away. */
struct client {
    uint8_t key[CLIENT_KEY_BYTES];
    struct list node;
    int64_t full_us[RATE_COUNT];
};

static struct span key_of(const void *object)
{
    const struct client *c = object;
    return span_of(c->key, CLIENT_KEY_BYTES);
}

void client_rates_init(struct client_rates *r, uint64_t secret)
{
    map_init(&r->clients, key_of, secret);
    list_init(&r->by_time);
}

static void forget(struct client_rates *r, struct client *c)
{
    (void)map_remove(&r->clients, key_of(c));
    list_remove(&c->node);
    free(c);
}

void client_rates_fini(struct client_rates *r)
{
    list_each(node, &r->by_time) forget(r, container_of(node, struct client, node));
    map_fini(&r->clients);
}

static struct client *find(const struct client_rates *r, struct endpoint client)
{
    uint8_t key[CLIENT_KEY_BYTES];
    client_key(client, key);
    return map_get(&r->clients, span_of(key, CLIENT_KEY_BYTES));
}

static bool is_full(const struct client *c, int64_t now_us)
{
    for (int i = 0; i < RATE_COUNT; i++)
        if (c->full_us[i] > now_us)
            return false;
    return true;
}

static void forget_some(struct client_rates *r, int64_t now_us)
{
    for (int i = 0; i < FORGOTTEN_AT_ONCE && !list_empty(&r->by_time); i++) {
        struct client *oldest = container_of(r->by_time.next, struct client, node);
        if (r->clients.count < CLIENT_RATES_MAX && !is_full(oldest, now_us))
            return;
        forget(r, oldest);
    }
}

static struct client *add(struct client_rates *r, struct endpoint client)
{
    struct client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    client_key(client, c->key);
    list_init(&c->node);
    if (map_put(&r->clients, c))
        return c;
    free(c);
    return NULL;
}

bool client_rate_is_over(const struct client_rates *r, struct endpoint client, enum rate rate,
                         uint32_t per_minute, int64_t now_us)
{
    if (per_minute == 0)
        return false;
    const struct client *c = find(r, client);
    return c != NULL && c->full_us[rate] + MINUTE_US / per_minute > now_us + MINUTE_US;
}

void client_rate_count(struct client_rates *r, struct endpoint client, enum rate rate,
                       uint32_t per_minute, int64_t now_us)
{
    if (per_minute == 0)
        return;
    struct client *c = find(r, client);
    if (c == NULL) {
        forget_some(r, now_us);
        c = add(r, client);
    }
    if (c == NULL)
        return;
    list_remove(&c->node);
    list_append(&r->by_time, &c->node);
    if (c->full_us[rate] < now_us)
        c->full_us[rate] = now_us;
    c->full_us[rate] += MINUTE_US / per_minute;
}
