/* The queue's actor: what operators ask of it, and how it stops. */
#include "queue_cases.h"

static void hold_and_release(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    struct id id = house_accept(h, "a@a.test", "later@b.test");
    house_run(h, SIM_SECOND);
    assert_int_equal(house_change(h, OPERATE_HOLD, id), FAULT_NONE);
    assert_true(of(h, id)->state.held);
    expect_span(of(h, id)->state.reason, SPAN("by an operator"));
    house_run(h, DAY);
    assert_int_equal(h->deliveries, 1);
    crash_and_recover(h, false);
    house_run(h, DAY);
    assert_int_equal(h->deliveries, 1);
    assert_int_equal(house_counts(h).held, 1);
    h->on_recipient = NULL;
    assert_int_equal(house_change(h, OPERATE_RELEASE, id), FAULT_NONE);
    house_run(h, SIM_SECOND);
    assert_true(of(h, id)->is_done);
    assert_int_equal(house_change(h, OPERATE_HOLD, id), FAULT_NOT_FOUND);
    house_stop(h);
    house_free(h);
}

/* The command is given while a delivery is under way, which then defers or delivers. */
static void while_delivering(void **state)
{
    (void)state;
    const enum operation operations[] = {OPERATE_HOLD, OPERATE_RELEASE, OPERATE_REMOVE,
                                         OPERATE_RETRY};
    for (size_t i = 0; i < 2 * ROWS(operations); i++) {
        bool is_later = i % 2 == 1;
        struct house *h = house();
        h->on_recipient = by_name;
        h->delivery_us = SIM_SECOND;
        struct id id = house_accept(h, "a@a.test", is_later ? "later@b.test" : "ok@b.test");
        house_run(h, SIM_SECOND / 2);
        assert_int_equal(house_counts(h).active, 1);
        assert_int_equal(house_change(h, operations[i / 2], id), FAULT_NONE);
        house_run(h, 2 * SIM_SECOND);
        bool is_removed = operations[i / 2] == OPERATE_REMOVE;
        assert_int_equal(of(h, id)->is_done, is_removed || !is_later);
        assert_int_equal(house_counts(h).removed, is_removed);
        assert_int_equal(house_counts(h).held, is_later && operations[i / 2] == OPERATE_HOLD);
        assert_int_equal(house_counts(h).active, 0);
        house_stop(h);
        house_free(h);
    }
}

/* Held while others of it wait for a route, for their turn and in a delivery. */
static void remove_in_every_phase(void **state)
{
    (void)state;
    for (int64_t us = 0; us < 40000; us += 500) {
        struct house *h = house();
        h->on_recipient = by_name;
        const struct span to[] = {SPAN("ok@b.test"), SPAN("later@c.test"), SPAN("bad@d.test"),
                                  SPAN("x@gone.test"), SPAN("postmaster")};
        struct id id = house_accept_many(h, "a@a.test", "192.0.2.1", to, ROWS(to));
        house_run(h, us);
        struct operate o = {.operation = us % 1000 == 0 ? OPERATE_REMOVE : OPERATE_HOLD, .id = id};
        house_operate(h, &o);
        house_run(h, SIM_SECOND);
        if (o.operation == OPERATE_HOLD) {
            assert_int_equal(house_counts(h).held, 1);
            o = (struct operate){.operation = OPERATE_REMOVE, .all = true};
            house_operate(h, &o);
        }
        assert_true(of(h, id)->is_done);
        house_stop(h);
        house_free(h);
    }
}

static void remove_fails_on_disk(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    struct id id = house_accept(h, "a@a.test", "later@b.test");
    house_run(h, SIM_SECOND);
    h->spool_faults = 1;
    assert_int_equal(house_change(h, OPERATE_REMOVE, id), FAULT_DISK_ERROR);
    house_run(h, MINUTE);
    assert_true(of(h, id)->is_done);
    house_stop(h);
    house_free(h);
}

