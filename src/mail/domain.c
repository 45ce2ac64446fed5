/*
 * domain: see domain.h.
 */
#include "mail/domain.h"

#include <string.h>

#include "base/encode.h"

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_let_dig(uint8_t byte)
{
    uint8_t lower = byte_lower(byte);
    return is_digit(byte) || (lower >= 'a' && lower <= 'z');
}

static bool is_label_byte(uint8_t byte, unsigned flags)
{
    if (is_let_dig(byte) || byte == '-')
        return true;
    if (byte == '_')
        return (flags & DOMAIN_STRICT) == 0;
    return byte >= 0x80 && (flags & DOMAIN_UTF8) != 0;
}

static enum fault check_label(struct span label, unsigned flags)
{
    if (label.len == 0 || label.data[0] == '-' || label.data[label.len - 1] == '-')
        return FAULT_SYNTAX;
    for (size_t i = 0; i < label.len; i++) {
        if (!is_label_byte(label.data[i], flags))
            return FAULT_SYNTAX;
    }
    return label.len > DOMAIN_LABEL_MAX ? FAULT_TOO_LONG : FAULT_NONE;
}

enum fault domain_check(struct span text, unsigned flags)
{
    size_t at = 0;
    if (text.len > DOMAIN_MAX)
        return FAULT_TOO_LONG;
    if ((flags & DOMAIN_UTF8) != 0 && !utf8_valid(text))
        return FAULT_SYNTAX;
    for (;;) {
        size_t end = span_find_byte(text, '.', at);
        enum fault fault = check_label(span_sub(text, at, end - at), flags);
        if (fault != FAULT_NONE || end == text.len)
            return fault;
        at = end + 1;
    }
}

bool domain_equal(struct span a, struct span b)
{
    return span_equal_nocase(a, b);
}

bool domain_is_within(struct span domain, struct span parent)
{
    if (domain.len == parent.len)
        return domain_equal(domain, parent);
    return parent.len > 0 && domain.len > parent.len &&
           domain.data[domain.len - parent.len - 1] == '.' && span_ends_with_nocase(domain, parent);
}

struct span domain_lower(struct arena *a, struct span domain)
{
    size_t at = 0;
    while (at < domain.len && domain.data[at] == byte_lower(domain.data[at]))
        at++;
    if (at == domain.len)
        return domain;
    uint8_t *copy = arena_alloc(a, domain.len);
    if (copy == NULL)
        return (struct span){NULL, 0};
    for (size_t i = 0; i < domain.len; i++)
        copy[i] = byte_lower(domain.data[i]);
    return span_of(copy, domain.len);
}

bool literal_parse_ipv4(struct span text, uint8_t bytes_out[4])
{
    uint8_t bytes[4];
    for (size_t i = 0; i < 4; i++) {
        struct span number;
        uint64_t value;
        bool dot = span_find_byte(text, '.', 0) < text.len;
        text = span_split(text, '.', &number);
        if (dot != (i < 3) || number.len > 3 || !span_parse_u64(number, 255, &value))
            return false;
        bytes[i] = (uint8_t)value;
    }
    memcpy(bytes_out, bytes, sizeof bytes);
    return true;
}

static int hex_value(uint8_t byte)
{
    if (is_digit(byte))
        return byte - '0';
    byte = byte_lower(byte);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* What is known of an IPv6 address while it is read. */
struct groups {
    uint8_t bytes[16];
    size_t len;      /* bytes so far */
    size_t gap;      /* where "::" stands among them */
    bool compressed; /* there was a "::" */
};

/* One to four hexadecimal digits, or an IPv4 address, which nothing may follow. */
static bool add_group(struct groups *g, struct span piece, bool last)
{
    if (span_find_byte(piece, '.', 0) < piece.len) {
        if (!last || g->len > 12 || !literal_parse_ipv4(piece, g->bytes + g->len))
            return false;
        g->len += 4;
        return true;
    }
    unsigned value = 0;
    if (piece.len < 1 || piece.len > 4 || g->len > 14)
        return false;
    for (size_t i = 0; i < piece.len; i++) {
        int digit = hex_value(piece.data[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    g->bytes[g->len++] = (uint8_t)(value >> 8);
    g->bytes[g->len++] = (uint8_t)value;
    return true;
}

/* Takes "::" off the front. False when there was one before. */
static bool take_gap(struct groups *g, struct span *text)
{
    if (!span_starts_with(*text, SPAN("::")))
        return true;
    if (g->compressed)
        return false;
    g->compressed = true;
    g->gap = g->len;
    *text = span_skip(*text, 2);
    return true;
}

bool literal_parse_ipv6(struct span text, uint8_t bytes_out[16])
{
    struct groups g = {.len = 0};
    if (!take_gap(&g, &text) || (text.len == 0 && !g.compressed))
        return false;
    while (text.len > 0) {
        size_t end = span_find_byte(text, ':', 0);
        if (!add_group(&g, span_sub(text, 0, end), end == text.len))
            return false;
        text = span_skip(text, end);
        if (text.len == 0)
            break;
        bool gap = span_starts_with(text, SPAN("::"));
        if (!take_gap(&g, &text))
            return false;
        if (!gap) {
            text = span_skip(text, 1);
            if (text.len == 0) /* a colon at the end */
                return false;
        }
    }
    /* RFC 5321 4.1.3: no more than 6 groups beside "::". */
    if (g.compressed ? g.len > 12 : g.len != 16)
        return false;
    size_t after = g.len - g.gap;
    memset(bytes_out, 0, 16);
    memcpy(bytes_out, g.bytes, g.compressed ? g.gap : 16);
    if (g.compressed)
        memcpy(bytes_out + 16 - after, g.bytes + g.gap, after);
    return true;
}

static enum fault parse_general(struct span tag, struct span content, struct literal *literal_out)
{
    if (tag.len == 0 || content.len == 0 || !is_let_dig(tag.data[tag.len - 1]))
        return FAULT_SYNTAX;
    for (size_t i = 0; i < tag.len; i++) {
        if (!is_let_dig(tag.data[i]) && tag.data[i] != '-')
            return FAULT_SYNTAX;
    }
    for (size_t i = 0; i < content.len; i++) {
        uint8_t byte = content.data[i];
        if (byte < 33 || byte > 126 || (byte >= '[' && byte <= ']'))
            return FAULT_SYNTAX;
    }
    *literal_out = (struct literal){.kind = LITERAL_GENERAL, .tag = tag, .content = content};
    return FAULT_NONE;
}

enum fault literal_parse(struct span text, struct literal *literal_out)
{
    if (text.len > DOMAIN_MAX)
        return FAULT_TOO_LONG;
    if (text.len < 2 || text.data[0] != '[' || text.data[text.len - 1] != ']')
        return FAULT_SYNTAX;
    text = span_sub(text, 1, text.len - 2);
    struct span tag;
    struct span content = span_split(text, ':', &tag);
    *literal_out = (struct literal){.kind = LITERAL_IPV4};
    if (tag.len == text.len)
        return literal_parse_ipv4(text, literal_out->bytes) ? FAULT_NONE : FAULT_SYNTAX;
    if (!span_equal_nocase(tag, SPAN("IPv6")))
        return parse_general(tag, content, literal_out);
    literal_out->kind = LITERAL_IPV6;
    return literal_parse_ipv6(content, literal_out->bytes) ? FAULT_NONE : FAULT_SYNTAX;
}
