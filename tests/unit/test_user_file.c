/* user_file: one row changes, all else stays. */
#include "expect.h"

#include "cli/user_file.h"

#define FILE_TEXT                   \
    "# users\n"                     \
    "anna:$y$x:1000:1000:/home/a\n" \
    "  bob   # no password\n"       \
    "\n"                            \
    "carl:$y$c # a comment\r\n"     \
    "dora:"

static void check_change(enum fault fault, const struct buffer *out, enum fault expected,
                         const char *text)
{
    assert_int_equal(fault, expected);
    expect_span(buffer_span(out), span_text(text));
}

static void changes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *hash, *text;
    } rows[] = {
        {"anna", "$y$n",
         "# users\nanna:$y$n:1000:1000:/home/a\n  bob   # no password\n\n"
         "carl:$y$c # a comment\r\ndora:"},
        {"BOB", "$y$n",
         "# users\nanna:$y$x:1000:1000:/home/a\n  bob:$y$n   # no password\n\n"
         "carl:$y$c # a comment\r\ndora:"},
        {"carl", "$y$n",
         "# users\nanna:$y$x:1000:1000:/home/a\n  bob   # no password\n\n"
         "carl:$y$n # a comment\r\ndora:"},
        {"dora", "$y$n",
         "# users\nanna:$y$x:1000:1000:/home/a\n  bob   # no password\n\n"
         "carl:$y$c # a comment\r\ndora:$y$n"},
    };
    struct buffer out;
    buffer_init(&out, 4096);
    for (size_t i = 0; i < ROWS(rows); i++) {
        buffer_reset(&out);
        enum fault fault =
            user_file_set(SPAN(FILE_TEXT), span_text(rows[i].name), span_text(rows[i].hash), &out);
        check_change(fault, &out, FAULT_NONE, rows[i].text);
    }
    buffer_fini(&out);
}

static void adding_and_removing(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 4096);
    check_change(user_file_add(SPAN(FILE_TEXT), SPAN("emil"), SPAN("$y$e"), &out), &out, FAULT_NONE,
                 FILE_TEXT "\nemil:$y$e\n");
    buffer_reset(&out);
    check_change(user_file_add(SPAN(""), SPAN("emil"), SPAN(""), &out), &out, FAULT_NONE, "emil\n");
    buffer_reset(&out);
    check_change(user_file_remove(SPAN("a\nb:x\nc"), SPAN("b"), &out), &out, FAULT_NONE, "a\nc");
    buffer_reset(&out);
    check_change(user_file_remove(SPAN("a\nb:x\nc"), SPAN("c"), &out), &out, FAULT_NONE,
                 "a\nb:x\n");
    buffer_fini(&out);
}

static void refused(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 20);
    assert_int_equal(user_file_add(SPAN(FILE_TEXT), SPAN("Anna"), SPAN(""), &out), FAULT_EXISTS);
    assert_int_equal(user_file_set(SPAN(FILE_TEXT), SPAN("ann"), SPAN(""), &out), FAULT_NOT_FOUND);
    assert_int_equal(user_file_set(SPAN(FILE_TEXT), SPAN("annas"), SPAN(""), &out),
                     FAULT_NOT_FOUND);
    assert_int_equal(user_file_set(SPAN(FILE_TEXT), SPAN("#"), SPAN(""), &out), FAULT_NOT_FOUND);
    assert_int_equal(user_file_remove(SPAN(FILE_TEXT), SPAN("users"), &out), FAULT_NOT_FOUND);
    assert_int_equal(out.len, 0);
    assert_int_equal(user_file_remove(SPAN(FILE_TEXT), SPAN("anna"), &out), FAULT_NO_MEMORY);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes),
        cmocka_unit_test(adding_and_removing),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
