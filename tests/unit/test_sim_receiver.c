/*
 * receiver, simulated: random clients that pipeline, dawdle, half-close, reset and vanish, before a
 * spool and a queue that are late, out of order and sometimes refuse, and content files on a
 * simulated disk.
 *
 * After each seed: a client that read 250 has its message appended, with the bytes it sent, exactly
 * once; one that read a refusal has not; every letter, credit and byte of memory has come back; no
 * content file is left that no record names.
 */
#include "expect.h"

#include "mail/received.h"
#include "receive/receiver_inside.h"
#include "sim/world.h"
#include "spool/content.h"
#include "transfer/accepted.h"

enum {
    SEEDS = 200,
    CLIENTS = 24,
    MESSAGES = 4,  /* of one client, at most */
    INLINE = 3000, /* so that many go to a file */
    HELD_MAX = 1000,
    STEPS_MAX = 32, /* of one client */
    EXPECTED_MAX = 64,
    WHOLE_S = 3600
};

/* What a message came to, as far as each side knows. */
enum verdict { UNKNOWN, ACCEPTED, REFUSED };

struct message {
    struct span content; /* as it should arrive */
    enum verdict heard;  /* by the client */
    struct id heard_id;
    uint32_t appended; /* how often, with NONE */
    struct id id;
    bool queued;
    bool has_file; /* its record, or one that may be found after a crash, names one */
};

/* A late answerer: holds letters and lets them go in any order. */
struct late {
    struct scene *scene;
    struct actor *actor;
    struct timer timer;
    struct letter *held[HELD_MAX];
    size_t count;
    void (*work)(struct scene *scene, struct letter *letter);
};

struct step {
    struct span bytes;
    bool waits;     /* for all replies so far */
    size_t replies; /* that it brings */
};

enum reply { GREETING, OK, GO_AHEAD, FINAL, BYE };

struct expected {
    enum reply reply;
    struct message *message;
};

struct client {
    struct scene *scene;
    struct socket *socket;
    struct timer timer;
    struct arena arena;
    struct step steps[STEPS_MAX];
    size_t step_count, step, sent; /* sent: of the step in hand */
    struct expected expected[EXPECTED_MAX];
    size_t expected_count, heard;
    size_t due;   /* replies that will come for what was sent */
    size_t total; /* bytes sent so far */
    size_t ends_at;
    enum { STAYS, SHUTS, RESETS, CLOSES } ending;
    bool is_sending, is_dead, is_slow, has_shut, lingers;
    struct buffer line;
    struct message messages[MESSAGES];
    size_t message_count;
};

struct spool {
    struct spool_settings settings;
    struct late *late;
};

struct scene {
    struct sim *sim;
    struct random *random;
    struct machine *server, *peers;
    struct world *server_life, *peers_life;
    struct actor *worker;
    struct late spool_late, queue_late, disk_late;
    struct spool spool;
    struct receiver_settings settings;
    struct receiver *receiver;
    struct endpoint at;
    struct loop *loop; /* of the clients */
    struct thread *thread;
    struct client clients[CLIENTS];
    struct disk *disk;
    size_t orphans; /* files that could not be unlinked */
    uint32_t slow;  /* per million: a letter waits for another turn */
    uint32_t refuse_appends, refuse_jobs, refuse_mail; /* per million */
    bool is_over;
};

static struct scene scene;

/* Totals over all seeds, to see that the test reaches what it is about. */
static struct {
    uint64_t accepted, refused, unheard, in_files, dropped, timed_out;
} totals;

static bool chance(uint32_t per_million)
{
    return random_chance(scene.random, per_million);
}

static size_t below(size_t limit)
{
    return (size_t)random_below(scene.random, limit);
}

/* The doubles --------------------------------------------------------------------------------- */

struct actor *spool_actor(struct spool *s)
{
    return s->late->actor;
}

const struct spool_settings *spool_settings(const struct spool *s)
{
    return &s->settings;
}

