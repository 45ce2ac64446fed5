/*
 * spool_clients: a queue and two workers that do with a simulated spool whatever its contract
 * allows, at random, and tell the model (spool_model.h) what they asked and what they were
 * answered.
 *
 * The scene is one; asserts with cmocka.
 */
#ifndef TESTS_SPOOL_CLIENTS_H
#define TESTS_SPOOL_CLIENTS_H

#include "spool_model.h"

#include "letter/actor.h"
#include "os/disk.h"
#include "sim/world.h"
#include "spool/content.h"
#include "spool/layout.h"

enum {
    CLIENTS = 3, /* the queue and two workers */
    SLOTS = 6,
    LIVES_MAX_DRAWN = 5,
    QUIET_S = 20,
    TROUBLE_S = 4 /* so long, and some stalls, may something fail after its end */
};

enum use { IDLE, WRITING, DROPPING, ACCEPTING, SENDING, CHANGING, FETCHING, READING, CLOSING };

/* One thing that a client is doing. */
struct slot {
    struct client *client;
    enum use use;
    struct append append;
    struct fetch fetch;
    struct content content;
    struct model_message *m, *notification;
    struct mail_object *mail;
    struct buffer payload;
    uint8_t *bytes;
    bool is_done, was_ended;
    uint64_t read;
};

struct client {
    bool is_queue, is_due, is_stop_sent;
    struct actor *actor;
    struct timer timer;
    struct slot slots[SLOTS];
    struct recovered *held[2]; /* the one that came first; NULL: none */
    struct letter stop;
};

static struct scene {
    struct sim *sim;
    struct random *random;
    struct machine *machine;
    struct world *life;
    struct disk_pool *pool;
    struct spool *spool;
    struct spool_settings settings;
    struct client *clients[CLIENTS];
    struct model model;
    uint64_t disk_bytes;
    uint32_t living, living_wanted, messages_max;
    int64_t pause_us;
    bool is_faulty, is_small, is_recovered;
    bool has_reserve;       /* when the disk became small all that was reserved was there */
    bool is_starting;       /* the spool is being made */
    bool is_short;          /* of memory: the spool and its disk threads */
    void (*on_phase)(void); /* may make it so; NULL: nobody does */
    bool is_damaged;        /* a header is half written: reported, and left where it is */
    enum { WORKING, RESTING, ENDING, SILENT, STOPPING, STOPPED } mood;
    int64_t trouble_us; /* when the disk was last faulty or small */
} scene;

static struct {
    uint64_t accepted, ended, recovered, fetched, refused, kills, cuts, stops, lives, in_doubt,
        compacted, small, limited;
} totals;

static inline uint64_t below(uint64_t limit)
{
    return random_below(scene.random, limit);
}

static inline bool one_in(uint64_t n)
{
    return below(n) == 0;
}

static inline int64_t now_us(void)
{
    return sim_now_us(scene.sim);
}

/* May the disk be the reason when something fails now? */
static inline bool is_trouble(void)
{
    int64_t after_us = TROUBLE_S * SIM_SECOND + 20 * sim_options(scene.sim)->stall_us_max;
    return scene.is_faulty || scene.is_small || scene.is_short ||
           now_us() - scene.trouble_us < after_us;
}

/* What clients do ----------------------------------------------------------------------------- */

static inline struct slot *free_slot(struct client *c)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (c->slots[i].use == IDLE)
            return &c->slots[i];
    return NULL;
}

static inline void begin(struct slot *s, enum use use, struct model_message *m)
{
    s->use = use;
    s->m = m;
}

static inline void end(struct slot *s)
{
    mail_release(s->mail);
    mail_release(s->fetch.mail);
    buffer_free_memory(&s->payload);
    free(s->bytes);
    s->mail = s->fetch.mail = NULL;
    s->bytes = NULL;
    s->notification = NULL;
    s->use = IDLE;
}

static inline void send_append(struct slot *s, enum record_type type, struct id id,
                               uint32_t version, struct span payload)
{
    s->append = (struct append){.type = type,
                                .id = id,
                                .version = version,
                                .parts = {payload, {NULL, 0}},
                                .part_count = payload.len > 0,
                                .payload_crc = crc32c(0, payload)};
    letter_send(s->client->actor, spool_actor(scene.spool), &s->append.letter, LETTER_APPEND, NULL);
}

static inline uint32_t draw_content_bytes(void)
{
    uint32_t most = scene.settings.inline_bytes_max;
    switch (below(10)) {
    case 0:
        return (uint32_t)below(most * 4 + 1);
    case 1:
        return most - (uint32_t)below(most / 4);
    case 2:
        return 0;
    default:
        return (uint32_t)below(1500);
    }
}

