#include "expect.h"

#include "mail/domain.h"

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned flags;
        enum fault expected;
    } rows[] = {
        {"example.org", 0, FAULT_NONE},
        {"localhost", 0, FAULT_NONE},
        {"a", 0, FAULT_NONE},
        {"1", 0, FAULT_NONE},
        {"192.0.2.1", 0, FAULT_NONE}, /* the grammar allows it */
        {"a-b.c--d.EXAMPLE", 0, FAULT_NONE},
        {"xn--bcher-kva.example", 0, FAULT_NONE},
        {"mail_1.example", 0, FAULT_NONE},
        {"_dmarc.example", 0, FAULT_NONE},
        {"mail_1.example", DOMAIN_STRICT, FAULT_SYNTAX},
        {"a-b.example", DOMAIN_STRICT, FAULT_NONE},
        {"b\xc3\xbc"
         "cher.example",
         DOMAIN_UTF8, FAULT_NONE},
        {"b\xc3\xbc"
         "cher.example",
         0, FAULT_SYNTAX},
        {"b\xc3.example", DOMAIN_UTF8, FAULT_SYNTAX},
        {"b\xff.example", DOMAIN_UTF8, FAULT_SYNTAX},
        {"", 0, FAULT_SYNTAX},
        {".", 0, FAULT_SYNTAX},
        {"example.", 0, FAULT_SYNTAX},
        {".example", 0, FAULT_SYNTAX},
        {"a..b", 0, FAULT_SYNTAX},
        {"-a", 0, FAULT_SYNTAX},
        {"a-", 0, FAULT_SYNTAX},
        {"a-.b", 0, FAULT_SYNTAX},
        {"a.-b", 0, FAULT_SYNTAX},
        {"-", 0, FAULT_SYNTAX},
        {"a b", 0, FAULT_SYNTAX},
        {" a", 0, FAULT_SYNTAX},
        {"a\t", 0, FAULT_SYNTAX},
        {"a\r\n", 0, FAULT_SYNTAX},
        {"a@b", 0, FAULT_SYNTAX},
        {"[192.0.2.1]", 0, FAULT_SYNTAX},
        {"a,b", 0, FAULT_SYNTAX},
        {"a:b", 0, FAULT_SYNTAX},
        {"a/b", 0, FAULT_SYNTAX},
        {"a(b)", 0, FAULT_SYNTAX},
        {"a\"b", 0, FAULT_SYNTAX},
        {"a%b", 0, FAULT_SYNTAX},
        {"a\x7f", 0, FAULT_SYNTAX},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_int_equal(domain_check(span_text(rows[i].text), rows[i].flags), rows[i].expected);
    assert_int_equal(domain_check(SPAN("a\0b"), 0), FAULT_SYNTAX);
    assert_int_equal(domain_check((struct span){NULL, 0}, 0), FAULT_SYNTAX);
}

static void lengths(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'a', sizeof text);
    assert_int_equal(domain_check(span_of(text, 63), 0), FAULT_NONE);
    assert_int_equal(domain_check(span_of(text, 64), 0), FAULT_TOO_LONG);
    for (size_t at = 49; at < sizeof text; at += 50)
        text[at] = '.';
    assert_int_equal(domain_check(span_of(text, 255), 0), FAULT_NONE);
    assert_int_equal(domain_check(span_of(text, 256), 0), FAULT_TOO_LONG);
}

static void relations(void **state)
{
    (void)state;
    static const struct {
        const char *domain, *parent;
        bool within;
    } rows[] = {
        {"example.org", "example.org", true},
        {"A.example.ORG", "example.org", true},
        {"a.b.example.org", "b.example.org", true},
        {"example.org", "a.example.org", false},
        {"badexample.org", "example.org", false},
        {"example.org", "", false},
        {"", "example.org", false},
        {"example.org.", "example.org", false},
        {".example.org", "example.org", true},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_int_equal(domain_is_within(span_text(rows[i].domain), span_text(rows[i].parent)),
                         rows[i].within);
    assert_true(domain_equal(SPAN("Example.ORG"), SPAN("eXAMPLE.org")));
    assert_false(domain_equal(SPAN("example.org"), SPAN("example.or")));
}

static void lower_case(void **state)
{
    (void)state;
    struct arena a;
    struct span already = SPAN("mx1.example");
    arena_init(&a, 16);
    assert_ptr_equal(domain_lower(&a, already).data, already.data);
    assert_null(a.blocks);
    expect_span(domain_lower(&a, SPAN("MX1.eXample")), SPAN("mx1.example"));
    assert_null(domain_lower(&a, SPAN("MX1.eXample")).data); /* full */
    arena_fini(&a);
}

static void ipv4_literals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t bytes[4];
    } accepted[] = {
        {"[192.0.2.1]", {192, 0, 2, 1}},
        {"[0.0.0.0]", {0, 0, 0, 0}},
        {"[255.255.255.255]", {255, 255, 255, 255}},
        {"[010.001.08.9]", {10, 1, 8, 9}}, /* decimal, never octal */
    };
    for (size_t i = 0; i < ROWS(accepted); i++) {
        struct literal l;
        assert_int_equal(literal_parse(span_text(accepted[i].text), &l), FAULT_NONE);
        assert_int_equal(l.kind, LITERAL_IPV4);
        assert_memory_equal(l.bytes, accepted[i].bytes, 4);
    }
    static const char *const refused[] = {
        "",
        "[",
        "]",
        "[]",
        "[1]",
        "[1.2.3]",
        "[1.2.3.]",
        "[.1.2.3]",
        "[1..2.3]",
        "[1.2.3.4.]",
        "[1.2.3.4.5]",
        "[256.0.0.1]",
        "[1.2.3.256]",
        "[1.2.3.0004]",
        "[1.2.3.-4]",
        "[1.2.3.0x4]",
        "[ 1.2.3.4]",
        "[1.2.3.4 ]",
        "1.2.3.4",
        "[1.2.3.4",
        "1.2.3.4]",
        "[[1.2.3.4]]",
        "[1.2.3.4]]",
        "[1.2.3.a]",
        "[1.2.3.4]x",
    };
    for (size_t i = 0; i < ROWS(refused); i++) {
        struct literal l;
        assert_int_equal(literal_parse(span_text(refused[i]), &l), FAULT_SYNTAX);
    }
}

