/*
 * network: see network.h.
 */
#include "config/network.h"

#include <string.h>

#define SMTP_PORT 25
#define MAPPED    "write it as the IPv4 address that it stands for"

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(uint8_t byte)
{
    return byte_lower(byte) >= 'a' && byte_lower(byte) <= 'z';
}

static bool is_label(struct span label, bool underscores)
{
    if (label.len == 0 || label.len > HOST_LABEL_MAX_BYTES || label.data[0] == '-' ||
        label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        uint8_t byte = label.data[i];
        if (!is_letter(byte) && !is_digit(byte) && byte != '-' && !(underscores && byte == '_'))
            return false;
    }
    return true;
}

static bool is_number(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.data[i]))
            return false;
    return true;
}

bool network_is_host_name(struct span text, bool underscores)
{
    struct span label = {NULL, 0};
    if (text.len == 0 || text.len > HOST_NAME_MAX_BYTES || text.data[text.len - 1] == '.')
        return false;
    while (text.len > 0) {
        text = span_split(text, '.', &label);
        if (!is_label(label, underscores))
            return false;
    }
    /* RFC 1123 2.1: the last label is no number, so that a mistyped address is no name. */
    return !is_number(label);
}

static bool is_mapped(struct endpoint e)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return e.family == 6 && memcmp(e.ip, prefix, sizeof prefix) == 0;
}

static const char *accept_endpoint(struct endpoint e, struct endpoint *out)
{
    if (is_mapped(e))
        return MAPPED;
    *out = e;
    return NULL;
}

const char *network_parse_ip(struct span text, struct endpoint *ip_out)
{
    struct endpoint e;
    if (!endpoint_parse_ip(text, &e))
        return "expected an address such as 192.0.2.1 or 2001:db8::1";
    return accept_endpoint(e, ip_out);
}

const char *network_parse_endpoint(struct span text, uint16_t port_default,
                                   struct endpoint *endpoint_out)
{
    struct endpoint e;
    bool in_brackets = text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';
    struct span ip = in_brackets ? span_sub(text, 1, text.len - 2) : text;
    bool alone = endpoint_parse_ip(ip, &e) && in_brackets == (e.family == 6);
    if (alone && port_default == 0)
        return "the port is missing: write 192.0.2.1:25 or [2001:db8::1]:25";
    if (alone)
        e.port = port_default;
    else if (!endpoint_parse(text, &e) || e.port == 0)
        return "expected an address with a port from 1 to 65535, such as 192.0.2.1:25 or "
               "[2001:db8::1]:25";
    return accept_endpoint(e, endpoint_out);
}

/* Clears what lies beyond the prefix; false: something was set there. */
static bool mask(uint8_t ip[16], unsigned bytes, unsigned bits)
{
    bool clear = true;
    for (unsigned i = 0; i < bytes; i++) {
        unsigned kept = bits >= (i + 1) * 8 ? 8 : bits > i * 8 ? bits - i * 8 : 0;
        uint8_t masked = (uint8_t)(ip[i] & (0xff00u >> kept));
        clear = clear && masked == ip[i];
        ip[i] = masked;
    }
    return clear;
}

const char *network_parse_range(struct span text, struct address_range *range_out)
{
    struct endpoint e;
    struct span ip;
    struct span prefix = span_split(text, '/', &ip);
    if (!endpoint_parse_ip(ip, &e))
        return "expected an address range such as 192.0.2.0/24 or 2001:db8::/32";
    if (is_mapped(e))
        return MAPPED;
    unsigned bytes = e.family == 4 ? 4 : 16;
    uint64_t bits = bytes * 8;
    if (ip.len < text.len && !span_parse_u64(prefix, bytes * 8, &bits))
        return e.family == 4 ? "after the / there must be a number from 1 to 32"
                             : "after the / there must be a number from 1 to 128";
    if (bits == 0)
        return "a range of all addresses would let everybody in";
    if (!mask(e.ip, bytes, (unsigned)bits))
        return "the address has bits set beyond the prefix; write the first address of the range";
    *range_out = (struct address_range){.family = e.family, .prefix_bits = (uint8_t)bits};
    memcpy(range_out->ip, e.ip, sizeof range_out->ip);
    return NULL;
}

/* "HOST" or "HOST:PORT" without brackets. */
static bool parse_plain_host(struct span text, struct span *host_out, uint64_t *port_out)
{
    struct endpoint e;
    struct span host;
    struct span port = span_split(text, ':', &host);
    if (host.len < text.len && (!span_parse_u64(port, UINT16_MAX, port_out) || *port_out == 0))
        return false;
    *host_out = host;
    return network_is_host_name(host, true) || endpoint_parse_ip(host, &e);
}

static const char next_hop_expected[] = "expected smtp:HOST, smtp:HOST:PORT, lmtp:HOST:PORT or "
                                        "lmtp:/PATH, with an IPv6 address in brackets";

static const char *parse_host(struct span text, struct next_hop *hop)
{
    struct endpoint e;
    uint64_t port = hop->port;
    if (text.len > 0 && text.data[0] == '[') {
        const char *wrong = network_parse_endpoint(text, hop->port, &e);
        if (wrong != NULL)
            return wrong;
        port = e.port;
        hop->host = span_sub(text, 1, span_find_byte(text, ']', 0) - 1);
    } else if (!parse_plain_host(text, &hop->host, &port) || port == 0) {
        return next_hop_expected;
    }
    hop->port = (uint16_t)port;
    return NULL;
}

/* LMTP has no port of its own, and must not be spoken on that of SMTP (RFC 2033 5). */
const char *network_parse_next_hop(struct span text, struct next_hop *hop_out)
{
    bool is_lmtp = span_starts_with(text, SPAN("lmtp:"));
    if (!is_lmtp && !span_starts_with(text, SPAN("smtp:")))
        return next_hop_expected;
    text = span_skip(text, 5);
    *hop_out = (struct next_hop){.port = is_lmtp ? 0 : SMTP_PORT, .is_lmtp = is_lmtp};
    if (is_lmtp && text.len > 0 && text.data[0] == '/') {
        hop_out->host = text;
        hop_out->port = SMTP_PORT; /* of nothing */
        return text.len <= SOCKET_PATH_MAX ? NULL : "the path of a socket has at most 107 bytes";
    }
    const char *wrong = parse_host(text, hop_out);
    if (wrong == NULL && is_lmtp && hop_out->port == SMTP_PORT)
        return "LMTP must not use port 25, which is that of SMTP (RFC 2033 5)";
    return wrong;
}

bool network_put_range(struct buffer *out, const struct address_range *range)
{
    char text[ENDPOINT_TEXT_MAX];
    struct endpoint e = {.family = range->family};
    memcpy(e.ip, range->ip, sizeof e.ip);
    return buffer_put(out, endpoint_format_ip(e, text)) &&
           buffer_printf(out, "/%u", range->prefix_bits);
}

bool network_put_next_hop(struct buffer *out, const struct next_hop *hop)
{
    bool is_ipv6 = span_find_byte(hop->host, ':', 0) < hop->host.len;
    const char *scheme = hop->is_lmtp ? "lmtp" : "smtp";
    if (hop->host.data[0] == '/')
        return buffer_printf(out, "%s:%.*s", scheme, SPAN_PRINT(hop->host));
    return buffer_printf(out, is_ipv6 ? "%s:[%.*s]:%u" : "%s:%.*s:%u", scheme,
                         SPAN_PRINT(hop->host), hop->port);
}
