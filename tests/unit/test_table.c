#include "tests/unit/expect.h"

#include <time.h>

#include "config/table.h"

#define ERRORS_MAX (64u * 1024)
#define MANY       100000

static enum fault load(enum table_kind kind, struct span text, uint32_t mode, struct buffer *errors,
                       struct table **table_out)
{
    struct config_file file = {.text = text, .mode = mode};
    buffer_init(errors, ERRORS_MAX);
    *table_out = NULL;
    enum fault fault = table_load(kind, &file, "f", errors, table_out);
    assert_int_equal(fault == FAULT_NONE, *table_out != NULL);
    assert_int_equal(fault == FAULT_NONE, errors->len == 0);
    return fault;
}

static struct table *good(enum table_kind kind, const char *text)
{
    struct buffer errors;
    struct table *t = NULL;
    if (load(kind, span_text(text), 0600, &errors, &t) != FAULT_NONE)
        print_span("refused", buffer_span(&errors));
    assert_non_null(t);
    buffer_fini(&errors);
    return t;
}

/* The first line of the errors is the expected one, and there are `count` of them. */
static void refused(enum table_kind kind, struct span text, uint32_t mode, const char *expected,
                    size_t count)
{
    struct buffer errors;
    struct table *t = NULL;
    struct span first;
    size_t lines = 0;
    assert_int_equal(load(kind, text, mode, &errors, &t), FAULT_SYNTAX);
    struct span all = buffer_span(&errors);
    (void)span_split(all, '\n', &first);
    expect_span(first, span_text(expected));
    for (struct span rest = all, line; rest.len > 0;) {
        rest = span_split(rest, '\n', &line);
        lines += span_starts_with(line, SPAN("f:")) ? 1 : 0;
    }
    assert_int_equal(lines, count);
    buffer_fini(&errors);
}

static void fields_of_users(void **state)
{
    (void)state;
    struct table *t = good(TABLE_USERS, "jane\n"
                                        "  Joe.Bloggs : {SHA512-CRYPT}$6$x$y \n"
                                        "ann:*:1000:100:/home/ann:500M\n"
                                        "bob::::/srv/mail/bob:7\n"
                                        "eve:::::2G\n"
                                        "\xc3\xa4\n");
    assert_int_equal(table_row_count(t), 6);
    const struct table_user *u = table_find_user(t, SPAN("JANE"));
    assert_non_null(u);
    expect_span(u->name, SPAN("jane"));
    assert_false(u->has_password || u->has_ids);
    assert_int_equal(u->quota_bytes, 0);
    u = table_find_user(t, SPAN("joe.bloggs"));
    assert_true(u->has_password && !u->has_ids && u->home.len == 0);
    u = table_find_user(t, SPAN("ann"));
    assert_true(u->has_ids && !u->has_password);
    assert_int_equal(u->uid, 1000);
    assert_int_equal(u->gid, 100);
    expect_span(u->home, SPAN("/home/ann"));
    assert_int_equal(u->quota_bytes, 500u * 1024 * 1024);
    u = table_find_user(t, SPAN("bob"));
    assert_false(u->has_ids);
    expect_span(u->home, SPAN("/srv/mail/bob"));
    assert_int_equal(u->quota_bytes, 7);
    assert_int_equal(table_find_user(t, SPAN("eve"))->quota_bytes, UINT64_C(2) << 30);
    assert_non_null(table_find_user(t, SPAN("\xc3\xa4")));
    assert_null(table_find_user(t, SPAN("jan")));
    assert_null(table_find_user(t, SPAN("")));
    assert_null(table_find_user(t, SPAN("jane\0")));
    char far_too_long[TABLE_NAME_MAX + 2];
    memset(far_too_long, 'x', sizeof far_too_long);
    assert_null(table_find_user(t, span_of(far_too_long, sizeof far_too_long)));
    table_release(t);
}

