/*
 * scenario: see scenario.h.
 */
#include "sim/scenario/scenario.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/lookup.h"
#include "sim/scenario/checker.h"
#include "sim/scenario/desk.h"
#include "sim/scenario/plan.h"

#define STEP_US      (SIM_SECOND / 2)   /* between two looks at everything */
#define ASK_US       (4 * SIM_SECOND)   /* between two questions of the operator */
#define LAST_US_MAX  (200 * SIM_SECOND) /* for the last messages */
#define SLACK_US     (200 * SIM_SECOND) /* until all is quiet, beyond lifetime and retries */
#define TURNS_MAX    (20 * 1000 * 1000)
#define SEED_OF_PLAN UINT64_C(0x9E3779B97F4A7C15)

struct scenario {
    struct sim *sim;
    struct ledger *ledger;
    struct random random; /* of the plan and what follows from it */
    struct town town;
    struct plan plan;
    struct house house;
    struct sender *senders[PLAN_CLIENTS_MAX];
    struct sink *sinks[TOWN_HOSTS_MAX];
    struct desk *desk;
    uint32_t action;
    int64_t asked_us;
    bool is_peace, disk_fails, disk_is_small;
};

/* Beginning and end. -----------------------------------------------------------------------------
 */

static struct machine *machine_of(struct scenario *s, const char *name, uint8_t net, uint8_t host)
{
    struct endpoint at = {.family = 4, .ip = {10, 0, net, host}};
    return machine_new(s->sim, name, at);
}

static void open_town(struct scenario *s)
{
    static const char *const names[PLAN_CLIENTS_MAX] = {"client0", "client1", "client2", "client3"};
    for (uint32_t i = 0; i < s->plan.client_count; i++) {
        bool is_stranger = i == s->plan.client_count - 1;
        struct machine *m = machine_of(s, names[i], is_stranger ? 3 : 1, (uint8_t)(i + 1));
        s->senders[i] = sender_new(m, s->ledger, s->house.smtp);
    }
    for (uint32_t i = 0; i < s->town.host_count; i++)
        s->sinks[i] = sink_new(&s->town, i, s->ledger, &s->random);
    s->desk = desk_new(machine_of(s, "desk", 1, 100), s->house.control);
}

static void scenario_init(struct scenario *s, uint64_t seed, bool is_traced)
{
    struct sim_options calm = sim_options_calm();
    memset(s, 0, sizeof *s);
    random_init(&s->random, seed ^ SEED_OF_PLAN);
    s->sim = sim_new(seed, &calm);
    town_draw(&s->town, s->sim, seed, &s->random);
    plan_draw(&s->plan, &s->town, &s->random);
    s->ledger = ledger_new(s->sim, seed, s->plan.parcel_count);
    s->ledger->is_traced = is_traced;
    plan_parcels(&s->plan, &s->town, s->ledger, &s->random);
    house_init(&s->house, s->ledger, &s->plan.house, &s->random);
    open_town(s);
}

static void scenario_fini(struct scenario *s)
{
    house_kill(&s->house, SIM_KILLED);
    house_fini(&s->house);
    for (uint32_t i = 0; i < s->plan.client_count; i++)
        sender_free(s->senders[i]);
    for (uint32_t i = 0; i < s->town.host_count; i++)
        sink_free(s->sinks[i]);
    desk_free(s->desk);
    ledger_free(s->ledger);
    sim_free(s->sim);
}

/* What happens. ----------------------------------------------------------------------------------
 */

static void set_network(struct scenario *s, bool is_rough)
{
    struct sim_options *o = sim_options(s->sim), to = sim_options_calm();
    if (is_rough)
        to = s->plan.rough;
    to.write_error = o->write_error;
    to.read_error = o->read_error;
    to.sync_error = o->sync_error;
    to.open_error = o->open_error;
    *o = to;
}

static void set_disk(struct scenario *s, bool fails)
{
    struct sim_options *o = sim_options(s->sim);
    const struct sim_options *rough = &s->plan.rough;
    o->write_error = fails ? rough->write_error * 4 : 0;
    o->read_error = fails ? rough->read_error * 4 : 0;
    o->sync_error = fails ? rough->sync_error * 4 : 0;
    o->open_error = fails ? rough->open_error * 4 : 0;
    s->disk_fails = fails;
    ledger_disk_trouble(s->ledger, s->disk_fails || s->disk_is_small);
}

static void set_dns(struct scenario *s, bool is_rough)
{
    static const struct sim_dns_options calm = {
        .ttl_s = 60, .negative_ttl_s = 10, .delay_us_max = 2000};
    *sim_dns_options(s->sim) = calm;
    if (is_rough)
        sim_dns_rough(s->sim);
}

static void resize_disk(struct scenario *s, uint64_t bytes)
{
    machine_disk_resize(s->house.machine, HOUSE_SPOOL, bytes);
    s->disk_is_small = bytes < s->plan.house.disk_bytes;
    ledger_disk_trouble(s->ledger, s->disk_fails || s->disk_is_small);
}

