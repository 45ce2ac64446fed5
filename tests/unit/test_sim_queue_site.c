/* The queue's actor: ways to sites, sites that are away, fairness between senders. */
#include "queue_cases.h"

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

static void no_domain(void **state)
{
    (void)state;
    struct house *h = house();
    struct id id = house_accept(h, "a@a.test", "postmaster");
    house_run(h, SIM_SECOND);
    assert_true(of(h, id)->state.held);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domain_is_gone),
        cmocka_unit_test(dns_is_away),
        cmocka_unit_test(thousand_recipients_three_sites),
        cmocka_unit_test(expires_while_the_site_is_away),
        cmocka_unit_test(wall_clock_jumps_while_away),
        cmocka_unit_test(wall_clock_goes_back_while_away),
        cmocka_unit_test(no_domain),
        cmocka_unit_test(retry_all),
        cmocka_unit_test(site_is_away),
        cmocka_unit_test(domain_moves),
        cmocka_unit_test(domain_goes_away),
        cmocka_unit_test(window_grows_within_its_bound),
        cmocka_unit_test(one_does_not_delay_another),
        cmocka_unit_test(many_domains),
        cmocka_unit_test(many_sites),
    };
    return RUN_TWICE(tests);
}
