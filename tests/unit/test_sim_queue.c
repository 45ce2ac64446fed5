/* The queue's actor: whole lives of messages in virtual time. */
#include "queue_cases.h"

static void delivered(void **state)
{
    (void)state;
    struct house *h = house();
    struct id id = house_accept(h, "a@a.test", "ok@b.test");
    house_run(h, SIM_SECOND);
    assert_true(of(h, id)->is_done);
    assert_int_equal(of(h, id)->delivered[0], 1);
    assert_int_equal(h->with_mail, 1);
    assert_int_equal(h->appends, 1);
    struct queue_counts c = house_counts(h);
    assert_int_equal(c.messages, 0);
    assert_int_equal(c.recipients, 0);
    assert_int_equal(c.active, 0);
    assert_int_equal(c.accepted, 1);
    assert_int_equal(c.delivered, 1);
    assert_int_equal(c.channels, 1);
    house_run(h, 2 * MINUTE);
    assert_int_equal(house_counts(h).channels, 0);
    assert_int_equal(h->closes, 1);
    house_stop(h);
    house_free(h);
}

static void deferred_then_delivered(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    struct id id = house_accept(h, "a@a.test", "later@b.test");
    house_run(h, SIM_SECOND);
    struct stored *s = of(h, id);
    assert_false(s->is_done);
    assert_true(s->has_state);
    assert_int_equal(s->state.recipients[0].standing, RECIPIENT_WAITING);
    assert_int_equal(s->state.recipients[0].attempts, 1);
    expect_span(s->state.replies[s->state.recipients[0].reply], SPAN("450 4.2.0 greylisted"));
    assert_int_equal(h->deliveries, 1);
    house_run(h, 4 * MINUTE);
    assert_int_equal(h->deliveries, 1);
    h->on_recipient = NULL;
    house_run(h, 2 * MINUTE);
    assert_int_equal(h->deliveries, 2);
    assert_true(of(h, id)->is_done);
    struct queue_counts c = house_counts(h);
    assert_int_equal(c.deferred, 0);
    assert_int_equal(c.deferrals, 1);
    house_stop(h);
    house_free(h);
}

static void failed_is_told(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    struct id id = house_accept(h, "a@a.test", "bad@b.test");
    house_run(h, SIM_SECOND);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->groups, 1);
    struct stored *dsn = notification_of(h, id);
    assert_non_null(dsn);
    expect_span(dsn->mail->envelope.recipients[0].path, SPAN("a@a.test"));
    assert_int_equal(dsn->mail->envelope.reverse_path.len, 0);
    assert_true(dsn->is_done);
    assert_int_equal(dsn->delivered[0], 1);
    struct queue_counts c = house_counts(h);
    assert_int_equal(c.failed, 1);
    assert_int_equal(c.notified, 1);
    assert_int_equal(c.messages, 0);
    house_stop(h);
    house_free(h);
}

static void mixed_recipients(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    const struct span to[] = {SPAN("ok@b.test"),   SPAN("later@b.test"), SPAN("bad1@b.test"),
                              SPAN("bad2@b.test"), SPAN("ok@c.test"),    SPAN("bad@gone.test")};
    struct id id = house_accept_many(h, "a@a.test", "192.0.2.1", to, ROWS(to));
    house_run(h, SIM_SECOND);
    struct stored *s = of(h, id);
    assert_false(s->is_done);
    const enum recipient_standing expected[] = {RECIPIENT_DELIVERED, RECIPIENT_WAITING,
                                                RECIPIENT_FAILED,    RECIPIENT_FAILED,
                                                RECIPIENT_DELIVERED, RECIPIENT_FAILED};
    for (size_t i = 0; i < ROWS(expected); i++)
        assert_int_equal(s->state.recipients[i].standing, expected[i]);
    assert_true(h->notifications <= 2);
    h->on_recipient = NULL;
    house_run(h, 6 * MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(of(h, id)->delivered[1], 1);
    assert_int_equal(of(h, id)->delivered[0], 1);
    house_stop(h);
    house_free(h);
}

static void expires(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    struct id id = house_accept(h, "a@a.test", "later@b.test");
    house_run(h, 5 * DAY - HOUR);
    assert_false(of(h, id)->is_done);
    /* 5, 10, 20 … minutes up to 4 hours, spread by a tenth. */
    assert_in_range(of(h, id)->state.recipients[0].attempts, 28, 45);
    house_run(h, 5 * HOUR);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->groups, 1);
    struct queue_counts c = house_counts(h);
    assert_int_equal(c.expired, 1);
    assert_int_equal(c.failed, 1);
    house_stop(h);
    house_free(h);
}