static void make_peace(struct scenario *s)
{
    s->is_peace = true;
    set_disk(s, false);
    set_network(s, false);
    set_dns(s, false);
    resize_disk(s, s->plan.house.disk_bytes);
    for (uint32_t i = 0; i < s->town.host_count; i++) {
        sink_enter(s->sinks[i], SINK_WELL, 0);
        machine_partition(s->house.machine, s->town.hosts[i].machine, false);
    }
    for (uint32_t i = 0; i < s->plan.client_count; i++)
        sender_calm(s->senders[i]);
    house_kill_at(&s->house, 0, SIM_KILLED);
}

static void act(struct scenario *s, const struct action *a)
{
    const struct session_plan *session;
    struct sink *sink;
    ledger_trace(s->ledger, "-- %s %u %lld", action_name(a->kind), a->a, (long long)a->b);
    switch (a->kind) {
    case ACTION_SESSION:
        session = &s->plan.sessions[a->a];
        sender_plan(s->senders[session->client], 0, &session->style, session->parcels,
                    session->count);
        break;
    case ACTION_NETWORK:
        set_network(s, a->a != 0);
        break;
    case ACTION_DNS:
        set_dns(s, a->a != 0);
        break;
    case ACTION_DISK:
        set_disk(s, a->a != 0);
        break;
    case ACTION_DISK_FULL:
        resize_disk(s, (uint64_t)a->b);
        break;
    case ACTION_SINK:
        sink = s->sinks[a->a];
        sink_enter(sink, (enum sink_mode)(a->b / 1000000), (uint32_t)(a->b % 1000000));
        break;
    case ACTION_PARTITION:
        machine_partition(s->house.machine, s->town.hosts[a->a].machine, a->b != 0);
        break;
    case ACTION_KILL:
        house_kill(&s->house, (enum sim_death)a->a);
        break;
    case ACTION_KILL_AT:
        house_kill_at(&s->house, (uint64_t)a->b, (enum sim_death)a->a);
        break;
    case ACTION_STOP:
        house_stop(&s->house, false);
        break;
    case ACTION_RELOAD:
        house_reload(&s->house, a->a);
        break;
    case ACTION_CLOCK:
        machine_wall_jump(s->house.machine, a->b);
        break;
    case ACTION_PEACE:
        make_peace(s);
        break;
    }
}

/* Time. ------------------------------------------------------------------------------------------
 */

/* Goes on until the next thing is to be done, a short while at most. False: a promise is broken. */
static bool step(struct scenario *s)
{
    const struct plan *p = &s->plan;
    int64_t now_us = sim_now_us(s->sim), until_us = now_us + STEP_US;
    int64_t house_us = house_next_us(&s->house);
    if (s->action < p->action_count && p->actions[s->action].at_us < until_us)
        until_us = p->actions[s->action].at_us;
    if (house_us < until_us)
        until_us = house_us;
    (void)sim_run_until(s->sim, until_us < now_us ? now_us : until_us);
    now_us = sim_now_us(s->sim);
    house_tend(&s->house);
    while (s->action < p->action_count && p->actions[s->action].at_us <= now_us)
        act(s, &p->actions[s->action++]);
    if (sim_turns(s->sim) > TURNS_MAX)
        ledger_break(s->ledger, "it goes round in circles: %llu turns in %lld s",
                     (unsigned long long)sim_turns(s->sim), (long long)(now_us / SIM_SECOND));
    return !s->ledger->is_broken;
}

static bool are_senders_idle(const struct scenario *s)
{
    for (uint32_t i = 0; i < s->plan.client_count; i++)
        if (!sender_is_idle(s->senders[i]))
            return false;
    return true;
}

/* Asks and waits; false: no answer this time. */
static bool ask(struct scenario *s, const char *question)
{
    desk_ask(s->desk, question);
    s->asked_us = sim_now_us(s->sim);
    while (desk_is_busy(s->desk) && step(s))
        ;
    return desk_is_answered(s->desk) && !s->ledger->is_broken;
}

static uint64_t number_of(struct span answer, const char *name)
{
    uint64_t value = UINT64_MAX;
    (void)desk_number(answer, name, &value);
    return value;
}

/* Nothing is left to do but what is held, and nothing is open. */
static bool is_quiet(struct scenario *s)
{
    if (!house_is_up(&s->house) || !are_senders_idle(s) || !ask(s, "status"))
        return false;
    struct span a = desk_answer(s->desk);
    if (span_find(a, SPAN("\"recovered\":true"), 0) == a.len)
        return false; /* it does not know yet what it has */
    return number_of(a, "messages") == number_of(a, "held") && number_of(a, "active") == 0 &&
           number_of(a, "sessions_open") == 0 && number_of(a, "connections_open") == 0;
}

/* False: a promise is broken, that it becomes quiet in time among them. */
static bool wait_for_quiet(struct scenario *s, int64_t until_us, const char *what)
{
    while (!is_quiet(s)) {
        if (s->ledger->is_broken)
            return false;
        int64_t again_us = s->asked_us + ASK_US;
        do {
            if (!step(s))
                return false;
        } while (sim_now_us(s->sim) < again_us);
        if (sim_now_us(s->sim) > until_us) {
            (void)ask(s, "queue\tcount");
            ledger_break(s->ledger, "%s: not quiet in time; clients are %s; queue %.*s", what,
                         are_senders_idle(s) ? "done" : "not done",
                         SPAN_PRINT(span_sub(desk_answer(s->desk), 0, 300)));
            return false;
        }
    }
    return true;
}

