/*
 * deliver_house: a worker with a deliverer in the simulated world, between a queue, a spool and a
 * disk that do what a test tells them, and SMTP servers that misbehave as told.
 *
 * Watched always: a letter comes back exactly once, with a result for each recipient; a server sees
 * a final dot only after the SENDING record was written, which is asked for once; what was
 * DELIVERED is in a server's ledger whole and byte by byte, and its server has said yes.
 */
#ifndef TESTS_UNIT_DELIVER_HOUSE_H
#define TESTS_UNIT_DELIVER_HOUSE_H

#include "deliver_servers.h"

/* Spool and disk ------------------------------------------------------------------------------ */

struct actor *spool_actor(struct spool *s)
{
    (void)s;
    return house.spool_late.actor;
}

const struct spool_settings *spool_settings(const struct spool *s)
{
    return &s->settings;
}

void content_init(struct content *c, struct spool *s, struct id id)
{
    (void)s;
    content_begin(c, house.disk, id);
}

void content_send(struct actor *from, struct content *c, enum content_step step)
{
    c->step = step;
    letter_send(from, house.disk_late.actor, &c->job.letter, LETTER_JOB, NULL);
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
    if (l->holds)
        return;
    for (size_t tries = l->count; tries > 0 && l->count > 0; tries--) {
        size_t i = below(l->count);
        if (chance(house.slow))
            continue;
        struct letter *letter = l->held[i];
        l->held[i] = l->held[--l->count];
        l->work(letter);
        letter_answer(l->actor, letter);
    }
    struct loop *loop = actor_loop(l->actor);
    if (l->count > 0)
        assert_int_equal(
            timer_set(loop, &l->timer, loop_mono_us(loop) + 1 + (int64_t)below(200000)),
            FAULT_NONE);
}

static const struct actor_role late_role = {"late", late_on_letter, late_on_turn};

static void append_work(struct letter *letter)
{
    struct append *a = container_of(letter, struct append, letter);
    struct message *m = message_of(a->id);
    assert_int_equal(a->type, RECORD_SENDING);
    a->fault = chance(house.append_faults) ? house.append_fault : FAULT_NONE;
    m->sendings += a->fault == FAULT_NONE;
    m->sendings_of[a->version] += a->fault == FAULT_NONE;
    assert_true(m->sendings_of[a->version] <= 1);
}

static void fetch_work(struct fetch *f)
{
    struct message *m = message_of(f->id);
    f->fault = chance(house.fetch_faults) ? house.fetch_fault : FAULT_NONE;
    if (!m->may_be_fetched)
        f->fault = FAULT_NOT_FOUND;
    f->mail = f->fault == FAULT_NONE ? mail_retain(m->mail) : NULL;
}

static void spool_work(struct letter *letter)
{
    if (letter->type == LETTER_APPEND)
        append_work(letter);
    else
        fetch_work(container_of(letter, struct fetch, letter));
}

static void disk_work(struct letter *letter)
{
    struct job *job = container_of(letter, struct job, letter);
    struct content *c = container_of(job, struct content, job);
    content_do(c, c->step);
    if (chance(house.job_faults))
        c->fault = house.job_fault;
}

static void late_start(struct late *l, void (*work)(struct letter *letter))
{
    l->work = work;
    timer_init(&l->timer, late_on_timer, l);
    assert_int_equal(actor_new(house.sender_life, &late_role, l, 0, NULL, &l->actor), FAULT_NONE);
    assert_int_equal(actor_start(l->actor), FAULT_NONE);
}

static inline void late_release(struct late *l)
{
    l->holds = false;
    (void)loop_wake(actor_loop(l->actor));
}

/* The queue ----------------------------------------------------------------------------------- */

static bool ledger_has(struct channel *c, struct span path)
{
    char quoted[300];
    snprintf(quoted, sizeof quoted, "<%.*s> ", SPAN_PRINT(path));
    for (uint32_t i = 0; i < house.ledger_count; i++) {
        const struct ledger_entry *e = &house.ledger[i];
        if (&house.messages[e->message] == c->message && e->is_yes && e->is_whole &&
            strstr(e->recipients, quoted) != NULL)
            return true;
    }
    return false;
}

