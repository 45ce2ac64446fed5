/* places: against a plain array as the model, and its memory. */
#include "spool/places.h"

#include "expect.h"

#define MODEL_MAX 3000u

static struct id id_of(uint32_t n)
{
    struct id id = {{0}};
    memcpy(id.bytes + 3, &n, sizeof n);
    return id;
}

static void empty_has_nothing(void **state)
{
    (void)state;
    struct places p;
    places_init(&p);
    assert_null(places_find(&p, id_of(1)));
    places_touch(&p, id_of(1), PLACES_TOUCH_BUCKET);
    places_touch(&p, id_of(1), PLACES_TOUCH_ENTRY);
    assert_int_equal(places_count(&p), 0);
    assert_int_equal(places_memory_bytes(&p), 0);
    places_fini(&p);
}

static void added_is_found_and_in_no_place(void **state)
{
    (void)state;
    struct places p;
    places_init(&p);
    assert_true(places_reserve(&p, 1));
    struct placed *m = places_add(&p, id_of(7));
    assert_ptr_equal(places_find(&p, id_of(7)), m);
    assert_null(places_find(&p, id_of(8)));
    assert_int_equal(m->base_segment, PLACE_NOWHERE);
    assert_int_equal(m->sending_segment, PLACE_NOWHERE);
    assert_int_equal(m->state_bytes, 0);
    places_remove(&p, m);
    assert_null(places_find(&p, id_of(7)));
    assert_int_equal(places_count(&p), 0);
    places_fini(&p);
}

/* A fixed generator: the run is the same everywhere. */
static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % below;
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    static uint32_t model[MODEL_MAX]; /* 0: absent, else its base_offset */
    struct places p;
    uint64_t seed = 42;
    uint32_t count = 0;
    places_init(&p);
    for (uint32_t step = 1; step < 200000; step++) {
        uint32_t n = draw(&seed, MODEL_MAX);
        struct placed *m = places_find(&p, id_of(n));
        assert_int_equal(m != NULL, model[n] != 0);
        if (m == NULL) {
            assert_true(places_reserve(&p, 1));
            places_add(&p, id_of(n))->base_offset = model[n] = step;
            count++;
        } else {
            assert_int_equal(m->base_offset, model[n]);
            if (draw(&seed, 3) != 0)
                continue;
            places_remove(&p, m);
            model[n] = 0;
            count--;
        }
        assert_int_equal(places_count(&p), count);
    }
    places_fini(&p);
}

/* Entries must not move: others keep pointers to them over an add. */
static void entries_stay_where_they_are(void **state)
{
    (void)state;
    struct places p;
    places_init(&p);
    assert_true(places_reserve(&p, 1));
    struct placed *first = places_add(&p, id_of(0));
    for (uint32_t n = 1; n < 50000; n++) {
        assert_true(places_reserve(&p, 1));
        places_add(&p, id_of(n));
    }
    assert_ptr_equal(places_find(&p, id_of(0)), first);
    places_fini(&p);
}

static void a_million_within_60_mb(void **state)
{
    (void)state;
    struct places p;
    places_init(&p);
    for (uint32_t n = 0; n < 1000000; n++) {
        size_t before = places_memory_bytes(&p);
        assert_true(places_reserve(&p, 1));
        places_add(&p, id_of(n));
        assert_true(places_memory_bytes(&p) - before < 300000);
    }
    assert_true(places_memory_bytes(&p) <= 60u * 1000 * 1000);
    for (uint32_t n = 0; n < 1000000; n++)
        assert_non_null(places_find(&p, id_of(n)));
    places_fini(&p);
}

static void what_is_expected_may_come_or_not(void **state)
{
    (void)state;
    struct places p;
    for (uint32_t expected = 0; expected <= 40000; expected += 20000) {
        places_init(&p);
        if (expected == 40000) { /* some are there already */
            assert_true(places_reserve(&p, 100));
            for (uint32_t n = 30000; n < 30100; n++)
                places_add(&p, id_of(n));
        }
        places_expect(&p, expected);
        size_t before = places_memory_bytes(&p);
        places_expect(&p, expected / 2);
        assert_int_equal(places_memory_bytes(&p), before);
        assert_null(places_find(&p, id_of(1)));
        assert_true(places_reserve(&p, 30000));
        for (uint32_t n = 0; n < 30000; n++) {
            places_touch(&p, id_of(n + 16), PLACES_TOUCH_BUCKET);
            places_touch(&p, id_of(n + 8), PLACES_TOUCH_ENTRY);
            places_add(&p, id_of(n));
        }
        for (uint32_t n = 0; n < 30000; n++)
            assert_non_null(places_find(&p, id_of(n)));
        assert_true((places_find(&p, id_of(30001)) != NULL) == (expected == 40000));
        places_fini(&p);
    }
}

static void add_twice(void)
{
    struct places p;
    places_init(&p);
    if (!places_reserve(&p, 2))
        return;
    places_add(&p, id_of(1));
    places_add(&p, id_of(1));
}

static void add_unreserved(void)
{
    struct places p;
    places_init(&p);
    places_add(&p, id_of(1));
}

static void misuse_aborts(void **state)
{
    (void)state;
    expect_abort(add_twice);
    expect_abort(add_unreserved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_has_nothing),
        cmocka_unit_test(added_is_found_and_in_no_place),
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(entries_stay_where_they_are),
        cmocka_unit_test(a_million_within_60_mb),
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(what_is_expected_may_come_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
