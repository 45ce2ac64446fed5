/* The simulated network: the contract of os/socket.h, whatever the seed does to it. */
#include "os/socket.h"

#include "expect.h"
#include "sim/world.h"

#define PORT  25
#define SEEDS 100

static const struct endpoint client_address = {.family = 4, .ip = {10, 0, 0, 1}};
static const struct endpoint server_address = {.family = 4, .ip = {10, 0, 0, 2}, .port = PORT};
static const struct endpoint nobody = {.family = 4, .ip = {10, 0, 0, 9}, .port = PORT};
static const struct endpoint anywhere = {0};

/* One end of a connection: sends so many bytes of a pattern, then closes when told to; expects the
   same pattern from the other. */
struct end {
    struct host *host;
    struct socket *socket;
    uint64_t to_send, sent, received;
    uint8_t pieces[3][5000]; /* of the send under way */
    bool is_sending, is_connected, closes_when_sent, closes_at_end, is_ended;
    bool pauses; /* after each on_bytes, until its timer */
    struct timer timer;
    enum fault connect_fault, end_fault;
};

/* A life with one loop on a thread, a listener maybe, and up to a few ends. */
struct host {
    struct world *life;
    struct loop *loop;
    struct thread *thread;
    struct socket *listener;
    struct end ends[4];
    size_t count;
    uint64_t answers; /* what accepted ends send */
    bool is_hasty;    /* closes each connection at once */
    int dies_in;      /* so many call-backs; 0: never */
    enum sim_death death;
};

struct bench {
    struct sim *sim;
    struct machine *client_machine, *server_machine;
    struct host client, server;
    int descriptor;
};

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 31 + at / 251);
}

static void close_end(struct end *e)
{
    if (e->socket == NULL)
        return;
    timer_cancel(e->host->loop, &e->timer);
    socket_close(e->socket);
    e->socket = NULL;
    e->is_sending = false;
}

/* In each call-back. */
static void live_or_die(struct host *h)
{
    assert_int_equal(life_death(h->life), SIM_ALIVE);
    if (h->dies_in > 0 && --h->dies_in == 0)
        life_kill(h->life, h->death);
}

/* Until a send must wait. The pieces are spoilt once they are sent. */
static void send_more(struct end *e)
{
    while (e->sent < e->to_send && e->socket != NULL) {
        struct span parts[4] = {{0}};
        size_t count = 0;
        for (size_t i = 0; i < 3 && e->sent < e->to_send; i++) {
            size_t len = 1 + (size_t)(e->sent * 7 % sizeof e->pieces[i]);
            len = len < e->to_send - e->sent ? len : (size_t)(e->to_send - e->sent);
            for (size_t j = 0; j < len; j++)
                e->pieces[i][j] = pattern(e->sent + j);
            parts[count++] = span_of(e->pieces[i], len);
            e->sent += len;
        }
        e->is_sending = socket_send(e->socket, parts, count) == SEND_LATER;
        if (e->is_sending)
            return;
        memset(e->pieces, 0xEE, sizeof e->pieces);
    }
    if (e->closes_when_sent)
        close_end(e);
}

static void on_sent(void *context)
{
    struct end *e = context;
    assert_true(e->is_sending);
    live_or_die(e->host);
    e->is_sending = false;
    memset(e->pieces, 0xEE, sizeof e->pieces);
    send_more(e);
}

static void on_timer(void *context)
{
    struct end *e = context;
    socket_read_pause(e->socket, false);
}

static void on_bytes(void *context, struct span bytes)
{
    struct end *e = context;
    assert_false(e->is_ended);
    live_or_die(e->host);
    assert_true(bytes.len > 0 && bytes.len <= SOCKET_READ_BYTES);
    for (size_t i = 0; i < bytes.len; i++)
        assert_int_equal(bytes.data[i], pattern(e->received + i));
    e->received += bytes.len;
    if (e->pauses) {
        socket_read_pause(e->socket, true);
        assert_int_equal(timer_set(e->host->loop, &e->timer, loop_mono_us(e->host->loop) + 3000),
                         FAULT_NONE);
    }
}

static void on_end(void *context, enum fault fault)
{
    struct end *e = context;
    assert_false(e->is_ended);
    live_or_die(e->host);
    e->is_ended = true;
    e->end_fault = fault;
    if (fault != FAULT_NONE)
        e->is_sending = false;
    if (e->closes_at_end || fault != FAULT_NONE)
        close_end(e);
}

