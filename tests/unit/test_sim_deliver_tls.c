/* Deliveries under TLS, simulated: what a route demands, and what is injected, cut or refused
 * around the handshake. The hosts have the certificate of one.test and 10.0.1.1. */
#include "deliver_cases.h"

#include "tls_files.h"

#define MAY(...)   ROUTE_BY(ROUTE_SMTP, ROUTE_TLS_MAY, __VA_ARGS__)
#define MUST(...)  ROUTE_BY(ROUTE_SMTP, ROUTE_TLS_MUST, __VA_ARGS__)
#define NEVER(...) ROUTE_BY(ROUTE_SMTP, ROUTE_TLS_NEVER, __VA_ARGS__)

/* Host 0 has the name of the certificate, host 1 another one; both offer TLS. */
static int begin_tls(void **state)
{
    if (begin(state) != 0)
        return 1;
    house.tls = tls_files_server();
    house.settings.tls_authorities = certificates[0].certificate;
    for (int i = 0; i < 2; i++)
        house.hosts[i].manner.offers_tls = true;
    snprintf(house.hosts[0].name, sizeof house.hosts[0].name, "one.test");
    return 0;
}

static void expect_tls(const struct channel *c, const char *verified)
{
    struct span tls = result(c, 0)->tls;
    if (verified == NULL) {
        assert_int_equal(tls.len, 0);
        return;
    }
    assert_true(span_starts_with(tls, SPAN("TLSv1.3 TLS_")));
    char end[32];
    snprintf(end, sizeof end, " %s", verified);
    assert_true(span_find(tls, span_text(end), 0) == tls.len - strlen(end));
}

static void under_tls_where_it_is_offered(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b 550x@b", 90000), MAY(0, 10));
    expect_delivered(c, 0);
    expect_reply(c, 1, DELIVERY_FAILED, "550 0.0.0 as asked");
    expect_tls(c, "verified");
    send_to(c, a_message("a@b", 300), MAY(0, 10)); /* over the kept one */
    expect_delivered(c, 0);
    expect_tls(c, "verified");
    assert_int_equal(house.hosts[0].connections, 1);
    close_channel(c);
    send_to(c, a_message("a@b", 300), MAY(1, 10)); /* any certificate does */
    expect_delivered(c, 0);
    expect_tls(c, "unverified");
    close_channel(c);
    send_to(c, a_message("a@b", 300), MAY(2, 10));
    expect_delivered(c, 0);
    expect_tls(c, NULL);
    assert_int_equal(house.hosts[0].mails_in_clear + house.hosts[1].mails_in_clear, 0);
    close_all(c);
}

static void never_is_never(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b", 300), NEVER(0, 10));
    expect_delivered(c, 0);
    expect_tls(c, NULL);
    assert_int_equal(house.hosts[0].secured, 0);
    close_all(c);
}

static void must_means_a_verified_certificate(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b", 90000), MUST(0, 10));
    expect_delivered(c, 0);
    expect_tls(c, "verified");
    close_channel(c);
    send_to(c, a_message("a@b", 300), MUST(1, 10)); /* a certificate for another name */
    expect_fault(c, 0, FAULT_UNVERIFIED);
    expect_site(c, FAULT_UNVERIFIED);
    send_to(c, a_message("a@b", 300), MUST(2, 10)); /* not offered */
    expect_fault(c, 0, FAULT_NO_TLS);
    expect_site(c, FAULT_NO_TLS);
    send_to(c, a_message("a@b", 300), MUST(2, 10, 1, 20, 0, 30)); /* the third will do */
    expect_delivered(c, 0);
    expect_site(c, FAULT_NONE);
    expect_span(result(c, 0)->remote, SPAN("one.test[10.0.1.1]"));
    assert_int_equal(house.hosts[1].mails + house.hosts[2].mails, 0);
    close_all(c);
}

/* A host without a name is known by its address. */
static void must_with_an_address(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    for (int i = 0; i < 2; i++) {
        struct route_host host = {.address_count = 1, .addresses = &house.hosts[i].at};
        send_to(c, a_message("a@b", 300), route_new_by(ROUTE_SMTP, ROUTE_TLS_MUST, &host, 1));
        if (i == 0)
            expect_delivered(c, 0);
        else
            expect_fault(c, 0, FAULT_UNVERIFIED);
        close_channel(c);
    }
    close_all(a_channel());
}

