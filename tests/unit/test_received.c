#include "expect.h"

#include "mail/header.h"
#include "mail/received.h"

#define NOW 1795496607123

static const struct id some_id = {
    {0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}};

static struct received usual(void)
{
    return (struct received){
        .helo = SPAN("client.example"),
        .peer_address = SPAN("192.0.2.1"),
        .by = SPAN("mx1.example.org"),
        .with = SPAN("ESMTP"),
        .id = some_id,
        .wall_ms = NOW,
    };
}

static void expect_field(const struct received *r, const char *expected)
{
    struct buffer out;
    buffer_init(&out, RECEIVED_MAX);
    assert_true(received_format(&out, r));
    expect_span(buffer_span(&out), span_text(expected));
    buffer_fini(&out);
}

#define ID_TEXT "0024H36H2NCSVRH6DAQF6DVVQZ"

static void fields(void **state)
{
    (void)state;
    struct received r = usual();
    expect_field(&r, "Received: from client.example ([192.0.2.1])\r\n"
                     "\tby mx1.example.org with ESMTP id " ID_TEXT ";\r\n"
                     "\tTue, 24 Nov 2026 05:03:27 +0000\r\n");
    r.peer_name = SPAN("host.example");
    r.recipient = SPAN("\"a b\"@example.org");
    expect_field(&r, "Received: from client.example (host.example [192.0.2.1])\r\n"
                     "\tby mx1.example.org with ESMTP id " ID_TEXT "\r\n"
                     "\tfor <\"a b\"@example.org>;\r\n"
                     "\tTue, 24 Nov 2026 05:03:27 +0000\r\n");
    r = usual();
    r.helo = SPAN("[IPv6:2001:db8::1]");
    r.peer_address = SPAN("2001:db8::1");
    expect_field(&r, "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"
                     "\tby mx1.example.org with ESMTP id " ID_TEXT ";\r\n"
                     "\tTue, 24 Nov 2026 05:03:27 +0000\r\n");
    r = usual();
    r.helo = SPAN("");
    expect_field(&r, "Received: from unknown ([192.0.2.1])\r\n"
                     "\tby mx1.example.org with ESMTP id " ID_TEXT ";\r\n"
                     "\tTue, 24 Nov 2026 05:03:27 +0000\r\n");
    r.peer_address = SPAN("");
    r.with = SPAN("local");
    expect_field(&r, "Received: by mx1.example.org with local id " ID_TEXT ";\r\n"
                     "\tTue, 24 Nov 2026 05:03:27 +0000\r\n");
}

static void what_the_client_says_is_cleaned(void **state)
{
    (void)state;
    struct received r = usual();
    r.helo = SPAN("a\r\nSubject: x (by) \xc3\xbc\x1b");
    expect_field(&r, "Received: from a??Subject:?x??by?????"
                     " ([192.0.2.1])\r\n"
                     "\tby mx1.example.org with ESMTP id " ID_TEXT ";\r\n"
                     "\tTue, 24 Nov 2026 05:03:27 +0000\r\n");
}

/* Whatever a peer gives, there is one field of short lines, its name Received. */
static void no_byte_ends_the_field(void **state)
{
    (void)state;
    static char text[3000];
    for (unsigned byte = 0; byte < 256; byte++) {
        struct received r = usual();
        struct buffer out;
        struct header_field field;
        memset(text, (int)byte, sizeof text);
        struct span all = span_of(text, sizeof text);
        r.helo = r.peer_name = r.peer_address = all;
        r.recipient = span_of(text, 254);
        buffer_init(&out, RECEIVED_MAX);
        assert_true(received_format(&out, &r));
        struct header h = header_over(buffer_span(&out));
        assert_true(header_next(&h, &field));
        expect_span(field.name, SPAN("Received"));
        assert_false(header_next(&h, &field));
        assert_false(h.malformed);
        assert_int_equal(h.rest.len, 0);
        struct span rest = buffer_span(&out), line;
        while (rest.len > 0) {
            rest = span_split(rest, '\n', &line);
            assert_true(line.len <= 998 && line.data[line.len - 1] == '\r');
            for (size_t i = 0; i + 1 < line.len; i++)
                assert_true(line.data[i] == '\t' || (line.data[i] >= 32 && line.data[i] < 127));
        }
        buffer_fini(&out);
    }
}

static void a_recipient_that_is_not_fit_is_left_out(void **state)
{
    (void)state;
    static char text[300];
    static const char *const unfit[] = {"a\r\n@b", "gr\xc3\xbc@b", "a\t@b", "\x7f@b"};
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < ROWS(unfit) + 2; i++) {
        struct received r = usual();
        struct buffer out;
        bool fit = i == ROWS(unfit);
        r.recipient = i < ROWS(unfit) ? span_text(unfit[i]) : span_of(text, fit ? 254 : 255);
        buffer_init(&out, RECEIVED_MAX);
        assert_true(received_format(&out, &r));
        struct span field = buffer_span(&out);
        assert_int_equal(span_find(field, SPAN("for <"), 0) < field.len, fit);
        buffer_fini(&out);
    }
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
    (void)state;
    struct received r = usual();
    for (size_t max = 1; max < 130; max++) {
        struct buffer out;
        buffer_init(&out, max);
        assert_true(buffer_put_text(&out, "x"));
        assert_false(received_format(&out, &r));
        assert_true(out.full);
        expect_span(buffer_span(&out), SPAN("x"));
        buffer_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(what_the_client_says_is_cleaned),
        cmocka_unit_test(no_byte_ends_the_field),
        cmocka_unit_test(a_recipient_that_is_not_fit_is_left_out),
        cmocka_unit_test(a_full_buffer_is_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