static void on_connect(void *context, enum fault fault)
{
    struct end *e = context;
    assert_false(e->is_connected);
    e->connect_fault = fault;
    e->is_connected = fault == FAULT_NONE;
    if (fault != FAULT_NONE)
        close_end(e);
    else
        send_more(e);
}

static void on_accept(void *context, struct socket *connection, struct endpoint peer);

static const struct socket_events end_events = {
    .on_connect = on_connect,
    .on_bytes = on_bytes,
    .on_sent = on_sent,
    .on_end = on_end,
};
static const struct socket_events listener_events = {.on_accept = on_accept};

static struct end *end_new(struct host *h)
{
    assert_true(h->count < ROWS(h->ends));
    struct end *e = &h->ends[h->count++];
    *e = (struct end){.host = h};
    timer_init(&e->timer, on_timer, e);
    return e;
}

static void on_accept(void *context, struct socket *connection, struct endpoint peer)
{
    struct host *h = context;
    assert_true(endpoint_equal(peer, socket_peer(connection)));
    assert_int_equal(peer.ip[3], client_address.ip[3]);
    live_or_die(h);
    if (h->is_hasty) {
        socket_close(connection);
        return;
    }
    struct end *e = end_new(h);
    e->socket = connection;
    e->is_connected = true;
    e->to_send = h->answers;
    e->closes_at_end = true;
    socket_adopt(connection, &end_events, e);
    send_more(e);
}

static bool turn(void *context)
{
    struct host *h = context;
    loop_poll(h->loop, true);
    return true;
}

static void host_begin(struct host *h, struct machine *m)
{
    *h = (struct host){.life = life_begin(m)};
    assert_int_equal(loop_new(h->life, &h->loop), FAULT_NONE);
    assert_int_equal(thread_start(h->life, "host", h->loop, turn, h, &h->thread), FAULT_NONE);
}

static void host_end(struct host *h)
{
    if (h->life == NULL)
        return;
    thread_join(h->thread);
    for (size_t i = 0; i < h->count; i++)
        close_end(&h->ends[i]);
    if (h->listener != NULL)
        socket_close(h->listener);
    loop_free(h->loop);
    life_end(h->life);
    h->life = NULL;
}

static void serve(struct bench *b)
{
    host_begin(&b->server, b->server_machine);
    assert_int_equal(socket_listen(b->server.loop, server_address, &listener_events, &b->server,
                                   &b->server.listener),
                     FAULT_NONE);
}

static void serve_on_descriptor(struct bench *b)
{
    host_begin(&b->server, b->server_machine);
    assert_int_equal(socket_listen_on(b->server.loop, b->descriptor, &listener_events, &b->server,
                                      &b->server.listener),
                     FAULT_NONE);
}

/* The server is left to begin. */
static struct bench *bench_new(uint64_t seed, const struct sim_options *options)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->sim = sim_new(seed, options);
    b->client_machine = machine_new(b->sim, "client", client_address);
    b->server_machine = machine_new(b->sim, "server", server_address);
    host_begin(&b->client, b->client_machine);
    return b;
}

static void bench_free(struct bench *b)
{
    host_end(&b->client);
    host_end(&b->server);
    sim_free(b->sim);
    free(b);
}

static struct end *connect_to(struct bench *b, struct endpoint to, uint64_t bytes)
{
    struct end *e = end_new(&b->client);
    e->to_send = bytes;
    assert_int_equal(socket_connect(b->client.loop, to, anywhere, &end_events, e, &e->socket),
                     FAULT_NONE);
    return e;
}

static enum sim_stop run_seconds(struct bench *b, int64_t seconds)
{
    return sim_run_until(b->sim, sim_now_us(b->sim) + seconds * SIM_SECOND);
}

static struct sim_options quiet(void)
{
    struct sim_options o = sim_options_calm();
    o.stall = o.spurious_wake = o.tiny_segments = o.cut_segments = o.short_send = o.accept_late = 0;
    return o;
}

enum { BYTES = 60000 };

