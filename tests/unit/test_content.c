#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "smtp/content.h"

struct data_case {
    const char *wire;    /* as sent after 354 */
    const char *content; /* as kept */
    const char *rest;    /* what follows the end: the next commands */
    bool ended, bare_cr, bare_lf, has_8bit, dot_lines;
};

static const struct data_case cases[] = {
    {"a\r\n.\r\n", "a\r\n", "", .ended = true},
    {".\r\n", "", "", .ended = true},
    {"a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n", .ended = true},
    {"..\r\n.\r\n", ".\r\n", "", .ended = true, .dot_lines = true},
    {"..a\r\n...\r\n.\r\n", ".a\r\n..\r\n", "", .ended = true, .dot_lines = true},
    {".a\r\n.\r\n", "a\r\n", "", .ended = true},
    {"a.b\r\n.\r\n", "a.b\r\n", "", .ended = true},
    {"\r\n\r\n.\r\n", "\r\n\r\n", "", .ended = true},
    {"\xc3\xa9\r\n.\r\n", "\xc3\xa9\r\n", "", .ended = true, .has_8bit = true},
    /* none of these ends the data, and each is noted */
    {"a\n.\nx\r\n.\r\n", "a\n.\nx\r\n", "", .ended = true, .bare_lf = true},
    {"a\n.\r\nx\r\n.\r\n", "a\n.\r\nx\r\n", "", .ended = true, .bare_lf = true},
    {"a\r\n.\nx\r\n.\r\n", "a\r\n\nx\r\n", "", .ended = true, .bare_lf = true},
    {"a\r.\rx\r\n.\r\n", "a\r.\rx\r\n", "", .ended = true, .bare_cr = true},
    {"a\r\n.\rx\r\n.\r\n", "a\r\n\rx\r\n", "", .ended = true, .bare_cr = true},
    {"a\r\n.\r\rx\r\n.\r\n", "a\r\n\r\rx\r\n", "", .ended = true, .bare_cr = true},
    {"a\r\r\n.\r\n", "a\r\r\n", "", .ended = true, .bare_cr = true},
    {"a\r\r\r\n.\r\n", "a\r\r\r\n", "", .ended = true, .bare_cr = true},
    {"\n.\r\n\r\n.\r\n", "\n.\r\n\r\n", "", .ended = true, .bare_lf = true},
    /* not ended yet */
    {"a\r\n.\r", "a\r\n", "", .ended = false},
    {"a\r\n.", "a\r\n", "", .ended = false},
    {"a.\r\n", "a.\r\n", "", .ended = false},
    {"", "", "", .ended = false},
};

/* Reads `wire` in pieces that end at a and b. Gives what was kept and how much was used up. */
static size_t read_split(struct content_reader *r, struct span wire, size_t a, size_t b,
                         struct buffer *kept)
{
    const size_t ends[] = {a, b, wire.len};
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        while (at < ends[i] && !content_ended(r)) {
            struct span run;
            size_t used = content_read(r, span_sub(wire, at, ends[i] - at), &run);
            assert_true(used > 0 || run.len > 0);
            assert_true(buffer_put(kept, run));
            at += used;
        }
    }
    return at;
}

static void expect_case(const struct data_case *c, size_t a, size_t b)
{
    struct content_reader r;
    struct buffer kept;
    struct span wire = span_text(c->wire);
    buffer_init(&kept, 4096);
    content_reader_init(&r, true);
    size_t used = read_split(&r, wire, a, b, &kept);
    assert_int_equal(content_ended(&r), c->ended);
    assert_true(span_equal(buffer_span(&kept), span_text(c->content)));
    assert_true(span_equal(span_skip(wire, used), span_text(c->rest)));
    assert_int_equal(r.facts.bytes, strlen(c->content));
    assert_int_equal(r.facts.bare_cr, c->bare_cr);
    assert_int_equal(r.facts.bare_lf, c->bare_lf);
    assert_int_equal(r.facts.has_8bit, c->has_8bit);
    assert_int_equal(r.facts.has_dot_lines, c->dot_lines);
    buffer_fini(&kept);
}

static void data_ends_where_it_ends_however_it_is_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = strlen(cases[i].wire);
        for (size_t a = 0; a <= len; a++)
            for (size_t b = a; b <= len; b++)
                expect_case(&cases[i], a, b);
    }
}

