/* endpoint: text forms of addresses. */
#include "os/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void accepts(void **state)
{
    static const struct {
        const char *text, *whole, *ip;
    } rows[] = {
        {"127.0.0.1:25", "127.0.0.1:25", "127.0.0.1"},
        {"0.0.0.0:0", "0.0.0.0:0", "0.0.0.0"},
        {"255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255"},
        {"[::1]:25", "[::1]:25", "::1"},
        {"[::]:587", "[::]:587", "::"},
        {"[2001:DB8:0:0:0:0:0:1]:465", "[2001:db8::1]:465", "2001:db8::1"},
        {"[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
         "[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
         "1111:2222:3333:4444:5555:6666:7777:8888"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct endpoint e, again;
        char text[ENDPOINT_TEXT_MAX];
        assert_true(endpoint_parse(span_text(rows[i].text), &e));
        assert_true(span_equal(endpoint_format(e, text), span_text(rows[i].whole)));
        assert_true(endpoint_parse(span_text(text), &again));
        assert_true(endpoint_equal(e, again));
        assert_true(span_equal(endpoint_format_ip(e, text), span_text(rows[i].ip)));
    }
}

static void refuses(void **state)
{
    static const char *const rows[] = {
        "",
        ":",
        ":25",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 25",
        "127.0.0.1:000025",
        "127.0.0.1:25x",
        "127.0.0.1:25:25",
        "127.0.0:25",
        "127.0.0.256:25",
        " 127.0.0.1:25",
        "0127.0.0.1:25",
        "localhost:25",
        "::1:25",
        "[::1]",
        "[::1]25",
        "[::1:25",
        "[]:25",
        "[127.0.0.1]:25",
        "[::1%lo]:25",
        "[::1]]:25",
        "[1:2:3:4:5:6:7:8:9]:25",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:25",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct endpoint e = {.family = 9};
        assert_false(endpoint_parse(span_text(rows[i]), &e));
        assert_int_equal(e.family, 9);
    }
    struct endpoint e;
    assert_false(endpoint_parse(SPAN("127.0.0.1\0:25"), &e));
}

static void reads_an_address_alone(void **state)
{
    static const char *const good[] = {"0.0.0.0", "192.0.2.255", "::", "::1", "2001:db8::1"};
    static const char *const bad[] = {
        "",
        "1.2.3",
        "1.2.3.4:25",
        "1.2.3.256",
        "[::1]",
        "::1%lo",
        ":",
        ":::1",
        "localhost",
        "01.2.3.4.5",
        " 1.2.3.4",
        "1.2.3.4 ",
        "1:2:3:4:5:6:7:8:9",
    };
    (void)state;
    struct endpoint e;
    char text[ENDPOINT_TEXT_MAX];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(endpoint_parse_ip(span_text(good[i]), &e));
        assert_int_equal(e.port, 0);
        assert_true(span_equal(endpoint_format_ip(e, text), span_text(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        e.family = 9;
        assert_false(endpoint_parse_ip(span_text(bad[i]), &e));
        assert_int_equal(e.family, 9);
    }
    assert_false(endpoint_parse_ip(SPAN("1.2.3.4\0"), &e));
}

static void compares(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"1.2.3.4:5", "1.2.3.4:5", true},  {"1.2.3.4:5", "1.2.3.4:6", false},
        {"1.2.3.4:5", "1.2.3.5:5", false}, {"[::1]:5", "[::1]:5", true},
        {"[::1]:5", "[::2]:5", false},     {"0.0.0.0:5", "[::]:5", false},
        {"[1::]:5", "[1::1]:5", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct endpoint a, b;
        assert_true(endpoint_parse(span_text(rows[i].a), &a));
        assert_true(endpoint_parse(span_text(rows[i].b), &b));
        assert_int_equal(endpoint_equal(a, b), rows[i].equal);
    }
    char text[ENDPOINT_TEXT_MAX];
    assert_true(span_equal(endpoint_format((struct endpoint){0}, text), SPAN("local")));
    assert_true(endpoint_equal((struct endpoint){0}, (struct endpoint){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(refuses),
        cmocka_unit_test(reads_an_address_alone),
        cmocka_unit_test(compares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