/* Both directions at once; the client closes when it has sent and received everything. */
static void exchange(uint64_t seed, const struct sim_options *o, bool pauses)
{
    struct bench *b = bench_new(seed, o);
    serve(b);
    b->server.answers = BYTES;
    struct end *e = connect_to(b, server_address, BYTES);
    e->pauses = pauses;
    assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
    assert_true(e->is_connected);
    assert_int_equal(e->sent, BYTES);
    assert_false(e->is_sending || e->is_ended);
    assert_int_equal(e->received, BYTES);
    assert_int_equal(b->server.count, 1);
    struct end *s = &b->server.ends[0];
    assert_int_equal(s->received, BYTES);
    assert_true(endpoint_equal(socket_peer(s->socket), socket_local(e->socket)));
    assert_true(endpoint_equal(socket_local(s->socket), server_address));
    assert_true(endpoint_equal(socket_peer(e->socket), server_address));
    close_end(e);
    assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
    assert_true(s->is_ended);
    assert_int_equal(s->end_fault, FAULT_NONE);
    bench_free(b);
}

static void bytes_arrive_intact(void **state)
{
    static const struct {
        uint32_t tiny, cut, short_send, late, spurious;
        size_t window;
        bool pauses;
    } rows[] = {
        {0, 0, 0, 0, 0, 65536, false},
        {1000000, 0, 0, 0, 0, 65536, false},
        {0, 1000000, 0, 0, 0, 65536, false},
        {0, 0, 1000000, 0, 0, 65536, false},
        {0, 0, 0, 900000, 500000, 65536, false},
        {0, 0, 0, 0, 0, 300, false},
        {0, 0, 0, 0, 0, 65536, true},
        {500000, 500000, 500000, 500000, 5000, 3000, true},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++)
        for (uint64_t seed = 0; seed < 10; seed++) {
            struct sim_options o = quiet();
            o.tiny_segments = rows[i].tiny;
            o.cut_segments = rows[i].cut;
            o.short_send = rows[i].short_send;
            o.accept_late = rows[i].late;
            o.spurious_wake = rows[i].spurious;
            o.window_bytes_max = rows[i].window;
            exchange(seed, &o, rows[i].pauses);
        }
}

/* What a finished send handed over is delivered, though the sender is gone. */
static void close_delivers_what_was_sent(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        connect_to(b, server_address, BYTES)->closes_when_sent = true;
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_int_equal(b->server.count, 1);
        assert_int_equal(b->server.ends[0].received, BYTES);
        assert_true(b->server.ends[0].is_ended);
        assert_int_equal(b->server.ends[0].end_fault, FAULT_NONE);
        bench_free(b);
    }
}

static void half_close_leaves_the_other_half(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        struct end *e = connect_to(b, server_address, 0);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        struct end *s = &b->server.ends[0];
        s->closes_at_end = false;
        sim_socket_shut(e->socket);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        assert_true(s->is_ended && s->end_fault == FAULT_NONE);
        s->to_send = BYTES;
        s->closes_when_sent = true;
        send_more(s);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_int_equal(e->received, BYTES);
        assert_true(e->is_ended && e->end_fault == FAULT_NONE);
        bench_free(b);
    }
}

static void reset_is_told_to_both(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        struct end *e = connect_to(b, server_address, 10);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        sim_socket_reset(e->socket);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        assert_true(e->is_ended && b->server.ends[0].is_ended);
        assert_int_equal(e->end_fault, FAULT_CONNECTION_LOST);
        assert_int_equal(b->server.ends[0].end_fault, FAULT_CONNECTION_LOST);
        bench_free(b);
    }
}

/* The server closes while the client still sends: its send must not wait for ever. */
static void close_breaks_who_still_sends(void **state)
{
    int lost = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        o.window_bytes_max = 2000;
        struct bench *b = bench_new(seed, &o);
        serve(b);
        struct end *e = connect_to(b, server_address, BYTES);
        while (b->server.count == 0 || b->server.ends[0].received == 0)
            assert_int_equal(sim_run_until(b->sim, sim_now_us(b->sim) + 50), SIM_TIME);
        close_end(&b->server.ends[0]);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_true(e->is_ended);
        assert_false(e->is_sending);
        lost += e->end_fault == FAULT_CONNECTION_LOST;
        bench_free(b);
    }
    assert_true(lost > 0);
}

static void hasty_server(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        b->server.is_hasty = true;
        struct end *e = connect_to(b, server_address, seed % 2 == 0 ? 0 : BYTES);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_true(e->is_connected && e->is_ended && !e->is_sending);
        bench_free(b);
    }
}

