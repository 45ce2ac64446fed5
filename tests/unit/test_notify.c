/* What a sender wants to be told, and how it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mail/notify.h"

static void nothing_said_asks_for_failures_and_delays(void **state)
{
    (void)state;
    assert_true(notify_wants(0, NOTIFY_FAILURE) && notify_wants(0, NOTIFY_DELAY));
    assert_false(notify_wants(0, NOTIFY_SUCCESS));
}

static void what_was_said_counts_alone(void **state)
{
    (void)state;
    assert_true(notify_wants(NOTIFY_SUCCESS, NOTIFY_SUCCESS));
    assert_false(notify_wants(NOTIFY_SUCCESS, NOTIFY_FAILURE));
    assert_false(notify_wants(NOTIFY_NEVER, NOTIFY_SUCCESS));
    assert_false(notify_wants(NOTIFY_NEVER, NOTIFY_FAILURE));
    assert_false(notify_wants(NOTIFY_NEVER, NOTIFY_DELAY));
}

static void sets_are_written_as_rcpt_says_them(void **state)
{
    static const struct {
        unsigned set;
        const char *text;
    } rows[] = {
        {0, ""},
        {NOTIFY_NEVER, "NEVER"},
        {NOTIFY_DELAY, "DELAY"},
        {NOTIFY_SUCCESS | NOTIFY_DELAY, "SUCCESS,DELAY"},
        {NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, "SUCCESS,FAILURE,DELAY"},
        {NOTIFY_NEVER | NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY,
         "NEVER,SUCCESS,FAILURE,DELAY"},
        {64, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[NOTIFY_TEXT_MAX];
        assert_true(span_equal(notify_text((uint8_t)rows[i].set, text), span_text(rows[i].text)));
    }
    assert_true(span_equal(notify_return_text(RETURN_UNSAID), SPAN("")));
    assert_true(span_equal(notify_return_text(RETURN_FULL), SPAN("FULL")));
    assert_true(span_equal(notify_return_text(RETURN_HEADERS), SPAN("HDRS")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_asks_for_failures_and_delays),
        cmocka_unit_test(what_was_said_counts_alone),
        cmocka_unit_test(sets_are_written_as_rcpt_says_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