static void listing(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    enum { COUNT = 10000 };
    for (int i = 0; i < COUNT; i++)
        (void)house_accept(h, "a@a.test", "later@b.test");
    struct operate hold = {.operation = OPERATE_HOLD, .all = true};
    house_operate(h, &hold);
    assert_int_equal(hold.fault, FAULT_NONE);
    house_run(h, 10 * SIM_SECOND);
    assert_int_equal(house_counts(h).held, COUNT);
    static struct operate_row rows[OPERATE_ROWS_MAX];
    struct id after = {0};
    uint32_t seen = 0;
    for (;;) {
        struct arena arena;
        arena_init(&arena, 1024 * 1024);
        struct operate o = {.operation = OPERATE_LIST,
                            .after = after,
                            .rows_max = 333,
                            .rows = rows,
                            .arena = &arena};
        house_operate(h, &o);
        assert_int_equal(o.fault, FAULT_NONE);
        for (uint32_t i = 0; i < o.row_count; i++) {
            assert_true(id_compare(rows[i].id, after) > 0);
            assert_true(rows[i].held);
            assert_int_equal(rows[i].recipients_waiting, 1);
            expect_span(rows[i].reply, SPAN("by an operator"));
            after = rows[i].id;
        }
        seen += o.row_count;
        arena_fini(&arena);
        if (o.row_count < 333)
            break;
    }
    assert_int_equal(seen, COUNT);
    house_stop(h);
    house_free(h);
}

static struct filter *filter_of(const char *text)
{
    struct filter *f;
    struct filter_error e;
    assert_int_equal(filter_parse(span_text(text), &f, &e), FAULT_NONE);
    return f;
}

/* How many rows come, and of how many the filter could not tell. */
static void expect_rows(struct house *h, const char *text, uint32_t rows, uint32_t maybe)
{
    static struct operate_row page[OPERATE_ROWS_MAX];
    struct filter *f = filter_of(text);
    struct arena arena;
    arena_init(&arena, 8 * 1024 * 1024);
    struct operate o = {.operation = OPERATE_LIST,
                        .filter = f,
                        .rows = page,
                        .rows_max = OPERATE_ROWS_MAX,
                        .arena = &arena};
    uint32_t seen = 0, unsure = 0;
    while (!o.is_end) {
        arena_reset(&arena);
        house_operate(h, &o);
        assert_int_equal(o.fault, FAULT_NONE);
        seen += o.row_count;
        for (uint32_t i = 0; i < o.row_count; i++) {
            unsure += page[i].is_maybe;
            assert_int_equal(page[i].recipients_count, page[i].is_maybe ? 2 : 0);
        }
    }
    if (seen != rows || unsure != maybe)
        fail_msg("%s: %u rows, %u unsure", text, seen, unsure);
    arena_fini(&arena);
    filter_free(f);
}

static void filtered(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    enum { COUNT = 5000 };
    const struct span to[] = {SPAN("later@b.test"), SPAN("ok@c.test")};
    const struct span far[] = {SPAN("later@d.test"), SPAN("later@e.test")};
    struct id id;
    for (int i = 0; i < COUNT; i++)
        id = house_accept_many(h, "a@a.test", "192.0.2.1", i % 50 == 0 ? far : to, 2);
    house_run(h, 40 * SIM_SECOND);
    expect_rows(h, "domain=b.test", COUNT - COUNT / 50, 0);
    expect_rows(h, "domain=e.test and state=deferred and attempts>=1", COUNT / 50, 0);
    expect_rows(h, "domain=c.test", 0, 0); /* delivered: nobody waits there */
    expect_rows(h, "domain=b.test and domain=d.test", 0, 0);
    expect_rows(h, "last~^4 and age<1h and size<1M", COUNT, 0);
    expect_rows(h, "age>1h", 0, 0);
    expect_rows(h, "recipient=later@d.test", COUNT, COUNT);
    expect_rows(h, "recipient~later and domain=e.test", COUNT / 50, COUNT / 50);
    expect_rows(h, "sender=x or domain=b.test", COUNT, COUNT / 50);

    /* These, and one that is not there any more. */
    const struct id ids[] = {id, {{1}}};
    struct operate remove = {.operation = OPERATE_REMOVE, .ids = ids, .id_count = 2};
    house_operate(h, &remove);
    assert_int_equal(remove.fault, FAULT_NONE);
    assert_int_equal(remove.changed, 1);
    assert_true(of(h, id)->is_done);
    house_stop(h);
    house_free(h);
}