static inline uint32_t draw_recipients(void)
{
    if (one_in(300))
        return 3500; /* too many for the smallest segments */
    return one_in(50) ? 1 + (uint32_t)below(500) : 1 + (uint32_t)below(4);
}

static inline void accept(struct slot *s)
{
    scene.living++;
    model_accept_asked(s->m);
    s->use = ACCEPTING;
    send_append(s, RECORD_ACCEPTED, s->m->id, 0, s->mail->payload);
}

static inline void new_message(struct slot *s)
{
    uint32_t bytes = draw_content_bytes();
    bool in_file = bytes > scene.settings.inline_bytes_max;
    begin(s, WRITING, model_message(&scene.model, bytes, draw_recipients(), in_file));
    s->mail = model_mail(s->m, scene.settings.inline_bytes_max);
    if (!in_file) {
        accept(s);
        return;
    }
    s->bytes = malloc(bytes);
    content_fill(s->m, 0, s->bytes, bytes);
    content_init(&s->content, scene.spool, s->m->id);
    s->content.bytes = span_of(s->bytes, bytes);
    content_send(s->client->actor, &s->content, CONTENT_WRITE);
}

/* From a place drawn, the next one that will do. */
static inline struct model_message *some_message(bool (*will_do)(const struct model_message *m))
{
    uint32_t count = scene.model.count;
    uint32_t from = count == 0 ? 0 : (uint32_t)below(count);
    for (uint32_t i = 0; i < count; i++) {
        struct model_message *m = &scene.model.messages[(from + i) % count];
        if (will_do(m))
            return m;
    }
    return NULL;
}

static inline bool may_change(const struct model_message *m)
{
    return m->is_known && !m->is_busy;
}

static inline bool may_send(const struct model_message *m)
{
    return m->is_known && !m->is_sending_out && !m->is_done_asked;
}

static inline bool may_fetch(const struct model_message *m)
{
    return m->is_known || (m->is_ended && m->number % 16 == 0);
}

static inline void change_with_group(struct slot *s, enum record_type type, struct span state)
{
    struct model_message *m = s->m;
    if (m->notification == NULL) {
        m->notification =
            model_message(&scene.model, (uint32_t)below(800), 1 + (uint32_t)below(2), false);
        m->notification_from = m->version_asked;
    }
    s->notification = m->notification;
    s->mail = model_mail(s->notification, scene.settings.inline_bytes_max);
    model_accept_asked(s->notification);
    bool fits = group_put(&s->payload, type, m->id, m->version_asked, state) &&
                group_put(&s->payload, RECORD_ACCEPTED, s->notification->id, 0, s->mail->payload);
    assert_true(fits);
    send_append(s, RECORD_GROUP, (struct id){{0}}, 0, buffer_span(&s->payload));
}

static inline void change(struct slot *s, struct model_message *m)
{
    bool is_full = scene.living > scene.living_wanted || scene.mood == ENDING;
    enum record_type type = one_in(4) ? RECORD_CONTROL : RECORD_OUTCOME;
    bool wants_group = scene.mood != ENDING && one_in(8) && scene.model.count < scene.messages_max;
    begin(s, CHANGING, m);
    s->is_done = m->is_done_asked || scene.mood == ENDING || one_in(is_full ? 2 : 6);
    model_change_asked(&scene.model, m, s->is_done);
    struct buffer state;
    buffer_init(&state, RECORD_PAYLOAD_MAX);
    if (s->is_done)
        type = RECORD_DONE;
    else
        model_state(m, m->version_asked, &state);
    m->state_bytes = state.len;
    if (m->notification != NULL || (wants_group && !m->is_done_asked) ||
        (wants_group && s->is_done && m->version_asked == m->version_kept + 1)) {
        change_with_group(s, type, buffer_span(&state));
        buffer_fini(&state);
        return;
    }
    buffer_put(&s->payload, buffer_span(&state));
    buffer_fini(&state);
    send_append(s, type, m->id, m->version_asked, buffer_span(&s->payload));
}

static inline void send_sending(struct slot *s, struct model_message *m)
{
    begin(s, SENDING, m);
    m->is_sending_out = true;
    m->sending_asked = ++scene.model.clock;
    send_append(s, RECORD_SENDING, m->id, m->version_kept, (struct span){NULL, 0});
}

static inline void fetch(struct slot *s, struct model_message *m)
{
    begin(s, FETCHING, m);
    s->was_ended = m->is_ended;
    s->fetch = (struct fetch){.id = m->id};
    letter_send(s->client->actor, spool_actor(scene.spool), &s->fetch.letter, LETTER_FETCH, NULL);
}

