#include "os/interface.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "os/address.h"

static struct endpoint interface_address(const struct sockaddr *address)
{
    struct sockaddr_storage storage = {0};
    bool is_ipv6 = address->sa_family == AF_INET6;
    if (!is_ipv6 && address->sa_family != AF_INET)
        return (struct endpoint){0};
    memcpy(&storage, address, is_ipv6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    return address_decode(&storage);
}

size_t interface_addresses(uint8_t family, struct endpoint *out, size_t max)
{
    struct ifaddrs *all = NULL;
    size_t count = 0;
    if (getifaddrs(&all) != 0)
        return 0;
    for (const struct ifaddrs *a = all; a != NULL && count < max; a = a->ifa_next) {
        if (a->ifa_addr == NULL || (a->ifa_flags & IFF_LOOPBACK) != 0)
            continue;
        struct endpoint e = interface_address(a->ifa_addr);
        e.port = 0;
        if (e.family == family)
            out[count++] = e;
    }
    freeifaddrs(all);
    return count;
}
