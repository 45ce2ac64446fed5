/*
 * address: see address.h.
 */
#include "mail/address.h"

#include <string.h>

#include "base/encode.h"
#include "mail/domain.h"

static bool is_atext(uint8_t byte)
{
    uint8_t lower = byte_lower(byte);
    if ((lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') || byte >= 0x80)
        return true; /* 8-bit bytes were refused before, or are allowed (RFC 6531 3.3) */
    return byte != 0 && strchr("!#$%&'*+-/=?^_`{|}~", byte) != NULL;
}

/* How many bytes at the start are a dot-string: atoms parted by single dots. 0: none. */
static size_t dot_string_length(struct span s)
{
    size_t at = 0;
    for (;;) {
        size_t start = at;
        while (at < s.len && is_atext(s.data[at]))
            at++;
        if (at == start) /* two dots, or one at either end: the last dot is not part of it */
            return at > 0 ? at - 1 : 0;
        if (at == s.len || s.data[at] != '.')
            return at;
        at++;
    }
}

static bool is_dot_string(struct span s)
{
    return s.len > 0 && dot_string_length(s) == s.len;
}

/* Between the quotes: what may follow a backslash, and what may stand alone (RFC 5321 4.1.2, RFC
   6531 3.3). */
static bool is_quotable(uint8_t byte)
{
    return byte >= 32 && byte <= 126;
}

/* Length of the quoted string at the start, both quotes included; 0: none. *pairs_out: its
   backslashes that quote. */
static size_t quoted_string_length(struct span s, size_t *pairs_out)
{
    size_t pairs = 0;
    for (size_t at = 1; at < s.len; at++) {
        uint8_t byte = s.data[at];
        if (byte == '"') {
            *pairs_out = pairs;
            return at + 1;
        }
        if (byte == '\\') {
            pairs++;
            if (++at == s.len || !is_quotable(s.data[at]))
                return 0;
        } else if (!is_quotable(byte) && byte < 0x80) {
            return 0;
        }
    }
    return 0;
}

static struct span without_backslashes(struct arena *arena, struct span s, size_t pairs)
{
    if (pairs == 0)
        return s;
    uint8_t *copy = arena_alloc(arena, s.len - pairs);
    size_t len = 0;
    if (copy == NULL)
        return (struct span){NULL, 0};
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '\\')
            i++;
        copy[len++] = s.data[i];
    }
    return span_of(copy, len);
}

/* Takes `@a,@b:` off the front (RFC 5321 appendix C: it must be accepted and should be ignored). */
static enum fault skip_source_route(struct span *text, unsigned domain_flags)
{
    while (text->len > 0 && text->data[0] == '@') {
        size_t end = 1;
        while (end < text->len && text->data[end] != ',' && text->data[end] != ':')
            end++;
        enum fault fault = domain_check(span_sub(*text, 1, end - 1), domain_flags);
        if (fault != FAULT_NONE)
            return fault;
        if (end == text->len)
            return FAULT_SYNTAX;
        bool more = text->data[end] == ',';
        *text = span_skip(*text, end + 1);
        if (more != (text->len > 0 && text->data[0] == '@'))
            return FAULT_SYNTAX;
    }
    return FAULT_NONE;
}

/* Takes the local part off the front. */
static enum fault take_local(struct span *text, struct arena *arena, struct address *a)
{
    size_t len;
    if (text->len > 0 && text->data[0] == '"') {
        size_t pairs = 0;
        len = quoted_string_length(*text, &pairs);
        if (len == 0)
            return FAULT_SYNTAX;
        if (len > ADDRESS_LOCAL_MAX)
            return FAULT_TOO_LONG;
        a->local = without_backslashes(arena, span_sub(*text, 1, len - 2), pairs);
        if (a->local.data == NULL)
            return FAULT_NO_MEMORY;
    } else {
        len = dot_string_length(*text);
        a->local = span_sub(*text, 0, len);
    }
    if (len == 0)
        return FAULT_SYNTAX;
    a->quoted = !is_dot_string(a->local);
    *text = span_skip(*text, len);
    return len > ADDRESS_LOCAL_MAX ? FAULT_TOO_LONG : FAULT_NONE;
}

static enum fault parse_domain(struct span text, unsigned domain_flags, struct address *a)
{
    struct literal literal;
    a->domain = text;
    a->literal = text.len > 0 && text.data[0] == '[';
    return a->literal ? literal_parse(text, &literal) : domain_check(text, domain_flags);
}

static bool has_8bit(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] >= 0x80)
            return true;
    }
    return false;
}

static enum fault parse_path(struct span text, unsigned flags, struct arena *arena,
                             struct address *a)
{
    unsigned domain_flags = ((flags & ADDRESS_STRICT) != 0 ? DOMAIN_STRICT : 0u) |
                            ((flags & ADDRESS_UTF8_OK) != 0 ? DOMAIN_UTF8 : 0u);
    struct span mailbox = text;
    enum fault fault = skip_source_route(&mailbox, domain_flags);
    bool routed = mailbox.len < text.len;
    if (fault == FAULT_NONE)
        fault = take_local(&mailbox, arena, a);
    if (fault != FAULT_NONE)
        return fault;
    if (mailbox.len == 0 && !routed && (flags & ADDRESS_POSTMASTER_OK) != 0 &&
        span_equal_nocase(text, SPAN("postmaster")))
        return FAULT_NONE;
    if (mailbox.len == 0 || mailbox.data[0] != '@')
        return FAULT_SYNTAX;
    return parse_domain(span_skip(mailbox, 1), domain_flags, a);
}

enum fault address_parse(struct span text, unsigned flags, struct arena *arena,
                         struct address *address_out)
{
    struct address a = {.quoted = false};
    if (text.len > ADDRESS_MAX)
        return FAULT_TOO_LONG;
    if ((flags & ADDRESS_UTF8_OK) != 0 ? !utf8_valid(text) : has_8bit(text))
        return FAULT_SYNTAX;
    if (text.len == 0 && (flags & ADDRESS_EMPTY_OK) == 0)
        return FAULT_SYNTAX;
    enum fault fault = text.len == 0 ? FAULT_NONE : parse_path(text, flags, arena, &a);
    if (fault == FAULT_NONE)
        *address_out = a;
    return fault;
}

bool address_is_empty(const struct address *a)
{
    return a->local.len == 0 && a->domain.len == 0;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return span_equal(a->local, b->local) && domain_equal(a->domain, b->domain);
}

static bool put_quoted(struct buffer *out, struct span local)
{
    bool done = buffer_put_u8(out, '"');
    for (size_t i = 0; i < local.len; i++) {
        if (local.data[i] == '"' || local.data[i] == '\\')
            done = done && buffer_put_u8(out, '\\');
        done = done && buffer_put_u8(out, local.data[i]);
    }
    return done && buffer_put_u8(out, '"');
}

bool address_format(struct buffer *out, const struct address *a)
{
    if (address_is_empty(a))
        return true;
    if (!(a->quoted ? put_quoted(out, a->local) : buffer_put(out, a->local)))
        return false;
    return a->domain.len == 0 || (buffer_put_u8(out, '@') && buffer_put(out, a->domain));
}
