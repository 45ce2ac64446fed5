#include "tests/unit/table_files.h"

#include "route/recipient.h"

#define ARENA_MAX (16u * 1024 * 1024)
#define CONFIG                                                                                \
    "hostname mx.test\n"                                                                      \
    "relay { from 127.0.0.0/8 }\n"                                                            \
    "aliases file:/all\n"                                                                     \
    "domain a.test { users file:/users  aliases file:/aliases  deliver maildir:/m/{user} }\n" \
    "domain caught.test { users file:/users  deliver lmtp:/s  catch-all jane@a.test }\n"      \
    "domain plain.test { users file:/users  deliver discard  subaddress \"\"\n"               \
    "  postmaster ops@else.example }\n"                                                       \
    "domain relayed.test { deliver smtp:192.0.2.1 }\n"                                        \
    "domain xn--bcher-kva.test { deliver smtp:192.0.2.1 }\n"                                  \
    "domain virtual.test { aliases file:/virtual }\n"                                         \
    "domain void.test { users file:/users  deliver discard  catch-all nobody@void.test }\n"

static const struct table_file files[] = {
    {"/all", "abuse: jane@a.test\nabuse@plain.test: plain@else.example\n", 0},
    {"/users", "jane\nJoe\nj+oe\nmimi\n", 0},
    {"/aliases",
     "staff: jane, joe, ann@else.example\n"
     "nested: staff, jane, Staff\n"
     "me: mimi\n"
     "mimi: mimi, mimi@else.example\n"
     "twice: jane, JANE@A.TEST, jane+x, x@else.example, X@else.example, x@ELSE.example\n"
     "far: far@virtual.test\n"
     "round: round@virtual.test\n"
     "dead: nobody-here, jane\n"
     "\"john doe\": jane\n"
     "odd: \"j d\", \"j d\"@else.example\n"
     "quotes: \"jane\", \"x.y\"@else.example, x.y@else.example\n"
     "info+x: joe\n"
     "self: self\n",
     0},
    {"/virtual",
     "far: jane@a.test\n"
     "round: around@virtual.test\n"
     "around: round@a.test\n"
     "@virtual.test: rest@else.example\n"
     "\"a@b\"@virtual.test: quoted@else.example\n",
     0},
    {NULL, NULL, 0}};

struct row {
    const char *address;
    enum fault fault;
    const char *paths; /* joined by blanks; "": to the address itself */
};

static enum fault resolve(const struct settings *s, const char *text, bool may_relay,
                          struct buffer *paths_out)
{
    struct arena arena;
    struct address a;
    struct recipient_result result;
    struct recipient_client client = {.may_relay = may_relay};
    arena_init(&arena, ARENA_MAX);
    assert_int_equal(
        address_parse(span_text(text), ADDRESS_POSTMASTER_OK | ADDRESS_UTF8_OK, &arena, &a),
        FAULT_NONE);
    enum fault fault = recipient_resolve(s, &a, &client, &arena, &result);
    for (uint32_t i = 0; i < result.path_count; i++) {
        if (i > 0)
            buffer_put_u8(paths_out, ' ');
        buffer_put(paths_out, result.paths[i]);
    }
    arena_fini(&arena);
    return fault;
}

static void expect_rows(const struct settings *s, const struct row *rows, size_t count,
                        bool may_relay)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer paths;
        buffer_init(&paths, ARENA_MAX);
        enum fault fault = resolve(s, rows[i].address, may_relay, &paths);
        if (fault != rows[i].fault)
            print_error("%s\n", rows[i].address);
        assert_int_equal(fault, rows[i].fault);
        expect_span(buffer_span(&paths), span_text(rows[i].paths));
        buffer_fini(&paths);
    }
}

