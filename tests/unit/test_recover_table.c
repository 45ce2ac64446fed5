#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spool/recover_table.h"

#define MANY 50000u /* several chunks, and several sizes of the slots */

static struct id id_of(uint32_t n)
{
    uint32_t mixed = n * 2654435761u;
    struct id id = {{0}};
    memcpy(id.bytes, &n, sizeof n);
    memcpy(id.bytes + 12, &mixed, sizeof mixed);
    return id;
}

static void what_was_made_is_found(void **state)
{
    (void)state;
    struct recover_table t;
    recover_table_init(&t);
    recover_table_touch(&t, id_of(1));
    assert_null(recover_table_get(&t, id_of(1)));
    for (uint32_t n = 0; n < MANY; n++) {
        struct found *f = recover_table_make(&t, id_of(n));
        assert_true(f != NULL && id_equal(f->id, id_of(n)) && f->version == 0);
        f->version = n + 1;
    }
    assert_int_equal(t.count, MANY);
    for (uint32_t n = 0; n < MANY; n++) {
        uint32_t elsewhere = (uint32_t)((uint64_t)n * 7919 % MANY);
        assert_int_equal(recover_table_get(&t, id_of(elsewhere))->version, elsewhere + 1);
        assert_int_equal(recover_table_make(&t, id_of(n))->version, n + 1);
        assert_int_equal(recover_table_make(&t, id_of(elsewhere))->version, elsewhere + 1);
        assert_int_equal(recover_table_at(&t, n)->version, n + 1);
    }
    assert_int_equal(t.count, MANY);
    assert_null(recover_table_get(&t, id_of(MANY)));
    recover_table_fini(&t);
}

static void entries_stay_where_they_are(void **state)
{
    (void)state;
    struct recover_table t;
    recover_table_init(&t);
    const struct found *first = recover_table_make(&t, id_of(0));
    for (uint32_t n = 1; n < MANY; n++)
        assert_non_null(recover_table_make(&t, id_of(n)));
    assert_ptr_equal(recover_table_get(&t, id_of(0)), first);
    recover_table_fini(&t);
}

/* In any order; a chunk goes with its last entry, the others stay. */
static void dropped_entries_give_their_memory_back(void **state)
{
    (void)state;
    struct recover_table t;
    recover_table_init(&t);
    for (uint32_t n = 0; n < MANY; n++)
        assert_non_null(recover_table_make(&t, id_of(n)));
    recover_table_forget_ids(&t);
    for (uint32_t n = 0; n < MANY; n++) {
        uint32_t i = (uint32_t)((uint64_t)n * 7919 % MANY);
        assert_true(id_equal(recover_table_at(&t, i)->id, id_of(i)));
        recover_table_drop(&t, i);
    }
    for (uint32_t i = 0; i < t.chunk_count; i++)
        assert_null(t.chunks[i]);
    recover_table_fini(&t);
}

static void a_set_has_each_pair_once_and_in_order(void **state)
{
    (void)state;
    struct pair_set s;
    pair_set_init(&s);
    pair_set_sort(&s);
    assert_int_equal(s.count, 0);
    for (uint32_t n = 0; n < 100 * 1000; n++)
        assert_true(pair_set_add(&s, n % 7, n % 5));
    assert_true(s.capacity <= 1024); /* 35 pairs, however often they come */
    pair_set_sort(&s);
    assert_int_equal(s.count, 35);
    for (uint32_t i = 0; i < 35; i++)
        assert_true(s.pairs[i] == ((uint64_t)(i / 5) << 32 | i % 5));
    for (uint32_t n = 0; n < 5000; n++)
        assert_true(pair_set_add(&s, UINT32_MAX, n));
    pair_set_sort(&s);
    assert_int_equal(s.count, 5035);
    assert_true(s.pairs[5034] == ((uint64_t)UINT32_MAX << 32 | 4999));
    pair_set_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_made_is_found),
        cmocka_unit_test(entries_stay_where_they_are),
        cmocka_unit_test(dropped_entries_give_their_memory_back),
        cmocka_unit_test(a_set_has_each_pair_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
