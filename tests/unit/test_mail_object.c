/* spool/mail_object: a draft becomes the same bytes that the envelope's own writer gives. */
#include "expect.h"

#include "base/crc32c.h"
#include "spool/mail_object.h"

#define INLINE_MAX 10000u

static const struct id some_id = {{1, 2, 3}};
static struct envelope_recipient recipients[] = {
    {.path = {(const uint8_t *)"a@x.example", 11}},
    {.path = {(const uint8_t *)"postmaster", 10}, .notify = NOTIFY_NEVER}};

static struct envelope some_envelope(void)
{
    return (struct envelope){.arrival_wall_ms = 1764000000123,
                             .reverse_path = SPAN("s@z.example"),
                             .client = SPAN("192.0.2.7"),
                             .helo = SPAN("z.example"),
                             .prefix = SPAN("Received: by us\r\n"),
                             .smtputf8 = true,
                             .ret = RETURN_FULL,
                             .envid = SPAN("QQ314159"),
                             .recipients = recipients,
                             .recipient_count = 2};
}

static uint8_t *some_content(size_t len)
{
    uint8_t *bytes = malloc(len + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    return bytes;
}

static void add_in_pieces(struct mail_draft *d, struct span content, size_t piece)
{
    for (; content.len > 0; content = span_skip(content, piece))
        assert_int_equal(draft_add(d, span_sub(content, 0, piece)), FAULT_NONE);
}

static struct mail_object *finished(struct span content, size_t piece, uint64_t hint)
{
    struct envelope e = some_envelope();
    struct mail_object *m = NULL;
    struct mail_draft *d = draft_new(some_id, &e, hint, INLINE_MAX);
    assert_non_null(d);
    add_in_pieces(d, content, piece);
    expect_span(draft_content(d), content);
    assert_int_equal(draft_finish(d, content.len, true, true, &m), FAULT_NONE);
    return m;
}

static void expect_payload(const struct mail_object *m, const struct envelope *e,
                           struct span content)
{
    struct buffer b;
    buffer_init(&b, 1 << 20);
    assert_true(envelope_encode(e, &b));
    assert_int_equal(b.len, envelope_encoded_bytes(e));
    assert_true(buffer_put(&b, content));
    expect_span(m->payload, buffer_span(&b));
    assert_int_equal(m->payload_crc, crc32c(0, buffer_span(&b)));
    buffer_fini(&b);
}

static void the_payload_is_what_the_envelope_writes_in_any_split(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 5, 4000, 4096, INLINE_MAX};
    static const size_t pieces[] = {1, 7, 4095, INLINE_MAX};
    static const uint64_t hints[] = {0, 3, 5000, INLINE_MAX, INLINE_MAX + 1, UINT64_MAX};
    for (size_t l = 0; l < ROWS(lens); l++) {
        uint8_t *bytes = some_content(lens[l]);
        struct span content = span_of(bytes, lens[l]);
        struct envelope e = some_envelope();
        e.content_bytes = lens[l];
        e.body_8bitmime = e.has_dot_lines = true;
        for (size_t i = 0; i < ROWS(pieces) * ROWS(hints); i++) {
            struct mail_object *m =
                finished(content, pieces[i % ROWS(pieces)], hints[i / ROWS(pieces)]);
            expect_payload(m, &e, content);
            mail_release(m);
        }
        free(bytes);
    }
}

static void what_was_put_in_comes_out(void **state)
{
    (void)state;
    struct mail_object *m = finished(SPAN("Subject: x\r\n\r\n.\r\n"), 3, 0);
    const struct envelope *e = &m->envelope;
    assert_true(id_equal(m->id, some_id));
    assert_int_equal(e->arrival_wall_ms, 1764000000123);
    expect_span(e->reverse_path, SPAN("s@z.example"));
    expect_span(e->client, SPAN("192.0.2.7"));
    expect_span(e->helo, SPAN("z.example"));
    expect_span(e->prefix, SPAN("Received: by us\r\n"));
    expect_span(e->content, SPAN("Subject: x\r\n\r\n.\r\n"));
    assert_int_equal(e->content_bytes, 17);
    assert_true(e->body_8bitmime && e->has_dot_lines && !e->content_in_file);
    assert_int_equal(e->recipient_count, 2);
    expect_span(e->recipients[0].path, recipients[0].path);
    expect_span(e->recipients[1].path, recipients[1].path);
    assert_true(e->content.data > m->payload.data); /* it points into the payload */
    assert_true(e->content.data + e->content.len == m->payload.data + m->payload.len);
    mail_release(m);
}

static void the_inline_limit_is_exact(void **state)
{
    (void)state;
    uint8_t *bytes = some_content(INLINE_MAX + 1);
    struct envelope e = some_envelope();
    struct mail_object *m = NULL;
    struct mail_draft *d = draft_new(some_id, &e, 0, INLINE_MAX);
    assert_int_equal(draft_add(d, span_of(bytes, INLINE_MAX + 1)), FAULT_LIMIT);
    assert_int_equal(draft_content(d).len, 0);
    assert_int_equal(draft_add(d, span_of(bytes, INLINE_MAX - 1)), FAULT_NONE);
    assert_int_equal(draft_add(d, span_of(bytes, 2)), FAULT_LIMIT);
    assert_int_equal(draft_add(d, span_of(bytes + INLINE_MAX - 1, 1)), FAULT_NONE);
    assert_int_equal(draft_add(d, span_of(bytes, 1)), FAULT_LIMIT);
    assert_int_equal(draft_add(d, span_of(bytes, 0)), FAULT_NONE);
    expect_span(draft_content(d), span_of(bytes, INLINE_MAX));
    assert_int_equal(draft_finish(d, INLINE_MAX, false, false, &m), FAULT_NONE);
    mail_release(m);
    free(bytes);
}

