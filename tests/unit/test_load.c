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
        cmocka_unit_test(a_file_is_read_once),
        cmocka_unit_test(errors_of_all_files_are_told),
        cmocka_unit_test(without_files_nothing_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
