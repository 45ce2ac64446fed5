/* Who is meant by a RCPT: the session's question and its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "receive/addressee.h"

static const struct session_limits limits = {1000, 100, 50, 50};
static const struct delivery_target target = {.kind = DELIVERY_DISCARD};
static struct domain_settings first = {
    .name = "ours.example", .deliver = &target, .deliver_count = 1};
static struct domain_settings second = {
    .name = "other.example", .deliver = &target, .deliver_count = 1};
static struct domain_settings *domains[] = {&first, &second};

static struct settings *some_settings(void)
{
    struct settings *s = settings_default("mx.example");
    assert_non_null(s);
    s->domains = domains;
    s->domains_count = 2;
    return s;
}

static void give(struct session *s, const char *text)
{
    size_t used;
    struct span run;
    assert_int_equal(session_step(s, span_text(text), &used, &run), SESSION_WANT_INPUT);
    assert_int_equal(used, strlen(text));
}

/* In RESOLVING, with this RCPT. */
static struct session *asking(const char *path)
{
    size_t used;
    struct span run;
    char line[256];
    struct session *s = session_new(&limits, "mx.example");
    assert_non_null(s);
    session_greet(s);
    give(s, "HELO x\r\nMAIL FROM:<>\r\n");
    snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", path);
    assert_int_equal(session_step(s, span_text(line), &used, &run), SESSION_WANT_RECIPIENT);
    return s;
}

static struct endpoint endpoint(const char *ip)
{
    struct endpoint e;
    assert_true(endpoint_parse_ip(span_text(ip), &e));
    return e;
}

struct row {
    const char *path, *local;
    bool may_relay;
    const char *to, *original; /* NULL: it is refused; empty: `path` itself */
};

static const struct row rows[] = {
    {"c@ours.example", "192.0.2.1", false, "c@ours.example", ""},
    {"c@far.example", "192.0.2.1", true, "c@far.example", ""},
    {"c@far.example", "192.0.2.1", false, NULL, NULL},
    {"c@[192.0.2.1]", "192.0.2.1", false, "c@ours.example", "c@[192.0.2.1]"},
    {"postmaster@[192.0.2.1]", "192.0.2.1", false, "postmaster@ours.example",
     "postmaster@[192.0.2.1]"},
    {"\"x y\"@[192.0.2.1]", "192.0.2.1", false, "\"x y\"@ours.example", "\"x y\"@[192.0.2.1]"},
    {"c@[IPv6:2001:DB8::0:1]", "2001:db8::1", false, "c@ours.example", "c@[IPv6:2001:DB8::0:1]"},
    {"c@[192.0.2.2]", "192.0.2.1", false, NULL, NULL},
    {"c@[192.0.2.2]", "192.0.2.1", true, "c@[192.0.2.2]", ""},
    {"c@[192.0.2.1]", "2001:db8::1", false, NULL, NULL},
    {"c@[IPv6:2001:db8::1]", "192.0.2.1", false, NULL, NULL},
    {"c@[tag:content]", "192.0.2.1", false, NULL, NULL},
};

static void run_row(const struct row *row, const struct settings *settings)
{
    uint32_t count;
    struct session *s = asking(row->path);
    addressee_resolve(s, settings, endpoint(row->local), row->may_relay);
    const struct session_recipient *r = session_recipients(s, &count);
    if (row->to == NULL) {
        assert_int_equal(count, 0);
    } else {
        if (count != 1)
            fail_msg("%s: %u recipients", row->path, count);
        if (!span_equal(r->path, span_text(row->to)) ||
            !span_equal(r->original, span_text(row->original)))
            fail_msg("%s: %.*s for %.*s", row->path, SPAN_PRINT(r->path), SPAN_PRINT(r->original));
    }
    session_free(s);
}

static void our_own_literal_is_our_first_domain(void **state)
{
    (void)state;
    struct settings *settings = some_settings();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        run_row(&rows[i], settings);
    settings->domains_count = 0;
    settings_release(settings);
}

static void without_domains_a_literal_is_a_stranger(void **state)
{
    (void)state;
    static const struct row row = {"c@[192.0.2.1]", "192.0.2.1", false, NULL, NULL};
    struct settings *settings = settings_default("mx.example");
    run_row(&row, settings);
    run_row(&row, NULL);
    settings_release(settings);
}

/* To first.example with 500 bytes at most, and to second. The last reply. */
static const char *reply_to(const char *mail, const char *const *paths, size_t count,
                            const char *content)
{
    static char last[128];
    struct settings *settings = some_settings();
    struct session *s = session_new(&limits, "mx.example");
    enum session_want want = SESSION_WANT_INPUT;
    size_t used;
    struct span run;
    assert_non_null(s);
    session_greet(s);
    give(s, "EHLO x\r\n");
    give(s, mail);
    first.message_bytes_max = 500;
    for (size_t i = 0; i < count; i++) {
        char line[256];
        snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", paths[i]);
        assert_int_equal(session_step(s, span_text(line), &used, &run), SESSION_WANT_RECIPIENT);
        addressee_resolve(s, settings, endpoint("192.0.2.1"), false);
        want = session_step(s, (struct span){NULL, 0}, &used, &run);
    }
    if (content != NULL)
        give(s, "DATA\r\n");
    for (struct span rest = span_text(content == NULL ? "" : content);
         rest.len > 0 && want != SESSION_WANT_COMMIT; rest = span_skip(rest, used))
        want = session_step(s, rest, &used, &run);
    struct span all = buffer_span(session_output(s));
    size_t from = all.len - 2;
    while (from > 0 && all.data[from - 1] != '\n')
        from--;
    snprintf(last, sizeof last, "%.*s", SPAN_PRINT(span_sub(all, from, 9)));
    first.message_bytes_max = 0;
    session_free(s);
    settings_release(settings);
    return want == SESSION_WANT_COMMIT ? "commit" : last;
}

static void a_domain_takes_no_larger_messages(void **state)
{
    static const char *const both[] = {"a@other.example", "a@ours.example"};
    char content[600];
    (void)state;
    assert_string_equal(reply_to("MAIL FROM:<> SIZE=501\r\n", both, 1, NULL), "250 2.1.5");
    assert_string_equal(reply_to("MAIL FROM:<> SIZE=501\r\n", both, 2, NULL), "552 5.3.4");
    assert_string_equal(reply_to("MAIL FROM:<> SIZE=500\r\n", both, 2, NULL), "250 2.1.5");
    memset(content, 'x', sizeof content);
    snprintf(content + 498, sizeof content - 498, "\r\n.\r\n");
    assert_string_equal(reply_to("MAIL FROM:<>\r\n", both, 2, content), "commit");
    memset(content, 'x', sizeof content);
    snprintf(content + 499, sizeof content - 499, "\r\n.\r\n");
    assert_string_equal(reply_to("MAIL FROM:<>\r\n", both, 2, content), "552 5.3.4");
    assert_string_equal(reply_to("MAIL FROM:<>\r\n", both, 1, content), "commit");
    assert_string_equal(reply_to("MAIL FROM:<> SIZE=501\r\n", both, 2, content), "commit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_literal_is_our_first_domain),
        cmocka_unit_test(without_domains_a_literal_is_a_stranger),
        cmocka_unit_test(a_domain_takes_no_larger_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