static void check_result(struct channel *c, uint32_t i)
{
    const struct delivery_result *r = &c->delivery.results[i];
    const struct envelope *e = &c->message->mail->envelope;
    c->message->delivered += r->end == DELIVERY_DELIVERED;
    c->message->doubts += r->in_doubt;
    if (r->end == DELIVERY_DELIVERED && c->delivery.route->transport != ROUTE_LOCAL)
        assert_true(ledger_has(c, e->recipients[c->recipients[i]].path));
    assert_false(r->in_doubt && r->end != DELIVERY_DEFERRED);
    assert_true(r->is_reply == (r->fault == FAULT_NONE) || r->fault != FAULT_NONE);
    assert_true(!r->is_reply || r->text.len >= 4);
}

static void on_delivery(struct channel *c)
{
    struct delivery *d = &c->delivery;
    assert_true(c->is_lent && d->letter.is_answer);
    c->is_lent = false;
    c->back++;
    c->back_us = sim_now_us(house.sim);
    if (d->kind == DELIVERY_CLOSE) {
        assert_null(d->connection);
        return;
    }
    assert_true(d->results != NULL || d->arena.full);
    for (uint32_t i = 0; d->results != NULL && i < d->recipient_count; i++)
        check_result(c, i);
}

static void queue_on_letter(void *self, struct letter *letter)
{
    (void)self;
    if (letter->type == LETTER_DELIVER) {
        struct delivery *d = container_of(letter, struct delivery, letter);
        on_delivery(container_of(d, struct channel, delivery));
    } else {
        assert_int_equal(letter->type, LETTER_NOTIFY);
        house.notified = container_of(letter, struct notification, letter);
    }
}

static const struct actor_role queue_role = {"queue", queue_on_letter, NULL};

static void worker_on_letter(void *self, struct letter *letter)
{
    (void)self;
    assert_true(deliverer_on_letter(house.deliverer, letter));
}

static const struct actor_role worker_role = {"worker", worker_on_letter, NULL};

static inline struct channel *a_channel(void)
{
    assert_true(house.channel_count < CHANNELS_MAX);
    struct channel *c = &house.channels[house.channel_count++];
    c->delivery.worker = house.worker;
    arena_init(&c->delivery.arena, DELIVERY_MEMORY_MAX);
    return c;
}

/* The hosts by number, each with the preference behind it: {0, 10, 1, 20}. */
static inline struct route *a_route_by(enum route_transport transport, enum route_tls tls,
                                       const int *numbers, size_t count)
{
    struct route_host hosts[HOSTS];
    for (size_t i = 0; i < count; i += 2) {
        struct host *h = &house.hosts[numbers[i]];
        hosts[i / 2] = (struct route_host){.name = span_text(h->name),
                                           .preference = (uint16_t)numbers[i + 1],
                                           .address_count = 1,
                                           .addresses = &h->at};
    }
    struct route *r = route_new_by(transport, tls, hosts, (uint32_t)count / 2);
    assert_non_null(r);
    return r;
}

#define ROUTE_BY(transport, tls, ...)                      \
    a_route_by(transport, tls, (const int[]){__VA_ARGS__}, \
               sizeof((const int[]){__VA_ARGS__}) / sizeof(int))
#define ROUTE(...) ROUTE_BY(ROUTE_SMTP, ROUTE_TLS_MAY, __VA_ARGS__)

static void forget_delivery(struct channel *c)
{
    struct delivery *d = &c->delivery;
    mail_release(d->mail);
    route_release(d->route);
    d->mail = NULL;
    d->route = NULL;
    arena_reset(&d->arena);
}

static void lend(struct channel *c, enum delivery_kind kind)
{
    assert_false(c->is_lent);
    c->is_lent = true;
    c->lent++;
    c->lent_us = sim_now_us(house.sim);
    c->delivery.kind = kind;
    letter_send(house.queue, house.worker, &c->delivery.letter, LETTER_DELIVER, NULL);
    actor_flush(house.queue);
}

/* To all recipients of m. Takes the route. */
static inline void deliver(struct channel *c, struct message *m, struct route *route,
                           bool with_mail)
{
    struct delivery *d = &c->delivery;
    forget_delivery(c);
    c->message = m;
    d->route = route;
    d->id = m->mail->id;
    d->version = m->deliveries++;
    assert_true(m->deliveries <= DELIVERIES_MAX);
    d->mail = with_mail ? mail_retain(m->mail) : NULL;
    d->recipients = c->recipients;
    d->recipient_count = m->mail->envelope.recipient_count;
    for (uint32_t i = 0; i < d->recipient_count; i++)
        c->recipients[i] = i;
    lend(c, DELIVERY_SEND);
}

