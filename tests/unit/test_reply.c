#include "expect.h"

#include "smtp/reply.h"

/* Replies as they come out are written one a line: "250 text"; "!" is a fault. */
struct reply_case {
    const char *wire;
    const char *expected;
};

static const struct reply_case cases[] = {
    {"250 ok\r\n", "250 ok\n"},
    {"250 ok\n", "250 ok\n"},
    {"250 ok\r\r\n", "250 ok\n"},
    {"250 ok \t\r\n", "250 ok\n"},
    {"250\r\n", "250 \n"},
    {"250\n", "250 \n"},
    {"250 \r\n", "250 \n"},
    {"250-\r\n250 \r\n", "250 \n"},
    {"250-a\r\n250-b\r\n250 c\r\n", "250 a b c\n"},
    {"250-a\r\n250-\r\n250 c\r\n", "250 a c\n"},
    {"250-a\n250\n", "250 a\n"},
    {"220 a\r\n250 b\r\n", "220 a\n250 b\n"},
    {"250  a  b\r\n", "250  a  b\n"},
    {"250 a\rb\r\n", "250 a\rb\n"},
    {"000 a\r\n", "0 a\n"},
    {"999 a\r\n", "999 a\n"},
    {"250 \xc3\xa9\xff\r\n", "250 \xc3\xa9\xff\n"},
    /* the last code counts */
    {"250-a\r\n550 b\r\n", "550 a b\n"},
    {"550-a\r\n250 b\r\n", "250 a b\n"},
    /* not complete */
    {"", ""},
    {"250 ok", ""},
    {"250 ok\r", ""},
    {"250-a\r\n", ""},
    {"250-a\r\n250 b", ""},
    /* no reply at all; what came before is given */
    {"\r\n", "!"},
    {"\n", "!"},
    {"hello\r\n", "!"},
    {"25\r\n", "!"},
    {"2500\r\n", "!"},
    {"2500 a\r\n", "!"},
    {"25O ok\r\n", "!"},
    {" 250 ok\r\n", "!"},
    {"-250 ok\r\n", "!"},
    {"+25 ok\r\n", "!"},
    {"250ok\r\n", "!"},
    {"250_ok\r\n", "!"},
    {"250\tok\r\n", "!"},
    {"250\r250\r\n", "!"},
    {"\xb2\xb5\xb0 ok\r\n", "!"},
    {"HTTP/1.1 400 Bad Request\r\n", "!"},
    {"250-a\r\n\r\n", "!"},
    {"250-a\r\nb\r\n", "!"},
    {"250-a\r\n.\r\n", "!"},
    {"250 ok\r\n\r\n250 ok\r\n", "250 ok\n!"},
    {"250 ok\r\nGET / HTTP/1.0\r\n", "250 ok\n!"},
};

static void read_piece(struct reply_reader *r, struct span piece, struct buffer *out)
{
    while (piece.len > 0) {
        struct reply reply;
        size_t used;
        enum reply_progress progress = reply_read(r, piece, &used, &reply);
        assert_true(used <= piece.len);
        piece = span_skip(piece, used);
        if (progress == REPLY_FAULT) {
            assert_int_not_equal(reply_reader_fault(r), FAULT_NONE);
            if (out->len == 0 || out->data[out->len - 1] != '!')
                assert_true(buffer_put_text(out, "!"));
            return;
        }
        if (progress == REPLY_MORE)
            assert_int_equal(piece.len, 0);
        if (progress == REPLY_LINE && reply.is_final) {
            assert_true(buffer_printf(out, "%d ", reply.code));
            assert_true(buffer_put(out, reply.text));
            assert_true(buffer_put_text(out, "\n"));
        }
    }
}

