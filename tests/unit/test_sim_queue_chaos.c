/*
 * The queue under everything at once: whole lives drawn from seeds, with sites that go away, DNS
 * and disk that fail, operators, jumps of the clock and crashes. In the end all heals, and every
 * message must have ended as its records say, with nothing left in any count.
 */
#include "queue_house.h"
#include "sim/inside.h"

enum { SEEDS = 60, STEPS = 120, SITES = 6 };
#define TURNS_MAX \
    150000 /* of a life: three times what was seen; a queue that spins needs millions */

/* Memory is short for the queue alone: its loop, and how many in a thousand allocations fail. The
   linker sends all of the engine's allocations through here (meson.build). */
static struct {
    struct sim *sim;
    struct loop *loop;
    uint32_t per_mille, state;
    uint64_t failed;
} shortage;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool is_short(void)
{
    if (shortage.per_mille == 0 || shortage.sim->running != shortage.loop)
        return false;
    shortage.state = shortage.state * 1664525 + 1013904223;
    bool fails = (shortage.state >> 8) % 1000 < shortage.per_mille;
    shortage.failed += fails;
    return fails;
}

void *__wrap_malloc(size_t size)
{
    return is_short() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_short() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_short() ? NULL : __real_realloc(old, size);
}

static void be_short(struct house *h, uint32_t per_mille)
{
    shortage.sim = h->sim;
    shortage.loop = actor_loop(queue_actor(h->queue));
    shortage.per_mille = per_mille;
}

static struct random *dice(struct house *h)
{
    return sim_random(h->sim);
}

static bool chance(struct house *h, uint32_t percent)
{
    return random_chance(dice(h), percent * 10000);
}

static uint32_t below(struct house *h, uint32_t n)
{
    return (uint32_t)random_below(dice(h), n);
}

/* An address says what becomes of it: its first letter how likely. */
static void by_chance(struct house *h, struct span address, struct delivery_result *result)
{
    uint32_t bad = address.data[0] == 'b' ? 50 : 3;
    uint32_t later = address.data[0] == 'l' ? 70 : 10;
    result->remote = SPAN("mx.example");
    result->is_reply = true;
    if (chance(h, bad)) {
        result->end = DELIVERY_FAILED;
        result->text = SPAN("550 5.1.1 no such user");
    } else if (chance(h, later)) {
        result->end = DELIVERY_DEFERRED;
        result->is_reply = chance(h, 70);
        result->in_doubt = !result->is_reply;
        result->fault = FAULT_CONNECTION_LOST;
        result->text = result->is_reply ? SPAN("451 4.3.0 later") : SPAN("");
    }
}

static void accept_one(struct house *h)
{
    enum { RECIPIENTS = 30 };
    static char text[RECIPIENTS][64];
    struct span to[RECIPIENTS];
    char client[32];
    uint32_t count = chance(h, 80) ? 1 : 1 + below(h, RECIPIENTS);
    for (uint32_t i = 0; i < count; i++) {
        char kind = "oobl"[below(h, 4)];
        snprintf(text[i], sizeof text[i], "%c%u@d%u.site%u.test", kind, i, below(h, 3),
                 below(h, SITES));
        if (chance(h, 2))
            snprintf(text[i], sizeof text[i], "x@gone.test");
        if (chance(h, 1))
            snprintf(text[i], sizeof text[i], "postmaster");
        to[i] = span_text(text[i]);
    }
    snprintf(client, sizeof client, "192.0.%u.1", below(h, 5));
    (void)house_accept_many(h, chance(h, 85) ? "a@d0.site0.test" : "", client, to, count);
}

static void operate_one(struct house *h)
{
    static const enum operation kinds[] = {OPERATE_RETRY,  OPERATE_HOLD,  OPERATE_RELEASE,
                                           OPERATE_REMOVE, OPERATE_RETRY, OPERATE_RELEASE};
    struct operate o = {.operation = kinds[below(h, ROWS(kinds))]};
    o.all = chance(h, 10) && o.operation != OPERATE_REMOVE;
    if (h->stored_count > 0)
        o.id = h->stored[below(h, h->stored_count)].id;
    house_operate(h, &o);
    assert_true(o.fault == FAULT_NONE || o.fault == FAULT_NOT_FOUND ||
                o.fault == FAULT_DISK_ERROR || o.fault == FAULT_NO_MEMORY);
    /* What was answered well is durable. */
    struct stored *s = stored_of(h, o.id);
    if (o.fault == FAULT_NONE && !o.all && o.changed > 0 && o.operation == OPERATE_REMOVE)
        assert_true(s->is_done);
    if (o.fault == FAULT_NONE && !o.all && o.changed > 0 && o.operation == OPERATE_HOLD)
        assert_true(s->is_done || s->state.held);
}

