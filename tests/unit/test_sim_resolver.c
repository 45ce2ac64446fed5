/* The resolver with the simulated DNS: what each kind of domain becomes, and what trouble does. */
#include "config/config.h"
#include "dns/resolver.h"

#include "base/buffer.h"
#include "dns/lookup.h"
#include "expect.h"
#include "sim/lookup.h"
#include "sim/world.h"

#define SEEDS       200
#define ASKS_MAX    1200
#define TIMEOUT_MS  20000
#define TIMEOUT_US  (TIMEOUT_MS * INT64_C(1000))
#define LATENESS_US (2 * SIM_SECOND) /* of threads and letters */

struct ask {
    struct resolve resolve;
    char name[300];
    bool is_sent, is_answered;
    int64_t sent_us, answered_us;
};

/* A world with a resolver, and an actor that asks it. */
struct bench {
    struct sim *sim;
    struct world *life;
    struct resolver *resolver;
    struct actor *asker;
    struct letter stop, ping;
    bool stop_wanted, ping_wanted, is_stopped, is_ping_answered;
    uint32_t ask_count, answer_count;
    struct ask asks[ASKS_MAX];
};

static struct endpoint ip(const char *text)
{
    struct endpoint e = {0};
    assert_true(endpoint_parse(span_text(text), &e));
    return e;
}

static void on_letter(void *self, struct letter *letter)
{
    struct bench *b = self;
    assert_true(letter->is_answer);
    if (letter == &b->stop) {
        b->is_stopped = true;
    } else if (letter == &b->ping) {
        b->is_ping_answered = true;
    } else {
        struct ask *a = container_of(letter, struct ask, resolve.letter);
        assert_false(a->is_answered);
        assert_true((a->resolve.fault == FAULT_NONE) == (a->resolve.route != NULL));
        a->is_answered = true;
        a->answered_us = sim_now_us(b->sim);
        b->answer_count++;
    }
}

static void on_turn(void *self)
{
    struct bench *b = self;
    struct actor *to = resolver_actor(b->resolver);
    for (uint32_t i = 0; i < b->ask_count; i++) {
        struct ask *a = &b->asks[i];
        if (a->is_sent)
            continue;
        a->is_sent = true;
        a->sent_us = sim_now_us(b->sim);
        letter_send(b->asker, to, &a->resolve.letter, LETTER_RESOLVE, NULL);
    }
    if (b->ping_wanted)
        letter_send(b->asker, to, &b->ping, LETTER_PING, NULL);
    if (b->stop_wanted)
        letter_send(b->asker, to, &b->stop, LETTER_STOP, NULL);
    b->ping_wanted = b->stop_wanted = false;
}

static const struct actor_role role = {"asker", on_letter, on_turn};

static struct settings *configured(const char *text)
{
    struct buffer errors;
    struct settings *s = NULL;
    buffer_init(&errors, 4096);
    assert_int_equal(config_parse(span_text(text), "f", &errors, &s), FAULT_NONE);
    buffer_fini(&errors);
    return s;
}

static struct bench *bench_with(uint64_t seed, const struct settings *settings_of_domains)
{
    static const struct endpoint address = {.family = 4, .ip = {10, 0, 0, 1}};
    struct endpoint own[] = {ip("10.0.0.1:25"), ip("[2001:db8::25]:25")};
    struct resolver_settings settings = {
        .hostname = "Us.test",
        .timeout_ms = TIMEOUT_MS,
        .port = 25,
        .own = own,
        .own_count = ROWS(own),
        .settings = settings_of_domains,
    };
    struct sim_options options = sim_options_calm();
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->sim = sim_new(seed, &options);
    b->life = life_begin(machine_new(b->sim, "us", address));
    uint32_t letters = (uint32_t)(seed % 2);
    assert_int_equal(resolver_new(b->life, &settings, letters, NULL, &b->resolver), FAULT_NONE);
    assert_int_equal(actor_new(b->life, &role, b, letters, NULL, &b->asker), FAULT_NONE);
    assert_int_equal(actor_start(resolver_actor(b->resolver)), FAULT_NONE);
    assert_int_equal(actor_start(b->asker), FAULT_NONE);
    return b;
}

