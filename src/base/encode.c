/*
 * encode: see encode.h.
 */
#include "base/encode.h"

#include "base/check.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char hex_lower[] = "0123456789abcdef";
static const char hex_upper[] = "0123456789ABCDEF";

/* All or nothing: takes back what was written since `before` unless `done`. */
static bool finish(struct buffer *out, size_t before, bool done)
{
    check(before <= out->len);
    if (!done)
        out->len = before;
    return done;
}

bool encode_base64(struct buffer *out, struct span in)
{
    size_t len = in.len / 3 + (in.len % 3 != 0);
    if (len > SIZE_MAX / 4) {
        out->full = true;
        return false;
    }
    len *= 4;
    uint8_t *to = buffer_reserve(out, len);
    if (to == NULL)
        return false;
    for (size_t i = 0; i < in.len; i += 3) {
        size_t left = in.len - i;
        uint32_t group = (uint32_t)in.data[i] << 16;
        group |= left > 1 ? (uint32_t)in.data[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)in.data[i + 2] : 0;
        *to++ = (uint8_t)base64_digits[group >> 18];
        *to++ = (uint8_t)base64_digits[group >> 12 & 63];
        *to++ = left > 1 ? (uint8_t)base64_digits[group >> 6 & 63] : '=';
        *to++ = left > 2 ? (uint8_t)base64_digits[group & 63] : '=';
    }
    if (len > 0)
        buffer_commit(out, len);
    return true;
}

static int base64_value(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    if (byte == '+')
        return 62;
    return byte == '/' ? 63 : -1;
}

/* Four digits, of which the last `padding` stand for nothing. The bits that they leave over must
   be zero: one form for one value. */
