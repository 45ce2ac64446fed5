#include "expect.h"

#include "base/check.h"
#include "base/heap.h"

static void an_empty_heap(void **state)
{
    (void)state;
    struct heap h;
    struct heap_node n;
    heap_init(&h);
    heap_node_init(&n);
    assert_null(heap_first(&h));
    assert_false(heap_contains(&n));
    heap_remove(&h, &n); /* nothing happens */
    assert_int_equal(h.count, 0);
    heap_fini(&h);
}

static void keys_of_the_whole_range(void **state)
{
    (void)state;
    static const int64_t keys[] = {0, INT64_MAX, -1, INT64_MIN, 1, INT64_MIN + 1, INT64_MAX - 1};
    static const int64_t sorted[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    struct heap h;
    struct heap_node nodes[ROWS(keys)];
    heap_init(&h);
    for (size_t i = 0; i < ROWS(keys); i++) {
        heap_node_init(&nodes[i]);
        assert_true(heap_insert(&h, &nodes[i], keys[i]));
    }
    for (size_t i = 0; i < ROWS(keys); i++) {
        struct heap_node *first = heap_first(&h);
        assert_int_equal(first->key, sorted[i]);
        heap_remove(&h, first);
        assert_false(heap_contains(first));
    }
    heap_fini(&h);
}

#define NODES 500

static uint64_t random_state = 0x2545f4914f6cdd1d;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Each parent is no larger than its children, and every node knows its place. */
static void expect_order(const struct heap *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        assert_int_equal(h->nodes[i]->index, i);
        if (i > 0)
            assert_true(h->nodes[(i - 1) / 2]->key <= h->nodes[i]->key);
    }
}

static void any_order_of_calls_keeps_the_order(void **state)
{
    (void)state;
    static struct heap_node nodes[NODES];
    struct heap h;
    uint32_t count = 0;
    heap_init(&h);
    for (size_t i = 0; i < NODES; i++)
        heap_node_init(&nodes[i]);
    for (unsigned step = 0; step < 20000; step++) {
        struct heap_node *n = &nodes[next_random() % NODES];
        int64_t key = (int64_t)(next_random() % 100) - 50;
        if (!heap_contains(n)) {
            assert_true(heap_insert(&h, n, key));
            count++;
        } else if (next_random() % 2 == 0) {
            heap_change(&h, n, key);
            assert_int_equal(n->key, key);
        } else {
            heap_remove(&h, n);
            count--;
        }
        assert_int_equal(h.count, count);
        if (step % 16 == 0)
            expect_order(&h);
    }
    int64_t last = INT64_MIN;
    while (h.count > 0) {
        struct heap_node *first = heap_first(&h);
        assert_true(first->key >= last);
        last = first->key;
        heap_remove(&h, first);
        heap_remove(&h, first); /* again: nothing happens */
    }
    heap_fini(&h);
}

static struct heap some_heap;
static struct heap_node some_node;

static void insert_twice(void)
{
    heap_node_init(&some_node);
    (void)!heap_insert(&some_heap, &some_node, 1);
    (void)!heap_insert(&some_heap, &some_node, 2);
}

static void change_of_a_stranger(void)
{
    heap_node_init(&some_node);
    heap_change(&some_heap, &some_node, 1);
}

static void misuse_aborts(void **state)
{
    (void)state;
    expect_abort(insert_twice);
    expect_abort(change_of_a_stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap),
        cmocka_unit_test(keys_of_the_whole_range),
        cmocka_unit_test(any_order_of_calls_keeps_the_order),
        cmocka_unit_test(misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
