/* drop_file: what a local program hands over is read in any pieces, or refused. */
#include "expect.h"

#include <stdio.h>
#include <string.h>

#include "mail/drop_file.h"

/* All items as text: "F<a> R<b> D<...>"; pieces of content are joined. */
static const char *read_all(struct span bytes, size_t piece)
{
    static char text[4096];
    struct drop_reader r;
    struct drop_item item;
    enum drop_step step = DROP_MORE;
    bool in_data = false;
    size_t len = 0;
    drop_reader_init(&r);
    for (size_t at = 0; at < bytes.len && step != DROP_BAD; at += piece) {
        struct span input = span_sub(bytes, at, piece);
        while ((step = drop_read(&r, &input, &item)) == DROP_ITEM) {
            if (item.type != DROP_DATA || !in_data)
                len += (size_t)sprintf(text + len, "%c", item.type);
            in_data = item.type == DROP_DATA;
            len += (size_t)sprintf(text + len, "%.*s", SPAN_PRINT(item.bytes));
        }
    }
    struct span rest = {0};
    if (step == DROP_ENDED)
        step = drop_read(&r, &rest, &item);
    text[len] = '\0';
    return step == DROP_ENDED ? text : step == DROP_BAD ? "bad" : "more";
}

static void expect_read(struct span bytes, const char *expected)
{
    for (size_t piece = 1; piece <= bytes.len + 1; piece++)
        assert_string_equal(read_all(bytes, piece), expected);
}

static void taken(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 100000);
    assert_true(drop_begin(&b) && drop_put(&b, DROP_SENDER, SPAN("a@b")) &&
                drop_put(&b, DROP_RETURN, SPAN("HDRS")) && drop_put(&b, DROP_ENVID, SPAN("x")) &&
                drop_put(&b, DROP_RECIPIENT, SPAN("c@d")) &&
                drop_put(&b, DROP_NOTIFY, SPAN("NEVER")) &&
                drop_put(&b, DROP_RECIPIENT, SPAN("e@f")) && drop_put(&b, DROP_DATA, SPAN("Hi ")) &&
                drop_put(&b, DROP_DATA, SPAN("there\r\n")) && drop_put(&b, DROP_END, SPAN("")));
    expect_read(buffer_span(&b), "Fa@bTHDRSIxRc@dNNEVERRe@fDHi there\r\n");
    for (size_t cut = 1; cut < b.len; cut++)
        assert_string_not_equal(read_all(span_sub(buffer_span(&b), 0, cut), 7),
                                "Fa@bTHDRSIxRc@dNNEVERRe@fDHi there\r\n");
    assert_true(buffer_put_u8(&b, 'x'));
    expect_read(buffer_span(&b), "bad");
    buffer_reset(&b);
    assert_true(drop_begin(&b) && drop_put(&b, DROP_SENDER, SPAN("")) &&
                drop_put(&b, DROP_RECIPIENT, SPAN("c")) && drop_put(&b, DROP_END, SPAN("")));
    expect_read(buffer_span(&b), "FRc"); /* notifications, and messages without content */
    buffer_fini(&b);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
    } rows[] = {
        {SPAN("PRDROP2\nE\0\0\0\0")},
        {SPAN("PRDROP1\rE\0\0\0\0")},
        {SPAN("PRDROP1\nE\0\0\0\0")},                               /* no sender */
        {SPAN("PRDROP1\nR\1\0\0\0x")},                              /* the same */
        {SPAN("PRDROP1\nF\0\0\0\0E\0\0\0\0")},                      /* no recipient */
        {SPAN("PRDROP1\nF\0\0\0\0D\1\0\0\0x")},                     /* the same */
        {SPAN("PRDROP1\nF\0\0\0\0F\0\0\0\0")},                      /* two senders */
        {SPAN("PRDROP1\nF\0\0\0\0N\1\0\0\0x")},                     /* of nobody */
        {SPAN("PRDROP1\nF\0\0\0\0R\0\0\0\0")},                      /* an empty recipient */
        {SPAN("PRDROP1\nF\0\0\0\0R\1\0\0\0\n")},                    /* a control character */
        {SPAN("PRDROP1\nF\1\0\0\0\x7f")},                           /* the same */
        {SPAN("PRDROP1\nF\0\0\0\0R\1\0\0\0xD\0\0\0\0")},            /* empty content */
        {SPAN("PRDROP1\nF\0\0\0\0R\1\0\0\0xD\1\0\1\0")},            /* too long */
        {SPAN("PRDROP1\nF\0\0\0\0R\xe9\3\0\0")},                    /* the same */
        {SPAN("PRDROP1\nF\0\0\0\0R\1\0\0\0xD\1\0\0\0xR\1\0\0\0x")}, /* after the content */
        {SPAN("PRDROP1\nF\0\0\0\0R\1\0\0\0xE\1\0\0\0x")},
        {SPAN("PRDROP1\nF\0\0\0\0R\1\0\0\0xI\1\0\0\0x")},
        {SPAN("PRDROP1\nF\0\0\0\0I\1\0\0\0xT\4\0\0\0FULL")},
        {SPAN("PRDROP1\n\0\0\0\0\0")},
        {SPAN("PRDROP1\nx\0\0\0\0")},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_read(rows[i].bytes, "bad");
}

static void at_the_limits(void **state)
{
    (void)state;
    static uint8_t long_text[DROP_RECORD_MAX + 1];
    struct buffer b;
    memset(long_text, 'x', sizeof long_text);
    buffer_init(&b, 1024 * 1024);
    assert_true(drop_begin(&b) && drop_put(&b, DROP_SENDER, span_of(long_text, DROP_TEXT_MAX)));
    assert_false(drop_put(&b, DROP_SENDER, span_of(long_text, DROP_TEXT_MAX + 1)));
    assert_false(drop_put(&b, DROP_RECIPIENT, SPAN("a\nb")));
    for (uint32_t i = 0; i < DROP_RECIPIENTS_MAX; i++)
        assert_true(drop_put(&b, DROP_RECIPIENT, SPAN("x")));
    size_t len = b.len;
    assert_true(drop_put(&b, DROP_DATA, span_of(long_text, DROP_RECORD_MAX)));
    assert_false(drop_put(&b, DROP_DATA, span_of(long_text, DROP_RECORD_MAX + 1)));
    struct drop_reader r;
    struct drop_item item;
    struct span input = buffer_span(&b);
    drop_reader_init(&r);
    while (drop_read(&r, &input, &item) == DROP_ITEM)
        continue;
    assert_false(r.bad);
    assert_int_equal(r.recipients, DROP_RECIPIENTS_MAX);
    b.len = len;
    assert_true(drop_put(&b, DROP_RECIPIENT, SPAN("x")));
    input = buffer_span(&b);
    drop_reader_init(&r);
    while (drop_read(&r, &input, &item) == DROP_ITEM)
        continue;
    assert_true(r.bad);
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken),
        cmocka_unit_test(refused),
        cmocka_unit_test(at_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
