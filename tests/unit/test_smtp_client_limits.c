/* What the dialogs of test_smtp_client.c do not show: bounds, time-outs, what must not be called.
 */
#include "expect.h"

#include "base/buffer.h"
#include "deliver/smtp_client.h"

#define RECIPIENTS 1000

static const struct client_limits limits = {1, 2, 3, 4, 5, 6, 7, 8};
static struct client_recipient recipients[RECIPIENTS];

static enum client_want step(struct client *c, struct span input)
{
    size_t used;
    enum client_want want = client_step(c, input, &used);
    if (want == CLIENT_WANT_JUDGEMENT) {
        client_judge(c, DOWNGRADE_NEEDLESS, 0);
        input = span_skip(input, used);
        want = client_step(c, input, &used);
    }
    assert_int_equal(used, input.len);
    return want;
}

static enum client_want say(struct client *c, const char *text)
{
    enum client_want want = step(c, span_text(text));
    struct buffer *out = client_output(c);
    buffer_consume(out, out->len);
    return want;
}

static struct client *ready_client(const char *ehlo_reply)
{
    struct client *c = client_new(&limits, "me.example");
    assert_non_null(c);
    assert_int_equal(say(c, "220 mx\r\n"), CLIENT_WANT_INPUT);
    assert_int_equal(say(c, ehlo_reply), CLIENT_WANT_IDLE);
    return c;
}

static void begin(struct client *c, uint32_t count, struct span path)
{
    for (uint32_t i = 0; i < count; i++)
        recipients[i].path = path;
    struct client_transaction t = {.reverse_path = SPAN("a@b.example"),
                                   .recipients = recipients,
                                   .recipient_count = count,
                                   .content_bytes = 100};
    client_begin(c, &t);
}

static struct span address_of(size_t len)
{
    static uint8_t bytes[512];
    memset(bytes, 'x', sizeof bytes);
    return span_of(bytes, len);
}

/* Gives `input`; moves all output to `sent`. */
static enum client_want drive(struct client *c, struct span input, struct buffer *sent)
{
    enum client_want want;
    struct buffer *out = client_output(c);
    size_t idle = 0;
    do {
        size_t used;
        want = client_step(c, input, &used);
        input = span_skip(input, used);
        if (want == CLIENT_WANT_JUDGEMENT) {
            client_judge(c, DOWNGRADE_NEEDLESS, 0);
            want = client_step(c, input, &used);
            input = span_skip(input, used);
        }
        assert_true(out->len <= CLIENT_OUTPUT_MAX);
        idle = used == 0 && out->len == 0 ? idle + 1 : 0;
        assert_true(idle < 3);
        assert_true(buffer_put(sent, buffer_span(out)));
        buffer_consume(out, out->len);
    } while (input.len > 0);
    return want;
}

static void a_thousand_recipients_go_in_windows(void **state)
{
    (void)state;
    struct buffer sent, replies;
    struct client *c = ready_client("250-mx\r\n250-8BITMIME\r\n250 PIPELINING\r\n");
    buffer_init(&sent, 1 << 20);
    buffer_init(&replies, 1 << 20);
    begin(c, RECIPIENTS, address_of(100));
    /* What is not sent is not passed by: the window is full, and stays so. */
    assert_int_equal(step(c, SPAN("")), CLIENT_WANT_INPUT);
    size_t window = client_output(c)->len;
    assert_in_range(window, CLIENT_OUTPUT_MAX - 1024, CLIENT_OUTPUT_MAX);
    assert_int_equal(step(c, SPAN("250 ok\r\n250 ok\r\n")), CLIENT_WANT_INPUT);
    assert_int_equal(client_output(c)->len, window);

    for (int i = 1; i < RECIPIENTS; i++)
        assert_true(buffer_put_text(&replies, "250 ok\r\n"));
    assert_int_equal(drive(c, buffer_span(&replies), &sent), CLIENT_WANT_INPUT);
    assert_int_equal(client_phase(c), CLIENT_DATA);
    assert_int_equal(drive(c, SPAN("354 go\r\n"), &sent), CLIENT_WANT_CONTENT);
    size_t expected = strlen("MAIL FROM:<a@b.example>\r\nDATA\r\n") +
                      RECIPIENTS * (strlen("RCPT TO:<>\r\n") + 100);
    assert_int_equal(sent.len, expected);
    assert_true(client_content_end(c));
    assert_int_equal(drive(c, SPAN("250 ok\r\n"), &sent), CLIENT_WANT_RESULT);
    for (int i = 0; i < RECIPIENTS; i++)
        assert_int_equal(recipients[i].result.verdict, CLIENT_DELIVERED);
    client_free(c);
    buffer_fini(&sent);
    buffer_fini(&replies);
}

