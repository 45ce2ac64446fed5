/* catalog: against a plain sorted array, in every order of coming and going. */
#include "queue/catalog.h"

#include "expect.h"

enum { COUNT = 20000 };

static struct message *message(uint32_t number)
{
    struct id id = {{0}};
    for (int i = 0; i < 4; i++)
        id.bytes[i] = (uint8_t)(number >> (24 - 8 * i));
    struct message *m = message_new(id, 1);
    assert_non_null(m);
    return m;
}

static uint32_t number_of(const struct message *m)
{
    const uint8_t *b = m->id.bytes;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* The i-th of COUNT in some order: rising, falling, or mixed. */
static uint32_t order(int how, uint32_t i)
{
    if (how == 0)
        return i;
    return how == 1 ? COUNT - 1 - i : i * 7919u % COUNT;
}

static void expect_walk(const struct catalog *c, struct message **present)
{
    struct id after = {{0}};
    struct message *m = catalog_get(c, after);
    if (m == NULL)
        m = catalog_after(c, after);
    for (uint32_t i = 0; i < COUNT; i++) {
        if (present[i] == NULL)
            continue;
        assert_ptr_equal(m, present[i]);
        m = catalog_after(c, m->id);
    }
    assert_null(m);
}

static void run(int in, int out)
{
    static struct message *present[COUNT];
    struct catalog c;
    catalog_init(&c);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct message *m = message(order(in, i));
        assert_int_equal(catalog_put(&c, m), CATALOG_PUT);
        assert_int_equal(catalog_put(&c, m), CATALOG_EXISTS);
        present[number_of(m)] = m;
        if (i % 5000 == 0)
            expect_walk(&c, present);
    }
    assert_int_equal(c.count, COUNT);
    expect_walk(&c, present);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t number = order(out, i);
        struct message *m = present[number];
        assert_ptr_equal(catalog_get(&c, m->id), m);
        catalog_remove(&c, m);
        assert_null(catalog_get(&c, m->id));
        present[number] = NULL;
        message_free(m);
        if (i % 5000 == 0)
            expect_walk(&c, present);
    }
    assert_int_equal(c.count, 0);
    assert_int_equal(c.block_count, 0);
    catalog_fini(&c);
}

static void any_order(void **state)
{
    (void)state;
    for (int in = 0; in < 3; in++)
        for (int out = 0; out < 3; out++)
            run(in, out);
}

static void rising_ids_fill_blocks(void **state)
{
    (void)state;
    struct catalog c;
    catalog_init(&c);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(catalog_put(&c, message(i)), CATALOG_PUT);
    assert_true(c.block_count <= COUNT / 500 + 1);
    struct message *m;
    while ((m = catalog_after(&c, (struct id){{0}})) != NULL ||
           (m = catalog_get(&c, (struct id){{0}})) != NULL) {
        catalog_remove(&c, m);
        message_free(m);
    }
    catalog_fini(&c);
}

/* What is left of a large queue keeps few blocks. */
static void thinned_out(void **state)
{
    (void)state;
    struct catalog c;
    catalog_init(&c);
    static struct message *all[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        all[i] = message(i);
        assert_int_equal(catalog_put(&c, all[i]), CATALOG_PUT);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        if (i % 100 == 0)
            continue;
        catalog_remove(&c, all[i]);
        message_free(all[i]);
    }
    assert_true(c.block_count <= 4);
    for (uint32_t i = 0; i < COUNT; i += 100) {
        catalog_remove(&c, all[i]);
        message_free(all[i]);
    }
    catalog_fini(&c);
}

static void empty(void **state)
{
    (void)state;
    struct catalog c;
    catalog_init(&c);
    assert_null(catalog_after(&c, (struct id){{0}}));
    assert_null(catalog_get(&c, (struct id){{0}}));
    catalog_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order),
        cmocka_unit_test(rising_ids_fill_blocks),
        cmocka_unit_test(thinned_out),
        cmocka_unit_test(empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
