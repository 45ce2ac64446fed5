/* disk_pool: real threads run jobs, each key's in order. */
#include "spool/disk_pool.h"

#include "expect.h"
#include "os/linux/real_world.h"

enum { THREADS = 3, KEYS = 7, JOBS = 700 };

struct numbered {
    struct job job;
    uint64_t key;
    uint64_t *next_of_key; /* touched by jobs of one key only */
    uint64_t number, seen;
};

struct asker {
    struct actor *actor;
    struct disk_pool *pool;
    uint64_t next[KEYS], sent[KEYS];
    struct numbered jobs[JOBS];
    struct letter stops[THREADS], pings[THREADS];
    uint32_t answered, pinged, stopped;
    bool begun;
};

static void run(struct job *j)
{
    struct numbered *n = container_of(j, struct numbered, job);
    n->seen = (*n->next_of_key)++;
}

static void on_letter(void *self, struct letter *letter)
{
    struct asker *a = self;
    assert_true(letter->is_answer);
    a->answered += letter->type == LETTER_JOB;
    a->pinged += letter->type == LETTER_PING;
    a->stopped += letter->type == LETTER_STOP;
    if (letter->type == LETTER_JOB && a->answered == JOBS)
        for (uint32_t i = 0; i < THREADS; i++)
            letter_send(a->actor, disk_pool_actor(a->pool, i), &a->stops[i], LETTER_STOP, NULL);
    if (a->stopped == THREADS)
        actor_stop(a->actor);
}

static void on_turn(void *self)
{
    struct asker *a = self;
    if (a->begun)
        return;
    a->begun = true;
    for (uint32_t i = 0; i < THREADS; i++)
        letter_send(a->actor, disk_pool_actor(a->pool, i), &a->pings[i], LETTER_PING, NULL);
    for (uint32_t i = 0; i < JOBS; i++) {
        struct numbered *n = &a->jobs[i];
        n->key = i * 31 % KEYS;
        n->job.run = run;
        n->next_of_key = &a->next[n->key];
        n->number = a->sent[n->key]++;
        job_send(a->actor, a->pool, n->key, &n->job);
    }
}

static const struct actor_role role = {"asker", on_letter, on_turn};

static void run_jobs(uint32_t max_letters)
{
    struct world *w;
    struct asker *a = calloc(1, sizeof *a);
    assert_non_null(a);
    assert_int_equal(world_new_real(&w), FAULT_NONE);
    assert_int_equal(disk_pool_new(w, THREADS, max_letters, &a->pool), FAULT_NONE);
    assert_int_equal(disk_pool_threads(a->pool), THREADS);
    assert_int_equal(actor_new(w, &role, a, max_letters, NULL, &a->actor), FAULT_NONE);
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(actor_start(disk_pool_actor(a->pool, i)), FAULT_NONE);
    loop_wake(actor_loop(a->actor)); /* its first turn has no letter */
    assert_int_equal(actor_start(a->actor), FAULT_NONE);
    actor_join(a->actor);
    for (uint32_t i = 0; i < THREADS; i++)
        actor_join(disk_pool_actor(a->pool, i));
    assert_int_equal(a->answered, JOBS);
    assert_int_equal(a->pinged, THREADS);
    for (uint32_t i = 0; i < JOBS; i++)
        assert_int_equal(a->jobs[i].seen, a->jobs[i].number);
    actor_free(a->actor);
    disk_pool_free(a->pool);
    world_free_real(w);
    free(a);
}

static void jobs_of_a_key_keep_their_order(void **state)
{
    (void)state;
    run_jobs(0);
}

static void one_letter_a_turn(void **state)
{
    (void)state;
    run_jobs(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_of_a_key_keep_their_order),
        cmocka_unit_test(one_letter_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
