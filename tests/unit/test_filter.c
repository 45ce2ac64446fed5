/* filter: what is true of a recipient, what is wrong with a filter, and where. */
#include "transfer/filter.h"

#include <stdio.h>
#include <string.h>

#include "expect.h"

static struct filter_facts facts(void)
{
    struct filter_facts f = {.numbers = {[FILTER_SIZE] = 2048,
                                         [FILTER_AGE] = 3 * 3600 * 1000,
                                         [FILTER_DUE] = 0,
                                         [FILTER_ATTEMPTS] = 4}};
    f.texts[FILTER_SENDER] = SPAN("anna@client.example");
    f.texts[FILTER_RECIPIENT] = SPAN("Bob@Example.net");
    f.texts[FILTER_DOMAIN] = SPAN("example.net");
    f.texts[FILTER_SITE] = SPAN("mx.example.net:25");
    f.texts[FILTER_STATE] = SPAN("deferred");
    f.texts[FILTER_LAST] = SPAN("450 4.7.1 greylisted, try later");
    f.texts[FILTER_ID] = SPAN("01M7Q5DSFBE1ES26YGR4TMY1CF");
    return f;
}

static const struct {
    const char *text;
    bool is_true;
} rows[] = {
    {"domain=example.net", true},
    {"domain = example.net", true},
    {"domain=EXAMPLE.net", true},
    {"domain=example.com", false},
    {"domain!=example.com", true},
    {"DOMAIN=example.net", true},
    {"site ~ example.net", true},
    {"site=mx.example.net:25", true},
    {"site=example.net", true},
    {"site=mx.example.net", true},
    {"site=xample.net", false},
    {"site=net:25", false},
    {"site=\"\"", false},
    {"last ~ \"4.7\"", true},
    {"last ~ ^450", true},
    {"last ~ ^4.7", false},
    {"last !~ greylisted", false},
    {"recipient = bob@example.net", true},
    {"sender=\"\"", false},
    {"sender!=\"\"", true},
    {"state=deferred", true},
    {"id~^01M7", true},
    {"size=2K", true},
    {"size>2047", true},
    {"size>2048", false},
    {"size<=2k", true},
    {"size<1M", true},
    {"age>2h", true},
    {"age>=3h", true},
    {"age<3h", false},
    {"age>180m", false},
    {"age>=10800s", true},
    {"age<1d", true},
    {"due=0", true},
    {"due<1ms", true},
    {"attempts=4", true},
    {"attempts!=4", false},
    {"attempts>3 and attempts<5", true},
    {"site=mx.example.net:25 and last ~ \"4.7\" and age > 2h", true},
    {"not domain=example.net", false},
    {"not not domain=example.net", true},
    {"not (domain=example.net and attempts=5)", true},
    {"domain=a or domain=b or domain=example.net", true},
    {"domain=example.net or domain=b and domain=c", true}, /* and binds first */
    {"(domain=example.net or domain=b) and domain=c", false},
    {"((((attempts=4))))", true},
    {"last ~ \"try\" AND NOT state=held", true},
    {"sender=\"a\\\"b\"", false},
    {"last~\"greylisted, try\"", true},
};

static void answers(void **state)
{
    (void)state;
    struct filter_facts known = facts();
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct filter *f;
        struct filter_error e;
        if (filter_parse(span_text(rows[i].text), &f, &e) != FAULT_NONE)
            fail_msg("%s: %s at %zu", rows[i].text, e.why, e.at);
        if (filter_ask(f, &known) != (rows[i].is_true ? FILTER_YES : FILTER_NO))
            fail_msg("%s", rows[i].text);
        filter_free(f);
    }
}

static enum filter_answer ask_without_addresses(const char *text)
{
    struct filter_facts some = facts();
    struct filter *f;
    struct filter_error e;
    some.texts[FILTER_SENDER] = some.texts[FILTER_RECIPIENT] = (struct span){NULL, 0};
    assert_int_equal(filter_parse(span_text(text), &f, &e), FAULT_NONE);
    enum filter_answer answer = filter_ask(f, &some);
    filter_free(f);
    return answer;
}

