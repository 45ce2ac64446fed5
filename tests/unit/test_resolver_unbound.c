/* The resolver over libunbound, with a name server of the test's own on the loopback interface. */
#include "dns/resolver.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#include "base/buffer.h"
#include "dns/name.h"
#include "expect.h"
#include "os/linux/real_world.h"
#include "sim/packet.h"

#define ASKS_MAX    1500
#define TIMEOUT_MS  2000
#define PATIENCE_MS 12000 /* where every question has an answer */
#define AUTHORITY   (PACKET_RESPONSE | PACKET_AUTHORITATIVE | 0x0100)
#define RECURSIVE   (PACKET_RESPONSE | 0x0180)

/* The name server ---------------------------------------------------------------------------------
 */

struct server {
    int udp, tcp;
    uint16_t port;
    uint16_t flags; /* of all answers: it recurses, or it only knows */
    atomic_bool is_stopping, is_silent;
    atomic_uint queries, tcp_queries;
    pthread_t thread;
    struct packet packet;
};

static bool is(struct span name, const char *text)
{
    return span_equal_nocase(name, span_text(text));
}

static void put_ip(struct packet *p, struct span name, uint16_t type, const char *v4,
                   const char *v6)
{
    struct endpoint e;
    uint8_t bytes[16];
    if (type == ANSWER_A && v4 != NULL && literal_parse_ipv4(span_text(v4), bytes)) {
        e = answer_endpoint(span_of(bytes, 4));
        packet_address(p, name, 300, e);
    }
    if (type == ANSWER_AAAA && v6 != NULL && literal_parse_ipv6(span_text(v6), bytes)) {
        e = answer_endpoint(span_of(bytes, 16));
        packet_address(p, name, 300, e);
    }
}

static bool ends_with(struct span name, const char *text)
{
    return span_ends_with_nocase(name, span_text(text));
}

/* The zone, as a program. False: no such name. */
static bool put_records(struct packet *p, struct span name, uint16_t type)
{
    bool mx = type == ANSWER_MX;
    if (is(name, "plain.test") || is(name, "tcp.test")) {
        if (mx) {
            packet_mx(p, name, 300, 20, SPAN("mx2.test"));
            packet_mx(p, name, 300, 10, SPAN("mx1.test"));
        }
    } else if (is(name, "mx1.test")) {
        put_ip(p, name, type, "127.0.0.2", "2001:db8::1");
    } else if (is(name, "mx2.test") || is(name, "implicit.test") || ends_with(name, ".many.test")) {
        put_ip(p, name, type, "127.0.0.3", NULL);
    } else if (is(name, "null.test")) {
        if (mx)
            packet_mx(p, name, 300, 0, SPAN(""));
    } else if (is(name, "alias.test")) {
        packet_alias(p, name, 300, SPAN("implicit.test"));
        put_ip(p, SPAN("implicit.test"), type, "127.0.0.3", NULL);
    } else if (is(name, "mx-alias.test")) {
        if (mx)
            packet_mx(p, name, 300, 10, SPAN("alias.test"));
    } else if (is(name, "mx-silent.test")) {
        if (mx) {
            packet_mx(p, name, 300, 10, SPAN("silent.test"));
            packet_mx(p, name, 300, 20, SPAN("mx2.test"));
        }
    } else {
        return is(name, "nothing.test");
    }
    return true;
}

/* What goes wrong; true: nothing is to be sent. */
static bool spoil(struct packet *p, struct span name, bool is_tcp)
{
    if (is(name, "silent.test"))
        return true;
    if (is(name, "failing.test"))
        p->bytes[3] = (uint8_t)(p->bytes[3] | PACKET_SERVER_FAILED);
    if (is(name, "refusing.test"))
        p->bytes[3] = (uint8_t)(p->bytes[3] | PACKET_REFUSED);
    if (is(name, "garbage.test")) {
        memset(p->bytes + 12, 0xc3, 60);
        p->len = 72;
    }
    if (is(name, "short.test"))
        p->len = 5;
    if (is(name, "tcp.test") && !is_tcp) {
        p->bytes[2] |= PACKET_TRUNCATED >> 8;
        p->bytes[PACKET_ANSWER + 1] = 0;
        p->len = 12 + name.len + 2 + 4;
    }
    return false;
}