static void wall_clock_jumps(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    struct id id = house_accept(h, "a@a.test", "later@b.test");
    house_run(h, MINUTE);
    uint32_t before = h->deliveries;
    machine_wall_jump(h->machine, INT64_C(400) * 24 * 3600 * 1000);
    house_run(h, MINUTE);
    assert_int_equal(h->deliveries, before); /* it does not hurry anything */
    assert_int_equal(h->notifications, 0);
    house_run(h, 5 * MINUTE);
    assert_int_equal(h->deliveries, before + 2); /* one more attempt, and the notification */
    assert_true(of(h, id)->is_done);
    house_stop(h);
    house_free(h);
}

/* What came while the clock was ahead is not kept until the clock is there again. */
static void wall_clock_goes_back(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    struct id id = house_accept(h, "a@a.test", "later@b.test");
    house_run(h, MINUTE);
    machine_wall_jump(h->machine, -INT64_C(400) * 24 * 3600 * 1000);
    house_run(h, 4 * DAY);
    assert_false(of(h, id)->is_done);
    house_run(h, DAY + 5 * HOUR);
    assert_true(of(h, id)->is_done);
    assert_int_equal(house_counts(h).expired, 1);
    house_stop(h);
    house_free(h);
}

static void nobody_to_tell(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    struct id id = house_accept(h, "", "bad@b.test");
    house_run(h, SIM_SECOND);
    struct stored *s = of(h, id);
    assert_false(s->is_done);
    assert_true(s->state.held);
    assert_true(span_starts_with(s->state.reason, SPAN("undeliverable")));
    assert_int_equal(h->notifications, 0);
    assert_int_equal(house_counts(h).held, 1);
    house_run(h, DAY);
    assert_int_equal(h->deliveries, 1);
    h->on_recipient = NULL;
    assert_int_equal(house_change(h, OPERATE_RELEASE, id), FAULT_NONE);
    house_run(h, SIM_SECOND);
    assert_true(of(h, id)->is_done);
    assert_int_equal(house_counts(h).held, 0);
    house_stop(h);
    house_free(h);
}

static void disk_fails_for_a_while(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->spool_faults = 4;
    struct id ok = house_accept(h, "a@a.test", "ok@b.test");
    struct id later = house_accept(h, "a@a.test", "later@b.test");
    struct id bad = house_accept(h, "a@a.test", "bad@b.test");
    house_run(h, 10 * MINUTE);
    assert_int_equal(h->spool_faults, 0);
    assert_true(of(h, ok)->is_done);
    assert_int_equal(of(h, ok)->delivered[0], 1);
    assert_true(of(h, bad)->is_done);
    assert_true(of(h, later)->has_state);
    house_stop(h);
    house_free(h);
}

/* While nothing can be made durable nothing new is delivered either. */
static void disk_fails_for_long(void **state)
{
    (void)state;
    struct house *h = house();
    h->spool_faults = UINT32_MAX;
    (void)house_accept(h, "a@a.test", "ok@b.test");
    house_run(h, SIM_SECOND);
    for (int i = 0; i < 10; i++)
        (void)house_accept(h, "a@a.test", "ok@b.test");
    house_run(h, HOUR);
    assert_int_equal(h->deliveries, 1);
    h->spool_faults = 0;
    house_run(h, 2 * MINUTE);
    assert_int_equal(h->deliveries, 11);
    assert_int_equal(house_counts(h).messages, 0);
    house_stop(h);
    house_free(h);
}

