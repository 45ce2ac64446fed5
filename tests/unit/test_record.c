#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "spool/record.h"

#define EPOCH 7u

static const struct id some_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static size_t make(uint8_t *out, uint64_t epoch, enum record_type type, struct span payload)
{
    record_encode_header(out, epoch, type, some_id, 3, (uint32_t)payload.len, crc32c(0, payload));
    if (payload.len > 0)
        memcpy(out + RECORD_HEADER_BYTES, payload.data, payload.len);
    return RECORD_HEADER_BYTES + payload.len;
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    const struct span payloads[] = {SPAN(""), SPAN("x"), SPAN("mail from:<a@b>\0\r\n")};
    for (size_t i = 0; i < 3; i++) {
        uint8_t bytes[256];
        size_t len = make(bytes, EPOCH, RECORD_OUTCOME, payloads[i]), used = 0;
        struct record r;
        assert_int_equal(record_decode(span_of(bytes, len), EPOCH, &r, &used), FAULT_NONE);
        assert_int_equal(used, len);
        assert_int_equal(r.type, RECORD_OUTCOME);
        assert_int_equal(r.version, 3);
        assert_true(id_equal(r.id, some_id));
        assert_true(span_equal(r.payload, payloads[i]));
    }
}

static void every_flipped_bit_is_seen(void **state)
{
    (void)state;
    uint8_t bytes[256];
    size_t len = make(bytes, EPOCH, RECORD_ACCEPTED, SPAN("content"));
    for (size_t bit = 0; bit < len * 8; bit++) {
        struct record r;
        size_t used;
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(record_decode(span_of(bytes, len), EPOCH, &r, &used), FAULT_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void every_shorter_piece_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[256];
    size_t len = make(bytes, EPOCH, RECORD_ACCEPTED, SPAN("content"));
    for (size_t n = 0; n < len; n++) {
        struct record r;
        size_t used;
        assert_int_equal(record_decode(span_of(bytes, n), EPOCH, &r, &used), FAULT_DAMAGED);
    }
}

static void another_life_of_the_segment_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[256];
    size_t len = make(bytes, EPOCH, RECORD_ACCEPTED, SPAN("content")), used;
    const uint64_t others[] = {0, EPOCH - 1, EPOCH + 1, UINT64_C(1) << 32 | EPOCH, UINT64_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct record r;
        assert_int_equal(record_decode(span_of(bytes, len), others[i], &r, &used), FAULT_DAMAGED);
    }
}

static void a_payload_over_the_limit_is_refused(void **state)
{
    (void)state;
    size_t len = RECORD_PAYLOAD_MAX;
    uint8_t *bytes = calloc(1, RECORD_HEADER_BYTES + len + 1);
    assert_non_null(bytes);
    struct span payload = span_of(bytes + RECORD_HEADER_BYTES, len);
    struct record r;
    size_t used = 0;
    record_encode_header(bytes, EPOCH, RECORD_ACCEPTED, some_id, 1, (uint32_t)len,
                         crc32c(0, payload));
    struct span whole = span_of(bytes, RECORD_HEADER_BYTES + len + 1);
    assert_int_equal(record_decode(whole, EPOCH, &r, &used), FAULT_NONE);
    assert_int_equal(used, RECORD_HEADER_BYTES + len);
    free(bytes);
}

static void a_group_gives_its_members_in_order(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 4096);
    assert_true(group_put(&b, RECORD_OUTCOME, some_id, 4, SPAN("failed")));
    assert_true(group_put(&b, RECORD_ACCEPTED, some_id, 1, SPAN("dsn")));
    assert_true(group_put(&b, RECORD_DONE, some_id, 5, SPAN("")));
    struct cursor c = cursor_over(buffer_span(&b));
    struct record r;
    assert_true(group_next(&c, &r));
    assert_true(r.type == RECORD_OUTCOME && r.version == 4 &&
                span_equal(r.payload, SPAN("failed")));
    assert_true(group_next(&c, &r));
    assert_true(r.type == RECORD_ACCEPTED && span_equal(r.payload, SPAN("dsn")));
    assert_true(group_next(&c, &r));
    assert_true(r.type == RECORD_DONE && r.version == 5 && r.payload.len == 0);
    assert_false(group_next(&c, &r));
    assert_true(cursor_at_end(&c));
    buffer_fini(&b);
}

static void a_cut_group_is_not_whole(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 4096);
    assert_true(group_put(&b, RECORD_OUTCOME, some_id, 4, SPAN("failed")));
    for (size_t n = 1; n < b.len; n++) {
        struct cursor c = cursor_over(span_sub(buffer_span(&b), 0, n));
        struct record r;
        while (group_next(&c, &r)) {
        }
        assert_false(cursor_at_end(&c));
    }
    buffer_fini(&b);
}

static void a_group_in_a_group_is_not_whole(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 4096);
    assert_true(group_put(&b, RECORD_DONE, some_id, 1, SPAN("")));
    const uint8_t types[] = {0, RECORD_GROUP, RECORD_GROUP + 1, 255};
    for (size_t i = 0; i < sizeof types; i++) {
        b.data[8] = types[i];
        struct cursor c = cursor_over(buffer_span(&b));
        struct record r;
        assert_false(group_next(&c, &r));
        assert_false(cursor_at_end(&c));
    }
    buffer_fini(&b);
}

static void a_full_buffer_takes_no_member(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, GROUP_MEMBER_HEADER_BYTES + 4);
    assert_false(group_put(&b, RECORD_DONE, some_id, 1, SPAN("12345")));
    buffer_reset(&b);
    assert_true(group_put(&b, RECORD_DONE, some_id, 1, SPAN("1234")));
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(every_shorter_piece_is_refused),
        cmocka_unit_test(another_life_of_the_segment_is_refused),
        cmocka_unit_test(a_payload_over_the_limit_is_refused),
        cmocka_unit_test(a_group_gives_its_members_in_order),
        cmocka_unit_test(a_cut_group_is_not_whole),
        cmocka_unit_test(a_group_in_a_group_is_not_whole),
        cmocka_unit_test(a_full_buffer_takes_no_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
