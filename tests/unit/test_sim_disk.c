/* The simulated disk: the contract of os/disk.h, and what crashes leave. */
#include "os/disk.h"

#include <time.h>

#include "disk_cases.h"
#include "sim/world.h"

#define DISK_BYTES (16 * 1024 * 1024)
#define SEEDS      300

struct bench {
    struct sim *sim;
    struct machine *machine;
    struct world *life;
    struct disk *disk;
};

static const struct endpoint address = {.family = 4, .ip = {10, 0, 0, 1}};

static void live(struct bench *b)
{
    b->life = life_begin(b->machine);
    assert_int_equal(disk_new(b->life, "/spool", &b->disk), FAULT_NONE);
}

/* Nothing happens by itself. */
static struct sim_options quiet(void)
{
    struct sim_options o = sim_options_calm();
    o.write_back = 0;
    return o;
}

static struct bench bench_with(uint64_t seed, const struct sim_options *options, uint64_t bytes)
{
    struct bench b = {.sim = sim_new(seed, options)};
    b.machine = machine_new(b.sim, "machine", address);
    machine_disk(b.machine, "/spool", bytes);
    live(&b);
    return b;
}

static struct bench bench_new(uint64_t seed)
{
    struct sim_options o = quiet();
    return bench_with(seed, &o, DISK_BYTES);
}

static void bury(struct bench *b)
{
    disk_free(b->disk);
    life_end(b->life);
}

static void bench_free(struct bench *b)
{
    bury(b);
    sim_free(b->sim);
}

static void crash(struct bench *b, enum sim_death how)
{
    life_kill(b->life, how);
    bury(b);
    live(b);
}

static struct file *opened(struct bench *b, const char *name, enum disk_open how)
{
    struct file *f = NULL;
    assert_int_equal(file_open(b->disk, name, how, &f), FAULT_NONE);
    return f;
}

static void put(struct file *f, uint64_t offset, struct span bytes)
{
    assert_int_equal(file_write(f, offset, &bytes, 1), FAULT_NONE);
}

/* A file with this content, all of it durable. */
static void settle(struct bench *b, const char *name, struct span bytes)
{
    struct file *f = opened(b, name, DISK_CREATE);
    put(f, 0, bytes);
    assert_int_equal(file_sync(f), FAULT_NONE);
    assert_int_equal(disk_sync(b->disk), FAULT_NONE);
    file_close(f);
}

static bool exists(struct bench *b, const char *name)
{
    struct file *f = NULL;
    enum fault fault = file_open(b->disk, name, DISK_READ, &f);
    file_close(f);
    assert_true(fault == FAULT_NONE || fault == FAULT_NOT_FOUND);
    return fault == FAULT_NONE;
}

static uint64_t size_of(struct bench *b, const char *name)
{
    uint64_t size = 0;
    struct file *f = opened(b, name, DISK_READ);
    assert_int_equal(file_size(f, &size), FAULT_NONE);
    file_close(f);
    return size;
}

/* At most `len` bytes; how many. */
static size_t get(struct bench *b, const char *name, void *bytes_out, size_t len)
{
    size_t got = 0;
    struct file *f = opened(b, name, DISK_READ);
    assert_int_equal(file_read(f, 0, bytes_out, len, &got), FAULT_NONE);
    file_close(f);
    return got;
}

static void expect_file(struct bench *b, const char *name, struct span expected)
{
    static uint8_t bytes[1 << 20];
    size_t got = get(b, name, bytes, sizeof bytes);
    expect_span(span_of(bytes, got), expected);
}

/* The same as the real one. */
static void contract(void **state)
{
    static void (*const cases[])(struct disk_case * c) = {
        case_writes_and_reads, case_many_parts, case_refuses, case_lists, case_one_owner,
    };
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++)
        for (size_t i = 0; i < ROWS(cases); i++) {
            struct sim_options o = sim_options_calm();
            struct bench b = bench_with(seed, &o, DISK_BYTES);
            struct disk_case c = {.world = b.life, .path = "/spool", .disk = b.disk};
            cases[i](&c);
            b.disk = c.disk;
            bench_free(&b);
        }
}

