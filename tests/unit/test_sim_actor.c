/* Actors in the simulated world: letters and credits, one letter a turn, stalls, and crashes. */
#include "letter/actor.h"

#include "expect.h"
#include "os/disk.h"
#include "sim/world.h"

enum { SEEDS = 200, LETTERS = 8, CREDITS = 3, WANTED = 100 };

static const struct endpoint address = {.family = 4, .ip = {10, 0, 0, 1}};

struct question {
    struct letter letter;
    uint64_t number, answer;
    bool is_open;
};

/* Keeps the questions of a turn, writes and syncs them as one batch at its end, then answers. */
struct keeper {
    struct actor *actor;
    struct disk *disk;
    struct file *file;
    struct letter *held; /* the newest first */
    uint64_t taken, batches;
    bool has_failed;
};

static void keeper_on_letter(void *self, struct letter *letter)
{
    struct keeper *k = self;
    struct question *q = (struct question *)letter;
    assert_false(letter->is_answer);
    assert_int_equal(q->number, k->taken);
    k->taken++;
    uint8_t byte = (uint8_t)q->number;
    struct span part = span_of(&byte, 1);
    k->has_failed = k->has_failed || file_write(k->file, q->number, &part, 1) != FAULT_NONE;
    letter->next = k->held;
    k->held = letter;
}

static void keeper_on_turn(void *self)
{
    struct keeper *k = self;
    if (k->held == NULL)
        return;
    k->batches++;
    k->has_failed = k->has_failed || file_sync(k->file) != FAULT_NONE;
    while (k->held != NULL) {
        struct question *q = (struct question *)k->held;
        k->held = q->letter.next;
        q->answer = k->has_failed ? 0 : 2 * q->number + 1;
        letter_answer(k->actor, &q->letter);
    }
}

/* Asks as fast as its credits allow. */
struct asker {
    struct actor *actor, *other;
    struct question questions[LETTERS];
    uint64_t asked, answered, wrong;
    uint32_t open, open_max;
    struct credit credit;
    struct credit_waiter waiter;
    bool has_begun;
};

static struct question *free_question(struct asker *a)
{
    for (size_t i = 0; i < LETTERS; i++)
        if (!a->questions[i].is_open)
            return &a->questions[i];
    return NULL;
}

/* With a credit taken. */
static void ask(struct asker *a)
{
    struct question *q = free_question(a);
    assert_non_null(q);
    *q = (struct question){.number = a->asked++, .is_open = true};
    a->open++;
    a->open_max = a->open > a->open_max ? a->open : a->open_max;
    letter_send(a->actor, a->other, &q->letter, LETTER_APPEND, &a->credit);
}

static void ask_on(struct asker *a)
{
    while (a->asked < WANTED && credit_take(&a->credit))
        ask(a);
    if (a->asked < WANTED)
        credit_wait(&a->credit, &a->waiter);
}

static void asker_on_credit(void *context)
{
    struct asker *a = context;
    ask(a);
    ask_on(a);
}

static void asker_on_letter(void *self, struct letter *letter)
{
    struct asker *a = self;
    struct question *q = (struct question *)letter;
    assert_true(letter->is_answer);
    a->answered += q->answer != 0;
    a->wrong += q->answer != 0 && q->answer != 2 * q->number + 1;
    a->open--;
    q->is_open = false;
}

static void asker_on_turn(void *self)
{
    struct asker *a = self;
    if (!a->has_begun)
        ask_on(a);
    a->has_begun = true;
}

static const struct actor_role keeper_role = {"keeper", keeper_on_letter, keeper_on_turn};
static const struct actor_role asker_role = {"asker", asker_on_letter, asker_on_turn};

struct pair {
    struct sim *sim;
    struct machine *machine;
    struct world *life;
    struct keeper keeper;
    struct asker asker;
};

static struct sim_options stalling(struct random *r)
{
    struct sim_options o = sim_options_calm();
    o.stall = (uint32_t)random_below(r, 500000);
    o.spurious_wake = (uint32_t)random_below(r, 500000);
    return o;
}