static struct bench *bench_new(uint64_t seed)
{
    static const char *const hosts[] = {"plain.test", "mx1.test",   "mx2.test",     "us.test",
                                        "gone.test",  "alias.test", "nothing.test", "v4.test",
                                        "both.test",  "zero.test"};
    char text[4096] = "hostname us.test\ndomain to-v6 { deliver smtp:[2001:db8::7] }\n"
                      "domain to-ours { deliver smtp:10.0.0.1 }\n"
                      "domain to-loop { deliver smtp:127.0.0.1 }\n"
                      "domain to-2525.test { deliver smtp:mx2.test:2525 }\n";
    for (size_t i = 0; i < ROWS(hosts); i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text),
                       "domain to-%s { deliver smtp:%s }\n", hosts[i], hosts[i]);
    struct settings *s = configured(text);
    struct bench *b = bench_with(seed, s);
    settings_release(s);
    return b;
}

static uint64_t bench_free(struct bench *b)
{
    for (uint32_t i = 0; i < b->ask_count; i++)
        route_release(b->asks[i].resolve.route);
    actor_join(resolver_actor(b->resolver));
    actor_join(b->asker);
    resolver_free(b->resolver);
    actor_free(b->asker);
    life_end(b->life);
    uint64_t hash = sim_hash(b->sim);
    sim_free(b->sim);
    free(b);
    return hash;
}

/* is_host: the host is named by the configuration, its MX do not count. */
static struct ask *ask(struct bench *b, const char *name, bool is_host)
{
    assert_true(b->ask_count < ASKS_MAX);
    struct ask *a = &b->asks[b->ask_count++];
    (void)snprintf(a->name, sizeof a->name, "%s%s", is_host ? "to-" : "", name);
    a->resolve.name = span_text(a->name);
    loop_wake(actor_loop(b->asker));
    return a;
}

static void run(struct bench *b, int64_t us)
{
    (void)sim_run_until(b->sim, sim_now_us(b->sim) + us);
}

static void run_all(struct bench *b)
{
    run(b, TIMEOUT_US + LATENESS_US);
    assert_int_equal(b->answer_count, b->ask_count);
}

/* "10 mx.test [2001:db8::1]:25 192.0.2.1:25, 20 …", or the fault. */
static void expect_at(const struct resolve *r, const char *expected, int line)
{
    struct buffer text;
    buffer_init(&text, 8192);
    if (r->fault != FAULT_NONE) {
        buffer_put_text(&text, fault_name(r->fault));
    } else {
        for (uint32_t i = 0; i < r->route->host_count; i++) {
            const struct route_host *host = &r->route->hosts[i];
            char at[ENDPOINT_TEXT_MAX];
            buffer_printf(&text, "%s%u %.*s", i > 0 ? ", " : "", (unsigned)host->preference,
                          SPAN_PRINT(host->name));
            for (uint16_t k = 0; k < host->address_count; k++)
                buffer_printf(&text, " %.*s", SPAN_PRINT(endpoint_format(host->addresses[k], at)));
        }
    }
    expect_span_at(buffer_span(&text), span_text(expected), __FILE__, line);
    buffer_fini(&text);
}

#define expect(ask, expected) expect_at(&(ask)->resolve, (expected), __LINE__)

