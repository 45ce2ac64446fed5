/*
 * attempts: in which order the addresses of a route are tried.
 */
#include "deliver/connection.h"

static uint32_t draw(struct loop *l, uint32_t below)
{
    uint32_t value;
    loop_random(l, &value, sizeof value);
    return value % below;
}

static void shuffle(struct loop *l, struct attempt *attempts, uint32_t count)
{
    for (uint32_t left = count; left > 1; left--) {
        uint32_t other = draw(l, left);
        struct attempt last = attempts[left - 1];
        attempts[left - 1] = attempts[other];
        attempts[other] = last;
    }
}

/* Hosts of one preference are shuffled; the addresses of a host stay together, in the order in
   which DNS gave them. */
uint32_t attempts_order(struct loop *l, const struct route *route, uint32_t max,
                        struct attempt out[CONNECTION_ATTEMPTS_MAX])
{
    struct attempt hosts[CONNECTION_ATTEMPTS_MAX];
    uint32_t host_count = 0, count = 0;
    for (uint32_t from = 0; from < route->host_count && host_count < CONNECTION_ATTEMPTS_MAX;) {
        uint32_t begin = host_count;
        uint16_t preference = route->hosts[from].preference;
        for (; from < route->host_count && route->hosts[from].preference == preference; from++)
            if (host_count < CONNECTION_ATTEMPTS_MAX)
                hosts[host_count++] = (struct attempt){(uint16_t)from, 0};
        shuffle(l, hosts + begin, host_count - begin);
    }
    max = max < CONNECTION_ATTEMPTS_MAX ? max : CONNECTION_ATTEMPTS_MAX;
    for (uint32_t i = 0; i < host_count; i++)
        for (uint16_t a = 0; a < route->hosts[hosts[i].host].address_count && count < max; a++)
            out[count++] = (struct attempt){hosts[i].host, a};
    return count;
}

uint32_t attempts_find(const struct route *route, struct endpoint peer,
                       const struct attempt *attempts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (endpoint_equal(route->hosts[attempts[i].host].addresses[attempts[i].address], peer))
            return i;
    return count;
}

void attempts_defer_silent(const struct silence *s, int64_t now_us, const struct route *route,
                           struct attempt *attempts, uint32_t count)
{
    struct attempt last[CONNECTION_ATTEMPTS_MAX];
    uint32_t kept = 0, silent = 0;
    if (s->count == 0)
        return; /* as nearly always */
    for (uint32_t i = 0; i < count; i++) {
        struct attempt a = attempts[i];
        if (silence_has(s, route->hosts[a.host].addresses[a.address], now_us))
            last[silent++] = a;
        else
            attempts[kept++] = a;
    }
    for (uint32_t i = 0; i < silent; i++)
        attempts[kept + i] = last[i];
}

void attempts_prefer(struct attempt *attempts, uint32_t number)
{
    struct attempt found = attempts[number];
    for (; number > 0; number--)
        attempts[number] = attempts[number - 1];
    attempts[0] = found;
}