enum fault spool_takes_mail(const struct spool *s)
{
    (void)s;
    return chance(scene.refuse_mail) ? FAULT_DISK_FULL : FAULT_NONE;
}

static void late_on_letter(void *self, struct letter *letter)
{
    struct late *l = self;
    assert_true(l->count < HELD_MAX);
    l->held[l->count++] = letter;
}

static void late_on_timer(void *context)
{
    (void)context; /* on_turn does it */
}

static void late_on_turn(void *self)
{
    struct late *l = self;
    for (size_t tries = l->count; tries > 0 && l->count > 0; tries--) {
        size_t i = below(l->count);
        if (chance(l->scene->slow))
            continue;
        struct letter *letter = l->held[i];
        l->held[i] = l->held[--l->count];
        l->work(l->scene, letter);
        letter_answer(l->actor, letter);
    }
    if (l->count > 0)
        assert_int_equal(timer_set(actor_loop(l->actor), &l->timer,
                                   loop_mono_us(actor_loop(l->actor)) + 1 + (int64_t)below(20000)),
                         FAULT_NONE);
}

/* A finished content, read back and verified. */
static void read_file(struct id id, struct buffer *out)
{
    struct content c = {0};
    struct sim_options *options = sim_options(scene.sim), before = *options;
    options->read_error = options->open_error = 0; /* it is the test that reads */
    content_begin(&c, scene.disk, id);
    do {
        content_do(&c, CONTENT_READ);
        assert_int_equal(c.fault, FAULT_NONE); /* it is finished before its record is appended */
        assert_true(buffer_put(out, c.bytes));
    } while (c.bytes.len > 0);
    content_do(&c, CONTENT_CLOSE);
    *options = before;
}

/* The message of an appended content: its first line says which. */
static struct message *message_of(struct span content)
{
    unsigned client, message;
    char line[64] = {0};
    memcpy(line, content.data, content.len < 63 ? content.len : 63);
    assert_int_equal(sscanf(line, "Message: %u %u\r\n", &client, &message), 2);
    assert_true(client < CLIENTS && message < scene.clients[client].message_count);
    return &scene.clients[client].messages[message];
}

static void append_work(struct scene *s, struct letter *letter)
{
    struct append *a = container_of(letter, struct append, letter);
    struct envelope e;
    struct arena arena;
    a->fault = FAULT_NONE;
    static const enum fault faults[] = {FAULT_DISK_FULL, FAULT_LIMIT, FAULT_DISK_ERROR};
    if (chance(s->refuse_appends))
        a->fault = faults[below(ROWS(faults))];
    arena_init(&arena, 4096);
    assert_int_equal(envelope_decode(a->parts[0], &arena, &e), FAULT_NONE);
    struct buffer file;
    buffer_init(&file, 16 << 20);
    if (e.content_in_file)
        read_file(a->id, &file);
    struct span content = e.content_in_file ? buffer_span(&file) : e.content;
    struct message *m = message_of(content);
    expect_span(content, m->content);
    assert_int_equal(e.content_bytes, content.len);
    m->has_file = e.content_in_file && (a->fault == FAULT_NONE || a->fault == FAULT_DISK_ERROR);
    if (a->fault == FAULT_NONE) {
        m->appended++;
        totals.in_files += e.content_in_file;
    }
    m->id = a->id;
    buffer_fini(&file);
    arena_fini(&arena);
}

static struct message *message_by_id(struct id id)
{
    for (size_t i = 0; i < CLIENTS; i++)
        for (size_t k = 0; k < scene.clients[i].message_count; k++)
            if (id_equal(scene.clients[i].messages[k].id, id))
                return &scene.clients[i].messages[k];
    return NULL;
}

static void queue_work(struct scene *s, struct letter *letter)
{
    (void)s;
    struct message *m = message_by_id(container_of(letter, struct accepted, letter)->mail->id);
    assert_true(m != NULL && m->appended == 1 && !m->queued);
    m->queued = true;
}

