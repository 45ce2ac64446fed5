/*
 * plan: see plan.h.
 */
#include "sim/scenario/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define KIB               1024
#define MIB               (1024 * 1024)
#define DISK_BYTES        (256u * MIB)
#define ALIAS_TARGETS_MAX 3
#define OPERATIONS_MAX    600 /* of a life, about: each may be the last one */

static bool one_in(struct random *r, uint64_t n)
{
    return random_below(r, n) == 0;
}

static uint32_t number(struct random *r, int64_t least, int64_t most)
{
    return (uint32_t)random_between(r, least, most);
}

/* Small numbers are more likely: 1 .. most. */
static uint32_t small(struct random *r, uint32_t most)
{
    return 1 + (uint32_t)random_below(r, 1 + random_below(r, most));
}

static int64_t seconds(struct random *r, int64_t least, int64_t most)
{
    return random_between(r, least * SIM_SECOND, most * SIM_SECOND);
}

/* The engine. ------------------------------------------------------------------------------------
 */

static void draw_times(struct settings *s, struct random *r)
{
    s->retry_first_ms = number(r, 1000, 8000);
    s->retry_max_ms = s->retry_first_ms * number(r, 1, 6);
    s->queue_lifetime_ms = number(r, 60, one_in(r, 4) ? 400 : 120) * 1000;
    s->deliver_connect_timeout_ms = number(r, 1000, 8000);
    s->deliver_greeting_timeout_ms = number(r, 2000, 20000);
    s->deliver_ehlo_timeout_ms = number(r, 2000, 20000);
    s->deliver_mail_timeout_ms = number(r, 2000, 20000);
    s->deliver_rcpt_timeout_ms = number(r, 2000, 20000);
    s->deliver_data_timeout_ms = number(r, 2000, 20000);
    s->deliver_block_timeout_ms = number(r, 2000, 20000);
    s->deliver_dot_timeout_ms = number(r, 2000, 30000);
    s->deliver_quit_timeout_ms = number(r, 1000, 5000);
    s->deliver_idle_ms = number(r, 0, 5000);
    struct random own = *r; /* what else is drawn does not depend on it */
    s->delay_notice_ms = one_in(&own, 2) ? number(&own, 5, 60) * 1000 : 0;
    s->dns_timeout_ms = number(r, 1000, 8000);
    s->command_timeout_ms = number(r, 10000, 40000);
    s->data_timeout_ms = number(r, 10000, 40000);
}

static void draw_limits(struct settings *s, struct random *r)
{
    s->workers = number(r, 1, 3);
    s->deliver_connections_max = small(r, 20);
    s->deliver_recipients_max = small(r, 100);
    s->deliver_messages_max = small(r, 100);
    s->fresh_bytes_max = one_in(r, 3) ? 0 : one_in(r, 2) ? 64 * KIB : 64 * MIB;
    if (one_in(r, 10))
        /* Shared out among the workers; the mail of peace, all at once, has room. */
        s->memory_bytes_max = number(r, 1024, 4096) * KIB * s->workers;
    s->reserve_segments = number(r, 2, 4);
    s->disk_threads = number(r, 1, 3);
}

static const struct delivery_target *target_of(struct settings *s, const struct host *host)
{
    struct delivery_target *to = arena_alloc(&s->memory, sizeof *to);
    check(to != NULL);
    to->kind = DELIVERY_SMTP;
    to->hop = (struct next_hop){.host = span_text(host->name), .port = 25};
    return to;
}

/* Those of the town that are the engine's; who lives there is known with the mail. */
static void put_domains(struct settings *s, const struct town *t)
{
    s->domains = arena_alloc(&s->memory, t->domain_count * sizeof s->domains[0]);
    check(s->domains != NULL);
    for (uint32_t i = 0; i < t->domain_count; i++) {
        const struct place *place = &t->domains[i];
        if (place->kind != DOMAIN_OURS)
            continue;
        struct domain_settings *d = arena_alloc(&s->memory, sizeof *d);
        check(d != NULL);
        d->name = place->name;
        d->deliver = target_of(s, &t->hosts[__builtin_ctz(place->hosts)]);
        d->deliver_count = 1;
        d->subaddress = '+';
        s->domains[s->domains_count++] = d;
    }
    check(settings_index_domains(s));
}

