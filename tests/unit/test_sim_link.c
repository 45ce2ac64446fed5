/* A connection in clear and under TLS in the simulated world: the same bytes come out, whatever the
   network does to their pieces; and a break at any moment is told once and leaks nothing. */
#include "tls/link.h"

#include "expect.h"
#include "sim/world.h"
#include "tls_files.h"

enum { SEEDS = 150, BYTES = 100000 };

static const struct endpoint server_address = {.family = 4, .ip = {10, 0, 0, 1}, .port = 25};
static const struct endpoint client_address = {.family = 4, .ip = {10, 0, 0, 2}};

/* One end. The client sends BYTES in blocks of drawn size, the server sends them back. */
struct end {
    struct sim *sim;
    struct loop *loop;
    struct link link;
    struct socket *listener;
    struct tls_context *tls;
    struct timer unpause;
    bool is_client, is_accepted, is_done, is_cut;
    uint32_t secure_count, end_count;
    enum fault end_fault;
    uint64_t sent, received;
    struct buffer to_send;
};

static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 131 >> 5 ^ at);
}

static bool turn(void *context)
{
    loop_poll(context, true);
    return true;
}

static void send_more(struct end *e)
{
    struct random *r = sim_random(e->sim);
    if (!e->is_client || e->to_send.len > 0)
        return;
    if (e->sent == BYTES)
        return;
    uint64_t n = 1 + random_below(r, random_chance(r, 100000) ? 60000 : 700);
    n = n < BYTES - e->sent ? n : BYTES - e->sent;
    for (uint64_t i = 0; i < n; i++)
        assert_true(buffer_put_u8(&e->to_send, byte_at(e->sent + i)));
    e->sent += n;
}

static void flush(struct end *e)
{
    for (;;) {
        send_more(e);
        if (e->to_send.len == 0)
            return;
        struct span part = buffer_span(&e->to_send);
        if (link_send(&e->link, &part, 1) == SEND_LATER)
            return;
        buffer_reset(&e->to_send);
        if (e->end_count > 0)
            return;
    }
}

static void on_unpause(void *context)
{
    struct end *e = context;
    if (link_is_open(&e->link))
        link_read_pause(&e->link, false);
}

/* The echo waits for its own sends: reading is paused meanwhile, so that nothing grows. */
static void on_bytes(void *context, struct span bytes)
{
    struct end *e = context;
    assert_int_equal(e->end_count, 0);
    for (size_t i = 0; i < bytes.len; i++)
        assert_int_equal(bytes.data[i], byte_at(e->received + i));
    e->received += bytes.len;
    if (e->is_client) {
        e->is_done = e->received == BYTES;
        if (random_chance(sim_random(e->sim), 50000)) {
            link_read_pause(&e->link, true);
            assert_int_equal(timer_set(e->loop, &e->unpause,
                                       loop_mono_us(e->loop) +
                                           random_between(sim_random(e->sim), 0, SIM_SECOND)),
                             FAULT_NONE);
        }
        if (e->is_done || (e->is_cut && e->received > BYTES / 2))
            link_close(&e->link);
        return;
    }
    struct buffer kept;
    buffer_init(&kept, BYTES);
    assert_true(buffer_put(&kept, buffer_span(&e->to_send)));
    assert_int_equal(e->to_send.len, 0);
    buffer_fini(&kept);
    assert_true(buffer_put(&e->to_send, bytes));
    struct span part = buffer_span(&e->to_send);
    if (link_send(&e->link, &part, 1) == SEND_LATER)
        link_read_pause(&e->link, true);
    else
        buffer_reset(&e->to_send);
}

static void on_sent(void *context)
{
    struct end *e = context;
    buffer_reset(&e->to_send);
    if (e->is_client)
        flush(e);
    else
        link_read_pause(&e->link, false);
}

static void on_secure(void *context, enum fault fault)
{
    struct end *e = context;
    e->secure_count++;
    if (fault != FAULT_NONE) {
        e->end_count++;
        e->end_fault = fault;
        link_close(&e->link);
    } else {
        flush(e);
    }
}

static void on_end(void *context, enum fault fault)
{
    struct end *e = context;
    e->end_count++;
    e->end_fault = fault;
    link_close(&e->link);
}

static void begin(struct end *e)
{
    if (e->tls == NULL) {
        flush(e);
        return;
    }
    struct tls_stream *s =
        e->is_client ? tls_stream_connect(e->tls, "one.test", 1000) : tls_stream_accept(e->tls);
    assert_non_null(s);
    link_start_tls(&e->link, s, (struct span){NULL, 0});
}

static void on_connect(void *context, enum fault fault)
{
    struct end *e = context;
    if (fault != FAULT_NONE) {
        e->end_count++;
        e->end_fault = fault;
        link_close(&e->link);
        return;
    }
    begin(e);
}

