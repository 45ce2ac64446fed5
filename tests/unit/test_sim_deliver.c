/* Deliveries, simulated: hosts, kept connections, channels that are closed. */
#include "deliver_cases.h"

/* What goes well ------------------------------------------------------------------------------ */

static void delivers_to_one(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b.example", 500), ROUTE(0, 10));
    expect_delivered(c, 0);
    expect_site(c, FAULT_NONE);
    expect_span(result(c, 0)->remote, SPAN("mx0.example[10.0.1.1]"));
    assert_true(c->delivery.keeps_connection);
    assert_int_equal(house.hosts[0].transactions, 1);
    assert_int_equal(house.messages[0].sendings, 1);
    assert_int_equal(counters().delivered, 1);
    assert_int_equal(counters().connections_open, 1);
    close_all(c);
    assert_int_equal(house.hosts[0].quits, 1);
}

static void tells_mixed_replies(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    struct message *m = a_message("a@b 550x@b 450y@b b@b 552z@b", 5000);
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        house.hosts[0].manner.has_no_pipelining = pipelining == 0;
        send_to(c, m, ROUTE(0, 10));
        expect_delivered(c, 0);
        expect_reply(c, 1, DELIVERY_FAILED, "550 0.0.0 as asked");
        expect_reply(c, 2, DELIVERY_DEFERRED, "450 0.0.0 as asked");
        expect_delivered(c, 3);
        expect_reply(c, 4, DELIVERY_DEFERRED, "552 0.0.0 as asked");
        expect_site(c, FAULT_NONE);
        close_channel(c);
    }
    close_all(a_channel());
}

static void takes_a_part_of_the_recipients(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    struct message *m = a_message("a@b 550x@b c@b", 300);
    deliver(c, m, ROUTE(0, 10), true);
    c->delivery.recipient_count = 2;
    c->recipients[0] = 2;
    c->recipients[1] = 1;
    await(c);
    expect_delivered(c, 0);
    expect_reply(c, 1, DELIVERY_FAILED, "550 0.0.0 as asked");
    close_all(c);
    assert_null(strstr(house.ledger[0].recipients, "<a@b>"));
}

static void sends_nothing_when_all_are_refused(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        house.hosts[0].manner.has_no_pipelining = pipelining == 0;
        send_to(c, a_message("550x@b 551y@b", 5000), ROUTE(0, 10));
        expect_reply(c, 0, DELIVERY_FAILED, "550 0.0.0 as asked");
        expect_reply(c, 1, DELIVERY_FAILED, "551 0.0.0 as asked");
        assert_true(c->delivery.keeps_connection);
        close_channel(c);
    }
    run(SIM_SECOND);
    assert_int_equal(house.hosts[0].transactions, 0);
    expect_nothing_left();
}

/* More commands than the kernel and the client's window take at once. */
static void sends_to_a_thousand_through_a_tiny_window(void **state)
{
    (void)state;
    static char recipients[RECIPIENTS_MAX * 80];
    size_t at = 0;
    for (int i = 0; i < RECIPIENTS_MAX; i++)
        at += (size_t)sprintf(recipients + at,
                              "%s%d.a-rather-long-local-part-of-an-address@b.example",
                              i == 0 ? "" : " ", i + 600);
    sim_options(house.sim)->window_bytes_max = 4000;
    struct channel *c = a_channel();
    struct message *m = a_message(recipients, 20000);
    house.hosts[0].manner.is_slow = true;
    deliver(c, m, ROUTE(0, 10), true);
    c->delivery.recipient_count = 150; /* what the ledger has room for */
    await(c);
    for (uint32_t i = 0; i < 150; i++)
        expect_delivered(c, i);
    deliver(c, m, ROUTE(1, 10), true);
    misbehaves(1, AT_DATA, "450 not today\r\n");
    await(c);
    for (uint32_t i = 0; i < RECIPIENTS_MAX; i++)
        expect_reply(c, i, DELIVERY_DEFERRED, "450 not today");
    close_all(c);
}

/* Hosts --------------------------------------------------------------------------------------- */

