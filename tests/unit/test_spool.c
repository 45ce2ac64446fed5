/*
 * spool on a real disk, with real threads (also under TSan): two workers and a queue at once, an
 * orderly stop, and what the next start tells. What may go wrong is simulated by test_sim_spool.
 */
#include "spool_model.h"

#include "letter/actor.h"
#include "os/linux/real_world.h"
#include "spool/content.h"

enum { WORKERS = 2, OF_EACH = 150, THREADS = 2, IN_HAND = 8, INLINE = 4096 };

/* A message goes these steps, each with its answer. The odd ones end. */
enum step { BEGIN, WRITTEN, FINISHED, ACCEPTED, SENT, TRIED, FETCHED, READ, CLOSED, ENDED };

struct task_of_test {
    struct model_message *m;
    struct mail_object *mail;
    struct append append;
    struct fetch fetch;
    struct content content;
    struct buffer state;
    uint8_t *bytes;
    uint64_t read;
    enum step step;
};

struct worker {
    struct actor *actor;
    struct spool *spool;
    struct task_of_test tasks[OF_EACH];
    uint32_t next, ended;
    struct letter *ping; /* answered when all is done */
};

/* Hears what is recovered, lets the workers work, stops everything. */
struct queue {
    struct actor *actor;
    struct spool *spool;
    struct disk_pool *pool;
    struct worker *workers;
    uint32_t worker_count, pinged, stopped, recovered;
    struct letter stops[1 + THREADS], pings[WORKERS];
};

static struct {
    struct world *world;
    char path[64];
    struct model model;
} house;

static int begin(void **state)
{
    (void)state;
    memset(&house.model, 0, sizeof house.model);
    snprintf(house.path, sizeof house.path, "/tmp/postrider-spool-XXXXXX");
    return mkdtemp(house.path) == NULL || world_new_real(&house.world) != FAULT_NONE;
}

static int finish(void **state)
{
    char command[128];
    (void)state;
    world_free_real(house.world);
    snprintf(command, sizeof command, "rm -rf %s", house.path);
    return system(command) == 0 ? 0 : 1;
}

/* Workers ------------------------------------------------------------------------------------- */

static void send_append(struct worker *w, struct task_of_test *t, enum record_type type,
                        uint32_t version, struct span payload)
{
    t->append = (struct append){.type = type,
                                .id = t->m->id,
                                .version = version,
                                .parts = {payload, {NULL, 0}},
                                .part_count = payload.len > 0,
                                .payload_crc = crc32c(0, payload)};
    letter_send(w->actor, spool_actor(w->spool), &t->append.letter, LETTER_APPEND, NULL);
}

static void accept(struct worker *w, struct task_of_test *t)
{
    t->step = ACCEPTED;
    t->mail = model_mail(t->m, INLINE);
    send_append(w, t, RECORD_ACCEPTED, 0, t->mail->payload);
}

static void start_task(struct worker *w)
{
    struct task_of_test *t = &w->tasks[w->next++];
    if (!t->m->in_file) {
        accept(w, t);
        return;
    }
    t->step = WRITTEN;
    t->bytes = malloc(t->m->content_bytes);
    content_fill(t->m, 0, t->bytes, t->m->content_bytes);
    content_init(&t->content, w->spool, t->m->id);
    t->content.bytes = span_of(t->bytes, t->m->content_bytes);
    content_send(w->actor, &t->content, CONTENT_WRITE);
}

static void read_on(struct worker *w, struct task_of_test *t)
{
    t->step = READ;
    content_send(w->actor, &t->content, CONTENT_READ);
}

static void end_message(struct worker *w, struct task_of_test *t)
{
    t->step = ENDED;
    if (t->m->number % 2 == 1)
        send_append(w, t, RECORD_DONE, 2, (struct span){NULL, 0});
    else
        w->ended++;
}

static void on_append(struct worker *w, struct task_of_test *t)
{
    assert_int_equal(t->append.fault, FAULT_NONE);
    if (t->step == ACCEPTED) {
        t->step = SENT;
        send_append(w, t, RECORD_SENDING, 0, (struct span){NULL, 0});
    } else if (t->step == SENT) {
        t->step = TRIED;
        buffer_init(&t->state, RECORD_PAYLOAD_MAX);
        model_state(t->m, 1, &t->state);
        send_append(w, t, RECORD_OUTCOME, 1, buffer_span(&t->state));
    } else if (t->step == TRIED) {
        t->step = FETCHED;
        t->fetch = (struct fetch){.id = t->m->id};
        letter_send(w->actor, spool_actor(w->spool), &t->fetch.letter, LETTER_FETCH, NULL);
    } else {
        assert_int_equal(t->step, ENDED);
        w->ended++;
    }
}