static void users_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {":x\n", "f:1:1: the name is missing"},
        {"ja ne\n", "f:1:1: a name is made of letters, digits and !#$%&'*+-=?^_`{|}~, with single "
                    "dots inside"},
        {"\n..\n", "f:2:1: a name is made of letters, digits and !#$%&'*+-=?^_`{|}~, with single "
                   "dots inside"},
        {"../../etc\n", "f:1:1: a name is made of letters, digits and !#$%&'*+-=?^_`{|}~, with "
                        "single dots inside"},
        {"a/b\n", "f:1:1: a name is made of letters, digits and !#$%&'*+-=?^_`{|}~, with single "
                  "dots inside"},
        {".a\n", "f:1:1: a name is made of letters, digits and !#$%&'*+-=?^_`{|}~, with single "
                 "dots inside"},
        {"\"a b\"\n", "f:1:1: a name is made of letters, digits and !#$%&'*+-=?^_`{|}~, with "
                      "single dots inside"},
        {"jane@example.org\n", "f:1:1: a user has no @: the domain is that of the block"},
        {"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg\n",
         "f:1:1: a name has at most 64 bytes (RFC 5321 4.5.3.1.1)"},
        {"jane:a b\n", "f:1:6: a password hash has neither blanks nor umlauts"},
        {"jane:x:1000\n", "f:1:8: uid, gid and home come together: name:hash:uid:gid:home"},
        {"jane:x:1000:100\n", "f:1:8: uid, gid and home come together: name:hash:uid:gid:home"},
        {"jane:x:0:100:/home/jane\n", "f:1:8: 0 is root's: no mail is delivered as root"},
        {"jane:x:1000:0:/home/jane\n", "f:1:13: 0 is root's: no mail is delivered as root"},
        {"jane:x:jane:100:/home/jane\n",
         "f:1:8: expected a number: uid and gid are written as numbers"},
        {"jane:x:-1:100:/home/jane\n",
         "f:1:8: expected a number: uid and gid are written as numbers"},
        {"jane:x:4294967295:100:/home/jane\n",
         "f:1:8: expected a number: uid and gid are written as numbers"},
        {"jane:x:1000::/home/jane\n",
         "f:1:13: expected a number: uid and gid are written as numbers"},
        {"jane:x:1000:100:\n",
         "f:1:17: expected a path that begins with / and has no . or .. in it"},
        {"jane:x:1000:100:home\n",
         "f:1:17: expected a path that begins with / and has no . or .. in it"},
        {"jane:x:1000:100:/home/../root\n",
         "f:1:17: expected a path that begins with / and has no . or .. in it"},
        {"jane:x:1000:100:/home/jane:lots\n",
         "f:1:28: expected a size such as 500M or 2G (units: K M G T)"},
        {"jane:x:1000:100:/home/jane:M\n",
         "f:1:28: expected a size such as 500M or 2G (units: K M G T)"},
        {"jane:x:1000:100:/home/jane:99999999999T\n",
         "f:1:28: expected a size such as 500M or 2G (units: K M G T)"},
        {"jane:x:1000:100:/home/jane:1:2\n",
         "f:1:30: there are more fields than name:hash:uid:gid:home:quota"},
        {"jane\njoe\nJANE\n", "f:3:1: 'jane' stands here a second time; the first is in line 1"},
        {"jane\x01\n", "f:1:5: a control character, or this is not UTF-8"},
        {"jane\n\xff\n", "f:2:1: a control character, or this is not UTF-8"},
        {"\xef\xbb\xbfjane\n", "f:1:1: a control character, or this is not UTF-8"},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        refused(TABLE_USERS, span_text(rows[i].text), 0600, rows[i].error, 1);
    refused(TABLE_USERS, SPAN("ja\0ne\n"), 0600, "f:1:3: a control character, or this is not UTF-8",
            1);
}

static void all_errors_at_once(void **state)
{
    (void)state;
    refused(TABLE_USERS, SPAN("a b\njane\njane\n:\nx:y:1\n"), 0666,
            "f:1:1: the file can be written by its group or by others; chmod go-w it first", 5);
    refused(TABLE_ALIASES, SPAN("a b\nc d\n e\n: f\n x\nroot:\n"), 0600,
            "f:1:3: 'a': a colon is missing behind the name", 4);
}