/* Replies to commands that nobody has sent yet are left unread. */
static void replies_wait_while_the_output_is_full(void **state)
{
    (void)state;
    struct buffer replies;
    size_t used;
    struct client *c = ready_client("250-mx\r\n250-8BITMIME\r\n250 PIPELINING\r\n");
    buffer_init(&replies, 1 << 20);
    begin(c, RECIPIENTS, address_of(100));
    for (int i = 0; i <= RECIPIENTS; i++)
        assert_true(buffer_put_text(&replies, "250 ok\r\n"));
    assert_int_equal(client_step(c, buffer_span(&replies), &used), CLIENT_WANT_INPUT);
    assert_true(used < replies.len / 2);
    assert_int_equal(client_phase(c), CLIENT_RCPT);
    assert_true(client_output(c)->len <= CLIENT_OUTPUT_MAX);
    client_lost(c, FAULT_TIMEOUT);
    assert_int_equal(step(c, SPAN("")), CLIENT_WANT_RESULT);
    assert_int_equal(client_output(c)->len, 0);
    client_free(c);
    buffer_fini(&replies);
}

/* MAIL refused in the first window: the second is never sent. */
static void a_refused_mail_stops_the_rest(void **state)
{
    (void)state;
    struct buffer sent;
    struct client *c = ready_client("250-mx\r\n250-8BITMIME\r\n250 PIPELINING\r\n");
    buffer_init(&sent, 1 << 20);
    begin(c, RECIPIENTS, address_of(100));
    assert_int_equal(drive(c, SPAN(""), &sent), CLIENT_WANT_INPUT);
    size_t window = (sent.len - strlen("MAIL FROM:<a@b.example>\r\n")) / 112;
    assert_int_equal(drive(c, SPAN("550 5.7.1 no\r\n"), &sent), CLIENT_WANT_INPUT);
    for (size_t i = 1; i < window; i++)
        assert_int_equal(drive(c, SPAN("503 no\r\n"), &sent), CLIENT_WANT_INPUT);
    assert_int_equal(drive(c, SPAN("503 no\r\n"), &sent), CLIENT_WANT_RESULT);
    assert_true(sent.len <= CLIENT_OUTPUT_MAX);
    for (int i = 0; i < RECIPIENTS; i++) {
        assert_int_equal(recipients[i].result.phase, CLIENT_MAIL);
        expect_span(recipients[i].result.text, SPAN("5.7.1 no"));
    }
    client_free(c);
    buffer_fini(&sent);
}

/* Refuses all; `same`: with one text, else each with its own. */
static size_t count_texts(bool same)
{
    char line[1200];
    size_t with_text = 0;
    struct client *c = ready_client("250-mx\r\n250 8BITMIME\r\n");
    begin(c, RECIPIENTS, SPAN("c@d.example"));
    assert_int_equal(say(c, "250 ok\r\n"), CLIENT_WANT_INPUT);
    for (int i = 0; i < RECIPIENTS; i++) {
        snprintf(line, sizeof line, "550 %d %1000d\r\n", same ? 0 : i, 0);
        assert_int_equal(say(c, line), i + 1 < RECIPIENTS ? CLIENT_WANT_INPUT : CLIENT_WANT_RESULT);
    }
    for (int i = 0; i < RECIPIENTS; i++) {
        assert_int_equal(recipients[i].result.code, 550);
        with_text += recipients[i].result.text.len > 1000;
    }
    client_free(c);
    return with_text;
}

