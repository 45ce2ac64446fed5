#include "expect.h"

#include "base/encode.h"

static void expect_text(bool (*f)(struct buffer *out, struct span in), struct span in,
                        const char *expected)
{
    struct buffer out;
    size_t len = strlen(expected);
    buffer_init(&out, len + 2);
    assert_true(buffer_put_text(&out, "="));
    assert_true(f(&out, in));
    expect_span(span_skip(buffer_span(&out), 1), span_text(expected));
    buffer_fini(&out);
    if (len == 0)
        return;
    buffer_init(&out, len); /* one byte short: nothing is left behind */
    assert_true(buffer_put_text(&out, "="));
    assert_false(f(&out, in));
    assert_true(out.full);
    expect_span(buffer_span(&out), SPAN("="));
    buffer_fini(&out);
}

static void expect_refused(bool (*f)(struct buffer *out, struct span in), struct span in)
{
    struct buffer out;
    buffer_init(&out, 1000);
    assert_true(buffer_put_text(&out, "="));
    assert_false(f(&out, in));
    assert_false(out.full);
    expect_span(buffer_span(&out), SPAN("="));
    buffer_fini(&out);
}

/* RFC 4648 10, and all digits. */
static void base64(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xef\xbe", "/+++"},
        {"\xff\xff\xff\xff", "/////w=="},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        expect_text(encode_base64, span_text(rows[i][0]), rows[i][1]);
        expect_text(decode_base64, span_text(rows[i][1]), rows[i][0]);
    }
}

static void base64_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "Z",        "Zg",       "Zg=",   "Zg===",  "====",     "=",
        "A===",     "Zm9",      "Zm9v=", "Zm9vYg", "Zg==Zg==", "Zm8=Zm8=",
        "Z=g=",     " Zg==",    "Zg== ", "Zm9v\n", "Zm\r\n9v", "Zh==",
        "Zm9=",     "Zg=A",     "Zm9-",  "Zm9_",   "Zm9.",     "\xff\xff\xff\xff",
        "Zm9v====", "Zm9vY===",
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_refused(decode_base64, span_text(rows[i]));
    expect_refused(decode_base64, SPAN("Zm\0v"));
}

static void base64_of_all_lengths_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[200];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 151 + i / 7);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        struct buffer text, back;
        buffer_init(&text, 1000);
        buffer_init(&back, 1000);
        assert_true(encode_base64(&text, span_of(bytes, len)));
        assert_true(decode_base64(&back, buffer_span(&text)));
        expect_span(buffer_span(&back), span_of(bytes, len));
        buffer_fini(&text);
        buffer_fini(&back);
    }
}

static void hexadecimal(void **state)
{
    (void)state;
    expect_text(encode_hex, SPAN(""), "");
    expect_text(encode_hex,
                SPAN("\x00\x0f\xf0\xff"
                     "az"),
                "000ff0ff617a");
}

static void json_strings(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "\"\""},
        {"plain text", "\"plain text\""},
        {"\"\\/", "\"\\\"\\\\/\""},
        {"a\r\n\tb", "\"a\\r\\n\\tb\""},
        {"\x01\x1b[31m\x7f", "\"\\u0001\\u001b[31m\\u007f\""},
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xe2\x82\xac\xf0\x9f\x93\xae", "\"\xe2\x82\xac\xf0\x9f\x93\xae\""},
        {"\xc2\x9b"
         "31m",
         "\"\\u009b31m\""}, /* CSI, which some terminals obey: one character */
        {"\xff"
         "a\xc3",
         "\"\\u00ffa\\u00c3\""},                       /* cut */
        {"\xc0\xaf", "\"\\u00c0\\u00af\""},            /* overlong */
        {"\xed\xa0\x80", "\"\\u00ed\\u00a0\\u0080\""}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\"\\u00f4\\u0090\\u0080\\u0080\""},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_text(encode_json_string, span_text(rows[i][0]), rows[i][1]);
    expect_text(encode_json_string, SPAN("a\0b"), "\"a\\u0000b\"");
}

static void escaped(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"MAIL FROM:<a@b>", "MAIL FROM:<a@b>"},
        {"a\"b\\c", "a\\x22b\\x5cc"},
        {"a\r\n2026 forged", "a\\x0d\\x0a2026 forged"},
        {"\x1b[2J\x7f\xc3\xbc", "\\x1b[2J\\x7f\\xc3\\xbc"},
        {"~ ", "~ "},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_text(encode_escaped, span_text(rows[i][0]), rows[i][1]);
    expect_text(encode_escaped, SPAN("\0"), "\\x00");
}

/* RFC 3461 4. */
static void xtext(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"QQ314159", "QQ314159"},
        {"a+b=c", "a+2Bb+3Dc"},
        {"a b\t\x7f\xff", "a+20b+09+7F+FF"},
        {"!~<>,", "!~<>,"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        expect_text(encode_xtext, span_text(rows[i][0]), rows[i][1]);
        expect_text(decode_xtext, span_text(rows[i][1]), rows[i][0]);
    }
    expect_text(decode_xtext, SPAN("+2b+0a"), "+\n"); /* lower case is taken */
}

static void xtext_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "+",   "+2",  "+2+", "a+",   "+G0",  "+0G", "+ 1",
        "a=b", "a b", "a\t", "\x7f", "\x80", "+-1", "++2B",
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_refused(decode_xtext, span_text(rows[i]));
}

static size_t utf8_length(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 63));
    out[0] = (uint8_t)((0xf00 >> len & 0xff) | c);
    return len;
}

static void every_character_is_valid_utf8_and_no_surrogate_is(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110400; c++) {
        uint8_t bytes[4];
        size_t len = utf8_length(c, bytes);
        bool valid = c < 0x110000 && (c < 0xd800 || c > 0xdfff);
        if (utf8_sequence(span_of(bytes, len)) != (valid ? len : 0))
            fail_msg("U+%04X", c);
        if (len > 1 && utf8_sequence(span_of(bytes, len - 1)) != 0)
            fail_msg("U+%04X cut", c);
    }
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"", true},
        {"abc", true},
        {"\xc3\xbc!", true},
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xc2", false},
        {"\xc2 ", false},
        {"\xe0\x9f\xbf", false},
        {"\xe2\x82", false},
        {"\xe2\x82 ", false},
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"\xfe", false},
        {"a\xf0\x8f\xbf\xbf", false},
        {"\xf8\x88\x80\x80\x80", false},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_int_equal(utf8_valid(span_text(rows[i].text)), rows[i].valid);
    assert_true(utf8_valid((struct span){NULL, 0}));
    assert_int_equal(utf8_sequence((struct span){NULL, 0}), 0);
    assert_int_equal(utf8_sequence(SPAN("\0")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64),
        cmocka_unit_test(base64_refused),
        cmocka_unit_test(base64_of_all_lengths_comes_back),
        cmocka_unit_test(hexadecimal),
        cmocka_unit_test(json_strings),
        cmocka_unit_test(escaped),
        cmocka_unit_test(xtext),
        cmocka_unit_test(xtext_refused),
        cmocka_unit_test(every_character_is_valid_utf8_and_no_surrogate_is),
        cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
