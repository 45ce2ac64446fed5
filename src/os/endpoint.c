/*
 * endpoint: text forms of struct endpoint (RFC 4291 2.2, RFC 5952, RFC 3986 3.2.2). Pure.
 */
#include "os/socket.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool is_port(struct span text, uint16_t *port_out)
{
    uint64_t port = 0;
    if (text.len == 0 || text.len > 5 || !span_parse_u64(text, UINT16_MAX, &port))
        return false;
    *port_out = (uint16_t)port;
    return true;
}

/* inet_pton wants a NUL; a scope ("%eth0") and anything else unusual is refused by it. */
static bool is_ip(struct span text, struct endpoint *e)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.data, 0, text.len) != NULL)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(e->family == 4 ? AF_INET : AF_INET6, copy, e->ip) == 1;
}

bool endpoint_parse(struct span text, struct endpoint *endpoint_out)
{
    struct endpoint e = {.family = 4};
    struct span ip = {NULL, 0};
    struct span port;
    if (text.len > 0 && text.data[0] == '[') {
        e.family = 6;
        port = span_split(span_skip(text, 1), ']', &ip);
        if (port.len == 0 || port.data[0] != ':')
            return false;
        port = span_skip(port, 1);
    } else {
        port = span_split(text, ':', &ip);
    }
    if (!is_ip(ip, &e) || !is_port(port, &e.port))
        return false;
    *endpoint_out = e;
    return true;
}

bool endpoint_parse_ip(struct span text, struct endpoint *endpoint_out)
{
    struct endpoint e = {.family = span_find_byte(text, ':', 0) < text.len ? 6 : 4};
    if (!is_ip(text, &e))
        return false;
    *endpoint_out = e;
    return true;
}

struct span endpoint_format_ip(struct endpoint e, char text_out[ENDPOINT_TEXT_MAX])
{
    if (e.family == 0 ||
        inet_ntop(e.family == 4 ? AF_INET : AF_INET6, e.ip, text_out, ENDPOINT_TEXT_MAX) == NULL)
        snprintf(text_out, ENDPOINT_TEXT_MAX, "local");
    return span_text(text_out);
}

struct span endpoint_format(struct endpoint e, char text_out[ENDPOINT_TEXT_MAX])
{
    char ip[ENDPOINT_TEXT_MAX];
    struct span text = endpoint_format_ip(e, ip);
    if (e.family == 0)
        snprintf(text_out, ENDPOINT_TEXT_MAX, "%.*s", SPAN_PRINT(text));
    else
        snprintf(text_out, ENDPOINT_TEXT_MAX, e.family == 6 ? "[%.46s]:%u" : "%.46s:%u", ip,
                 (unsigned)e.port);
    return span_text(text_out);
}

bool endpoint_equal(struct endpoint a, struct endpoint b)
{
    size_t ip_bytes = a.family == 4 ? 4 : a.family == 6 ? 16 : 0;
    return a.family == b.family && a.port == b.port && memcmp(a.ip, b.ip, ip_bytes) == 0;
}