static const struct link_events events = {.on_connect = on_connect,
                                          .on_bytes = on_bytes,
                                          .on_sent = on_sent,
                                          .on_secure = on_secure,
                                          .on_end = on_end};

static void on_accept(void *context, struct socket *connection, struct endpoint peer)
{
    struct end *e = context;
    (void)peer;
    assert_false(e->is_accepted);
    e->is_accepted = true;
    link_adopt(&e->link, e->loop, connection, &events, e);
    begin(e);
}

static const struct socket_events listener_events = {.on_accept = on_accept};

struct town {
    struct sim *sim;
    struct machine *machines[2];
    struct world *lives[2];
    struct thread *threads[2];
    struct end ends[2];
};

static void open_town(struct town *t, uint64_t seed, const struct sim_options *options, bool is_tls)
{
    *t = (struct town){.sim = sim_new(seed, options)};
    t->machines[0] = machine_new(t->sim, "server", server_address);
    t->machines[1] = machine_new(t->sim, "client", client_address);
    for (int i = 0; i < 2; i++) {
        struct end *e = &t->ends[i];
        t->lives[i] = life_begin(t->machines[i]);
        *e = (struct end){.sim = t->sim, .is_client = i == 1};
        assert_int_equal(loop_new(t->lives[i], &e->loop), FAULT_NONE);
        timer_init(&e->unpause, on_unpause, e);
        buffer_init(&e->to_send, BYTES);
        if (is_tls)
            e->tls = i == 1 ? tls_files_client() : tls_files_server();
        assert_int_equal(thread_start(t->lives[i], "end", e->loop, turn, e->loop, &t->threads[i]),
                         FAULT_NONE);
    }
    assert_int_equal(socket_listen(t->ends[0].loop, server_address, &listener_events, &t->ends[0],
                                   &t->ends[0].listener),
                     FAULT_NONE);
    assert_int_equal(link_connect(&t->ends[1].link, t->ends[1].loop, server_address,
                                  (struct endpoint){0}, &events, &t->ends[1]),
                     FAULT_NONE);
}

static uint64_t close_town(struct town *t)
{
    for (int i = 0; i < 2; i++) {
        struct end *e = &t->ends[i];
        link_close(&e->link);
        if (e->listener != NULL)
            socket_close(e->listener);
        timer_cancel(e->loop, &e->unpause);
        buffer_fini(&e->to_send);
        tls_context_free(e->tls);
        thread_join(t->threads[i]);
        loop_free(e->loop);
        life_end(t->lives[i]);
    }
    uint64_t hash = sim_hash(t->sim);
    sim_free(t->sim);
    return hash;
}

static void whole(bool is_tls)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct town t;
        struct sim_options o = sim_options_calm();
        open_town(&t, seed, &o, is_tls);
        sim_run_until(t.sim, 600 * SIM_SECOND);
        if (!t.ends[1].is_done || t.ends[0].received != BYTES || t.ends[0].end_count != 1 ||
            t.ends[0].end_fault != FAULT_NONE)
            print_error("seed %u: %u received back, server ended %u with %s\n", (unsigned)seed,
                        (unsigned)t.ends[1].received, t.ends[0].end_count,
                        fault_name(t.ends[0].end_fault));
        assert_true(t.ends[1].is_done);
        assert_int_equal(t.ends[0].received, BYTES);
        assert_int_equal(t.ends[0].end_count, 1);
        assert_int_equal(t.ends[0].end_fault, FAULT_NONE);
        assert_int_equal(t.ends[1].secure_count, is_tls);
        assert_int_equal(t.ends[0].secure_count, is_tls);
        close_town(&t);
    }
}

static void in_clear(void **state)
{
    (void)state;
    whole(false);
}

static void under_tls(void **state)
{
    (void)state;
    whole(true);
}

/* Breaks, silence, deaths: nothing wrong comes out, an end is told at most once, all is freed. */
static void rough(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * SEEDS; seed++) {
        struct town t;
        struct random r;
        random_init(&r, seed);
        struct sim_options o = sim_options_rough(&r);
        o.reset = 20000;
        open_town(&t, seed, &o, seed % 3 != 0);
        t.ends[1].is_cut = random_chance(&r, 300000);
        sim_run_until(t.sim, random_between(&r, 0, 20 * SIM_SECOND));
        assert_true(t.ends[0].end_count <= 1 && t.ends[1].end_count <= 1);
        close_town(&t);
    }
}

static int make_files(void **state)
{
    (void)state;
    tls_files_make();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_clear),
        cmocka_unit_test(under_tls),
        cmocka_unit_test(rough),
    };
    return cmocka_run_group_tests(tests, make_files, NULL);
}