static void job_work(struct scene *s, struct letter *letter)
{
    struct job *job = container_of(letter, struct job, letter);
    struct content *c = container_of(job, struct content, job);
    c->fault = FAULT_DISK_FULL;
    if (c->step == CONTENT_DROP || !chance(s->refuse_jobs))
        content_do(c, c->step);
    if (c->step == CONTENT_DROP) {
        s->orphans += c->fault != FAULT_NONE;
        totals.dropped++;
    }
}

void content_init(struct content *c, struct spool *s, struct id id)
{
    (void)s;
    content_begin(c, scene.disk, id);
}

void content_send(struct actor *from, struct content *c, enum content_step step)
{
    c->step = step;
    letter_send(from, scene.disk_late.actor, &c->job.letter, LETTER_JOB, NULL);
}

/* Clients: what they will say ----------------------------------------------------------------- */

static void add_step(struct client *c, struct span bytes, bool waits, size_t replies)
{
    assert_true(c->step_count < STEPS_MAX);
    c->steps[c->step_count++] = (struct step){bytes, waits, replies};
}

static void add_expected(struct client *c, enum reply reply, struct message *m)
{
    assert_true(c->expected_count < EXPECTED_MAX);
    c->expected[c->expected_count++] = (struct expected){reply, m};
}

static void add_text(struct client *c, const char *text, bool waits)
{
    add_step(c, span_text(text), waits, 1);
}

static void make_content(struct client *c, struct message *m)
{
    size_t most = chance(30000) ? 700000 : chance(300000) ? 9000 : 1200;
    size_t len = below(most);
    struct span first = arena_printf(&c->arena, "Message: %d %d\r\n", (int)(c - scene.clients),
                                     (int)(m - c->messages));
    uint8_t *bytes = arena_alloc(&c->arena, first.len + len + 4);
    assert_non_null(bytes);
    memcpy(bytes, first.data, first.len);
    uint8_t *at = bytes + first.len;
    for (size_t i = 0; i < len; i++)
        at[i] = i % 71 == 69 && i + 1 < len ? '\r' : i % 71 == 70 ? '\n' : (uint8_t)('.' + i % 40);
    size_t whole = first.len + len;
    if (bytes[whole - 1] != '\n') {
        memcpy(bytes + whole, "\r\n", 2);
        whole += 2;
    }
    m->content = span_of(bytes, whole);
}

static struct span stuffed(struct client *c, struct span content)
{
    struct buffer b;
    buffer_init(&b, 16 << 20);
    for (bool line_start = true; content.len > 0;) {
        bool stuff;
        struct span run = content_stuff(&content, &line_start, &stuff);
        assert_true(!stuff || buffer_put_u8(&b, '.'));
        assert_true(buffer_put(&b, run));
    }
    assert_true(buffer_put_text(&b, ".\r\n"));
    struct span copy = arena_copy(&c->arena, buffer_span(&b));
    assert_non_null(copy.data);
    buffer_fini(&b);
    return copy;
}

static void plan_message(struct client *c, bool pipelines)
{
    struct message *m = &c->messages[c->message_count++];
    make_content(c, m);
    add_text(c, "MAIL FROM:<a@b.example>\r\n", !pipelines);
    add_expected(c, OK, m);
    add_text(c, "RCPT TO:<c@d.example>\r\n", !pipelines);
    add_expected(c, OK, m);
    if (chance(500000)) {
        add_text(c, "DATA\r\n", !pipelines);
        add_expected(c, GO_AHEAD, m);
        add_step(c, stuffed(c, m->content), true, 1);
    } else {
        struct span body = m->content;
        size_t last = chance(500000) ? body.len : below(body.len + 1);
        if (last < body.len) {
            add_step(c, arena_printf(&c->arena, "BDAT %zu\r\n", body.len - last), !pipelines, 0);
            add_step(c, span_sub(body, 0, body.len - last), false, 1);
            add_expected(c, OK, m);
        }
        add_step(c, arena_printf(&c->arena, "BDAT %zu LAST\r\n", last), !pipelines, 0);
        add_step(c, span_sub(body, body.len - last, last), false, 1);
    }
    add_expected(c, FINAL, m);
}

