#include "ipc/message.h"

#include "expect.h"

static struct ipc_message sample(enum message_type type)
{
    static const uint8_t id[16] = {1, 2, 3};
    struct ipc_message m = {.type = type};
    struct span some = SPAN("some");
    if (type == MESSAGE_TYPE_DELIVER)
        m.deliver = (struct message_deliver){.number = 7,
                                             .recipient = 3,
                                             .content_bytes = 1234567890123u,
                                             .address = some,
                                             .prefix = some,
                                             .is_framed = 1};
    else if (type == MESSAGE_TYPE_OUTCOME)
        m.outcome = (struct message_outcome){.number = 7, .end = MESSAGE_FAILED, .text = some};
    else if (type == MESSAGE_TYPE_PUT)
        m.put = (struct message_put){.number = 9, .path = some, .arguments = some};
    else if (type == MESSAGE_TYPE_WELCOME)
        m.welcome = (struct message_welcome){.requests_max = 5};
    else
        m.done = (struct message_done){.number = UINT32_MAX, .text = some};
    if (type == MESSAGE_TYPE_DELIVER)
        memcpy(m.deliver.id.bytes, id, sizeof id);
    return m;
}

static struct buffer encoded(enum message_type type)
{
    struct ipc_message m = sample(type);
    struct buffer b;
    buffer_init(&b, MESSAGE_BYTES_MAX);
    assert_true(message_encode(&m, &b));
    return b;
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    for (enum message_type type = 0; type < MESSAGE_TYPES; type++) {
        struct buffer b = encoded(type), again;
        struct ipc_message m;
        assert_int_equal(message_decode(buffer_span(&b), &m), FAULT_NONE);
        assert_int_equal(m.type, type);
        buffer_init(&again, MESSAGE_BYTES_MAX);
        assert_true(message_encode(&m, &again));
        assert_true(span_equal(buffer_span(&again), buffer_span(&b)));
        buffer_fini(&again);
        buffer_fini(&b);
    }
    struct buffer b = encoded(MESSAGE_TYPE_DELIVER);
    struct ipc_message m;
    assert_int_equal(message_decode(buffer_span(&b), &m), FAULT_NONE);
    assert_int_equal(m.deliver.number, 7);
    assert_int_equal(m.deliver.content_bytes, 1234567890123u);
    assert_true(span_equal(m.deliver.address, SPAN("some")));
    assert_int_equal(m.deliver.id.bytes[2], 3);
    buffer_fini(&b);
}

/* Cut anywhere, or with anything behind it, it is no message. */
static void is_whole_or_nothing(void **state)
{
    (void)state;
    for (enum message_type type = 0; type < MESSAGE_TYPES; type++) {
        struct buffer b = encoded(type);
        struct ipc_message m;
        for (size_t len = 0; len < b.len; len++)
            assert_int_equal(message_decode(span_sub(buffer_span(&b), 0, len), &m), FAULT_PROTOCOL);
        assert_true(buffer_put_u8(&b, 0));
        assert_int_equal(message_decode(buffer_span(&b), &m), FAULT_PROTOCOL);
        buffer_fini(&b);
    }
}

static void refuses_types_that_are_none(void **state)
{
    (void)state;
    struct ipc_message m;
    for (unsigned type = MESSAGE_TYPES; type < 1000; type++) {
        uint8_t bytes[64] = {(uint8_t)type, (uint8_t)(type >> 8)};
        assert_int_equal(message_decode(span_of(bytes, sizeof bytes), &m), FAULT_PROTOCOL);
    }
}

/* At the limit of a row and one beyond, both ways. */
static void holds_texts_to_their_limits(void **state)
{
    (void)state;
    char text[901];
    memset(text, 'x', sizeof text);
    struct buffer b;
    struct ipc_message m = {.type = MESSAGE_TYPE_OUTCOME};
    buffer_init(&b, MESSAGE_BYTES_MAX);
    m.outcome.text = span_of(text, 901);
    assert_false(message_encode(&m, &b));
    buffer_reset(&b);
    m.outcome.text = span_of(text, 900);
    assert_true(message_encode(&m, &b));
    assert_int_equal(message_decode(buffer_span(&b), &m), FAULT_NONE);
    assert_true(buffer_put_u8(&b, 'x'));
    uint8_t *length = b.data + 2 + 4 + 1;
    length[0] = (uint8_t)(901 & 0xFF);
    length[1] = 901 >> 8;
    assert_int_equal(message_decode(buffer_span(&b), &m), FAULT_PROTOCOL);
    buffer_fini(&b);
}

/* All texts as long as they may be still fit into one message. */
static void has_room_for_the_longest(void **state)
{
    (void)state;
    static char text[8000];
    struct ipc_message m = sample(MESSAGE_TYPE_PUT);
    struct buffer b;
    buffer_init(&b, MESSAGE_BYTES_MAX);
    m.put.address = m.put.sender = m.put.home = span_of(text, 1000);
    m.put.prefix = span_of(text, 8000);
    m.put.user = span_of(text, 255);
    m.put.path = m.put.arguments = span_of(text, 2000);
    assert_true(message_encode(&m, &b));
    buffer_fini(&b);
}

static void permits_what_the_table_says(void **state)
{
    (void)state;
    static const struct {
        enum message_type type;
        enum message_side from, to;
        bool has_enclosure, expected;
    } cases[] = {
        {MESSAGE_TYPE_DELIVER, SIDE_ENGINE, SIDE_AGENT, true, true},
        {MESSAGE_TYPE_DELIVER, SIDE_ENGINE, SIDE_AGENT, false, false},
        {MESSAGE_TYPE_DELIVER, SIDE_AGENT, SIDE_ENGINE, true, false},
        {MESSAGE_TYPE_DELIVER, SIDE_ENGINE, SIDE_HAND, true, false},
        {MESSAGE_TYPE_OUTCOME, SIDE_AGENT, SIDE_ENGINE, false, true},
        {MESSAGE_TYPE_OUTCOME, SIDE_AGENT, SIDE_ENGINE, true, false},
        {MESSAGE_TYPE_OUTCOME, SIDE_HAND, SIDE_AGENT, false, false},
        {MESSAGE_TYPE_PUT, SIDE_AGENT, SIDE_HAND, true, true},
        {MESSAGE_TYPE_PUT, SIDE_ENGINE, SIDE_HAND, true, false},
        {MESSAGE_TYPE_DONE, SIDE_HAND, SIDE_AGENT, false, true},
        {MESSAGE_TYPE_DONE, SIDE_AGENT, SIDE_HAND, false, false},
        {MESSAGE_TYPES, SIDE_HAND, SIDE_AGENT, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(
            message_is_permitted(cases[i].type, cases[i].from, cases[i].to, cases[i].has_enclosure),
            cases[i].expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(is_whole_or_nothing),
        cmocka_unit_test(refuses_types_that_are_none),
        cmocka_unit_test(holds_texts_to_their_limits),
        cmocka_unit_test(has_room_for_the_longest),
        cmocka_unit_test(permits_what_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
