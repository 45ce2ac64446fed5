/* The queue's actor: whole lives of messages in virtual time. */
#include "queue_house.h"

/* How many letters a turn takes: all tests are run with all and with one. */
static uint32_t max_letters;

static struct house *house_with(const struct queue_settings *settings)
{
    return house_of(settings, 1, max_letters);
}

static struct house *house(void)
{
    struct queue_settings s = house_settings();
    return house_with(&s);
}

static void reply(struct delivery_result *r, enum delivery_end end, const char *text)
{
    *r = (struct delivery_result){
        .end = end, .is_reply = true, .text = span_text(text), .remote = SPAN("mx.b.test")};
}

/* By the address: "bad…" fails, "later…" is deferred, all others are delivered. */
static void by_name(struct house *h, struct span address, struct delivery_result *result)
{
    (void)h;
    if (span_starts_with(address, SPAN("bad")))
        reply(result, DELIVERY_FAILED, "550 5.1.1 no such user");
    if (span_starts_with(address, SPAN("later")))
        reply(result, DELIVERY_DEFERRED, "450 4.2.0 greylisted");
}

static struct stored *of(struct house *h, struct id id)
{
    struct stored *s = stored_of(h, id);
    assert_non_null(s);
    return s;
}

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

/* The only message in the spool that is not `id`: the notification about it. */
static struct stored *notification_of(struct house *h, struct id id)
{
    struct stored *found = NULL;
    for (uint32_t i = 0; i < h->stored_count; i++)
        if (!id_equal(h->stored[i].id, id)) {
            assert_null(found);
            found = &h->stored[i];
        }
    return found;
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
    expect_span(dsn->mail->envelope.recipients[0], SPAN("a@a.test"));
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

static void domain_is_gone(void **state)
{
    (void)state;
    struct house *h = house();
    struct id id = house_accept(h, "a@a.test", "x@gone.test");
    house_run(h, SIM_SECOND);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->notifications, 1);
    assert_true(notification_of(h, id)->is_done);
    house_stop(h);
    house_free(h);
}