static inline void queue_acts(struct client *c)
{
    struct slot *s = free_slot(c);
    struct model_message *m = some_message(may_change);
    if (s != NULL && m != NULL)
        change(s, m);
}

static inline void worker_acts(struct client *c)
{
    struct slot *s = free_slot(c);
    struct model_message *m;
    if (s == NULL)
        return;
    bool wants_new = scene.living < scene.living_wanted && scene.model.count < scene.messages_max &&
                     (spool_takes_mail(scene.spool) == FAULT_NONE || one_in(20));
    if (scene.mood == WORKING && wants_new && !one_in(4))
        new_message(s);
    else if (scene.mood == WORKING && one_in(2) && (m = some_message(may_send)) != NULL)
        send_sending(s, m);
    else if (one_in(scene.mood == WORKING ? 1 : 8) && (m = some_message(may_fetch)) != NULL)
        fetch(s, m);
}

/* Their answers ------------------------------------------------------------------------------- */

static inline void on_accepted(struct slot *s)
{
    enum fault fault = s->append.fault;
    struct model_message *m = s->m;
    size_t whole = BATCH_HEADER_BYTES + RECORD_HEADER_BYTES + m->payload_bytes;
    bool is_too_large = whole > scene.settings.segment_bytes - SPOOL_PAGE;
    sim_note(scene.sim, 1000 + (uint64_t)fault, m->number);
    if (fault == FAULT_LIMIT)
        assert_true(is_too_large);
    else if (fault == FAULT_NONE)
        assert_false(is_too_large);
    else if (fault == FAULT_DISK_FULL && scene.settings.disk_bytes_max > 0)
        totals.limited++;
    else
        assert_true(is_trouble() && (fault == FAULT_DISK_ERROR || fault == FAULT_DISK_FULL ||
                                     (fault == FAULT_NO_MEMORY && scene.on_phase != NULL)));
    totals.accepted += fault == FAULT_NONE;
    totals.refused += fault != FAULT_NONE;
    totals.in_doubt += fault == FAULT_DISK_ERROR;
    scene.living -= fault != FAULT_NONE;
    model_accept_answered(m, fault);
    if (!m->in_file || fault == FAULT_NONE || fault == FAULT_DISK_ERROR) {
        end(s);
        return;
    }
    s->use = DROPPING;
    content_send(s->client->actor, &s->content, CONTENT_DROP);
}

static inline void on_changed(struct slot *s)
{
    enum fault fault = s->append.fault;
    struct model_message *m = s->m;
    sim_note(scene.sim, 2000 + (uint64_t)fault, m->number);
    if (fault != FAULT_NONE)
        assert_true(fault == FAULT_DISK_ERROR && is_trouble());
    if (fault != FAULT_NONE && scene.has_reserve)
        fail_msg("refused, although there is a reserve");
    model_change_answered(&scene.model, m, fault, s->is_done);
    if (s->notification != NULL && fault == FAULT_NONE) {
        assert_ptr_equal(m->notification, s->notification);
        model_accept_answered(s->notification, fault);
        m->notification = NULL;
        scene.living++;
    }
    scene.living -= s->is_done && fault == FAULT_NONE;
    totals.ended += s->is_done && fault == FAULT_NONE;
    end(s);
}

static inline void on_sending(struct slot *s)
{
    enum fault fault = s->append.fault;
    s->m->is_sending_out = false;
    if (fault == FAULT_NONE)
        s->m->sending_answered = ++scene.model.clock;
    else if (fault == FAULT_NOT_FOUND)
        assert_true(s->m->is_ended || s->m->is_done_asked);
    else
        assert_true(fault == FAULT_DISK_ERROR && is_trouble());
    end(s);
}

static inline void on_append(struct slot *s)
{
    assert_true(s->append.letter.is_answer);
    if (s->use == ACCEPTING)
        on_accepted(s);
    else if (s->use == CHANGING)
        on_changed(s);
    else
        on_sending(s);
}

static inline void on_fetched(struct slot *s)
{
    struct model_message *m = s->m;
    struct fetch *f = &s->fetch;
    sim_note(scene.sim, 3000 + (uint64_t)f->fault, m->number);
    if (f->fault != FAULT_NONE) {
        bool is_gone = f->fault == FAULT_NOT_FOUND && (m->is_ended || m->is_done_asked);
        bool is_short = f->fault == FAULT_NO_MEMORY && scene.on_phase != NULL;
        assert_true(is_gone || ((f->fault == FAULT_DISK_ERROR || is_short) && is_trouble()));
        end(s);
        return;
    }
    assert_false(s->was_ended);
    totals.fetched++;
    model_check_envelope(m, &f->mail->envelope);
    assert_int_equal(f->mail->payload.len, m->payload_bytes);
    if (!m->in_file) {
        assert_true(content_matches(m, 0, f->mail->envelope.content));
        assert_int_equal(f->mail->envelope.content.len, m->content_bytes);
        end(s);
        return;
    }
    s->use = READING;
    s->read = 0;
    content_init(&s->content, scene.spool, m->id);
    content_send(s->client->actor, &s->content, CONTENT_READ);
}

