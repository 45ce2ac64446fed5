/* fairness: senders, and whose turn it is. */
#include "queue/fairness.h"

#include "expect.h"

struct entry {
    struct list node;
    struct sender *sender;
    int number;
};

static struct entry *of(struct list *node)
{
    assert_non_null(node);
    return container_of(node, struct entry, node);
}

static void senders_are_networks(void **state)
{
    (void)state;
    const struct {
        struct span a, b;
        bool same;
    } rows[] = {
        {SPAN("192.0.2.1"), SPAN("192.0.2.1"), true},
        {SPAN("192.0.2.1"), SPAN("192.0.2.254"), true},
        {SPAN("192.0.2.1"), SPAN("192.0.3.1"), false},
        {SPAN("2001:db8::1"), SPAN("2001:db8:0:0:ffff::1"), true},
        {SPAN("2001:db8::1"), SPAN("2001:db8:0:1::1"), false},
        {SPAN(""), SPAN(""), true},
        {SPAN(""), SPAN("192.0.2.1"), false},
        {SPAN("unix"), SPAN("unix"), true},
        {SPAN("unix"), SPAN("unix2"), false},
        {SPAN("192.0.2.256"), SPAN("192.0.2.1"), false},
    };
    struct senders s;
    senders_init(&s, 7);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct sender *a = sender_get(&s, rows[i].a);
        struct sender *b = sender_get(&s, rows[i].b);
        assert_int_equal(a == b, rows[i].same);
        sender_release(&s, a);
        sender_release(&s, b);
    }
    char text[1000];
    memset(text, 'x', sizeof text);
    struct sender *a = sender_get(&s, span_of(text, sizeof text));
    struct sender *b = sender_get(&s, span_of(text, sizeof text - 1));
    assert_ptr_equal(a, b); /* cut */
    sender_release(&s, a);
    sender_release(&s, b);
    assert_int_equal(s.map.count, 0);
    senders_fini(&s);
}

enum { SENDERS = 5, ENTRIES = 40 };

struct place {
    struct senders senders;
    struct sender *sender[SENDERS];
    struct fairness fairness;
    struct entry entries[SENDERS][ENTRIES];
};

static struct place *place_new(void)
{
    struct place *p = calloc(1, sizeof *p);
    assert_non_null(p);
    senders_init(&p->senders, 7);
    fairness_init(&p->fairness, 7);
    for (int i = 0; i < SENDERS; i++) {
        char text[32];
        snprintf(text, sizeof text, "192.0.%d.1", i);
        p->sender[i] = sender_get(&p->senders, span_text(text));
        assert_non_null(p->sender[i]);
    }
    return p;
}

static void place_free(struct place *p)
{
    fairness_fini(&p->fairness);
    for (int i = 0; i < SENDERS; i++)
        sender_release(&p->senders, p->sender[i]);
    senders_fini(&p->senders);
    free(p);
}

static void add(struct place *p, int sender, int number)
{
    struct entry *e = &p->entries[sender][number];
    *e = (struct entry){.sender = p->sender[sender], .number = number};
    list_init(&e->node);
    assert_true(fairness_add(&p->fairness, e->sender, &e->node));
}

static struct entry *serve(struct place *p)
{
    struct entry *e = of(fairness_first(&p->fairness));
    fairness_pass(&p->fairness);
    fairness_remove(&p->fairness, e->sender, &e->node);
    return e;
}

static void each_sender_in_turn(void **state)
{
    (void)state;
    struct place *p = place_new();
    assert_null(fairness_first(&p->fairness));
    /* The first has forty, the others one to four. */
    for (int i = 0; i < ENTRIES; i++)
        add(p, 0, i);
    for (int s = 1; s < SENDERS; s++)
        for (int i = 0; i < s; i++)
            add(p, s, i);
    int served[SENDERS] = {0};
    for (int turn = 0; turn < 14; turn++) {
        struct entry *e = serve(p);
        for (int s = 0; s < SENDERS; s++) {
            if (e->sender == p->sender[s]) {
                assert_int_equal(e->number, served[s]); /* first come, first served */
                served[s]++;
            }
        }
    }
    /* All of the small ones are through: 10 entries, and four or so of the large one. */
    for (int s = 1; s < SENDERS; s++)
        assert_int_equal(served[s], s);
    assert_int_equal(served[0], 4);
    for (int i = 4; i < ENTRIES; i++)
        assert_int_equal(serve(p)->number, i);
    assert_null(fairness_first(&p->fairness));
    assert_int_equal(p->fairness.shares.count, 0);
    place_free(p);
}

static void a_newcomer_is_next_after_one_round(void **state)
{
    (void)state;
    struct place *p = place_new();
    for (int i = 0; i < ENTRIES; i++)
        add(p, 0, i);
    (void)serve(p);
    add(p, 1, 0);
    (void)serve(p);
    assert_ptr_equal(serve(p)->sender, p->sender[1]);
    while (p->fairness.count > 0)
        (void)serve(p);
    place_free(p);
}

static void entries_leave_from_the_middle(void **state)
{
    (void)state;
    struct place *p = place_new();
    for (int i = 0; i < 3; i++)
        add(p, 0, i);
    add(p, 1, 0);
    fairness_remove(&p->fairness, p->sender[0], &p->entries[0][1].node);
    fairness_remove(&p->fairness, p->sender[1], &p->entries[1][0].node);
    assert_int_equal(p->fairness.count, 2);
    assert_int_equal(serve(p)->number, 0);
    assert_int_equal(serve(p)->number, 2);
    fairness_pass(&p->fairness); /* nobody is there */
    assert_null(fairness_first(&p->fairness));
    place_free(p);
}

/* Its end with entries in it: they stay as they are, nothing leaks. */
static void ends_with_entries(void **state)
{
    (void)state;
    struct place *p = place_new();
    for (int s = 0; s < SENDERS; s++)
        add(p, s, 0);
    place_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(senders_are_networks),
        cmocka_unit_test(each_sender_in_turn),
        cmocka_unit_test(a_newcomer_is_next_after_one_round),
        cmocka_unit_test(entries_leave_from_the_middle),
        cmocka_unit_test(ends_with_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