static void put_domains(struct sim *s)
{
    sim_dns_mx(s, "plain.test", 20, "mx2.test");
    sim_dns_mx(s, "plain.test", 10, "MX1.test");
    sim_dns_address(s, "mx1.test", "192.0.2.1");
    sim_dns_address(s, "xn--bcher-kva.test", "192.0.2.77");
    sim_dns_address(s, "mx1.test", "2001:db8::1");
    sim_dns_address(s, "mx2.test", "192.0.2.2");
    sim_dns_address(s, "implicit.test", "192.0.2.3");
    sim_dns_mx(s, "null.test", 0, "");
    sim_dns_mx(s, "null-and-more.test", 0, "");
    sim_dns_mx(s, "null-and-more.test", 10, "mx2.test");
    sim_dns_mx(s, "null-ten.test", 10, "");
    sim_dns_exists(s, "nothing.test");
    sim_dns_exists(s, "a.below.test");
    sim_dns_mx(s, "mx-alias.test", 10, "alias.test");
    sim_dns_alias(s, "alias.test", "mx2.test");
    sim_dns_alias(s, "domain-alias.test", "plain.test");
    sim_dns_alias(s, "host-alias.test", "implicit.test");
    sim_dns_alias(s, "broken-alias.test", "gone.test");
    sim_dns_alias(s, "loop.test", "pool.test");
    sim_dns_alias(s, "pool.test", "loop.test");
    sim_dns_mx(s, "mx-gone.test", 10, "gone.test");
    sim_dns_mx(s, "mx-one-gone.test", 10, "gone.test");
    sim_dns_mx(s, "mx-one-gone.test", 20, "mx2.test");
    sim_dns_mx(s, "mx-nothing.test", 10, "nothing.test");
    sim_dns_mx(s, "mx-ip.test", 10, "192.0.2.1");
    sim_dns_mx(s, "mx-ip-too.test", 10, "192.0.2.1");
    sim_dns_mx(s, "mx-ip-too.test", 10, "mx2.test");
    sim_dns_mx(s, "mx-odd.test", 10, "no host.test");
    sim_dns_mx(s, "twice.test", 20, "mx2.test");
    sim_dns_mx(s, "twice.test", 10, "mx2.test");
    sim_dns_mx(s, "unspecified.test", 10, "zero.test");
    sim_dns_address(s, "zero.test", "0.0.0.0");
    sim_dns_address(s, "zero.test", "::");
    sim_dns_address(s, "zero.test", "224.0.0.1");
    sim_dns_address(s, "zero.test", "255.255.255.255");
    sim_dns_address(s, "zero.test", "ff02::1");
    sim_dns_address(s, "zero.test", "fe80::1");
    sim_dns_mx(s, "local.test", 10, "local-mx.test");
    sim_dns_address(s, "local-mx.test", "127.0.0.2");
    /* Ourselves, by name and by address. */
    sim_dns_address(s, "us.test", "10.0.0.1");
    sim_dns_address(s, "us-too.test", "10.0.0.1");
    sim_dns_address(s, "us-too.test", "192.0.2.9");
    sim_dns_address(s, "us-v6.test", "2001:db8::25");
    sim_dns_address(s, "us-mapped.test", "::ffff:10.0.0.1");
    sim_dns_mx(s, "only-us.test", 10, "us.TEST");
    sim_dns_mx(s, "only-us-too.test", 10, "us-too.test");
    sim_dns_mx(s, "only-us-v6.test", 10, "us-v6.test");
    sim_dns_mx(s, "only-us-mapped.test", 10, "us-mapped.test");
    sim_dns_mx(s, "we-first.test", 10, "us.test");
    sim_dns_mx(s, "we-first.test", 20, "mx2.test");
    sim_dns_mx(s, "we-second.test", 20, "us.test");
    sim_dns_mx(s, "we-second.test", 10, "mx2.test");
    sim_dns_mx(s, "we-second.test", 20, "mx1.test");
    sim_dns_mx(s, "we-second.test", 30, "mx1.test");
    sim_dns_mx(s, "we-second-too.test", 20, "us-too.test");
    sim_dns_mx(s, "we-second-too.test", 10, "mx2.test");
    sim_dns_mx(s, "we-second-too.test", 20, "mx1.test");
    sim_dns_mx(s, "we-or-nobody.test", 10, "gone.test");
    sim_dns_mx(s, "we-or-nobody.test", 20, "us.test");
}

