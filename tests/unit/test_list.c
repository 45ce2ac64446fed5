#include "expect.h"

#include "base/list.h"

struct item {
    int number;
    struct list node;
};

static void expect_numbers(struct list *l, const char *expected)
{
    char text[64] = "";
    size_t len = 0;
    list_each(node, l) text[len++] = (char)('0' + container_of(node, struct item, node)->number);
    assert_string_equal(text, expected);
    len = 0;
    for (struct list *node = l->prev; node != l; node = node->prev)
        len++;
    assert_int_equal(len, strlen(expected)); /* backwards it is as long */
}

static void order_of_insertions(void **state)
{
    (void)state;
    struct list l;
    struct item items[4];
    list_init(&l);
    assert_true(list_empty(&l));
    expect_numbers(&l, "");
    for (int i = 0; i < 4; i++)
        items[i].number = i;
    list_append(&l, &items[0].node);
    list_append(&l, &items[1].node);
    expect_numbers(&l, "01");
    list_prepend(&l, &items[2].node);
    expect_numbers(&l, "201");
    list_insert_after(&items[0].node, &items[3].node);
    expect_numbers(&l, "2031");
    assert_false(list_empty(&l));
}

static void removal_is_safe_to_repeat(void **state)
{
    (void)state;
    struct list l;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    list_init(&l);
    for (int i = 0; i < 3; i++)
        list_append(&l, &items[i].node);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    assert_true(list_empty(&items[1].node));
    expect_numbers(&l, "02");
    assert_ptr_equal(list_take_first(&l), &items[0].node);
    assert_ptr_equal(list_take_first(&l), &items[2].node);
    assert_null(list_take_first(&l));
    assert_true(list_empty(&l));
}

static void the_walked_node_may_go(void **state)
{
    (void)state;
    struct list l;
    struct item items[5];
    list_init(&l);
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_append(&l, &items[i].node);
    }
    list_each(node, &l)
    {
        if (container_of(node, struct item, node)->number % 2 == 0)
            list_remove(node);
    }
    expect_numbers(&l, "13");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_insertions),
        cmocka_unit_test(removal_is_safe_to_repeat),
        cmocka_unit_test(the_walked_node_may_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