/* A message to everybody who can take one: nothing that was used up has been lost. */
static void send_last(struct scenario *s)
{
    struct sender_style plain = {.leaves_politely = true};
    for (uint32_t n = s->plan.last_first; n < s->plan.parcel_count; n++)
        if (s->town.domains[n - s->plan.last_first].kind <= DOMAIN_OURS)
            sender_plan(s->senders[0], 0, &plain, &n, 1);
}

static void check_last(struct scenario *s)
{
    for (uint32_t n = s->plan.last_first; n < s->plan.parcel_count; n++) {
        const struct parcel *p = &s->ledger->parcels[n];
        bool is_sent = s->town.domains[n - s->plan.last_first].kind <= DOMAIN_OURS;
        if (is_sent && p->content_code != 250)
            ledger_break(s->ledger, "a message in peace was answered %d", p->content_code);
        else if (is_sent && p->addressees[0].takes == NULL)
            ledger_break(s->ledger, "%s, in peace, was not delivered", p->addressees[0].address);
    }
}

/* The files, when the engine has ended. ----------------------------------------------------------
 */

struct files {
    struct ledger *ledger;
    struct disk *disk;
    uint64_t segments, segment_bytes, contents;
};

static void on_file(void *context, const char *name)
{
    struct files *f = context;
    struct span text = span_text(name);
    if (span_ends_with_nocase(text, SPAN(".seg")))
        f->segments++;
    else if (span_ends_with_nocase(text, SPAN(".msg")))
        f->contents++;
    else if (!span_ends_with_nocase(text, SPAN(".idx")) && !span_equal(text, SPAN("lock")))
        ledger_break(f->ledger, "a file is left over in the spool: %s", name);
}

static void check_files(struct scenario *s, uint64_t held)
{
    struct files f = {.ledger = s->ledger};
    uint64_t segment = s->plan.house.settings->segment_bytes;
    struct world *w = life_begin(s->house.machine);
    enum fault fault = disk_new(w, HOUSE_SPOOL, &f.disk);
    check(fault == FAULT_NONE);
    fault = disk_list(f.disk, on_file, &f);
    check(fault == FAULT_NONE);
    disk_free(f.disk);
    life_end(w);
    uint64_t live = held * 64 * 1024;
    if (f.contents > held)
        ledger_break(s->ledger, "%llu content files are left over for %llu held messages",
                     (unsigned long long)f.contents, (unsigned long long)held);
    if (f.segments * segment > 2 * live + 8 * segment)
        ledger_break(s->ledger, "%llu segments are left over", (unsigned long long)f.segments);
}

/* The whole. -------------------------------------------------------------------------------------
 */

static bool wait_for_end(struct scenario *s)
{
    house_stop(&s->house, true);
    while (s->house.life != NULL)
        if (!step(s))
            return false;
    return true;
}

static void run(struct scenario *s)
{
    int64_t quiet_us = s->plan.war_us + s->plan.lifetime_us * 2 + 3 * s->plan.retry_us + SLACK_US;
    while (!s->is_peace)
        if (!step(s))
            return;
    if (!wait_for_quiet(s, quiet_us, "after the war"))
        return;
    send_last(s);
    if (!wait_for_quiet(s, sim_now_us(s->sim) + LAST_US_MAX, "the last messages"))
        return;
    check_last(s);
    /* What was ended must stay ended. */
    if (!wait_for_end(s))
        return;
    house_rise(&s->house);
    if (!wait_for_quiet(s, sim_now_us(s->sim) + LAST_US_MAX, "after another start") ||
        !ask(s, "queue\tlist"))
        return;
    struct span listing = desk_answer(s->desk);
    struct checker c = {.ledger = s->ledger,
                        .town = &s->town,
                        .listing = listing,
                        .lifetime_us = s->plan.lifetime_us,
                        .clock_jumped = s->plan.troubles.clock};
    checker_run(&c);
    uint64_t held = 0;
    for (size_t i = 0; i < listing.len; i++)
        held += listing.data[i] == '\n';
    if (wait_for_end(s))
        check_files(s, held);
}

struct verdict scenario_run(uint64_t seed, bool is_traced)
{
    struct scenario *s = malloc(sizeof *s);
    struct verdict v = {0};
    check(s != NULL);
    scenario_init(s, seed, is_traced);
    run(s);
    v.is_broken = s->ledger->is_broken;
    memcpy(v.sentence, s->ledger->sentence, sizeof v.sentence);
    v.hash = sim_hash(s->sim);
    v.turns = sim_turns(s->sim);
    v.lives = s->ledger->life_count;
    v.virtual_us = sim_now_us(s->sim);
    scenario_fini(s);
    free(s);
    return v;
}