static const struct {
    const char *name;
    bool is_host;
    const char *expected;
} domains[] = {
    {"plain.test", false, "10 mx1.test [2001:db8::1]:25 192.0.2.1:25, 20 mx2.test 192.0.2.2:25"},
    {"implicit.test", false, "0 implicit.test 192.0.2.3:25"},
    {"null.test", false, "NULL_MX"},
    {"null-and-more.test", false, "10 mx2.test 192.0.2.2:25"},
    {"null-ten.test", false, "DNS_NO_ADDRESS"},
    {"nothing.test", false, "DNS_NO_ADDRESS"},
    {"below.test", false, "DNS_NO_ADDRESS"},
    {"gone.test", false, "DNS_NO_DOMAIN"},
    {"mx-alias.test", false, "10 alias.test 192.0.2.2:25"},
    {"domain-alias.test", false,
     "10 mx1.test [2001:db8::1]:25 192.0.2.1:25, 20 mx2.test 192.0.2.2:25"},
    {"host-alias.test", false, "0 host-alias.test 192.0.2.3:25"},
    {"broken-alias.test", false, "DNS_NO_DOMAIN"},
    {"loop.test", false, "DNS_TEMPORARY"},
    {"mx-gone.test", false, "DNS_NO_ADDRESS"},
    {"mx-one-gone.test", false, "20 mx2.test 192.0.2.2:25"},
    {"mx-nothing.test", false, "DNS_NO_ADDRESS"},
    {"mx-ip.test", false, "DNS_NO_ADDRESS"},
    {"mx-ip-too.test", false, "10 mx2.test 192.0.2.2:25"},
    {"mx-odd.test", false, "DNS_NO_ADDRESS"},
    {"twice.test", false, "10 mx2.test 192.0.2.2:25"},
    {"unspecified.test", false, "DNS_NO_ADDRESS"},
    {"local.test", false, "10 local-mx.test 127.0.0.2:25"},
    {"us.test", false, "MAIL_LOOP"},
    {"only-us.test", false, "MAIL_LOOP"},
    {"only-us-too.test", false, "MAIL_LOOP"},
    {"only-us-v6.test", false, "MAIL_LOOP"},
    {"only-us-mapped.test", false, "MAIL_LOOP"},
    {"we-first.test", false, "MAIL_LOOP"},
    {"we-second.test", false, "10 mx2.test 192.0.2.2:25"},
    {"we-second-too.test", false, "10 mx2.test 192.0.2.2:25"},
    {"we-or-nobody.test", false, "MAIL_LOOP"},
    /* Names that are none. */
    {"", false, "DNS_NO_DOMAIN"},
    {".", false, "DNS_NO_DOMAIN"},
    {"a..test", false, "DNS_NO_DOMAIN"},
    {"-a.test", false, "DNS_NO_DOMAIN"},
    {"plain.test", true, "DNS_NO_ADDRESS"},
    /* Addresses. */
    {"[192.0.2.7]", false, "0  192.0.2.7:25"},
    {"[ipv6:2001:db8::7]", false, "0  [2001:db8::7]:25"},
    {"[IPv6:::ffff:192.0.2.7]", false, "0  192.0.2.7:25"},
    {"[10.0.0.1]", false, "MAIL_LOOP"},
    {"[IPv6:2001:db8::25]", false, "MAIL_LOOP"},
    {"[0.0.0.0]", false, "DNS_NO_ADDRESS"},
    {"[192.0.2.256]", false, "DNS_NO_DOMAIN"},
    {"[x:y]", false, "DNS_NO_DOMAIN"},
    {"192.0.2.7", false, "DNS_NO_DOMAIN"},
    {"ours", true, "0  10.0.0.1:25"},
    {"loop", true, "0  127.0.0.1:25"},
    {"v6", true, "0  [2001:db8::7]:25"},
    /* Next hops. */
    {"b\xc3\xbc"
     "cher.test",
     false, "0 xn--bcher-kva.test 192.0.2.77:25"},
    {"\xff.test", false, "DNS_NO_DOMAIN"},
    {"mx1.test", true, "0 mx1.test [2001:db8::1]:25 192.0.2.1:25"},
    {"alias.test", true, "0 alias.test 192.0.2.2:25"},
    {"us.test", true, "0 us.test 10.0.0.1:25"},
    {"gone.test", true, "DNS_NO_DOMAIN"},
    {"nothing.test", true, "DNS_NO_ADDRESS"},
    {"zero.test", true, "DNS_NO_ADDRESS"},
};

static void all_kinds_of_domains(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct bench *b = bench_new(seed);
        put_domains(b->sim);
        for (size_t i = 0; i < ROWS(domains); i++)
            ask(b, domains[i].name, domains[i].is_host);
        run_all(b);
        for (size_t i = 0; i < ROWS(domains); i++)
            expect(&b->asks[i], domains[i].expected);
        bench_free(b);
    }
}

