/* What becomes of a RCPT once the owner has said where its mail goes: addresses, originals and
 * wishes (RFC 3461). What is said to the client stands in tests/dialog. */
#include "expect.h"

#include "receive/session.h"

static const struct session_limits limits = {1000, 100, 50, 100};

static struct session *a_session(void)
{
    struct session *s = session_new(&limits, "mx.example");
    assert_non_null(s);
    session_greet(s);
    return s;
}

/* Up to the question who it is. */
static void say(struct session *s, const char *text)
{
    struct span rest = span_text(text), run;
    for (enum session_want want = SESSION_WANT_LOG; rest.len > 0 || want != SESSION_WANT_INPUT;) {
        size_t used;
        want = session_step(s, rest, &used, &run);
        rest = span_skip(rest, used);
        if (want == SESSION_WANT_RECIPIENT)
            return;
    }
}

struct expected {
    const char *path, *original;
    uint8_t notify;
};

static void expect_recipients(const struct session *s, const struct expected *expected,
                              uint32_t count)
{
    uint32_t got;
    const struct session_recipient *r = session_recipients(s, &got);
    assert_int_equal(got, count);
    for (uint32_t i = 0; i < count; i++, r = r->next) {
        assert_non_null(r);
        expect_span(r->path, span_text(expected[i].path));
        expect_span(r->original, span_text(expected[i].original));
        expect_span(r->orcpt, SPAN("rfc822;x@y"));
        assert_int_equal(r->notify, expected[i].notify);
    }
    assert_null(r);
}

static void each_address_keeps_what_was_said(void **state)
{
    (void)state;
    static const struct span none[1], itself[] = {SPAN("c@d")}, other[] = {SPAN("e@f")},
                                      two[] = {SPAN("c@d"), SPAN("e@f")};
    static const struct {
        const char *notify;
        const struct span *paths;
        uint32_t path_count;
        struct expected expected[3];
        uint32_t count;
    } rows[] = {
        {"SUCCESS", none, 0, {{"c@d", "", NOTIFY_SUCCESS}}, 1},
        {"SUCCESS", itself, 1, {{"c@d", "", NOTIFY_SUCCESS}}, 1},
        {"SUCCESS", other, 1, {{"e@f", "c@d", NOTIFY_SUCCESS}}, 1},
        {"DELAY", two, 2, {{"c@d", "", NOTIFY_DELAY}, {"e@f", "c@d", NOTIFY_DELAY}}, 2},
        {"NEVER", two, 2, {{"c@d", "", NOTIFY_NEVER}, {"e@f", "c@d", NOTIFY_NEVER}}, 2},
        {"SUCCESS",
         two,
         2,
         {{"c@d", "", NOTIFY_NEVER},
          {"e@f", "c@d", NOTIFY_NEVER},
          {"c@d", "", NOTIFY_SUCCESS | NOTIFY_EXPANDED}},
         3},
        {"FAILURE,SUCCESS",
         two,
         2,
         {{"c@d", "", NOTIFY_FAILURE},
          {"e@f", "c@d", NOTIFY_FAILURE},
          {"c@d", "", NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_EXPANDED}},
         3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[100];
        struct session *s = a_session();
        snprintf(line, sizeof line, "RCPT TO:<c@d> NOTIFY=%s ORCPT=rfc822;x@y\r\n", rows[i].notify);
        say(s, "EHLO x\r\nMAIL FROM:<a@b>\r\n");
        say(s, line);
        expect_span(session_asked(s)->path, SPAN("c@d"));
        session_recipient_resolved(s, FAULT_NONE, rows[i].paths, rows[i].path_count);
        expect_recipients(s, rows[i].expected, rows[i].count);
        session_free(s);
    }
}

/* The addresses that the owner gives are copied: as many as the envelope has room for. */
static void too_many_are_refused_together(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    static struct span paths[MANY];
    for (int i = 0; i < MANY; i++)
        paths[i] = SPAN("somebody@somewhere.example");
    struct session *s = a_session();
    say(s, "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d> ORCPT=rfc822;x@y\r\n");
    session_recipient_resolved(s, FAULT_NONE, paths, MANY);
    expect_recipients(s, NULL, 0);
    assert_int_equal(session_state(s), SESSION_MAIL);
    struct span said = buffer_span(session_output(s));
    assert_true(span_find(said, SPAN("\r\n452 4.3.1 "), 0) < said.len);
    session_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_keeps_what_was_said),
        cmocka_unit_test(too_many_are_refused_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