/* False: no answer. */
static bool answer_query(struct server *s, struct span query, bool is_tcp)
{
    struct packet *p = &s->packet;
    struct name wire;
    uint8_t text[DOMAIN_MAX];
    struct span name = {NULL, 0};
    size_t at = 12;
    size_t len = 0;
    if (query.len < 12 || !name_decode(query, &at, &wire) || query.len - at < 4)
        return false;
    if (wire.len > 1 && name_format_host(&wire, text, &len))
        name = span_of(text, len);
    uint16_t type = (uint16_t)(query.data[at] << 8 | query.data[at + 1]);
    atomic_fetch_add(is_tcp ? &s->tcp_queries : &s->queries, 1);
    p->compress = true;
    packet_begin(p, (uint16_t)(query.data[0] << 8 | query.data[1]), s->flags, name, type);
    bool exists = put_records(p, name, type);
    if (p->bytes[PACKET_ANSWER + 1] == 0)
        packet_soa(p, SPAN("test"), 60, 60);
    if (!exists)
        p->bytes[3] |= PACKET_NO_NAME;
    /* The question as it came: upper and lower case may be mixed on purpose. */
    memcpy(p->bytes + 12, query.data + 12, wire.len);
    if (!exists && (is(name, "failing.test") || is(name, "refusing.test")))
        p->bytes[3] &= 0xf0;
    return !spoil(p, name, is_tcp) && !atomic_load(&s->is_silent);
}

static void serve_udp(struct server *s)
{
    uint8_t query[4096];
    struct sockaddr_in peer;
    socklen_t peer_len = sizeof peer;
    ssize_t got = recvfrom(s->udp, query, sizeof query, 0, (struct sockaddr *)&peer, &peer_len);
    if (got > 0 && answer_query(s, span_of(query, (size_t)got), false))
        (void)sendto(s->udp, s->packet.bytes, s->packet.len, 0, (struct sockaddr *)&peer, peer_len);
}

static void serve_tcp(struct server *s)
{
    uint8_t query[4096];
    int connection = accept(s->tcp, NULL, NULL);
    struct timeval limit = {.tv_sec = 1};
    if (connection < 0)
        return;
    (void)setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (recv(connection, query, 2, MSG_WAITALL) == 2) {
        size_t len = (size_t)(query[0] << 8 | query[1]);
        if (len <= sizeof query && recv(connection, query, len, MSG_WAITALL) == (ssize_t)len &&
            answer_query(s, span_of(query, len), true)) {
            uint8_t prefix[2] = {(uint8_t)(s->packet.len >> 8), (uint8_t)s->packet.len};
            (void)send(connection, prefix, 2, MSG_NOSIGNAL | MSG_MORE);
            (void)send(connection, s->packet.bytes, s->packet.len, MSG_NOSIGNAL);
        }
    }
    close(connection);
}

static void *serve(void *context)
{
    struct server *s = context;
    while (!atomic_load(&s->is_stopping)) {
        struct pollfd ready[] = {{.fd = s->udp, .events = POLLIN},
                                 {.fd = s->tcp, .events = POLLIN}};
        (void)poll(ready, 2, 20);
        if ((ready[0].revents & POLLIN) != 0)
            serve_udp(s);
        if ((ready[1].revents & POLLIN) != 0)
            serve_tcp(s);
    }
    return NULL;
}