static void bouncing(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    const struct span to[] = {SPAN("later@b.test"), SPAN("ok@c.test"), SPAN("later@d.test")};
    struct id id = house_accept_many(h, "a@a.test", "192.0.2.1", to, 3);
    house_run(h, 20 * SIM_SECOND);
    assert_int_equal(house_change(h, OPERATE_BOUNCE, id), FAULT_NONE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(house_counts(h).failed, 2);
    assert_int_equal(house_counts(h).notified, 1);
    house_run(h, 20 * SIM_SECOND);
    /* Held ones, too; and nobody can be told of a notification. */
    id = house_accept(h, "a@a.test", "later@b.test");
    house_run(h, 20 * SIM_SECOND);
    assert_int_equal(house_change(h, OPERATE_HOLD, id), FAULT_NONE);
    assert_int_equal(house_change(h, OPERATE_BOUNCE, id), FAULT_NONE);
    assert_true(of(h, id)->is_done);
    house_run(h, 20 * SIM_SECOND);
    id = house_accept(h, "", "later@b.test");
    house_run(h, 20 * SIM_SECOND);
    assert_int_equal(house_change(h, OPERATE_BOUNCE, id), FAULT_NONE);
    assert_false(of(h, id)->is_done);
    assert_int_equal(house_counts(h).held, 1);
    house_stop(h);
    house_free(h);
}

static void showing(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    const struct span to[] = {SPAN("ok@b.test"), SPAN("later@b.test")};
    struct id id = house_accept_many(h, "a@a.test", "192.0.2.1", to, 2);
    house_run(h, SIM_SECOND);
    struct arena arena;
    arena_init(&arena, 1024 * 1024);
    struct operate_row row;
    struct operate o = {.operation = OPERATE_SHOW, .id = id, .rows = &row, .arena = &arena};
    house_operate(h, &o);
    assert_int_equal(o.fault, FAULT_NONE);
    assert_int_equal(o.recipient_count, 2);
    assert_int_equal(o.recipients[0].standing, RECIPIENT_DELIVERED);
    assert_int_equal(o.recipients[1].standing, RECIPIENT_WAITING);
    expect_span(o.recipients[1].reply, SPAN("450 4.2.0 greylisted"));
    expect_span(row.reply, SPAN("450 4.2.0 greylisted"));
    assert_int_equal(row.recipients_total, 2);
    assert_int_equal(row.recipients_waiting, 1);
    o.id = (struct id){{1}};
    house_operate(h, &o);
    assert_int_equal(o.fault, FAULT_NOT_FOUND);
    arena_fini(&arena);
    house_stop(h);
    house_free(h);
}

static void answers_pings(void **state)
{
    (void)state;
    struct house *h = house();
    struct letter ping = {0};
    house_send(h, &ping, LETTER_PING);
    house_run(h, 10000);
    assert_int_equal(h->answered, 1);
    assert_true(ping.is_answer);
    house_stop(h);
    house_free(h);
}

/* A stop ends what an operator asked for, answered all the same. */
static void stop_in_the_middle_of_a_command(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    for (int i = 0; i < 3000; i++)
        (void)house_accept(h, "a@a.test", "later@b.test");
    house_run(h, 10 * SIM_SECOND);
    h->append_us = SIM_SECOND;
    struct operate o = {.operation = OPERATE_HOLD, .all = true};
    uint32_t before = h->answered;
    house_send(h, &o.letter, LETTER_OPERATE);
    house_stop(h);
    assert_int_equal(h->answered, before + 2);
    assert_true(o.fault == FAULT_NONE || o.fault == FAULT_STOPPING);
    house_free(h);
}

/* The disk is gone: a stop does not wait for it. */
static void stop_without_a_disk(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->spool_faults = UINT32_MAX;
    (void)house_accept(h, "a@a.test", "bad@b.test");
    (void)house_accept(h, "a@a.test", "ok@b.test");
    (void)house_accept(h, "a@a.test", "later@b.test");
    house_run(h, MINUTE);
    house_stop(h);
    house_free(h);
}

static void stop_waits_for_what_is_under_way(void **state)
{
    (void)state;
    struct house *h = house();
    h->delivery_us = 3 * SIM_SECOND;
    struct id id = house_accept(h, "a@a.test", "ok@b.test");
    for (int i = 0; i < 50; i++)
        (void)house_accept(h, "a@a.test", "ok@c.test");
    house_run(h, SIM_SECOND);
    uint32_t before = h->deliveries;
    house_stop(h);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->deliveries, before);
    house_free(h);
}