static void ports_and_sites(void **state)
{
    (void)state;
    struct bench *b = bench_new(1);
    put_domains(b->sim);
    struct ask *plain = ask(b, "plain.test", false);
    struct ask *other = ask(b, "2525.test", true);
    struct ask *address = ask(b, "[192.0.2.7]", false);
    run_all(b);
    expect(other, "0 mx2.test 192.0.2.2:2525");
    expect_span(plain->resolve.route->site, SPAN("mx1.test:25,mx2.test:25"));
    expect_span(other->resolve.route->site, SPAN("mx2.test:2525"));
    expect_span(address->resolve.route->site, SPAN("192.0.2.7:25"));
    bench_free(b);
}

/* What the configuration says is not asked of the DNS; a host of it may be ourselves. */
static void what_is_configured(void **state)
{
    (void)state;
    static const struct {
        const char *name, *expected, *site;
        enum route_transport transport;
        enum route_tls tls;
    } rows[] = {
        {"mail.test", "0 mail.test local", "local:mail.test", ROUTE_LOCAL, ROUTE_TLS_NEVER},
        {"MAIL.test", "0 mail.test local", "local:mail.test", ROUTE_LOCAL, ROUTE_TLS_NEVER},
        {"stra\xc3\x9f"
         "e.test",
         "0 /run/b local", "lmtp:/run/b", ROUTE_LMTP, ROUTE_TLS_NEVER},
        {"store.test", "0 /run/lmtp local", "lmtp:/run/lmtp", ROUTE_LMTP, ROUTE_TLS_NEVER},
        {"relayed.test", "0 mx2.test 192.0.2.2:26, 2  10.0.0.1:25", "10.0.0.1:25,mx2.test:26",
         ROUTE_SMTP, ROUTE_TLS_MUST},
        {"stores.test", "0 mx1.test [2001:db8::1]:24 192.0.2.1:24, 1  [2001:db8::25]:24",
         "lmtp:[2001:db8::25]:24,mx1.test:24", ROUTE_LMTP, ROUTE_TLS_NEVER},
        {"only-addresses.test", "0  192.0.2.9:25, 1  192.0.2.8:25", "192.0.2.8:25,192.0.2.9:25",
         ROUTE_SMTP, ROUTE_TLS_NEVER},
        {"gone-host.test", "DNS_NO_DOMAIN", NULL, ROUTE_SMTP, ROUTE_TLS_NEVER},
        {"aliases.test", "NO_DESTINATION", NULL, ROUTE_SMTP, ROUTE_TLS_NEVER},
        {"plain.test", "0 mx1.test [2001:db8::1]:25 192.0.2.1:25, 1 mx2.test 192.0.2.2:587",
         "mx1.test:25,mx2.test:587", ROUTE_SMTP, ROUTE_TLS_MAY},
        {"null.test", "0 mx1.test [2001:db8::1]:25 192.0.2.1:25, 1 mx2.test 192.0.2.2:587",
         "mx1.test:25,mx2.test:587", ROUTE_SMTP, ROUTE_TLS_MAY},
    };
    struct settings *s = configured(
        "hostname us.test\nrelay { to smtp:mx1.test smtp:mx2.test:587 tls may }\n"
        "deliver { tls never }\n"
        "domain mail.test { users file:/u  deliver maildir:/m/{user} }\n"
        "domain store.test { deliver lmtp:/run/lmtp }\n"
        "domain xn--strae-oqa.test { deliver lmtp:/run/b }\n"
        "domain relayed.test { deliver smtp:mx2.test:26 smtp:gone.test smtp:10.0.0.1 tls must }\n"
        "domain stores.test { deliver lmtp:MX1.test:24 lmtp:[2001:db8::25]:24 }\n"
        "domain only-addresses.test { deliver smtp:192.0.2.9 smtp:192.0.2.8 smtp:0.0.0.0 }\n"
        "domain gone-host.test { deliver smtp:gone.test }\n"
        "domain aliases.test { }\n");
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct bench *b = bench_with(seed, s);
        put_domains(b->sim);
        for (size_t i = 0; i < ROWS(rows); i++)
            ask(b, rows[i].name, false);
        run_all(b);
        for (size_t i = 0; i < ROWS(rows); i++) {
            const struct route *route = b->asks[i].resolve.route;
            expect(&b->asks[i], rows[i].expected);
            if (rows[i].site == NULL)
                continue;
            expect_span(route->site, span_text(rows[i].site));
            assert_int_equal(route->transport, rows[i].transport);
            assert_int_equal(route->tls, rows[i].tls);
        }
        bench_free(b);
    }
    settings_release(s);
}