static void connects_that_fail(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct sim_options o = quiet();
        struct bench *b = bench_new(seed, &o);
        struct socket *none = NULL;
        struct end *refused = connect_to(b, server_address, 1);
        struct end *unreachable = connect_to(b, nobody, 1);
        const struct endpoint six = {.family = 6, .ip = {1}, .port = PORT};
        assert_int_equal(socket_connect(b->client.loop, six, anywhere, &end_events, NULL, &none),
                         FAULT_UNREACHABLE);
        assert_int_equal(socket_connect(b->client.loop, nobody, nobody, &end_events, NULL, &none),
                         FAULT_NO_PORTS);
        assert_null(none);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        assert_int_equal(refused->connect_fault, FAULT_CONNECT_REFUSED);
        assert_int_equal(unreachable->connect_fault, FAULT_UNREACHABLE);

        serve(b);
        sim_options(b->sim)->refuse = 1000000;
        refused = connect_to(b, server_address, 1);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        assert_int_equal(refused->connect_fault, FAULT_CONNECT_REFUSED);
        sim_options(b->sim)->refuse = 0;
        sim_options(b->sim)->silence = 1000000;
        struct end *silent = connect_to(b, server_address, 1);
        assert_int_equal(run_seconds(b, 100), SIM_TIME);
        assert_int_equal(silent->connect_fault, FAULT_NONE);
        assert_false(silent->is_connected);
        assert_int_equal(run_seconds(b, 30), SIM_QUIET);
        assert_int_equal(silent->connect_fault, FAULT_CONNECT_TIMEOUT);
        bench_free(b);
    }
}

/* A socket that is closed before its connect is answered is never heard of again. */
static void closed_while_connecting(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        struct end *e = connect_to(b, server_address, 1);
        (void)sim_run_until(b->sim, sim_now_us(b->sim) + (int64_t)seed * 10);
        close_end(e);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_true(b->server.count == 0 || b->server.ends[0].is_ended);
        bench_free(b);
    }
}

static void partition_delays(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        struct end *e = connect_to(b, server_address, BYTES);
        (void)sim_run_until(b->sim, sim_now_us(b->sim) + 2000);
        machine_partition(b->client_machine, b->server_machine, true);
        (void)run_seconds(b, 1);
        uint64_t received = b->server.count == 0 ? 0 : b->server.ends[0].received;
        (void)run_seconds(b, 60);
        assert_true(received == (b->server.count == 0 ? 0 : b->server.ends[0].received));
        machine_partition(b->client_machine, b->server_machine, false);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_int_equal(b->server.ends[0].received, BYTES);
        assert_false(e->is_sending || e->is_ended);

        /* Who connects meanwhile gets through when it is healed, or gives up. */
        machine_partition(b->client_machine, b->server_machine, true);
        struct end *late = connect_to(b, server_address, 1);
        struct end *given_up = connect_to(b, server_address, 1);
        (void)run_seconds(b, 20);
        close_end(given_up);
        machine_partition(b->client_machine, b->server_machine, false);
        assert_int_equal(run_seconds(b, 100), SIM_QUIET);
        assert_true(late->is_connected && !given_up->is_connected);
        machine_partition(b->client_machine, b->server_machine, true);
        late = connect_to(b, server_address, 1);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_int_equal(late->connect_fault, FAULT_CONNECT_TIMEOUT);
        bench_free(b);
    }
}

/* kill -9: the kernel closes the connections. */
static void killed_server_is_noticed_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        struct end *e = connect_to(b, server_address, BYTES);
        e->closes_at_end = true;
        (void)sim_run_until(b->sim, sim_now_us(b->sim) + (int64_t)seed * 20);
        life_kill(b->server.life, SIM_KILLED);
        uint64_t received = b->server.count == 0 ? 0 : b->server.ends[0].received;
        (void)run_seconds(b, 5);
        /* The ghost hears nothing more. */
        assert_true(received == (b->server.count == 0 ? 0 : b->server.ends[0].received));
        assert_true(e->is_ended || e->connect_fault == FAULT_CONNECT_REFUSED);
        assert_false(e->is_sending);
        host_end(&b->server);
        serve(b);
        e = connect_to(b, server_address, 5);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        assert_int_equal(b->server.ends[0].received, 5);
        bench_free(b);
    }
}