static void who_is_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"nobody@a.test", FAULT_NO_USER, ""},
        {"jan@a.test", FAULT_NO_USER, ""},
        {"janet@a.test", FAULT_NO_USER, ""},
        {"+x@a.test", FAULT_NO_USER, ""},
        {"nobody+jane@a.test", FAULT_NO_USER, ""},
        {"jane-x@a.test", FAULT_NO_USER, ""},
        {"\"jane \"@a.test", FAULT_NO_USER, ""},
        {"\"\"@a.test", FAULT_NO_USER, ""},
        {"\"jane@a.test\"@a.test", FAULT_NO_USER, ""},
        {"\"staff@a.test\"@a.test", FAULT_NO_USER, ""},
        {"jane+x@plain.test", FAULT_NO_USER, ""},
        {"staff@plain.test", FAULT_NO_USER, ""},
        {"far@plain.test", FAULT_NO_USER, ""},
        {"self@a.test", FAULT_ALIAS_LOOP, ""},
        {"round@a.test", FAULT_ALIAS_LOOP, ""},
        {"around@virtual.test", FAULT_ALIAS_LOOP, ""},
        {"anybody@void.test", FAULT_ALIAS_LOOP, ""},
        {"nobody@void.test", FAULT_ALIAS_LOOP, ""},
        {"jane@sub.a.test", FAULT_RELAYING, ""},
        {"jane@else.example", FAULT_RELAYING, ""},
        {"jane@mx.test", FAULT_RELAYING, ""},
        {"jane@xa.test", FAULT_RELAYING, ""},
        {"jane@\xc3\xa4.test", FAULT_RELAYING, ""},
        {"jane@[192.0.2.1]", FAULT_RELAYING, ""},
        {"postmaster@else.example", FAULT_RELAYING, ""},
        {"\"jane@a.test\"@else.example", FAULT_RELAYING, ""},
        {"jane%a.test@else.example", FAULT_RELAYING, ""},
    };
    struct settings *s = table_files_settings(CONFIG, files);
    expect_rows(s, rows, ROWS(rows), false);
    settings_release(s);
}

static void who_is_taken(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"jane@a.test", FAULT_NONE, ""},
        {"JANE@A.Test", FAULT_NONE, ""},
        {"whoever@b\xc3\xbc"
         "cher.test",
         FAULT_NONE, ""},
        {"\"jane\"@a.test", FAULT_NONE, ""},
        {"jane+list+x@a.test", FAULT_NONE, ""},
        {"j+oe@a.test", FAULT_NONE, ""},
        {"staff@a.test", FAULT_NONE, "jane@a.test joe@a.test ann@else.example"},
        {"Staff+x@a.test", FAULT_NONE, "jane@a.test joe@a.test ann@else.example"},
        {"nested@a.test", FAULT_NONE, "jane@a.test joe@a.test ann@else.example"},
        {"me@a.test", FAULT_NONE, "mimi@a.test mimi@else.example"},
        {"mimi@a.test", FAULT_NONE, "mimi@a.test mimi@else.example"},
        {"twice@a.test", FAULT_NONE, "jane@a.test jane+x@a.test x@else.example X@else.example"},
        {"far@a.test", FAULT_NONE, "jane@a.test"},
        {"dead@a.test", FAULT_NONE, "nobody-here@a.test jane@a.test"},
        {"\"john doe\"@a.test", FAULT_NONE, "jane@a.test"},
        {"odd@a.test", FAULT_NONE, "\"j d\"@a.test \"j d\"@else.example"},
        {"quotes@a.test", FAULT_NONE, "jane@a.test x.y@else.example"},
        {"info+x@a.test", FAULT_NONE, "joe@a.test"},
        {"abuse@a.test", FAULT_NONE, "jane@a.test"},
        {"abuse@plain.test", FAULT_NONE, "plain@else.example"},
        {"abuse@caught.test", FAULT_NONE, "jane@a.test"},
        {"joe@caught.test", FAULT_NONE, ""},
        {"whoever@caught.test", FAULT_NONE, "jane@a.test"},
        {"whoever@relayed.test", FAULT_NONE, ""},
        {"who+ever@relayed.test", FAULT_NONE, ""},
        {"far@virtual.test", FAULT_NONE, "jane@a.test"},
        {"whoever@virtual.test", FAULT_NONE, "rest@else.example"},
        {"\"a@b\"@virtual.test", FAULT_NONE, "quoted@else.example"},
    };
    struct settings *s = table_files_settings(CONFIG, files);
    expect_rows(s, rows, ROWS(rows), false);
    expect_rows(s, rows, ROWS(rows), true);
    settings_release(s);
}

