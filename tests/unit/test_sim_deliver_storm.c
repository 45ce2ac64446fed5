/*
 * Deliveries, simulated: channels, servers, spool and disk all misbehave at random, hosts come and
 * go, and the process may die at any moment.
 *
 * After each seed, besides what deliver_house watches: every letter has come back once; what
 * servers have taken is told as delivered or in doubt; nothing is left, or everything could be
 * freed at the moment of death. Some seeds are run twice and must come out the same.
 */
#include "deliver_house.h"

enum { SEEDS = 300, CHANNELS = 5, STEPS = 60 };

static struct {
    uint64_t seed; /* the present one, for a debugger */
    uint64_t delivered, doubts, killed, closed, reused, fetched, in_files;
} totals;

/* Nothing is answered twice: then nobody could say any more what is an answer to what, and a server
   that means one recipient and names another cannot be seen through. */
static const char *const anywhere[] = {
    "421 away\r\n!",
    "421 away\r\n",
    "450 later\r\n",
    "550 5.7.1 no\r\n",
    "!",
    "#",
    "~",
    "nonsense\r\n",
    "999 what\r\n",
    "354 what\r\n",
    "250 ok\r\n",
    "2",
    "250-ok\r\n250 ok\r\n",
    "250 ok\r\n!",
    "550\r\n",
    "450 later\r\n#",
    "\r\n",
    "250-ok\r\n~",
};
/* A yes before the whole was read is a lie that nobody can see through (does_not_believe…). */
static const char *const mid_data[] = {"!",
                                       "#",
                                       "~",
                                       "552 too big\r\n",
                                       "552 too big\r\n!",
                                       "421 away\r\n!",
                                       "450 later\r\n",
                                       "bla\r\n",
                                       "354 more\r\n"};
static const char *const at_data[] = {"354 go on\r\n552 too big\r\n", "354 go on\r\n!",
                                      "354 go on\r\n~", "354 go on\r\n", "354 go on\r\n#"};

static const char *draw_text(enum moment when)
{
    if (when == AT_CONTENT)
        return mid_data[below(ROWS(mid_data))];
    if (when == AT_DATA && chance(400000))
        return at_data[below(ROWS(at_data))];
    return anywhere[below(ROWS(anywhere))];
}

static void draw_manner(struct host *h)
{
    struct manner *m = &h->manner;
    uint32_t bad = chance(300000) ? 0 : 150000;
    *m = (struct manner){.mid_data = below(60000),
                         .has_no_pipelining = chance(400000),
                         .offers_chunks = chance(400000)};
    for (int when = 0; when < MOMENTS; when++) {
        if (!chance(bad))
            continue;
        uint32_t times = chance(600000) ? h->done[when] + 1 + (uint32_t)below(3) : 0;
        m->at[when] = (struct misdeed){draw_text((enum moment)when), times};
    }
    m->is_slow = chance(200000);
    if (!m->is_slow && chance(200000))
        m->closes_idle_ms = 1 + (int64_t)below(30000);
}

static const char *draw_recipients(void)
{
    static const char *const fates[] = {"a@b",    "550b@b", "450c@b", "d@b",
                                        "552e@b", "f@b",    "354g@b"};
    static char text[256];
    size_t at = 0;
    for (size_t i = 1 + below(5); i > 0; i--)
        at += (size_t)sprintf(text + at, "%s%s", at == 0 ? "" : " ", fates[below(ROWS(fates))]);
    return text;
}

static struct message *draw_message(void)
{
    if (house.message_count > 0 && chance(100000))
        return &house.messages[below(house.message_count)];
    bool is_narrow = sim_options(house.sim)->window_bytes_max < 2000;
    size_t most = is_narrow || chance(700000) ? 2000 : chance(500000) ? 90000 : 250000;
    return a_message(draw_recipients(), below(most));
}

/* Of two channels with the same message, neither could tell whose record was asked for. */
static bool is_under_way(const struct message *m)
{
    for (uint32_t i = 0; i < house.channel_count; i++)
        if (house.channels[i].is_lent && house.channels[i].message == m)
            return true;
    return false;
}

static struct route *draw_route(void)
{
    int numbers[2 * HOSTS];
    size_t count = 0, first = below(HOSTS);
    for (size_t i = 1 + below(3); i > 0; i--) {
        numbers[count++] = (int)((first + i) % HOSTS);
        numbers[count++] = (int)below(2) * 10;
    }
    return a_route_by(ROUTE_SMTP, ROUTE_TLS_MAY, numbers, count);
}