/* A handshake that fails, in every way: in clear on a new connection where that is allowed, which
   is no trouble of the site; else deferred. */
static void a_failed_handshake(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    for (int way = 0; way < 2; way++) {
        house.hosts[0].manner.breaks_handshake = way == 0;
        house.hosts[0].manner.is_mute_in_handshake = way == 1;
        uint32_t before = house.hosts[0].connections;
        send_to(c, a_message("a@b", 300), MAY(0, 10));
        expect_delivered(c, 0);
        expect_site(c, FAULT_NONE);
        expect_tls(c, NULL);
        assert_int_equal(house.hosts[0].connections, before + 2);
        close_channel(c);
        uint32_t mails = house.hosts[0].mails;
        struct channel *other = a_channel(); /* has not learned it */
        send_to(other, a_message("a@b", 300), MUST(0, 10));
        expect_fault(other, 0, FAULT_TLS_FAILED);
        expect_site(other, FAULT_TLS_FAILED);
        assert_int_equal(house.hosts[0].mails, mails);
        close_channel(other);
    }
    close_all(a_channel());
}

/* CVE-2021-38371: what came in clear behind the 220 counts as nothing. In one piece with it it is
   dropped; later it is taken for a record of TLS, which it is not. */
static void injected_before_the_handshake(void **state)
{
    (void)state;
    static const char *const injected[] = {
        "220 go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n",
        "220 go ahead\r\n250 evil\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n",
        "220 go ahead\r\n2",
        "220 go ahead\r\n421 away\r\n",
    };
    uint32_t ends[2] = {0, 0};
    house.hosts[0].manner.is_tls_after_misdeed = true;
    struct channel *c = a_channel();
    for (size_t i = 0; i < 60; i++) {
        misbehaves(0, AT_STARTTLS, injected[i % ROWS(injected)]);
        send_to(c, a_message("a@b", 300), MUST(0, 10));
        bool is_delivered = result(c, 0)->end == DELIVERY_DELIVERED;
        ends[is_delivered]++;
        if (is_delivered)
            expect_tls(c, "verified");
        else
            expect_fault(c, 0, FAULT_TLS_FAILED);
        close_channel(c);
    }
    assert_true(ends[true] > 0);
    assert_int_equal(house.hosts[0].mails_in_clear, 0);
    assert_int_equal(house.hosts[0].transactions, ends[true]);
    close_all(a_channel());
}

static void refused_or_nonsense(void **state)
{
    (void)state;
    static const char *const troubles[] = {"454 4.7.0 not today\r\n", "501 5.5.2 what\r\n"};
    static const char *const worse[] = {"!", "#", "~", "nonsense\r\n", "354 go\r\n", "421 x\r\n!"};
    struct channel *c = a_channel();
    for (size_t i = 0; i < ROWS(troubles); i++) {
        misbehaves(0, AT_STARTTLS, troubles[i]);
        send_to(c, a_message("a@b", 300), MAY(0, 10));
        expect_delivered(c, 0);
        expect_tls(c, NULL);
        send_to(c, a_message("a@b", 300), MUST(0, 10));
        expect_fault(c, 0, FAULT_NO_TLS);
        close_channel(c);
    }
    uint32_t before = house.hosts[0].mails;
    for (size_t i = 0; i < ROWS(worse); i++) {
        misbehaves(0, AT_STARTTLS, worse[i]);
        send_to(c, a_message("a@b", 300), MUST(0, 10));
        assert_int_equal(result(c, 0)->end, DELIVERY_DEFERRED);
        send_to(c, a_message("a@b", 300), MAY(0, 10, 1, 20));
        expect_delivered(c, 0);
        close_channel(c);
    }
    assert_int_equal(house.hosts[0].mails, before);
    close_all(a_channel());
}