static struct settings *draw_settings(const struct town *t, struct random *r)
{
    static const uint32_t segments[] = {256 * KIB, 256 * KIB, 512 * KIB, 1 * MIB, 2 * MIB};
    static const struct address_range clients = {.family = 4, .prefix_bits = 24, .ip = {10, 0, 1}};
    struct settings *s = settings_default("mx.test");
    check(s != NULL);
    s->spool = HOUSE_SPOOL;
    s->relay_from = &clients;
    s->relay_from_count = 1;
    draw_times(s, r);
    draw_limits(s, r);
    s->segment_bytes = segments[random_below(r, sizeof segments / sizeof segments[0])];
    /* A spool that is almost always short of segments: it compacts all the time. */
    if (one_in(r, 6))
        s->spool_bytes_max = s->segment_bytes * number(r, 9, 14);
    if (t->has_next_hop) {
        s->relay_to = target_of(s, &t->hosts[0]);
        s->relay_to_count = 1;
    }
    put_domains(s, t);
    s->log_level = LOG_NOTICE;
    return s;
}

static void draw_house(struct plan *p, const struct town *t, struct random *r)
{
    struct settings *s = draw_settings(t, r);
    p->house = (struct house_plan){
        .settings = s,
        .disk_bytes = DISK_BYTES,
        .max_letters = one_in(r, 5) ? 1 : 0,
        .inline_bytes_max = one_in(r, 4) ? 64 * KIB : number(r, 2, 16) * KIB,
        .appends_max = one_in(r, 2) ? number(r, 1, 2) : 0,
    };
    p->lifetime_us = s->queue_lifetime_ms * INT64_C(1000);
    p->retry_us = s->retry_max_ms * INT64_C(1000);
}

/* The mail. --------------------------------------------------------------------------------------
 */

static size_t draw_bytes(struct random *r)
{
    uint64_t kind = random_below(r, 10);
    if (kind < 5)
        return (size_t)random_below(r, 2 * KIB);
    if (kind < 8)
        return (size_t)random_below(r, 20 * KIB);
    return (size_t)random_below(r, 60 * KIB);
}

static void make_addressee(const struct town *t, struct parcel *p, uint32_t index, uint32_t domain)
{
    struct addressee *a = &p->addressees[index];
    a->domain = domain;
    a->said = index;
    a->is_ours = t->domains[domain].kind == DOMAIN_OURS;
    (void)snprintf(a->address, sizeof a->address, "r%ux%u@%s", p->number, index,
                   t->domains[domain].name);
}

/* Of our domains: some are nobody, some are aliases for up to so many others. Of a random source of
   their own: what else happens in a seed does not change. */
static void draw_residents(const struct town *t, struct parcel *p, struct random r)
{
    for (uint32_t i = 0; i < p->said_count; i++) {
        struct addressee *a = &p->addressees[i];
        if (!a->is_ours)
            continue;
        a->is_unknown = one_in(&r, 5);
        a->is_alias = !a->is_unknown && one_in(&r, 2);
        uint32_t count = a->is_alias ? small(&r, ALIAS_TARGETS_MAX) : 0;
        a->is_list = count > 1;
        for (; count > 0; count--) {
            uint32_t index = p->addressee_count++;
            make_addressee(t, p, index, (uint32_t)random_below(&r, t->domain_count));
            p->addressees[index].said = i;
        }
    }
}

