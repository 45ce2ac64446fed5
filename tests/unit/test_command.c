#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/command.h"

struct good {
    const char *line;
    enum command_verb verb;
    const char *argument;
    uint64_t size;
    enum body_type body;
    bool last;
};

static const struct good goods[] = {
    {"EHLO mx.example", COMMAND_EHLO, "mx.example", 0, BODY_7BIT, false},
    {"ehlo [IPv6:::1]", COMMAND_EHLO, "[IPv6:::1]", 0, BODY_7BIT, false},
    {"HELO a_b ", COMMAND_HELO, "a_b", 0, BODY_7BIT, false},
    {"MAIL FROM:<a@b>", COMMAND_MAIL, "a@b", 0, BODY_7BIT, false},
    {"mail from:<>", COMMAND_MAIL, "", 0, BODY_7BIT, false},
    {"MAIL FROM:<a@b> SIZE=12 BODY=8bitmime", COMMAND_MAIL, "a@b", 12, BODY_8BITMIME, false},
    {"MAIL FROM:<a@b> BODY=7BIT  ", COMMAND_MAIL, "a@b", 0, BODY_7BIT, false},
    {"MAIL FROM:<\"a> b\\\"\"@b>", COMMAND_MAIL, "\"a> b\\\"\"@b", 0, BODY_7BIT, false},
    {"RCPT TO:<c@d>", COMMAND_RCPT, "c@d", 0, BODY_7BIT, false},
    {"DATA", COMMAND_DATA, "", 0, BODY_7BIT, false},
    {"DATA  ", COMMAND_DATA, "", 0, BODY_7BIT, false},
    {"BDAT 0 LAST", COMMAND_BDAT, "", 0, BODY_7BIT, true},
    {"bdat 1000000", COMMAND_BDAT, "", 1000000, BODY_7BIT, false},
    {"NOOP", COMMAND_NOOP, "", 0, BODY_7BIT, false},
    {"NOOP anything at all", COMMAND_NOOP, "anything at all", 0, BODY_7BIT, false},
    {"RSET", COMMAND_RSET, "", 0, BODY_7BIT, false},
    {"QUIT", COMMAND_QUIT, "", 0, BODY_7BIT, false},
    {"LHLO x", COMMAND_LHLO, "x", 0, BODY_7BIT, false},
    {"VRFY c", COMMAND_VRFY, "c", 0, BODY_7BIT, false},
    {"VRFY c@d SMTPUTF8", COMMAND_VRFY, "c@d", 0, BODY_7BIT, false},
    {"EXPN list", COMMAND_EXPN, "list", 0, BODY_7BIT, false},
};

/* What is asked for by parameters. */
static const struct {
    const char *line;
    enum notify_return ret;
    const char *envid;
    uint8_t notify;
    const char *orcpt;
    bool smtputf8;
} wishes[] = {
    {"MAIL FROM:<> RET=FULL", RETURN_FULL, "", 0, "", false},
    {"MAIL FROM:<> ret=hdrs ENVID=QQ+2B314159", RETURN_HEADERS, "QQ+2B314159", 0, "", false},
    {"MAIL FROM:<> SMTPUTF8 BODY=8BITMIME", RETURN_UNSAID, "", 0, "", true},
    {"RCPT TO:<a@b> NOTIFY=NEVER", RETURN_UNSAID, "", NOTIFY_NEVER, "", false},
    {"RCPT TO:<a@b> notify=success,Failure,DELAY", RETURN_UNSAID, "",
     NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, "", false},
    {"RCPT TO:<a@b> ORCPT=rfc822;a+2Bb@c NOTIFY=DELAY", RETURN_UNSAID, "", NOTIFY_DELAY,
     "rfc822;a+2Bb@c", false},
    {"RCPT TO:<a@b> ORCPT=utf-8;\xc3\xa9@c", RETURN_UNSAID, "", 0, "utf-8;\xc3\xa9@c", false},
    {"RCPT TO:<a@b> ORCPT=UTF-8;\\x{E9}\\x{5C}@c", RETURN_UNSAID, "", 0, "UTF-8;\\x{E9}\\x{5C}@c",
     false},
    {"VRFY c SMTPUTF8", RETURN_UNSAID, "", 0, "", true},
};

struct bad {
    const char *line;
    int code;
    const char *enhanced;
};

