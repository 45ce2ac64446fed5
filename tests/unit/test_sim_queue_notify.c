/* Who is told what (RFC 3461), simulated: failures, delays, successes, and nobody who did not want
 * it; over crashes too. */
#include "queue_house.h"

#include "mail/notify.h"
#include "queue/message.h"

static struct house *house(void)
{
    struct queue_settings s = house_settings();
    s.delay_notice_ms = 4 * 3600 * 1000;
    return house_of(&s, 1, 64);
}

static void end(struct house *h)
{
    house_stop(h);
    house_free(h);
}

static struct stored *of(struct house *h, struct id id)
{
    struct stored *s = stored_of(h, id);
    assert_non_null(s);
    return s;
}

/* By the first letters of the local part. */
static void by_name(struct house *h, struct span address, struct delivery_result *result)
{
    (void)h;
    result->is_reply = true;
    if (span_starts_with(address, SPAN("bad"))) {
        result->end = DELIVERY_FAILED;
        result->text = SPAN("550 5.1.1 no such user");
    } else if (span_starts_with(address, SPAN("later"))) {
        result->end = DELIVERY_DEFERRED;
        result->text = SPAN("450 4.2.0 greylisted");
    } else {
        result->end = DELIVERY_DELIVERED;
        result->is_relayed = span_starts_with(address, SPAN("relayed"));
    }
}

struct row {
    const char *to;
    uint8_t notify;
    uint32_t failed, delayed, relayed;
};

static void only_what_was_asked_for_is_told(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"bad@b.test", 0, 1, 0, 0},
        {"bad@b.test", NOTIFY_FAILURE, 1, 0, 0},
        {"bad@b.test", NOTIFY_NEVER, 0, 0, 0},
        {"bad@b.test", NOTIFY_SUCCESS | NOTIFY_DELAY, 0, 0, 0},
        {"ok@b.test", NOTIFY_SUCCESS, 0, 0, 0}, /* the next host tells */
        {"relayed@b.test", NOTIFY_SUCCESS, 0, 0, 1},
        {"relayed@b.test", NOTIFY_SUCCESS | NOTIFY_FAILURE, 0, 0, 1},
        {"relayed@b.test", NOTIFY_FAILURE | NOTIFY_DELAY, 0, 0, 0},
        {"relayed@b.test", NOTIFY_NEVER, 0, 0, 0},
        {"relayed@b.test", 0, 0, 0, 0},
        {"later@b.test", 0, 1, 1, 0},
        {"later@b.test", NOTIFY_DELAY, 0, 1, 0},
        {"later@b.test", NOTIFY_FAILURE, 1, 0, 0},
        {"later@b.test", NOTIFY_SUCCESS, 0, 0, 0},
        {"later@b.test", NOTIFY_NEVER, 0, 0, 0},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct house *h = house();
        h->on_recipient = by_name;
        h->notify = rows[i].notify;
        struct id id = house_accept(h, "a@a.test", rows[i].to);
        house_run(h, 6 * DAY);
        assert_true(of(h, id)->is_done);
        assert_int_equal(h->told[DSN_FAILED], rows[i].failed);
        assert_int_equal(h->told[DSN_DELAYED], rows[i].delayed);
        assert_int_equal(h->told[DSN_RELAYED], rows[i].relayed);
        assert_int_equal(h->told[DSN_DELIVERED] + h->told[DSN_EXPANDED], 0);
        assert_int_equal(house_counts(h).messages, 0);
        end(h);
    }
}

/* Where the way of a message ends with us (RFC 3461 5.2.3). */
static void the_last_delivery_is_told(void **state)
{
    (void)state;
    static const struct {
        enum route_transport transport;
        const char *to;
        uint8_t notify;
        uint32_t delivered;
    } rows[] = {
        {ROUTE_LOCAL, "ok@b.test", NOTIFY_SUCCESS, 1},
        {ROUTE_LOCAL, "ok@b.test", NOTIFY_FAILURE, 0},
        {ROUTE_LOCAL, "ok@b.test", 0, 0},
        {ROUTE_LMTP, "relayed@b.test", NOTIFY_SUCCESS, 1}, /* a store without DSN */
        {ROUTE_LMTP, "ok@b.test", NOTIFY_SUCCESS, 0},      /* it does it itself */
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct house *h = house();
        h->on_recipient = by_name;
        h->transport = rows[i].transport;
        h->notify = rows[i].notify;
        struct id id = house_accept(h, "a@a.test", rows[i].to);
        house_run(h, MINUTE);
        assert_true(of(h, id)->is_done);
        assert_int_equal(h->told[DSN_DELIVERED], rows[i].delivered);
        assert_int_equal(h->notifications, rows[i].delivered);
        end(h);
    }
}