static void draw_settings(void)
{
    static const enum fault faults[] = {FAULT_DISK_ERROR, FAULT_DAMAGED, FAULT_NOT_FOUND,
                                        FAULT_NO_MEMORY, FAULT_LIMIT};
    house.settings.messages_max = 1 + (uint32_t)below(8);
    house.settings.attempts_max = 1 + (uint32_t)below(4);
    house.settings.idle_ms = 1 + (int64_t)below(20000);
    house.slow = chance(500000) ? 300000 : 950000;
    house.append_fault = faults[below(ROWS(faults))];
    house.fetch_fault = faults[below(ROWS(faults))];
    house.job_fault = faults[below(ROWS(faults))];
    house.append_faults = chance(300000) ? 100000 : 0;
    house.fetch_faults = chance(300000) ? 100000 : 0;
    house.job_faults = chance(300000) ? 100000 : 0;
    for (int i = 0; i < HOSTS; i++)
        draw_manner(&house.hosts[i]);
}

static void change_a_host(void)
{
    struct host *h = &house.hosts[below(HOSTS)];
    if (h->listener != NULL && chance(300000))
        host_down(h);
    else if (h->listener == NULL)
        host_listen(h);
    else
        draw_manner(h);
}

static void step(void)
{
    struct channel *c = &house.channels[below(house.channel_count)];
    house.spool_late.holds = chance(100000);
    house.disk_late.holds = chance(100000);
    if (chance(100000))
        change_a_host();
    if (!c->is_lent && c->delivery.connection != NULL && chance(100000)) {
        lend(c, DELIVERY_CLOSE);
        totals.closed++;
    } else if (!c->is_lent) {
        struct message *m = draw_message();
        totals.reused += c->delivery.connection != NULL && c->delivery.keeps_connection;
        totals.in_files += m->is_in_file;
        if (!is_under_way(m))
            deliver(c, m, draw_route(), chance(600000));
    }
    run((int64_t)below(chance(100000) ? 20 * SIM_SECOND : chance(500000) ? 300000 : 5000));
}

static void release_all(void)
{
    late_release(&house.spool_late);
    late_release(&house.disk_late);
}

static void await_all(void)
{
    release_all();
    for (uint32_t i = 0; i < house.channel_count; i++) {
        struct channel *c = &house.channels[i];
        for (int s = 0; c->is_lent && s < 1000000; s++)
            run(SIM_SECOND);
        assert_false(c->is_lent);
        assert_int_equal(c->lent, c->back);
    }
}

static void check_messages(void)
{
    for (uint32_t i = 0; i < house.message_count; i++) {
        const struct message *m = &house.messages[i];
        assert_true(m->delivered <= m->taken);
        assert_true(m->taken <= m->delivered + m->doubts);
        totals.delivered += m->delivered;
        totals.doubts += m->doubts;
    }
}

static void end_in_order(void)
{
    await_all();
    for (uint32_t i = 0; i < house.channel_count; i++)
        lend(&house.channels[i], DELIVERY_CLOSE);
    await_all();
    run(60 * SIM_SECOND);
    expect_nothing_left();
    check_messages();
    struct deliverer_counters counters;
    deliverer_counters(house.deliverer, &counters);
    totals.fetched += counters.fetched;
}

static void die(void)
{
    totals.killed++;
    if (chance(700000))
        life_kill(house.sender_life, chance(500000) ? SIM_KILLED : SIM_POWER_CUT);
}

static uint64_t weather(uint64_t seed)
{
    struct random drawn;
    random_init(&drawn, seed);
    struct sim_options options = seed % 2 == 0 ? sim_options_calm() : sim_options_rough(&drawn);
    house_begin(seed, &options);
    draw_settings();
    house.eight_bit = 300000;
    for (size_t i = 1 + below(CHANNELS); i > 0; i--)
        (void)a_channel();
    size_t steps = 1 + below(STEPS);
    for (size_t i = 0; i < steps; i++)
        step();
    if (chance(300000))
        die();
    else
        end_in_order();
    uint64_t hash = sim_hash(house.sim);
    house_end();
    return hash;
}

static void weathers_the_storm(void **state)
{
    (void)state;
    const char *only = getenv("SEED");
    uint64_t first = only == NULL ? 1 : strtoull(only, NULL, 10);
    uint64_t last = only == NULL ? SEEDS : first;
    for (uint64_t seed = first; seed <= last; seed++) {
        totals.seed = seed;
        uint64_t hash = weather(seed);
        if (seed % 50 == 0)
            assert_true(weather(seed) == hash);
    }
    print_message("%llu delivered, %llu in doubt, %llu fetched, %llu from files, %llu on a kept "
                  "connection, %llu closed, %llu died\n",
                  (unsigned long long)totals.delivered, (unsigned long long)totals.doubts,
                  (unsigned long long)totals.fetched, (unsigned long long)totals.in_files,
                  (unsigned long long)totals.reused, (unsigned long long)totals.closed,
                  (unsigned long long)totals.killed);
    if (only != NULL)
        return;
    assert_true(totals.delivered > 1000 && totals.doubts > 30 && totals.fetched > 100);
    assert_true(totals.in_files > 50 && totals.reused > 100 && totals.closed > 50);
    assert_true(totals.killed > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(weathers_the_storm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
