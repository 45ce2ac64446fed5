/* The parts of the rig that decide what a run claims: content, ids, percentiles, message, store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "content.h"
#include "histogram.h"
#include "idset.h"
#include "message.h"
#include "net.h"
#include "trouble.h"

struct output {
    size_t length;
    char bytes[256];
};

static void take(void *owner, const char *bytes, size_t length)
{
    struct output *output = owner;

    assert_true(length <= sizeof output->bytes - output->length);
    memcpy(output->bytes + output->length, bytes, length);
    output->length += length;
}

struct content_case {
    const char *input;
    const char *expected;
    const char *left; /* after the end; NULL: the content has not ended */
};

/* Only CRLF . CRLF ends; SMTP smuggling (CVE-2023-51764) lives on any other reading. */
static const struct content_case content_cases[] = {
    {".\r\n", "", ""},
    {"a\r\n.\r\n", "a\r\n", ""},
    {"a\r\n.\r\nMAIL FROM:<>\r\n", "a\r\n", "MAIL FROM:<>\r\n"},
    {"..\r\n.\r\n", ".\r\n", ""},
    {"a\r\n..b\r\n.\r\n", "a\r\n.b\r\n", ""},
    {".b\r\n.\r\n", "b\r\n", ""},
    {"a.b\r\n.\r\n", "a.b\r\n", ""},
    {"\r\n\r\n.\r\n", "\r\n\r\n", ""},
    {"a\r\r\n.\r\n", "a\r\r\n", ""},
    {".\r\r\n.\r\n", "\r\r\n", ""},
    {"a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", ""},
    {"a\n.\nb", "a\n.\nb", NULL},
    {"a\r\n.\nb", "a\r\n\nb", NULL},
    {"a\r\n.\rb", "a\r\n\rb", NULL},
    {"a\r.\r\nb", "a\r.\r\nb", NULL},
    {"a\n.\r\n", "a\n.\r\n", NULL},
    {"a\r\n", "a\r\n", NULL},
};

static void expect_output(const struct content_case *test, const struct output *output, bool ended)
{
    assert_int_equal(output->length, strlen(test->expected));
    assert_memory_equal(output->bytes, test->expected, output->length);
    assert_int_equal(ended, test->left != NULL);
}

static void content_ends_alike_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof content_cases / sizeof content_cases[0]; i++) {
        const struct content_case *test = &content_cases[i];
        size_t length = strlen(test->input);

        for (size_t split = 0; split <= length; split++) {
            struct content content = {CONTENT_LINE_START};
            struct output output = {0};
            bool ended = false;
            size_t used = content_read(&content, test->input, split, take, &output, &ended);

            if (!ended)
                used += content_read(&content, test->input + used, length - used, take, &output,
                                     &ended);
            expect_output(test, &output, ended);
            assert_string_equal(test->input + used, test->left == NULL ? "" : test->left);
        }
    }
}

static void content_ends_alike_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof content_cases / sizeof content_cases[0]; i++) {
        const struct content_case *test = &content_cases[i];
        struct content content = {CONTENT_LINE_START};
        struct output output = {0};
        bool ended = false;

        for (const char *at = test->input; *at != '\0' && !ended; at++)
            assert_int_equal(content_read(&content, at, 1, take, &output, &ended), 1);
        expect_output(test, &output, ended);
    }
}

static void histogram_stays_within_its_error(void **state)
{
    static const uint64_t values[] = {0,
                                      1,
                                      63,
                                      64,
                                      127,
                                      128,
                                      129,
                                      1000,
                                      1048575,
                                      1048576,
                                      99999999,
                                      UINT64_C(1) << 40,
                                      UINT64_MAX / 3,
                                      UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct histogram histogram = {0};

        histogram_add(&histogram, values[i]);
        histogram_add(&histogram, UINT64_MAX); /* so that the maximum does not clip it */
        assert_true(histogram_at(&histogram, 0.5) >= values[i]);
        assert_true(histogram_at(&histogram, 0.5) - values[i] <= values[i] / 64);
        assert_true(histogram_at(&histogram, 1) == UINT64_MAX);
    }
}