static const struct bad bads[] = {
    {"", 500, "5.5.1"},
    {" EHLO x", 500, "5.5.1"},
    {"EHLOx", 500, "5.5.1"},
    {"XYZZY", 500, "5.5.1"},
    {"GET / HTTP/1.1", 500, "5.5.1"},
    {"EHLO", 501, "5.5.4"},
    {"EHLO a b", 501, "5.5.4"},
    {"EHLO \xc3\xa9", 501, "5.5.4"},
    {"EHLO a\rb", 500, "5.5.2"},
    {"NOOP\nMAIL FROM:<a@b>", 500, "5.5.2"},
    {"NOOP \x7f", 500, "5.5.2"},
    {"NOOP\tx", 500, "5.5.2"},
    {"MAIL", 501, "5.5.4"},
    {"MAIL a@b", 501, "5.5.4"},
    {"MAIL TO:<a@b>", 501, "5.5.4"},
    {"MAIL FROM: <a@b>", 501, "5.5.4"},
    {"MAIL FROM:a@b", 501, "5.5.4"},
    {"MAIL FROM:<a@b", 501, "5.5.4"},
    {"MAIL FROM:<\"a>@b", 501, "5.5.4"},
    {"MAIL FROM:<a@b>SIZE=1", 501, "5.5.4"},
    {"MAIL FROM:<a@b>  SIZE=1", 501, "5.5.4"},
    {"MAIL FROM:<a@b> SIZE=", 501, "5.5.4"},
    {"MAIL FROM:<a@b> SIZE", 501, "5.5.4"},
    {"MAIL FROM:<a@b> SIZE=-1", 501, "5.5.4"},
    {"MAIL FROM:<a@b> SIZE=1x", 501, "5.5.4"},
    {"MAIL FROM:<a@b> SIZE=99999999999999999999", 501, "5.5.4"},
    {"MAIL FROM:<a@b> SIZE=1 SIZE=2", 501, "5.5.4"},
    {"MAIL FROM:<a@b> BODY=BINARYMIME", 501, "5.5.4"},
    {"MAIL FROM:<a@b> RET=BODY", 501, "5.5.4"},
    {"MAIL FROM:<a@b> RET", 501, "5.5.4"},
    {"MAIL FROM:<a@b> RET=FULL RET=HDRS", 501, "5.5.4"},
    {"MAIL FROM:<a@b> ENVID=", 501, "5.5.4"},
    {"MAIL FROM:<a@b> ENVID=a ENVID=a", 501, "5.5.4"},
    {"MAIL FROM:<a@b> ENVID=a=b", 501, "5.5.4"},
    {"MAIL FROM:<a@b> ENVID=a+", 501, "5.5.4"},
    {"MAIL FROM:<a@b> ENVID=a+2", 501, "5.5.4"},
    {"MAIL FROM:<a@b> ENVID=a+2b", 501, "5.5.4"},
    {"MAIL FROM:<a@b> ENVID=a+0D", 501, "5.5.4"},
    {"MAIL FROM:<a@b> ENVID=a+7F", 501, "5.5.4"},
    {"MAIL FROM:<a@b> ENVID=a+C3", 501, "5.5.4"},
    {"MAIL FROM:<a@b> ENVID=\xc3\xa9", 501, "5.5.4"},
    {"MAIL FROM:<a@b> SMTPUTF8=", 501, "5.5.4"},
    {"MAIL FROM:<a@b> SMTPUTF8 SMTPUTF8", 501, "5.5.4"},
    {"MAIL FROM:<a@b> NOTIFY=NEVER", 555, "5.5.4"},
    {"RCPT TO:<a@b> RET=FULL", 555, "5.5.4"},
    {"RCPT TO:<a@b> SMTPUTF8", 555, "5.5.4"},
    {"RCPT TO:<a@b> NOTIFY", 501, "5.5.4"},
    {"RCPT TO:<a@b> NOTIFY=", 501, "5.5.4"},
    {"RCPT TO:<a@b> NOTIFY=NEVER,DELAY", 501, "5.5.4"},
    {"RCPT TO:<a@b> NOTIFY=DELAY,", 501, "5.5.4"},
    {"RCPT TO:<a@b> NOTIFY=,DELAY", 501, "5.5.4"},
    {"RCPT TO:<a@b> NOTIFY=DELAY,DELAY", 501, "5.5.4"},
    {"RCPT TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY", 501, "5.5.4"},
    {"RCPT TO:<a@b> NOTIFY=ALWAYS", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=a@b", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=;a@b", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=rfc822;", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=rfc 822;a", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=rfc_822;a", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=rfc822;\xc3\xa9@b", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=rfc822;a ORCPT=rfc822;a", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=utf-8;\xff@b", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=utf-8;a\\b", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=utf-8;\\x{}", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=utf-8;\\x{E9", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=utf-8;\\x{1234567}", 501, "5.5.4"},
    {"RCPT TO:<a@b> ORCPT=utf-8;a+2B", 501, "5.5.4"},
    {"VRFY", 501, "5.5.4"},
    {"EXPN ", 501, "5.5.4"},
    {"LHLO", 501, "5.5.4"},
    {"RCPT TO:<a@b> SIZE=1", 555, "5.5.4"},
    {"RCPT FROM:<a@b>", 501, "5.5.4"},
    {"DATA x", 501, "5.5.4"},
    {"RSET x", 501, "5.5.4"},
    {"QUIT now", 501, "5.5.4"},
    {"BDAT", 501, "5.5.4"},
    {"BDAT x", 501, "5.5.4"},
    {"BDAT -1", 501, "5.5.4"},
    {"BDAT 1 FIRST", 501, "5.5.4"},
    {"BDAT 1 LAST x", 501, "5.5.4"},
    {"BDAT 18446744073709551616", 501, "5.5.4"},
};

static void what_the_grammar_allows_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        const struct good *g = &goods[i];
        struct command c;
        struct refusal no = {0};
        if (!command_parse(span_text(g->line), &c, &no))
            fail_msg("%s: %s", g->line, no.text);
        assert_int_equal(c.verb, g->verb);
        assert_true(span_equal(c.argument, span_text(g->argument)));
        assert_true(c.size == g->size && c.body == g->body && c.last == g->last);
    }
}

