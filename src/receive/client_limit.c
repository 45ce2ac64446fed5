#include "receive/client_limit.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct client {
    uint8_t key[CLIENT_KEY_BYTES];
    uint32_t sessions;
};

static struct span key_of(const void *object)
{
    const struct client *c = object;
    return span_of(c->key, CLIENT_KEY_BYTES);
}

void client_key(struct endpoint client, uint8_t key_out[CLIENT_KEY_BYTES])
{
    memset(key_out, 0, CLIENT_KEY_BYTES);
    key_out[0] = client.family;
    if (client.family != 0)
        memcpy(key_out + 1, client.ip, client.family == 4 ? 4 : 8);
}

void client_limit_init(struct client_limit *l, uint32_t sessions_max, uint64_t secret)
{
    l->sessions_max = sessions_max;
    map_init(&l->clients, key_of, secret);
}

void client_limit_fini(struct client_limit *l)
{
    size_t at = 0;
    for (struct client *c; (c = map_next(&l->clients, &at)) != NULL;)
        free(c);
    map_fini(&l->clients);
}

static struct client *add(struct client_limit *l, const uint8_t key[CLIENT_KEY_BYTES])
{
    struct client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    memcpy(c->key, key, CLIENT_KEY_BYTES);
    if (map_put(&l->clients, c))
        return c;
    free(c);
    return NULL;
}

enum fault client_limit_take(struct client_limit *l, struct endpoint client)
{
    uint8_t key[CLIENT_KEY_BYTES];
    client_key(client, key);
    if (l->sessions_max == 0)
        return FAULT_LIMIT;
    struct client *c = map_get(&l->clients, span_of(key, CLIENT_KEY_BYTES));
    if (c == NULL)
        c = add(l, key);
    if (c == NULL)
        return FAULT_NO_MEMORY;
    if (c->sessions >= l->sessions_max)
        return FAULT_LIMIT;
    c->sessions++;
    return FAULT_NONE;
}

void client_limit_give(struct client_limit *l, struct endpoint client)
{
    uint8_t key[CLIENT_KEY_BYTES];
    client_key(client, key);
    struct client *c = map_get(&l->clients, span_of(key, CLIENT_KEY_BYTES));
    check(c != NULL && c->sessions > 0);
    if (--c->sessions > 0)
        return;
    (void)map_remove(&l->clients, span_of(key, CLIENT_KEY_BYTES));
    free(c);
}
