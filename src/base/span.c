/*
 * span: see span.h.
 */
#include "base/span.h"

#include <string.h>

struct span span_text(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    while (s.len > 0 && is_blank(s.data[0]))
        s = span_skip(s, 1);
    return s;
}

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool span_equal_nocase(struct span a, struct span b)
{
    return a.len == b.len && span_starts_with_nocase(a, b);
}

bool span_starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_equal(span_sub(s, 0, prefix.len), prefix);
}

bool span_starts_with_nocase(struct span s, struct span prefix)
{
    if (s.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++) {
        if (byte_lower(s.data[i]) != byte_lower(prefix.data[i]))
            return false;
    }
    return true;
}

bool span_ends_with_nocase(struct span s, struct span suffix)
{
    return s.len >= suffix.len && span_starts_with_nocase(span_skip(s, s.len - suffix.len), suffix);
}

int span_compare(struct span a, struct span b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0)
        return order < 0 ? -1 : 1;
    return (a.len > b.len) - (a.len < b.len);
}

size_t span_find_byte(struct span s, uint8_t byte, size_t from)
{
    if (from >= s.len)
        return s.len;
    const uint8_t *found = memchr(s.data + from, byte, s.len - from);
    return found == NULL ? s.len : (size_t)(found - s.data);
}

size_t span_find(struct span s, struct span needle, size_t from)
{
    if (from >= s.len || needle.len > s.len - from)
        return s.len;
    if (needle.len == 0)
        return from;
    const uint8_t *found = memmem(s.data + from, s.len - from, needle.data, needle.len);
    return found == NULL ? s.len : (size_t)(found - s.data);
}

struct span span_split(struct span s, uint8_t byte, struct span *head_out)
{
    size_t at = span_find_byte(s, byte, 0);
    *head_out = span_sub(s, 0, at);
    return span_skip(s, at < s.len ? at + 1 : at);
}

bool span_parse_u64(struct span s, uint64_t max, uint64_t *value_out)
{
    if (s.len == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.data[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *value_out = value;
    return true;
}
