#include "expect.h"

#include "ipc/control.h"

static void round_trip(void **state)
{
    (void)state;
    struct buffer line;
    struct span words[] = {SPAN("queue"), SPAN("list"), SPAN(""), SPAN("a b"), SPAN("\xc3\xa4")};
    struct span read[CONTROL_WORDS_MAX];
    size_t count = 0;
    buffer_init(&line, CONTROL_REQUEST_MAX);
    assert_true(control_request_format(&line, words, ROWS(words)));
    expect_span(buffer_span(&line), SPAN("queue\tlist\t\ta b\t\xc3\xa4\n"));
    struct span text = span_sub(buffer_span(&line), 0, line.len - 1);
    assert_true(control_request_parse(text, read, &count));
    assert_int_equal(count, ROWS(words));
    for (size_t i = 0; i < count; i++)
        expect_span(read[i], words[i]);
    buffer_fini(&line);
}

static void refused(void **state)
{
    (void)state;
    struct span words[CONTROL_WORDS_MAX];
    size_t count;
    static const struct span rows[] = {{(const uint8_t *)"", 0},
                                       {(const uint8_t *)"a\0b", 3},
                                       {(const uint8_t *)"a\r", 2},
                                       {(const uint8_t *)"\x7f", 1},
                                       {(const uint8_t *)"a\tb\n", 4}};
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_false(control_request_parse(rows[i], words, &count));

    struct buffer b;
    buffer_init(&b, 65536);
    assert_false(control_request_format(&b, (struct span[]){SPAN("a\tb")}, 1));
    assert_false(control_request_format(&b, NULL, 0));
    buffer_fini(&b);
}

static void limits(void **state)
{
    (void)state;
    uint8_t line[CONTROL_REQUEST_MAX];
    struct span words[CONTROL_WORDS_MAX];
    size_t count;
    memset(line, 'x', sizeof line);
    assert_true(control_request_parse(span_of(line, CONTROL_REQUEST_MAX - 1), words, &count));
    assert_false(control_request_parse(span_of(line, CONTROL_REQUEST_MAX), words, &count));
    memset(line, '\t', CONTROL_WORDS_MAX);
    assert_true(control_request_parse(span_of(line, CONTROL_WORDS_MAX - 1), words, &count));
    assert_int_equal(count, CONTROL_WORDS_MAX);
    assert_false(control_request_parse(span_of(line, CONTROL_WORDS_MAX), words, &count));
}

static void end(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 256);
    assert_true(control_end_format(&b, CONTROL_NOT_FOUND, "no \"such\" message"));
    expect_span(buffer_span(&b),
                SPAN("{\"end\":true,\"exit\":66,\"message\":\"no \\\"such\\\" message\"}\n"));
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(refused),
        cmocka_unit_test(limits),
        cmocka_unit_test(end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