static void notification_fails(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->notify_faults = 5;
    h->notify_fault = FAULT_NO_MEMORY;
    struct id id = house_accept(h, "a@a.test", "bad@b.test");
    house_run(h, 500000);
    assert_false(of(h, id)->is_done);
    house_run(h, 5 * MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->deliveries, 2); /* it and the notification */
    house_stop(h);
    house_free(h);
}

static void notification_is_too_long(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->notify_faults = 3;
    h->notify_fault = FAULT_LIMIT;
    struct span to[60];
    for (size_t i = 0; i < ROWS(to); i++)
        to[i] = SPAN("bad@b.test");
    struct id id = house_accept_many(h, "a@a.test", "192.0.2.1", to, ROWS(to));
    house_run(h, 5 * SIM_SECOND);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->groups, 9); /* 60, 30 and 15 were too many; 7 at a time */
    house_stop(h);
    house_free(h);
}

/* The disk says that it could not write the notification, but did: it is not written a second time
   under another name. */
static void nobody_is_told_twice(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->spool_lies = 3;
    struct id id = house_accept(h, "a@a.test", "bad@b.test");
    house_run(h, MINUTE);
    assert_int_equal(h->spool_lies, 0);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->notifications, 1);
    assert_int_equal(notification_of(h, id)->delivered[0], 1);
    house_stop(h);
    house_free(h);
}

static void original_is_damaged(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->notify_faults = 1;
    h->notify_fault = FAULT_DAMAGED;
    struct id id = house_accept(h, "a@a.test", "bad@b.test");
    house_run(h, MINUTE);
    assert_true(of(h, id)->state.held);
    house_stop(h);
    house_free(h);
}