/* What a sync promised is kept by every death. */
static void synced_is_kept(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct bench b = bench_new(seed);
        settle(&b, "a", SPAN("first"));
        struct file *f = opened(&b, "a", DISK_WRITE);
        put(f, 5, SPAN(" second"));
        assert_int_equal(file_sync(f), FAULT_NONE);
        put(f, 12, SPAN(" third"));
        file_close(f);
        crash(&b, SIM_KILLED);
        expect_file(&b, "a", SPAN("first second third"));
        crash(&b, SIM_POWER_CUT);
        uint8_t bytes[64];
        size_t got = get(&b, "a", bytes, sizeof bytes);
        assert_in_range(got, 12, 18);
        assert_memory_equal(bytes, "first second", 12);
        bench_free(&b);
    }
}

/* Each sector is old or new; some seeds give all old, all new, and a mixture. */
static void power_cut_tears_sectors(void **state)
{
    enum { SECTORS = 16 };
    static uint8_t old[SECTORS * 512], new[SECTORS * 512], bytes[SECTORS * 512];
    int all_old = 0, all_new = 0, mixed = 0, last_before_first = 0;
    (void)state;
    memset(old, 'o', sizeof old);
    memset(new, 'n', sizeof new);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct bench b = bench_new(seed);
        int fresh = 0;
        settle(&b, "a", span_of(old, sizeof old));
        struct file *f = opened(&b, "a", DISK_WRITE);
        put(f, 0, span_of(new, sizeof new));
        file_close(f);
        expect_file(&b, "a", span_of(new, sizeof new));
        crash(&b, SIM_POWER_CUT);
        assert_int_equal(get(&b, "a", bytes, sizeof bytes), sizeof bytes);
        for (size_t i = 0; i < SECTORS; i++) {
            const uint8_t *sector = bytes + i * 512;
            assert_true(memcmp(sector, old, 512) == 0 || memcmp(sector, new, 512) == 0);
            fresh += sector[0] == 'n';
        }
        all_old += fresh == 0;
        all_new += fresh == SECTORS;
        mixed += fresh > 0 && fresh < SECTORS;
        last_before_first += bytes[0] == 'o' && bytes[sizeof bytes - 1] == 'n';
        bench_free(&b);
    }
    assert_true(all_old > 10 && all_new > 10 && mixed > 10 && last_before_first > 10);
}

/* Of two writes to one sector either may be lost without the other. */
static void power_cut_loses_writes_apart(void **state)
{
    int seen[4] = {0};
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct bench b = bench_new(seed);
        settle(&b, "a", SPAN("....."));
        struct file *f = opened(&b, "a", DISK_WRITE);
        put(f, 0, SPAN("11"));
        put(f, 1, SPAN("22"));
        file_close(f);
        crash(&b, SIM_POWER_CUT);
        char bytes[8] = "";
        assert_int_equal(get(&b, "a", bytes, sizeof bytes), 5);
        int what = strcmp(bytes, ".....") == 0   ? 0
                   : strcmp(bytes, "11...") == 0 ? 1
                   : strcmp(bytes, ".22..") == 0 ? 2
                   : strcmp(bytes, "122..") == 0 ? 3
                                                 : -1;
        assert_true(what >= 0);
        seen[what]++;
        bench_free(&b);
    }
    for (int i = 0; i < 4; i++)
        assert_true(seen[i] > 10);
}

static void power_cut_tears_the_size(void **state)
{
    static const uint8_t zeros[9000];
    static uint8_t ones[9000], bytes[9000];
    int none = 0, all = 0, part = 0, holes = 0;
    (void)state;
    memset(ones, 1, sizeof ones);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct bench b = bench_new(seed);
        settle(&b, "a", SPAN("x"));
        struct file *f = opened(&b, "a", DISK_WRITE);
        put(f, 1, span_of(ones, sizeof ones - 1));
        file_close(f);
        crash(&b, SIM_POWER_CUT);
        size_t got = get(&b, "a", bytes, sizeof bytes);
        none += got == 1;
        all += got == sizeof bytes;
        part += got > 1 && got < sizeof bytes;
        assert_int_equal(bytes[0], 'x');
        for (size_t i = 1; i < got; i++) {
            assert_true(bytes[i] <= 1);
            holes += bytes[i] == 0;
        }
        /* Beyond the end there is nothing old when the file grows again. */
        f = opened(&b, "a", DISK_WRITE);
        put(f, 20000, SPAN("y"));
        file_close(f);
        f = opened(&b, "a", DISK_READ);
        size_t n = 0;
        assert_int_equal(file_read(f, got, bytes, sizeof bytes, &n), FAULT_NONE);
        assert_memory_equal(bytes, zeros, n);
        file_close(f);
        bench_free(&b);
    }
    assert_true(none > 10 && all > 10 && part > 10 && holes > 0);
}

