#include "agent/source.h"

#include "expect.h"
#include "os/linux/real_world.h"
#include "spool/content_block.h"

static struct message_put put_of(const char *content)
{
    return (struct message_put){.address = SPAN("ann@example.org"),
                                .sender = SPAN("bob@example.net"),
                                .prefix = SPAN("Received: by us\r\n"),
                                .content_bytes = strlen(content)};
}

static struct enclosure *enclose(struct span bytes)
{
    struct world *w;
    struct enclosure *e;
    assert_int_equal(world_new_real(&w), FAULT_NONE);
    assert_int_equal(enclosure_of_bytes(w, &bytes, 1, &e), FAULT_NONE);
    world_free_real(w);
    return e;
}

/* All that it gives, or its fault. */
static enum fault read_all(const struct message_put *put, struct span enclosed, struct buffer *out)
{
    struct source s;
    struct span piece;
    struct enclosure *e = enclose(enclosed);
    enum fault fault = source_open(&s, put, e);
    if (fault == FAULT_NONE) {
        while ((fault = source_next(&s, &piece)) == FAULT_NONE && piece.len > 0)
            assert_true(buffer_put(out, piece));
        if (fault != FAULT_NONE) /* and never an end instead */
            assert_int_equal(source_next(&s, &piece), fault);
        source_close(&s);
    }
    enclosure_close(e);
    return fault;
}

static void gives_head_and_content(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 1 << 20);
    struct message_put put = put_of("Subject: x\r\n\r\nhello\r\n");
    assert_int_equal(read_all(&put, SPAN("Subject: x\r\n\r\nhello\r\n"), &out), FAULT_NONE);
    assert_true(
        span_equal(buffer_span(&out),
                   SPAN("Return-Path: <bob@example.net>\r\nDelivered-To: ann@example.org\r\n"
                        "Received: by us\r\nSubject: x\r\n\r\nhello\r\n")));
    buffer_fini(&out);
}

/* The sizes around a block, plain and framed, and the length one off. */
static void holds_the_length(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,
                                   1,
                                   CONTENT_BLOCK_BYTES - 1,
                                   CONTENT_BLOCK_BYTES,
                                   CONTENT_BLOCK_BYTES + 1,
                                   3 * CONTENT_BLOCK_BYTES};
    static uint8_t bytes[3 * CONTENT_BLOCK_BYTES];
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int off = -1; off <= 1; off++)
            for (int framed = 0; framed < 2; framed++) {
                struct buffer out, file;
                struct message_put put = put_of("");
                if (sizes[i] == 0 && off < 0)
                    continue;
                put.content_bytes = sizes[i] + (size_t)(int64_t)off;
                put.is_framed = (uint8_t)framed;
                buffer_init(&out, 1 << 20);
                buffer_init(&file, 1 << 20);
                for (size_t at = 0, n = 0; framed && at <= sizes[i];
                     at += CONTENT_BLOCK_BYTES, n++) {
                    size_t len =
                        sizes[i] - at < CONTENT_BLOCK_BYTES ? sizes[i] - at : CONTENT_BLOCK_BYTES;
                    uint8_t header[CONTENT_HEADER_BYTES];
                    bool last = len < CONTENT_BLOCK_BYTES;
                    content_block_encode(put.id, n, span_of(bytes, len), last, header);
                    assert_true(buffer_put(&file, span_of(header, sizeof header)));
                    assert_true(buffer_put(&file, span_of(bytes, len)));
                }
                struct span enclosed = framed ? buffer_span(&file) : span_of(bytes, sizes[i]);
                assert_int_equal(read_all(&put, enclosed, &out),
                                 off == 0 ? FAULT_NONE : FAULT_DAMAGED);
                buffer_fini(&out);
                buffer_fini(&file);
            }
}

static void sees_a_damaged_block(void **state)
{
    (void)state;
    uint8_t file[CONTENT_HEADER_BYTES + 5];
    struct message_put put = put_of("hello");
    put.is_framed = 1;
    memcpy(file + CONTENT_HEADER_BYTES, "hello", 5);
    content_block_encode(put.id, 0, SPAN("hello"), true, file);
    for (size_t i = 0; i < sizeof file; i++) {
        struct buffer out;
        buffer_init(&out, 1 << 20);
        file[i] ^= 1;
        assert_int_equal(read_all(&put, span_of(file, sizeof file), &out), FAULT_DAMAGED);
        file[i] ^= 1;
        buffer_fini(&out);
    }
}

static void sees_loops(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        enum fault expected;
    } cases[] = {
        {"Delivered-To: ann@example.org\r\n\r\n", FAULT_MAIL_LOOP},
        {"A: b\r\ndelivered-to:  ANN@example.ORG \r\n\r\n", FAULT_MAIL_LOOP},
        {"Delivered-To: ann@example.org.x\r\n\r\n", FAULT_NONE},
        {"Delivered-To: bob@example.org\r\n\r\n", FAULT_NONE},
        {"X-Delivered-To: ann@example.org\r\n\r\n", FAULT_NONE},
        {"\r\nDelivered-To: ann@example.org\r\n", FAULT_NONE},
        {"", FAULT_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out;
        buffer_init(&out, 1 << 20);
        struct message_put put = put_of(cases[i].content);
        assert_int_equal(read_all(&put, span_text(cases[i].content), &out), cases[i].expected);
        buffer_fini(&out);
    }
}

/* They would be header fields of somebody else. */
static void refuses_control_bytes(void **state)
{
    (void)state;
    static const char *texts[] = {"a@b\r\nX: y", "a\nb", "a\tb", "\x7f"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buffer out;
        buffer_init(&out, 1 << 20);
        struct message_put put = put_of("");
        put.sender = span_text(texts[i]);
        assert_int_equal(read_all(&put, SPAN(""), &out), FAULT_PROTOCOL);
        put = put_of("");
        put.address = span_text(texts[i]);
        assert_int_equal(read_all(&put, SPAN(""), &out), FAULT_PROTOCOL);
        buffer_fini(&out);
    }
}

static bool put(void *context, struct span run)
{
    return buffer_put(context, run);
}

/* Every split of the bytes gives the same. */
static void ends_lines_with_lf(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {{"a\r\nb\r\n", "a\nb\n"},
                 {"\r\n\r\n", "\n\n"},
                 {"a\rb\r\n", "a\rb\n"},
                 {"\r\r\n", "\r\n"},
                 {"a\r", "a\r"},
                 {"a\nb", "a\nb"},
                 {"\r\n.\r\n..\r\n", "\n.\n..\n"},
                 {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span in = span_text(cases[i].in);
        for (size_t cut = 0; cut <= in.len; cut++)
            for (size_t cut2 = cut; cut2 <= in.len; cut2++) {
                struct buffer b;
                bool is_cr = false;
                buffer_init(&b, 100);
                assert_true(lines_convert(span_sub(in, 0, cut), &is_cr, put, &b));
                assert_true(lines_convert(span_sub(in, cut, cut2 - cut), &is_cr, put, &b));
                assert_true(lines_convert(span_skip(in, cut2), &is_cr, put, &b));
                if (is_cr)
                    assert_true(buffer_put_u8(&b, '\r'));
                assert_true(span_equal(buffer_span(&b), span_text(cases[i].out)));
                buffer_fini(&b);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_head_and_content), cmocka_unit_test(holds_the_length),
        cmocka_unit_test(sees_a_damaged_block),   cmocka_unit_test(sees_loops),
        cmocka_unit_test(refuses_control_bytes),  cmocka_unit_test(ends_lines_with_lf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