/* No answer comes from a machine without power; it breaks the connection when it is back. */
static void power_cut_is_noticed_late(void **state)
{
    int late = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        struct end *e = connect_to(b, server_address, BYTES);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        life_kill(b->server.life, SIM_POWER_CUT);
        struct end *other = connect_to(b, server_address, 5);
        e->to_send += 300000; /* more than any window */
        send_more(e);
        assert_true(e->is_sending);
        (void)run_seconds(b, 1);
        late += !e->is_ended;
        host_end(&b->server);
        (void)run_seconds(b, 10);
        assert_false(other->is_connected || other->is_ended);
        assert_true(e->is_sending || e->is_ended);
        serve(b);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_true(e->is_ended && !e->is_sending);
        assert_int_equal(e->end_fault, FAULT_CONNECTION_LOST);
        assert_true(other->is_connected);
        assert_int_equal(b->server.ends[0].received, 5);
        bench_free(b);
    }
    assert_true(late > SEEDS / 2);
}

/* The supervisor holds the descriptor: who connects between two lives waits and is served. */
static void descriptor_outlives_a_life(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        struct socket *none = NULL;
        b->descriptor = machine_descriptor(b->server_machine, PORT);
        struct end *early = connect_to(b, server_address, BYTES);
        (void)run_seconds(b, 10);
        assert_true(early->is_connected && !early->is_ended);
        serve_on_descriptor(b);
        assert_int_equal(
            socket_listen_on(b->server.loop, b->descriptor + 1, &listener_events, NULL, &none),
            FAULT_UNKNOWN);
        (void)run_seconds(b, 10);
        assert_int_equal(b->server.ends[0].received, BYTES);
        life_kill(b->server.life, SIM_KILLED);
        struct end *between = connect_to(b, server_address, BYTES);
        (void)run_seconds(b, 10);
        assert_true(early->is_ended && between->is_connected && !between->is_ended);
        host_end(&b->server);
        serve_on_descriptor(b);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_int_equal(b->server.ends[0].received, BYTES);
        assert_false(between->is_ended);
        bench_free(b);
    }
}

static void paused_listener_accepts_nobody(void **state)
{
    (void)state;
    struct sim_options o = sim_options_calm();
    struct bench *b = bench_new(3, &o);
    serve(b);
    socket_listen_pause(b->server.listener, true);
    struct end *e = connect_to(b, server_address, 5);
    (void)run_seconds(b, 100);
    assert_true(e->is_connected);
    assert_int_equal(b->server.count, 0);
    socket_listen_pause(b->server.listener, false);
    (void)run_seconds(b, 5);
    assert_int_equal(b->server.count, 1);
    assert_int_equal(b->server.ends[0].received, 5);
    struct socket *none = NULL;
    assert_int_equal(socket_listen(b->server.loop, server_address, &listener_events, NULL, &none),
                     FAULT_ADDRESS_IN_USE);
    assert_int_equal(socket_listen(b->server.loop, client_address, &listener_events, NULL, &none),
                     FAULT_NO_PORTS);
    bench_free(b);
}

/* A paused reader hears of no end; who sends to it waits. */
static void paused_reader(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        struct end *e = connect_to(b, server_address, 0);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        struct end *s = &b->server.ends[0];
        socket_read_pause(s->socket, true);
        e->to_send = 300000;
        send_more(e);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        assert_true(e->is_sending);
        assert_int_equal(s->received, 0);
        sim_socket_reset(e->socket);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        assert_true(e->is_ended && !e->is_sending);
        assert_false(s->is_ended);
        socket_read_pause(s->socket, false);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        assert_true(s->is_ended);
        assert_int_equal(s->end_fault, FAULT_CONNECTION_LOST);
        bench_free(b);
    }
}

/* Longer than TCP tries: who has sent something learns it then, the other when it sends. */
static void endless_partition(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        struct end *e = connect_to(b, server_address, 10);
        assert_int_equal(run_seconds(b, 5), SIM_QUIET);
        struct end *s = &b->server.ends[0];
        machine_partition(b->client_machine, b->server_machine, true);
        e->to_send = BYTES;
        send_more(e);
        (void)run_seconds(b, 900);
        assert_false(e->is_ended || s->is_ended);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_true(e->is_ended && e->end_fault == FAULT_CONNECTION_LOST);
        assert_false(s->is_ended);
        if (seed % 2 == 0)
            machine_partition(b->client_machine, b->server_machine, false);
        s->to_send = 1;
        send_more(s);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_int_equal(s->is_ended, seed % 2 == 0);
        assert_int_equal(s->received, 10);
        bench_free(b);
    }
}

