#include "agent/template.h"

#include "expect.h"

static struct template_values values(const char *user, const char *domain)
{
    return (struct template_values){.user = span_text(user),
                                    .domain = span_text(domain),
                                    .sender = SPAN("bob@example.net"),
                                    .home = SPAN("/home/ann")};
}

static void fills_paths(void **state)
{
    (void)state;
    static const struct {
        const char *text, *user, *domain;
        enum fault fault;
        const char *path;
        uint32_t base;
    } cases[] = {
        {"/var/mail/{domain}/{user}", "ann", "b.c", FAULT_NONE, "/var/mail/b.c/ann", 10},
        {"/m/{user}", "ann+x'\\ y", "b", FAULT_NONE, "/m/ann+x'\\ y", 3},
        {"/m/u-{user}/Maildir", "ann", "b", FAULT_NONE, "/m/u-ann/Maildir", 3},
        {"{home}/Maildir", "ann", "b", FAULT_NONE, "/home/ann/Maildir", 10},
        {"{home}/{user}", "ann", "b", FAULT_NONE, "/home/ann/ann", 10},
        {"/m/{user}", "", "b", FAULT_DENIED, NULL, 0},
        {"/m/{user}", ".", "b", FAULT_DENIED, NULL, 0},
        {"/m/{user}", "..", "b", FAULT_DENIED, NULL, 0},
        {"/m/{user}", ".ann", "b", FAULT_DENIED, NULL, 0},
        {"/m/{user}", "a/b", "b", FAULT_DENIED, NULL, 0},
        {"/m/{user}", "/", "b", FAULT_DENIED, NULL, 0},
        {"/m/{user}", "a\nb", "b", FAULT_DENIED, NULL, 0},
        {"/m/{user}", "a\x7f", "b", FAULT_DENIED, NULL, 0},
        {"/m/{domain}/x", "ann", "../../etc", FAULT_DENIED, NULL, 0},
        {"/m/{home}/x", "ann", "b", FAULT_DENIED, NULL, 0},
        {"/m/{nobody}", "ann", "b", FAULT_SYNTAX, NULL, 0},
        {"/m/{user", "ann", "b", FAULT_SYNTAX, NULL, 0},
        {"m/{user}", "ann", "b", FAULT_SYNTAX, NULL, 0},
        {"{user}", "ann", "b", FAULT_SYNTAX, NULL, 0},
        {"{home}", "ann", "b", FAULT_NONE, "/home/ann", 0},
        {"", "ann", "b", FAULT_SYNTAX, NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena;
        struct span path;
        uint32_t base;
        struct template_values v = values(cases[i].user, cases[i].domain);
        arena_init(&arena, 10000);
        enum fault fault = template_path(span_text(cases[i].text), &v, &arena, &path, &base);
        if (cases[i].base == 0 && cases[i].path != NULL)
            assert_int_equal(fault, FAULT_SYNTAX); /* a home is no mailbox */
        else
            assert_int_equal(fault, cases[i].fault);
        if (fault == FAULT_NONE) {
            assert_true(span_equal(path, span_text(cases[i].path)));
            assert_int_equal(base, cases[i].base);
        }
        arena_fini(&arena);
    }
}

static void believes_no_home(void **state)
{
    (void)state;
    static const char *homes[] = {"", "/", "home", "/home/../etc", "/home/./x", "/.x", "/a\nb"};
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) {
        struct arena arena;
        struct span path;
        uint32_t base;
        struct template_values v = values("ann", "b");
        v.home = span_text(homes[i]);
        arena_init(&arena, 10000);
        assert_int_equal(template_path(SPAN("{home}/Maildir"), &v, &arena, &path, &base),
                         FAULT_DENIED);
        arena_fini(&arena);
    }
}

static void holds_lengths(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'x', sizeof name);
    assert_true(template_is_component(span_of(name, 255)));
    assert_false(template_is_component(span_of(name, 256)));
    assert_false(template_is_component(span_of("a\0b", 3)));
}

/* A blank or a quote in a value never makes two arguments of one. */
static void fills_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *text, *user;
        enum fault fault;
        struct span arguments;
    } cases[] = {
        {"/bin/x", "ann", FAULT_NONE, SPAN("/bin/x\0")},
        {"/bin/x  -f {sender}  -d {user} ", "ann", FAULT_NONE,
         SPAN("/bin/x\0-f\0bob@example.net\0-d\0ann\0")},
        {"/bin/x u={user}@{domain}", "a b;`c`\"$d", FAULT_NONE, SPAN("/bin/x\0u=a b;`c`\"$d@b\0")},
        {"/bin/x {user}", "", FAULT_NONE, SPAN("/bin/x\0\0")},
        {"/bin/x {user}", "-rf", FAULT_DENIED, SPAN("")},
        {"/bin/x -d{user}", "-rf", FAULT_NONE, SPAN("/bin/x\0-d-rf\0")},
        {"/bin/x {user}", "a\nb", FAULT_DENIED, SPAN("")},
        {"/bin/x {what}", "ann", FAULT_SYNTAX, SPAN("")},
        {"x {user}", "ann", FAULT_SYNTAX, SPAN("")},
        {"", "ann", FAULT_SYNTAX, SPAN("")},
        {"   ", "ann", FAULT_SYNTAX, SPAN("")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena;
        struct span arguments;
        struct template_values v = values(cases[i].user, "b");
        arena_init(&arena, 10000);
        assert_int_equal(template_arguments(span_text(cases[i].text), &v, &arena, &arguments),
                         cases[i].fault);
        if (cases[i].fault == FAULT_NONE)
            assert_true(span_equal(arguments, cases[i].arguments));
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_paths),
        cmocka_unit_test(believes_no_home),
        cmocka_unit_test(holds_lengths),
        cmocka_unit_test(fills_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