static size_t planned_bytes(const struct client *c)
{
    size_t bytes = 0;
    for (size_t i = 0; i < c->step_count; i++)
        bytes += c->steps[i].bytes.len;
    return bytes;
}

static void plan(struct client *c)
{
    arena_init(&c->arena, 32 << 20);
    buffer_init(&c->line, 2000);
    add_expected(c, GREETING, NULL);
    add_text(c, "HELO x\r\n", true);
    add_expected(c, OK, NULL);
    bool pipelines = chance(500000);
    size_t ends[MESSAGES], count = 0; /* right behind a message is where most can go wrong */
    for (size_t i = 1 + below(MESSAGES); i > 0; i--) {
        plan_message(c, pipelines);
        ends[count++] = planned_bytes(c);
    }
    add_text(c, "QUIT\r\n", !pipelines);
    add_expected(c, BYE, NULL);
    c->is_slow = chance(200000);
    c->ending = (unsigned)below(5) % 4; /* STAYS more often */
    size_t end = ends[below(count)];
    c->ends_at = chance(500000) ? below(planned_bytes(c) + 1) : end;
    if (c->ending == SHUTS && chance(300000))
        c->ends_at = planned_bytes(c);
}

/* Clients: saying it -------------------------------------------------------------------------- */

static void client_go_on(struct client *c);

static void die(struct client *c)
{
    if (c->socket != NULL)
        socket_close(c->socket);
    c->socket = NULL;
    c->is_dead = true;
    timer_cancel(scene.loop, &c->timer);
}

static void go_on_later(struct client *c, size_t us)
{
    assert_int_equal(timer_set(scene.loop, &c->timer, loop_mono_us(scene.loop) + 1 + (int64_t)us),
                     FAULT_NONE);
}

static void on_client_timer(void *context)
{
    struct client *c = context;
    if (c->socket == NULL) {
        die(c);
        return;
    }
    if (c->is_slow)
        socket_read_pause(c->socket, chance(500000));
    client_go_on(c);
}

/* True: it is over. */
static bool end_it(struct client *c)
{
    if (c->ending == STAYS || c->has_shut || c->total < c->ends_at)
        return c->has_shut;
    if (!c->lingers && chance(700000)) {
        c->lingers = true; /* it goes while the server is at work */
        go_on_later(c, below(40000));
        return true;
    }
    if (c->ending == SHUTS) {
        sim_socket_shut(c->socket);
        c->has_shut = true;
        return true;
    }
    if (c->ending == RESETS)
        sim_socket_reset(c->socket);
    die(c);
    return true;
}

/* Replies to all that has been sent. */
static void count_due(struct client *c)
{
    c->due = 1; /* the greeting */
    for (size_t i = 0; i < c->step; i++)
        c->due += c->steps[i].replies;
}

static void client_go_on(struct client *c)
{
    while (!c->is_dead && !c->is_sending && !end_it(c) && c->step < c->step_count) {
        struct step *step = &c->steps[c->step];
        count_due(c);
        if (c->sent == 0 && step->waits && c->heard < c->due)
            return; /* the reply calls again */
        size_t n = step->bytes.len - c->sent;
        if (n > 1 && chance(300000))
            n = 1 + below(n);
        if (c->total < c->ends_at && n > c->ends_at - c->total)
            n = c->ends_at - c->total;
        struct span part = span_sub(step->bytes, c->sent, n);
        c->sent += n;
        c->total += n;
        if (c->sent == step->bytes.len) {
            c->step++;
            c->sent = 0;
        }
        c->is_sending = socket_send(c->socket, &part, 1) == SEND_LATER;
        if (chance(200000)) {
            go_on_later(c, chance(10000) ? 8000000 : below(30000));
            return;
        }
    }
}