static void run(int64_t us)
{
    (void)sim_run_until(house.sim, sim_now_us(house.sim) + us);
}

static inline void await(struct channel *c)
{
    for (int i = 0; i < 400000 && c->is_lent; i++)
        run(10000);
    assert_false(c->is_lent);
}

static inline void close_channel(struct channel *c)
{
    lend(c, DELIVERY_CLOSE);
    await(c);
}

static inline void send_to(struct channel *c, struct message *m, struct route *route)
{
    deliver(c, m, route, true);
    await(c);
}

/* Messages ------------------------------------------------------------------------------------ */

static void write_file(struct message *m, struct span content)
{
    struct content c;
    struct sim_options *options = sim_options(house.sim), before = *options;
    *options = sim_options_calm();
    content_begin(&c, house.disk, m->mail->id);
    c.bytes = content;
    content_do(&c, CONTENT_WRITE);
    assert_int_equal(c.fault, FAULT_NONE);
    content_do(&c, CONTENT_FINISH);
    assert_int_equal(c.fault, FAULT_NONE);
    *options = before;
}

static struct id id_of(uint32_t number)
{
    struct id id = {{0}};
    memcpy(id.bytes, &number, sizeof number);
    id.bytes[15] = 1;
    return id;
}

/* Lines of up to 60 bytes, many of which begin with dots. */
static char *make_content(uint32_t number, size_t len, size_t *len_out)
{
    uint32_t high = chance(house.eight_bit) ? (uint32_t)below(900000) : 0;
    char *bytes = malloc(len + 128);
    assert_non_null(bytes);
    size_t at = (size_t)sprintf(bytes, "Received: here\r\nMessage: %u\r\n\r\n", number);
    while (at < len) {
        for (size_t line = below(60); line > 0; line--)
            bytes[at++] = (char)(('-' + (int)below(80) % 70) | (chance(high) ? 0x80 : 0));
        bytes[at++] = '\r';
        bytes[at++] = '\n';
    }
    *len_out = at;
    return bytes;
}

/* By the same code, but in one piece: that it is right is for test_downgrade to say. */
static void make_converted(struct message *m)
{
    struct downgrade *d = downgrade_new();
    assert_non_null(d);
    buffer_init(&m->converted, 64 << 20);
    downgrade_survey(d, m->content);
    if (downgrade_conclude(d) == DOWNGRADE_POSSIBLE) {
        downgrade_begin(d);
        assert_true(downgrade_put(d, m->content, &m->converted));
        assert_true(downgrade_end(d, &m->converted));
    }
    downgrade_free(d);
}

/* `recipients`: "550@x ok@y", parted by blanks. A server answers RCPT with the three digits that an
   address begins with. */
static struct message *a_message(const char *recipients, size_t len)
{
    static struct envelope_recipient paths[RECIPIENTS_MAX];
    assert_true(house.message_count < MESSAGES_MAX);
    uint32_t number = house.message_count++;
    struct message *m = &house.messages[number];
    struct envelope e = {.reverse_path = SPAN("sender@a.example"), .recipients = paths};
    for (struct span rest = span_text(recipients); rest.len > 0;) {
        assert_true(e.recipient_count < RECIPIENTS_MAX);
        rest = span_split(rest, ' ', &paths[e.recipient_count++].path);
    }
    size_t whole;
    m->memory = make_content(number, len, &whole);
    m->content = span_of(m->memory, whole);
    e.prefix = span_sub(m->content, 0, 16);
    struct span content = span_skip(m->content, 16);
    struct mail_draft *draft = draft_new(id_of(number), &e, content.len, INLINE_MAX);
    m->may_be_fetched = true;
    m->is_in_file = content.len > INLINE_MAX;
    if (m->is_in_file)
        draft_content_moved(draft);
    else
        assert_int_equal(draft_add(draft, content), FAULT_NONE);
    bool has_dots = span_find(content, SPAN("\n."), 0) < content.len;
    assert_int_equal(draft_finish(draft, content.len, false, has_dots, &m->mail), FAULT_NONE);
    if (m->is_in_file)
        write_file(m, content);
    make_converted(m);
    return m;
}

/* Beginning and end --------------------------------------------------------------------------- */

