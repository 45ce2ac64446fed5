#include "expect.h"

#include "dns/name.h"

static void texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct span wire; /* empty: refused */
    } rows[] = {
        {"", {(const uint8_t *)"\0", 1}},
        {"a", {(const uint8_t *)"\1a", 3}},
        {"Mx1.Example", {(const uint8_t *)"\3mx1\7example", 13}},
        {"a_b.c", {(const uint8_t *)"\3a_b\1c", 7}},
        {".", {NULL, 0}},
        {"a.", {NULL, 0}},
        {".a", {NULL, 0}},
        {"a..b", {NULL, 0}},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct name name;
        bool good = name_parse(span_text(rows[i].text), &name);
        assert_int_equal(good, rows[i].wire.len > 0);
        if (good)
            expect_span(span_of(name.bytes, name.len), rows[i].wire);
    }
}

static void lengths(void **state)
{
    (void)state;
    char text[300];
    struct name name;
    memset(text, 'a', sizeof text);
    assert_true(name_parse(span_of(text, 63), &name));
    assert_false(name_parse(span_of(text, 64), &name));
    for (size_t at = 49; at < sizeof text; at += 50)
        text[at] = '.';
    assert_true(name_parse(span_of(text, 253), &name));
    assert_int_equal(name.len, 255);
    assert_false(name_parse(span_of(text, 254), &name));
}

/* Each of these is read at `at`. */
static void wire(void **state)
{
    (void)state;
    static const struct {
        struct span packet;
        size_t at;
        const char *host; /* NULL: damaged; "": good, but no host's */
        size_t end;
    } rows[] = {
        {SPAN("\1a\0"), 0, "a", 3},
        {SPAN("\1A\2Bc\0rest"), 0, "a.bc", 6},
        {SPAN("\0"), 0, "", 1},
        {SPAN("xx\1a\0\1b\xc0\2.."), 5, "b.a", 9},
        {SPAN("\1a\0\xc0\0\1b\xc0\3"), 5, "b.a", 9},
        {SPAN("\3a.b\0"), 0, "", 5},
        {SPAN("\1\0\0"), 0, "", 3},
        {SPAN("\1 \0"), 0, "", 3},
        {SPAN("\2-a\0"), 0, "", 4},
        {SPAN("\2\xc3\xbc\0"), 0, "", 4},
        {SPAN(""), 0, NULL, 0},
        {SPAN("\1"), 0, NULL, 0},
        {SPAN("\1a"), 0, NULL, 0},
        {SPAN("\2a\0"), 0, NULL, 0},
        {SPAN("\xc0"), 0, NULL, 0},
        {SPAN("\xc0\0"), 0, NULL, 0},          /* to itself */
        {SPAN("\1a\xc0\0"), 0, NULL, 0},       /* into its own labels */
        {SPAN("\1a\xc0\0\xc0\0"), 4, NULL, 0}, /* to one that loops */
        {SPAN("\xc0\2\1a\0"), 0, NULL, 0},     /* forwards */
        {SPAN("\xc0\3\0\xc0\2"), 3, "", 5},    /* the root by a jump */
        {SPAN("\xff\xff\0"), 0, NULL, 0},      /* far outside */
        {SPAN("\x41"
              "a\0"),
         0, NULL, 0}, /* forms never used */
        {SPAN("\x81"
              "a\0"),
         0, NULL, 0},
        {SPAN("\1a\0"), 3, NULL, 0}, /* begins at the end */
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct name name;
        size_t at = rows[i].at;
        uint8_t text[DOMAIN_MAX];
        size_t len = 0;
        bool good = name_decode(rows[i].packet, &at, &name);
        assert_int_equal(good, rows[i].host != NULL);
        if (!good)
            continue;
        assert_int_equal(at, rows[i].end);
        bool is_host = name_format_host(&name, text, &len);
        assert_int_equal(is_host, rows[i].host[0] != '\0');
        if (is_host)
            expect_span(span_of(text, len), span_text(rows[i].host));
    }
}

/* A name of 127 labels, each behind a jump, is good; one jump more is not. */
static void jumps(void **state)
{
    (void)state;
    uint8_t packet[1024] = {0};
    size_t at = 1; /* the root is at 0 */
    size_t before = 0;
    for (int i = 0; i < 127; i++) {
        packet[at] = 1;
        packet[at + 1] = 'a';
        packet[at + 2] = (uint8_t)(0xc0 | before >> 8);
        packet[at + 3] = (uint8_t)before;
        before = at;
        at += 4;
    }
    struct name name;
    size_t end = before;
    assert_true(name_decode(span_of(packet, at), &end, &name));
    assert_int_equal(name.len, 255);
    packet[at] = (uint8_t)(0xc0 | before >> 8);
    packet[at + 1] = (uint8_t)before;
    end = at;
    assert_false(name_decode(span_of(packet, at + 2), &end, &name));

    /* Nothing but jumps, each to the one before. */
    memset(packet, 0, sizeof packet);
    for (size_t i = 1; i < sizeof packet - 1; i += 2) {
        packet[i] = (uint8_t)(0xc0 | (i < 3 ? 0 : i - 2) >> 8);
        packet[i + 1] = (uint8_t)(i < 3 ? 0 : i - 2);
    }
    end = 1 + 2 * 126;
    assert_true(name_decode(span_of(packet, sizeof packet), &end, &name));
    end = 1 + 2 * 127;
    assert_false(name_decode(span_of(packet, sizeof packet), &end, &name));
}

static void equality(void **state)
{
    (void)state;
    struct name a, b;
    size_t at = 0;
    assert_true(name_parse(SPAN("a.b"), &a) && name_parse(SPAN("A.B"), &b));
    assert_true(name_equal(&a, &b));
    assert_true(name_decode(SPAN("\3a.b\0"), &at, &b));
    assert_false(name_equal(&a, &b)); /* one label with a dot is not two */
    assert_true(name_parse(SPAN("a"), &b));
    assert_false(name_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts), cmocka_unit_test(lengths),  cmocka_unit_test(wire),
        cmocka_unit_test(jumps), cmocka_unit_test(equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