/* A life that dies in a call-back hears no other. */
static void death_in_a_call_back(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3 * SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        serve(b);
        b->server.answers = 5000;
        b->server.dies_in = 1 + (int)(seed % 6);
        b->server.death = seed % 2 == 0 ? SIM_KILLED : SIM_POWER_CUT;
        struct end *ends[3];
        for (size_t i = 0; i < ROWS(ends); i++)
            ends[i] = connect_to(b, server_address, 5000);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_DEATH);
        assert_int_equal(b->server.dies_in, 0);
        host_end(&b->server);
        (void)run_seconds(b, 1000);
        for (size_t i = 0; i < ROWS(ends); i++)
            assert_true(ends[i]->is_ended || ends[i]->connect_fault != FAULT_NONE);
        bench_free(b);
    }
}

/* Several loops share a descriptor: each connection goes to one of them. */
static void listeners_share(void **state)
{
    int other = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = sim_options_calm();
        struct bench *b = bench_new(seed, &o);
        struct host second = {0};
        b->descriptor = machine_descriptor(b->server_machine, PORT);
        serve_on_descriptor(b);
        second.life = b->server.life;
        assert_int_equal(loop_new(second.life, &second.loop), FAULT_NONE);
        assert_int_equal(
            thread_start(second.life, "second", second.loop, turn, &second, &second.thread),
            FAULT_NONE);
        assert_int_equal(socket_listen_on(second.loop, b->descriptor, &listener_events, &second,
                                          &second.listener),
                         FAULT_NONE);
        for (int i = 0; i < 4; i++)
            connect_to(b, server_address, 100);
        assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
        assert_int_equal(b->server.count + second.count, 4);
        for (size_t i = 0; i < second.count; i++)
            assert_int_equal(second.ends[i].received, 100);
        other += (int)second.count;
        thread_join(second.thread);
        for (size_t i = 0; i < second.count; i++)
            close_end(&second.ends[i]);
        socket_close(second.listener);
        loop_free(second.loop);
        bench_free(b);
    }
    assert_in_range(other, SEEDS, 3 * SEEDS);
}

/* With faults of every kind nothing hangs: each end learns what became of it. */
static uint64_t rough(uint64_t seed, int *whole)
{
    struct random r;
    random_init(&r, seed);
    struct sim_options o = sim_options_rough(&r);
    struct bench *b = bench_new(seed, &o);
    serve(b);
    b->server.answers = 7000;
    struct end *ends[3];
    for (size_t i = 0; i < ROWS(ends); i++) {
        ends[i] = connect_to(b, server_address, 9000);
        ends[i]->pauses = seed % 3 == 0;
    }
    assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
    for (size_t i = 0; i < ROWS(ends); i++) {
        struct end *e = ends[i];
        bool is_done = e->sent == e->to_send && !e->is_sending && e->received == 7000;
        assert_true(e->connect_fault != FAULT_NONE || e->is_ended || is_done);
        *whole += is_done && !e->is_ended;
        close_end(e);
    }
    assert_int_equal(sim_run_until(b->sim, SIM_NEVER), SIM_QUIET);
    for (size_t i = 0; i < b->server.count; i++)
        assert_true(b->server.ends[i].is_ended);
    uint64_t hash = sim_hash(b->sim);
    bench_free(b);
    return hash;
}

static void rough_options(void **state)
{
    uint64_t before = 0;
    int whole = 0, again = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 2 * SEEDS; seed++) {
        uint64_t hash = rough(seed, &whole);
        if (seed % 10 == 0)
            assert_true(hash == rough(seed, &again));
        assert_true(hash != before);
        before = hash;
    }
    assert_in_range(whole, SEEDS, 6 * SEEDS - SEEDS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_intact),
        cmocka_unit_test(close_delivers_what_was_sent),
        cmocka_unit_test(half_close_leaves_the_other_half),
        cmocka_unit_test(reset_is_told_to_both),
        cmocka_unit_test(close_breaks_who_still_sends),
        cmocka_unit_test(hasty_server),
        cmocka_unit_test(connects_that_fail),
        cmocka_unit_test(closed_while_connecting),
        cmocka_unit_test(partition_delays),
        cmocka_unit_test(killed_server_is_noticed_at_once),
        cmocka_unit_test(power_cut_is_noticed_late),
        cmocka_unit_test(descriptor_outlives_a_life),
        cmocka_unit_test(paused_listener_accepts_nobody),
        cmocka_unit_test(paused_reader),
        cmocka_unit_test(endless_partition),
        cmocka_unit_test(death_in_a_call_back),
        cmocka_unit_test(listeners_share),
        cmocka_unit_test(rough_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