/* The content was synced, the directory was not. */
static void names_need_a_sync_of_their_own(void **state)
{
    int there = 0, gone = 0, back = 0, old_name = 0, new_name = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct bench b = bench_new(seed);
        settle(&b, "removed", SPAN("r"));
        settle(&b, "old", SPAN("moved"));
        struct file *f = opened(&b, "created", DISK_CREATE);
        put(f, 0, SPAN("created"));
        assert_int_equal(file_sync(f), FAULT_NONE);
        file_close(f);
        assert_int_equal(disk_unlink(b.disk, "removed"), FAULT_NONE);
        assert_int_equal(disk_rename(b.disk, "old", "new"), FAULT_NONE);
        crash(&b, SIM_POWER_CUT);
        if (exists(&b, "created"))
            expect_file(&b, "created", SPAN("created"));
        assert_true(exists(&b, "old") != exists(&b, "new"));
        expect_file(&b, exists(&b, "old") ? "old" : "new", SPAN("moved"));
        there += exists(&b, "created");
        gone += !exists(&b, "created");
        back += exists(&b, "removed");
        old_name += exists(&b, "old");
        new_name += exists(&b, "new");
        /* What the cut left is durable. */
        bool was_there = exists(&b, "created"), was_old = exists(&b, "old");
        crash(&b, SIM_POWER_CUT);
        assert_true(was_there == exists(&b, "created") && was_old == exists(&b, "old"));
        bench_free(&b);
    }
    assert_true(there > 10 && gone > 10 && back > 10 && old_name > 10 && new_name > 10);
}

/* A name shows one of the states it was in, in order, and a file that was replaced atomically is
   never missing. */
static void names_keep_their_order(void **state)
{
    int seen[3] = {0};
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct bench b = bench_new(seed);
        settle(&b, "a", SPAN("0"));
        for (int i = 1; i <= 2; i++) {
            struct file *f = opened(&b, "a.new", DISK_CREATE);
            put(f, 0, i == 1 ? SPAN("1") : SPAN("2"));
            assert_int_equal(file_sync(f), FAULT_NONE);
            file_close(f);
            assert_int_equal(disk_rename(b.disk, "a.new", "a"), FAULT_NONE);
        }
        crash(&b, SIM_POWER_CUT);
        char byte = 0;
        assert_int_equal(get(&b, "a", &byte, 1), 1);
        assert_in_range(byte, '0', '2');
        seen[byte - '0']++;
        if (exists(&b, "a.new")) {
            char next = 0;
            assert_int_equal(get(&b, "a.new", &next, 1), 1);
            assert_int_equal(next, byte + 1);
        }
        bench_free(&b);
    }
    assert_true(seen[0] > 10 && seen[1] > 10 && seen[2] > 10);
}

/* kill -9: the kernel has everything, but the power may still go later. */
static void kill_keeps_what_was_written(void **state)
{
    (void)state;
    int lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct bench b = bench_new(seed);
        struct file *f = opened(&b, "a", DISK_CREATE);
        put(f, 0, SPAN("bytes"));
        file_close(f);
        crash(&b, SIM_KILLED);
        expect_file(&b, "a", SPAN("bytes"));
        crash(&b, SIM_POWER_CUT);
        lost += !exists(&b, "a") || size_of(&b, "a") == 0;
        bench_free(&b);
    }
    assert_true(lost > 50 && lost < SEEDS - 10);
}

/* The directory as a script leaves it: a number of steps that change something. */
enum { SCRIPT_STEPS = 7 };

static void script(struct bench *b)
{
    static uint8_t page[4096];
    struct file *f = NULL;
    struct span part = span_of(page, sizeof page);
    memset(page, 'p', sizeof page);
    if (file_open(b->disk, "x", DISK_CREATE, &f) == FAULT_NONE) {
        if (file_write(f, 0, &part, 1) == FAULT_NONE && file_sync(f) == FAULT_NONE &&
            disk_sync(b->disk) == FAULT_NONE && disk_rename(b->disk, "x", "y") == FAULT_NONE &&
            file_write(f, sizeof page, &part, 1) == FAULT_NONE &&
            disk_unlink(b->disk, "y") == FAULT_NONE)
            assert_int_equal(life_death(b->life), SIM_ALIVE);
        file_close(f);
    }
}