static void make_parcel(const struct town *t, struct ledger *l, uint32_t n, struct random *r)
{
    struct parcel *p = &l->parcels[n];
    uint32_t count = one_in(r, 25) ? number(r, 6, 50) : small(r, 5);
    p->home = (uint32_t)random_below(r, TOWN_HOMES);
    if (!one_in(r, 10))
        (void)snprintf(p->sender, sizeof p->sender, "s%u@%s", n, t->domains[p->home].name);
    p->is_8bit = one_in(r, 5);
    parcel_make(l, n, count * (1 + ALIAS_TARGETS_MAX), draw_bytes(r), r);
    p->said_count = p->addressee_count = count;
    /* Of some that go by BDAT the last line is open. */
    uint32_t domain = (uint32_t)random_below(r, t->domain_count);
    for (uint32_t i = 0; i < count; i++) {
        if (!one_in(r, 3))
            domain = (uint32_t)random_below(r, t->domain_count);
        make_addressee(t, p, i, domain);
    }
    draw_residents(t, p, *r);
}

/* What it wants to be told. A client that says HELO cannot say it. */
static void draw_wishes(struct parcel *p, struct random *r)
{
    static const unsigned sets[] = {
        WISH_NEVER,   WISH_FAILURE, WISH_DELAY,
        WISH_SUCCESS, WISH_SUCCESS, WISH_SUCCESS | WISH_FAILURE | WISH_DELAY,
    };
    p->ret = one_in(r, 4) ? "FULL" : one_in(r, 4) ? "HDRS" : NULL;
    p->has_envid = one_in(r, 2);
    for (uint32_t i = 0; i < p->said_count; i++) {
        struct addressee *a = &p->addressees[i];
        a->wishes = one_in(r, 3) ? 0 : sets[random_below(r, sizeof sets / sizeof sets[0])];
        a->has_orcpt = one_in(r, 2);
    }
    for (uint32_t i = p->said_count; i < p->addressee_count; i++) {
        struct addressee *a = &p->addressees[i];
        const struct addressee *said = &p->addressees[a->said];
        a->has_orcpt = said->has_orcpt;
        a->wishes = said->wishes;
        /* Of a list its expansion is the success (RFC 3461 5.2.7.3). */
        if (said->is_list && (a->wishes & WISH_SUCCESS) != 0)
            a->wishes =
                a->wishes == WISH_SUCCESS ? WISH_NEVER : a->wishes & ~(unsigned)WISH_SUCCESS;
    }
}

/* One to each domain that takes mail. */
static void make_last(const struct plan *plan, const struct town *t, struct ledger *l,
                      struct random *r)
{
    for (uint32_t n = plan->last_first; n < plan->parcel_count; n++) {
        struct parcel *p = &l->parcels[n];
        uint32_t domain = n - plan->last_first;
        p->home = 0;
        (void)snprintf(p->sender, sizeof p->sender, "s%u@%s", n, t->domains[0].name);
        parcel_make(l, n, 1, draw_bytes(r), r);
        p->said_count = 1;
        make_addressee(t, p, 0, domain);
    }
}

static struct table *make_table(enum table_kind kind, const struct buffer *text)
{
    struct config_file file = {.text = buffer_span(text)};
    struct buffer errors;
    struct table *table = NULL;
    buffer_init(&errors, 4096);
    enum fault fault = table_load(kind, &file, "residents", &errors, &table);
    check(fault == FAULT_NONE);
    buffer_fini(&errors);
    return table;
}

/* Plainly, by way of another alias, or by one that is named twice. */
static void put_alias(struct buffer *aliases, const struct parcel *p, uint32_t said)
{
    const char *before = " ";
    (void)buffer_printf(aliases, "r%ux%u:", p->number, said);
    if (p->number % 3 == 1)
        (void)buffer_printf(aliases, " l%ux%u\nl%ux%u:", p->number, said, p->number, said);
    if (p->number % 3 == 2)
        (void)buffer_printf(aliases, " l%ux%u, L%ux%u\nl%ux%u:", p->number, said, p->number, said,
                            p->number, said);
    for (uint32_t i = p->said_count; i < p->addressee_count; i++) {
        if (p->addressees[i].said != said)
            continue;
        (void)buffer_printf(aliases, "%s%s", before, p->addressees[i].address);
        before = ", ";
    }
    (void)buffer_put_text(aliases, "\n");
}