static void start_servers(void)
{
    for (int i = 0; i < HOSTS; i++) {
        struct host *h = &house.hosts[i];
        h->at = (struct endpoint){4, {10, 0, 1, (uint8_t)(i + 1)}, (uint16_t)(25 + i)};
        snprintf(h->name, sizeof h->name, "mx%d.example", i);
        if (i == 0)
            house.peers = machine_new(house.sim, "peers", h->at);
        else
            machine_address(house.peers, h->at);
    }
    house.peers_life = life_begin(house.peers);
    assert_int_equal(loop_new(house.peers_life, &house.loop), FAULT_NONE);
    list_init(&house.sessions);
    assert_int_equal(
        thread_start(house.peers_life, "servers", house.loop, servers_turn, NULL, &house.thread),
        FAULT_NONE);
}

static struct actor *an_actor(const struct actor_role *role)
{
    struct actor *a;
    assert_int_equal(actor_new(house.sender_life, role, NULL, 0, NULL, &a), FAULT_NONE);
    assert_int_equal(actor_start(a), FAULT_NONE);
    return a;
}

static void start_sender(void)
{
    house.sender = machine_new(house.sim, "sender", (struct endpoint){4, {10, 0, 0, 1}, 0});
    house.sender_life = life_begin(house.sender);
    machine_disk(house.sender, "/spool", 256 << 20);
    assert_int_equal(disk_new(house.sender_life, "/spool", &house.disk), FAULT_NONE);
    late_start(&house.spool_late, spool_work);
    late_start(&house.disk_late, disk_work);
    house.queue = an_actor(&queue_role);
    house.worker = an_actor(&worker_role);
    house.spool.settings.inline_bytes_max = INLINE_MAX;
    assert_int_equal(deliverer_new(house.worker, &house.settings, &house.spool, &house.deliverer),
                     FAULT_NONE);
}

static void house_begin(uint64_t seed, const struct sim_options *options)
{
    memset(&house, 0, sizeof house);
    house.sim = sim_new(seed, options);
    house.random = sim_random(house.sim);
    house.settings = (struct deliverer_settings){
        .hostname = "out.example",
        .postmaster = "postmaster@here.example",
        .attempts_max = 10,
        .messages_max = 100,
        .idle_ms = 20000,
        .connect_timeout_ms = 10000,
        .greeting_timeout_ms = 11000,
        .ehlo_timeout_ms = 12000,
        .mail_timeout_ms = 13000,
        .rcpt_timeout_ms = 14000,
        .data_timeout_ms = 15000,
        .block_timeout_ms = 16000,
        .dot_timeout_ms = 17000,
        .quit_timeout_ms = 5000,
    };
    start_servers();
    start_sender();
    for (int i = 0; i < HOSTS; i++)
        host_listen(&house.hosts[i]);
}

static void free_actor(struct actor *a)
{
    actor_join(a);
    actor_free(a);
}

static void late_stop(struct late *l)
{
    timer_cancel(actor_loop(l->actor), &l->timer);
    free_actor(l->actor);
}

/* At any moment. */
static void house_end(void)
{
    if (house.sim->running != NULL)
        return; /* an assertion has failed in the middle of a turn */
    deliverer_free(house.deliverer);
    late_stop(&house.spool_late);
    late_stop(&house.disk_late);
    free_actor(house.queue);
    free_actor(house.worker);
    for (uint32_t i = 0; i < house.channel_count; i++) {
        forget_delivery(&house.channels[i]);
        arena_fini(&house.channels[i].delivery.arena);
    }
    for (uint32_t i = 0; i < house.message_count; i++) {
        mail_release(house.messages[i].mail);
        free(house.messages[i].memory);
        buffer_fini(&house.messages[i].converted);
    }
    for (uint32_t i = 0; i < house.ledger_count; i++)
        free(house.ledger[i].recipients);
    tls_context_free(house.tls);
    disk_free(house.disk);
    life_end(house.sender_life);
    while (!list_empty(&house.sessions))
        session_end(container_of(house.sessions.next, struct session, node));
    for (int i = 0; i < HOSTS; i++)
        if (house.hosts[i].listener != NULL)
            socket_close(house.hosts[i].listener);
    thread_join(house.thread);
    loop_free(house.loop);
    life_end(house.peers_life);
    sim_free(house.sim);
}

/* After all channels were closed and some time has passed. */
static inline void expect_nothing_left(void)
{
    struct deliverer_counters c;
    deliverer_counters(house.deliverer, &c);
    assert_int_equal(c.connections_open, 0);
    assert_true(list_empty(&house.deliverer->connections));
    assert_true(list_empty(&house.deliverer->notices));
    assert_int_equal(house.spool_late.count + house.disk_late.count, 0);
}

#endif