/* What the script had done for certain before its n-th step, and may have done in it. */
static void check_script(struct bench *b, int step, enum sim_death how)
{
    bool x = exists(b, "x"), y = exists(b, "y");
    uint64_t size = x ? size_of(b, "x") : y ? size_of(b, "y") : 0;
    assert_false(x && y);
    if (step <= 4) {
        assert_false(y);
        assert_true(size <= 4096);
    }
    if (how == SIM_KILLED) {
        assert_int_equal(x || y, step == 1 || step == 7 ? x || y : true);
        assert_true(step <= 2 || step == 7 || size >= 4096);
        assert_true(step <= 5 || !x);
    } else if (step > 4) {
        assert_true(step == 7 || x || y);
        assert_true((!x && !y) || size >= 4096);
    }
}

static void dies_in_the_middle(void **state)
{
    static const enum sim_death deaths[] = {SIM_KILLED, SIM_POWER_CUT};
    int done[2] = {0}, part = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++)
        for (int step = 1; step <= SCRIPT_STEPS; step++)
            for (size_t i = 0; i < ROWS(deaths); i++) {
                struct bench b = bench_new(seed);
                life_kill_at(b.life, (uint64_t)step, deaths[i]);
                script(&b);
                assert_int_equal(life_death(b.life), deaths[i]);
                assert_int_equal(life_disk_operations(b.life), step);
                /* A ghost changes nothing and sees nothing. */
                script(&b);
                assert_int_equal(disk_sync(b.disk), FAULT_DISK_ERROR);
                assert_int_equal(disk_lock(b.disk), FAULT_DISK_ERROR);
                assert_int_equal(life_disk_operations(b.life), step);
                bury(&b);
                live(&b);
                check_script(&b, step, deaths[i]);
                if (step == 1 && deaths[i] == SIM_KILLED)
                    done[exists(&b, "x")]++;
                if (step == 2 && deaths[i] == SIM_KILLED)
                    part += size_of(&b, "x") > 0 && size_of(&b, "x") < 4096;
                bench_free(&b);
            }
    assert_true(done[0] > 10 && done[1] > 10 && part > 10);
}

static void death_unlocks(void **state)
{
    struct bench b = bench_new(1);
    struct disk *other = NULL;
    (void)state;
    assert_int_equal(disk_lock(b.disk), FAULT_NONE);
    life_kill(b.life, SIM_KILLED);
    assert_int_equal(disk_new(b.life, "/spool", &other), FAULT_DISK_ERROR);
    bury(&b);
    live(&b);
    assert_int_equal(disk_lock(b.disk), FAULT_NONE);
    bench_free(&b);
}

/* PostgreSQL 2018: the page is clean after the failed sync, and a later good one does nothing. */
static void failed_sync_loses_for_good(void **state)
{
    int lost = 0, kept = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct bench b = bench_new(seed);
        settle(&b, "a", SPAN("old"));
        struct file *f = opened(&b, "a", DISK_WRITE);
        put(f, 0, SPAN("new"));
        sim_options(b.sim)->sync_error = 1000000;
        assert_int_equal(file_sync(f), FAULT_DISK_ERROR);
        assert_int_equal(disk_sync(b.disk), FAULT_DISK_ERROR);
        sim_options(b.sim)->sync_error = 0;
        expect_file(&b, "a", SPAN("new"));
        put(f, 3, SPAN("er"));
        assert_int_equal(file_sync(f), FAULT_NONE);
        file_close(f);
        expect_file(&b, "a", SPAN("newer"));
        crash(&b, SIM_POWER_CUT);
        char bytes[8] = "";
        assert_int_equal(get(&b, "a", bytes, sizeof bytes), 5);
        lost += strcmp(bytes, "older") == 0;
        kept += strcmp(bytes, "newer") == 0;
        bench_free(&b);
    }
    assert_int_equal(lost + kept, SEEDS);
    assert_true(lost > 30 && kept > 30);
}