static void ipv6_literals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t bytes[16];
    } accepted[] = {
        {"[IPv6:2001:db8::1]", {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
        {"[ipv6:2001:DB8::1]", {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
        {"[IPv6:::]", {0}},
        {"[IPv6:::1]", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
        {"[IPv6:1::]", {0, 1}},
        {"[IPv6:1:2:3:4:5:6:7:8]", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}},
        {"[IPv6:1:2:3::6:7:8]", {0, 1, 0, 2, 0, 3, 0, 0, 0, 0, 0, 6, 0, 7, 0, 8}},
        {"[IPv6:::3:4:5:6:7:8]", {0, 0, 0, 0, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}},
        {"[IPv6:1:2:3:4:5:6::]", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 0, 0, 0}},
        {"[IPv6:::ffff:192.0.2.1]", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}},
        {"[IPv6:1:2:3:4:5:6:7.8.9.10]", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 7, 8, 9, 10}},
        {"[IPv6:1:2::3:4:7.8.9.10]", {0, 1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4, 7, 8, 9, 10}},
    };
    for (size_t i = 0; i < ROWS(accepted); i++) {
        struct literal l;
        assert_int_equal(literal_parse(span_text(accepted[i].text), &l), FAULT_NONE);
        assert_int_equal(l.kind, LITERAL_IPV6);
        assert_memory_equal(l.bytes, accepted[i].bytes, 16);
    }
    static const char *const refused[] = {
        "[IPv6:]",
        "[IPv6::]",
        "[IPv6::::]",
        "[IPv6:1]",
        "[IPv6:1:2:3:4:5:6:7]",
        "[IPv6:1:2:3:4:5:6:7:8:9]",
        "[IPv6:1:2:3:4:5:6:7::]", /* "::" for one group: RFC 5321 4.1.3 wants two */
        "[IPv6:::2:3:4:5:6:7:8]",
        "[IPv6:1:2:3:4:5:6:7:8::]",
        "[IPv6:1::2::3]",
        "[IPv6:1:::2]",
        "[IPv6::1:2]",
        "[IPv6:1::2:]",
        "[IPv6:1:2:3:4:5:6:7:]",
        "[IPv6:12345::]",
        "[IPv6:g::]",
        "[IPv6:1::1.2.3]",
        "[IPv6:1::1.2.3.4:5]",
        "[IPv6:1.2.3.4::]",
        "[IPv6:1.2.3.4]",
        "[IPv6:1:2:3:4:5:6:7:1.2.3.4]",
        "[IPv6:1:2:3::4:5:1.2.3.4]",
        "[IPv6:1::%eth0]",
        "[IPv6: 1::]",
        "[IPv6:1:: ]",
        "[IPv6]",
    };
    for (size_t i = 0; i < ROWS(refused); i++) {
        struct literal l;
        enum fault fault = literal_parse(span_text(refused[i]), &l);
        if (fault != FAULT_SYNTAX)
            fail_msg("%s", refused[i]);
    }
}

static void general_literals(void **state)
{
    (void)state;
    struct literal l;
    assert_int_equal(literal_parse(SPAN("[X400:c=us;a=~!]"), &l), FAULT_NONE);
    assert_int_equal(l.kind, LITERAL_GENERAL);
    expect_span(l.tag, SPAN("X400"));
    expect_span(l.content, SPAN("c=us;a=~!"));
    assert_int_equal(literal_parse(SPAN("[2001:db8::1]"), &l), FAULT_NONE);
    expect_span(l.tag, SPAN("2001")); /* not an IPv6 address: the tag IPv6 is missing */
    static const char *const refused[] = {
        "[:x]",      "[tag:]",     "[tag-:x]",  "[t_g:x]",    "[t g:x]",    "[tag:a b]",
        "[tag:a[b]", "[tag:a\\b]", "[tag:a]b]", "[tag:\x80]", "[tag:\x7f]", "[tag:\t]",
    };
    for (size_t i = 0; i < ROWS(refused); i++)
        assert_int_equal(literal_parse(span_text(refused[i]), &l), FAULT_SYNTAX);
    char text[300];
    memset(text, 'x', sizeof text);
    memcpy(text, "[tag:", 5);
    text[254] = ']';
    assert_int_equal(literal_parse(span_of(text, 255), &l), FAULT_NONE);
    text[254] = 'x';
    text[255] = ']';
    assert_int_equal(literal_parse(span_of(text, 256), &l), FAULT_TOO_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(lengths),
        cmocka_unit_test(relations),
        cmocka_unit_test(lower_case),
        cmocka_unit_test(ipv4_literals),
        cmocka_unit_test(ipv6_literals),
        cmocka_unit_test(general_literals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
