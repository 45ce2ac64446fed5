#include "expect.h"

#include "deliver/smtp_result.h"

struct result_case {
    int code;
    const char *text;
    enum client_verdict verdict;
    enum fault fault;
    const char *status;
};

static const struct result_case cases[] = {
    {250, "ok", CLIENT_DELIVERED, FAULT_NONE, "2.0.0"},
    {250, "2.6.0 ok", CLIENT_DELIVERED, FAULT_NONE, "2.6.0"},
    {299, "", CLIENT_DELIVERED, FAULT_NONE, "2.0.0"},
    {200, "", CLIENT_DELIVERED, FAULT_NONE, "2.0.0"},
    {400, "", CLIENT_DEFERRED, FAULT_NONE, "4.0.0"},
    {450, "4.2.0 later", CLIENT_DEFERRED, FAULT_NONE, "4.2.0"},
    {499, "5.1.1", CLIENT_DEFERRED, FAULT_NONE, "4.0.0"},
    {500, "", CLIENT_FAILED, FAULT_NONE, "5.5.2"},
    {550, "5.1.1 no", CLIENT_FAILED, FAULT_NONE, "5.1.1"},
    {599, "4.1.1", CLIENT_FAILED, FAULT_NONE, "5.0.0"},
    /* no final replies */
    {0, "", CLIENT_DEFERRED, FAULT_PROTOCOL, "4.5.0"},
    {1, "5.1.1", CLIENT_DEFERRED, FAULT_PROTOCOL, "4.5.0"},
    {100, "", CLIENT_DEFERRED, FAULT_PROTOCOL, "4.5.0"},
    {199, "", CLIENT_DEFERRED, FAULT_PROTOCOL, "4.5.0"},
    {300, "", CLIENT_DEFERRED, FAULT_PROTOCOL, "4.5.0"},
    {354, "2.0.0 go", CLIENT_DEFERRED, FAULT_PROTOCOL, "4.5.0"},
    {399, "", CLIENT_DEFERRED, FAULT_PROTOCOL, "4.5.0"},
    {600, "", CLIENT_DEFERRED, FAULT_PROTOCOL, "4.5.0"},
    {999, "", CLIENT_DEFERRED, FAULT_PROTOCOL, "4.5.0"},
};

static void expect_status(struct status got, const char *expected)
{
    char text[STATUS_TEXT_MAX + 1];
    status_format(got, text);
    assert_string_equal(text, expected);
}

static void replies_decide_by_their_first_digit(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct result_case *c = &cases[i];
        struct reply reply = {.code = c->code, .text = span_text(c->text)};
        struct client_result r = client_result_of_reply(CLIENT_DOT, &reply);
        assert_int_equal(r.verdict, c->verdict);
        assert_int_equal(r.fault, c->fault);
        assert_int_equal(r.phase, CLIENT_DOT);
        assert_int_equal(r.code, c->code);
        expect_span(r.text, span_text(c->text));
        expect_status(r.status, c->status);
        assert_true(client_result_is_final(&r));
    }
}

static void nonsense_waits(void **state)
{
    (void)state;
    struct reply reply = {.code = 250, .text = SPAN("ok")};
    struct client_result r = client_result_of_nonsense(CLIENT_DATA, &reply);
    assert_int_equal(r.verdict, CLIENT_DEFERRED);
    assert_int_equal(r.fault, FAULT_PROTOCOL);
    assert_int_equal(r.code, 250);
    expect_status(r.status, "4.5.0");
}

static void deferring_keeps_the_rest(void **state)
{
    (void)state;
    struct reply reply = {.code = 552, .text = SPAN("5.5.3 too many")};
    struct client_result r = client_result_deferred(client_result_of_reply(CLIENT_RCPT, &reply));
    assert_int_equal(r.verdict, CLIENT_DEFERRED);
    assert_int_equal(r.code, 552);
    assert_int_equal(r.fault, FAULT_NONE);
    expect_status(r.status, "4.5.3");
}

static void only_three_verdicts_are_final(void **state)
{
    (void)state;
    struct client_result r = {.verdict = CLIENT_UNDECIDED};
    assert_false(client_result_is_final(&r));
    r.verdict = CLIENT_TAKEN;
    assert_false(client_result_is_final(&r));
    r = client_result_of_fault(CLIENT_MAIL, CLIENT_FAILED, FAULT_TOO_BIG);
    assert_true(client_result_is_final(&r));
    assert_int_equal(r.code, 0);
    assert_int_equal(r.text.len, 0);
    expect_status(r.status, "5.3.4");
}

static void every_phase_has_a_name(void **state)
{
    (void)state;
    for (int phase = CLIENT_GREETING; phase <= CLIENT_CLOSED; phase++)
        assert_true(strlen(client_phase_name((enum client_phase)phase)) > 0);
    assert_string_equal(client_phase_name(CLIENT_DOT), "final dot");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_decide_by_their_first_digit),
        cmocka_unit_test(nonsense_waits),
        cmocka_unit_test(deferring_keeps_the_rest),
        cmocka_unit_test(only_three_verdicts_are_final),
        cmocka_unit_test(every_phase_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