static void on_fetch(struct worker *w, struct task_of_test *t)
{
    assert_int_equal(t->fetch.fault, FAULT_NONE);
    model_check_envelope(t->m, &t->fetch.mail->envelope);
    if (!t->m->in_file) {
        assert_true(content_matches(t->m, 0, t->fetch.mail->envelope.content));
        assert_int_equal(t->fetch.mail->envelope.content.len, t->m->content_bytes);
        end_message(w, t);
        return;
    }
    content_init(&t->content, w->spool, t->m->id);
    read_on(w, t);
}

static void on_job(struct worker *w, struct task_of_test *t)
{
    struct content *c = &t->content;
    assert_int_equal(c->fault, FAULT_NONE);
    if (t->step == WRITTEN) {
        t->step = FINISHED;
        content_send(w->actor, c, CONTENT_FINISH);
    } else if (t->step == FINISHED) {
        accept(w, t);
    } else if (t->step == READ && c->bytes.len > 0) {
        assert_true(content_matches(t->m, t->read, c->bytes));
        t->read += c->bytes.len;
        read_on(w, t);
    } else if (t->step == READ) {
        assert_int_equal(t->read, t->m->content_bytes);
        t->step = CLOSED;
        content_send(w->actor, c, CONTENT_CLOSE);
    } else {
        end_message(w, t);
    }
}

/* PING begins the work, and is answered at its end. */
static void worker_on_letter(void *self, struct letter *letter)
{
    struct worker *w = self;
    if (!letter->is_answer) {
        w->ping = letter;
        while (w->next < IN_HAND)
            start_task(w);
        return;
    }
    uint32_t ended = w->ended;
    if (letter->type == LETTER_APPEND)
        on_append(w, container_of(letter, struct task_of_test, append.letter));
    else if (letter->type == LETTER_FETCH)
        on_fetch(w, container_of(letter, struct task_of_test, fetch.letter));
    else
        on_job(w, container_of(letter, struct task_of_test, content.job.letter));
    for (; ended < w->ended && w->next < OF_EACH; ended++)
        start_task(w);
    if (w->ended < OF_EACH)
        return;
    letter_answer(w->actor, w->ping);
    actor_stop(w->actor);
}

/* The queue ----------------------------------------------------------------------------------- */

static void stop_spool(struct queue *q)
{
    letter_send(q->actor, spool_actor(q->spool), &q->stops[0], LETTER_STOP, NULL);
}

static void on_stopped(struct queue *q)
{
    q->stopped++;
    for (uint32_t i = 0; q->stopped == 1 && i < THREADS; i++)
        letter_send(q->actor, disk_pool_actor(q->pool, i), &q->stops[1 + i], LETTER_STOP, NULL);
    if (q->stopped == 1 + THREADS)
        actor_stop(q->actor);
}

static void on_recovered(struct queue *q, struct recovered *r)
{
    bool last = r->last;
    for (uint32_t i = 0; i < r->count; i++)
        model_recovered(&house.model, &r->messages[i]);
    q->recovered += r->count;
    letter_answer(q->actor, &r->letter);
    if (!last)
        return;
    model_recovery_over(&house.model);
    for (uint32_t i = 0; i < q->worker_count; i++)
        letter_send(q->actor, q->workers[i].actor, &q->pings[i], LETTER_PING, NULL);
    if (q->worker_count == 0)
        stop_spool(q);
}

static void queue_on_letter(void *self, struct letter *letter)
{
    struct queue *q = self;
    if (!letter->is_answer)
        on_recovered(q, container_of(letter, struct recovered, letter));
    else if (letter->type == LETTER_STOP)
        on_stopped(q);
    else if (++q->pinged == q->worker_count)
        stop_spool(q);
}

static const struct actor_role worker_role = {"worker", worker_on_letter, NULL};
static const struct actor_role queue_role = {"queue", queue_on_letter, NULL};

/* Lives --------------------------------------------------------------------------------------- */

static const struct spool_settings *settings(void)
{
    static struct spool_settings s = {
        .segment_bytes = 1u << 20, .inline_bytes_max = INLINE, .segments_reserved = 2};
    s.path = house.path;
    return &s;
}

static void make_workers(struct queue *q, struct worker *workers)
{
    q->workers = workers;
    q->worker_count = WORKERS;
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];
        w->spool = q->spool;
        for (uint32_t k = 0; k < OF_EACH; k++) {
            uint32_t bytes = model_mix(i, k) % (k % 10 == 0 ? 100000 : 2000);
            w->tasks[k].m = model_message(&house.model, bytes, 1 + k % 3, bytes > INLINE);
        }
        assert_int_equal(actor_new(house.world, &worker_role, w, 0, NULL, &w->actor), FAULT_NONE);
    }
}