static void faults_by_chance(void **state)
{
    struct bench b = bench_new(1);
    struct sim_options *o = sim_options(b.sim);
    struct file *f = NULL;
    char bytes[8];
    size_t got = 0;
    (void)state;
    settle(&b, "a", SPAN("bytes"));
    o->open_error = 1000000;
    assert_int_equal(file_open(b.disk, "a", DISK_READ, &f), FAULT_DISK_ERROR);
    assert_int_equal(file_open(b.disk, "b", DISK_CREATE, &f), FAULT_DISK_ERROR);
    assert_int_equal(disk_unlink(b.disk, "a"), FAULT_DISK_ERROR);
    assert_int_equal(disk_rename(b.disk, "a", "b"), FAULT_DISK_ERROR);
    o->open_error = 0;
    assert_true(exists(&b, "a") && !exists(&b, "b"));
    f = opened(&b, "a", DISK_WRITE);
    o->read_error = 1000000;
    assert_int_equal(file_read(f, 0, bytes, sizeof bytes, &got), FAULT_DISK_ERROR);
    o->read_error = 0;
    int parts = 0;
    for (int i = 0; i < 100; i++) {
        put(f, 0, SPAN("......"));
        o->write_error = 1000000;
        assert_int_equal(file_write(f, 0, &SPAN("abcdef"), 1), FAULT_DISK_ERROR);
        o->write_error = 0;
        assert_int_equal(file_read(f, 0, bytes, sizeof bytes, &got), FAULT_NONE);
        assert_int_equal(got, 6);
        for (size_t j = 0; j < 6; j++)
            assert_true(bytes[j] == '.' || bytes[j] == "abcdef"[j]);
        parts += memchr(bytes, '.', 6) != NULL && memcmp(bytes, "......", 6) != 0;
    }
    assert_true(parts > 30);
    file_close(f);
    bench_free(&b);
}

static void full_disk(void **state)
{
    enum { BLOCKS = 4, BYTES = BLOCKS * 4096 };
    static uint8_t bytes[BYTES + 4096];
    struct sim_options o = quiet();
    struct bench b = bench_with(1, &o, BYTES);
    uint64_t room = 0;
    (void)state;
    struct span much = span_of(bytes, sizeof bytes);
    struct file *f = opened(&b, "a", DISK_CREATE);
    assert_int_equal(disk_room(b.disk, &room), FAULT_NONE);
    assert_int_equal(room, BYTES);
    assert_int_equal(file_write(f, 0, &much, 1), FAULT_DISK_FULL);
    assert_in_range(size_of(&b, "a"), 0, BYTES);
    put(f, 0, span_of(bytes, BYTES));
    assert_int_equal(disk_room(b.disk, &room), FAULT_NONE);
    assert_int_equal(room, 0);
    put(f, 1, span_of(bytes, BYTES - 1)); /* over what is there: takes no room */
    struct file *other = opened(&b, "b", DISK_CREATE);
    assert_int_equal(file_write(other, 0, &SPAN("x"), 1), FAULT_DISK_FULL);
    assert_int_equal(file_sync(f), FAULT_NONE);
    assert_int_equal(disk_sync(b.disk), FAULT_NONE);

    /* A removed file keeps its room while it is open. */
    assert_int_equal(disk_unlink(b.disk, "a"), FAULT_NONE);
    assert_int_equal(disk_room(b.disk, &room), FAULT_NONE);
    assert_int_equal(room, 0);
    file_close(f);
    assert_int_equal(disk_room(b.disk, &room), FAULT_NONE);
    assert_int_equal(room, BYTES);
    /* Its room is not used again before it is gone for certain. */
    put(other, 0, span_of(bytes, BYTES));
    file_close(other);
    crash(&b, SIM_POWER_CUT);
    assert_false(exists(&b, "a"));
    machine_disk_resize(b.machine, "/spool", 4096);
    assert_int_equal(disk_room(b.disk, &room), FAULT_NONE);
    assert_true(room == 0 || room == 4096);
    bench_free(&b);
}

/* A hole takes room when it is written to. */
static void holes_take_no_room(void **state)
{
    struct sim_options o = quiet();
    struct bench b = bench_with(1, &o, 2 * 4096);
    uint64_t room = 0;
    (void)state;
    struct file *f = opened(&b, "a", DISK_CREATE);
    put(f, 1000000, SPAN("x"));
    assert_int_equal(size_of(&b, "a"), 1000001);
    assert_int_equal(disk_room(b.disk, &room), FAULT_NONE);
    assert_int_equal(room, 4096);
    put(f, 4095, SPAN("y"));
    assert_int_equal(file_write(f, 4095, &SPAN("yz"), 1), FAULT_DISK_FULL);
    file_close(f);
    bench_free(&b);
}

