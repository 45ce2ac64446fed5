/* Domains as A-labels: real names, what has no such form, and limits. */
#include "expect.h"

#include "mail/address.h"
#include "mail/idn.h"

static struct arena arena;

static void expect_ascii(const char *address, const char *ascii)
{
    struct span got;
    arena_init(&arena, 4096);
    assert_int_equal(idn_address_to_ascii(&arena, span_text(address), &got), FAULT_NONE);
    expect_span(got, span_text(ascii));
    arena_fini(&arena);
}

static void expect_none(struct span address)
{
    struct span got;
    arena_init(&arena, 4096);
    assert_int_equal(idn_address_to_ascii(&arena, address, &got), FAULT_NO_UTF8);
    assert_null(got.data);
    arena_fini(&arena);
}

static void names_that_have_one(void **state)
{
    (void)state;
    expect_ascii("", "");
    expect_ascii("a@b.example", "a@b.example");
    expect_ascii("a@b\xc3\xbc"
                 "cher.example",
                 "a@xn--bcher-kva.example");
    expect_ascii("A.b+c@B\xc3\x9c"
                 "CHER.Example",
                 "A.b+c@xn--bcher-kva.example");
    expect_ascii("a@stra\xc3\x9f"
                 "e.example",
                 "a@xn--strae-oqa.example"); /* IDNA2008: not "strasse" */
    expect_ascii("\"a@b\"@\xe4\xbe\x8b\xe5\xad\x90.example", "\"a@b\"@xn--fsqu00a.example");
    struct span got; /* no byte of the local part is looked at */
    arena_init(&arena, 4096);
    assert_int_equal(idn_address_to_ascii(&arena, SPAN("\0x\0@\xc3\xbc.example"), &got),
                     FAULT_NONE);
    expect_span(got, SPAN("\0x\0@xn--tda.example"));
    arena_fini(&arena);
    expect_ascii("a@\xe4\xbe\x8b\xe5\xad\x90\xe3\x80\x82"
                 "example",
                 "a@xn--fsqu00a.example"); /* the ideographic full stop */
}

static void what_has_none(void **state)
{
    (void)state;
    static char longest[300];
    static const char *const rows[] = {
        "b\xc3\xbc"
        "cher@b.example", /* the local part */
        "b\xc3\xbc"
        "cher",           /* no domain */
        "@b\xc3.example", /* no UTF-8 */
        "a@\xff.example",
        "a@\xc3\xbc..example",
        "a@-\xc3\xbc.example",
        "a@\xc3\xbc-.example",
        "a@\xc3\xbc b.example",
        "a@\xc3\xbc>.example",
        "a@[\xc3\xbc]",
        "a@\xcc\x80x.example",        /* begins with a combining mark */
        "a@\xe2\x80\x8b\xe2\x80\x8b", /* nothing is left */
        "a@\xc3\xbc\r\nRCPT TO:<x@y>",
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_none(span_text(rows[i]));
    expect_none(SPAN("a@\xc3\xbc\0.example"));
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "a@\xc3\xbc", 4);
    for (size_t len = 64; len <= sizeof longest; len++)
        expect_none(span_of(longest, len)); /* a label is too long, in the end the address */
}

static void no_room(void **state)
{
    (void)state;
    struct span got;
    arena_init(&arena, 8);
    assert_int_equal(idn_address_to_ascii(&arena, SPAN("a@\xc3\xbc.example"), &got),
                     FAULT_NO_MEMORY);
    arena_fini(&arena);
}

static void domains_alone(void **state)
{
    (void)state;
    struct span got;
    arena_init(&arena, 4096);
    assert_int_equal(idn_domain_to_ascii(&arena, SPAN("A.example"), &got), FAULT_NONE);
    expect_span(got, SPAN("A.example"));
    assert_int_equal(idn_domain_to_ascii(&arena,
                                         SPAN("b\xc3\xbc"
                                              "cher.example"),
                                         &got),
                     FAULT_NONE);
    expect_span(got, SPAN("xn--bcher-kva.example"));
    assert_int_equal(idn_domain_to_ascii(&arena, SPAN("\xff.example"), &got), FAULT_NO_UTF8);
    assert_int_equal(idn_domain_to_ascii(&arena, SPAN("\xc3\xbc\0.example"), &got), FAULT_NO_UTF8);
    assert_int_equal(idn_domain_to_ascii(&arena, SPAN("\xc3\xbc..example"), &got), FAULT_NO_UTF8);
    arena_fini(&arena);
    arena_init(&arena, 0);
    assert_int_equal(idn_domain_to_ascii(&arena, SPAN("\xc3\xbc.example"), &got), FAULT_NO_MEMORY);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_have_one),
        cmocka_unit_test(what_has_none),
        cmocka_unit_test(no_room),
        cmocka_unit_test(domains_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
