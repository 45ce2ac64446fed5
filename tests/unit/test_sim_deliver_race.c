/* Two addresses of a host, simulated: IPv6 first, IPv4 a quarter of a second later (RFC 8305), and
 * what is remembered of addresses that do not answer. Host 0 is the host's IPv4 address, host 5 its
 * IPv6 one. */
#include "deliver_cases.h"

static const struct endpoint ipv6 = {6, {0xfd, 0, 0, 1, [15] = 5}, 30};
static const struct endpoint nobody6 = {6, {0xfd, 0, 0, 1, [15] = 99}, 25};
static const struct endpoint nobody4 = {4, {10, 0, 9, 9}, 25};

static int begin_race(void **state)
{
    if (begin(state) != 0)
        return 1;
    machine_address(house.sender, (struct endpoint){6, {0xfd, 0, 0, 1, [15] = 1}, 0});
    host_down(&house.hosts[5]);
    machine_address(house.peers, ipv6);
    house.hosts[5].at = ipv6;
    host_listen(&house.hosts[5]);
    struct machine *hole = machine_new(house.sim, "hole", nobody4);
    machine_address(hole, nobody6);
    machine_partition(house.sender, hole, true);
    return 0;
}

static struct route *to(struct endpoint first, struct endpoint second)
{
    struct endpoint addresses[] = {first, second};
    struct route_host host = {
        .name = SPAN("mx.example"), .address_count = 2, .addresses = addresses};
    struct route *r = route_new(&host, 1);
    assert_non_null(r);
    return r;
}

static struct endpoint ipv4(void)
{
    return house.hosts[0].at;
}

static void ipv6_answers_first(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b", 300), to(ipv6, ipv4()));
    expect_delivered(c, 0);
    expect_span(result(c, 0)->remote, SPAN("mx.example[fd00:1::5]"));
    assert_int_equal(house.hosts[0].connections, 0);
    assert_int_equal(counters().connections, 1);
    close_all(c);
}

static void ipv4_is_raced(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b", 300), to(nobody6, ipv4()));
    expect_delivered(c, 0);
    expect_span(result(c, 0)->remote, SPAN("mx.example[10.0.1.1]"));
    expect_site(c, FAULT_NONE);
    assert_in_range(took_ms(c), 250, 2000);
    assert_int_equal(counters().connections_open, 1);
    close_channel(c);
    /* From now on at once. */
    send_to(c, a_message("a@b", 300), to(nobody6, ipv4()));
    expect_delivered(c, 0);
    assert_true(took_ms(c) < 250 || house.hosts[0].connections == 2);
    assert_int_equal(counters().connections, 3);
    close_all(c);
}

/* Refused at once: no quarter of a second. */
static void ipv6_is_refused(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    host_down(&house.hosts[5]);
    for (int i = 0; i < 3; i++) {
        send_to(c, a_message("a@b", 300), to(ipv6, ipv4()));
        expect_delivered(c, 0);
        close_channel(c);
    }
    assert_int_equal(counters().connects_failed, 3); /* it has answered: it is asked again */
    close_all(a_channel());
}

static void both_are_dead(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b", 300), to(nobody6, nobody4));
    expect_fault(c, 0, FAULT_CONNECT_TIMEOUT);
    expect_site(c, FAULT_CONNECT_TIMEOUT);
    assert_in_range(took_ms(c), 10000, 10500); /* one timeout for both */
    assert_int_equal(counters().connects_failed, 2);
    assert_int_equal(counters().connections_open, 0);
    host_down(&house.hosts[0]);
    send_to(c, a_message("a@b", 300), to(nobody6, ipv4())); /* the rival is refused in the race */
    assert_int_equal(result(c, 0)->end, DELIVERY_DEFERRED);
    host_down(&house.hosts[5]);
    send_to(c, a_message("a@b", 300), to(ipv6, nobody4));
    assert_int_equal(result(c, 0)->end, DELIVERY_DEFERRED);
    close_all(c);
}

/* The rival wins, and its server is no use: the first address has its turn again. */
static void the_loser_is_not_lost(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    misbehaves(0, AT_GREETING, "421 away\r\n!");
    send_to(c, a_message("a@b", 300), to(nobody6, ipv4()));
    assert_int_equal(result(c, 0)->end, DELIVERY_DEFERRED);
    assert_int_equal(counters().connections, 3); /* both, and the first one once more */
    close_all(c);
}

/* A dead address of one host is put behind the others, and comes back after its time. */
static void silence_is_remembered(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    struct endpoint dead[] = {nobody4}, alive[] = {ipv4()};
    struct route_host hosts[] = {
        {.name = SPAN("a.example"), .preference = 10, .address_count = 1, .addresses = dead},
        {.name = SPAN("b.example"), .preference = 20, .address_count = 1, .addresses = alive}};
    send_to(c, a_message("a@b", 300), route_new(hosts, 2));
    expect_delivered(c, 0);
    assert_in_range(took_ms(c), 10000, 12000);
    close_channel(c);
    for (int i = 0; i < 3; i++) {
        send_to(c, a_message("a@b", 300), route_new(hosts, 2));
        expect_delivered(c, 0);
        assert_true(took_ms(c) < 2000);
        close_channel(c);
    }
    /* It is tried all the same when the other one is no use. */
    misbehaves(0, AT_GREETING, "421 away\r\n!");
    send_to(c, a_message("a@b", 300), route_new(hosts, 2));
    expect_fault(c, 0, FAULT_CONNECT_TIMEOUT);
    misbehaves(0, AT_GREETING, NULL);
    run(SILENCE_MS * 1000);
    send_to(c, a_message("a@b", 300), route_new(hosts, 2));
    expect_delivered(c, 0);
    assert_in_range(took_ms(c), 10000, 12000);
    close_all(c);
}

/* Whatever the network does: raced, delivered once, nothing left open. */
static void in_any_weather(void **state)
{
    (void)state;
    struct random drawn;
    random_init(&drawn, 7);
    *sim_options(house.sim) = sim_options_rough(&drawn);
    for (int i = 0; i < 60; i++) {
        struct channel *c = a_channel();
        send_to(c, a_message("a@b", 300), to(i % 3 == 0 ? nobody6 : ipv6, ipv4()));
        assert_true(c->message->taken <= 1 || result(c, 0)->in_doubt || c->message->doubts > 0);
        close_channel(c);
        house.channel_count = 0;
        forget_delivery(c);
        arena_fini(&c->delivery.arena);
        memset(c, 0, sizeof *c);
    }
    run(SIM_SECOND);
    expect_nothing_left();
}

#define RACE_CASE(name) cmocka_unit_test_setup_teardown(name, begin_race, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE_CASE(ipv6_answers_first),    RACE_CASE(ipv4_is_raced),
        RACE_CASE(ipv6_is_refused),       RACE_CASE(both_are_dead),
        RACE_CASE(the_loser_is_not_lost), RACE_CASE(silence_is_remembered),
        RACE_CASE(in_any_weather),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