static void goes_to_the_next_host(void **state)
{
    (void)state;
    static const char *const troubles[] = {
        "421 away\r\n!", "554 no mail\r\n", "450 later\r\n", "!", "#", "nonsense\r\n", "~",
        "999 what\r\n",  "354 what\r\n"};
    static const enum moment moments[] = {AT_GREETING, AT_EHLO};
    for (size_t t = 0; t < ROWS(troubles); t++) {
        for (size_t when = 0; when < ROWS(moments); when++) {
            misbehaves(0, moments[when], troubles[t]);
            misbehaves(0, AT_HELO, troubles[t]); /* a 5xx to EHLO asks for it */
            struct channel *c = a_channel();
            send_to(c, a_message("a@b", 400), ROUTE(0, 10, 1, 20));
            expect_delivered(c, 0);
            expect_site(c, FAULT_NONE);
            expect_span(result(c, 0)->remote, SPAN("mx1.example[10.0.1.2]"));
            close_all(c);
            misbehaves(0, moments[when], NULL);
            house.channel_count = 0;
            arena_fini(&c->delivery.arena);
            mail_release(c->delivery.mail);
            route_release(c->delivery.route);
            memset(c, 0, sizeof *c);
        }
    }
}

static void goes_to_the_next_host_in_a_transaction(void **state)
{
    (void)state;
    static const enum moment moments[] = {AT_MAIL, AT_RCPT, AT_DATA, AT_CONTENT};
    static const char *const troubles[] = {"421 away\r\n!", "421 away\r\n", "!", "#",
                                           "nonsense\r\n",  "200",          "~"};
    struct channel *c = a_channel();
    uint32_t doubts = 0;
    sim_options(house.sim)->window_bytes_max = 10000;
    house.hosts[0].manner.mid_data = 20000;
    for (size_t file = 0; file < 2; file++) {
        for (size_t m = 0; m < ROWS(moments); m++) {
            for (size_t t = 0; t < ROWS(troubles); t++) {
                misbehaves(0, moments[m], troubles[t]);
                struct message *message = a_message("a@b 450@b", file == 1 ? 300000 : 90000);
                send_to(c, message, ROUTE(0, 10, 1, 20));
                assert_int_equal(message->sendings, 1);
                expect_reply(c, 1, DELIVERY_DEFERRED, "450 0.0.0 as asked");
                /* The kernel takes all that is sent to one that has gone: the dot was out. */
                bool in_doubt = m == 3 && result(c, 0)->in_doubt;
                doubts += in_doubt;
                if (!in_doubt) {
                    expect_delivered(c, 0);
                    expect_site(c, FAULT_NONE);
                }
                close_channel(c);
                misbehaves(0, moments[m], NULL);
            }
        }
    }
    assert_true(doubts < ROWS(troubles));
    close_all(a_channel());
}

/* What the first host has decided for somebody stands. */
static void keeps_what_is_decided(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.hosts[0].manner.has_no_pipelining = true;
    misbehaves(0, AT_DATA, "!");
    send_to(c, a_message("550a@b b@b", 400), ROUTE(0, 10, 1, 20));
    expect_reply(c, 0, DELIVERY_FAILED, "550 0.0.0 as asked");
    expect_fault(c, 1, FAULT_CONNECTION_LOST);
    expect_site(c, FAULT_CONNECTION_LOST);
    close_all(c);
}

static void tries_by_preference(void **state)
{
    (void)state;
    uint32_t first[HOSTS] = {0};
    struct channel *c = a_channel();
    for (int i = 0; i < 5; i++)
        misbehaves(i, AT_GREETING, "421 away\r\n!");
    for (int round = 0; round < 60; round++) {
        send_to(c, a_message("a@b", 10), ROUTE(4, 30, 1, 20, 0, 20, 2, 20, 3, 10, 5, 40));
        expect_delivered(c, 0);
        uint32_t before = first[0] + first[1] + first[2];
        for (int i = 0; i < 3; i++) /* which of the equal ones came first */
            first[i] +=
                house.hosts[i].connections == (uint32_t)round + 1 && before == (uint32_t)round;
        close_channel(c);
    }
    for (int i = 0; i < HOSTS; i++)
        assert_int_equal(house.hosts[i].connections, 60);
    close_all(a_channel());
}

