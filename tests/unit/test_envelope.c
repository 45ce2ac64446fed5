#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spool/envelope.h"

#define CONTENT "Subject: x\r\n\r\n.dot\r\n"

static struct envelope_recipient recipients[] = {
    {.path = {(const uint8_t *)"a@x.example", 11}},
    {.path = {(const uint8_t *)"\"b c\"@y.example", 15}}};

static struct envelope some_envelope(void)
{
    return (struct envelope){.arrival_wall_ms = 1764000000123,
                             .reverse_path = SPAN("s@z.example"),
                             .client = SPAN("192.0.2.7"),
                             .helo = SPAN("z.example"),
                             .prefix = SPAN("Received: by us\r\n"),
                             .content_bytes = sizeof CONTENT - 1,
                             .body_8bitmime = true,
                             .has_dot_lines = true,
                             .recipients = recipients,
                             .recipient_count = 2};
}

static void encode_whole(struct buffer *b, const struct envelope *e)
{
    buffer_init(b, 4096);
    assert_true(envelope_encode(e, b));
    if (!e->content_in_file)
        assert_true(buffer_put(b, SPAN(CONTENT)));
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    struct envelope e = some_envelope(), back;
    struct buffer b;
    struct arena arena;
    arena_init(&arena, 4096);
    encode_whole(&b, &e);
    assert_int_equal(envelope_decode(buffer_span(&b), &arena, &back), FAULT_NONE);
    assert_int_equal(back.arrival_wall_ms, e.arrival_wall_ms);
    assert_true(span_equal(back.reverse_path, e.reverse_path));
    assert_true(span_equal(back.client, e.client) && span_equal(back.helo, e.helo));
    assert_true(span_equal(back.prefix, e.prefix) && span_equal(back.content, SPAN(CONTENT)));
    assert_true(back.body_8bitmime && back.has_dot_lines && !back.content_in_file);
    assert_int_equal(back.recipient_count, 2);
    assert_true(span_equal(back.recipients[1].path, recipients[1].path));
    arena_fini(&arena);
    buffer_fini(&b);
}

static void content_in_a_file_and_a_null_reverse_path(void **state)
{
    (void)state;
    struct envelope e = some_envelope(), back;
    struct buffer b;
    struct arena arena;
    e.content_in_file = true;
    e.content_bytes = UINT64_C(50000000000);
    e.reverse_path = SPAN("");
    arena_init(&arena, 4096);
    encode_whole(&b, &e);
    assert_int_equal(envelope_decode(buffer_span(&b), &arena, &back), FAULT_NONE);
    assert_true(back.content_in_file && back.content.len == 0 && back.reverse_path.len == 0);
    assert_int_equal(back.content_bytes, e.content_bytes);
    arena_fini(&arena);
    buffer_fini(&b);
}

static void every_shorter_piece_is_damaged(void **state)
{
    (void)state;
    struct envelope e = some_envelope(), back;
    struct buffer b;
    encode_whole(&b, &e);
    for (size_t n = 0; n < b.len; n++) {
        struct arena arena;
        arena_init(&arena, 4096);
        assert_int_equal(envelope_decode(span_sub(buffer_span(&b), 0, n), &arena, &back),
                         FAULT_DAMAGED);
        arena_fini(&arena);
    }
    buffer_fini(&b);
}

static void fields_of_a_later_version_are_passed_over(void **state)
{
    (void)state;
    struct envelope e = some_envelope(), back;
    struct buffer b, later;
    struct arena arena;
    arena_init(&arena, 4096);
    encode_whole(&b, &e);
    buffer_init(&later, 4096);
    assert_true(buffer_put_u16(&later, 999) && buffer_put_u16(&later, 0) &&
                buffer_put_u32(&later, 3));
    assert_true(buffer_put_text(&later, "new") && buffer_put(&later, buffer_span(&b)));
    assert_int_equal(envelope_decode(buffer_span(&later), &arena, &back), FAULT_NONE);
    assert_int_equal(back.recipient_count, 2);
    arena_fini(&arena);
    buffer_fini(&b);
    buffer_fini(&later);
}

static void what_was_asked_for_comes_back(void **state)
{
    (void)state;
    struct envelope_recipient asked[] = {
        {SPAN("a@x.example"), SPAN("all@x.example"), SPAN("rfc822;all@x.example"), NOTIFY_NEVER},
        {SPAN("b@x.example"), SPAN(""), SPAN(""), 0},
        {SPAN("c@x.example"), SPAN(""), SPAN("utf-8;c@x.example"), NOTIFY_SUCCESS | NOTIFY_DELAY}};
    struct envelope e = some_envelope(), back;
    e.smtputf8 = true;
    e.ret = RETURN_HEADERS;
    e.envid = SPAN("QQ+3D314159");
    e.recipients = asked;
    for (uint32_t count = 1; count <= 3; count++) {
        struct buffer b;
        struct arena arena;
        arena_init(&arena, 4096);
        e.recipient_count = count;
        encode_whole(&b, &e);
        assert_int_equal(b.len, envelope_encoded_bytes(&e) + e.content_bytes);
        assert_int_equal(envelope_decode(buffer_span(&b), &arena, &back), FAULT_NONE);
        assert_true(back.smtputf8 && back.ret == RETURN_HEADERS);
        assert_true(span_equal(back.envid, e.envid));
        assert_int_equal(back.recipient_count, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(span_equal(back.recipients[i].path, asked[i].path));
            assert_true(span_equal(back.recipients[i].original, asked[i].original));
            assert_true(span_equal(back.recipients[i].orcpt, asked[i].orcpt));
            assert_int_equal(back.recipients[i].notify, asked[i].notify);
        }
        arena_fini(&arena);
        buffer_fini(&b);
    }
}

