/*
 * route: see route.h. One allocation holds the struct, its hosts, their addresses, names and the
 * site.
 */
#include "dns/route.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Before the key of a site: what other transports reach is another site. */
static const char *const prefixes[] = {
    [ROUTE_SMTP] = "", [ROUTE_LMTP] = "lmtp:", [ROUTE_LOCAL] = "local:"};
#define PREFIX_MAX 6

/* What a host adds to the site at the most, next to its name: a colon, a port, a comma. */
#define PORT_TEXT_MAX 7

static uint16_t port_of(const struct route_host *host)
{
    return host->addresses[0].port;
}

/* By name, port and, for hosts without a name, address. */
static int compare_hosts(const struct route_host *a, const struct route_host *b)
{
    size_t shared = a->name.len < b->name.len ? a->name.len : b->name.len;
    for (size_t i = 0; i < shared; i++) {
        int difference = byte_lower(a->name.data[i]) - byte_lower(b->name.data[i]);
        if (difference != 0)
            return difference;
    }
    if (a->name.len != b->name.len)
        return a->name.len < b->name.len ? -1 : 1;
    if (port_of(a) != port_of(b))
        return port_of(a) < port_of(b) ? -1 : 1;
    if (a->name.len > 0)
        return 0;
    if (a->addresses[0].family != b->addresses[0].family)
        return a->addresses[0].family < b->addresses[0].family ? -1 : 1;
    return memcmp(a->addresses[0].ip, b->addresses[0].ip, a->addresses[0].family == 4 ? 4 : 16);
}

static int by_name(const void *a, const void *b)
{
    return compare_hosts(*(const struct route_host *const *)a,
                         *(const struct route_host *const *)b);
}

static int by_preference(const void *a, const void *b)
{
    const struct route_host *x = *(const struct route_host *const *)a;
    const struct route_host *y = *(const struct route_host *const *)b;
    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return compare_hosts(x, y);
}

struct room {
    size_t addresses, names, site;
};

static struct room room_of(const struct route_host *const *hosts, uint32_t count)
{
    struct room room = {0, 0, 0};
    for (uint32_t i = 0; i < count; i++) {
        room.addresses += hosts[i]->address_count;
        room.names += hosts[i]->name.len;
        room.site += hosts[i]->name.len + PORT_TEXT_MAX;
        if (hosts[i]->name.len == 0)
            room.site += ENDPOINT_TEXT_MAX;
    }
    room.site += PREFIX_MAX + 1; /* snprintf's NUL */
    return room;
}

static struct span copy_lower(uint8_t *to, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        to[i] = byte_lower(s.data[i]);
    return span_of(to, s.len);
}

static size_t write_host(char *text, size_t room, const struct route_host *host)
{
    char ip[ENDPOINT_TEXT_MAX];
    int wrote;
    if (host->name.len > 0)
        wrote = snprintf(text, room, "%.*s:%u", SPAN_PRINT(host->name), (unsigned)port_of(host));
    else
        wrote = snprintf(text, room, "%.*s", SPAN_PRINT(endpoint_format(host->addresses[0], ip)));
    check(wrote > 0 && (size_t)wrote < room);
    return (size_t)wrote;
}

static struct span write_site(enum route_transport transport, char *text, size_t room,
                              const struct route_host *const *hosts, uint32_t count)
{
    size_t len = strlen(prefixes[transport]);
    memcpy(text, prefixes[transport], len);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && compare_hosts(hosts[i], hosts[i - 1]) == 0)
            continue;
        if (i > 0)
            text[len++] = ',';
        len += write_host(text + len, room - len, hosts[i]);
    }
    return copy_lower((uint8_t *)text, span_of(text, len));
}

static struct route *build(enum route_transport transport, const struct route_host **hosts,
                           uint32_t count)
{
    struct room room = room_of(hosts, count);
    struct route *r =
        calloc(1, sizeof *r + count * sizeof(struct route_host) +
                      room.addresses * sizeof(struct endpoint) + room.names + room.site);
    if (r == NULL)
        return NULL;
    struct route_host *copies = (struct route_host *)(r + 1);
    struct endpoint *addresses = (struct endpoint *)(copies + count);
    uint8_t *names = (uint8_t *)(addresses + room.addresses);

    qsort(hosts, count, sizeof(struct route_host *), by_preference);
    for (uint32_t i = 0; i < count; i++) {
        copies[i] = *hosts[i];
        copies[i].addresses = addresses;
        copies[i].name = copy_lower(names, hosts[i]->name);
        memcpy(addresses, hosts[i]->addresses, hosts[i]->address_count * sizeof *addresses);
        addresses += hosts[i]->address_count;
        names += hosts[i]->name.len;
    }
    qsort(hosts, count, sizeof(struct route_host *), by_name);
    r->transport = transport;
    r->site = write_site(transport, (char *)names, room.site, hosts, count);
    r->hosts = copies;
    r->host_count = count;
    atomic_init(&r->references, 1);
    return r;
}

struct route *route_new_by(enum route_transport transport, enum route_tls tls,
                           const struct route_host *hosts, uint32_t count)
{
    const struct route_host **used = calloc(count == 0 ? 1 : count, sizeof *used);
    if (used == NULL)
        return NULL;
    uint32_t used_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (hosts[i].address_count > 0)
            used[used_count++] = &hosts[i];
    struct route *r = used_count == 0 ? NULL : build(transport, used, used_count);
    if (r != NULL)
        r->tls = tls;
    free(used);
    return r;
}

struct route *route_new(const struct route_host *hosts, uint32_t count)
{
    return route_new_by(ROUTE_SMTP, ROUTE_TLS_MAY, hosts, count);
}

struct route *route_new_to_path(enum route_transport transport, struct span path)
{
    check(path.len > 0 && transport != ROUTE_SMTP);
    size_t prefix_len = strlen(prefixes[transport]);
    struct route *r = calloc(1, sizeof *r + sizeof(struct route_host) + sizeof(struct endpoint) +
                                    prefix_len + path.len);
    if (r == NULL)
        return NULL;
    struct route_host *host = (struct route_host *)(r + 1);
    struct endpoint *address = (struct endpoint *)(host + 1);
    uint8_t *text = (uint8_t *)(address + 1);
    memcpy(text, prefixes[transport], prefix_len);
    memcpy(text + prefix_len, path.data, path.len);
    r->transport = transport;
    r->tls = ROUTE_TLS_NEVER;
    r->site = span_of(text, prefix_len + path.len);
    r->socket_path = span_skip(r->site, prefix_len);
    *host = (struct route_host){.name = r->socket_path, .address_count = 1, .addresses = address};
    r->hosts = host;
    r->host_count = 1;
    atomic_init(&r->references, 1);
    return r;
}

struct route *route_retain(struct route *r)
{
    atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
    return r;
}

void route_release(struct route *r)
{
    if (r == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel);
    check(before > 0);
    if (before == 1)
        free(r);
}