static void note_final(struct message *m, struct span line)
{
    static const char accepted[] = "250 2.0.0 accepted as ";
    bool is_accepted = span_starts_with(line, span_text(accepted));
    m->heard = is_accepted ? ACCEPTED : REFUSED;
    if (is_accepted)
        assert_true(id_parse(span_skip(line, sizeof accepted - 1), &m->heard_id));
}

/* A refused DATA brings no content: the steps go on behind it. */
static void on_reply(struct client *c, struct span line)
{
    assert_true(line.len > 4);
    if (span_starts_with(line, SPAN("421"))) {
        totals.timed_out++;
        die(c);
        return;
    }
    assert_true(c->heard < c->expected_count);
    struct expected *e = &c->expected[c->heard++];
    bool good = line.data[0] == '2' || line.data[0] == '3';
    switch (e->reply) {
    case GREETING:
        assert_true(span_starts_with(line, SPAN("220 ")));
        break;
    case BYE:
        assert_true(span_starts_with(line, SPAN("221 ")));
        die(c);
        return;
    case OK:
        break;
    case GO_AHEAD:
        assert_true(!good || span_starts_with(line, SPAN("354 ")));
        if (!good) {
            c->heard++;
            e->message->heard = REFUSED;
            c->total += c->steps[c->step].bytes.len;
            c->step++;
        }
        break;
    case FINAL:
        note_final(e->message, line);
        break;
    }
}

static void on_client_bytes(void *context, struct span bytes)
{
    struct client *c = context;
    while (bytes.len > 0 && !c->is_dead) {
        size_t end = span_find_byte(bytes, '\n', 0);
        struct span piece = span_sub(bytes, 0, end + 1);
        bytes = span_skip(bytes, piece.len);
        assert_true(buffer_put(&c->line, piece));
        if (piece.data[piece.len - 1] != '\n')
            break;
        struct span line = buffer_span(&c->line);
        on_reply(c, span_sub(line, 0, line.len - 2));
        buffer_reset(&c->line);
    }
    if (c->is_dead)
        return;
    client_go_on(c);
}

static void on_client_sent(void *context)
{
    struct client *c = context;
    c->is_sending = false;
    client_go_on(c);
}

static void on_client_end(void *context, enum fault fault)
{
    (void)fault;
    die(context);
}

static void on_client_connect(void *context, enum fault fault)
{
    struct client *c = context;
    if (fault != FAULT_NONE)
        die(c);
}

static const struct socket_events client_events = {.on_connect = on_client_connect,
                                                   .on_bytes = on_client_bytes,
                                                   .on_sent = on_client_sent,
                                                   .on_end = on_client_end};

static void connect_client(void *context)
{
    struct client *c = context;
    struct endpoint any = {0};
    timer_init(&c->timer, on_client_timer, c);
    if (socket_connect(scene.loop, scene.at, any, &client_events, c, &c->socket) != FAULT_NONE)
        die(c);
    else if (c->is_slow)
        go_on_later(c, below(100000));
}

static bool clients_turn(void *context)
{
    (void)context;
    loop_poll(scene.loop, true);
    return !scene.is_over;
}

/* The scene ----------------------------------------------------------------------------------- */

static void worker_on_letter(void *self, struct letter *letter)
{
    (void)self;
    assert_true(receiver_on_letter(scene.receiver, letter));
}

static const struct actor_role worker_role = {"worker", worker_on_letter, NULL};
static const struct actor_role late_role = {"late", late_on_letter, late_on_turn};
static const struct address_range everybody = {.family = 4, .prefix_bits = 0};

static void start_late(struct late *l, void (*work)(struct scene *s, struct letter *letter))
{
    l->scene = &scene;
    l->work = work;
    timer_init(&l->timer, late_on_timer, l);
    assert_int_equal(
        actor_new(scene.server_life, &late_role, l, (uint32_t)below(2), NULL, &l->actor),
        FAULT_NONE);
    assert_int_equal(actor_start(l->actor), FAULT_NONE);
}

