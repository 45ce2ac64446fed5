/* Deliveries by LMTP (RFC 2033), simulated: each recipient's own outcome, whatever happens between
 * the replies after the dot. */
#include "deliver_cases.h"

#define LMTP(...) ROUTE_BY(ROUTE_LMTP, ROUTE_TLS_MAY, __VA_ARGS__)

static void by_lmtp(int host)
{
    house.hosts[host].manner.is_lmtp = true;
}

static void delivers_to_each(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    by_lmtp(0);
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        house.hosts[0].manner.has_no_pipelining = pipelining == 0;
        send_to(c, a_message("a@b 550x@b c@b 450y@b d@b", 3000), LMTP(0, 10));
        expect_delivered(c, 0);
        expect_reply(c, 1, DELIVERY_FAILED, "550 0.0.0 as asked");
        expect_delivered(c, 2);
        expect_reply(c, 3, DELIVERY_DEFERRED, "450 0.0.0 as asked");
        expect_delivered(c, 4);
        expect_site(c, FAULT_NONE);
        expect_span(result(c, 0)->remote, SPAN("mx0.example[10.0.1.1]"));
        assert_true(c->delivery.keeps_connection);
        close_channel(c);
    }
    assert_int_equal(house.ledger_count, 6); /* one for each that was taken */
    close_all(a_channel());
}

static void to_a_socket_path(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    by_lmtp(2);
    machine_socket_path(house.sender, "/run/lmtp", house.hosts[2].at);
    for (int i = 0; i < 3; i++) {
        send_to(c, a_message("a@b c@b", 400), route_new_to_path(ROUTE_LMTP, SPAN("/run/lmtp")));
        expect_delivered(c, 0);
        expect_delivered(c, 1);
        expect_span(result(c, 0)->remote, SPAN("/run/lmtp"));
    }
    assert_int_equal(house.hosts[2].connections, 1); /* it was kept */
    struct channel *other = a_channel();             /* another path is another site */
    send_to(other, a_message("a@b", 400), route_new_to_path(ROUTE_LMTP, SPAN("/run/nobody")));
    expect_fault(other, 0, FAULT_UNREACHABLE);
    expect_site(other, FAULT_UNREACHABLE);
    close_channel(other);
    host_down(&house.hosts[2]);
    close_channel(c);
    send_to(c, a_message("a@b", 400), route_new_to_path(ROUTE_LMTP, SPAN("/run/lmtp")));
    expect_fault(c, 0, FAULT_CONNECT_REFUSED);
    expect_span(result(c, 0)->remote, SPAN("/run/lmtp"));
    close_all(c);
}

/* Every misdeed after every number of good replies: who has his reply keeps it; nobody is delivered
   to twice by this delivery; only who has none is in doubt. */
static void misdeeds_between_the_replies(void **state)
{
    static const struct {
        const char *says;
        bool is_answer; /* for the first that has no good one */
        bool is_for_all;
    } rows[] = {
        {"450 4.2.0 locked\r\n", true, true},
        {"552 5.2.2 full\r\n", true, true},
        {"421 4.3.2 away\r\n!", true, false},
        {"421 4.3.2 away\r\n", true, false},
        {"!", false, false},
        {"~", false, false},
        {"nonsense\r\n", false, false},
        {"354 what\r\n", false, false},
        {"250", false, false},
        {"250 2.0.0 cu!", false, false},
    };
    (void)state;
    struct channel *c = a_channel();
    by_lmtp(0);
    by_lmtp(1);
    for (size_t i = 0; i < ROWS(rows); i++) {
        for (uint32_t good = 0; good < 3; good++) {
            misbehaves(0, AT_DOT, rows[i].says);
            house.hosts[0].manner.good_dots = good;
            uint32_t before = house.hosts[1].transactions;
            struct message *m = a_message("a@b c@b d@b", 700);
            send_to(c, m, LMTP(0, 10, 1, 20));
            for (uint32_t r = 0; r < 3; r++) {
                bool is_said = r == good ? rows[i].is_answer : rows[i].is_for_all;
                if (r < good)
                    expect_delivered(c, r);
                else if (is_said || before < house.hosts[1].transactions)
                    assert_false(result(c, r)->in_doubt);
                else
                    assert_true(result(c, r)->in_doubt);
            }
            /* The next host is asked only when no reply is missing. */
            if (before < house.hosts[1].transactions)
                assert_true(good == 0 || !rows[i].is_for_all);
            assert_int_equal(m->sendings, 1);
            close_channel(c);
            misbehaves(0, AT_DOT, NULL);
            house.hosts[0].manner.good_dots = 0;
        }
    }
    close_all(a_channel());
}

/* A reset may overtake the replies that were sent before. */
static void reset_between_the_replies(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    by_lmtp(0);
    misbehaves(0, AT_DOT, "#");
    for (uint32_t round = 0; round < 60; round++) {
        house.hosts[0].manner.good_dots = round % 3;
        send_to(c, a_message("a@b c@b d@b", 700), LMTP(0, 10));
        for (uint32_t r = 0; r < 3; r++)
            assert_true(result(c, r)->in_doubt == (result(c, r)->end != DELIVERY_DELIVERED));
        expect_site(c, FAULT_CONNECTION_LOST);
        close_channel(c);
    }
    close_all(a_channel());
}

static void the_next_host_before_the_dot(void **state)
{
    (void)state;
    static const enum moment moments[] = {AT_GREETING, AT_EHLO, AT_MAIL, AT_DATA};
    static const char *const troubles[] = {"421 away\r\n!", "!", "#", "nonsense\r\n", "~"};
    struct channel *c = a_channel();
    by_lmtp(0);
    by_lmtp(1);
    for (size_t m = 0; m < ROWS(moments); m++) {
        for (size_t t = 0; t < ROWS(troubles); t++) {
            misbehaves(0, moments[m], troubles[t]);
            send_to(c, a_message("a@b c@d", 900), LMTP(0, 10, 1, 20));
            expect_delivered(c, 0);
            expect_delivered(c, 1);
            expect_site(c, FAULT_NONE);
            close_channel(c);
            misbehaves(0, moments[m], NULL);
        }
    }
    close_all(a_channel());
}

/* An SMTP server does not know LHLO: it is no LMTP server, and HELO is not tried. */
static void an_smtp_server_is_none(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    by_lmtp(0);
    misbehaves(0, AT_EHLO, "502 5.5.1 what\r\n");
    send_to(c, a_message("a@b", 900), LMTP(0, 10));
    expect_reply(c, 0, DELIVERY_DEFERRED, "502 5.5.1 what");
    assert_int_equal(house.hosts[0].mails, 0);
    close_all(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(delivers_to_each),
        CASE(to_a_socket_path),
        CASE(misdeeds_between_the_replies),
        CASE(reset_between_the_replies),
        CASE(the_next_host_before_the_dot),
        CASE(an_smtp_server_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