static void recovered(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    const struct span to[] = {SPAN("ok@b.test"), SPAN("later@b.test")};
    struct id id = house_accept_many(h, "a@a.test", "192.0.2.1", to, 2);
    house_run(h, SIM_SECOND);
    crash_and_recover(h, false);
    house_run(h, SIM_SECOND);
    assert_int_equal(of(h, id)->delivered[0] + of(h, id)->delivered[1], 0); /* not due yet */
    h->on_recipient = NULL;
    house_run(h, 6 * MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(of(h, id)->delivered[0], 0);
    assert_int_equal(of(h, id)->delivered[1], 1);
    assert_int_equal(house_counts(h).recovered, 1);
    house_stop(h);
    house_free(h);
}

/* A failure that nobody was told of has not happened. */
static void crash_before_told(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->notify_faults = UINT32_MAX;
    h->notify_fault = FAULT_NO_MEMORY;
    struct id id = house_accept(h, "a@a.test", "bad@b.test");
    house_run(h, MINUTE);
    h->notify_faults = 0;
    crash_and_recover(h, false);
    house_run(h, MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->groups, 1);
    house_stop(h);
    house_free(h);
}

/* Three crashes with the final dot out, and it is held; the count is durable before each attempt.
 */
static void three_crashes(void **state)
{
    (void)state;
    struct house *h = house();
    h->delivery_us = HOUR; /* the crash comes first */
    struct id id = house_accept(h, "a@a.test", "ok@b.test");
    for (uint32_t crash = 1; crash <= 3; crash++) {
        house_run(h, SIM_SECOND);
        assert_int_equal(h->deliveries, crash);
        crash_and_recover(h, true);
        house_run(h, SIM_SECOND / 2);
        assert_int_equal(of(h, id)->state.crashes, crash);
        assert_int_equal(of(h, id)->state.held, crash == 3);
    }
    house_run(h, HOUR);
    assert_int_equal(h->deliveries, 3);
    assert_int_equal(house_counts(h).repeated, 1); /* of the last life */
    h->delivery_us = 1000;
    assert_int_equal(house_change(h, OPERATE_RELEASE, id), FAULT_NONE);
    house_run(h, SIM_SECOND);
    assert_true(of(h, id)->is_done);
    house_stop(h);
    house_free(h);
}

static void spool_has_lost_it(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    const struct span to[] = {SPAN("later@b.test"), SPAN("later@c.test")};
    h->delivery_us = SIM_SECOND;
    h->forgotten = house_accept_many(h, "a@a.test", "192.0.2.1", to, 2);
    house_run(h, MINUTE);
    assert_int_equal(house_counts(h).messages, 0);
    assert_int_equal(house_counts(h).recipients, 0);
    house_stop(h);
    house_free(h);
}

/* All was delivered before the crash, but DONE was not written. */
static void recovered_at_its_end(void **state)
{
    (void)state;
    struct house *h = house();
    struct id id = house_accept(h, "a@a.test", "ok@b.test");
    struct stored *s = of(h, id);
    s->state = (struct message_state){
        .recipients =
            (struct recipient_state[]){{RECIPIENT_DELIVERED, 1, STATE_NO_REPLY, 0, REPORT_NONE}},
        .recipient_count = 1};
    s->version = 5;
    house_die(h);
    house_live(h);
    house_recover(h, false);
    house_run(h, SIM_SECOND);
    assert_int_equal(h->deliveries, 0);
    assert_true(of(h, id)->is_done);
    assert_int_equal(house_counts(h).messages, 0);
    house_stop(h);
    house_free(h);
}

/* Content stays in memory within its bound. */
static void fresh_within_bound(void **state)
{
    (void)state;
    struct queue_settings s = house_settings();
    s.fresh_bytes_max = 0;
    struct house *h = house_with(&s);
    (void)house_accept(h, "a@a.test", "ok@b.test");
    house_run(h, SIM_SECOND);
    assert_int_equal(h->deliveries, 1);
    assert_int_equal(h->with_mail, 0);
    house_stop(h);
    house_free(h);
}

/* Dies at any moment with everything going on; nothing leaks, nothing is done twice. */
static void crashes_at_any_moment(void **state)
{
    (void)state;
    for (int64_t us = 0; us < 60000; us += 700) {
        struct house *h = house();
        h->on_recipient = by_name;
        const struct span to[] = {SPAN("ok@b.test"), SPAN("later@c.test"), SPAN("bad@d.test"),
                                  SPAN("x@gone.test")};
        struct id id = house_accept_many(h, "a@a.test", "192.0.2.1", to, ROWS(to));
        for (int i = 0; i < 10; i++)
            (void)house_accept(h, "a@a.test", "ok@b.test");
        house_run(h, us);
        crash_and_recover(h, us % 1400 == 0);
        house_run(h, MINUTE);
        assert_int_equal(house_counts(h).messages, 1);
        h->on_recipient = NULL;
        house_run(h, 10 * MINUTE);
        assert_true(of(h, id)->is_done);
        assert_int_equal(house_counts(h).messages, 0);
        house_stop(h);
        house_free(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivered),
        cmocka_unit_test(deferred_then_delivered),
        cmocka_unit_test(failed_is_told),
        cmocka_unit_test(mixed_recipients),
        cmocka_unit_test(expires),
        cmocka_unit_test(wall_clock_jumps),
        cmocka_unit_test(wall_clock_goes_back),
        cmocka_unit_test(nobody_to_tell),
        cmocka_unit_test(disk_fails_for_a_while),
        cmocka_unit_test(disk_fails_for_long),
        cmocka_unit_test(notification_fails),
        cmocka_unit_test(notification_is_too_long),
        cmocka_unit_test(nobody_is_told_twice),
        cmocka_unit_test(original_is_damaged),
        cmocka_unit_test(recovered),
        cmocka_unit_test(crash_before_told),
        cmocka_unit_test(three_crashes),
        cmocka_unit_test(spool_has_lost_it),
        cmocka_unit_test(recovered_at_its_end),
        cmocka_unit_test(fresh_within_bound),
        cmocka_unit_test(crashes_at_any_moment),
    };
    return RUN_TWICE(tests);
}
