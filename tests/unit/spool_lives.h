/*
 * spool_lives: whole lives of a simulated spool and its clients: how they begin, in what weather
 * they go on, how they end, and what must hold in the last ones, when the weather is good.
 */
#ifndef TESTS_SPOOL_LIVES_H
#define TESTS_SPOOL_LIVES_H

#include "spool_clients.h"

/* Lives --------------------------------------------------------------------------------------- */

static inline struct client *client_new(bool is_queue, uint32_t max_letters)
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

static inline void client_free(struct client *c)
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

static inline void check_damage(const struct spool_counters *n)
{
    scene.is_damaged = scene.is_damaged || n->damaged > 0;
    assert_true(!scene.is_damaged || scene.model.had_write_errors);
}

/* Answers that lay in mailboxes when the life ended: the spool had given its word. */
static inline void hear_last_answers(struct client *c)
{
    for (size_t i = 0; c != NULL && i < SLOTS; i++) {
        struct slot *s = &c->slots[i];
        bool is_out = s->use == ACCEPTING || s->use == CHANGING || s->use == SENDING;
        if (is_out && s->append.letter.is_answer && s->append.fault == FAULT_NONE)
            on_append(s);
    }
}

static inline void life_over(void)
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

static inline void start_threads(void)
{
    for (uint32_t i = 0; i < disk_pool_threads(scene.pool); i++)
        assert_int_equal(actor_start(disk_pool_actor(scene.pool, i)), FAULT_NONE);
    assert_int_equal(actor_start(spool_actor(scene.spool)), FAULT_NONE);
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(actor_start(scene.clients[i]->actor), FAULT_NONE);
}

/* False: the spool cannot be opened, or the life is over already. kill_at 0: it is not killed. */
static inline bool life_starts(uint64_t kill_at, enum sim_death how)
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
    scene.is_starting = true;
    enum fault fault =
        spool_new(scene.life, &scene.settings, scene.pool, max_letters, NULL, &scene.spool);
    scene.is_starting = false;
    if (fault != FAULT_NONE) {
        scene.spool = NULL;
        if (life_death(scene.life) == SIM_ALIVE)
            assert_true(is_trouble() && (fault == FAULT_DISK_ERROR || fault == FAULT_DISK_FULL ||
                                         (fault == FAULT_NO_MEMORY && scene.on_phase != NULL)));
        return false;
    }
    for (size_t i = 0; i < CLIENTS; i++)
        scene.clients[i] = client_new(i == 0, max_letters);
    spool_set_queue(scene.spool, scene.clients[0]->actor);
    start_threads();
    return life_death(scene.life) == SIM_ALIVE;
}

static inline void no_trouble(void)
{
    struct sim_options *o = sim_options(scene.sim);
    if (scene.is_faulty || scene.is_small || scene.is_short)
        scene.trouble_us = now_us();
    o->write_error = o->read_error = o->sync_error = o->open_error = 0;
    scene.is_faulty = scene.is_small = scene.has_reserve = scene.is_short = false;
    machine_disk_resize(scene.machine, "/spool", scene.disk_bytes);
}

static inline uint32_t draw_chance(void)
{
    static const uint32_t chances[] = {2000, 20000, 200000, 1000000};
    return chances[below(4)];
}

/* The weather of the next seconds. */
static inline void draw_trouble(bool is_fine)
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
        scene.has_reserve = scene.is_recovered && !is_trouble() && scene.on_phase == NULL &&
                            files >= scene.settings.segments_reserved;
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

static inline bool is_any_slot_busy(void)
{
    for (size_t i = 0; i < CLIENTS; i++)
        for (size_t k = 0; k < SLOTS; k++)
            if (scene.clients[i]->slots[k].use != IDLE)
                return true;
    return false;
}

/* False: it has died. */
static inline bool run(int64_t us)
{
    return sim_run_until(scene.sim, now_us() + us) != SIM_DEATH;
}

/* An orderly end: everything asked has been answered before. */
static inline bool stop(void)
{
    scene.mood = STOPPING;
    for (int i = 0; i < 10 * QUIET_S && scene.mood != STOPPED; i++)
        if (!run(SIM_SECOND))
            return false;
    assert_int_equal(scene.mood, STOPPED);
    totals.stops++;
    return true;
}

static inline void any_life(void)
{
    static const uint64_t spans[] = {20, 200, 2000, 20000};
    uint64_t kill_at = one_in(6) ? 0 : 1 + below(spans[below(4)]);
    bool lives = life_starts(kill_at, one_in(2) ? SIM_KILLED : SIM_POWER_CUT);
    bool is_fine = one_in(3); /* but for a disk that is small at the end */
    for (uint64_t phases = 1 + below(6); lives && phases > 0; phases--) {
        if (!is_fine || phases == 1)
            draw_trouble(is_fine);
        if (scene.on_phase != NULL)
            scene.on_phase();
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

static inline void on_name(void *context, const char *name)
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

static inline void check_disk(uint32_t segments_most)
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

static inline void check_counters(void)
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
static inline void last_lives(void)
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

static inline uint32_t draw_segment_bytes(void)
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
static inline uint64_t draw_limit(uint32_t segment_bytes)
{
    return one_in(4) ? 16 * (uint64_t)segment_bytes + (1u << 20) : 0;
}

static inline void set(uint64_t seed)
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

static inline uint64_t play(uint64_t seed)
{
    set(seed);
    for (uint64_t lives = 1 + below(LIVES_MAX_DRAWN); lives > 0; lives--)
        any_life();
    last_lives();
    uint64_t hash = sim_hash(scene.sim);
    sim_free(scene.sim);
    return hash;
}

static inline bool is_only_some(void)
{
    return getenv("SEED") != NULL || getenv("FROM") != NULL;
}

static inline uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv("SEED");
    if (text == NULL)
        text = getenv(variable);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

#endif
