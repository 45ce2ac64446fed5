#include "tests/unit/expect.h"

#include "config/settings.h"

static struct endpoint ip(const char *text)
{
    struct endpoint e;
    assert_true(endpoint_parse_ip(span_text(text), &e));
    return e;
}

static struct address_range range(const char *text, uint8_t bits)
{
    struct endpoint e = ip(text);
    struct address_range r = {.family = e.family, .prefix_bits = bits};
    memcpy(r.ip, e.ip, sizeof r.ip);
    return r;
}

static void defaults_are_safe(void **state)
{
    (void)state;
    struct settings *s = settings_default("mx.test");
    assert_non_null(s);
    assert_string_equal(s->hostname, "mx.test");
    assert_string_equal(s->spool, "/var/spool/postrider");
    assert_string_equal(s->control, "/run/postrider/control");
    assert_int_equal(s->listen_count, 0);
    assert_int_equal(s->relay_from_count, 0);
    assert_false(settings_may_relay(s, ip("127.0.0.1")));
    assert_int_equal(s->relay_to_count, 0);
    assert_int_equal(s->deliver_tls, TLS_DEMAND_MAY);
    assert_int_equal(s->dns_server.family, 0);
    assert_int_equal(s->deliver_port, 25);
    assert_int_equal(s->deliver_greeting_timeout_ms, 5 * 60 * 1000);
    assert_int_equal(s->deliver_dot_timeout_ms, 10 * 60 * 1000);
    assert_int_equal(s->message_bytes_max, 50u * 1024 * 1024);
    assert_int_equal(s->queue_lifetime_ms, 5u * 24 * 3600 * 1000);
    assert_int_equal(s->segment_bytes, 64u * 1024 * 1024);
    assert_int_equal(s->log_format, LOG_TEXT);
    assert_int_equal(s->log_level, LOG_NOTICE);
    settings_release(s);
}

/* ASan and LeakSanitizer see what is freed too early or never. */
static void the_last_reference_frees(void **state)
{
    (void)state;
    const struct settings *s = settings_default("mx.test");
    const struct settings *other = settings_retain(s);
    assert_ptr_equal(s, other);
    settings_release(s);
    assert_string_equal(other->hostname, "mx.test");
    settings_release(other);
    assert_null(settings_retain(NULL));
    settings_release(NULL);
}

static void ranges_hold_their_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        uint8_t bits;
        const char *address;
        bool inside;
    } rows[] = {
        {"127.0.0.0", 8, "127.0.0.1", true},
        {"127.0.0.0", 8, "127.255.255.255", true},
        {"127.0.0.0", 8, "126.255.255.255", false},
        {"127.0.0.0", 8, "128.0.0.0", false},
        {"192.0.2.0", 25, "192.0.2.127", true},
        {"192.0.2.0", 25, "192.0.2.128", false},
        {"192.0.2.7", 32, "192.0.2.7", true},
        {"192.0.2.7", 32, "192.0.2.6", false},
        {"128.0.0.0", 1, "255.0.0.0", true},
        {"128.0.0.0", 1, "127.0.0.0", false},
        {"::1", 128, "::1", true},
        {"::1", 128, "::2", false},
        {"2001:db8::", 33, "2001:db8:7fff::1", true},
        {"2001:db8::", 33, "2001:db8:8000::1", false},
        {"::", 96, "127.0.0.1", false},
        {"127.0.0.0", 8, "7f00::", false},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct address_range r = range(rows[i].range, rows[i].bits);
        assert_int_equal(address_range_contains(&r, ip(rows[i].address)), rows[i].inside);
    }
    struct address_range r = range("127.0.0.0", 8);
    assert_false(address_range_contains(&r, (struct endpoint){0}));
}

static void relaying_needs_one_range(void **state)
{
    (void)state;
    struct address_range ranges[] = {range("192.0.2.0", 24), range("::1", 128)};
    struct settings *s = settings_default("mx.test");
    s->relay_from = ranges;
    s->relay_from_count = ROWS(ranges);
    assert_true(settings_may_relay(s, ip("192.0.2.1")));
    assert_true(settings_may_relay(s, ip("::1")));
    assert_false(settings_may_relay(s, ip("192.0.3.1")));
    assert_false(settings_may_relay(s, (struct endpoint){0}));
    settings_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_safe),
        cmocka_unit_test(the_last_reference_frees),
        cmocka_unit_test(ranges_hold_their_addresses),
        cmocka_unit_test(relaying_needs_one_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