/* The users and aliases of a domain, from all the mail that will be for it. */
static void put_residents(const struct ledger *l, uint32_t domain, struct buffer *users,
                          struct buffer *aliases)
{
    for (uint32_t n = 0; n < l->parcel_count; n++) {
        const struct parcel *p = &l->parcels[n];
        for (uint32_t i = 0; i < p->addressee_count; i++) {
            const struct addressee *a = &p->addressees[i];
            if (a->domain != domain || a->is_unknown)
                continue;
            if (a->is_alias)
                put_alias(aliases, p, i);
            else
                (void)buffer_printf(users, "r%ux%u\n", p->number, i);
        }
    }
}

static void set_residents(struct settings *s, const struct place *place, struct table *users,
                          struct table *aliases)
{
    for (uint32_t i = 0; i < s->domains_count; i++) {
        if (s->domains[i]->name != place->name)
            continue;
        s->domains[i]->users = table_retain(users);
        s->domains[i]->aliases = table_retain(aliases);
    }
}

static void make_residents(const struct plan *p, const struct town *t, const struct ledger *l)
{
    for (uint32_t domain = 0; domain < t->domain_count; domain++) {
        struct buffer users, aliases;
        if (t->domains[domain].kind != DOMAIN_OURS)
            continue;
        buffer_init(&users, MIB);
        buffer_init(&aliases, MIB);
        put_residents(l, domain, &users, &aliases);
        struct table *known = make_table(TABLE_USERS, &users);
        struct table *lists = make_table(TABLE_ALIASES, &aliases);
        set_residents(p->house.settings, &t->domains[domain], known, lists);
        for (uint32_t i = 0; i < p->house.reload_count; i++)
            set_residents(p->house.reloads[i], &t->domains[domain], known, lists);
        table_release(known);
        table_release(lists);
        buffer_fini(&users);
        buffer_fini(&aliases);
    }
}

void plan_parcels(const struct plan *p, const struct town *t, struct ledger *l, struct random *r)
{
    for (uint32_t n = 0; n < p->last_first; n++)
        make_parcel(t, l, n, r);
    make_last(p, t, l, r);
    make_residents(p, t, l);
    struct random wishes = *r; /* what else happens in a seed does not depend on them */
    for (uint32_t i = 0; i < p->session_count; i++) {
        const struct session_plan *s = &p->sessions[i];
        for (uint32_t j = 0; j < s->count; j++) {
            struct parcel *parcel = &l->parcels[s->parcels[j]];
            parcel->is_stranger = s->client == p->client_count - 1;
            if (!s->style.says_helo && one_in(&wishes, 3))
                draw_wishes(parcel, &wishes);
            if (s->style.by_bdat && parcel->number % 3 == 0)
                parcel->content.len -= 2;
        }
    }
}

static struct sender_style draw_style(struct random *r)
{
    struct sender_style s = {
        .is_pipelined = one_in(r, 2),
        .by_bdat = one_in(r, 3),
        .says_helo = one_in(r, 8),
        .chunk_bytes = one_in(r, 2) ? 1 + (size_t)random_below(r, 4 * KIB) : 64 * KIB,
        .aborts = one_in(r, 8) ? number(r, 1, 2) : 0,
        .leaves_politely = !one_in(r, 4),
        .vanishes_at_dot = one_in(r, 6),
    };
    if (s.chunk_bytes < 500)
        s.chunk_bytes = 500;
    if (one_in(r, 6)) {
        s.habits.piece_bytes_max = number(r, 100, 3000);
        s.habits.pause_us = random_between(r, 0, SIM_SECOND / 5);
    }
    if (one_in(r, 5)) {
        s.habits.vanish_at = one_in(r, 2) ? small(r, 2 * KIB) : small(r, 60 * KIB);
        s.habits.vanish = (enum vanish)random_below(r, VANISH_KINDS);
    }
    if (s.says_helo)
        s.is_pipelined = s.by_bdat = false;
    return s;
}