static bool decode_group(struct buffer *out, const uint8_t *digits, size_t padding)
{
    uint32_t group = 0;
    for (size_t i = 0; i < 4 - padding; i++) {
        int value = base64_value(digits[i]);
        if (value < 0)
            return false;
        group |= (uint32_t)value << (18 - 6 * i);
    }
    uint8_t bytes[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};
    for (size_t i = 3 - padding; i < 3; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return buffer_put(out, span_of(bytes, 3 - padding));
}

bool decode_base64(struct buffer *out, struct span in)
{
    size_t before = out->len;
    bool done = in.len % 4 == 0;
    for (size_t i = 0; done && i < in.len; i += 4) {
        size_t padding = 0;
        if (i + 4 == in.len && in.data[i + 3] == '=')
            padding = in.data[i + 2] == '=' ? 2 : 1;
        done = decode_group(out, in.data + i, padding);
    }
    return finish(out, before, done);
}

bool encode_hex(struct buffer *out, struct span in)
{
    if (in.len > SIZE_MAX / 2) {
        out->full = true;
        return false;
    }
    uint8_t *to = buffer_reserve(out, in.len * 2);
    if (to == NULL)
        return false;
    for (size_t i = 0; i < in.len; i++) {
        *to++ = (uint8_t)hex_lower[in.data[i] >> 4];
        *to++ = (uint8_t)hex_lower[in.data[i] & 15];
    }
    if (in.len > 0)
        buffer_commit(out, in.len * 2);
    return true;
}

static bool put_json_escape(struct buffer *out, uint8_t byte)
{
    switch (byte) {
    case '"':
        return buffer_put_text(out, "\\\"");
    case '\\':
        return buffer_put_text(out, "\\\\");
    case '\n':
        return buffer_put_text(out, "\\n");
    case '\r':
        return buffer_put_text(out, "\\r");
    case '\t':
        return buffer_put_text(out, "\\t");
    default:
        break;
    }
    uint8_t text[6] = {
        '\\', 'u', '0', '0', (uint8_t)hex_lower[byte >> 4], (uint8_t)hex_lower[byte & 15]};
    return buffer_put(out, span_of(text, sizeof text));
}

/* The controls of U+0080 to U+009F are valid JSON, but some terminals obey them. */
static bool is_c1(struct span s)
{
    return s.len >= 2 && s.data[0] == 0xc2 && s.data[1] >= 0x80 && s.data[1] < 0xa0;
}

/* How many bytes at the start of s may stand in a JSON string as they are: one character, or 0. */
static size_t json_plain(struct span s)
{
    uint8_t byte = s.data[0];
    if (byte < 0x80)
        return byte >= 0x20 && byte != 0x7f && byte != '"' && byte != '\\' ? 1 : 0;
    return is_c1(s) ? 0 : utf8_sequence(s);
}

bool encode_json_string(struct buffer *out, struct span in)
{
    size_t before = out->len;
    bool done = buffer_put_u8(out, '"');
    size_t at = 0;
    while (done && at < in.len) {
        size_t run = at;
        size_t n;
        while (run < in.len && (n = json_plain(span_skip(in, run))) > 0)
            run += n;
        done = buffer_put(out, span_sub(in, at, run - at));
        at = run;
        if (at < in.len) {
            at += is_c1(span_skip(in, at)) ? 1 : 0; /* its second byte is its number */
            done = done && put_json_escape(out, in.data[at++]);
        }
    }
    return finish(out, before, done && buffer_put_u8(out, '"'));
}

static bool escaped_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

static bool xtext_plain(uint8_t byte)
{
    return byte >= '!' && byte <= '~' && byte != '+' && byte != '=';
}

/* Runs of plain bytes as they are, each other byte as the prefix and two digits. */
static bool put_escaping(struct buffer *out, struct span in, bool (*plain)(uint8_t byte),
                         const char *prefix, const char *digits)
{
    size_t before = out->len;
    bool done = true;
    size_t at = 0;
    while (done && at < in.len) {
        size_t run = at;
        while (run < in.len && plain(in.data[run]))
            run++;
        done = buffer_put(out, span_sub(in, at, run - at));
        at = run;
        if (done && at < in.len) {
            uint8_t byte = in.data[at++];
            uint8_t text[2] = {(uint8_t)digits[byte >> 4], (uint8_t)digits[byte & 15]};
            done = buffer_put_text(out, prefix) && buffer_put(out, span_of(text, sizeof text));
        }
    }
    return finish(out, before, done);
}

bool encode_escaped(struct buffer *out, struct span in)
{
    return put_escaping(out, in, escaped_plain, "\\x", hex_lower);
}

bool encode_xtext(struct buffer *out, struct span in)
{
    return put_escaping(out, in, xtext_plain, "+", hex_upper);
}

static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte = byte_lower(byte);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

bool decode_xtext(struct buffer *out, struct span in)
{
    size_t before = out->len;
    bool done = true;
    for (size_t i = 0; done && i < in.len; i++) {
        uint8_t byte = in.data[i];
        if (byte == '+') {
            int high = i + 2 < in.len ? hex_value(in.data[i + 1]) : -1;
            int low = i + 2 < in.len ? hex_value(in.data[i + 2]) : -1;
            done = high >= 0 && low >= 0 && buffer_put_u8(out, (uint8_t)(high << 4 | low));
            i += 2;
        } else {
            done = xtext_plain(byte) && buffer_put_u8(out, byte);
        }
    }
    return finish(out, before, done);
}

/* First byte, and what its second byte may be: the bounds keep out overlong forms, surrogates
   and what is over U+10FFFF. */
static const struct {
    uint8_t first_low, first_high, second_low, second_high;
    uint8_t len;
} utf8_rows[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

size_t utf8_sequence(struct span s)
{
    if (s.len == 0)
        return 0;
    if (s.data[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof utf8_rows / sizeof utf8_rows[0]; i++) {
        if (s.data[0] < utf8_rows[i].first_low || s.data[0] > utf8_rows[i].first_high)
            continue;
        size_t len = utf8_rows[i].len;
        if (s.len < len || s.data[1] < utf8_rows[i].second_low ||
            s.data[1] > utf8_rows[i].second_high)
            return 0;
        for (size_t k = 2; k < len; k++) {
            if ((s.data[k] & 0xc0) != 0x80)
                return 0;
        }
        return len;
    }
    return 0;
}

bool utf8_valid(struct span s)
{
    while (s.len > 0) {
        size_t len = utf8_sequence(s);
        if (len == 0)
            return false;
        s = span_skip(s, len);
    }
    return true;
}
