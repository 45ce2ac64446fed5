/* compose: what `sendmail` makes of its input. */
#include "expect.h"

#include <string.h>

#include "mail/compose.h"

static const struct compose_options usual = {.from = SPAN("me@mx.test"),
                                             .name = SPAN("Me \"M\" Me"),
                                             .hostname = SPAN("mx.test"),
                                             .takes_recipients = true};

#define HEAD "From: x\r\nDate: x\r\nMessage-ID: x\r\n"

static const struct {
    const char *input, *output, *recipients;
} rows[] = {
    {HEAD "To: a@b\r\n\r\nhi\r\n", HEAD "To: a@b\r\n\r\nhi\r\n", "a@b "},
    {"From: x\nDate: x\nMessage-ID: x\nTo: a@b\n\nhi\n", HEAD "To: a@b\r\n\r\nhi\r\n", "a@b "},
    {"From: x\rDate: x\rMessage-ID: x\rTo: a@b\r\rhi\r", HEAD "To: a@b\r\n\r\nhi\r\n", "a@b "},
    {HEAD "To: a@b\n\nhi", HEAD "To: a@b\r\n\r\nhi\r\n", "a@b "},
    {HEAD "To: a@b\n\none\rtwo\n\rthree\r\n", HEAD "To: a@b\r\n\r\none\r\ntwo\r\n\r\nthree\r\n",
     "a@b "},
    {HEAD "Bcc: a@b,\n c@d\nX: y\n\n", HEAD "X: y\r\n\r\n", "a@b c@d "},
    {HEAD "bcc: a@b\nReturn-Path: <x>\nContent-Length: 3\n\n", HEAD "\r\n", "a@b "},
    {HEAD "To: a@b\nCc: c@d\nBcc: e@f\n\n", HEAD "To: a@b\r\nCc: c@d\r\n\r\n", "a@b c@d e@f "},
    {HEAD "To: a@b\nResent-To: c@d\nResent-Bcc: e@f\n\n", HEAD "To: a@b\r\nResent-To: c@d\r\n\r\n",
     "c@d e@f "},
    {"From a@b Mon Jan 1 00:00:00 2026\n" HEAD "To: a@b\n\nx\n", HEAD "To: a@b\r\n\r\nx\r\n",
     "a@b "},
    {HEAD "To: a@b\nno field\nmore\n", HEAD "To: a@b\r\n\r\nno field\r\nmore\r\n", "a@b "},
    {HEAD "To: a@b\n\nx\n.\ny\n", HEAD "To: a@b\r\n\r\nx\r\n.\r\ny\r\n", "a@b "},
    {HEAD "To: a@b", HEAD "To: a@b\r\n\r\n", "a@b "},
};

static const char *recipients_of(struct span input, bool dot_ends, struct buffer *out)
{
    static char text[4096];
    struct compose_options o = usual;
    struct arena arena;
    struct span *list;
    uint32_t count;
    o.dot_ends = dot_ends;
    arena_init(&arena, 1024 * 1024);
    buffer_init(out, 1024 * 1024);
    assert_int_equal(compose(input, &o, &arena, out, &list, &count), FAULT_NONE);
    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        strncat(text, (const char *)list[i].data, list[i].len);
        strcat(text, " ");
    }
    arena_fini(&arena);
    return text;
}

static void messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct buffer out;
        const char *got = recipients_of(span_text(rows[i].input), false, &out);
        expect_span(buffer_span(&out), span_text(rows[i].output));
        assert_string_equal(got, rows[i].recipients);
        buffer_fini(&out);
    }
}

static void what_is_missing(void **state)
{
    (void)state;
    struct buffer out;
    (void)recipients_of(SPAN("To: a\n\nx\0y\n"), false, &out);
    expect_span(buffer_span(&out),
                SPAN("From: \"Me \\\"M\\\" Me\" <me@mx.test>\r\n"
                     "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"
                     "Message-ID: <00000000000000000000000000@mx.test>\r\nTo: a\r\n\r\nxy\r\n"));
    buffer_fini(&out);
    assert_string_equal(recipients_of(SPAN("To: a\n\nx\n.\ny\n"), true, &out), "a@mx.test ");
    assert_true(span_ends_with_nocase(buffer_span(&out), SPAN("\r\n\r\nx\r\n")));
    buffer_fini(&out);
    assert_string_equal(recipients_of(SPAN(""), false, &out), "");
    buffer_fini(&out);
}

static void lists(void **state)
{
    (void)state;
    static const struct {
        const char *list, *addresses;
    } lines[] = {
        {"a@b", "a@b "},
        {" a@b , c@d ", "a@b c@d "},
        {"A B <a@b>", "a@b "},
        {"\"B, A\" <a@b>, c@d", "a@b c@d "},
        {"\"a b\"@c", "\"a b\"@c "},
        {"a@b (one, two), (x) c@d (\\))", "a@b c@d "},
        {"a (b (c) d) , e", "a@mx.test e@mx.test "},
        {"all: a@b, c@d; , e@f", "a@b c@d e@f "},
        {"undisclosed-recipients:;", ""},
        {"a@b,,c@d,", "a@b c@d "},
        {"<a@b> junk", "a@b "},
        {"root", "root@mx.test "},
        {"Name <root>", "root@mx.test "},
        {"<>", ""},
        {"", ""},
        {"\"never closed, a@b", "\"never closed, a@b "},
        {"(never closed, a@b", ""},
        {"a\r\n @b", "a@b "},
        {"a@[IPv6:::1], b: c@d;", "a@[IPv6:::1] c@d "},
    };
    for (size_t i = 0; i < ROWS(lines); i++) {
        struct buffer out, input;
        buffer_init(&input, 1000);
        assert_true(buffer_printf(&input, "To: %s\r\n\r\n", lines[i].list));
        const char *got = recipients_of(buffer_span(&input), false, &out);
        if (strcmp(got, lines[i].addresses) != 0)
            fail_msg("%s: %s", lines[i].list, got);
        buffer_fini(&out);
        buffer_fini(&input);
    }
}

static void too_many(void **state)
{
    (void)state;
    struct arena arena;
    struct span *list = NULL;
    uint32_t count = COMPOSE_RECIPIENTS_MAX - 1;
    arena_init(&arena, 16 * 1024 * 1024);
    list = arena_alloc(&arena, COMPOSE_RECIPIENTS_MAX * sizeof *list);
    assert_int_equal(compose_addresses(SPAN("a@b"), SPAN("x"), &arena, &list, &count), FAULT_NONE);
    assert_int_equal(compose_addresses(SPAN("a@b"), SPAN("x"), &arena, &list, &count), FAULT_LIMIT);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(what_is_missing),
        cmocka_unit_test(lists),
        cmocka_unit_test(too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