static void modes_matter(void **state)
{
    (void)state;
    struct buffer errors;
    struct table *t = NULL;
    assert_int_equal(load(TABLE_USERS, SPAN("jane\n"), 0644, &errors, &t), FAULT_NONE);
    table_release(t);
    buffer_fini(&errors);
    assert_int_equal(load(TABLE_USERS, SPAN("jane:x\n"), 0640, &errors, &t), FAULT_NONE);
    table_release(t);
    buffer_fini(&errors);
    assert_int_equal(load(TABLE_USERS, SPAN("jane:*:1:1:/h\n"), 0644, &errors, &t), FAULT_NONE);
    table_release(t);
    buffer_fini(&errors);
    refused(TABLE_USERS, SPAN("jane:x\n"), 0644,
            "f:1:1: password hashes stand in it, and others can read it; chmod o-r it first", 1);
    refused(TABLE_USERS, SPAN("jane\n"), 0620,
            "f:1:1: the file can be written by its group or by others; chmod go-w it first", 1);
    refused(TABLE_ALIASES, SPAN("a: b\n"), 0602,
            "f:1:1: the file can be written by its group or by others; chmod go-w it first", 1);
}

static void expect_targets(const struct table *t, const char *name, const char *const *targets,
                           size_t count)
{
    const struct table_alias *a = table_find_alias(t, span_text(name));
    assert_non_null(a);
    assert_int_equal(a->target_count, count);
    for (size_t i = 0; i < count; i++)
        expect_span(a->targets[i], span_text(targets[i]));
}

#define TARGETS(t, name, ...)                                       \
    expect_targets((t), (name), (const char *const[]){__VA_ARGS__}, \
                   sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void aliases_lead_to_addresses(void **state)
{
    (void)state;
    struct table *t = good(TABLE_ALIASES, "# aliases\n"
                                          "Root: jane\n"
                                          "staff :jane,joe@Example.ORG,\n"
                                          "   # in between\n"
                                          "\n"
                                          "\tann, # the last\r\n"
                                          "  \"j. r.\"@example.org\n"
                                          "Info@example.org: joe\n"
                                          "@example.net: all@example.org\n"
                                          "\"john doe\": john.doe\n"
                                          "\"a@b\"@example.org: ab,\n"
                                          "me: me, me@elsewhere.example\n");
    assert_int_equal(table_row_count(t), 7);
    TARGETS(t, "root", "jane");
    TARGETS(t, "STAFF", "jane", "joe@Example.ORG", "ann", "\"j. r.\"@example.org");
    TARGETS(t, "info@example.org", "joe");
    TARGETS(t, "@example.net", "all@example.org");
    TARGETS(t, "john doe", "john.doe");
    TARGETS(t, "a@b@example.org", "ab");
    TARGETS(t, "me", "me", "me@elsewhere.example");
    assert_null(table_find_alias(t, SPAN("info")));
    assert_null(table_find_alias(t, SPAN("")));
    struct table *other = table_retain(t);
    table_release(t);
    assert_non_null(table_find_alias(other, SPAN("root")));
    table_release(other);
    table_release(NULL);
}

static void aliases_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"root jane\n", "f:1:6: 'root': a colon is missing behind the name"},
        {"root\n", "f:1:5: 'root': a colon is missing behind the name"},
        {"root:\n", "f:1:1: 'root' has no address"},
        {"root: # jane\nb: c\n", "f:1:1: 'root' has no address"},
        {": jane\n", "f:1:1: '': the name is missing"},
        {"@: jane\n", "f:1:1: '@': after the @ there must be a domain such as example.org"},
        {"a@-: jane\n", "f:1:1: 'a@-': after the @ there must be a domain such as example.org"},
        {"\"\": jane\n",
         "f:1:1: '\"\"': a name without a domain must not be empty or have an @ in it"},
        {"\"a@b.example\": jane\n",
         "f:1:1: '\"a@b.example\"': a name without a domain must not be empty or have an @ in it"},
        {"\"a: jane\n", "f:1:9: '\"a: jane': a colon is missing behind the name"},
        {"\"a\"b: jane\n", "f:1:1: '\"a\"b': after the quoted part there must be an @"},
        {"a..b: jane\n", "f:1:1: 'a..b': this is no address"},
        {"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg: x\n",
         "f:1:1: 'aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff': before the @ "
         "there are at most 64 bytes (RFC 5321 4.5.3.1.1)"},
        {"  jane\n", "f:1:1: the line begins with a blank, but there is nothing to go on with"},
        {"root: jane joe\n", "f:1:12: 'joe': a comma is missing before it"},
        {"root: jane\n joe\n", "f:2:2: 'joe': a comma is missing before it"},
        {"root: , jane\n", "f:1:7: ',': there is no address before it"},
        {"root: jane,, joe\n", "f:1:12: ',': there is no address before it"},
        {"root: \"|/bin/cat\"\n", "f:1:7: '\"|/bin/cat\"': commands are not run from aliases; a "
                                  "domain's `deliver pipe:` does that"},
        {"root: |/bin/cat\n", "f:1:7: '|/bin/cat': commands are not run from aliases; a domain's "
                              "`deliver pipe:` does that"},
        {"root: /dev/null\n", "f:1:7: '/dev/null': mail is not written to files; a domain's "
                              "`deliver maildir:` does that"},
        {"root: :include:/etc/list\n", "f:1:7: ':include:/etc/list': other files are not included"},
        {"root: \\root\n", "f:1:7: '\\root': a name needs no backslash; an alias may name itself"},
        {"root: @example.org\n", "f:1:7: '@example.org': the name before the @ is missing"},
        {"root: jane@\n", "f:1:7: 'jane@': after the @ there must be a domain such as example.org"},
        {"root: jane@[192.0.2.1]\n",
         "f:1:7: 'jane@[192.0.2.1]': after the @ there must be a domain such as example.org"},
        {"root: a@b@c\n", "f:1:7: 'a@b@c': after the @ there must be a domain such as example.org"},
        {"root: <jane>\n", "f:1:7: '<jane>': this is no address"},
        {"root: \"jane\n", "f:1:7: '\"jane': the quote is not closed"},
        {"root: jane\nROOT: joe\n",
         "f:2:1: 'root' stands here a second time; the first is in line 1"},
        {"a: b\nb: c, a\n", "f:2:1: this leads back to 'a'"},
        {"a: b\nb: c\nc: d\nd: x, b\n", "f:4:1: this leads back to 'b'"},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        refused(TABLE_ALIASES, span_text(rows[i].text), 0600, rows[i].error, 1);
}

