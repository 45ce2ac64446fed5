/*
 * network: names and addresses as a configuration writes them.
 *
 * Addresses as in RFC 4291 2.2 and RFC 3986 3.2.2 (brackets around IPv6 before a port), ranges as
 * in RFC 4632 3.1, names of labels of letters, digits and inner hyphens (RFC 1123 2.1, RFC 1035
 * 2.3.4). An IPv4-mapped IPv6 address is refused: peers are told as IPv4 (os/socket.h), so it would
 * never match. Each parser answers NULL or what is wrong, and then leaves its output alone. Pure.
 */
#ifndef CONFIG_NETWORK_H
#define CONFIG_NETWORK_H

#include "base/buffer.h"
#include "config/settings.h"

#define HOST_NAME_MAX_BYTES  253
#define HOST_LABEL_MAX_BYTES 63

/* A name of this or another host. `underscores`: they may stand wherever a letter may. */
bool network_is_host_name(struct span text, bool underscores);

const char *network_parse_ip(struct span text, struct endpoint *ip_out);
/* "192.0.2.1:25", "[2001:db8::1]:25". port_default 0: the port may not be missing. */
const char *network_parse_endpoint(struct span text, uint16_t port_default,
                                   struct endpoint *endpoint_out);
/* "192.0.2.0/24", "2001:db8::/32", or an address for itself alone; no bit set beyond the prefix; at
   least one bit of prefix. */
const char *network_parse_range(struct span text, struct address_range *range_out);
/* "smtp:HOST", "smtp:HOST:PORT", "smtp:[::1]:25"; "lmtp:HOST:PORT", "lmtp:/path". */
const char *network_parse_next_hop(struct span text, struct next_hop *hop_out);

bool network_put_range(struct buffer *out, const struct address_range *range);
bool network_put_next_hop(struct buffer *out, const struct next_hop *hop);

#endif
