/*
 * route: the hosts that take mail for a domain, in the order to be tried: immutable and counted.
 */
#ifndef DNS_ROUTE_H
#define DNS_ROUTE_H

#include "base/span.h"
#include "os/socket.h"

struct route_host {
    struct span name; /* lower case, no final dot; empty for an address literal, which has one */
    uint16_t preference;
    uint16_t address_count;
    const struct endpoint *addresses;
};

struct route {
    _Atomic uint32_t references;
    uint32_t host_count; /* at least 1; sorted by preference, then by name */
    const struct route_host *hosts;
    struct span site; /* the key: "name:port" or "ip:port" of each host, sorted, joined by commas */
};

struct route *route_retain(struct route *r);
void route_release(struct route *r);

/* Copies everything, names in lower case; hosts in any order. A host without address is left out.
   NULL: no memory, or no host has an address. */
struct route *route_new(const struct route_host *hosts, uint32_t count);

#endif
