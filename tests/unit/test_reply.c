/* reply: words kept once each, within a bound. */
#include "queue/reply.h"

#include "expect.h"
#include "spool/state.h"

static void kept_once(void **state)
{
    (void)state;
    struct replies r;
    replies_init(&r, 7);
    struct reply *a = reply_get(&r, SPAN("450 4.2.0 later"), SPAN("mx.b.test"), FAULT_NONE);
    struct reply *b = reply_get(&r, SPAN("450 4.2.0 later"), SPAN("mx.b.test"), FAULT_NONE);
    struct reply *c = reply_get(&r, SPAN("450 4.2.0 later"), SPAN("mx.c.test"), FAULT_NONE);
    struct reply *d = reply_get(&r, SPAN("450 4.2.0 later"), SPAN("mx.b.test"), FAULT_EXPIRED);
    /* Not told apart by where the one ends and the other begins. */
    struct reply *e = reply_get(&r, SPAN("bc"), SPAN("a"), FAULT_NONE);
    struct reply *f = reply_get(&r, SPAN("c"), SPAN("ab"), FAULT_NONE);
    assert_ptr_equal(a, b);
    assert_true(a != c && a != d && e != f);
    expect_span(reply_text(c), SPAN("450 4.2.0 later"));
    expect_span(reply_remote(c), SPAN("mx.c.test"));
    assert_int_equal(reply_fault(d), FAULT_EXPIRED);
    assert_true(reply_is_remote(d));
    struct reply *all[] = {a, b, c, d, e, f};
    for (size_t i = 0; i < ROWS(all); i++)
        reply_release(&r, all[i]);
    assert_int_equal(r.bytes, 0);
    replies_fini(&r);
}

static void words_of_ours(void **state)
{
    (void)state;
    struct replies r;
    replies_init(&r, 7);
    struct reply *ours = reply_with_fault(&r, NULL, FAULT_NULL_MX);
    assert_false(reply_is_remote(ours));
    expect_span(reply_text(ours), span_text(fault_text(FAULT_NULL_MX)));
    struct reply *said = reply_get(&r, SPAN("451 no"), SPAN("mx"), FAULT_NONE);
    struct reply *expired = reply_with_fault(&r, said, FAULT_EXPIRED);
    expect_span(reply_text(expired), SPAN("451 no"));
    assert_true(reply_is_remote(expired));
    assert_int_equal(reply_fault(expired), FAULT_EXPIRED);
    reply_release(&r, ours);
    reply_release(&r, said);
    reply_release(&r, expired);
    reply_release(&r, NULL);
    assert_int_equal(reply_text(NULL).len, 0);
    assert_int_equal(reply_remote(NULL).len, 0);
    replies_fini(&r);
}

static void long_ones_are_cut(void **state)
{
    (void)state;
    static char text[5000];
    memset(text, '4', sizeof text);
    struct replies r;
    replies_init(&r, 7);
    struct reply *a = reply_get(&r, span_of(text, sizeof text), span_of(text, 1000), FAULT_NONE);
    assert_int_equal(reply_text(a).len, STATE_REPLY_BYTES_MAX);
    assert_int_equal(reply_remote(a).len, 255);
    reply_release(&r, a);
    replies_fini(&r);
}

/* A server that puts a number into each reply. */
static void bounded(void **state)
{
    (void)state;
    enum { COUNT = 80000 };
    static struct reply *all[COUNT];
    static char text[1024];
    memset(text, 'x', sizeof text);
    struct replies r;
    replies_init(&r, 7);
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "450 %d", i);
        text[strlen(text)] = ' ';
        all[i] = reply_get(&r, span_of(text, sizeof text), (struct span){0}, FAULT_NONE);
        assert_non_null(all[i]);
    }
    assert_true(r.bytes < REPLIES_BYTES_MAX + COUNT * 64);
    assert_int_equal(reply_text(all[COUNT - 1]).len, REPLY_SHORT_BYTES);
    for (int i = 0; i < COUNT; i++)
        reply_release(&r, all[i]);
    replies_fini(&r);
}

static void numbered(void **state)
{
    (void)state;
    struct replies r;
    replies_init(&r, 7);
    struct reply *a = reply_get(&r, SPAN("a"), (struct span){0}, FAULT_NONE);
    struct reply *b = reply_get(&r, SPAN("b"), (struct span){0}, FAULT_NONE);
    replies_number_from_zero(&r);
    assert_int_equal(reply_number(&r, a, 0), 0);
    assert_int_equal(reply_number(&r, b, 1), 1);
    assert_int_equal(reply_number(&r, a, 2), 0);
    replies_number_from_zero(&r);
    assert_int_equal(reply_number(&r, b, 0), 0);
    assert_int_equal(reply_number(&r, a, 1), 1);
    reply_release(&r, a);
    reply_release(&r, b);
    replies_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_once),         cmocka_unit_test(words_of_ours),
        cmocka_unit_test(long_ones_are_cut), cmocka_unit_test(bounded),
        cmocka_unit_test(numbered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