static void texts_of_refusals_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(count_texts(true), RECIPIENTS);
    assert_in_range(count_texts(false), CLIENT_TEXT_BYTES_MAX / 2048, CLIENT_TEXT_BYTES_MAX / 1000);
}

static enum client_verdict verdict_of_path(size_t len)
{
    struct client *c = ready_client("250-mx\r\n250 8BITMIME\r\n");
    begin(c, 1, address_of(len));
    enum client_want want = say(c, "");
    enum client_verdict verdict = recipients[0].result.verdict;
    assert_int_equal(want, verdict == CLIENT_FAILED ? CLIENT_WANT_RESULT : CLIENT_WANT_INPUT);
    client_free(c);
    return verdict;
}

static void a_path_is_as_long_as_an_address_may_be(void **state)
{
    (void)state;
    assert_int_equal(verdict_of_path(1), CLIENT_UNDECIDED);
    assert_int_equal(verdict_of_path(254), CLIENT_UNDECIDED);
    assert_int_equal(verdict_of_path(255), CLIENT_FAILED);
    assert_int_equal(verdict_of_path(510), CLIENT_FAILED);
}

/* The longest MAIL there is fits beside what waits already. */
static void the_longest_command_fits(void **state)
{
    (void)state;
    struct client *c = ready_client("250-mx\r\n250-SIZE\r\n250 8BITMIME\r\n");
    recipients[0].path = address_of(254);
    struct client_transaction t = {.reverse_path = address_of(254),
                                   .recipients = recipients,
                                   .recipient_count = 1,
                                   .content_bytes = UINT64_MAX,
                                   .is_8bitmime = true};
    client_begin(c, &t);
    assert_in_range(client_output(c)->len, 254, 512);
    assert_int_equal(say(c, "250 ok\r\n"), CLIENT_WANT_INPUT);
    client_free(c);
}

static void expect_phase(struct client *c, enum client_phase phase, int64_t timeout_ms)
{
    assert_int_equal(client_phase(c), phase);
    assert_int_equal(client_timeout_ms(c), timeout_ms);
}

static void each_phase_has_its_time(void **state)
{
    (void)state;
    struct client *c = client_new(&limits, "me.example");
    assert_non_null(c);
    expect_phase(c, CLIENT_GREETING, 1);
    assert_int_equal(say(c, "220 mx\r\n"), CLIENT_WANT_INPUT);
    expect_phase(c, CLIENT_EHLO, 2);
    assert_int_equal(say(c, "500 no\r\n"), CLIENT_WANT_INPUT);
    expect_phase(c, CLIENT_HELO, 2);
    assert_false(client_is_usable(c));
    assert_int_equal(say(c, "250 mx\r\n"), CLIENT_WANT_IDLE);
    expect_phase(c, CLIENT_IDLE, -1);
    assert_true(client_is_usable(c));
    assert_false(client_is_esmtp(c));
    begin(c, 1, SPAN("c@d.example"));
    assert_int_equal(say(c, ""), CLIENT_WANT_INPUT); /* the content was looked at */
    expect_phase(c, CLIENT_MAIL, 3);
    assert_int_equal(say(c, "250 ok\r\n"), CLIENT_WANT_INPUT);
    expect_phase(c, CLIENT_RCPT, 4);
    assert_int_equal(say(c, "550 no\r\n"), CLIENT_WANT_RESULT);
    begin(c, 1, SPAN("c@d.example"));
    assert_int_equal(say(c, ""), CLIENT_WANT_INPUT);
    expect_phase(c, CLIENT_RSET, 3);
    assert_int_equal(say(c, "250 ok\r\n250 ok\r\n250 ok\r\n"), CLIENT_WANT_INPUT);
    expect_phase(c, CLIENT_DATA, 5);
    assert_int_equal(say(c, "354 go\r\n"), CLIENT_WANT_CONTENT);
    expect_phase(c, CLIENT_CONTENT, 6);
    assert_true(client_content_end(c));
    expect_phase(c, CLIENT_DOT, 7);
    assert_int_equal(say(c, "250 ok\r\n"), CLIENT_WANT_RESULT);
    client_quit(c);
    expect_phase(c, CLIENT_QUIT, 8);
    assert_int_equal(say(c, "221 bye\r\n"), CLIENT_WANT_CLOSE);
    expect_phase(c, CLIENT_CLOSED, -1);
    client_free(c);
}