static void content_that_moved_to_a_file_leaves_the_envelope(void **state)
{
    (void)state;
    uint8_t *bytes = some_content(INLINE_MAX);
    struct envelope e = some_envelope();
    struct mail_object *m = NULL;
    struct mail_draft *d = draft_new(some_id, &e, 0, INLINE_MAX);
    assert_int_equal(draft_add(d, span_of(bytes, INLINE_MAX)), FAULT_NONE);
    size_t before = draft_memory_bytes(d);
    assert_true(before > INLINE_MAX);
    draft_content_moved(d);
    assert_int_equal(draft_content(d).len, 0);
    assert_true(draft_memory_bytes(d) < 1000);
    assert_int_equal(draft_finish(d, UINT64_C(50000000000), false, true, &m), FAULT_NONE);
    e.content_in_file = e.has_dot_lines = true;
    e.content_bytes = UINT64_C(50000000000);
    expect_payload(m, &e, SPAN(""));
    assert_true(m->envelope.content_in_file && m->envelope.content.len == 0);
    assert_int_equal(m->envelope.content_bytes, e.content_bytes);
    mail_release(m);
    free(bytes);
}

static void memory_is_taken_as_said_and_given_back_when_most_is_waste(void **state)
{
    (void)state;
    struct envelope e = some_envelope();
    size_t envelope_bytes = envelope_encoded_bytes(&e);
    struct mail_draft *small = draft_new(some_id, &e, 0, INLINE_MAX);
    struct mail_draft *told = draft_new(some_id, &e, 9000, INLINE_MAX);
    assert_true(draft_memory_bytes(small) < 4096 + 200);
    assert_in_range(draft_memory_bytes(told), envelope_bytes + 9000, envelope_bytes + 9200);
    struct mail_draft *much = draft_new(some_id, &e, ENVELOPE_INLINE_MAX, ENVELOPE_INLINE_MAX);
    assert_in_range(draft_memory_bytes(much), 65536, 65536 + 400); /* words cost nothing */
    draft_free(much);
    draft_free(small);
    draft_free(told);

    struct mail_object *m = finished(SPAN("x\r\n"), 3, 9000); /* said 9000, sent 3 */
    assert_true(m->memory_bytes < 1000);
    mail_release(m);
    uint8_t *bytes = some_content(9000);
    m = finished(span_of(bytes, 9000), 9000, 9000);
    assert_in_range(m->memory_bytes, 9000, 9000 + 1000);
    mail_release(m);
    free(bytes);
}

static void an_inline_limit_of_nothing_is_kept_too(void **state)
{
    (void)state;
    struct envelope e = some_envelope();
    struct mail_object *m = NULL;
    struct mail_draft *d = draft_new(some_id, &e, 100, 0);
    assert_int_equal(draft_add(d, SPAN("x")), FAULT_LIMIT);
    assert_int_equal(draft_finish(d, 0, false, false, &m), FAULT_NONE);
    assert_int_equal(m->envelope.content_bytes, 0);
    mail_release(m);
}

static void a_stored_payload_becomes_an_object(void **state)
{
    (void)state;
    struct mail_object *m = finished(SPAN("body\r\n"), 6, 0), *back = NULL;
    size_t len = m->payload.len;
    uint8_t *memory = malloc(len + 20);
    memcpy(memory + 20, m->payload.data, len);
    assert_int_equal(mail_of_payload(some_id, memory, span_of(memory + 20, len), &back),
                     FAULT_NONE);
    expect_span(back->payload, m->payload);
    assert_int_equal(back->payload_crc, m->payload_crc);
    expect_span(back->envelope.recipients[1].path, recipients[1].path);
    assert_true(back->memory_bytes >= len + 20);
    mail_release(back);
    for (size_t n = 0; n < len; n++) {
        memory = malloc(len);
        memcpy(memory, m->payload.data, n);
        assert_int_equal(mail_of_payload(some_id, memory, span_of(memory, n), &back),
                         FAULT_DAMAGED); /* and `memory` is freed */
    }
    mail_release(m);
}

static void the_last_reference_frees(void **state)
{
    (void)state;
    struct mail_object *m = finished(SPAN("body\r\n"), 6, 0);
    assert_ptr_equal(mail_retain(m), m);
    assert_ptr_equal(mail_retain(m), m);
    mail_release(m);
    mail_release(m);
    expect_span(m->envelope.content, SPAN("body\r\n"));
    mail_release(m);
    assert_null(mail_retain(NULL));
    mail_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_payload_is_what_the_envelope_writes_in_any_split),
        cmocka_unit_test(what_was_put_in_comes_out),
        cmocka_unit_test(the_inline_limit_is_exact),
        cmocka_unit_test(content_that_moved_to_a_file_leaves_the_envelope),
        cmocka_unit_test(memory_is_taken_as_said_and_given_back_when_most_is_waste),
        cmocka_unit_test(an_inline_limit_of_nothing_is_kept_too),
        cmocka_unit_test(a_stored_payload_becomes_an_object),
        cmocka_unit_test(the_last_reference_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