static inline void on_read(struct slot *s)
{
    struct content *c = &s->content;
    struct model_message *m = s->m;
    if (c->fault != FAULT_NONE) {
        bool is_gone = c->fault == FAULT_NOT_FOUND && (m->is_ended || m->is_done_asked);
        bool is_short = c->fault == FAULT_NO_MEMORY && scene.on_phase != NULL;
        assert_true(is_gone || ((c->fault == FAULT_DISK_ERROR || is_short) && is_trouble()));
    } else {
        assert_true(content_matches(m, s->read, c->bytes));
        s->read += c->bytes.len;
        if (c->bytes.len > 0) {
            content_send(s->client->actor, c, CONTENT_READ);
            return;
        }
        assert_int_equal(s->read, m->content_bytes);
    }
    s->use = CLOSING;
    content_send(s->client->actor, c, CONTENT_CLOSE);
}

static inline void on_written(struct slot *s)
{
    struct content *c = &s->content;
    if (c->fault != FAULT_NONE) {
        assert_true(is_trouble());
        s->use = DROPPING;
        content_send(s->client->actor, c, CONTENT_DROP);
    } else if (c->step == CONTENT_WRITE) {
        content_send(s->client->actor, c, CONTENT_FINISH);
    } else {
        accept(s);
    }
}

static inline void on_job(struct slot *s)
{
    if (s->use == WRITING)
        on_written(s);
    else if (s->use == READING)
        on_read(s);
    else
        end(s);
}

/* What is told is looked at only when it is answered: it must stand until then. */
static inline void answer_recovered(struct client *c)
{
    struct recovered *r = c->held[0];
    c->held[0] = c->held[1];
    c->held[1] = NULL;
    for (uint32_t i = 0; i < r->count; i++) {
        sim_note(scene.sim, 4000, r->messages[i].version);
        model_recovered(&scene.model, &r->messages[i]);
        scene.living++;
        totals.recovered++;
    }
    if (r->last) {
        assert_false(scene.is_recovered);
        scene.is_recovered = true;
        model_recovery_over(&scene.model);
    }
    letter_answer(c->actor, &r->letter);
}

static inline void client_on_letter(void *self, struct letter *letter)
{
    struct client *c = self;
    if (!letter->is_answer) {
        assert_true(c->is_queue && letter->type == LETTER_RECOVERED && c->held[1] == NULL);
        c->held[c->held[0] != NULL] = container_of(letter, struct recovered, letter);
    } else if (letter->type == LETTER_APPEND) {
        on_append(container_of(letter, struct slot, append.letter));
    } else if (letter->type == LETTER_FETCH) {
        on_fetched(container_of(letter, struct slot, fetch.letter));
    } else if (letter->type == LETTER_JOB) {
        on_job(container_of(letter, struct slot, content.job.letter));
    } else {
        assert_int_equal(letter->type, LETTER_STOP);
        scene.mood = STOPPED;
    }
}

static inline void client_on_timer(void *context)
{
    struct client *c = context;
    c->is_due = true;
}

static inline void client_act(struct client *c)
{
    if (scene.mood == STOPPING && c->is_queue && !c->is_stop_sent) {
        c->is_stop_sent = true;
        letter_send(c->actor, spool_actor(scene.spool), &c->stop, LETTER_STOP, NULL);
    }
    if (scene.mood >= SILENT)
        return;
    if (!c->is_queue)
        worker_acts(c);
    else if (scene.mood != RESTING)
        queue_acts(c);
}

static inline void client_on_turn(void *self)
{
    struct client *c = self;
    struct loop *l = actor_loop(c->actor);
    if (c->held[0] != NULL && !one_in(3))
        answer_recovered(c);
    if (heap_contains(&c->timer.node))
        return;
    if (c->is_due)
        client_act(c);
    c->is_due = false;
    int64_t at_us = loop_mono_us(l) + 1 + (int64_t)below((uint64_t)scene.pause_us);
    assert_int_equal(timer_set(l, &c->timer, at_us), FAULT_NONE);
}

static const struct actor_role client_role = {"client", client_on_letter, client_on_turn};

#endif