static void free_workers(struct queue *q)
{
    for (uint32_t i = 0; i < q->worker_count; i++) {
        struct worker *w = &q->workers[i];
        for (uint32_t k = 0; k < OF_EACH; k++) {
            struct task_of_test *t = &w->tasks[k];
            mail_release(t->mail);
            mail_release(t->fetch.mail);
            buffer_fini(&t->state);
            free(t->bytes);
            t->m->base = BASE_KEPT;
            t->m->version_asked = t->m->version_kept = 1;
            t->m->is_ended = t->m->number % 2 == 1;
        }
        actor_free(w->actor);
    }
}

static void run_all(struct queue *q)
{
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(actor_start(disk_pool_actor(q->pool, i)), FAULT_NONE);
    for (uint32_t i = 0; i < q->worker_count; i++)
        assert_int_equal(actor_start(q->workers[i].actor), FAULT_NONE);
    assert_int_equal(actor_start(q->actor), FAULT_NONE);
    assert_int_equal(actor_start(spool_actor(q->spool)), FAULT_NONE);
    actor_join(q->actor);
    actor_join(spool_actor(q->spool));
    for (uint32_t i = 0; i < q->worker_count; i++)
        actor_join(q->workers[i].actor);
    for (uint32_t i = 0; i < THREADS; i++)
        actor_join(disk_pool_actor(q->pool, i));
}

/* Returns how many messages were recovered. */
static uint32_t live(struct worker *workers, struct spool_counters *counters)
{
    struct queue q = {0};
    model_life(&house.model);
    assert_int_equal(disk_pool_new(house.world, THREADS, 0, &q.pool), FAULT_NONE);
    assert_int_equal(spool_new(house.world, settings(), q.pool, 0, NULL, &q.spool), FAULT_NONE);
    assert_int_equal(actor_new(house.world, &queue_role, &q, 0, NULL, &q.actor), FAULT_NONE);
    spool_set_queue(q.spool, q.actor);
    if (workers != NULL)
        make_workers(&q, workers);
    run_all(&q);
    spool_counters(q.spool, counters);
    free_workers(&q);
    spool_free(q.spool);
    actor_free(q.actor);
    disk_pool_free(q.pool);
    return q.recovered;
}

static void what_workers_leave_is_told_to_the_queue(void **state)
{
    (void)state;
    struct spool_counters n;
    struct worker *workers = calloc(WORKERS, sizeof *workers);
    uint32_t whole = WORKERS * OF_EACH;
    assert_int_equal(live(workers, &n), 0);
    assert_int_equal(n.messages, whole / 2);
    assert_int_equal(n.records, 3 * whole + whole / 2);
    assert_true(n.syncs > 0 && n.syncs <= n.records);
    free(workers);
    workers = calloc(WORKERS, sizeof *workers);
    assert_int_equal(live(workers, &n), whole / 2);
    assert_int_equal(n.messages, whole);
    free(workers);
    assert_int_equal(live(NULL, &n), whole);
    assert_false(n.failed);
    assert_int_equal(n.damaged, 0);
}

static void only_one_has_it(void **state)
{
    (void)state;
    struct disk_pool *pool;
    struct spool *one, *other;
    assert_int_equal(disk_pool_new(house.world, 1, 0, &pool), FAULT_NONE);
    assert_int_equal(spool_new(house.world, settings(), pool, 0, NULL, &one), FAULT_NONE);
    assert_int_equal(spool_takes_mail(one), FAULT_NONE);
    assert_int_equal(spool_new(house.world, settings(), pool, 0, NULL, &other), FAULT_DISK_LOCKED);
    spool_free(one);
    assert_int_equal(spool_new(house.world, settings(), pool, 0, NULL, &one), FAULT_NONE);
    spool_free(one);
    disk_pool_free(pool);
}

static void it_needs_its_directory(void **state)
{
    (void)state;
    struct disk_pool *pool;
    struct spool *s;
    struct spool_settings elsewhere = *settings();
    elsewhere.path = "/nowhere/at/all";
    assert_int_equal(disk_pool_new(house.world, 1, 0, &pool), FAULT_NONE);
    assert_int_equal(spool_new(house.world, &elsewhere, pool, 0, NULL, &s), FAULT_NOT_FOUND);
    disk_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_workers_leave_is_told_to_the_queue, begin, finish),
        cmocka_unit_test_setup_teardown(only_one_has_it, begin, finish),
        cmocka_unit_test_setup_teardown(it_needs_its_directory, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