/* A timer begins anew with a reply, not with a byte or a line of it. */
static void dripping_is_no_progress(void **state)
{
    (void)state;
    struct client *c = client_new(&limits, "me.example");
    assert_non_null(c);
    uint64_t at = client_progress(c);
    assert_int_equal(say(c, "2"), CLIENT_WANT_INPUT);
    assert_int_equal(say(c, "20-a\r\n"), CLIENT_WANT_INPUT);
    assert_int_equal(say(c, "220-b\r\n220 c"), CLIENT_WANT_INPUT);
    assert_int_equal(client_progress(c), at);
    assert_int_equal(say(c, "\r\n"), CLIENT_WANT_INPUT);
    assert_true(client_progress(c) != at);
    at = client_progress(c);
    assert_int_equal(say(c, "250-mx\r\n250-DSN\r\n250 SIZE 5\r\n"), CLIENT_WANT_IDLE);
    assert_true(client_progress(c) != at);
    assert_true(client_is_esmtp(c));
    assert_true(client_extensions(c)->dsn);
    assert_int_equal(client_extensions(c)->size_max, 5);
    client_free(c);
}

/* A reason stays readable as long as the client lives, whatever is begun on it. */
static void the_reason_of_the_end_is_kept(void **state)
{
    (void)state;
    struct client *c = client_new(&limits, "me.example");
    assert_non_null(c);
    assert_int_equal(say(c, "421 come back on Monday\r\n"), CLIENT_WANT_CLOSE);
    for (int i = 0; i < 3; i++) {
        begin(c, 2, SPAN("c@d.example"));
        assert_int_equal(say(c, ""), CLIENT_WANT_RESULT);
        expect_span(recipients[1].result.text, SPAN("come back on Monday"));
        expect_span(client_outcome(c)->trouble.text, SPAN("come back on Monday"));
        assert_int_equal(client_outcome(c)->trouble.code, 421);
        assert_true(client_outcome(c)->is_host_trouble);
        client_lost(c, FAULT_CONNECTION_LOST); /* too late to matter */
        assert_int_equal(say(c, ""), CLIENT_WANT_CLOSE);
    }
    client_free(c);
}

static void begin_twice(void)
{
    struct client *c = client_new(&limits, "me.example");
    begin(c, 1, SPAN("c@d.example"));
    begin(c, 1, SPAN("c@d.example"));
}

static void begin_for_nobody(void)
{
    begin(client_new(&limits, "me.example"), 0, SPAN(""));
}

static void quit_under_way(void)
{
    struct client *c = ready_client("250-mx\r\n250 8BITMIME\r\n");
    begin(c, 1, SPAN("c@d.example"));
    client_quit(c);
}

static void lost_without_reason(void)
{
    client_lost(client_new(&limits, "me.example"), FAULT_NONE);
}

static void what_must_not_be_called_aborts(void **state)
{
    (void)state;
    expect_abort(begin_twice);
    expect_abort(begin_for_nobody);
    expect_abort(quit_under_way);
    expect_abort(lost_without_reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_recipients_go_in_windows),
        cmocka_unit_test(replies_wait_while_the_output_is_full),
        cmocka_unit_test(a_refused_mail_stops_the_rest),
        cmocka_unit_test(texts_of_refusals_are_bounded),
        cmocka_unit_test(a_path_is_as_long_as_an_address_may_be),
        cmocka_unit_test(the_longest_command_fits),
        cmocka_unit_test(each_phase_has_its_time),
        cmocka_unit_test(dripping_is_no_progress),
        cmocka_unit_test(the_reason_of_the_end_is_kept),
        cmocka_unit_test(what_must_not_be_called_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