static void a_nul_is_noted_wherever_it_stands(void **state)
{
    (void)state;
    for (size_t len = 1; len < 40; len++) {
        for (size_t at = 0; at < len; at++) {
            uint8_t bytes[40];
            struct content_reader r;
            struct span run;
            memset(bytes, 'a', sizeof bytes);
            bytes[at] = 0;
            content_reader_init(&r, true);
            assert_int_equal(content_read(&r, span_of(bytes, len), &run), len);
            assert_true(r.facts.nul);
            assert_false(r.facts.has_8bit);
        }
    }
}

static void no_byte_but_nul_is_taken_for_one(void **state)
{
    (void)state;
    for (int v = 1; v < 256; v++) {
        uint8_t bytes[24];
        struct content_reader r;
        struct span run;
        memset(bytes, 'a', sizeof bytes);
        bytes[7] = bytes[8] = bytes[23] = (uint8_t)v;
        content_reader_init(&r, false);
        for (size_t used = 0; used < sizeof bytes;)
            used += content_read(&r, span_of(bytes + used, sizeof bytes - used), &run);
        assert_false(r.facts.nul);
        assert_int_equal(r.facts.has_8bit, v > 127);
    }
}

static void bdat_knows_no_dots_but_notes_them(void **state)
{
    (void)state;
    struct content_reader r;
    struct buffer kept;
    struct span wire = SPAN("a\r\n.\r\n..b\r\n");
    for (size_t a = 0; a <= wire.len; a++) {
        buffer_init(&kept, 4096);
        content_reader_init(&r, false);
        assert_int_equal(read_split(&r, wire, a, a, &kept), wire.len);
        assert_true(span_equal(buffer_span(&kept), wire));
        assert_true(r.facts.has_dot_lines && !content_ended(&r) && !r.facts.last_line_open);
        buffer_fini(&kept);
    }
}

static void an_open_last_line_is_noted(void **state)
{
    (void)state;
    const struct {
        const char *wire;
        bool open;
    } lines[] = {{"a\r\n", false}, {"a", true}, {"a\r", true}, {"a\n", true}, {"a\r\n\r\n", false}};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct content_reader r;
        struct buffer kept;
        buffer_init(&kept, 4096);
        content_reader_init(&r, false);
        (void)read_split(&r, span_text(lines[i].wire), 1, 1, &kept);
        assert_int_equal(r.facts.last_line_open, lines[i].open);
        buffer_fini(&kept);
    }
}

static void stuff_all(struct span content, size_t split, struct buffer *wire)
{
    bool line_start = true;
    const struct span parts[] = {span_sub(content, 0, split), span_skip(content, split)};
    for (size_t i = 0; i < 2; i++) {
        struct span rest = parts[i];
        while (rest.len > 0) {
            bool stuff;
            struct span run = content_stuff(&rest, &line_start, &stuff);
            if (stuff)
                assert_true(buffer_put_u8(wire, '.'));
            assert_true(buffer_put(wire, run));
        }
    }
}

/* Whatever is stuffed and then read comes back as it was, wherever the content is cut. */
static void stuffing_is_undone_by_reading(void **state)
{
    (void)state;
    const struct span contents[] = {SPAN(".\r\n"),           SPAN("..\r\n.a\r\nb\r\n"),
                                    SPAN("a\r\n.\r\n.\r\n"), SPAN("a.\r\n\r\n.\r\n"),
                                    SPAN("no dots\r\n"),     SPAN(".....\r\n")};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        for (size_t split = 0; split <= contents[i].len; split++) {
            struct buffer wire, kept;
            struct content_reader r;
            buffer_init(&wire, 4096);
            buffer_init(&kept, 4096);
            stuff_all(contents[i], split, &wire);
            assert_true(buffer_put(&wire, SPAN(".\r\n")));
            content_reader_init(&r, true);
            assert_int_equal(read_split(&r, buffer_span(&wire), 1, 1, &kept), wire.len);
            assert_true(content_ended(&r));
            assert_true(span_equal(buffer_span(&kept), contents[i]));
            buffer_fini(&wire);
            buffer_fini(&kept);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_ends_where_it_ends_however_it_is_split),
        cmocka_unit_test(a_nul_is_noted_wherever_it_stands),
        cmocka_unit_test(no_byte_but_nul_is_taken_for_one),
        cmocka_unit_test(bdat_knows_no_dots_but_notes_them),
        cmocka_unit_test(an_open_last_line_is_noted),
        cmocka_unit_test(stuffing_is_undone_by_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