static struct action *add(struct plan *p, int64_t at_us, enum action_kind kind, uint32_t a,
                          int64_t b)
{
    check(p->action_count < PLAN_ACTIONS_MAX);
    struct action *action = &p->actions[p->action_count++];
    *action = (struct action){at_us, kind, a, b};
    return action;
}

static void draw_sessions(struct plan *p, struct random *r)
{
    for (uint32_t n = 0; n < p->last_first;) {
        struct session_plan *s = &p->sessions[p->session_count];
        uint32_t most = p->last_first - n;
        s->count = small(r, SENDER_MESSAGES_MAX);
        s->count = s->count < most ? s->count : most;
        for (uint32_t i = 0; i < s->count; i++)
            s->parcels[i] = n++;
        s->style = draw_style(r);
        s->client =
            one_in(r, 12) ? p->client_count - 1 : (uint32_t)random_below(r, p->client_count - 1);
        add(p, random_between(r, SIM_SECOND, p->war_us), ACTION_SESSION, p->session_count++, 0);
    }
}

/* What goes wrong. -------------------------------------------------------------------------------
 */

static struct troubles draw_troubles(struct random *r)
{
    struct troubles t = {0};
    if (one_in(r, 30))
        return t;
    t.network = one_in(r, 3);
    t.dns = one_in(r, 3);
    t.sinks = !one_in(r, 3);
    t.disk = one_in(r, 4);
    t.disk_full = one_in(r, 6);
    t.crashes = !one_in(r, 4);
    t.stops = one_in(r, 4);
    t.clock = one_in(r, 8);
    t.partitions = one_in(r, 5);
    return t;
}

/* A stretch of time within the war. */
static void stretch(const struct plan *p, struct random *r, int64_t *from_us, int64_t *to_us)
{
    *from_us = random_between(r, SIM_SECOND, p->war_us);
    *to_us = *from_us + random_between(r, 0, p->war_us - *from_us);
}

static void draw_stretches(struct plan *p, const struct town *t, struct random *r)
{
    int64_t from_us, to_us;
    if (p->troubles.network) {
        stretch(p, r, &from_us, &to_us);
        add(p, from_us, ACTION_NETWORK, 1, 0);
        add(p, to_us, ACTION_NETWORK, 0, 0);
    }
    if (p->troubles.dns) {
        stretch(p, r, &from_us, &to_us);
        add(p, from_us, ACTION_DNS, 1, 0);
        add(p, to_us, ACTION_DNS, 0, 0);
    }
    for (uint32_t n = p->troubles.disk ? small(r, 3) : 0; n > 0; n--) {
        stretch(p, r, &from_us, &to_us);
        add(p, from_us, ACTION_DISK, 1, 0);
        add(p, to_us, ACTION_DISK, 0, 0);
    }
    if (p->troubles.disk_full) {
        int64_t least = (int64_t)p->house.settings->segment_bytes;
        stretch(p, r, &from_us, &to_us);
        add(p, from_us, ACTION_DISK_FULL, 0, random_between(r, least, 20 * least));
        add(p, to_us, ACTION_DISK_FULL, 0, DISK_BYTES);
    }
    for (uint32_t n = p->troubles.partitions ? small(r, 3) : 0; n > 0; n--) {
        uint32_t host = (uint32_t)random_below(r, t->host_count);
        stretch(p, r, &from_us, &to_us);
        add(p, from_us, ACTION_PARTITION, host, 1);
        add(p, to_us, ACTION_PARTITION, host, 0);
    }
}

static void draw_sinks(struct plan *p, const struct town *t, struct random *r)
{
    if (!p->troubles.sinks)
        return;
    for (uint32_t host = 0; host < t->host_count; host++) {
        for (uint32_t n = (uint32_t)random_below(r, 4); n > 0; n--) {
            int64_t mode = random_between(r, SINK_WELL, SINK_MODES - 1);
            int64_t chance = random_between(r, 10000, one_in(r, 4) ? 800000 : 200000);
            int64_t at_us = one_in(r, 2) ? SIM_SECOND / 2 : random_between(r, 0, p->war_us);
            add(p, at_us, ACTION_SINK, host, mode * 1000000 + chance);
        }
    }
}

