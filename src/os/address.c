/*
 * address: see address.h.
 */
#include "os/address.h"

#include <netinet/in.h>
#include <string.h>

#include "base/check.h"

struct endpoint address_decode(const struct sockaddr_storage *address)
{
    struct endpoint e = {0};
    if (address->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        e.family = 4;
        e.port = ntohs(in.sin_port);
        memcpy(e.ip, &in.sin_addr, 4);
    } else if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
        e.family = is_mapped ? 4 : 6;
        e.port = ntohs(in6.sin6_port);
        memcpy(e.ip, in6.sin6_addr.s6_addr + (is_mapped ? 12 : 0), is_mapped ? 4 : 16);
    }
    return e;
}

socklen_t address_encode(struct endpoint e, struct sockaddr_storage *address_out)
{
    check(e.family == 4 || e.family == 6);
    memset(address_out, 0, sizeof *address_out);
    if (e.family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(e.port)};
        memcpy(&in.sin_addr, e.ip, 4);
        memcpy(address_out, &in, sizeof in);
        return sizeof in;
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(e.port)};
    memcpy(&in6.sin6_addr, e.ip, 16);
    memcpy(address_out, &in6, sizeof in6);
    return sizeof in6;
}