/* The kernel may write back what it wants: it is never more than what was written. */
static void write_back_is_harmless(void **state)
{
    struct sim_options o = quiet();
    int seen[3] = {0};
    (void)state;
    o.write_back = 500000;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct bench b = bench_with(seed, &o, DISK_BYTES);
        static uint8_t bytes[4096];
        settle(&b, "a", SPAN("0"));
        struct file *f = opened(&b, "a", DISK_WRITE);
        memset(bytes, '1', sizeof bytes);
        put(f, 0, span_of(bytes, sizeof bytes));
        memset(bytes, '2', sizeof bytes);
        put(f, 0, span_of(bytes, sizeof bytes));
        for (int i = 0; i < 5; i++)
            assert_int_equal(get(&b, "a", bytes, 1), 1);
        file_close(f);
        crash(&b, SIM_POWER_CUT);
        size_t got = get(&b, "a", bytes, sizeof bytes);
        assert_true(got >= 1);
        for (size_t i = 0; i < got; i++)
            assert_true(bytes[i] == 0 || (bytes[i] >= '0' && bytes[i] <= '2'));
        assert_in_range(bytes[0], '0', '2');
        seen[bytes[0] - '0']++;
        bench_free(&b);
    }
    assert_true(seen[0] > 5 && seen[1] > 5 && seen[2] > 50);
}

static void churn(struct bench *b, int rounds)
{
    static uint8_t bytes[300];
    struct file *f = opened(b, "churn", DISK_CREATE);
    for (int i = 0; i < rounds; i++) {
        bytes[0] = (uint8_t)i;
        put(f, (uint64_t)i * 200, span_of(bytes, sizeof bytes));
        assert_int_equal(file_sync(f), FAULT_NONE);
    }
    file_close(f);
}

static void same_seed_same_hash(void **state)
{
    uint64_t hashes[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct sim_options o = sim_options_calm();
        o.write_back = 300000;
        struct bench b = bench_with(i < 2 ? 7 : 8, &o, DISK_BYTES);
        churn(&b, 50);
        struct file *f = opened(&b, "churn", DISK_WRITE);
        for (int j = 0; j < 20; j++)
            put(f, (uint64_t)j * 1000, SPAN("unsynced"));
        file_close(f);
        crash(&b, SIM_POWER_CUT);
        static uint8_t bytes[32768];
        if (exists(&b, "churn"))
            get(&b, "churn", bytes, sizeof bytes);
        hashes[i] = sim_hash(b.sim);
        bench_free(&b);
    }
    assert_true(hashes[0] == hashes[1]);
    assert_true(hashes[0] != hashes[2]);
}

/* Cheap enough for thousands of lives; the bound is wide for sanitizers and busy machines. */
static void is_cheap(void **state)
{
    struct timespec before, after;
    (void)state;
    struct bench b = bench_new(1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    churn(&b, 2000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double ms = (double)(after.tv_sec - before.tv_sec) * 1e3 +
                (double)(after.tv_nsec - before.tv_nsec) / 1e6;
    print_message("2000 writes and syncs: %.1f ms\n", ms);
    assert_true(ms < 500);
    bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contract),
        cmocka_unit_test(synced_is_kept),
        cmocka_unit_test(power_cut_tears_sectors),
        cmocka_unit_test(power_cut_loses_writes_apart),
        cmocka_unit_test(power_cut_tears_the_size),
        cmocka_unit_test(names_need_a_sync_of_their_own),
        cmocka_unit_test(names_keep_their_order),
        cmocka_unit_test(kill_keeps_what_was_written),
        cmocka_unit_test(dies_in_the_middle),
        cmocka_unit_test(death_unlocks),
        cmocka_unit_test(failed_sync_loses_for_good),
        cmocka_unit_test(faults_by_chance),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(holes_take_no_room),
        cmocka_unit_test(write_back_is_harmless),
        cmocka_unit_test(same_seed_same_hash),
        cmocka_unit_test(is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
