/*
 * seven: see seven.h.
 */
#include "sim/scenario/seven.h"

#define LINE_CHARS_MAX 76 /* RFC 2045 6.7, 6.8 */

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool restore_quoted_line(struct span line, struct buffer *out)
{
    for (size_t i = 0; i < line.len; i++) {
        uint8_t c = line.data[i];
        if (c != '=') {
            (void)buffer_put_u8(out, c);
            continue;
        }
        if (i + 1 == line.len)
            return true;
        if (i + 2 >= line.len || hex(line.data[i + 1]) < 0 || hex(line.data[i + 2]) < 0)
            return false;
        (void)buffer_put_u8(out, (uint8_t)(hex(line.data[i + 1]) * 16 + hex(line.data[i + 2])));
        i += 2;
    }
    return buffer_put_text(out, "\r\n");
}

static int sextet(uint8_t c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at = span_find_byte(span_text(alphabet), c, 0);
    return at < 64 ? (int)at : -1;
}

static bool restore_base64_line(struct span line, struct buffer *out)
{
    uint32_t bits = 0;
    int count = 0;
    for (size_t i = 0; i < line.len; i++) {
        int value = sextet(line.data[i]);
        if (line.data[i] == '=' && line.len % 4 == 0 && i + 2 >= line.len)
            break;
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            (void)buffer_put_u8(out, (uint8_t)(bits >> count));
        }
    }
    return line.len % 4 == 0;
}

static bool restore_body(struct span rest, bool is_base64, struct buffer *out)
{
    while (rest.len > 0) {
        struct span line;
        rest = span_split(rest, '\n', &line);
        if (line.len == 0 || line.data[line.len - 1] != '\r' || line.len - 1 > LINE_CHARS_MAX)
            return false;
        line.len--;
        if (is_base64 ? !restore_base64_line(line, out) : !restore_quoted_line(line, out))
            return false;
    }
    return true;
}

bool seven_restore(struct span content, struct buffer *out)
{
    bool is_quoted = false, is_base64 = false;
    for (size_t i = 0; i < content.len; i++)
        if (content.data[i] > 127)
            return false;
    while (content.len > 0) {
        struct span line;
        content = span_split(content, '\n', &line);
        if (span_equal(line, SPAN("\r")))
            break;
        if (span_equal(line, SPAN("Content-Transfer-Encoding: quoted-printable\r")))
            is_quoted = true;
        else if (span_equal(line, SPAN("Content-Transfer-Encoding: base64\r")))
            is_base64 = true;
        else if (!span_equal(line, SPAN("MIME-Version: 1.0\r")) &&
                 !span_equal(line, SPAN("Content-Type: text/plain; charset=unknown-8bit\r")))
            (void)(buffer_put(out, line) && buffer_put_u8(out, '\n'));
    }
    (void)buffer_put_text(out, "\r\n");
    return is_quoted != is_base64 && restore_body(content, is_base64, out) && !out->full;
}
