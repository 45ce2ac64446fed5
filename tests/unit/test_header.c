#include "expect.h"

#include "mail/header.h"

struct walk {
    const char *message;
    const char *fields; /* name|unfolded value, each ended by ';' */
    const char *body;
    bool malformed;
    size_t received;
};

static const struct walk walks[] = {
    {"", "", "", false, 0},
    {"\r\n", "", "", false, 0},
    {"\r\nbody", "", "body", false, 0},
    {"A: b\r\n\r\nbody\r\n", "A|b;", "body\r\n", false, 0},
    {"A: b\r\n", "A|b;", "", false, 0},
    {"A: b", "A|b;", "", false, 0},
    {"A: b\r", "A|b\r;", "", false, 0},
    {"A:b\r\nC:\r\n\r\n", "A|b;C|;", "", false, 0},
    {"A: b\r\n c\r\n\td\r\nE: f\r\n\r\nx", "A|b c\td;E|f;", "x", false, 0},
    {"A:\r\n b\r\n \r\n\r\nx", "A|b;", "x", false, 0},
    {"A : b\r\nC\t :d\r\n\r\n", "A|b;C|d;", "", false, 0},
    {"A: b: c\r\n\r\n", "A|b: c;", "", false, 0},
    {"Received: a\r\nRECEIVED:b\r\nreceived : c\r\nX: Received: d\r\n"
     " Received: e\r\n\r\nReceived: f\r\n",
     "Received|a;RECEIVED|b;received|c;X|Received: d Received: e;", "Received: f\r\n", false, 3},
    {"Receive: a\r\nReceivedd: b\r\nxReceived: c\r\nReceived-SPF: d\r\n\r\n",
     "Receive|a;Receivedd|b;xReceived|c;Received-SPF|d;", "", false, 0},
    {"Received:", "Received|;", "", false, 1},
    /* only CRLF ends a line */
    {"A: b\nReceived: c\r\n\r\n", "A|b\nReceived: c;", "", false, 0},
    {"A: b\rReceived: c\r\r\n\r\n", "A|b\rReceived: c\r;", "", false, 0},
    {"A: b\r\r\n\r\nx", "A|b\r;", "x", false, 0},
    {"A: b\n\nx\r\n\r\n", "A|b\n\nx;", "", false, 0},
    /* the first line that is no field begins the body */
    {"no header\r\nReceived: a\r\n\r\n", "", "no header\r\nReceived: a\r\n\r\n", true, 0},
    {"A: b\r\n:c\r\nReceived: d\r\n", "A|b;", ":c\r\nReceived: d\r\n", true, 0},
    {"A: b\r\n\nReceived: d\r\n", "A|b;", "\nReceived: d\r\n", true, 0},
    {" A: b\r\n\r\n", "", " A: b\r\n\r\n", true, 0},
    {"\t\r\n\r\n", "", "\t\r\n\r\n", true, 0},
    {"A b: c\r\n\r\n", "", "A b: c\r\n\r\n", true, 0},
    {"A: b\r\nC\xc3\xbc: d\r\n", "A|b;", "C\xc3\xbc: d\r\n", true, 0},
    {"A\x7f: b", "", "A\x7f: b", true, 0},
    {"A\rB: c\r\n", "", "A\rB: c\r\n", true, 0},
    {"A: b\r\nReceived", "A|b;", "Received", true, 0},
    {"A: b\r\nReceived \t", "A|b;", "Received \t", true, 0},
    {"A: b\r\n\r", "A|b;", "\r", true, 0},
    {"\r", "", "\r", true, 0},
    {"\rA: b\r\n", "", "\rA: b\r\n", true, 0},
    {"\n", "", "\n", true, 0},
    {":", "", ":", true, 0},
    {" : x\r\n", "", " : x\r\n", true, 0},
    {"From a@b Tue Nov 24\r\nReceived: x\r\n", "", "From a@b Tue Nov 24\r\nReceived: x\r\n", true,
     0},
    {"A: \x01\x80\xff\r\n\r\n", "A|\x01\x80\xff;", "", false, 0},
};