static void times_to_live(void **state)
{
    (void)state;
    static const struct {
        uint32_t mx_s, address_s;
        int64_t expected_ms;
    } rows[] = {
        {300, 600, 300000},
        {600, 300, 300000},
        {0, 600, RESOLVER_TTL_MIN_MS},
        {600, 1, RESOLVER_TTL_MIN_MS},
        {86400, 86400, RESOLVER_TTL_MAX_MS},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct bench *b = bench_new(i);
        sim_dns_options(b->sim)->negative_ttl_s = 6; /* that there is no AAAA does not count */
        sim_dns_options(b->sim)->ttl_s = rows[i].mx_s;
        sim_dns_mx(b->sim, "a.test", 10, "mx.test");
        sim_dns_options(b->sim)->ttl_s = rows[i].address_s;
        sim_dns_address(b->sim, "mx.test", "192.0.2.1");
        struct ask *a = ask(b, "a.test", false);
        struct ask *gone = ask(b, "gone.test", false);
        struct ask *no_name = ask(b, "a..b", false);
        run_all(b);
        assert_int_equal(a->resolve.ttl_ms, rows[i].expected_ms);
        assert_int_equal(gone->resolve.ttl_ms, 6000);
        assert_int_equal(no_name->resolve.ttl_ms, RESOLVER_TTL_FAULT_MAX_MS);
        bench_free(b);
    }
}

static void troubled_exchanges(void **state)
{
    (void)state;
    static const enum sim_dns_trouble troubles[] = {
        SIM_DNS_SERVER_FAILED, SIM_DNS_REFUSED,   SIM_DNS_NO_PACKET, SIM_DNS_SILENT,
        SIM_DNS_GARBAGE,       SIM_DNS_TRUNCATED, SIM_DNS_BOGUS,
    };
    for (size_t i = 0; i < 4 * ROWS(troubles); i++) {
        struct bench *b = bench_new(i);
        put_domains(b->sim);
        enum sim_dns_trouble trouble = troubles[i % ROWS(troubles)];
        sim_dns_trouble(b->sim, "plain.test", ANSWER_MX, trouble);
        sim_dns_trouble(b->sim, "gone.test", ANSWER_MX, trouble);
        struct ask *plain = ask(b, "plain.test", false);
        struct ask *gone = ask(b, "gone.test", false);
        run_all(b);
        expect(plain, "DNS_TEMPORARY");
        expect(gone, "DNS_TEMPORARY");
        assert_int_equal(plain->resolve.ttl_ms, RESOLVER_TTL_DOUBT_MS);
        if (trouble == SIM_DNS_SILENT)
            assert_true(plain->answered_us - plain->sent_us >= TIMEOUT_US);
        bench_free(b);
    }
}

/* A host in doubt is left out; it matters only when no other is there. */
static void troubled_addresses(void **state)
{
    (void)state;
    static const enum sim_dns_trouble troubles[] = {SIM_DNS_SERVER_FAILED, SIM_DNS_SILENT,
                                                    SIM_DNS_GARBAGE, SIM_DNS_BOGUS};
    for (size_t i = 0; i < 4 * ROWS(troubles); i++) {
        struct bench *b = bench_new(i);
        enum sim_dns_trouble trouble = troubles[i % ROWS(troubles)];
        put_domains(b->sim);
        sim_dns_trouble(b->sim, "mx1.test", ANSWER_AAAA, trouble);
        sim_dns_trouble(b->sim, "mx2.test", SIM_DNS_ALL_TYPES, trouble);
        struct ask *plain = ask(b, "plain.test", false);
        struct ask *alone = ask(b, "mx-one-gone.test", false);
        struct ask *host = ask(b, "mx2.test", true);
        struct ask *second = ask(b, "we-second.test", false);
        run_all(b);
        expect(plain, "10 mx1.test 192.0.2.1:25");
        assert_int_equal(plain->resolve.ttl_ms, RESOLVER_TTL_DOUBT_MS);
        expect(alone, "DNS_TEMPORARY");
        expect(host, "DNS_TEMPORARY");
        expect(second, "DNS_TEMPORARY");
        bench_free(b);
    }
}

