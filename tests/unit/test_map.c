#include "expect.h"

#include "base/map.h"

struct object {
    char key[24];
    size_t key_len;
    bool present; /* what the map should say */
};

static struct span key_of(const void *object)
{
    const struct object *o = object;
    return span_of(o->key, o->key_len);
}

static void name(struct object *o, unsigned number)
{
    o->key_len = (size_t)snprintf(o->key, sizeof o->key, "k%u.example", number);
}

static void an_empty_map(void **state)
{
    (void)state;
    struct map m;
    size_t at = 0;
    map_init(&m, key_of, 1);
    assert_null(map_get(&m, SPAN("x")));
    assert_null(map_remove(&m, SPAN("x")));
    assert_null(map_next(&m, &at));
    assert_null(m.values);
    map_fini(&m);
}

static void keys_are_any_bytes(void **state)
{
    (void)state;
    struct map m;
    struct object empty = {.key_len = 0}, zero = {.key_len = 1}, zeros = {.key_len = 2};
    map_init(&m, key_of, 2);
    assert_true(map_put(&m, &empty));
    assert_true(map_put(&m, &zero));
    assert_true(map_put(&m, &zeros));
    assert_ptr_equal(map_get(&m, (struct span){NULL, 0}), &empty);
    assert_ptr_equal(map_get(&m, SPAN("\0")), &zero);
    assert_ptr_equal(map_get(&m, SPAN("\0\0")), &zeros);
    assert_null(map_get(&m, SPAN("\0\0\0")));
    assert_ptr_equal(map_remove(&m, SPAN("\0")), &zero);
    assert_null(map_get(&m, SPAN("\0")));
    assert_int_equal(m.count, 2);
    map_fini(&m);
}

#define OBJECTS 3000

static void expect_agreement(const struct map *m, struct object *objects)
{
    size_t expected = 0, walked = 0, at = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        void *got = map_get(m, key_of(&objects[i]));
        assert_ptr_equal(got, objects[i].present ? &objects[i] : NULL);
        expected += objects[i].present;
    }
    while (map_next(m, &at) != NULL)
        walked++;
    assert_int_equal(walked, expected);
    assert_int_equal(m->count, expected);
    assert_true(m->count * 5 <= m->capacity * 4);
}

/* Puts and removals in a random order, held against a flag in each object. */
static void agrees_with_a_simple_model(void **state)
{
    (void)state;
    static struct object objects[OBJECTS];
    struct map m;
    uint64_t random = 88172645463325252u;
    map_init(&m, key_of, 0x123456789);
    memset(objects, 0, sizeof objects);
    for (unsigned i = 0; i < OBJECTS; i++)
        name(&objects[i], i);
    for (unsigned step = 0; step < 60000; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        /* in thirds of the run: mostly growing, mixed, mostly shrinking */
        struct object *o = &objects[random % OBJECTS];
        bool put = (random >> 32) % 4 >= step / 20000 + 1;
        if (put && !o->present) {
            assert_true(map_put(&m, o));
            o->present = true;
        } else if (!put) {
            assert_ptr_equal(map_remove(&m, key_of(o)), o->present ? o : NULL);
            o->present = false;
        }
        if (step % 5000 == 0)
            expect_agreement(&m, objects);
    }
    expect_agreement(&m, objects);
    for (unsigned i = 0; i < OBJECTS; i++) {
        (void)map_remove(&m, key_of(&objects[i]));
        objects[i].present = false;
    }
    expect_agreement(&m, objects);
    map_fini(&m);
}

static void walking_meets_each_object_once(void **state)
{
    (void)state;
    static struct object objects[100];
    struct map m;
    size_t at = 0;
    struct object *o;
    map_init(&m, key_of, 3);
    for (unsigned i = 0; i < 100; i++) {
        name(&objects[i], i);
        assert_true(map_put(&m, &objects[i]));
    }
    while ((o = map_next(&m, &at)) != NULL) {
        assert_false(o->present);
        o->present = true;
    }
    for (unsigned i = 0; i < 100; i++)
        assert_true(objects[i].present);
    map_fini(&m);
}

/* The answers of SipHash-1-3 as an independent model in Python gave them, key stretching
   included. */
static void the_hash_is_the_one_it_should_be(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint64_t secret, hash;
    } rows[] = {
        {"", UINT64_C(0x0), UINT64_C(0x2c67cd72f07ebd9b)},
        {"a", UINT64_C(0x1), UINT64_C(0x5797962d0fc1eb00)},
        {"1234567", UINT64_C(0x2), UINT64_C(0x589af750ae6260e5)},
        {"12345678", UINT64_C(0x2), UINT64_C(0xb4d72d8e7b127199)},
        {"123456789", UINT64_C(0xdeadbeefcafef00d), UINT64_C(0xb4c612ba910560d5)},
        {"mx.example.net", UINT64_C(0xffffffffffffffff), UINT64_C(0x1e435f99077839cb)},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", UINT64_C(0x7), UINT64_C(0x939f4fcf6c7cea2a)},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_int_equal(map_hash(span_text(rows[i].key), rows[i].secret), rows[i].hash);
}

/* Every bit of the key moves about half of the bits of the hash; so does the secret. */
static void the_hash_mixes(void **state)
{
    (void)state;
    uint8_t key[13] = "example.net";
    unsigned total = 0, count = 0;
    uint64_t before = map_hash(span_of(key, sizeof key), 99);
    for (unsigned bit = 0; bit < sizeof key * 8; bit++) {
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        unsigned moved =
            (unsigned)__builtin_popcountll(before ^ map_hash(span_of(key, sizeof key), 99));
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_in_range(moved, 12, 52);
        total += moved;
        count++;
    }
    assert_in_range(total / count, 30, 34);
    for (unsigned bit = 0; bit < 64; bit++)
        assert_in_range(__builtin_popcountll(
                            before ^ map_hash(span_of(key, sizeof key), 99 ^ UINT64_C(1) << bit)),
                        12, 52);
}

static void put_twice(void)
{
    struct map m;
    struct object a = {.key = "a", .key_len = 1}, b = a;
    map_init(&m, key_of, 1);
    (void)!map_put(&m, &a);
    (void)!map_put(&m, &b);
}

static void a_second_object_of_a_key_aborts(void **state)
{
    (void)state;
    expect_abort(put_twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map),
        cmocka_unit_test(keys_are_any_bytes),
        cmocka_unit_test(agrees_with_a_simple_model),
        cmocka_unit_test(walking_meets_each_object_once),
        cmocka_unit_test(the_hash_is_the_one_it_should_be),
        cmocka_unit_test(the_hash_mixes),
        cmocka_unit_test(a_second_object_of_a_key_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