static void read_cut(struct span wire, size_t a, size_t b, struct buffer *out)
{
    struct reply_reader r;
    reply_reader_init(&r);
    buffer_init(out, 1 << 20);
    read_piece(&r, span_sub(wire, 0, a), out);
    read_piece(&r, span_sub(wire, a, b - a), out);
    read_piece(&r, span_skip(wire, b), out);
    reply_reader_fini(&r);
}

static void every_case_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct span wire = span_text(cases[i].wire);
        for (size_t a = 0; a <= wire.len; a++) {
            for (size_t b = a; b <= wire.len; b++) {
                struct buffer out;
                read_cut(wire, a, b, &out);
                expect_span(buffer_span(&out), span_text(cases[i].expected));
                buffer_fini(&out);
            }
        }
    }
}

static void expect_bytes(struct span wire, struct span expected)
{
    struct buffer whole, split;
    struct reply_reader r;
    read_cut(wire, wire.len, wire.len, &whole);
    expect_span(buffer_span(&whole), expected);
    for (size_t piece = 1; piece <= 3; piece++) {
        reply_reader_init(&r);
        buffer_init(&split, 1 << 20);
        for (struct span rest = wire; rest.len > 0; rest = span_skip(rest, piece))
            read_piece(&r, span_sub(rest, 0, piece), &split);
        expect_span(buffer_span(&split), expected);
        reply_reader_fini(&r);
        buffer_fini(&split);
    }
    buffer_fini(&whole);
}

static void a_nul_is_a_byte_like_others(void **state)
{
    (void)state;
    expect_bytes(SPAN("550 a\0b\r\n"), SPAN("550 a\0b\n"));
    expect_bytes(SPAN("55\0 a\r\n"), SPAN("!"));
    expect_bytes(SPAN("550\0a\r\n"), SPAN("!"));
}

static void fill(struct buffer *b, char byte, size_t count)
{
    uint8_t *room = buffer_reserve(b, count);
    assert_non_null(room);
    memset(room, byte, count);
    buffer_commit(b, count);
}

/* "550 xxx…" of `bytes` without line end, once. */
static void expect_line(size_t bytes, size_t text_expected, bool fault)
{
    struct buffer wire, expected;
    buffer_init(&wire, 1 << 20);
    buffer_init(&expected, 1 << 20);
    assert_true(buffer_put_text(&wire, "550 "));
    fill(&wire, 'x', bytes - 4);
    assert_true(buffer_put_text(&wire, "\n"));
    if (fault) {
        assert_true(buffer_put_text(&expected, "!"));
    } else {
        assert_true(buffer_put_text(&expected, "550 "));
        fill(&expected, 'x', text_expected);
        assert_true(buffer_put_text(&expected, "\n"));
    }
    expect_bytes(buffer_span(&wire), buffer_span(&expected));
    buffer_fini(&wire);
    buffer_fini(&expected);
}

static void a_long_line_is_cut_and_an_endless_one_is_a_fault(void **state)
{
    (void)state;
    expect_line(4 + REPLY_TEXT_MAX - 1, REPLY_TEXT_MAX - 1, false);
    expect_line(4 + REPLY_TEXT_MAX, REPLY_TEXT_MAX, false);
    expect_line(4 + REPLY_TEXT_MAX + 1, REPLY_TEXT_MAX, false);
    expect_line(REPLY_LINE_MAX + 1, REPLY_TEXT_MAX, false);
    expect_line(REPLY_LINE_BYTES_MAX, REPLY_TEXT_MAX, false);
    expect_line(REPLY_LINE_BYTES_MAX + 1, 0, true);
}