static void who_may_relay_may_write_anywhere(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"jane@else.example", FAULT_NONE, ""},
        {"jane@[192.0.2.1]", FAULT_NONE, ""},
        {"nobody@a.test", FAULT_NO_USER, ""},
    };
    struct settings *s = table_files_settings(CONFIG, files);
    expect_rows(s, rows, ROWS(rows), true);
    settings_release(s);
}

/* RFC 5321 4.5.1: every domain of ours has a postmaster, and so has the server. */
static void postmaster_is_always_there(void **state)
{
    (void)state;
    static const struct row named[] = {
        {"postmaster", FAULT_NONE, "ops@a.test"},
        {"PostMaster@a.test", FAULT_NONE, "ops@a.test"},
        {"postmaster@b.test", FAULT_NONE, "b@else.example"},
        {"postmaster@c.test", FAULT_NONE, ""},
        {"postmaster@d.test", FAULT_NONE, "jane@a.test"},
        {"postmaster@e.test", FAULT_NONE, ""},
    };
    static const struct table_file tables[] = {{"/users", "jane\nops\n", 0},
                                               {"/c", "postmaster\n", 0},
                                               {"/d", "postmaster: jane@a.test\n", 0},
                                               {NULL, NULL, 0}};
    struct settings *s =
        table_files_settings("hostname mx.test\n"
                             "postmaster ops@a.test\n"
                             "domain a.test { users file:/users  deliver discard }\n"
                             "domain b.test { users file:/users  deliver discard\n"
                             "  postmaster b@else.example  catch-all jane@b.test }\n"
                             "domain c.test { users file:/c  deliver discard }\n"
                             "domain d.test { aliases file:/d }\n"
                             "domain e.test { deliver smtp:192.0.2.1 }\n",
                             tables);
    expect_rows(s, named, ROWS(named), false);
    settings_release(s);
    static const struct row unnamed[] = {
        {"postmaster", FAULT_NONE, "postmaster"},
        {"postmaster@a.test", FAULT_NONE, "postmaster"},
    };
    s = table_files_settings(
        "hostname mx.test\ndomain a.test { users file:/users  deliver discard }\n", tables);
    expect_rows(s, unnamed, ROWS(unnamed), false);
    settings_release(s);
    static const struct row homeless[] = {
        {"postmaster", FAULT_NONE, ""},
        {"postmaster@a.test", FAULT_RELAYING, ""},
    };
    s = table_files_settings("hostname mx.test\n", tables);
    expect_rows(s, homeless, ROWS(homeless), false);
    settings_release(s);
    static const struct row relayed[] = {{"postmaster", FAULT_NONE, "postmaster@mx.test"}};
    s = table_files_settings("hostname mx.test\nrelay { to smtp:a }\n", tables);
    expect_rows(s, relayed, ROWS(relayed), false);
    settings_release(s);
    static const struct row elsewhere[] = {{"Postmaster", FAULT_NONE, "ops@else.example"}};
    s = table_files_settings("hostname mx.test\npostmaster ops@else.example\n", tables);
    expect_rows(s, elsewhere, ROWS(elsewhere), false);
    settings_release(s);
}

/* A chain of aliases from a1 to a{count}, which is a user; by domain, so that the table takes it.
 */
static struct settings *chain(unsigned count)
{
    static char text[4096];
    size_t len = 0;
    for (unsigned i = 1; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "a%u: a%u\n", i, i + 1);
    struct table_file tables[] = {{"/a", text, 0}, {NULL, NULL, 0}};
    return table_files_settings(
        "hostname mx.test\ndomain a.test { aliases file:/a  deliver discard }\n", tables);
}

static void chains_are_bounded(void **state)
{
    (void)state;
    static const struct row longest[] = {{"a1@a.test", FAULT_NONE, "a21@a.test"}};
    static const struct row longer[] = {{"a1@a.test", FAULT_ALIAS_LIMIT, ""},
                                        {"a2@a.test", FAULT_NONE, "a22@a.test"}};
    struct settings *s = chain(RECIPIENT_DEPTH_MAX + 1);
    expect_rows(s, longest, ROWS(longest), false);
    settings_release(s);
    s = chain(RECIPIENT_DEPTH_MAX + 2);
    expect_rows(s, longer, ROWS(longer), false);
    settings_release(s);
}