static void all_else_is_refused_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct command c;
        struct refusal no = {0};
        if (command_parse(span_text(bads[i].line), &c, &no))
            fail_msg("accepted: %s", bads[i].line);
        if (no.code != bads[i].code)
            fail_msg("%s: %d, not %d", bads[i].line, no.code, bads[i].code);
        assert_string_equal(no.enhanced, bads[i].enhanced);
    }
}

static void what_is_asked_for_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
        struct command c;
        struct refusal no = {0};
        if (!command_parse(span_text(wishes[i].line), &c, &no))
            fail_msg("%s: %s", wishes[i].line, no.text);
        assert_int_equal(c.ret, wishes[i].ret);
        assert_int_equal(c.notify, wishes[i].notify);
        assert_int_equal(c.smtputf8, wishes[i].smtputf8);
        assert_true(span_equal(c.envid, span_text(wishes[i].envid)));
        assert_true(span_equal(c.orcpt, span_text(wishes[i].orcpt)));
    }
}

static bool takes(const char *before, size_t len)
{
    char line[1024];
    struct command c;
    struct refusal no;
    int start = snprintf(line, sizeof line, "%s", before);
    memset(line + start, 'a', len);
    return command_parse(span_of(line, (size_t)start + len), &c, &no);
}

static void envid_and_orcpt_have_limits(void **state)
{
    (void)state;
    assert_true(takes("MAIL FROM:<a@b> ENVID=", 100));
    assert_false(takes("MAIL FROM:<a@b> ENVID=", 101));
    assert_true(takes("RCPT TO:<a@b> ORCPT=rfc822;", 493));
    assert_false(takes("RCPT TO:<a@b> ORCPT=rfc822;", 494));
}

static void a_name_may_have_255_octets(void **state)
{
    (void)state;
    for (size_t len = 254; len <= 256; len++) {
        char line[300] = "EHLO ";
        struct command c;
        struct refusal no;
        memset(line + 5, 'a', len);
        assert_int_equal(command_parse(span_of(line, 5 + len), &c, &no), len <= 255);
    }
}

static void a_nul_is_refused(void **state)
{
    (void)state;
    struct command c;
    struct refusal no;
    assert_false(command_parse(SPAN("NOOP \0"), &c, &no));
    assert_int_equal(no.code, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_grammar_allows_is_read),
        cmocka_unit_test(all_else_is_refused_with_its_reason),
        cmocka_unit_test(what_is_asked_for_is_read),
        cmocka_unit_test(envid_and_orcpt_have_limits),
        cmocka_unit_test(a_name_may_have_255_octets),
        cmocka_unit_test(a_nul_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