/* What lies beyond the cut cannot be taken for a line end. */
static void the_line_itself_is_kept_up_to_its_limit(void **state)
{
    (void)state;
    struct buffer wire;
    struct reply_reader r;
    struct reply reply;
    size_t used;
    buffer_init(&wire, 1 << 16);
    assert_true(buffer_put_text(&wire, "250 "));
    fill(&wire, 'y', REPLY_LINE_MAX);
    assert_true(buffer_put_text(&wire, "\r\n"));
    reply_reader_init(&r);
    struct span half = span_sub(buffer_span(&wire), 0, 1000);
    assert_int_equal(reply_read(&r, half, &used, &reply), REPLY_MORE);
    struct span rest = span_skip(buffer_span(&wire), used);
    assert_int_equal(reply_read(&r, rest, &used, &reply), REPLY_LINE);
    assert_int_equal(used, rest.len);
    assert_int_equal(reply.line.len, REPLY_LINE_MAX - 4);
    assert_int_equal(reply.text.len, REPLY_TEXT_MAX);
    reply_reader_fini(&r);
    buffer_fini(&wire);
}

static void expect_lines(size_t lines, const char *expected)
{
    struct buffer wire;
    buffer_init(&wire, 1 << 16);
    for (size_t i = 1; i < lines; i++)
        assert_true(buffer_put_text(&wire, "250-\r\n"));
    assert_true(buffer_put_text(&wire, "250 ok\r\n250 next\r\n"));
    expect_bytes(buffer_span(&wire), span_text(expected));
    buffer_fini(&wire);
}

static void a_reply_has_a_hundred_lines_at_most(void **state)
{
    (void)state;
    expect_lines(REPLY_LINES_MAX - 1, "250 ok\n250 next\n");
    expect_lines(REPLY_LINES_MAX, "250 ok\n250 next\n");
    expect_lines(REPLY_LINES_MAX + 1, "!");
}

static void each_line_is_given_with_its_place(void **state)
{
    (void)state;
    struct reply_reader r;
    struct reply reply;
    size_t used;
    struct span wire = SPAN("250-mx.example\r\n250-SIZE 10\r\n250 DSN\r\n");
    reply_reader_init(&r);
    assert_int_equal(reply_read(&r, wire, &used, &reply), REPLY_LINE);
    expect_span(reply.line, SPAN("mx.example"));
    assert_true(reply.is_first && !reply.is_final);
    wire = span_skip(wire, used);
    assert_int_equal(reply_read(&r, wire, &used, &reply), REPLY_LINE);
    expect_span(reply.line, SPAN("SIZE 10"));
    expect_span(reply.text, SPAN("mx.example SIZE 10"));
    assert_true(!reply.is_first && !reply.is_final);
    wire = span_skip(wire, used);
    assert_int_equal(reply_read(&r, wire, &used, &reply), REPLY_LINE);
    expect_span(reply.line, SPAN("DSN"));
    assert_true(!reply.is_first && reply.is_final);
    /* An idle reader holds nothing. */
    assert_int_equal(reply_read(&r, SPAN(""), &used, &reply), REPLY_MORE);
    assert_null(r.line.data);
    assert_null(r.text.data);
    reply_reader_fini(&r);
}

static void a_fault_is_final(void **state)
{
    (void)state;
    struct reply_reader r;
    struct reply reply;
    size_t used;
    reply_reader_init(&r);
    assert_int_equal(reply_reader_fault(&r), FAULT_NONE);
    assert_int_equal(reply_read(&r, SPAN("what?\r\n"), &used, &reply), REPLY_FAULT);
    assert_int_equal(reply_reader_fault(&r), FAULT_PROTOCOL);
    assert_int_equal(reply_read(&r, SPAN("250 ok\r\n"), &used, &reply), REPLY_FAULT);
    assert_int_equal(used, 0);
    reply_reader_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_however_it_is_cut),
        cmocka_unit_test(a_nul_is_a_byte_like_others),
        cmocka_unit_test(a_long_line_is_cut_and_an_endless_one_is_a_fault),
        cmocka_unit_test(the_line_itself_is_kept_up_to_its_limit),
        cmocka_unit_test(a_reply_has_a_hundred_lines_at_most),
        cmocka_unit_test(each_line_is_given_with_its_place),
        cmocka_unit_test(a_fault_is_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