/* As all were before there were such fields; a message without wishes is still written so. */
static void an_old_payload_is_read_and_a_plain_one_written_as_then(void **state)
{
    (void)state;
    static const uint8_t old[] = "\1\0\0\0\10\0\0\0"
                                 "\1\0\0\0\0\0\0\0"
                                 "\7\0\0\0\10\0\0\0"
                                 "\2\0\0\0\0\0\0\0"
                                 "\6\0\0\0\10\0\0\0"
                                 "\3\0\0\0\0\0\0\0"
                                 "\2\0\0\0\3\0\0\0a@b"
                                 "\3\0\0\0\0\0\0\0"
                                 "\4\0\0\0\0\0\0\0"
                                 "\5\0\0\0\0\0\0\0"
                                 "\10\0\0\0\3\0\0\0c@d"
                                 "\10\0\0\0\3\0\0\0e@f"
                                 "\11\0\0\0\3\0\0\0x\r\n";
    struct envelope back;
    struct arena arena;
    struct buffer b;
    arena_init(&arena, 4096);
    buffer_init(&b, 4096);
    struct span payload = span_of(old, sizeof old - 1);
    assert_int_equal(envelope_decode(payload, &arena, &back), FAULT_NONE);
    assert_int_equal(back.recipient_count, 2);
    assert_int_equal(back.recipients[0].notify | back.recipients[1].notify, 0);
    assert_true(!back.smtputf8 && back.ret == RETURN_UNSAID && back.envid.len == 0);
    assert_true(envelope_encode(&back, &b) && buffer_put(&b, back.content));
    assert_true(span_equal(buffer_span(&b), payload));
    arena_fini(&arena);
    buffer_fini(&b);
}

static void a_wish_of_nobody_is_damaged(void **state)
{
    (void)state;
    struct envelope e = some_envelope(), back;
    for (uint32_t count = 1; count <= 2; count++) {
        for (uint16_t tag = 11; tag <= 13; tag++) {
            struct buffer b;
            struct arena arena;
            arena_init(&arena, 4096);
            buffer_init(&b, 4096);
            e.recipient_count = count;
            assert_true(buffer_put_u16(&b, tag) && buffer_put_u16(&b, 0) && buffer_put_u32(&b, 1) &&
                        buffer_put_u8(&b, 1));
            assert_true(envelope_encode(&e, &b) && buffer_put(&b, SPAN(CONTENT)));
            assert_int_equal(envelope_decode(buffer_span(&b), &arena, &back), FAULT_DAMAGED);
            arena_fini(&arena);
            buffer_fini(&b);
        }
    }
}

static void a_set_of_more_than_a_byte_is_damaged(void **state)
{
    (void)state;
    struct envelope e = some_envelope(), back;
    e.content_in_file = true;
    for (uint32_t count = 1; count <= 2; count++) {
        struct buffer b;
        struct arena arena;
        arena_init(&arena, 4096);
        buffer_init(&b, 4096);
        e.recipient_count = count;
        assert_true(envelope_encode(&e, &b) && buffer_put_u16(&b, 13) && buffer_put_u16(&b, 0) &&
                    buffer_put_u32(&b, 2) && buffer_put_u16(&b, 1));
        assert_int_equal(envelope_decode(buffer_span(&b), &arena, &back), FAULT_DAMAGED);
        arena_fini(&arena);
        buffer_fini(&b);
    }
}

static void nobody_to_deliver_to_is_damaged(void **state)
{
    (void)state;
    struct envelope e = some_envelope(), back;
    struct buffer b;
    struct arena arena;
    arena_init(&arena, 4096);
    e.recipient_count = 0;
    encode_whole(&b, &e);
    assert_int_equal(envelope_decode(buffer_span(&b), &arena, &back), FAULT_DAMAGED);
    arena_fini(&arena);
    buffer_fini(&b);
}

static void limits_of_buffer_and_arena_are_answers(void **state)
{
    (void)state;
    struct envelope e = some_envelope(), back;
    struct buffer b;
    buffer_init(&b, 4096);
    assert_true(envelope_encode(&e, &b));
    size_t exact = b.len;
    buffer_fini(&b);
    buffer_init(&b, exact - 1);
    assert_false(envelope_encode(&e, &b));
    buffer_fini(&b);
    encode_whole(&b, &e);
    struct arena arena;
    arena_init(&arena, 8);
    assert_int_equal(envelope_decode(buffer_span(&b), &arena, &back), FAULT_NO_MEMORY);
    arena_fini(&arena);
    buffer_fini(&b);
}

