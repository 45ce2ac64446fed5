/*
 * spool, simulated: lives of a spool with random appends and fetches, ended by kill -9 and power
 * cuts in the middle of any disk operation, on disks that fail and fill up for a time. What the
 * queue is told at each start is held against a model (spool_model.h): what was answered is there,
 * what was ended is not, what was in doubt is decided once and for all.
 *
 * SEEDS=n runs so many (FROM=n: not from the first), SEED=n only that one, VERBOSE=1 names each.
 */
#include "spool_model.h"

#include "base/log.h"
#include "letter/actor.h"
#include "os/disk.h"
#include "sim/world.h"
#include "spool/content.h"
#include "spool/layout.h"

enum {
    SEEDS = 300,
    CLIENTS = 3, /* the queue and two workers */
    SLOTS = 6,
    LIVES_MAX_DRAWN = 5,
    BOUNDARIES = 100,
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
    bool has_reserve; /* when the disk became small all that was reserved was there */
    bool is_damaged;  /* a header is half written: reported, and left where it is */
    enum { WORKING, RESTING, ENDING, SILENT, STOPPING, STOPPED } mood;
    int64_t trouble_us; /* when the disk was last faulty or small */
} scene;

static struct {
    uint64_t accepted, ended, recovered, fetched, refused, kills, cuts, stops, lives, in_doubt,
        compacted, small, limited;
} totals;

static uint64_t below(uint64_t limit)
{
    return random_below(scene.random, limit);
}

static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

static int64_t now_us(void)
{
    return sim_now_us(scene.sim);
}

/* May the disk be the reason when something fails now? */
static bool is_trouble(void)
{
    int64_t after_us = TROUBLE_S * SIM_SECOND + 8 * sim_options(scene.sim)->stall_us_max;
    return scene.is_faulty || scene.is_small || now_us() - scene.trouble_us < after_us;
}

/* What clients do ----------------------------------------------------------------------------- */

static struct slot *free_slot(struct client *c)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (c->slots[i].use == IDLE)
            return &c->slots[i];
    return NULL;
}

static void begin(struct slot *s, enum use use, struct model_message *m)
{
    s->use = use;
    s->m = m;
}

static void end(struct slot *s)
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

static void send_append(struct slot *s, enum record_type type, struct id id, uint32_t version,
                        struct span payload)
{
    s->append = (struct append){.type = type,
                                .id = id,
                                .version = version,
                                .parts = {payload, {NULL, 0}},
                                .part_count = payload.len > 0,
                                .payload_crc = crc32c(0, payload)};
    letter_send(s->client->actor, spool_actor(scene.spool), &s->append.letter, LETTER_APPEND, NULL);
}

static uint32_t draw_content_bytes(void)
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

static uint32_t draw_recipients(void)
{
    if (one_in(300))
        return 3500; /* too many for the smallest segments */
    return one_in(50) ? 1 + (uint32_t)below(500) : 1 + (uint32_t)below(4);
}

static void accept(struct slot *s)
{
    scene.living++;
    model_accept_asked(s->m);
    s->use = ACCEPTING;
    send_append(s, RECORD_ACCEPTED, s->m->id, 0, s->mail->payload);
}

static void new_message(struct slot *s)
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
static struct model_message *some_message(bool (*will_do)(const struct model_message *m))
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

static bool may_change(const struct model_message *m)
{
    return m->is_known && !m->is_busy;
}

static bool may_send(const struct model_message *m)
{
    return m->is_known && !m->is_sending_out && !m->is_done_asked;
}

static bool may_fetch(const struct model_message *m)
{
    return m->is_known || (m->is_ended && m->number % 16 == 0);
}

static void change_with_group(struct slot *s, enum record_type type, struct span state)
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

static void change(struct slot *s, struct model_message *m)
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

static void send_sending(struct slot *s, struct model_message *m)
{
    begin(s, SENDING, m);
    m->is_sending_out = true;
    m->sending_asked = ++scene.model.clock;
    send_append(s, RECORD_SENDING, m->id, m->version_kept, (struct span){NULL, 0});
}

static void fetch(struct slot *s, struct model_message *m)
{
    begin(s, FETCHING, m);
    s->was_ended = m->is_ended;
    s->fetch = (struct fetch){.id = m->id};
    letter_send(s->client->actor, spool_actor(scene.spool), &s->fetch.letter, LETTER_FETCH, NULL);
}

static void queue_acts(struct client *c)
{
    struct slot *s = free_slot(c);
    struct model_message *m = some_message(may_change);
    if (s != NULL && m != NULL)
        change(s, m);
}

static void worker_acts(struct client *c)
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

