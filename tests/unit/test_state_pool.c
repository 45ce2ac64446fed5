#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spool/state_pool.h"

static void expect(const struct pooled_state *s, const char *text)
{
    struct arena arena;
    arena_init(&arena, 4096);
    assert_true(span_equal(state_pool_get(s, &arena), span_text(text)));
    arena_fini(&arena);
}

static void comes_back_whole_and_equal_rests_are_one(void **state)
{
    (void)state;
    static const char *const payloads[] = {"a reply, 00000001", "a reply, 00000002",
                                           "another, 00000001", "12345678", "a reply, 00000001"};
    enum { COUNT = sizeof payloads / sizeof payloads[0] };
    struct pooled_state kept[COUNT];
    struct state_pool p;
    state_pool_init(&p, 7);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(state_pool_put(&p, span_text(payloads[i]), &kept[i]));
    for (size_t i = 0; i < COUNT; i++)
        expect(&kept[i], payloads[i]);
    assert_int_equal(p.rests.count, 3);
    assert_ptr_equal(kept[0].rest, kept[1].rest);
    state_pool_drop(&p, &kept[0]);
    state_pool_drop(&p, &kept[1]);
    expect(&kept[4], payloads[4]);
    state_pool_drop(&p, &kept[4]);
    state_pool_drop(&p, &kept[4]); /* is none by now */
    assert_int_equal(p.rests.count, 2);
    expect(&kept[2], payloads[2]);
    state_pool_fini(&p); /* with what is left */
}

static void what_is_too_short_is_none(void **state)
{
    (void)state;
    struct pooled_state kept;
    struct state_pool p;
    state_pool_init(&p, 7);
    assert_true(state_pool_put(&p, SPAN(""), &kept) && kept.rest == NULL);
    assert_true(state_pool_put(&p, SPAN("1234567"), &kept) && kept.rest == NULL);
    expect(&kept, "");
    state_pool_drop(&p, &kept);
    assert_int_equal(p.rests.count, 0);
    state_pool_fini(&p);
}

static void a_full_arena_is_an_answer(void **state)
{
    (void)state;
    struct pooled_state kept;
    struct state_pool p;
    struct arena arena;
    state_pool_init(&p, 7);
    arena_init(&arena, 16);
    assert_true(state_pool_put(&p, SPAN("seventeen bytes.."), &kept));
    assert_int_equal(state_pool_get(&kept, &arena).len, 0);
    assert_true(arena.full);
    arena_fini(&arena);
    state_pool_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_whole_and_equal_rests_are_one),
        cmocka_unit_test(what_is_too_short_is_none),
        cmocka_unit_test(a_full_arena_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
