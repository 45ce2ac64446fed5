#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spool/state.h"

#define MANY 1000u

static struct span replies[] = {{(const uint8_t *)"451 4.7.1 later", 15},
                                {(const uint8_t *)"550 no", 6}};

static void set_all(struct recipient_state *r, uint32_t count, enum recipient_standing standing)
{
    for (uint32_t i = 0; i < count; i++)
        r[i] = (struct recipient_state){standing, 2, 0, 1764000000000, REPORT_NONE};
}

static struct message_state some_state(struct recipient_state *r, uint32_t count)
{
    return (struct message_state){.held = true,
                                  .crashes = 2,
                                  .is_delivering = true,
                                  .reason = SPAN("by the postmaster"),
                                  .recipients = r,
                                  .recipient_count = count,
                                  .replies = replies,
                                  .reply_count = 2};
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    struct recipient_state r[MANY];
    set_all(r, MANY, RECIPIENT_WAITING);
    r[0].standing = RECIPIENT_DELIVERED;
    r[7] = (struct recipient_state){RECIPIENT_FAILED, 1, 1, 5, REPORT_NONE};
    r[MANY - 1].reply = STATE_NO_REPLY;
    struct message_state s = some_state(r, MANY), back;
    struct buffer b;
    struct arena arena;
    buffer_init(&b, 4096);
    arena_init(&arena, 1 << 20);
    assert_true(state_encode(&s, &b));
    assert_int_equal(state_decode(buffer_span(&b), MANY, &arena, &back), FAULT_NONE);
    assert_true(back.held && back.crashes == 2 && back.is_delivering &&
                span_equal(back.reason, s.reason));
    assert_true(back.reply_count == 2 && span_equal(back.replies[1], replies[1]));
    assert_int_equal(back.recipient_count, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(back.recipients[i].standing, r[i].standing);
        assert_int_equal(back.recipients[i].attempts, r[i].attempts);
        assert_int_equal(back.recipients[i].reply, r[i].reply);
        assert_int_equal(back.recipients[i].due_wall_ms, r[i].due_wall_ms);
    }
    arena_fini(&arena);
    buffer_fini(&b);
}

static void a_thousand_alike_are_one_run(void **state)
{
    (void)state;
    struct recipient_state r[MANY];
    set_all(r, MANY, RECIPIENT_WAITING);
    struct message_state s = some_state(r, MANY);
    struct buffer b;
    buffer_init(&b, 128);
    assert_true(state_encode(&s, &b));
    buffer_fini(&b);
}

static void another_number_of_recipients_is_damaged(void **state)
{
    (void)state;
    struct recipient_state r[MANY];
    set_all(r, MANY, RECIPIENT_WAITING);
    struct message_state s = some_state(r, MANY), back;
    const uint32_t wrong[] = {0, 1, MANY - 1, MANY + 1, 100000};
    struct buffer b;
    buffer_init(&b, 4096);
    assert_true(state_encode(&s, &b));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct arena arena;
        arena_init(&arena, 8 << 20);
        assert_int_equal(state_decode(buffer_span(&b), wrong[i], &arena, &back), FAULT_DAMAGED);
        arena_fini(&arena);
    }
    buffer_fini(&b);
}

static void every_shorter_or_longer_piece_is_damaged(void **state)
{
    (void)state;
    struct recipient_state r[3];
    set_all(r, 3, RECIPIENT_FAILED);
    r[1].attempts = 9;
    struct message_state s = some_state(r, 3), back;
    struct buffer b;
    buffer_init(&b, 4096);
    assert_true(state_encode(&s, &b));
    size_t whole = b.len;
    assert_true(buffer_put_u8(&b, 0));
    for (size_t n = 0; n <= whole + 1; n++) {
        struct arena arena;
        arena_init(&arena, 4096);
        enum fault f = state_decode(span_sub(buffer_span(&b), 0, n), 3, &arena, &back);
        assert_int_equal(f, n == whole ? FAULT_NONE : FAULT_DAMAGED);
        arena_fini(&arena);
    }
    buffer_fini(&b);
}

static void any_byte_may_be_anything(void **state)
{
    (void)state;
    struct recipient_state r[3];
    set_all(r, 3, RECIPIENT_FAILED);
    struct message_state s = some_state(r, 3), back;
    struct buffer b;
    buffer_init(&b, 4096);
    assert_true(state_encode(&s, &b));
    for (size_t i = 0; i < b.len; i++) {
        uint8_t was = b.data[i];
        for (int v = 0; v < 256; v++) {
            struct arena arena;
            arena_init(&arena, 1 << 16);
            b.data[i] = (uint8_t)v;
            if (state_decode(buffer_span(&b), 3, &arena, &back) == FAULT_NONE) {
                assert_int_equal(back.recipient_count, 3);
                assert_true(back.recipients[0].reply == STATE_NO_REPLY ||
                            back.recipients[0].reply < 2);
            }
            arena_fini(&arena);
        }
        b.data[i] = was;
    }
    buffer_fini(&b);
}

static void long_replies_are_cut(void **state)
{
    (void)state;
    static uint8_t text[STATE_REPLY_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    for (size_t len = STATE_REPLY_BYTES_MAX - 1; len <= sizeof text; len++) {
        struct span reply = span_of(text, len);
        struct recipient_state r = {RECIPIENT_WAITING, 1, 0, 1, REPORT_NONE};
        struct message_state s = {
            .recipients = &r, .recipient_count = 1, .replies = &reply, .reply_count = 1};
        struct message_state back;
        struct buffer b;
        struct arena arena;
        buffer_init(&b, 4096);
        arena_init(&arena, 4096);
        assert_true(state_encode(&s, &b));
        assert_int_equal(state_decode(buffer_span(&b), 1, &arena, &back), FAULT_NONE);
        assert_int_equal(back.replies[0].len,
                         len > STATE_REPLY_BYTES_MAX ? STATE_REPLY_BYTES_MAX : len);
        arena_fini(&arena);
        buffer_fini(&b);
    }
}

static void says_of_how_many_it_tells(void **state)
{
    (void)state;
    struct recipient_state r[MANY];
    set_all(r, MANY, RECIPIENT_WAITING);
    r[3].attempts = 9;
    struct message_state s = some_state(r, MANY);
    struct buffer b;
    uint32_t count = 0;
    buffer_init(&b, 4096);
    assert_true(state_encode(&s, &b));
    assert_true(state_recipient_count(buffer_span(&b), &count));
    assert_int_equal(count, MANY);
    assert_false(state_recipient_count(span_sub(buffer_span(&b), 0, 9), &count));
    assert_false(state_recipient_count(SPAN(""), &count));
    b.data[8] = 0xff; /* more runs than there is room for */
    assert_false(state_recipient_count(buffer_span(&b), &count));
    s.recipient_count = 0;
    buffer_reset(&b);
    assert_true(state_encode(&s, &b));
    assert_false(state_recipient_count(buffer_span(&b), &count));
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(a_thousand_alike_are_one_run),
        cmocka_unit_test(another_number_of_recipients_is_damaged),
        cmocka_unit_test(every_shorter_or_longer_piece_is_damaged),
        cmocka_unit_test(any_byte_may_be_anything),
        cmocka_unit_test(long_replies_are_cut),
        cmocka_unit_test(says_of_how_many_it_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