/* Half of the deaths come early in a life: its start and recovery are few operations. */
static void draw_ends(struct plan *p, struct random *r)
{
    for (uint32_t n = p->troubles.crashes ? small(r, 4) : 0; n > 0; n--) {
        enum sim_death how = one_in(r, 2) ? SIM_KILLED : SIM_POWER_CUT;
        int64_t at_us = one_in(r, 4) ? 0 : random_between(r, 0, p->war_us);
        int64_t most = one_in(r, 2) ? 30 : OPERATIONS_MAX;
        if (one_in(r, 4))
            add(p, at_us, ACTION_KILL, how, 0);
        else
            add(p, at_us, ACTION_KILL_AT, how, random_between(r, 1, most));
        if (one_in(r, 2)) /* and while it comes up again */
            add(p, at_us + 1, ACTION_KILL_AT, how, random_between(r, 1, most));
    }
    if (p->troubles.stops)
        add(p, random_between(r, 0, p->war_us), ACTION_STOP, 0, 0);
    for (uint32_t n = p->troubles.clock ? small(r, 3) : 0; n > 0; n--) {
        int64_t most = one_in(r, 2) ? 60000 : INT64_C(100) * 86400 * 1000;
        add(p, random_between(r, 0, p->war_us), ACTION_CLOCK, 0, random_between(r, -most, most));
    }
}

/* Other settings, of the same promises and the same disk. Of a random source of their own: what
   else happens in a seed does not change. */
static void draw_reloads(struct plan *p, const struct town *t, struct random r)
{
    const struct settings *first = p->house.settings;
    for (uint32_t n = one_in(&r, 3) ? small(&r, HOUSE_RELOADS_MAX) : 0; n > 0; n--) {
        struct settings *s = draw_settings(t, &r);
        s->retry_first_ms = first->retry_first_ms;
        s->retry_max_ms = first->retry_max_ms;
        s->queue_lifetime_ms = first->queue_lifetime_ms;
        s->segment_bytes = first->segment_bytes;
        s->spool_bytes_max = first->spool_bytes_max;
        s->reserve_segments = first->reserve_segments;
        add(p, random_between(&r, 0, p->war_us), ACTION_RELOAD, p->house.reload_count, 0);
        p->house.reloads[p->house.reload_count++] = s;
    }
}

static int compare(const void *a, const void *b)
{
    const struct action *x = a, *y = b;
    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return x->b < y->b ? -1 : x->b > y->b;
}

void plan_draw(struct plan *p, struct town *t, struct random *r)
{
    memset(p, 0, sizeof *p);
    p->troubles = draw_troubles(r);
    draw_house(p, t, r);
    p->war_us = seconds(r, 5, one_in(r, 4) ? 200 : 50);
    p->client_count = 2 + (uint32_t)random_below(r, PLAN_CLIENTS_MAX - 1);
    p->last_first = one_in(r, 10) ? number(r, 40, 150) : number(r, 3, 40);
    p->parcel_count = p->last_first + t->domain_count;
    t->last_first = p->last_first;
    p->rough = sim_options_rough(r);
    draw_sessions(p, r);
    draw_stretches(p, t, r);
    draw_sinks(p, t, r);
    draw_ends(p, r);
    draw_reloads(p, t, *r);
    add(p, p->war_us, ACTION_PEACE, 0, 0);
    qsort(p->actions, p->action_count, sizeof *p->actions, compare);
}

const char *action_name(enum action_kind kind)
{
    static const char *const names[] = {
#define ACTION(name, text) [ACTION_##name] = text,
        ACTIONS(ACTION)
#undef ACTION
    };
    return names[kind];
}