/* The sender is told of who waits, of who is delivered meanwhile not; nobody is told twice. */
static void bounce_in_every_phase(void **state)
{
    (void)state;
    for (int64_t us = 0; us < 40000; us += 500) {
        struct house *h = house();
        h->on_recipient = by_name;
        const struct span to[] = {SPAN("ok@b.test"), SPAN("later@c.test"), SPAN("postmaster")};
        struct id id = house_accept_many(h, "a@a.test", "192.0.2.1", to, ROWS(to));
        house_run(h, us);
        for (int i = 0; i < 20 && !of(h, id)->is_done; i++) {
            struct operate o = {.operation = OPERATE_BOUNCE, .id = id};
            house_operate(h, &o);
            assert_true(o.fault == FAULT_NONE || o.fault == FAULT_NOT_FOUND);
            house_run(h, SIM_SECOND);
        }
        assert_true(of(h, id)->is_done);
        uint64_t notified = house_counts(h).notified;
        assert_true(notified >= 1 && notified <= 2);
        house_stop(h);
        house_free(h);
    }
}

static void bounce_of_what_is_held(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    struct id held = house_accept(h, "a@a.test", "later@b.test");
    struct id silent = house_accept(h, "", "later@b.test");
    house_run(h, SIM_SECOND);
    assert_int_equal(house_change(h, OPERATE_HOLD, held), FAULT_NONE);
    const struct id both[] = {held, silent, {{1}}};
    struct operate o = {.operation = OPERATE_BOUNCE, .ids = both, .id_count = 3};
    house_operate(h, &o);
    assert_int_equal(o.fault, FAULT_NONE);
    assert_int_equal(o.changed, 2);
    assert_true(of(h, held)->is_done);
    assert_true(of(h, silent)->state.held); /* nobody can be told */
    assert_int_equal(house_counts(h).notified, 1);
    house_stop(h);
    house_free(h);
}

/* The notification can no longer be made: the operator is told so, and the queue ends. */
static void stop_in_the_middle_of_a_bounce(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    (void)house_accept(h, "a@a.test", "later@b.test");
    house_run(h, SIM_SECOND);
    struct operate o = {.operation = OPERATE_BOUNCE, .all = true};
    house_send(h, &o.letter, LETTER_OPERATE);
    house_stop(h);
    assert_true(o.fault == FAULT_NONE || o.fault == FAULT_STOPPING);
    house_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hold_and_release),
        cmocka_unit_test(while_delivering),
        cmocka_unit_test(remove_in_every_phase),
        cmocka_unit_test(remove_fails_on_disk),
        cmocka_unit_test(listing),
        cmocka_unit_test(filtered),
        cmocka_unit_test(bouncing),
        cmocka_unit_test(showing),
        cmocka_unit_test(bounce_in_every_phase),
        cmocka_unit_test(bounce_of_what_is_held),
        cmocka_unit_test(stop_in_the_middle_of_a_bounce),
        cmocka_unit_test(answers_pings),
        cmocka_unit_test(stop_in_the_middle_of_a_command),
        cmocka_unit_test(stop_without_a_disk),
        cmocka_unit_test(stop_waits_for_what_is_under_way),
    };
    return RUN_TWICE(tests);
}