/* As an index file has it, in one piece. */
static bool join_head(struct span payload, struct buffer *joined)
{
    struct span parts[2];
    buffer_init(joined, 4096);
    return envelope_head(payload, parts) && buffer_put(joined, parts[0]) &&
           buffer_put(joined, parts[1]);
}

static void a_head_is_all_but_prefix_and_content(void **state)
{
    (void)state;
    struct envelope e = some_envelope(), back;
    struct buffer b, head;
    struct arena arena;
    for (int in_file = 0; in_file < 2; in_file++) {
        arena_init(&arena, 4096);
        e.content_in_file = in_file != 0;
        encode_whole(&b, &e);
        size_t cut = ENVELOPE_FIELD_HEADER_BYTES + e.prefix.len;
        cut += in_file != 0 ? 0 : ENVELOPE_FIELD_HEADER_BYTES + sizeof CONTENT - 1;
        assert_true(join_head(buffer_span(&b), &head));
        assert_int_equal(head.len, b.len - cut);
        assert_int_equal(envelope_decode_head(buffer_span(&head), &arena, &back), FAULT_NONE);
        assert_int_equal(back.content_bytes, e.content_bytes);
        assert_int_equal(back.recipient_count, 2);
        assert_true(span_equal(back.recipients[0].path, recipients[0].path));
        assert_true(span_equal(back.helo, e.helo) && back.prefix.len == 0);
        assert_true(envelope_is_in_file(buffer_span(&head)) == e.content_in_file);
        arena_fini(&arena);
        buffer_fini(&b);
        buffer_fini(&head);
    }
}

/* Wherever the prefix stands, and when there is none or another one. */
static void a_head_loses_one_prefix_wherever_it_stands(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *head;
    } cases[] = {
        {"", ""},
        {"8a", "8a"},
        {"5a", ""},
        {"5a8b", "8b"},
        {"8b5a", "8b"},
        {"8b5a9c", "8b"},
        {"8b5a8d5e1f", "8b8d5e1f"},
        {"8b9c", "8b"},
        {"9c", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer row, expected, head;
        buffer_init(&row, 4096);
        buffer_init(&expected, 4096);
        for (int n = 0; n < 2; n++) {
            struct buffer *b = n == 0 ? &row : &expected;
            const char *text = n == 0 ? cases[i].payload : cases[i].head;
            for (; *text != '\0'; text += 2)
                assert_true(buffer_put_u32(b, (uint32_t)(text[0] - '0')) && buffer_put_u32(b, 1) &&
                            buffer_put_u8(b, (uint8_t)text[1]));
        }
        assert_true(join_head(buffer_span(&row), &head));
        assert_true(span_equal(buffer_span(&head), buffer_span(&expected)));
        buffer_fini(&row);
        buffer_fini(&expected);
        buffer_fini(&head);
    }
}

static void what_is_no_head_is_refused(void **state)
{
    (void)state;
    struct envelope e = some_envelope(), back;
    struct buffer b;
    struct span none[2];
    encode_whole(&b, &e);
    size_t head_len = b.len - sizeof CONTENT + 1 - ENVELOPE_FIELD_HEADER_BYTES;
    for (size_t n = 0; n <= b.len; n++) { /* with a piece of its content, or short of a field */
        struct arena arena;
        arena_init(&arena, 4096);
        struct span piece = span_sub(buffer_span(&b), 0, n);
        enum fault fault = envelope_decode_head(piece, &arena, &back);
        if (n > head_len || !envelope_head(piece, none))
            assert_int_equal(fault, FAULT_DAMAGED);
        arena_fini(&arena);
    }
    assert_false(envelope_head(span_sub(buffer_span(&b), 0, 7), none));
    assert_false(envelope_head(span_sub(buffer_span(&b), 0, b.len - 1), none));
    assert_true(buffer_put_u16(&b, 1)); /* something behind the content */
    assert_false(envelope_head(buffer_span(&b), none));
    assert_false(envelope_is_in_file(SPAN("no envelope at all")));
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(content_in_a_file_and_a_null_reverse_path),
        cmocka_unit_test(a_head_is_all_but_prefix_and_content),
        cmocka_unit_test(a_head_loses_one_prefix_wherever_it_stands),
        cmocka_unit_test(what_is_no_head_is_refused),
        cmocka_unit_test(every_shorter_piece_is_damaged),
        cmocka_unit_test(fields_of_a_later_version_are_passed_over),
        cmocka_unit_test(what_was_asked_for_comes_back),
        cmocka_unit_test(an_old_payload_is_read_and_a_plain_one_written_as_then),
        cmocka_unit_test(a_wish_of_nobody_is_damaged),
        cmocka_unit_test(a_set_of_more_than_a_byte_is_damaged),
        cmocka_unit_test(nobody_to_deliver_to_is_damaged),
        cmocka_unit_test(limits_of_buffer_and_arena_are_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