static void long_lines_and_lists_end(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, 1024 * 1024);
    buffer_put_text(&text, "a: b");
    while (text.len < TABLE_LINE_MAX)
        buffer_put_u8(&text, ' ');
    struct span line = buffer_span(&text);
    struct buffer errors;
    struct table *t = NULL;
    assert_int_equal(load(TABLE_ALIASES, line, 0600, &errors, &t), FAULT_NONE);
    table_release(t);
    buffer_fini(&errors);
    buffer_put_u8(&text, ' ');
    refused(TABLE_ALIASES, buffer_span(&text), 0600, "f:1:1: the line is longer than 65536 bytes",
            1);
    buffer_reset(&text);
    buffer_put_text(&text, "a: x");
    for (unsigned i = 1; i < TABLE_TARGETS_MAX; i++)
        buffer_printf(&text, ",\n u%u", i);
    assert_int_equal(load(TABLE_ALIASES, buffer_span(&text), 0600, &errors, &t), FAULT_NONE);
    assert_int_equal(table_find_alias(t, SPAN("a"))->target_count, TABLE_TARGETS_MAX);
    table_release(t);
    buffer_fini(&errors);
    buffer_put_text(&text, ",\n y\n");
    refused(TABLE_ALIASES, buffer_span(&text), 0600,
            "f:10001:2: 'y': an alias has at most 10000 addresses", 1);
    buffer_fini(&text);
}

/* A hundred thousand aliases in much less than a second; here with sanitizers, so that only
   something quadratic fails. */
static void many_rows_are_quick(void **state)
{
    (void)state;
    struct buffer text, errors;
    struct table *t = NULL;
    char name[32];
    buffer_init(&text, 16 * 1024 * 1024);
    for (unsigned i = 0; i < MANY; i++)
        assert_true(buffer_printf(&text, "alias%u: user%u, next%u@example.org\n", i, i, i));
    clock_t begin = clock();
    assert_int_equal(load(TABLE_ALIASES, buffer_span(&text), 0600, &errors, &t), FAULT_NONE);
    assert_int_equal(table_row_count(t), MANY);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "ALIAS%u", i);
        assert_non_null(table_find_alias(t, span_text(name)));
    }
    assert_true(clock() - begin < 3 * CLOCKS_PER_SEC);
    table_release(t);
    buffer_fini(&errors);
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_users),           cmocka_unit_test(users_that_are_refused),
        cmocka_unit_test(all_errors_at_once),        cmocka_unit_test(modes_matter),
        cmocka_unit_test(aliases_lead_to_addresses), cmocka_unit_test(aliases_that_are_refused),
        cmocka_unit_test(long_lines_and_lists_end),  cmocka_unit_test(many_rows_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
