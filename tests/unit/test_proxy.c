/* proxy: both versions of the header, cut at every byte, and all that is no header. */
#include "smtp/proxy.h"

#include <string.h>

#include "expect.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

struct good {
    struct span bytes;
    const char *client; /* NULL: it speaks for itself */
};

#define V2_TCP4 SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\xd4\x31\x00\x19"
#define V2_TCP6                                                                                    \
    SIGNATURE "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0" \
              "\0\0\0\0\0\0\0\x01\xd4\x31\x00\x19"

static const struct good goods[] = {
    {SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 54321 25\r\n"), "192.0.2.7:54321"},
    {SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n"), "192.0.2.7:0"},
    {SPAN("PROXY TCP6 2001:db8::7 2001:db8::1 54321 25\r\n"), "[2001:db8::7]:54321"},
    {SPAN("PROXY UNKNOWN\r\n"), NULL},
    {SPAN("PROXY UNKNOWN ffff:f...f:ffff whatever 65535 65535\r\n"), NULL},
    {SPAN(V2_TCP4), "192.0.2.7:54321"},
    {SPAN(V2_TCP6), "[2001:db8::7]:54321"},
    {SPAN(SIGNATURE "\x20\x00\x00\x00"), NULL}, /* LOCAL */
    {SPAN(SIGNATURE "\x20\x11\x00\x0c"
                    "aaaabbbbccdd"),
     NULL}, /* LOCAL: addresses ignored */
    {SPAN(SIGNATURE "\x21\x00\x00\x05"
                    "hello"),
     NULL}, /* UNSPEC */
    {SPAN(SIGNATURE "\x21\x31\x00\x04"
                    "/a/b"),
     NULL}, /* AF_UNIX */
    {SPAN(SIGNATURE "\x21\x11\x00\x10\xc0\x00\x02\x07\xc6\x33\x64\x01\xd4\x31\x00\x19"
                    "\x04\x00\x01Z"),
     "192.0.2.7:54321"}, /* a TLV behind */
};

static void headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(goods); i++) {
        static uint8_t bytes[PROXY_V2_MAX];
        struct span whole = goods[i].bytes;
        struct proxy_header h;
        size_t used;
        char text[ENDPOINT_TEXT_MAX];
        for (size_t len = 0; len < whole.len; len++)
            assert_int_equal(proxy_read(span_sub(whole, 0, len), &used, &h), PROXY_MORE);
        /* What stands behind it is not its own. */
        memcpy(bytes, whole.data, whole.len);
        memcpy(bytes + whole.len, "EHLO", 4);
        for (size_t more = 0; more <= 4; more++) {
            assert_int_equal(proxy_read(span_of(bytes, whole.len + more), &used, &h), PROXY_DONE);
            assert_int_equal(used, whole.len);
            assert_int_equal(h.is_relayed, goods[i].client != NULL);
            if (h.is_relayed)
                expect_span(endpoint_format(h.client, text), span_text(goods[i].client));
        }
    }
}

static const struct span bads[] = {
    SPAN("EHLO client.test\r\n"),
    SPAN("\x16\x03\x01\x02"),
    SPAN("proxy TCP4 192.0.2.7 198.51.100.1 54321 25\r\n"),
    SPAN("PROXY\r\n"),
    SPAN("PROXY \r\n"),
    SPAN("PROXY TCP4\r\n"),
    SPAN("PROXY TCP5 192.0.2.7 198.51.100.1 54321 25\r\n"),
    SPAN("PROXY UNKNOWNX\r\n"),
    SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 54321\r\n"),
    SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 54321 25 \r\n"),
    SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 54321 25 26\r\n"),
    SPAN("PROXY TCP4  192.0.2.7 198.51.100.1 54321 25\r\n"),
    SPAN("PROXY  TCP4 192.0.2.7 198.51.100.1 54321 25\r\n"),
    SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 54321 25\n"),
    SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n"),
    SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 025 25\r\n"),
    SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 -1 25\r\n"),
    SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 x 25\r\n"),
    SPAN("PROXY TCP4 192.0.2.256 198.51.100.1 54321 25\r\n"),
    SPAN("PROXY TCP4 2001:db8::7 2001:db8::1 54321 25\r\n"),
    SPAN("PROXY TCP6 192.0.2.7 198.51.100.1 54321 25\r\n"),
    SPAN("PROXY TCP6 [2001:db8::7] 2001:db8::1 54321 25\r\n"),
    SPAN("PROXY TCP4 192.0.2.7 198.51.100.1\t54321 25\r\n"),
    SPAN("PROXY UNKNOWN "
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    SPAN(SIGNATURE "\x31\x11\x00\x0c"
                   "aaaabbbbccdd"),
    SPAN(SIGNATURE "\x22\x11\x00\x0c"
                   "aaaabbbbccdd"),
    SPAN(SIGNATURE "\x11\x11\x00\x0c"
                   "aaaabbbbccdd"),
    SPAN(SIGNATURE "\x21\x11\x00\x0b"
                   "aaaabbbbccd"),
    SPAN(SIGNATURE "\x21\x21\x00\x23"
                   "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccc"),
    SPAN(SIGNATURE "\x21\x11\xff\xff"
                   "aaaabbbbccdd"),
    SPAN(SIGNATURE "\x21\x11\x07\xf1"
                   "aaaabbbbccdd"),
    SPAN("\r\n\r\n\x01"),
};

static void no_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bads); i++) {
        struct proxy_header h;
        size_t used;
        bool is_refused = false;
        for (size_t len = 0; len <= bads[i].len; len++) {
            enum proxy_progress now = proxy_read(span_sub(bads[i], 0, len), &used, &h);
            assert_int_not_equal(now, PROXY_DONE);
            /* Once refused, always refused. */
            assert_true(!is_refused || now == PROXY_FAULT);
            is_refused = now == PROXY_FAULT;
        }
        assert_true(is_refused);
    }
}

static void bounds(void **state)
{
    (void)state;
    static uint8_t bytes[PROXY_V2_MAX];
    struct proxy_header h;
    size_t used;
    memcpy(bytes, SIGNATURE "\x21\x00\x07\xf0", 16);
    assert_int_equal(proxy_read(span_of(bytes, PROXY_V2_MAX - 1), &used, &h), PROXY_MORE);
    assert_int_equal(proxy_read(span_of(bytes, PROXY_V2_MAX), &used, &h), PROXY_DONE);
    assert_int_equal(used, PROXY_V2_MAX);
    char line[PROXY_V1_MAX + 2];
    memset(line, 'a', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + PROXY_V1_MAX - 2, "\r\n", 2);
    assert_int_equal(proxy_read(span_of(line, PROXY_V1_MAX), &used, &h), PROXY_DONE);
    memcpy(line + PROXY_V1_MAX - 2, "a\r\n", 3);
    assert_int_equal(proxy_read(span_of(line, PROXY_V1_MAX + 1), &used, &h), PROXY_FAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),
        cmocka_unit_test(no_headers),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