static void a_delay_is_told_once_and_in_time(void **state)
{
    (void)state;
    struct house *h = house();
    const struct span to[] = {SPAN("later1@b.test"), SPAN("ok@b.test"), SPAN("later2@c.test")};
    h->on_recipient = by_name;
    struct id id = house_accept_many(h, "a@a.test", "192.0.2.1", to, 3);
    house_run(h, 4 * HOUR - SIM_SECOND);
    assert_int_equal(h->told[DSN_DELAYED], 0);
    house_run(h, 2 * SIM_SECOND);
    assert_int_equal(h->told[DSN_DELAYED], 2);
    assert_int_equal(h->notifications, 1);
    assert_true(of(h, id)->state.is_delay_told);
    house_die(h);
    house_live(h);
    house_recover(h, false);
    house_run(h, DAY);
    assert_int_equal(h->notifications, 1);
    h->on_recipient = NULL;
    house_run(h, DAY);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->notifications, 1);
    end(h);
}

/* A clock that was wrong: nobody is late before the next attempt, and then only if that fails. */
static void a_clock_that_jumps_makes_nobody_late(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct house *h = house();
        h->on_recipient = by_name;
        struct id id = house_accept(h, "a@a.test", "later@b.test");
        house_run(h, MINUTE);
        machine_wall_jump(h->machine, INT64_C(10) * 3600 * 1000);
        house_run(h, 2 * MINUTE);
        assert_int_equal(h->notifications, 0);
        if (i == 0)
            h->on_recipient = NULL;
        house_run(h, HOUR);
        assert_int_equal(h->told[DSN_DELAYED], i);
        assert_int_equal(of(h, id)->is_done, i == 0);
        end(h);
    }
}

/* Also who was never tried, since its site was away all the time. */
static void a_site_that_is_away_makes_late(void **state)
{
    (void)state;
    struct house *h = house();
    (void)house_accept(h, "a@a.test", "x@b.test");
    house_run(h, SIM_SECOND);
    assert_int_equal(h->site_count, 1);
    h->sites[0].is_down = true;
    for (int i = 0; i < 5; i++)
        (void)house_accept(h, "a@a.test", "x@b.test");
    house_run(h, 5 * HOUR);
    assert_int_equal(h->told[DSN_DELAYED], 5);
    h->sites[0].is_down = false;
    house_run(h, DAY);
    assert_int_equal(h->told[DSN_DELAYED], 5);
    assert_int_equal(house_counts(h).messages, 0);
    end(h);
}

static void a_delay_that_cannot_be_told_is_told_later(void **state)
{
    (void)state;
    static const enum fault faults[] = {FAULT_NO_MEMORY, FAULT_LIMIT, FAULT_DAMAGED};
    for (size_t i = 0; i < ROWS(faults); i++) {
        struct house *h = house();
        h->on_recipient = by_name;
        h->notify_faults = 3;
        h->notify_fault = faults[i];
        struct id id = house_accept(h, "a@a.test", "later@b.test");
        house_run(h, 5 * HOUR);
        assert_int_equal(h->told[DSN_DELAYED], faults[i] != FAULT_DAMAGED);
        assert_false(of(h, id)->is_done || of(h, id)->state.held);
        end(h);
    }
}

/* The record with the outcome is durable, and the process dies before the sender is told. */
static void a_report_that_is_owed_survives(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->notify = NOTIFY_SUCCESS;
    h->notify_faults = 1000000;
    h->notify_fault = FAULT_NO_MEMORY;
    struct id id = house_accept(h, "a@a.test", "relayed@b.test");
    house_run(h, 10 * SIM_SECOND);
    assert_false(of(h, id)->is_done);
    assert_int_equal(of(h, id)->state.recipients[0].standing, RECIPIENT_DELIVERED);
    assert_int_equal(of(h, id)->state.recipients[0].report, REPORT_RELAYED);
    house_die(h);
    house_live(h);
    h->notify_faults = 0;
    of(h, id)->delivered[0] = 1; /* it stays delivered: nobody is tried again */
    house_recover(h, false);
    house_run(h, MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->told[DSN_RELAYED], 1);
    assert_int_equal(h->deliveries, 2); /* that, and the notification */
    end(h);
}