static void draw_settings(void)
{
    scene.spool.settings.inline_bytes_max = INLINE;
    scene.settings =
        (struct receiver_settings){.hostname = "mx.example",
                                   .session = {2000000, 10, 1000, 1000},
                                   .sessions_max = chance(200000) ? 10 : 100,
                                   .sessions_per_client_max = 100,
                                   .command_timeout_ms = 4000,
                                   .data_timeout_ms = 3000,
                                   .session_time_max_ms = chance(200000) ? 10000 : 600000,
                                   .memory_bytes_max = chance(300000) ? 60000 : 64 << 20,
                                   .hops_max = 10,
                                   .relay_from = &everybody,
                                   .relay_from_count = 1,
                                   .appends_max = 1 + (uint32_t)below(5)};
    scene.slow = chance(500000) ? 300000 : 950000;
    scene.refuse_appends = chance(500000) ? 100000 : 0;
    scene.refuse_jobs = chance(500000) ? 100000 : 0;
    scene.refuse_mail = chance(300000) ? 100000 : 0;
}

static void start_server(void)
{
    static const struct receiver_door door = {0};
    scene.spool.late = &scene.spool_late;
    start_late(&scene.spool_late, append_work);
    start_late(&scene.queue_late, queue_work);
    start_late(&scene.disk_late, job_work);
    assert_int_equal(
        actor_new(scene.server_life, &worker_role, NULL, (uint32_t)below(2), NULL, &scene.worker),
        FAULT_NONE);
    assert_int_equal(receiver_new(scene.worker, &scene.settings, &scene.spool,
                                  scene.queue_late.actor, &scene.receiver),
                     FAULT_NONE);
    assert_int_equal(
        receiver_listen(scene.receiver, machine_descriptor(scene.server, scene.at.port), &door),
        FAULT_NONE);
    assert_int_equal(actor_start(scene.worker), FAULT_NONE);
}

static void start_clients(void)
{
    assert_int_equal(loop_new(scene.peers_life, &scene.loop), FAULT_NONE);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &scene.clients[i];
        c->scene = &scene;
        plan(c);
        timer_init(&c->timer, connect_client, c);
        go_on_later(c, below(2000000));
    }
    assert_int_equal(
        thread_start(scene.peers_life, "clients", scene.loop, clients_turn, NULL, &scene.thread),
        FAULT_NONE);
}

static void set(uint64_t seed)
{
    struct random drawn;
    random_init(&drawn, seed);
    struct sim_options options = seed % 2 == 0 ? sim_options_calm() : sim_options_rough(&drawn);
    memset(&scene, 0, sizeof scene);
    scene.sim = sim_new(seed, &options);
    scene.random = sim_random(scene.sim);
    scene.at = (struct endpoint){4, {10, 0, 0, 1}, 25};
    scene.server = machine_new(scene.sim, "server", scene.at);
    scene.peers = machine_new(scene.sim, "peers", (struct endpoint){4, {10, 0, 0, 2}, 0});
    scene.server_life = life_begin(scene.server);
    scene.peers_life = life_begin(scene.peers);
    machine_disk(scene.server, "/spool", 64 << 20);
    assert_int_equal(disk_new(scene.server_life, "/spool", &scene.disk), FAULT_NONE);
    draw_settings();
    start_server();
    start_clients();
}

static void check_message(struct message *m)
{
    assert_true(m->appended <= 1);
    if (m->has_file) {
        struct buffer file;
        buffer_init(&file, 16 << 20);
        read_file(m->id, &file); /* it is still there */
        buffer_fini(&file);
    }
    if (m->heard == ACCEPTED) {
        assert_int_equal(m->appended, 1);
        assert_true(id_equal(m->id, m->heard_id));
    }
    if (m->heard == REFUSED)
        assert_int_equal(m->appended, 0);
    assert_true(m->queued == (m->appended == 1));
    totals.accepted += m->heard == ACCEPTED;
    totals.refused += m->heard == REFUSED;
    totals.unheard += m->heard == UNKNOWN && m->appended == 1;
}