static void on_accepted(struct slot *s)
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
        assert_true((fault == FAULT_DISK_ERROR || fault == FAULT_DISK_FULL) && is_trouble());
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

static void on_changed(struct slot *s)
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

static void on_sending(struct slot *s)
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

static void on_append(struct slot *s)
{
    assert_true(s->append.letter.is_answer);
    if (s->use == ACCEPTING)
        on_accepted(s);
    else if (s->use == CHANGING)
        on_changed(s);
    else
        on_sending(s);
}

static void on_fetched(struct slot *s)
{
    struct model_message *m = s->m;
    struct fetch *f = &s->fetch;
    sim_note(scene.sim, 3000 + (uint64_t)f->fault, m->number);
    if (f->fault != FAULT_NONE) {
        bool is_gone = f->fault == FAULT_NOT_FOUND && (m->is_ended || m->is_done_asked);
        assert_true(is_gone || (f->fault == FAULT_DISK_ERROR && is_trouble()));
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

static void on_read(struct slot *s)
{
    struct content *c = &s->content;
    struct model_message *m = s->m;
    if (c->fault != FAULT_NONE) {
        bool is_gone = c->fault == FAULT_NOT_FOUND && (m->is_ended || m->is_done_asked);
        assert_true(is_gone || (c->fault == FAULT_DISK_ERROR && is_trouble()));
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

static void on_written(struct slot *s)
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

static void on_job(struct slot *s)
{
    if (s->use == WRITING)
        on_written(s);
    else if (s->use == READING)
        on_read(s);
    else
        end(s);
}

/* What is told is looked at only when it is answered: it must stand until then. */
static void answer_recovered(struct client *c)
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

static void client_on_letter(void *self, struct letter *letter)
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

static void client_on_timer(void *context)
{
    struct client *c = context;
    c->is_due = true;
}

static void client_act(struct client *c)
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

static void client_on_turn(void *self)
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

/* Lives --------------------------------------------------------------------------------------- */

static struct client *client_new(bool is_queue, uint32_t max_letters)
{
    struct client *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->is_queue = is_queue;
    timer_init(&c->timer, client_on_timer, c);
    for (size_t i = 0; i < SLOTS; i++) {
        c->slots[i].client = c;
        buffer_init(&c->slots[i].payload, RECORD_PAYLOAD_MAX);
    }
    assert_int_equal(actor_new(scene.life, &client_role, c, max_letters, NULL, &c->actor),
                     FAULT_NONE);
    return c;
}

static void client_free(struct client *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++) {
        content_fini(&c->slots[i].content);
        end(&c->slots[i]);
        buffer_fini(&c->slots[i].payload);
    }
    timer_cancel(actor_loop(c->actor), &c->timer);
    actor_join(c->actor);
    actor_free(c->actor);
    free(c);
}

static void check_damage(const struct spool_counters *n)
{
    scene.is_damaged = scene.is_damaged || n->damaged > 0;
    assert_true(!scene.is_damaged || scene.model.had_write_errors);
}

/* Answers that lay in mailboxes when the life ended: the spool had given its word. */
static void hear_last_answers(struct client *c)
{
    for (size_t i = 0; c != NULL && i < SLOTS; i++) {
        struct slot *s = &c->slots[i];
        bool is_out = s->use == ACCEPTING || s->use == CHANGING || s->use == SENDING;
        if (is_out && s->append.letter.is_answer && s->append.fault == FAULT_NONE)
            on_append(s);
    }
}

static void life_over(void)
{
    enum sim_death death = life_death(scene.life);
    for (size_t i = 0; i < CLIENTS; i++)
        hear_last_answers(scene.clients[i]);
    for (uint32_t i = 0; i < disk_pool_threads(scene.pool); i++)
        actor_join(disk_pool_actor(scene.pool, i));
    if (scene.spool != NULL)
        actor_join(spool_actor(scene.spool));
    for (size_t i = 1; i < CLIENTS; i++)
        client_free(scene.clients[i]);
    if (scene.spool != NULL) {
        struct spool_counters n;
        spool_counters(scene.spool, &n);
        totals.compacted += n.segments_compacted;
        check_damage(&n);
    }
    spool_free(scene.spool);
    client_free(scene.clients[0]);
    disk_pool_free(scene.pool);
    life_end(scene.life);
    scene.spool = NULL;
    memset(scene.clients, 0, sizeof scene.clients);
    totals.kills += death == SIM_KILLED;
    totals.cuts += death == SIM_POWER_CUT;
    totals.lives++;
    if (death == SIM_POWER_CUT)
        scene.model.power_cut = ++scene.model.clock;
}

static void start_threads(void)
{
    for (uint32_t i = 0; i < disk_pool_threads(scene.pool); i++)
        assert_int_equal(actor_start(disk_pool_actor(scene.pool, i)), FAULT_NONE);
    assert_int_equal(actor_start(spool_actor(scene.spool)), FAULT_NONE);
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(actor_start(scene.clients[i]->actor), FAULT_NONE);
}

/* False: the spool cannot be opened, or the life is over already. kill_at 0: it is not killed. */
static bool life_starts(uint64_t kill_at, enum sim_death how)
{
    uint32_t max_letters = one_in(4) ? 1 : 0;
    scene.life = life_begin(scene.machine);
    scene.is_recovered = false;
    scene.mood = WORKING;
    scene.living = 0;
    model_life(&scene.model);
    if (kill_at > 0)
        life_kill_at(scene.life, kill_at, how);
    assert_int_equal(disk_pool_new(scene.life, 1 + (uint32_t)below(3), max_letters, &scene.pool),
                     FAULT_NONE);
    enum fault fault =
        spool_new(scene.life, &scene.settings, scene.pool, max_letters, NULL, &scene.spool);
    if (fault != FAULT_NONE) {
        scene.spool = NULL;
        if (life_death(scene.life) == SIM_ALIVE)
            assert_true((fault == FAULT_DISK_ERROR || fault == FAULT_DISK_FULL) && is_trouble());
        return false;
    }
    for (size_t i = 0; i < CLIENTS; i++)
        scene.clients[i] = client_new(i == 0, max_letters);
    spool_set_queue(scene.spool, scene.clients[0]->actor);
    start_threads();
    return life_death(scene.life) == SIM_ALIVE;
}

static void no_trouble(void)
{
    struct sim_options *o = sim_options(scene.sim);
    if (scene.is_faulty || scene.is_small)
        scene.trouble_us = now_us();
    o->write_error = o->read_error = o->sync_error = o->open_error = 0;
    scene.is_faulty = scene.is_small = scene.has_reserve = false;
    machine_disk_resize(scene.machine, "/spool", scene.disk_bytes);
}

static uint32_t draw_chance(void)
{
    static const uint32_t chances[] = {2000, 20000, 200000, 1000000};
    return chances[below(4)];
}

/* The weather of the next seconds. */
static void draw_trouble(bool is_fine)
{
    struct sim_options *o = sim_options(scene.sim);
    no_trouble();
    uint64_t kind = is_fine ? 6 : below(14);
    if (kind >= 7)
        return;
    if (kind >= 5) {
        struct spool_counters n;
        spool_counters(scene.spool, &n);
        uint64_t files = n.segments_free + 1; /* with the next */
        scene.has_reserve =
            scene.is_recovered && !is_trouble() && files >= scene.settings.segments_reserved;
        scene.is_small = true;
        machine_disk_resize(scene.machine, "/spool", below(scene.disk_bytes));
        totals.small += scene.has_reserve;
        return;
    }
    scene.is_faulty = true;
    if (kind == 0 || kind == 4) {
        o->write_error = draw_chance();
        scene.model.had_write_errors = true;
    }
    if (kind == 1 || kind == 4)
        o->sync_error = draw_chance();
    if (kind == 2 || kind == 4)
        o->read_error = draw_chance();
    if (kind == 3 || kind == 4)
        o->open_error = draw_chance();
}

static bool is_any_slot_busy(void)
{
    for (size_t i = 0; i < CLIENTS; i++)
        for (size_t k = 0; k < SLOTS; k++)
            if (scene.clients[i]->slots[k].use != IDLE)
                return true;
    return false;
}

/* False: it has died. */
static bool run(int64_t us)
{
    return sim_run_until(scene.sim, now_us() + us) != SIM_DEATH;
}

/* An orderly end: everything asked has been answered before. */
static bool stop(void)
{
    scene.mood = STOPPING;
    for (int i = 0; i < 10 * QUIET_S && scene.mood != STOPPED; i++)
        if (!run(SIM_SECOND))
            return false;
    assert_int_equal(scene.mood, STOPPED);
    totals.stops++;
    return true;
}

static void any_life(void)
{
    static const uint64_t spans[] = {20, 200, 2000, 20000};
    uint64_t kill_at = one_in(6) ? 0 : 1 + below(spans[below(4)]);
    bool lives = life_starts(kill_at, one_in(2) ? SIM_KILLED : SIM_POWER_CUT);
    bool is_fine = one_in(3); /* but for a disk that is small at the end */
    for (uint64_t phases = 1 + below(6); lives && phases > 0; phases--) {
        if (!is_fine || phases == 1)
            draw_trouble(is_fine);
        scene.living_wanted = 5 + (uint32_t)below(60);
        lives = run(1 + (int64_t)below(4 * SIM_SECOND));
    }
    if (lives && one_in(2))
        lives = stop();
    if (lives && life_death(scene.life) == SIM_ALIVE && scene.mood != STOPPED)
        life_kill(scene.life, one_in(2) ? SIM_KILLED : SIM_POWER_CUT);
    life_over();
}

/* What the disk may hold at quiet times ------------------------------------------------------- */

struct listing {
    uint32_t segments, contents;
};

static void on_name(void *context, const char *name)
{
    struct listing *l = context;
    struct id id;
    size_t len = strlen(name);
    if (len == 12 && strcmp(name + 8, ".seg") == 0) {
        l->segments++;
    } else if (id_parse(span_of(name, len - 4), &id)) {
        struct model_message *m = model_find(&scene.model, id);
        assert_non_null(m);
        assert_true(m->in_file && (model_lives(m) || scene.is_damaged));
        l->contents += model_lives(m);
    } else {
        bool is_ours = len == 12 && (strcmp(name + 8, ".idx") == 0 ||
                                     (scene.is_damaged && strcmp(name + 8, ".bad") == 0));
        if (!is_ours)
            fail_msg("%s is there", name);
    }
}

static void check_disk(uint32_t segments_most)
{
    struct listing l = {0};
    uint32_t in_files = 0;
    assert_int_equal(disk_list(spool_disk(scene.spool), on_name, &l), FAULT_NONE);
    for (uint32_t i = 0; i < scene.model.count; i++)
        in_files += model_lives(&scene.model.messages[i]) && scene.model.messages[i].in_file;
    assert_int_equal(l.contents, in_files);
    if (!scene.is_damaged)
        assert_in_range(l.segments, 0, segments_most);
}

static void check_counters(void)
{
    struct spool_counters n;
    uint32_t living = 0;
    for (uint32_t i = 0; i < scene.model.count; i++)
        living += model_lives(&scene.model.messages[i]);
    spool_counters(scene.spool, &n);
    assert_true(n.recovered && !n.failed);
    check_damage(&n);
    assert_int_equal(n.messages, living);
    assert_int_equal(spool_takes_mail(scene.spool), FAULT_NONE);
}

/* In good weather: all is told, all can be read, the disk holds little more than what lives; then
   all is ended, and nothing is left. */
static void last_lives(void)
{
    no_trouble();
    sim_options(scene.sim)->stall_us_max = 100000;
    assert_true(life_starts(0, SIM_KILLED));
    scene.mood = RESTING;
    scene.living_wanted = 0;
    assert_true(run(QUIET_S * SIM_SECOND));
    assert_true(scene.is_recovered);
    check_counters();
    uint64_t segment = scene.settings.segment_bytes;
    uint64_t bound = (2 * model_live_bytes(&scene.model) + segment - 1) / segment + 8;
    check_disk((uint32_t)bound);

    scene.mood = ENDING;
    while (scene.living > 0)
        assert_true(run(SIM_SECOND));
    scene.mood = SILENT;
    assert_true(run(QUIET_S * SIM_SECOND));
    assert_false(is_any_slot_busy());
    check_counters();
    struct spool_counters n;
    spool_counters(scene.spool, &n);
    assert_int_equal(n.live_bytes, 0);
    assert_int_equal(n.content_bytes, 0);
    assert_true(n.segments - n.segments_free <= 2); /* the tail and the next */
    check_disk(8);
    assert_true(stop());
    life_over();

    assert_true(life_starts(0, SIM_KILLED));
    scene.mood = RESTING;
    assert_true(run(QUIET_S * SIM_SECOND));
    assert_true(scene.is_recovered);
    assert_int_equal(scene.living, 0);
    check_counters();
    assert_true(stop());
    life_over();
}

/* Seeds --------------------------------------------------------------------------------------- */

static uint32_t draw_segment_bytes(void)
{
    switch (below(8)) {
    case 0:
        return 1u << 20;
    case 1:
    case 2:
        return 256u << 10;
    default:
        return 64u << 10;
    }
}

/* Room for what lives at a time at the end, but not always for more. */
static uint64_t draw_limit(uint32_t segment_bytes)
{
    return one_in(4) ? 16 * (uint64_t)segment_bytes + (1u << 20) : 0;
}

static void set(uint64_t seed)
{
    struct sim_options o = sim_options_calm();
    struct random r;
    random_init(&r, seed);
    memset(&scene, 0, sizeof scene);
    o.stall = (uint32_t)random_below(&r, 4) * 60000;
    o.stall_us_max = random_below(&r, 2) == 0 ? 300000 : 3000000;
    o.spurious_wake = (uint32_t)random_below(&r, 2) * 50000;
    o.write_back = (uint32_t)random_below(&r, 3) * 20000;
    scene.sim = sim_new(seed, &o);
    scene.random = sim_random(scene.sim);
    scene.machine = machine_new(scene.sim, "server", (struct endpoint){4, {10, 0, 0, 1}, 25});
    uint32_t segment_bytes = draw_segment_bytes();
    scene.settings = (struct spool_settings){.path = "/spool",
                                             .segment_bytes = segment_bytes,
                                             .inline_bytes_max = 1024u << below(5),
                                             .disk_bytes_max = draw_limit(segment_bytes),
                                             .segments_reserved = 2 + (uint32_t)below(3)};
    scene.disk_bytes = (one_in(2) ? 64 : 18) * (uint64_t)scene.settings.segment_bytes + (6u << 20);
    scene.messages_max = 200 + (uint32_t)below(1500);
    scene.pause_us = INT64_C(1000) << below(8);
    scene.trouble_us = -1000 * SIM_SECOND;
    machine_disk(scene.machine, "/spool", scene.disk_bytes);
}

static uint64_t play(uint64_t seed)
{
    set(seed);
    for (uint64_t lives = 1 + below(LIVES_MAX_DRAWN); lives > 0; lives--)
        any_life();
    last_lives();
    uint64_t hash = sim_hash(scene.sim);
    sim_free(scene.sim);
    return hash;
}

static bool is_only_some(void)
{
    return getenv("SEED") != NULL || getenv("FROM") != NULL;
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv("SEED");
    if (text == NULL)
        text = getenv(variable);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void nothing_is_lost_and_nothing_comes_back(void **state)
{
    (void)state;
    uint64_t first = number_from("FROM", 1), last = number_from("SEEDS", SEEDS);
    memset(&totals, 0, sizeof totals);
    for (uint64_t seed = first; seed <= last; seed++) {
        if (getenv("VERBOSE") != NULL)
            print_message("seed %llu\n", (unsigned long long)seed);
        (void)play(seed);
    }
#define SHOW(field) print_message("%llu " #field "\n", (unsigned long long)totals.field)
    SHOW(lives);
    SHOW(kills);
    SHOW(cuts);
    SHOW(stops);
    SHOW(accepted);
    SHOW(ended);
    SHOW(recovered);
    SHOW(fetched);
    SHOW(refused);
    SHOW(in_doubt);
    SHOW(compacted);
    SHOW(small);
    SHOW(limited);
#undef SHOW
}

/* Seeds that have found something, with what was drawn at that time. */
static void seeds_that_found_something(void **state)
{
    static const uint64_t kept[] = {32,   47,   231,  244,  302,  1078,
                                    1300, 1343, 2605, 3721, 4936, 7771};
    (void)state;
    for (size_t i = 0; i < ROWS(kept) && !is_only_some(); i++)
        (void)play(kept[i]);
}

/* A life that is killed in the middle of its n-th change of the disk, for every n of its first
   ones; with `is_second`, after one that has left something to be recovered. */
static void die_at(uint64_t seed, bool is_second, uint64_t n, enum sim_death how)
{
    set(seed);
    scene.settings.segment_bytes = 64u << 10;
    scene.pause_us = 8000;
    scene.messages_max = 150;
    scene.living_wanted = 20;
    if (is_second) {
        assert_true(life_starts(0, SIM_KILLED));
        assert_true(run(2 * SIM_SECOND));
        life_kill(scene.life, how);
        life_over();
    }
    if (life_starts(n, how) && run(2 * SIM_SECOND))
        life_kill(scene.life, how);
    life_over();
    last_lives();
    sim_free(scene.sim);
}

static void every_boundary(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= BOUNDARIES && !is_only_some(); n++) {
        die_at(7, false, n, n % 2 == 0 ? SIM_KILLED : SIM_POWER_CUT);
        die_at(8, true, n, n % 2 == 0 ? SIM_POWER_CUT : SIM_KILLED);
        die_at(9, true, n, n % 2 == 0 ? SIM_KILLED : SIM_POWER_CUT);
    }
}

static void a_seed_repeats_itself(void **state)
{
    (void)state;
    if (is_only_some())
        return;
    for (uint64_t seed = 1; seed <= 10; seed++)
        assert_true(play(seed) == play(seed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_and_nothing_comes_back),
        cmocka_unit_test(seeds_that_found_something),
        cmocka_unit_test(every_boundary),
        cmocka_unit_test(a_seed_repeats_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