static void a_report_that_can_never_be_made_ends_untold(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->notify = NOTIFY_SUCCESS;
    h->notify_faults = 1;
    h->notify_fault = FAULT_DAMAGED;
    struct id id = house_accept(h, "a@a.test", "relayed@b.test");
    house_run(h, MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->told[DSN_RELAYED], 0);
    end(h);
}

/* The list's own name beside its members: delivered nowhere, told of. */
static void an_expansion_is_told(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->notify = NOTIFY_SUCCESS | NOTIFY_EXPANDED;
    struct id id = house_accept(h, "a@a.test", "list@b.test");
    house_run(h, MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(of(h, id)->delivered[0], 0);
    assert_int_equal(h->told[DSN_EXPANDED], 1);
    assert_int_equal(h->deliveries, 1); /* of the notification */
    h->notify = NOTIFY_SUCCESS | NOTIFY_EXPANDED;
    id = house_accept(h, "", "list@b.test");
    house_run(h, MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->told[DSN_EXPANDED], 1);
    end(h);
}

static void a_failure_without_a_sender_goes_to_the_postmaster(void **state)
{
    (void)state;
    struct queue_settings s = house_settings();
    s.has_postmaster = true;
    struct house *h = house_of(&s, 1, 64);
    h->on_recipient = by_name;
    h->notify = NOTIFY_NEVER; /* as notifications of others have it */
    struct id id = house_accept(h, "", "bad@b.test");
    house_run(h, MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->told[DSN_FAILED], 1);
    assert_int_equal(house_counts(h).messages, 0);
    end(h);
}

static void all_fail(struct house *h, struct span address, struct delivery_result *result)
{
    (void)h, (void)address;
    result->end = DELIVERY_FAILED;
    result->is_reply = true;
    result->text = SPAN("550 5.1.1 no such user");
}

static void nobody_is_told_of_what_the_postmaster_cannot_get(void **state)
{
    (void)state;
    struct queue_settings s = house_settings();
    s.has_postmaster = true;
    struct house *h = house_of(&s, 1, 64);
    h->on_recipient = all_fail;
    struct id id = house_accept(h, "a@a.test", "bad@b.test");
    house_run(h, MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(h->notifications, 2); /* to the sender; about that, to the postmaster */
    struct queue_counts c = house_counts(h);
    assert_int_equal(c.messages, 1);
    assert_int_equal(c.held, 1);
    end(h);
}

/* It was taken out of the configuration meanwhile. */
static void without_a_postmaster_it_is_held(void **state)
{
    (void)state;
    struct queue_settings s = house_settings();
    s.has_postmaster = true;
    struct house *h = house_of(&s, 1, 64);
    h->on_recipient = by_name;
    h->notify_faults = 1;
    h->notify_fault = FAULT_DENIED;
    struct id id = house_accept(h, "", "bad@b.test");
    house_run(h, MINUTE);
    assert_true(of(h, id)->state.held);
    expect_span(of(h, id)->state.reason, held_reason_text(HELD_UNDELIVERABLE));
    end(h);
}

/* An operator ends what waits to be told. */
static void what_is_owed_can_be_removed(void **state)
{
    (void)state;
    struct house *h = house();
    h->on_recipient = by_name;
    h->notify = NOTIFY_SUCCESS;
    h->notify_faults = 1000000;
    h->notify_fault = FAULT_NO_MEMORY;
    struct id id = house_accept(h, "a@a.test", "relayed@b.test");
    house_run(h, 10 * SIM_SECOND);
    assert_int_equal(house_change(h, OPERATE_REMOVE, id), FAULT_NONE);
    house_run(h, 2 * MINUTE);
    assert_true(of(h, id)->is_done);
    assert_int_equal(house_counts(h).messages, 0);
    end(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_asked_for_is_told),
        cmocka_unit_test(the_last_delivery_is_told),
        cmocka_unit_test(a_delay_is_told_once_and_in_time),
        cmocka_unit_test(a_clock_that_jumps_makes_nobody_late),
        cmocka_unit_test(a_site_that_is_away_makes_late),
        cmocka_unit_test(a_delay_that_cannot_be_told_is_told_later),
        cmocka_unit_test(a_report_that_is_owed_survives),
        cmocka_unit_test(a_report_that_can_never_be_made_ends_untold),
        cmocka_unit_test(an_expansion_is_told),
        cmocka_unit_test(a_failure_without_a_sender_goes_to_the_postmaster),
        cmocka_unit_test(nobody_is_told_of_what_the_postmaster_cannot_get),
        cmocka_unit_test(without_a_postmaster_it_is_held),
        cmocka_unit_test(what_is_owed_can_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