static void orders_attempts(void **state)
{
    (void)state;
    struct attempt got[CONNECTION_ATTEMPTS_MAX];
    uint32_t first[HOSTS] = {0};
    struct route *r = ROUTE(4, 30, 1, 20, 0, 20, 2, 20, 3, 10);
    struct loop *l = actor_loop(house.worker);
    for (int i = 0; i < 600; i++) {
        assert_int_equal(attempts_order(l, r, 64, got), 5);
        expect_span(r->hosts[got[0].host].name, SPAN("mx3.example"));
        expect_span(r->hosts[got[4].host].name, SPAN("mx4.example"));
        first[r->hosts[got[1].host].name.data[2] - '0']++;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(first[i], 150, 250);
    assert_int_equal(attempts_order(l, r, 2, got), 2);
    assert_int_equal(attempts_order(l, r, 0, got), 0);
    assert_int_equal(attempts_order(l, r, 64, got), 5);
    struct attempt second = got[1], third = got[2], last = got[4];
    attempts_prefer(got, attempts_find(r, house.hosts[4].at, got, 5));
    assert_int_equal(got[0].host, last.host);
    assert_int_equal(got[2].host, second.host);
    assert_int_equal(got[3].host, third.host);
    assert_int_equal(attempts_find(r, house.hosts[5].at, got, 5), 5);
    route_release(r);
}

static void tells_when_all_hosts_are_down(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    host_down(&house.hosts[0]);
    host_down(&house.hosts[1]);
    send_to(c, a_message("a@b 550b@b", 400), ROUTE(0, 10, 1, 20));
    expect_fault(c, 0, FAULT_CONNECT_REFUSED);
    expect_fault(c, 1, FAULT_CONNECT_REFUSED);
    expect_span(result(c, 0)->remote, SPAN("mx1.example[10.0.1.2]"));
    expect_site(c, FAULT_CONNECT_REFUSED);
    assert_false(c->delivery.keeps_connection);
    assert_int_equal(counters().connects_failed, 2);
    misbehaves(2, AT_GREETING, "554 5.7.1 not you\r\n");
    send_to(c, a_message("a@b", 400), ROUTE(0, 10, 2, 20));
    expect_reply(c, 0, DELIVERY_DEFERRED, "554 5.7.1 not you");
    expect_span(result(c, 0)->remote, SPAN("mx2.example[10.0.1.3]"));
    expect_site(c, FAULT_UNREACHABLE);
    send_to(c, a_message("a@b", 400), ROUTE(2, 10, 0, 20));
    expect_fault(c, 0, FAULT_CONNECT_REFUSED);
    close_all(c);
}

static void tries_no_more_than_attempts_max(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.settings.attempts_max = 2;
    for (int i = 0; i < 3; i++)
        misbehaves(i, AT_GREETING, "421 away\r\n!");
    send_to(c, a_message("a@b", 400), ROUTE(0, 10, 1, 20, 2, 30, 3, 40));
    expect_reply(c, 0, DELIVERY_DEFERRED, "421 away");
    assert_int_equal(house.hosts[1].connections, 1);
    assert_int_equal(house.hosts[2].connections, 0);
    close_all(c);
}

static void connects_from_its_source(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.settings.source_ipv4 = (struct endpoint){4, {10, 0, 0, 9}, 0};
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    expect_fault(c, 0, FAULT_NO_PORTS);
    house.settings.source_ipv4 = (struct endpoint){4, {10, 0, 0, 1}, 0};
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    expect_delivered(c, 0);
    close_all(c);
}

/* Kept connections ---------------------------------------------------------------------------- */

static void keeps_the_connection(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    for (int i = 0; i < 5; i++) {
        send_to(c, a_message("a@b", 400), ROUTE(0, 10, 1, 10));
        expect_delivered(c, 0);
        run(3 * SIM_SECOND);
    }
    assert_int_equal(house.hosts[0].connections + house.hosts[1].connections, 1);
    /* A transaction that was given up is ended first. */
    struct host *h = &house.hosts[house.hosts[0].connections == 1 ? 0 : 1];
    h->manner.at[AT_DATA] = (struct misdeed){"451 full\r\n", 1};
    send_to(c, a_message("a@b", 400), ROUTE(0, 10, 1, 10));
    expect_reply(c, 0, DELIVERY_DEFERRED, "451 full");
    send_to(c, a_message("a@b", 400), ROUTE(0, 10, 1, 10));
    expect_delivered(c, 0);
    assert_int_equal(h->connections, 1);
    assert_int_equal(h->resets, 1);
    close_all(c);
}

static void renews_the_connection(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.settings.messages_max = 3;
    for (int i = 0; i < 7; i++) {
        send_to(c, a_message("a@b", 400), ROUTE(0, 10));
        expect_delivered(c, 0);
        assert_int_equal(c->delivery.keeps_connection, i % 3 != 2);
    }
    run(SIM_SECOND);
    assert_int_equal(house.hosts[0].connections, 3);
    assert_int_equal(house.hosts[0].quits, 2);
    close_all(c);
    assert_int_equal(house.hosts[0].quits, 3);
}

/* The route has changed: the old connection is ended, the new host is asked. */
static void leaves_a_host_that_is_none_any_more(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    send_to(c, a_message("a@b", 400), ROUTE(1, 10));
    expect_delivered(c, 0);
    expect_span(result(c, 0)->remote, SPAN("mx1.example[10.0.1.2]"));
    run(SIM_SECOND);
    assert_int_equal(house.hosts[0].quits, 1);
    close_all(c);
}

static void tries_again_when_a_kept_one_was_gone(void **state)
{
    (void)state;
    static const char *const ends[] = {"!", "#", "421 too long\r\n!", "421 too long\r\n"};
    struct channel *c = a_channel();
    for (size_t i = 0; i < ROWS(ends); i++) {
        struct host *h = &house.hosts[0];
        uint32_t before = h->connections;
        send_to(c, a_message("a@b", 400), ROUTE(0, 10, 1, 20));
        assert_true(c->delivery.keeps_connection);
        /* What it says to the next MAIL on that connection. */
        h->manner.at[AT_MAIL] = (struct misdeed){ends[i], h->done[AT_MAIL] + 1};
        struct message *m = a_message("a@b", 400);
        send_to(c, m, ROUTE(0, 10, 1, 20));
        expect_delivered(c, 0);
        expect_span(result(c, 0)->remote, SPAN("mx0.example[10.0.1.1]"));
        assert_int_equal(m->sendings, 1);
        assert_int_equal(h->connections, before + 2);
        assert_int_equal(house.hosts[1].connections, 0);
        close_channel(c);
    }
    close_all(a_channel());
}

static void sees_that_a_kept_one_goes(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.hosts[0].manner.closes_idle_ms = 5000;
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    assert_true(c->delivery.keeps_connection);
    run(6 * SIM_SECOND);
    assert_int_equal(state_of(c), CONNECTION_UNUSED);
    assert_int_equal(counters().connections_open, 0);
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    expect_delivered(c, 0);
    assert_int_equal(house.hosts[0].connections, 2);
    close_all(c);
}

static void says_quit_after_idle_time(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    run(19 * SIM_SECOND);
    assert_int_equal(house.hosts[0].quits, 0);
    assert_int_equal(state_of(c), CONNECTION_IDLE);
    run(2 * SIM_SECOND);
    assert_int_equal(house.hosts[0].quits, 1);
    assert_int_equal(state_of(c), CONNECTION_UNUSED);
    /* And when the server does not answer that. */
    misbehaves(0, AT_QUIT, "~");
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    run(21 * SIM_SECOND);
    assert_int_equal(state_of(c), CONNECTION_QUITTING);
    run(5 * SIM_SECOND);
    assert_int_equal(state_of(c), CONNECTION_UNUSED);
    /* A delivery that comes meanwhile does not wait for it. */
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    run(21 * SIM_SECOND);
    assert_int_equal(state_of(c), CONNECTION_QUITTING);
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    expect_delivered(c, 0);
    assert_true(took_ms(c) < 1000);
    close_channel(c);
    run(6 * SIM_SECOND);
    expect_nothing_left();
}

/* What else is said behind the last reply is read before the connection is called well. */
static void is_not_fooled_behind_the_reply(void **state)
{
    (void)state;
    static const char *const replies[] = {"250 ok\r\n421 bye\r\n", "250 ok\r\n250 ok\r\n",
                                          "250 ok\r\nbla\r\n"};
    struct channel *c = a_channel();
    for (size_t i = 0; i < ROWS(replies); i++) {
        misbehaves(0, AT_DOT, replies[i]);
        sim_options(house.sim)->tiny_segments = sim_options(house.sim)->cut_segments = 0;
        send_to(c, a_message("a@b", 400), ROUTE(0, 10));
        expect_reply(c, 0, DELIVERY_DELIVERED, "250 ok");
        assert_false(c->delivery.keeps_connection);
    }
    close_all(c);
}

/* DELIVERY_CLOSE ------------------------------------------------------------------------------ */

static void closes_at_any_time(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    close_all(c); /* never used */
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    close_all(c); /* idle */
    assert_int_equal(house.hosts[0].quits, 1);
    misbehaves(0, AT_GREETING, "421 no\r\n!");
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    close_all(c); /* without a socket */
    misbehaves(0, AT_GREETING, NULL);
    misbehaves(0, AT_QUIT, "~");
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    run(21 * SIM_SECOND);
    assert_int_equal(state_of(c), CONNECTION_QUITTING);
    close_channel(c); /* while it says goodbye */
    run(6 * SIM_SECOND);
    expect_nothing_left();
}

static void closes_while_a_letter_is_out(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.spool_late.holds = true; /* the SENDING record */
    send_to(c, a_message("550a@b", 400), ROUTE(0, 10));
    assert_true(c->delivery.keeps_connection);
    close_channel(c);
    run(SIM_SECOND);
    assert_int_equal(house.hosts[0].quits, 1);
    assert_false(list_empty(&house.deliverer->connections));
    late_release(&house.spool_late);
    run(SIM_SECOND);
    expect_nothing_left();

    house.spool_late.holds = true; /* the same without a socket */
    misbehaves(0, AT_MAIL, "!");
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    close_channel(c);
    run(SIM_SECOND);
    late_release(&house.spool_late);
    run(SIM_SECOND);
    expect_nothing_left();

    house.disk_late.holds = true; /* a block */
    misbehaves(0, AT_MAIL, NULL);
    misbehaves(0, AT_DATA, "354 go on\r\n552 too big\r\n");
    send_to(c, a_message("a@b", 300000), ROUTE(0, 10));
    close_channel(c);
    run(SIM_SECOND);
    assert_false(list_empty(&house.deliverer->connections));
    late_release(&house.disk_late);
    run(SIM_SECOND);
    expect_nothing_left();
}

/* The letter of one delivery is late: the next one waits for it, and only for it. */
static void begins_when_late_letters_are_back(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.spool_late.holds = true;
    send_to(c, a_message("550a@b", 400), ROUTE(0, 10));
    deliver(c, a_message("a@b", 400), ROUTE(0, 10), true);
    run(25 * SIM_SECOND); /* longer than a connection is kept */
    assert_true(c->is_lent);
    late_release(&house.spool_late);
    await(c);
    expect_delivered(c, 0);
    assert_int_equal(house.hosts[0].connections, 1);
    assert_int_equal(house.messages[1].sendings, 1);
    close_all(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(delivers_to_one),
        CASE(tells_mixed_replies),
        CASE(takes_a_part_of_the_recipients),
        CASE(sends_nothing_when_all_are_refused),
        CASE(sends_to_a_thousand_through_a_tiny_window),
        CASE(goes_to_the_next_host),
        CASE(goes_to_the_next_host_in_a_transaction),
        CASE(keeps_what_is_decided),
        CASE(tries_by_preference),
        CASE(orders_attempts),
        CASE(tells_when_all_hosts_are_down),
        CASE(tries_no_more_than_attempts_max),
        CASE(connects_from_its_source),
        CASE(keeps_the_connection),
        CASE(renews_the_connection),
        CASE(leaves_a_host_that_is_none_any_more),
        CASE(tries_again_when_a_kept_one_was_gone),
        CASE(sees_that_a_kept_one_goes),
        CASE(says_quit_after_idle_time),
        CASE(is_not_fooled_behind_the_reply),
        CASE(closes_at_any_time),
        CASE(closes_while_a_letter_is_out),
        CASE(begins_when_late_letters_are_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