static void what_is_not_known(void **state)
{
    (void)state;
    assert_int_equal(ask_without_addresses("sender=a"), FILTER_MAYBE);
    assert_int_equal(ask_without_addresses("not sender=a"), FILTER_MAYBE);
    assert_int_equal(ask_without_addresses("sender=a and attempts=4"), FILTER_MAYBE);
    assert_int_equal(ask_without_addresses("sender=a and attempts=5"), FILTER_NO);
    assert_int_equal(ask_without_addresses("recipient~a or attempts=4"), FILTER_YES);
    assert_int_equal(ask_without_addresses("not (recipient~a or attempts=4)"), FILTER_NO);
}

static const struct {
    const char *text;
    size_t at;
    const char *why;
    const char *suggested;
} wrong[] = {
    {"", 0, "a field is missing", NULL},
    {"   ", 3, "a field is missing", NULL},
    {"domian=a", 0, "no such field", "domain"},
    {"recipients=a", 0, "no such field", "recipient"},
    {"colour=blue", 0, "no such field", NULL},
    {"domain", 6, "operator", NULL},
    {"domain a", 7, "operator", NULL},
    {"domain==a", 7, "value", NULL},
    {"domain=", 7, "value", NULL},
    {"domain= and x", 12, "and", NULL},
    {"domain=\"a", 7, "quote", NULL},
    {"domain<a", 6, "texts", NULL},
    {"age~2h", 3, "numbers", NULL},
    {"age>2", 4, "duration", NULL},
    {"age>2x", 4, "duration", NULL},
    {"age>h", 4, "duration", NULL},
    {"age>-2h", 4, "duration", NULL},
    {"age>20", 4, "duration", NULL},
    {"age>9999999999h", 4, "duration", NULL},
    {"size>5T", 5, "size", NULL},
    {"size>5 M", 7, "and", NULL},
    {"attempts>2h", 9, "number", NULL},
    {"attempts=4and attempts=4", 9, "number", NULL},
    {"last~\"a(\"", 7, "groups", NULL},
    {"last~*", 5, "repeat", NULL},
    {"(domain=a", 9, ")", NULL},
    {"domain=a)", 8, "and", NULL},
    {"domain=a domain=b", 9, "and", NULL},
    {"domain=a and", 12, "field", NULL},
    {"and domain=a", 0, "no such field", "id"},
    {"not", 3, "field", NULL},
    {"state=hold", 6, "state", NULL},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(wrong); i++) {
        struct filter *f;
        struct filter_error e;
        if (filter_parse(span_text(wrong[i].text), &f, &e) == FAULT_NONE)
            fail_msg("\"%s\" is taken", wrong[i].text);
        if (strstr(e.why, wrong[i].why) == NULL || e.at != wrong[i].at)
            fail_msg("\"%s\": %s at %zu", wrong[i].text, e.why, e.at);
        if (wrong[i].suggested != NULL)
            assert_string_equal(e.suggested, wrong[i].suggested);
    }
}

/* `count` times the text, joined. */
static bool takes(const char *before, const char *text, const char *after, size_t count)
{
    static char all[40000];
    struct filter *f;
    struct filter_error e;
    all[0] = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(all, before);
    strcat(all, text);
    for (size_t i = 0; i < count; i++)
        strcat(all, after);
    bool ok = filter_parse(span_text(all), &f, &e) == FAULT_NONE;
    if (ok)
        filter_free(f);
    return ok;
}

static void at_the_limits(void **state)
{
    (void)state;
    assert_true(takes("(", "due=0", ")", FILTER_DEPTH_MAX));
    assert_false(takes("(", "due=0", ")", FILTER_DEPTH_MAX + 1));
    assert_true(takes("not ", "due=0", "", FILTER_DEPTH_MAX));
    assert_false(takes("not ", "due=0", "", FILTER_DEPTH_MAX + 1));
    assert_true(takes("", "due=0", " or due=0", FILTER_TESTS_MAX - 1));
    assert_false(takes("", "due=0", " or due=0", FILTER_TESTS_MAX));
    assert_true(takes(" ", "due=0", "", FILTER_TEXT_MAX - 5));
    assert_false(takes(" ", "due=0", "", FILTER_TEXT_MAX - 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(what_is_not_known),
        cmocka_unit_test(refused),
        cmocka_unit_test(at_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
