/* bundle: files go in and come out; damaged ones have an answer. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "config/bundle.h"

static void put(struct buffer *b, const char *path, const char *text)
{
    struct bundle_file f = {.path = span_text(path), .mode = 0100640, .uid = 7, .gid = 8};
    assert_true(bundle_put_head(b, &f, strlen(text)));
    assert_true(buffer_put_text(b, text));
}

static void make(struct buffer *b)
{
    buffer_init(b, 4096);
    put(b, "/etc/a", "first");
    put(b, "/etc/empty", "");
    put(b, "/etc/b", "second");
}

static void finds_what_was_put(void **state)
{
    (void)state;
    struct buffer b;
    struct bundle_file f;
    make(&b);
    assert_true(bundle_find(buffer_span(&b), SPAN("/etc/a"), &f));
    assert_true(span_equal(f.text, SPAN("first")));
    assert_int_equal(f.mode, 0100640);
    assert_int_equal(f.uid, 7);
    assert_int_equal(f.gid, 8);
    assert_true(bundle_find(buffer_span(&b), SPAN("/etc/b"), &f));
    assert_true(span_equal(f.text, SPAN("second")));
    assert_true(bundle_find(buffer_span(&b), SPAN("/etc/empty"), &f));
    assert_int_equal(f.text.len, 0);
    assert_non_null(f.text.data);
    assert_false(bundle_find(buffer_span(&b), SPAN("/etc/c"), &f));
    assert_false(bundle_find(buffer_span(&b), SPAN("/etc"), &f));
    assert_false(bundle_find(buffer_span(&b), SPAN(""), &f));
    assert_false(bundle_find((struct span){NULL, 0}, SPAN("/etc/a"), &f));
    buffer_fini(&b);
}

static void gives_each_in_turn(void **state)
{
    (void)state;
    static const char *const names[] = {"/etc/a", "/etc/empty", "/etc/b"};
    struct buffer b;
    struct bundle_file f;
    make(&b);
    struct span rest = buffer_span(&b);
    for (size_t i = 0; i < 3; i++) {
        assert_true(bundle_next(&rest, &f));
        assert_true(span_equal(f.path, span_text(names[i])));
    }
    assert_int_equal(rest.len, 0);
    assert_false(bundle_next(&rest, &f));
    buffer_fini(&b);
}

/* Cut anywhere, or with any byte changed, it gives what is within it, or nothing. */
static void damage_has_an_answer(void **state)
{
    (void)state;
    struct buffer b;
    struct bundle_file f;
    make(&b);
    struct span all = buffer_span(&b);
    for (size_t len = 0; len < all.len; len++) {
        uint8_t *cut = malloc(len + 1);
        memcpy(cut, all.data, len);
        assert_false(bundle_find(span_of(cut, len), SPAN("/etc/b"), &f));
        free(cut);
    }
    for (size_t i = 0; i < all.len; i++) {
        b.data[i] ^= 0xff;
        if (bundle_find(all, SPAN("/etc/b"), &f))
            assert_true(f.text.data >= all.data && f.text.data + f.text.len <= all.data + all.len);
        b.data[i] ^= 0xff;
    }
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(gives_each_in_turn),
        cmocka_unit_test(damage_has_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