static void pair_begin(struct pair *p, uint64_t seed, uint32_t letters_max)
{
    struct random r;
    random_init(&r, seed);
    struct sim_options o = stalling(&r);
    *p = (struct pair){.sim = sim_new(seed, &o)};
    p->machine = machine_new(p->sim, "machine", address);
    machine_disk(p->machine, "/disk", 1 << 20);
    p->life = life_begin(p->machine);
    struct keeper *k = &p->keeper;
    struct asker *a = &p->asker;
    credit_init(&a->credit, CREDITS);
    credit_waiter_init(&a->waiter, asker_on_credit, a);
    assert_int_equal(disk_new(p->life, "/disk", &k->disk), FAULT_NONE);
    assert_int_equal(file_open(k->disk, "file", DISK_CREATE, &k->file), FAULT_NONE);
    assert_int_equal(disk_sync(k->disk), FAULT_NONE);
    assert_int_equal(actor_new(p->life, &keeper_role, k, letters_max, NULL, &k->actor), FAULT_NONE);
    assert_int_equal(actor_new(p->life, &asker_role, a, letters_max, NULL, &a->actor), FAULT_NONE);
    a->other = k->actor;
    assert_int_equal(actor_start(k->actor), FAULT_NONE);
    assert_int_equal(actor_start(a->actor), FAULT_NONE);
}

static void life_over(struct pair *p)
{
    actor_join(p->asker.actor);
    actor_join(p->keeper.actor);
    actor_free(p->asker.actor);
    actor_free(p->keeper.actor);
    file_close(p->keeper.file);
    disk_free(p->keeper.disk);
    life_end(p->life);
}

static uint64_t whole_run(uint64_t seed, uint32_t letters_max)
{
    struct pair p;
    pair_begin(&p, seed, letters_max);
    assert_int_equal(sim_run_until(p.sim, SIM_NEVER), SIM_QUIET);
    assert_int_equal(p.keeper.taken, WANTED);
    assert_int_equal(p.asker.answered, WANTED);
    assert_int_equal(p.asker.wrong, 0);
    assert_int_equal(p.asker.open, 0);
    /* A credit comes back just before its letter does. */
    assert_in_range(p.asker.open_max, CREDITS, CREDITS + 1);
    assert_int_equal(p.asker.credit.left, CREDITS);
    if (letters_max == 1)
        assert_int_equal(p.keeper.batches, WANTED);
    else
        assert_in_range(p.keeper.batches, WANTED / (CREDITS + 1), WANTED);
    uint64_t hash = sim_hash(p.sim);
    life_over(&p);
    sim_free(p.sim);
    return hash;
}

static void letters_and_credits(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        uint64_t hash = whole_run(seed, 0);
        if (seed % 10 == 0)
            assert_true(hash == whole_run(seed, 0));
    }
}

static void mailboxes_of_one(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        uint64_t hash = whole_run(seed, 1);
        if (seed % 10 == 0)
            assert_true(hash == whole_run(seed, 1));
    }
}

/* What was answered before the crash is on the disk after it; letters under way leak nothing. */
static void answered_is_kept_through_a_crash(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct pair p;
        struct disk *disk;
        struct file *f;
        uint8_t bytes[WANTED + 1];
        size_t got = 0;
        pair_begin(&p, seed, seed % 3 == 0);
        life_kill_at(p.life, 1 + random_below(sim_random(p.sim), WANTED),
                     seed % 2 == 0 ? SIM_KILLED : SIM_POWER_CUT);
        assert_int_equal(sim_run_until(p.sim, SIM_NEVER), SIM_DEATH);
        uint64_t answered = p.asker.answered;
        assert_true(answered < WANTED);
        assert_int_equal(p.asker.wrong, 0);
        life_over(&p);

        p.life = life_begin(p.machine);
        assert_int_equal(disk_new(p.life, "/disk", &disk), FAULT_NONE);
        assert_int_equal(file_open(disk, "file", DISK_READ, &f), FAULT_NONE);
        assert_int_equal(file_read(f, 0, bytes, sizeof bytes, &got), FAULT_NONE);
        assert_true(got >= answered && got <= p.asker.asked);
        for (size_t i = 0; i < answered; i++)
            assert_int_equal(bytes[i], i);
        file_close(f);
        disk_free(disk);
        life_end(p.life);
        sim_free(p.sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_and_credits),
        cmocka_unit_test(mailboxes_of_one),
        cmocka_unit_test(answered_is_kept_through_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