static void dns_is_away(void **state)
{
    (void)state;
    struct house *h = house();
    h->dns_fault = FAULT_DNS_TEMPORARY;
    struct id ids[20];
    for (size_t i = 0; i < ROWS(ids); i++)
        ids[i] = house_accept(h, "a@a.test", "x@b.test");
    house_run(h, SIM_SECOND);
    assert_true(h->questions <= 2);
    assert_int_equal(h->deliveries, 0);
    assert_int_equal(of(h, ids[0])->state.recipients[0].attempts, 1);
    h->dns_fault = FAULT_NONE;
    house_run(h, 7 * MINUTE);
    for (size_t i = 0; i < ROWS(ids); i++)
        assert_true(of(h, ids[i])->is_done);
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

static void thousand_recipients_three_sites(void **state)
{
    (void)state;
    struct house *h = house();
    static char text[1000][32];
    static struct span to[1000];
    for (int i = 0; i < 1000; i++) {
        snprintf(text[i], sizeof text[i], "u%d@x%d.site%d.test", i, i % 7, i % 3);
        to[i] = span_text(text[i]);
    }
    struct id id = house_accept_many(h, "a@a.test", "192.0.2.1", to, 1000);
    house_run(h, 2 * SIM_SECOND);
    struct stored *s = of(h, id);
    assert_true(s->is_done);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(s->delivered[i], 1);
    assert_in_range(h->max_recipients, 90, 100);
    assert_int_equal(h->site_count, 3);
    assert_true(h->deliveries <= 60);
    assert_true(h->appends <= h->deliveries);
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

/* Most of them are never tried, since the site is away: they expire all the same. */
static void expires_while_the_site_is_away(void **state)
{
    (void)state;
    struct house *h = house();
    h->sites[site_seen(h, SPAN("mx.b.test:25"))].is_down = true;
    for (int i = 0; i < 50; i++)
        (void)house_accept(h, "a@a.test", "x@b.test");
    house_run(h, 4 * DAY);
    assert_int_equal(house_counts(h).messages, 50);
    house_run(h, DAY + 5 * HOUR);
    assert_int_equal(house_counts(h).messages, 0);
    assert_int_equal(house_counts(h).expired, 50);
    assert_true(h->sites[0].deliveries < 600);
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

/* Those that wait for a site that is away are not ended by a jump before it was tried again. */
static void wall_clock_jumps_while_away(void **state)
{
    (void)state;
    struct house *h = house();
    h->sites[site_seen(h, SPAN("mx.b.test:25"))].is_down = true;
    for (int i = 0; i < 20; i++)
        (void)house_accept(h, "a@a.test", "x@b.test");
    house_run(h, HOUR);
    uint32_t faults = h->sites[0].faults;
    machine_wall_jump(h->machine, INT64_C(400) * 24 * 3600 * 1000);
    while (h->sites[0].faults == faults) {
        assert_int_equal(h->notifications, 0);
        house_run(h, SIM_SECOND);
    }
    house_run(h, 5 * DAY);
    assert_int_equal(house_counts(h).expired, 20);
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

/* The same for those that only wait for a site that is away. */
static void wall_clock_goes_back_while_away(void **state)
{
    (void)state;
    struct house *h = house();
    h->sites[site_seen(h, SPAN("mx.b.test:25"))].is_down = true;
    for (int i = 0; i < 100; i++)
        (void)house_accept(h, "a@a.test", "x@b.test");
    house_run(h, MINUTE);
    machine_wall_jump(h->machine, -INT64_C(400) * 24 * 3600 * 1000);
    house_run(h, 11 * DAY);
    assert_int_equal(house_counts(h).messages, 0);
    assert_int_equal(house_counts(h).expired, 100);
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

static void no_domain(void **state)
{
    (void)state;
    struct house *h = house();
    struct id id = house_accept(h, "a@a.test", "postmaster");
    house_run(h, SIM_SECOND);
    assert_true(of(h, id)->state.held);
    house_stop(h);
    house_free(h);
    struct queue_settings s = house_settings();
    s.next_hop = "127.0.0.1";
    s.next_hop_port = 2525;
    h = house_with(&s);
    id = house_accept(h, "a@a.test", "postmaster");
    (void)house_accept(h, "a@a.test", "x@y.test");
    house_run(h, SIM_SECOND);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->site_count, 1);
    assert_int_equal(h->questions, 1);
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

static void crash_and_recover(struct house *h, bool sending)
{
    house_die(h);
    house_live(h);
    house_recover(h, sending);
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

static void retry_all(void **state)
{
    (void)state;
    struct house *h = house();
    h->sites[site_seen(h, SPAN("mx.b.test:25"))].is_down = true;
    h->on_recipient = by_name;
    for (int i = 0; i < 30; i++)
        (void)house_accept(h, "a@a.test", i % 2 ? "x@b.test" : "later@c.test");
    house_run(h, HOUR);
    assert_int_equal(house_counts(h).messages, 30);
    h->sites[0].is_down = false;
    h->on_recipient = NULL;
    uint32_t questions = h->questions;
    struct operate o = {.operation = OPERATE_RETRY, .all = true};
    house_operate(h, &o);
    assert_int_equal(o.changed, 30);
    house_run(h, SIM_SECOND);
    assert_int_equal(house_counts(h).messages, 0);
    assert_true(h->questions > questions);
    house_stop(h);
    house_free(h);
}

/* Its messages need not each find out that a site is away; all go when it is back. */
static void site_is_away(void **state)
{
    (void)state;
    struct house *h = house();
    h->sites[site_seen(h, SPAN("mx.b.test:25"))].is_down = true;
    for (int i = 0; i < 200; i++)
        (void)house_accept(h, "a@a.test", "x@b.test");
    house_run(h, 10 * MINUTE);
    assert_true(h->sites[0].deliveries < 20);
    assert_int_equal(house_counts(h).messages, 200);
    uint32_t before = h->sites[0].deliveries;
    h->sites[0].busy_max = 0;
    h->sites[0].is_down = false;
    while (h->sites[0].deliveries == before)
        house_run(h, 1000);
    house_run(h, h->delivery_us / 2);
    assert_int_equal(h->sites[0].busy_max, 1); /* the probe */
    assert_int_equal(h->sites[0].deliveries, before + 1);
    house_run(h, 5 * SIM_SECOND);
    assert_int_equal(house_counts(h).messages, 0);
    assert_true(h->sites[0].busy_max > 1);
    house_stop(h);
    house_free(h);
}

/* The hosts of a domain change while its mail waits for a site that is away. */
static void domain_moves(void **state)
{
    (void)state;
    struct house *h = house();
    h->sites[site_seen(h, SPAN("mx.b.test:25"))].is_down = true;
    for (int i = 0; i < 100; i++)
        (void)house_accept(h, "a@a.test", i % 2 ? "x@b.test" : "x@other.b.test");
    house_run(h, MINUTE);
    assert_int_equal(house_counts(h).messages, 100);
    h->moved = SPAN("other.b.test");
    house_run(h, 6 * HOUR);
    assert_int_equal(house_counts(h).messages, 50);
    h->sites[0].is_down = false;
    house_run(h, 6 * HOUR);
    assert_int_equal(house_counts(h).messages, 0);
    house_stop(h);
    house_free(h);
}

/* The domain is given up while its mail waits. */
static void domain_goes_away(void **state)
{
    (void)state;
    struct house *h = house();
    h->sites[site_seen(h, SPAN("mx.b.test:25"))].is_down = true;
    for (int i = 0; i < 50; i++)
        (void)house_accept(h, "a@a.test", "x@b.test");
    house_run(h, MINUTE);
    h->gone = SPAN("b.test");
    house_run(h, 6 * HOUR);
    assert_int_equal(house_counts(h).messages, 0);
    assert_int_equal(h->notifications, 50);
    house_stop(h);
    house_free(h);
}

static void window_grows_within_its_bound(void **state)
{
    (void)state;
    struct house *h = house();
    for (int i = 0; i < 2000; i++)
        (void)house_accept(h, "a@a.test", "x@b.test");
    house_run(h, 30 * SIM_SECOND);
    assert_int_equal(house_counts(h).messages, 0);
    assert_int_equal(h->sites[0].busy_max, h->settings.site_connections_max);
    house_stop(h);
    house_free(h);
}

static void one_does_not_delay_another(void **state)
{
    (void)state;
    struct house *h = house();
    h->delivery_us = SIM_SECOND;
    const struct span flood = SPAN("x@b.test"), other = SPAN("y@b.test");
    for (int i = 0; i < 10000; i++)
        (void)house_accept_many(h, "a@a.test", "192.0.2.1", &flood, 1);
    struct id id = house_accept_many(h, "a@a.test", "198.51.100.1", &other, 1);
    house_run(h, 3 * SIM_SECOND);
    assert_true(of(h, id)->is_done);
    assert_true(house_counts(h).messages > 9000);
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

/* More than may be asked for at once. */
static void many_domains(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct house *h = house();
    h->resolve_us = SIM_SECOND;
    char to[64];
    for (int i = 0; i < COUNT; i++) {
        snprintf(to, sizeof to, "x@d%d.b.test", i);
        (void)house_accept(h, "a@a.test", to);
    }
    house_run(h, 30 * SIM_SECOND);
    assert_int_equal(h->questions, COUNT);
    assert_int_equal(house_counts(h).messages, 0);
    house_stop(h);
    house_free(h);
}

/* More sites than there may be channels: idle ones give way, and nobody waits for ever. */
static void many_sites(void **state)
{
    (void)state;
    enum { COUNT = 4500 };
    struct house *h = house();
    h->delivery_us = 5 * SIM_SECOND;
    char to[64];
    for (int i = 0; i < COUNT; i++) {
        snprintf(to, sizeof to, "x@site%d.test", i);
        (void)house_accept(h, "a@a.test", to);
    }
    house_run(h, 4 * SIM_SECOND);
    struct queue_counts c = house_counts(h);
    assert_in_range(c.channels, 4000, 4096);
    assert_int_equal(c.messages, COUNT);
    house_run(h, 10 * SIM_SECOND);
    assert_int_equal(house_counts(h).messages, 0);
    assert_true(h->closes >= COUNT - 4096);
    house_stop(h);
    house_free(h);
}

static void next_hop_as_literal(void **state)
{
    (void)state;
    const struct {
        const char *next_hop;
        struct span asked;
    } rows[] = {{"127.0.0.1", SPAN("[127.0.0.1]")},
                {"::1", SPAN("[ipv6:::1]")},
                {"relay.example", SPAN("relay.example")},
                {"[192.0.2.1]", SPAN("[192.0.2.1]")}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct queue_settings s = house_settings();
        s.next_hop = rows[i].next_hop;
        struct house *h = house_with(&s);
        (void)house_accept(h, "a@a.test", "x@y.test");
        house_run(h, SIM_SECOND);
        expect_span(span_text(h->last_question), rows[i].asked);
        house_stop(h);
        house_free(h);
    }
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

/* All was delivered before the crash, but DONE was not written. */
static void recovered_at_its_end(void **state)
{
    (void)state;
    struct house *h = house();
    struct id id = house_accept(h, "a@a.test", "ok@b.test");
    struct stored *s = of(h, id);
    s->state = (struct message_state){
        .recipients = (struct recipient_state[]){{RECIPIENT_DELIVERED, 1, STATE_NO_REPLY, 0}},
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
        cmocka_unit_test(domain_is_gone),
        cmocka_unit_test(dns_is_away),
        cmocka_unit_test(mixed_recipients),
        cmocka_unit_test(thousand_recipients_three_sites),
        cmocka_unit_test(expires),
        cmocka_unit_test(expires_while_the_site_is_away),
        cmocka_unit_test(wall_clock_jumps),
        cmocka_unit_test(wall_clock_jumps_while_away),
        cmocka_unit_test(wall_clock_goes_back),
        cmocka_unit_test(wall_clock_goes_back_while_away),
        cmocka_unit_test(nobody_to_tell),
        cmocka_unit_test(no_domain),
        cmocka_unit_test(disk_fails_for_a_while),
        cmocka_unit_test(disk_fails_for_long),
        cmocka_unit_test(notification_fails),
        cmocka_unit_test(notification_is_too_long),
        cmocka_unit_test(nobody_is_told_twice),
        cmocka_unit_test(original_is_damaged),
        cmocka_unit_test(recovered),
        cmocka_unit_test(crash_before_told),
        cmocka_unit_test(three_crashes),
        cmocka_unit_test(hold_and_release),
        cmocka_unit_test(while_delivering),
        cmocka_unit_test(remove_in_every_phase),
        cmocka_unit_test(remove_fails_on_disk),
        cmocka_unit_test(retry_all),
        cmocka_unit_test(site_is_away),
        cmocka_unit_test(domain_moves),
        cmocka_unit_test(domain_goes_away),
        cmocka_unit_test(window_grows_within_its_bound),
        cmocka_unit_test(one_does_not_delay_another),
        cmocka_unit_test(listing),
        cmocka_unit_test(showing),
        cmocka_unit_test(spool_has_lost_it),
        cmocka_unit_test(many_domains),
        cmocka_unit_test(many_sites),
        cmocka_unit_test(next_hop_as_literal),
        cmocka_unit_test(answers_pings),
        cmocka_unit_test(stop_in_the_middle_of_a_command),
        cmocka_unit_test(stop_without_a_disk),
        cmocka_unit_test(recovered_at_its_end),
        cmocka_unit_test(stop_waits_for_what_is_under_way),
        cmocka_unit_test(fresh_within_bound),
        cmocka_unit_test(crashes_at_any_moment),
    };
    int failed = cmocka_run_group_tests_name("all letters a turn", tests, NULL, NULL);
    max_letters = 1;
    return failed + cmocka_run_group_tests_name("one letter a turn", tests, NULL, NULL);
}