/* UDP and TCP on one port that is free for both. */
static void bind_both(struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int buffer = 4 << 20;
    for (int i = 0; i < 50; i++) {
        socklen_t len = sizeof at;
        at.sin_port = 0;
        s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)setsockopt(s->udp, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
        assert_int_equal(bind(s->udp, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(getsockname(s->udp, (struct sockaddr *)&at, &len), 0);
        s->port = ntohs(at.sin_port);
        if (bind(s->tcp, (struct sockaddr *)&at, sizeof at) == 0 && listen(s->tcp, 16) == 0)
            return;
        close(s->udp);
        close(s->tcp);
    }
    fail_msg("no port");
}

static void server_start(struct server *s, uint16_t flags)
{
    memset(s, 0, sizeof *s);
    s->flags = flags;
    bind_both(s);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    atomic_store(&s->is_stopping, true);
    pthread_join(s->thread, NULL);
    close(s->udp);
    close(s->tcp);
}

/* The asker ---------------------------------------------------------------------------------------
 */

struct bench {
    struct server server;
    struct world *world;
    struct resolver *resolver;
    struct actor *asker;
    struct letter stop;
    uint32_t ask_count, sent_count;
    atomic_uint wanted_count, answer_count;
    atomic_bool stop_wanted, is_stopped;
    struct resolve asks[ASKS_MAX];
};

static void on_letter(void *self, struct letter *letter)
{
    struct bench *b = self;
    if (letter == &b->stop) {
        atomic_store(&b->is_stopped, true);
        actor_stop(b->asker);
    } else {
        atomic_fetch_add(&b->answer_count, 1);
    }
}

static void on_turn(void *self)
{
    struct bench *b = self;
    struct actor *to = resolver_actor(b->resolver);
    uint32_t wanted = atomic_load(&b->wanted_count);
    for (; b->sent_count < wanted; b->sent_count++)
        letter_send(b->asker, to, &b->asks[b->sent_count].letter, LETTER_RESOLVE, NULL);
    if (atomic_exchange(&b->stop_wanted, false))
        letter_send(b->asker, to, &b->stop, LETTER_STOP, NULL);
}

static const struct actor_role role = {"asker", on_letter, on_turn};

static struct bench *bench_new(uint16_t server_flags, int64_t timeout_ms)
{
    static const struct endpoint own = {.family = 4, .ip = {10, 0, 0, 1}};
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    server_start(&b->server, server_flags);
    struct resolver_settings settings = {
        .hostname = "us.test",
        .server = {.family = 4, .ip = {127, 0, 0, 1}, .port = b->server.port},
        .timeout_ms = timeout_ms,
        .port = 25,
        .own = &own,
        .own_count = 1,
    };
    assert_int_equal(world_new_real(&b->world), FAULT_NONE);
    assert_int_equal(resolver_new(b->world, &settings, 0, NULL, &b->resolver), FAULT_NONE);
    assert_int_equal(actor_new(b->world, &role, b, 0, NULL, &b->asker), FAULT_NONE);
    assert_int_equal(actor_start(resolver_actor(b->resolver)), FAULT_NONE);
    assert_int_equal(actor_start(b->asker), FAULT_NONE);
    return b;
}

static struct resolve *ask(struct bench *b, const char *name)
{
    assert_true(b->ask_count < ASKS_MAX);
    struct resolve *r = &b->asks[b->ask_count++];
    r->name = span_text(name);
    return r;
}

static void send_asks(struct bench *b)
{
    atomic_store(&b->wanted_count, b->ask_count);
    loop_wake(actor_loop(b->asker));
}

static void wait_until(struct bench *b, uint32_t answers, bool stopped)
{
    for (int i = 0; i < 1500; i++) {
        struct timespec pause = {.tv_nsec = 10000000};
        if (atomic_load(&b->answer_count) >= answers && (!stopped || atomic_load(&b->is_stopped)))
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("%u answers of %u", atomic_load(&b->answer_count), answers);
}

static void ask_all(struct bench *b)
{
    send_asks(b);
    wait_until(b, b->ask_count, false);
}

static void bench_free(struct bench *b)
{
    atomic_store(&b->stop_wanted, true);
    loop_wake(actor_loop(b->asker));
    wait_until(b, b->ask_count, true);
    actor_join(resolver_actor(b->resolver));
    actor_join(b->asker);
    resolver_free(b->resolver);
    actor_free(b->asker);
    world_free_real(b->world);
    server_stop(&b->server);
    for (uint32_t i = 0; i < b->ask_count; i++)
        route_release(b->asks[i].route);
    free(b);
}

/* "mx1.test [2001:db8::1]:25 127.0.0.2:25, …", or the fault. */
static void expect_at(const struct resolve *r, const char *expected, int line)
{
    struct buffer text;
    buffer_init(&text, 4096);
    if (r->fault != FAULT_NONE)
        buffer_put_text(&text, fault_name(r->fault));
    for (uint32_t i = 0; r->fault == FAULT_NONE && i < r->route->host_count; i++) {
        const struct route_host *host = &r->route->hosts[i];
        char at[ENDPOINT_TEXT_MAX];
        buffer_printf(&text, "%s%.*s", i > 0 ? ", " : "", SPAN_PRINT(host->name));
        for (uint16_t k = 0; k < host->address_count; k++)
            buffer_printf(&text, " %.*s", SPAN_PRINT(endpoint_format(host->addresses[k], at)));
    }
    expect_span_at(buffer_span(&text), span_text(expected), __FILE__, line);
    buffer_fini(&text);
}

#define expect(resolve, expected) expect_at((resolve), (expected), __LINE__)

/* Tests -------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name, *expected;
} domains[] = {
    {"plain.test", "mx1.test [2001:db8::1]:25 127.0.0.2:25, mx2.test 127.0.0.3:25"},
    {"implicit.test", "implicit.test 127.0.0.3:25"},
    {"null.test", "NULL_MX"},
    {"nothing.test", "DNS_NO_ADDRESS"},
    {"gone.test", "DNS_NO_DOMAIN"},
    {"alias.test", "alias.test 127.0.0.3:25"},
    {"mx-alias.test", "alias.test 127.0.0.3:25"},
    {"tcp.test", "mx1.test [2001:db8::1]:25 127.0.0.2:25, mx2.test 127.0.0.3:25"},
    {"[127.0.0.9]", " 127.0.0.9:25"},
    {"failing.test", "DNS_TEMPORARY"},
    {"refusing.test", "DNS_TEMPORARY"},
    {"garbage.test", "DNS_TEMPORARY"},
    {"short.test", "DNS_TEMPORARY"},
    {"silent.test", "DNS_TEMPORARY"},
    {"mx-silent.test", "mx2.test 127.0.0.3:25"},
};

static void all_kinds(uint16_t server_flags)
{
    struct bench *b = bench_new(server_flags, TIMEOUT_MS);
    for (size_t i = 0; i < ROWS(domains); i++)
        ask(b, domains[i].name);
    ask_all(b);
    for (size_t i = 0; i < ROWS(domains); i++)
        expect(&b->asks[i], domains[i].expected);
    assert_true(atomic_load(&b->server.tcp_queries) > 0);
    bench_free(b);
}

static void a_server_that_recurses(void **state)
{
    (void)state;
    all_kinds(RECURSIVE);
}

/* As NSD in the end-to-end tests: authoritative, and it offers no recursion. */
static void a_server_that_only_knows(void **state)
{
    (void)state;
    all_kinds(AUTHORITY);
}

/* A cached answer comes from inside lookup_start. */
static void what_is_cached(void **state)
{
    (void)state;
    struct bench *b = bench_new(RECURSIVE, PATIENCE_MS);
    ask(b, "plain.test");
    ask(b, "gone.test");
    ask_all(b);
    unsigned queries = atomic_load(&b->server.queries);
    for (int i = 0; i < 1000; i++)
        ask(b, i % 2 == 0 ? "plain.test" : "gone.test");
    ask_all(b);
    assert_int_equal(atomic_load(&b->server.queries), queries);
    for (uint32_t i = 0; i < b->ask_count; i++)
        expect(&b->asks[i], domains[i % 2 == 0 ? 0 : 4].expected);
    assert_true(b->asks[0].ttl_ms == 300000);
    bench_free(b);
}

static void many_at_once(void **state)
{
    (void)state;
    static char names[ASKS_MAX][24];
    struct bench *b = bench_new(RECURSIVE, PATIENCE_MS);
    for (int i = 0; i < 1000; i++) {
        snprintf(names[i], sizeof names[i], "d%d.many.test", i);
        ask(b, names[i]);
    }
    ask_all(b);
    for (uint32_t i = 0; i < b->ask_count; i++)
        assert_int_equal(b->asks[i].fault, FAULT_NONE);
    bench_free(b);
}

/* Questions are under way in libunbound while everything is taken down. */
static void a_stop(void **state)
{
    (void)state;
    struct bench *b = bench_new(RECURSIVE, TIMEOUT_MS);
    for (int i = 0; i < 20; i++)
        ask(b, i % 2 == 0 ? "silent.test" : "mx-silent.test");
    send_asks(b);
    while (atomic_load(&b->server.queries) == 0)
        sched_yield();
    bench_free(b);
}

static void no_server(void **state)
{
    (void)state;
    struct bench *b = bench_new(RECURSIVE, TIMEOUT_MS);
    server_stop(&b->server);
    struct resolve *r = ask(b, "plain.test");
    ask_all(b);
    expect(r, "DNS_TEMPORARY");
    server_start(&b->server, RECURSIVE); /* for bench_free */
    bench_free(b);
}

/* Once it is there again it is asked at once, whatever libunbound has concluded meanwhile. */
static void a_server_that_comes_back(void **state)
{
    (void)state;
    static char names[40][24];
    struct bench *b = bench_new(RECURSIVE, 1500);
    for (unsigned i = 0; i < ROWS(names); i++)
        snprintf(names[i], sizeof names[i], "d%u.many.test", i);
    for (unsigned round = 0; round < 2; round++) {
        atomic_store(&b->server.is_silent, true);
        for (unsigned i = 0; i < 19; i++)
            ask(b, names[b->ask_count]);
        ask_all(b);
        expect(&b->asks[b->ask_count - 1], "DNS_TEMPORARY");
        atomic_store(&b->server.is_silent, false);
        struct resolve *r = ask(b, names[b->ask_count]);
        ask_all(b);
        assert_int_equal(r->fault, FAULT_NONE);
    }
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_recurses),
        cmocka_unit_test(a_server_that_only_knows),
        cmocka_unit_test(what_is_cached),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(a_stop),
        cmocka_unit_test(no_server),
        cmocka_unit_test(a_server_that_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
