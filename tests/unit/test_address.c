#include "mail/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct address_case {
    const char *text;
    unsigned flags;
    enum fault fault;
    const char *local;
    const char *domain;
};

static const struct address_case cases[] = {
    {"a@b.example", 0, FAULT_NONE, "a", "b.example"},
    {"a.b+c=d@b", 0, FAULT_NONE, "a.b+c=d", "b"},
    {"\"a b\"@b", 0, FAULT_NONE, "a b", "b"},
    {"\"a\\\"b\"@b", 0, FAULT_NONE, "a\"b", "b"},
    {"a@[192.0.2.1]", 0, FAULT_NONE, "a", "[192.0.2.1]"},
    {"a@[IPv6:2001:db8::1]", 0, FAULT_NONE, "a", "[IPv6:2001:db8::1]"},
    {"@x.example,@y.example:a@b", 0, FAULT_NONE, "a", "b"},
    {"", ADDRESS_EMPTY_OK, FAULT_NONE, "", ""},
    {"Postmaster", ADDRESS_POSTMASTER_OK, FAULT_NONE, "Postmaster", ""},
    {"", 0, FAULT_SYNTAX, NULL, NULL},
    {"postmaster", 0, FAULT_SYNTAX, NULL, NULL},
    {"somebody", ADDRESS_POSTMASTER_OK, FAULT_SYNTAX, NULL, NULL},
    {"a@", 0, FAULT_SYNTAX, NULL, NULL},
    {"@b", 0, FAULT_SYNTAX, NULL, NULL},
    {"a@b@c", 0, FAULT_SYNTAX, NULL, NULL},
    {".a@b", 0, FAULT_SYNTAX, NULL, NULL},
    {"a.@b", 0, FAULT_SYNTAX, NULL, NULL},
    {"a..b@c", 0, FAULT_SYNTAX, NULL, NULL},
    {"a b@c", 0, FAULT_SYNTAX, NULL, NULL},
    {"a@b..c", 0, FAULT_SYNTAX, NULL, NULL},
    {"a@-b", 0, FAULT_SYNTAX, NULL, NULL},
    {"a@b-", 0, FAULT_SYNTAX, NULL, NULL},
    {"a@b c", 0, FAULT_SYNTAX, NULL, NULL},
    {"a@[300.0.0.1]", 0, FAULT_SYNTAX, NULL, NULL},
    {"a@[192.0.2.1", 0, FAULT_SYNTAX, NULL, NULL},
    {"\"a@b", 0, FAULT_SYNTAX, NULL, NULL},
    {"\"a\"b@c", 0, FAULT_SYNTAX, NULL, NULL},
    {"a(comment)@b", 0, FAULT_SYNTAX, NULL, NULL},
    {"<a@b>", 0, FAULT_SYNTAX, NULL, NULL},
    {"\xc3\xa9@b", 0, FAULT_SYNTAX, NULL, NULL},
    {"a@\xc3\xa9", 0, FAULT_SYNTAX, NULL, NULL},
    {"a\r\n@b", 0, FAULT_SYNTAX, NULL, NULL},
};

static void the_grammar_is_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct address_case *c = &cases[i];
        struct address a;
        struct arena arena;
        arena_init(&arena, 1024);
        enum fault fault = address_parse(span_text(c->text), c->flags, &arena, &a);
        if (fault != c->fault)
            fail_msg("%s: %s", c->text, fault_name(fault));
        if (fault == FAULT_NONE) {
            assert_true(span_equal(a.local, span_text(c->local)));
            assert_true(span_equal(a.domain, span_text(c->domain)));
        }
        arena_fini(&arena);
    }
}

static void a_local_part_may_have_64_octets(void **state)
{
    (void)state;
    for (size_t len = 63; len <= 65; len++) {
        char text[80];
        struct address a;
        struct arena arena;
        memset(text, 'a', sizeof text);
        memcpy(text + len, "@b", 2);
        arena_init(&arena, 1024);
        enum fault fault = address_parse(span_of(text, len + 2), 0, &arena, &a);
        assert_int_equal(fault, len <= ADDRESS_LOCAL_MAX ? FAULT_NONE : FAULT_TOO_LONG);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_grammar_is_kept),
        cmocka_unit_test(a_local_part_may_have_64_octets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
