#include "expect.h"

#include "base/check.h"

struct outer {
    int before;
    char inner;
};

static void fails(void)
{
    check(1 + 1 == 3);
}

static void a_false_condition_aborts(void **state)
{
    (void)state;
    expect_abort(fails);
}

static void a_true_condition_is_evaluated_once(void **state)
{
    (void)state;
    int count = 0;
    check(++count == 1);
    assert_int_equal(count, 1);
}

static void the_condition_is_named(void **state)
{
    (void)state;
    int ends[2], status;
    char text[256] = {0};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        signal(SIGABRT, SIG_DFL);
        fails();
        _exit(0);
    }
    close(ends[1]);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_non_null(strstr(text, "1 + 1 == 3"));
    assert_non_null(strstr(text, "test_check.c:"));
}

static void a_member_leads_to_its_object(void **state)
{
    (void)state;
    struct outer o = {1, 'x'};
    assert_ptr_equal(container_of(&o.inner, struct outer, inner), &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_false_condition_aborts),
        cmocka_unit_test(a_true_condition_is_evaluated_once),
        cmocka_unit_test(the_condition_is_named),
        cmocka_unit_test(a_member_leads_to_its_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