/* A kept connection is used only for what it is good enough for. */
static void kept_ones_are_looked_at(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    static const struct {
        enum route_tls first, second;
        bool is_kept;
    } rows[] = {
        {ROUTE_TLS_MAY, ROUTE_TLS_MUST, true},    {ROUTE_TLS_MUST, ROUTE_TLS_MAY, true},
        {ROUTE_TLS_MAY, ROUTE_TLS_NEVER, false},  {ROUTE_TLS_NEVER, ROUTE_TLS_MAY, true},
        {ROUTE_TLS_NEVER, ROUTE_TLS_MUST, false}, {ROUTE_TLS_MUST, ROUTE_TLS_NEVER, false},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        uint32_t before = house.hosts[0].connections;
        send_to(c, a_message("a@b", 300), ROUTE_BY(ROUTE_SMTP, rows[i].first, 0, 10));
        expect_delivered(c, 0);
        send_to(c, a_message("a@b", 300), ROUTE_BY(ROUTE_SMTP, rows[i].second, 0, 10));
        expect_delivered(c, 0);
        expect_tls(c, rows[i].second == ROUTE_TLS_MUST                      ? "verified"
                      : rows[i].is_kept && rows[i].first != ROUTE_TLS_NEVER ? "verified"
                                                                            : NULL);
        assert_int_equal(house.hosts[0].connections, before + (rows[i].is_kept ? 1 : 2));
        close_channel(c);
    }
    /* Under TLS with a certificate that is not good enough. */
    send_to(c, a_message("a@b", 300), MAY(1, 10));
    expect_tls(c, "unverified");
    send_to(c, a_message("a@b", 300), MUST(1, 10));
    expect_fault(c, 0, FAULT_UNVERIFIED);
    close_all(c);
}

/* The end of TLS is the end of the connection, in the middle of anything, whatever comes behind it
   in clear. */
static void the_end_of_tls_is_the_end(void **state)
{
    (void)state;
    static const enum moment moments[] = {AT_MAIL, AT_RCPT, AT_DATA, AT_DOT, AT_RSET};
    struct channel *c = a_channel();
    for (size_t m = 0; m < ROWS(moments); m++) {
        if (moments[m] == AT_RSET) {
            misbehaves(0, AT_DATA, "451 4.3.0 later\r\n"); /* leaves a transaction to be reset */
            send_to(c, a_message("a@b", 300), MUST(0, 10));
            misbehaves(0, AT_DATA, NULL);
        }
        misbehaves(0, moments[m], "$");
        send_to(c, a_message("a@b", 300), MUST(0, 10));
        if (moments[m] != AT_RSET)
            expect_fault(c, 0, FAULT_CONNECTION_LOST);
        assert_true(result(c, 0)->in_doubt == (moments[m] == AT_DOT));
        assert_true(took_ms(c) < 2000);
        misbehaves(0, moments[m], NULL);
        close_channel(c);
    }
    close_all(a_channel());
}

/* New settings name other authorities; a file that is none changes nothing. */
static void whom_to_trust_may_change(void **state)
{
    (void)state;
    static struct deliverer_settings other, bad;
    struct channel *c = a_channel();
    other = bad = house.settings;
    other.tls_authorities = certificates[1].certificate;
    bad.tls_authorities = "/nowhere/ca.pem";
    send_to(c, a_message("a@b", 300), MUST(0, 10));
    expect_delivered(c, 0);
    deliverer_use(house.deliverer, &other);
    send_to(c, a_message("a@b", 300), MUST(0, 10));
    expect_fault(c, 0, FAULT_UNVERIFIED);
    deliverer_use(house.deliverer, &house.settings);
    send_to(c, a_message("a@b", 300), MUST(0, 10));
    expect_delivered(c, 0);
    deliverer_use(house.deliverer, &bad);
    send_to(c, a_message("a@b", 300), MUST(0, 10));
    expect_delivered(c, 0);
    close_all(c);
    deliverer_use(house.deliverer, &house.settings);
}

/* LMTP as well. */
static void lmtp_under_tls(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.hosts[0].manner.is_lmtp = true;
    send_to(c, a_message("a@b c@b", 300), ROUTE_BY(ROUTE_LMTP, ROUTE_TLS_MUST, 0, 10));
    expect_delivered(c, 0);
    expect_delivered(c, 1);
    expect_tls(c, "verified");
    close_all(c);
}

#define TLS_CASE(name) cmocka_unit_test_setup_teardown(name, begin_tls, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_CASE(under_tls_where_it_is_offered),
        TLS_CASE(never_is_never),
        TLS_CASE(must_means_a_verified_certificate),
        TLS_CASE(must_with_an_address),
        TLS_CASE(a_failed_handshake),
        TLS_CASE(injected_before_the_handshake),
        TLS_CASE(refused_or_nonsense),
        TLS_CASE(kept_ones_are_looked_at),
        TLS_CASE(the_end_of_tls_is_the_end),
        TLS_CASE(whom_to_trust_may_change),
        TLS_CASE(lmtp_under_tls),
    };
    tls_files_make();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