/* Two aliases of half the bound each, and with one address more. */
static void addresses_are_bounded(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, 1024 * 1024);
    for (unsigned half = 0; half < 2; half++) {
        buffer_printf(&text, "half%u: x", half);
        for (unsigned i = 0; i < RECIPIENT_ADDRESSES_MAX / 2 - 2; i++)
            buffer_printf(&text, ",\n u%u-%u@else.example", half, i);
        buffer_put_text(&text, "\n");
    }
    buffer_printf(&text, "all: half0, half1\nmore: half0, half1, y, z, a, b, c, d%c", 0);
    struct table_file tables[] = {{"/a", (const char *)text.data, 0}, {NULL, NULL, 0}};
    struct settings *s = table_files_settings(
        "hostname mx.test\ndomain a.test { aliases file:/a  deliver discard }\n", tables);
    struct buffer paths;
    buffer_init(&paths, ARENA_MAX);
    assert_int_equal(resolve(s, "all@a.test", false, &paths), FAULT_NONE);
    assert_int_equal(resolve(s, "more@a.test", false, &paths), FAULT_ALIAS_LIMIT);
    buffer_fini(&paths);
    buffer_fini(&text);
    settings_release(s);
}

/* Settings whose files were not loaded refuse nobody for good. */
static void without_its_tables_a_domain_waits(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"jane@a.test", FAULT_NO_TABLE, ""},
        {"postmaster@a.test", FAULT_NO_TABLE, ""},
        {"jane@else.example", FAULT_RELAYING, ""},
    };
    struct settings *s = NULL;
    struct buffer errors;
    buffer_init(&errors, 1024);
    assert_int_equal(
        config_parse(
            SPAN("hostname mx.test\ndomain a.test { users file:/users  deliver discard }\n"), "f",
            &errors, &s),
        FAULT_NONE);
    expect_rows(s, rows, ROWS(rows), false);
    settings_release(s);
    buffer_fini(&errors);
}

static void little_memory_is_a_fault(void **state)
{
    (void)state;
    struct settings *s = table_files_settings(CONFIG, files);
    struct address a;
    struct arena arena;
    struct recipient_result result;
    struct recipient_client client = {.may_relay = false};
    for (size_t max = 0; max < 4096; max += 64) {
        arena_init(&arena, max);
        assert_int_equal(address_parse(SPAN("nested@a.test"), 0, &arena, &a), FAULT_NONE);
        enum fault fault = recipient_resolve(s, &a, &client, &arena, &result);
        assert_true(fault == FAULT_NONE || fault == FAULT_NO_MEMORY);
        assert_int_equal(fault == FAULT_NONE ? 3 : 0, result.path_count);
        arena_fini(&arena);
    }
    settings_release(s);
}

static void the_agent_finds_users(void **state)
{
    (void)state;
    struct settings *s = table_files_settings(CONFIG, files);
    const struct domain_settings *d = settings_domain(s, SPAN("A.test"));
    expect_span(recipient_user(d, SPAN("JANE"))->name, SPAN("jane"));
    expect_span(recipient_user(d, SPAN("jane+x"))->name, SPAN("jane"));
    expect_span(recipient_user(d, SPAN("j+oe"))->name, SPAN("j+oe"));
    assert_null(recipient_user(d, SPAN("staff")));
    assert_null(recipient_user(d, SPAN("")));
    assert_null(recipient_user(d, SPAN("+jane")));
    assert_null(recipient_user(settings_domain(s, SPAN("plain.test")), SPAN("jane+x")));
    assert_null(recipient_user(settings_domain(s, SPAN("relayed.test")), SPAN("jane")));
    settings_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_refused),
        cmocka_unit_test(who_is_taken),
        cmocka_unit_test(who_may_relay_may_write_anywhere),
        cmocka_unit_test(postmaster_is_always_there),
        cmocka_unit_test(chains_are_bounded),
        cmocka_unit_test(addresses_are_bounded),
        cmocka_unit_test(without_its_tables_a_domain_waits),
        cmocka_unit_test(little_memory_is_a_fault),
        cmocka_unit_test(the_agent_finds_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
