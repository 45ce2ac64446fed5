#include "expect.h"

#include "dns/route.h"

static struct endpoint at(const char *text)
{
    struct endpoint e = {0};
    assert_true(endpoint_parse(span_text(text), &e));
    return e;
}

static struct route_host host(const char *name, uint16_t preference,
                              const struct endpoint *addresses, uint16_t count)
{
    return (struct route_host){span_text(name), preference, count, addresses};
}

static void sorts_and_copies(void **state)
{
    (void)state;
    struct endpoint a[] = {at("192.0.2.1:25"), at("[2001:db8::1]:25")};
    struct endpoint b[] = {at("192.0.2.2:25")};
    struct endpoint c[] = {at("192.0.2.3:25")};
    char name[] = "MX-C.example";
    struct route_host hosts[] = {host("mx-b.example", 20, b, 1), host(name, 10, c, 1),
                                 host("mx-a.example", 10, a, 2), host("gone.example", 5, NULL, 0)};
    struct route *r = route_new(hosts, ROWS(hosts));
    assert_non_null(r);
    memset(name, 'x', sizeof name - 1);
    memset(c, 0, sizeof c);
    assert_int_equal(r->host_count, 3);
    expect_span(r->hosts[0].name, SPAN("mx-a.example"));
    expect_span(r->hosts[1].name, SPAN("mx-c.example"));
    expect_span(r->hosts[2].name, SPAN("mx-b.example"));
    assert_int_equal(r->hosts[0].address_count, 2);
    assert_true(endpoint_equal(r->hosts[0].addresses[1], at("[2001:db8::1]:25")));
    assert_true(endpoint_equal(r->hosts[1].addresses[0], at("192.0.2.3:25")));
    assert_int_equal(r->hosts[2].preference, 20);
    expect_span(r->site, SPAN("mx-a.example:25,mx-b.example:25,mx-c.example:25"));
    assert_ptr_equal(route_retain(r), r);
    route_release(r);
    route_release(r);
    route_release(NULL);
}

static void site_is_the_same_for_the_same_set(void **state)
{
    (void)state;
    struct endpoint a[] = {at("192.0.2.1:2525")};
    struct endpoint b[] = {at("192.0.2.2:2525")};
    struct route_host one[] = {host("b.example", 1, b, 1), host("a.example", 2, a, 1),
                               host("A.example", 3, b, 1)};
    struct route_host two[] = {host("A.EXAMPLE", 9, a, 1), host("b.example", 9, a, 1)};
    struct route *r = route_new(one, ROWS(one));
    struct route *s = route_new(two, ROWS(two));
    expect_span(r->site, SPAN("a.example:2525,b.example:2525"));
    expect_span(r->site, s->site);
    assert_int_equal(r->host_count, 3);
    route_release(r);
    route_release(s);
}

static void site_of_addresses(void **state)
{
    (void)state;
    struct endpoint a[] = {at("192.0.2.9:25")};
    struct endpoint b[] = {at("[2001:DB8::9]:25")};
    struct endpoint c[] = {at("192.0.2.9:26")};
    struct route_host hosts[] = {host("", 0, b, 1), host("", 0, c, 1), host("", 0, a, 1),
                                 host("", 1, a, 1)};
    struct route *r = route_new(hosts, ROWS(hosts));
    expect_span(r->site, SPAN("192.0.2.9:25,[2001:db8::9]:25,192.0.2.9:26"));
    assert_int_equal(r->hosts[0].name.len, 0);
    route_release(r);
}

static void transports_have_sites_of_their_own(void **state)
{
    (void)state;
    struct endpoint a[] = {at("192.0.2.9:24")};
    struct route_host hosts[] = {host("Store.example", 0, a, 1)};
    struct route *r = route_new_by(ROUTE_LMTP, ROUTE_TLS_MUST, hosts, 1);
    expect_span(r->site, SPAN("lmtp:store.example:24"));
    assert_int_equal(r->transport, ROUTE_LMTP);
    assert_int_equal(r->tls, ROUTE_TLS_MUST);
    assert_int_equal(r->socket_path.len, 0);
    route_release(r);
    r = route_new(hosts, 1);
    expect_span(r->site, SPAN("store.example:24"));
    assert_int_equal(r->transport, ROUTE_SMTP);
    assert_int_equal(r->tls, ROUTE_TLS_MAY);
    route_release(r);
    assert_null(route_new_by(ROUTE_LMTP, ROUTE_TLS_MAY, hosts, 0));
}

static void path_is_a_host_without_address(void **state)
{
    (void)state;
    struct route *r = route_new_to_path(ROUTE_LMTP, SPAN("/run/Dovecot/lmtp"));
    expect_span(r->site, SPAN("lmtp:/run/Dovecot/lmtp"));
    expect_span(r->socket_path, SPAN("/run/Dovecot/lmtp"));
    assert_int_equal(r->host_count, 1);
    expect_span(r->hosts[0].name, SPAN("/run/Dovecot/lmtp"));
    assert_int_equal(r->hosts[0].address_count, 1);
    assert_int_equal(r->hosts[0].addresses[0].family, 0);
    route_release(r);
    r = route_new_to_path(ROUTE_LOCAL, SPAN("x"));
    expect_span(r->site, SPAN("local:x"));
    route_release(r);
}

static void longest_names_fit(void **state)
{
    (void)state;
    static char names[20][256];
    struct endpoint a[] = {at("[1111:2222:3333:4444:5555:6666:7777:8888]:65535")};
    struct route_host hosts[21];
    for (size_t i = 0; i < 20; i++) {
        memset(names[i], 'a' + (int)i, 255);
        hosts[i] = host(names[i], 65535, a, 1);
    }
    hosts[20] = host("", 0, a, 1);
    struct route *r = route_new(hosts, 21);
    assert_int_equal(r->site.len, 20 * (255 + 6) + 20 + 47);
    route_release(r);
}

static void nothing_to_go_to(void **state)
{
    (void)state;
    struct route_host hosts[] = {host("a.example", 1, NULL, 0), host("b.example", 1, NULL, 0)};
    assert_null(route_new(hosts, ROWS(hosts)));
    assert_null(route_new(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_and_copies),
        cmocka_unit_test(site_is_the_same_for_the_same_set),
        cmocka_unit_test(site_of_addresses),
        cmocka_unit_test(longest_names_fit),
        cmocka_unit_test(nothing_to_go_to),
        cmocka_unit_test(transports_have_sites_of_their_own),
        cmocka_unit_test(path_is_a_host_without_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