static void list_all(struct house *h)
{
    static struct operate_row rows[OPERATE_ROWS_MAX];
    struct arena arena;
    arena_init(&arena, 1024 * 1024);
    struct operate o = {.operation = OPERATE_LIST, .rows = rows, .rows_max = 1000, .arena = &arena};
    house_operate(h, &o);
    assert_int_equal(o.fault, FAULT_NONE);
    assert_int_equal(o.row_count, o.counts.messages);
    uint64_t held = 0, active = 0, waiting = 0;
    for (uint32_t i = 0; i < o.row_count; i++) {
        held += rows[i].held;
        active += rows[i].active;
        waiting += rows[i].recipients_waiting;
        struct operate show = {
            .operation = OPERATE_SHOW, .id = rows[i].id, .rows = &rows[i], .arena = &arena};
        house_operate(h, &show);
    }
    assert_int_equal(held, o.counts.held);
    assert_int_equal(active, o.counts.active);
    assert_int_equal(waiting, o.counts.recipients);
    arena_fini(&arena);
}

static void crash(struct house *h)
{
    h->spool_faults = 0;
    be_short(h, 0);
    house_die(h);
    house_live(h);
    house_recover(h, chance(h, 20));
}

static void step(struct house *h)
{
    switch (below(h, 13)) {
    case 12:
        be_short(h, chance(h, 50) ? below(h, 300) : 0);
        break;
    case 0:
        h->sites[below(h, h->site_count)].is_down = chance(h, 50);
        break;
    case 1:
        h->dns_fault = chance(h, 20) ? FAULT_DNS_TEMPORARY : FAULT_NONE;
        break;
    case 2:
        h->spool_faults = chance(h, 30) ? below(h, 20) : 0;
        break;
    case 3:
        h->notify_faults = chance(h, 50) ? below(h, 5) : 0;
        h->notify_fault = chance(h, 80) ? FAULT_NO_MEMORY : FAULT_LIMIT;
        break;
    case 4:
        h->spool_lies = below(h, 2);
        break;
    case 5:
        if (chance(h, 20))
            machine_wall_jump(h->machine, random_between(dice(h), -10, 10) * 3600 * 1000);
        break;
    case 6:
        if (chance(h, 30))
            crash(h);
        break;
    case 7:
    case 8:
        operate_one(h);
        break;
    case 9:
        be_short(h, 0);
        list_all(h);
        break;
    default:
        for (uint32_t n = below(h, 30); n > 0; n--)
            accept_one(h);
    }
    static const int64_t pauses[] = {10, 1000, 20000, SIM_SECOND, MINUTE, 20 * MINUTE, 5 * HOUR};
    house_run(h, random_between(dice(h), 0, pauses[below(h, ROWS(pauses))]));
}

static void heal(struct house *h)
{
    for (uint32_t i = 0; i < h->site_count; i++)
        h->sites[i].is_down = false;
    h->dns_fault = FAULT_NONE;
    h->spool_faults = h->notify_faults = h->spool_lies = 0;
    h->on_recipient = NULL;
    be_short(h, 0);
    /* What there was no memory for waits for a start. */
    crash(h);
}

/* Held messages are released, those that can never go are removed. */
static void expect_all_end(struct house *h)
{
    house_run(h, 2 * MINUTE);
    for (int i = 0; i < 3 && house_counts(h).messages > 0; i++) {
        struct operate o = {.operation = OPERATE_RELEASE, .all = true};
        house_operate(h, &o);
        assert_int_equal(o.fault, FAULT_NONE);
        house_run(h, HOUR);
        o.operation = OPERATE_RETRY;
        house_operate(h, &o);
        house_run(h, DAY);
    }
    struct queue_counts c = house_counts(h);
    assert_int_equal(c.messages, c.held); /* to "postmaster", or failed without a sender */
    struct operate o = {.operation = OPERATE_REMOVE, .all = true};
    house_operate(h, &o);
    assert_int_equal(o.fault, FAULT_NONE);
    c = house_counts(h);
    assert_int_equal(c.messages, 0);
    assert_int_equal(c.recipients, 0);
    assert_int_equal(c.held, 0);
    assert_int_equal(c.active, 0);
    assert_int_equal(c.deferred, 0);
    for (uint32_t i = 0; i < h->stored_count; i++)
        assert_true(h->stored[i].is_done);
    house_run(h, HOUR);
    assert_int_equal(house_counts(h).channels, 0);
}

static void lives(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct queue_settings settings = house_settings();
        settings.site_connections_max = 4;
        settings.delivery_recipients_max = 5;
        settings.lifetime_ms = 2 * 24 * 3600 * 1000;
        if (seed % 3 == 0)
            settings.fresh_bytes_max = 4096;
        struct house *h = house_of(&settings, seed, seed % 4 == 0 ? 1 : 0);
        char site[64];
        for (int i = 0; i < SITES; i++) {
            snprintf(site, sizeof site, "mx.site%d.test:25", i);
            (void)site_seen(h, span_text(site));
        }
        h->on_recipient = by_chance;
        for (int i = 0; i < STEPS; i++)
            step(h);
        heal(h);
        expect_all_end(h);
        house_stop(h);
        assert_true(sim_turns(h->sim) < TURNS_MAX);
        house_free(h);
    }
    assert_true(shortage.failed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