static void count_unnamed(void *context, const char *name)
{
    size_t *unnamed = context;
    struct id id;
    assert_true(id_parse(span_of(name, ID_TEXT_LEN), &id));
    struct message *m = message_by_id(id);
    *unnamed += m == NULL || !m->has_file;
}

static void check_all(void)
{
    struct receiver *r = scene.receiver;
    struct sim_options *options = sim_options(scene.sim);
    options->open_error = options->read_error = 0; /* looking must not fail */
    assert_true(receiver_is_idle(r));
    assert_int_equal(scene.spool_late.count + scene.queue_late.count + scene.disk_late.count, 0);
    assert_int_equal(r->appends.left, scene.settings.appends_max);
    assert_int_equal(r->memory_bytes, 0);
    for (size_t i = 0; i < CLIENTS; i++)
        for (size_t k = 0; k < scene.clients[i].message_count; k++)
            check_message(&scene.clients[i].messages[k]);
    size_t unnamed = 0;
    assert_int_equal(disk_list(scene.disk, count_unnamed, &unnamed), FAULT_NONE);
    assert_true(unnamed <= scene.orphans);
}

static void free_late(struct late *l)
{
    timer_cancel(actor_loop(l->actor), &l->timer);
    actor_join(l->actor);
    actor_free(l->actor);
}

static void strike(void)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        die(&scene.clients[i]);
        arena_fini(&scene.clients[i].arena);
        buffer_fini(&scene.clients[i].line);
    }
    thread_join(scene.thread);
    loop_free(scene.loop);
    actor_join(scene.worker);
    receiver_free(scene.receiver);
    actor_free(scene.worker);
    free_late(&scene.spool_late);
    free_late(&scene.queue_late);
    free_late(&scene.disk_late);
    disk_free(scene.disk);
    life_end(scene.server_life);
    life_end(scene.peers_life);
    sim_free(scene.sim);
}

static uint64_t play(uint64_t seed)
{
    set(seed);
    for (int s = 0; s < WHOLE_S && (s < 10 || !receiver_is_idle(scene.receiver)); s += 10)
        (void)sim_run_until(scene.sim, sim_now_us(scene.sim) + 10 * SIM_SECOND);
    check_all();
    uint64_t hash = sim_hash(scene.sim);
    strike();
    return hash;
}

static void what_was_acknowledged_was_appended_once(void **state)
{
    (void)state;
    const char *only = getenv("SEED");
    memset(&totals, 0, sizeof totals);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (only != NULL)
            seed = strtoull(only, NULL, 10);
        if (getenv("VERBOSE") != NULL)
            print_message("seed %llu\n", (unsigned long long)seed);
        (void)play(seed);
        if (only != NULL)
            return;
    }
    print_message(
        "%llu accepted, %llu refused, %llu accepted unheard, %llu in files, %llu dropped, "
        "%llu ended by 421\n",
        (unsigned long long)totals.accepted, (unsigned long long)totals.refused,
        (unsigned long long)totals.unheard, (unsigned long long)totals.in_files,
        (unsigned long long)totals.dropped, (unsigned long long)totals.timed_out);
    assert_true(totals.accepted > SEEDS && totals.refused > SEEDS && totals.unheard > SEEDS / 4);
    assert_true(totals.in_files > SEEDS && totals.dropped > SEEDS / 4 && totals.timed_out > 0);
}

static void a_seed_repeats_itself(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        assert_true(play(seed) == play(seed));
}

/* The receiver is given up in the middle, as at a crash: nothing may leak. */
static void it_may_die_at_any_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        set(seed);
        (void)sim_run_until(scene.sim,
                            sim_now_us(scene.sim) + (int64_t)random_below(scene.random, 4000000));
        life_kill(scene.server_life, SIM_KILLED);
        strike();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_was_appended_once),
        cmocka_unit_test(a_seed_repeats_itself),
        cmocka_unit_test(it_may_die_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
