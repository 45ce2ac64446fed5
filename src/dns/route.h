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

/* How the hosts are spoken to. */
enum route_transport {
    ROUTE_SMTP,
    ROUTE_LMTP, /* RFC 2033 */
    ROUTE_LOCAL /* not over the network: the agent delivers. Its hosts are only a name for the log
                 */
};

/* Whether mail may travel in clear. */
enum route_tls {
    ROUTE_TLS_MAY,  /* under TLS where it is offered and works; any certificate (RFC 7435) */
    ROUTE_TLS_MUST, /* only under TLS, with a certificate that is valid for the host's name */
    ROUTE_TLS_NEVER
};

struct route {
    _Atomic uint32_t references;
    enum route_transport transport;
    enum route_tls tls;
    struct span socket_path; /* of a Unix socket; then there is one host, which has this name and
                                one address, of family 0. Else empty */
    uint32_t host_count;     /* at least 1; sorted by preference, then by name */
    const struct route_host *hosts;
    struct span site; /* the key: "name:port" or "ip:port" of each host, sorted, joined by commas;
                         before it "lmtp:" or "local:" when it is not SMTP */
};

struct route *route_retain(struct route *r);
void route_release(struct route *r);

/* To hosts by SMTP, TLS where it is offered. Copies everything, names in lower case; hosts in any
   order. A host without address is left out. NULL: no memory, or no host has an address. */
struct route *route_new(const struct route_host *hosts, uint32_t count);
/* As route_new. */
struct route *route_new_by(enum route_transport transport, enum route_tls tls,
                           const struct route_host *hosts, uint32_t count);
/* To a Unix socket by LMTP, or to something local that `path` names: as it is, not in lower case.
 */
struct route *route_new_to_path(enum route_transport transport, struct span path);

#endif