static void histogram_orders_its_percentiles(void **state)
{
    struct histogram histogram = {0};

    (void)state;
    assert_int_equal(histogram_at(&histogram, 0.5), 0);
    for (uint64_t value = 1; value <= 1000; value++)
        histogram_add(&histogram, value);
    assert_in_range(histogram_at(&histogram, 0.5), 500, 508);
    assert_in_range(histogram_at(&histogram, 0.99), 990, 1000);
    assert_int_equal(histogram_at(&histogram, 1), 1000);
    assert_int_equal(histogram.max, 1000);
}

static void idset_knows_what_it_saw(void **state)
{
    struct idset set = {0};
    char id[32];

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20000; i++) {
            int length = snprintf(id, sizeof id, "run-%010d", i);

            assert_int_equal(idset_add(&set, id, (size_t)length, NULL), round == 0);
        }
    }
    assert_true(idset_add(&set, "run-0000000001", 14, "a@example.org"));
    assert_true(idset_add(&set, "run-0000000001", 14, "b@example.org"));
    assert_false(idset_add(&set, "run-0000000001", 14, "a@example.org"));
    idset_fini(&set);
}

/* Every size from the smallest: exact length, whole lines, no line that begins with a dot. */
static void message_has_the_size_it_was_asked_for(void **state)
{
    char id[MESSAGE_ID_MAX];
    char head[MESSAGE_HEAD_MAX];
    struct message message;

    (void)state;
    for (size_t size = 400; size < 900; size++) {
        size_t id_length;

        message_init(&message, "run", size);
        id_length = message_id(&message, 7, id);
        assert_int_equal(id_length, strlen(id));
        message_head(id, head);
        assert_int_equal(strlen(head), message.head_length);
        assert_int_equal(message.head_length + message.body_length, size);
        assert_memory_equal(message.body + message.body_length - 2, "\r\n.\r\n", 5);
        for (size_t i = 0; i < message.body_length; i++) {
            bool at_start = i == 0 || message.body[i - 1] == '\n';

            assert_false(at_start && message.body[i] == '.');
            assert_int_equal(message.body[i] == '\n', i > 0 && message.body[i - 1] == '\r');
        }
        message_fini(&message);
    }
}

static void addresses_are_numeric(void **state)
{
    static const char *const refused[] = {"",
                                          "127.0.0.1",
                                          "127.0.0.1:",
                                          ":25",
                                          "localhost:25",
                                          "127.0.0.1:65536",
                                          "127.0.0.1:x",
                                          "127.0.0.1:25 ",
                                          "[::1:25",
                                          "::1:25",
                                          "[]:25",
                                          "1.2.3:25",
                                          "127.0.0.1:-1"};
    struct endpoint endpoint;

    (void)state;
    assert_true(net_parse("127.0.0.1:25", &endpoint));
    assert_int_equal(endpoint.address.ss_family, AF_INET);
    assert_true(net_parse("[::1]:65535", &endpoint));
    assert_int_equal(endpoint.address.ss_family, AF_INET6);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_false(net_parse(refused[i], &endpoint));
}

static void trouble_keeps_its_shares(void **state)
{
    struct trouble_plan plan = {
        .tempfail_percent = 10, .reject_percent = 20, .drop_percent = 30, .random = 1};
    unsigned drawn[TROUBLE_DROP_REPLY + 1] = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        drawn[trouble_draw(&plan)]++;
    assert_in_range(drawn[TROUBLE_NONE], 39000, 41000);
    for (int i = TROUBLE_TEMPFAIL_RCPT; i <= TROUBLE_TEMPFAIL_DOT; i++)
        assert_in_range(drawn[i], 4500, 5500);
    for (int i = TROUBLE_REJECT_RCPT; i <= TROUBLE_REJECT_DOT; i++)
        assert_in_range(drawn[i], 9500, 10500);
    for (int i = TROUBLE_DROP_MAIL; i <= TROUBLE_DROP_REPLY; i++)
        assert_in_range(drawn[i], 4500, 5500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_ends_alike_at_every_split),
        cmocka_unit_test(content_ends_alike_byte_by_byte),
        cmocka_unit_test(histogram_stays_within_its_error),
        cmocka_unit_test(histogram_orders_its_percentiles),
        cmocka_unit_test(idset_knows_what_it_saw),
        cmocka_unit_test(message_has_the_size_it_was_asked_for),
        cmocka_unit_test(addresses_are_numeric),
        cmocka_unit_test(trouble_keeps_its_shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