/* The family that did not answer may be the only one that we can reach: it is soon asked again. */
static void one_family_in_doubt(void **state)
{
    (void)state;
    static const struct {
        uint16_t type;
        const char *expected;
    } rows[] = {{ANSWER_A, "10 mx1.test [2001:db8::1]:25, 20 mx2.test 192.0.2.2:25"},
                {ANSWER_AAAA, "10 mx1.test 192.0.2.1:25, 20 mx2.test 192.0.2.2:25"}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct bench *b = bench_new(i);
        put_domains(b->sim);
        sim_dns_trouble(b->sim, "mx1.test", rows[i].type, SIM_DNS_SERVER_FAILED);
        struct ask *plain = ask(b, "plain.test", false);
        run_all(b);
        expect(plain, rows[i].expected);
        assert_int_equal(plain->resolve.ttl_ms, RESOLVER_TTL_DOUBT_MS);
        bench_free(b);
    }
}

static void many_hosts_and_addresses(void **state)
{
    (void)state;
    struct bench *b = bench_new(3);
    for (unsigned i = 0; i < RESOLVER_HOSTS_MAX + 5; i++) {
        char name[32], at[32];
        snprintf(name, sizeof name, "mx%02u.test", i);
        snprintf(at, sizeof at, "192.0.2.%u", i + 1);
        sim_dns_mx(b->sim, "many.test", (uint16_t)(100 - i), name);
        sim_dns_address(b->sim, name, at);
    }
    for (unsigned i = 0; i < 2 * RESOLVER_ADDRESSES_MAX; i++) {
        char at[32];
        snprintf(at, sizeof at, "192.0.2.%u", i + 10);
        sim_dns_address(b->sim, "v4.test", at);
        sim_dns_address(b->sim, "both.test", at);
        snprintf(at, sizeof at, "2001:db8::%x", i + 0x10);
        sim_dns_address(b->sim, "both.test", at);
    }
    struct ask *many = ask(b, "many.test", false);
    struct ask *v4 = ask(b, "v4.test", true);
    struct ask *both = ask(b, "both.test", true);
    run_all(b);
    assert_int_equal(many->resolve.route->host_count, RESOLVER_HOSTS_MAX);
    expect_span(many->resolve.route->hosts[0].name, SPAN("mx24.test"));
    expect_span(many->resolve.route->hosts[RESOLVER_HOSTS_MAX - 1].name, SPAN("mx05.test"));
    assert_int_equal(v4->resolve.route->hosts[0].address_count, RESOLVER_ADDRESSES_MAX);
    const struct route_host *host = &both->resolve.route->hosts[0];
    assert_int_equal(host->address_count, RESOLVER_ADDRESSES_MAX);
    for (int i = 0; i < RESOLVER_ADDRESSES_MAX; i++)
        assert_int_equal(host->addresses[i].family, i % 2 == 0 ? 6 : 4);
    bench_free(b);
}

/* More questions than may be asked at once: the rest waits, and each is answered. */
static void more_than_may_be_asked(void **state)
{
    (void)state;
    struct bench *b = bench_new(5);
    sim_dns_options(b->sim)->at_once = 0;
    put_domains(b->sim);
    for (int i = 0; i < ASKS_MAX; i++)
        ask(b, i % 3 == 0 ? "implicit.test" : "plain.test", false);
    run(b, 200);
    while (sim_dns_lookups(b->sim) == 0)
        run(b, 100);
    assert_int_equal(b->answer_count, 0);
    run_all(b);
    for (int i = 0; i < ASKS_MAX; i++)
        assert_int_equal(b->asks[i].resolve.fault, FAULT_NONE);
    bench_free(b);

    /* Those that no answer reaches keep their places until their time is over. */
    b = bench_new(6);
    put_domains(b->sim);
    sim_dns_trouble(b->sim, "plain.test", SIM_DNS_ALL_TYPES, SIM_DNS_SILENT);
    for (int i = 0; i < ASKS_MAX; i++)
        ask(b, "plain.test", false);
    run(b, TIMEOUT_US / 2);
    assert_int_equal(sim_dns_lookups(b->sim), RESOLVER_LOOKUPS_MAX);
    run_all(b);
    for (int i = 0; i < ASKS_MAX; i++)
        expect(&b->asks[i], "DNS_TEMPORARY");
    bench_free(b);
}

