#include "tests/unit/table_files.h"

#include "config/table.h"

static const char two_domains[] = "hostname mx.test\n"
                                  "aliases file:/all\n"
                                  "domain a.test {\n"
                                  "  users file:/users\n"
                                  "  deliver maildir:/m/{user}\n"
                                  "}\n"
                                  "domain b.test {\n"
                                  "  users file:/users\n"
                                  "  aliases file:/b\n"
                                  "  deliver maildir:/m/{user}\n"
                                  "}\n";

static void a_file_is_read_once(void **state)
{
    (void)state;
    static const struct table_file files[] = {{"/users", "jane\n", 0},
                                              {"/all", "root: jane\n", 0},
                                              {"/b", "joe: jane\n", 0},
                                              {NULL, NULL, 0}};
    struct settings *s = table_files_settings(two_domains, files);
    assert_ptr_equal(s->domains[0]->users, s->domains[1]->users);
    assert_non_null(table_find_user(s->domains[0]->users, SPAN("jane")));
    assert_null(s->domains[0]->aliases);
    assert_non_null(table_find_alias(s->domains[1]->aliases, SPAN("joe")));
    assert_non_null(table_find_alias(s->aliases, SPAN("root")));
    settings_release(s);
}

static void expect_advice(const char *text, const char *users, const char *expected)
{
    const struct table_file files[] = {
        {"/users", users, 0}, {"/all", "root: jane\n", 0}, {NULL, NULL, 0}};
    struct buffer advice;
    struct settings *s = table_files_settings(text, files);
    buffer_init(&advice, 4096);
    assert_true(config_advice(s, &advice));
    bool is_there = span_find(buffer_span(&advice), span_text(expected), 0) < advice.len;
    if (expected[0] == '\0' ? advice.len > 0 : !is_there)
        fail_msg("%s: %.*s", text, SPAN_PRINT(buffer_span(&advice)));
    buffer_fini(&advice);
    settings_release(s);
}

#define A_TEST "hostname mx.test\ndomain a.test {\n users file:/users\n deliver "

static void what_nobody_means_is_told(void **state)
{
    (void)state;
    const char *all = "jane::1000:1000:/home/jane\npostmaster::1001:1001:/home/p\n";
    expect_advice(A_TEST "maildir:/m/{user}\n}\n", all, "");
    expect_advice(A_TEST "maildir:/m/{user}\n}\n", "jane::1:1:/home/jane\n",
                  "domain a.test: mail for postmaster");
    expect_advice(A_TEST "maildir:/m/{user}\n}\npostmaster jane@a.test\n", "jane::1:1:/home/jane\n",
                  "");
    expect_advice(A_TEST "maildir:/m/{user}\n postmaster j@b.test\n}\n", "jane::1:1:/home/jane\n",
                  "");
    expect_advice(A_TEST "maildir:/m/{user}\n}\n", "jane::1:1:/home/j\npostmaster\n",
                  "domain a.test: some users have no uid");
    expect_advice(A_TEST "maildir:/m/{user}\n}\nagent { user nobody }\n", "postmaster\n", "");
    expect_advice(A_TEST "lmtp:/run/x\n}\n", "postmaster\n", "");
    expect_advice("hostname mx.test\ndomain a.test { deliver smtp:b.test }\n", "", "");
    expect_advice("hostname mx.test\naliases file:/all\ndomain a.test { }\n", "",
                  "domain a.test: mail for postmaster");
}

static void expect_errors(const struct table_file *files, const char *expected)
{
    struct buffer errors;
    assert_null(table_files_try(two_domains, files, &errors));
    expect_span(buffer_span(&errors), span_text(expected));
    buffer_fini(&errors);
}

static void errors_of_all_files_are_told(void **state)
{
    (void)state;
    static const struct table_file damaged[] = {
        {"/users", "jane\njane\n", 0}, {"/all", "root\n", 0}, {NULL, NULL, 0}};
    expect_errors(damaged, "/all:1:5: 'root': a colon is missing behind the name\n"
                           "    root\n"
                           "        ^\n"
                           "/users:2:1: 'jane' stands here a second time; the first is in line 1\n"
                           "    jane\n"
                           "    ^\n"
                           "/b: the file of aliases cannot be read: not found\n");
    static const struct table_file open[] = {
        {"/users", "jane:x\n", 0644}, {"/all", "", 0}, {"/b", "", 0}, {NULL, NULL, 0}};
    expect_errors(open,
                  "/users:1:1: password hashes stand in it, and others can read it; chmod o-r it "
                  "first\n"
                  "    jane:x\n"
                  "    ^\n");
}

static void without_files_nothing_is_read(void **state)
{
    (void)state;
    static const struct table_file none[] = {{NULL, NULL, 0}};
    struct settings *s = table_files_settings("hostname mx.test\n", none);
    assert_null(s->aliases);
    settings_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_means_is_told),
        cmocka_unit_test(a_file_is_read_once),
        cmocka_unit_test(errors_of_all_files_are_told),
        cmocka_unit_test(without_files_nothing_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