static void walks_give_their_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(walks); i++) {
        struct buffer got;
        struct header h = header_over(span_text(walks[i].message));
        struct header_field field;
        size_t whole = 0;
        buffer_init(&got, 1000);
        while (header_next(&h, &field)) {
            assert_true(buffer_put(&got, field.name) && buffer_put_u8(&got, '|') &&
                        header_unfold(&got, field.value) && buffer_put_u8(&got, ';'));
            assert_ptr_equal(field.whole.data, walks[i].message + whole);
            whole += field.whole.len;
        }
        expect_span(buffer_span(&got), span_text(walks[i].fields));
        expect_span(h.rest, span_text(walks[i].body));
        assert_int_equal(h.malformed, walks[i].malformed);
        assert_true(h.ended);
        assert_false(header_next(&h, &field)); /* it stays ended */
        expect_span(h.rest, span_text(walks[i].body));
        assert_int_equal(h.malformed, walks[i].malformed);
        assert_int_equal(header_count(span_text(walks[i].message), SPAN("received")),
                         walks[i].received);
        buffer_fini(&got);
    }
}

/* The walk in pieces: two at every position, and one byte at a time. */
static void scans_agree_with_walks_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(walks); i++) {
        struct span message = span_text(walks[i].message);
        struct header_scan s;
        for (size_t at = 0; at <= message.len; at++) {
            header_scan_init(&s);
            header_scan_feed(&s, span_sub(message, 0, at));
            header_scan_feed(&s, span_skip(message, at));
            assert_int_equal(s.received, walks[i].received);
        }
        header_scan_init(&s);
        for (size_t at = 0; at < message.len; at++)
            header_scan_feed(&s, span_sub(message, at, 1));
        assert_int_equal(s.received, walks[i].received);
    }
}

static void a_scan_ends_with_the_header(void **state)
{
    (void)state;
    struct header_scan s;
    header_scan_init(&s);
    header_scan_feed(&s, SPAN("Received: a\r\n\r"));
    assert_false(s.ended);
    header_scan_feed(&s, SPAN("\n"));
    assert_true(s.ended);
    header_scan_feed(&s, SPAN("Received: a\r\n"));
    assert_int_equal(s.received, 1);
}

static void hundreds_of_hops(void **state)
{
    (void)state;
    struct buffer message;
    struct header_scan s;
    buffer_init(&message, 100000);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(
            buffer_printf(&message, "Received: from a\r\n\tby b%u;\r\n\tnow\r\nX: y\r\n", i));
    header_scan_init(&s);
    header_scan_feed(&s, buffer_span(&message));
    assert_int_equal(s.received, 1000);
    assert_int_equal(header_count(buffer_span(&message), SPAN("Received")), 1000);
    assert_int_equal(header_count(buffer_span(&message), SPAN("x")), 1000);
    buffer_fini(&message);
}

static void finding(void **state)
{
    (void)state;
    struct header_field field;
    struct span message = SPAN("A: 1\r\nb: 2\r\nB: 3\r\n\r\nC: 4\r\n");
    assert_true(header_find(message, SPAN("B"), &field));
    expect_span(field.value, SPAN(" 2"));
    expect_span(field.whole, SPAN("b: 2\r\n"));
    assert_false(header_find(message, SPAN("C"), &field));
    assert_false(header_find(message, SPAN(""), &field));
    assert_false(header_find((struct span){NULL, 0}, SPAN("A"), &field));
}

static void unfolding(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {" a ", "a"},
        {" a\r\n b", "a b"},
        {"\r\n a\r\n \r\n ", "a"},
        {"a\r\n\tb \r\n c", "a\tb  c"},
        {"a\rb\nc", "a\rb\nc"},
        {"\r\n", ""},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct buffer out;
        size_t len = strlen(rows[i][1]);
        buffer_init(&out, 100);
        assert_true(buffer_put_text(&out, " "));
        assert_true(header_unfold(&out, span_text(rows[i][0])));
        expect_span(span_skip(buffer_span(&out), 1), span_text(rows[i][1]));
        buffer_fini(&out);
        if (len == 0)
            continue;
        buffer_init(&out, len); /* one byte short */
        assert_true(buffer_put_text(&out, " "));
        assert_false(header_unfold(&out, span_text(rows[i][0])));
        expect_span(buffer_span(&out), SPAN(" "));
        buffer_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_give_their_fields),
        cmocka_unit_test(scans_agree_with_walks_at_every_split),
        cmocka_unit_test(a_scan_ends_with_the_header),
        cmocka_unit_test(hundreds_of_hops),
        cmocka_unit_test(finding),
        cmocka_unit_test(unfolding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