static void a_ping_and_a_stop(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct bench *b = bench_new(seed);
        put_domains(b->sim);
        sim_dns_trouble(b->sim, "mx2.test", ANSWER_A, SIM_DNS_SILENT);
        for (int i = 0; i < 20; i++)
            ask(b, i % 2 == 0 ? "plain.test" : "we-second.test", false);
        b->ping_wanted = true;
        run(b, (int64_t)seed * 10000);
        b->stop_wanted = true;
        loop_wake(actor_loop(b->asker));
        run(b, SIM_SECOND);
        assert_true(b->is_ping_answered && b->is_stopped);
        assert_int_equal(b->answer_count, b->ask_count);
        for (uint32_t i = 0; i < b->ask_count; i++)
            expect(&b->asks[i], "STOPPING");
        bench_free(b);
    }
}

/* The resolver is freed with all kinds of things under way; the leak check looks on. */
static void a_death(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct bench *b = bench_new(seed);
        put_domains(b->sim);
        sim_dns_rough(b->sim);
        for (int i = 0; i < 40; i++)
            ask(b, domains[i].name, domains[i].is_host);
        run(b, (int64_t)seed * 20000);
        life_kill(b->life, seed % 2 == 0 ? SIM_KILLED : SIM_POWER_CUT);
        bench_free(b);
    }
}

/* Each host and address is one of the whole route; some may be missing. */
static void expect_part_of(const struct route *r, const char *whole)
{
    for (uint32_t i = 0; i < r->host_count; i++) {
        char text[600];
        const struct route_host *host = &r->hosts[i];
        snprintf(text, sizeof text, "%u %.*s", (unsigned)host->preference, SPAN_PRINT(host->name));
        assert_non_null(strstr(whole, text));
        for (uint16_t k = 0; k < host->address_count; k++) {
            (void)endpoint_format(host->addresses[k], text);
            assert_non_null(strstr(whole, text));
        }
    }
}

/* Who is in doubt about the addresses of a host cannot see that it is itself. */
static const char *whole_route(size_t i)
{
    if (strcmp(domains[i].name, "we-second-too.test") == 0)
        return "10 mx2.test 192.0.2.2:25, 20 mx1.test [2001:db8::1]:25 192.0.2.1:25";
    return domains[i].expected;
}

/* Whatever goes wrong, an answer is the right one or doubt, it comes in time, and a seed repeats.
 */
static uint64_t rough_run(uint64_t seed)
{
    struct bench *b = bench_new(seed);
    put_domains(b->sim);
    sim_dns_rough(b->sim);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < ROWS(domains); i++)
            ask(b, domains[i].name, domains[i].is_host);
    run_all(b);
    for (uint32_t i = 0; i < b->ask_count; i++) {
        const struct resolve *r = &b->asks[i].resolve;
        const char *expected = domains[i % ROWS(domains)].expected;
        assert_true(b->asks[i].answered_us - b->asks[i].sent_us <= TIMEOUT_US + LATENESS_US);
        assert_true(r->ttl_ms >= RESOLVER_TTL_MIN_MS && r->ttl_ms <= RESOLVER_TTL_MAX_MS);
        if (r->fault == FAULT_NONE)
            expect_part_of(r->route, whole_route(i % ROWS(domains)));
        else if (r->fault != FAULT_DNS_TEMPORARY)
            expect(&b->asks[i], expected);
    }
    return bench_free(b);
}

static void rough(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        rough_run(seed);
    for (uint64_t seed = 0; seed < 10; seed++)
        assert_int_equal(rough_run(seed), rough_run(seed));
    assert_int_not_equal(rough_run(1), rough_run(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_of_domains),
        cmocka_unit_test(ports_and_sites),
        cmocka_unit_test(what_is_configured),
        cmocka_unit_test(times_to_live),
        cmocka_unit_test(troubled_exchanges),
        cmocka_unit_test(troubled_addresses),
        cmocka_unit_test(one_family_in_doubt),
        cmocka_unit_test(many_hosts_and_addresses),
        cmocka_unit_test(more_than_may_be_asked),
        cmocka_unit_test(a_ping_and_a_stop),
        cmocka_unit_test(a_death),
        cmocka_unit_test(rough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
