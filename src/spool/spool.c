#include "spool/spool.h"

#include <stdlib.h>

#include "base/log.h"
#include "spool/spool_inside.h"

static void on_retry(void *context)
{
    (void)context; /* the turn that follows plans again whatever has failed */
}

void spool_retry_later(struct spool *s)
{
    struct loop *l = actor_loop(s->actor);
    if (heap_contains(&s->retry.node))
        return;
    /* Without memory for a timer the next letter brings the next try. */
    (void)!timer_set(l, &s->retry, loop_mono_us(l) + SPOOL_RETRY_MS * INT64_C(1000));
}

static void on_request(struct spool *s, struct letter *letter)
{
    if (letter->type == LETTER_APPEND) {
        commit_gather(s, container_of(letter, struct append, letter));
    } else if (letter->type == LETTER_FETCH) {
        fetch_begin(s, container_of(letter, struct fetch, letter));
    } else if (letter->type == LETTER_STOP) {
        s->stop = letter;
    } else {
        check(letter->type == LETTER_PING);
        letter_answer(s->actor, letter);
    }
}

/* Whose job it was is told by what it runs in. */
static void on_job(struct spool *s, struct job *j)
{
    if (j == &s->start.job) {
        start_on_job(s);
        return;
    }
    if (j == &s->compaction.job) {
        compact_on_job(s);
        return;
    }
    for (uint32_t i = 0; i < s->life_count; i++) {
        if (j == &s->lives[i]->job) {
            life_on_job(s->lives[i]);
            return;
        }
    }
    list_each(node, &s->removals)
    {
        struct removal *r = container_of(node, struct removal, node);
        if (j != &r->job)
            continue;
        list_remove(&r->node);
        free(r);
        return;
    }
    fetch_on_job(container_of(j, struct fetching_job, job));
}

static void on_letter(void *self, struct letter *letter)
{
    struct spool *s = self;
    if (!letter->is_answer)
        on_request(s, letter);
    else if (letter->type == LETTER_RECOVERED)
        start_on_letter(s);
    else
        on_job(s, container_of(letter, struct job, letter));
}

/* What is gathered is answered; file work that is out comes back. What is not begun is not needed.
 */
static void stop_turn(struct spool *s)
{
    bool is_idle = commit_is_idle(s) && lives_are_idle(s) && !s->start.is_job_out &&
                   !s->start.is_letter_out && !s->compaction.is_job_out &&
                   list_empty(&s->removals) && list_empty(&s->fetchings);
    if (!is_idle)
        return;
    letter_answer(s->actor, s->stop);
    s->stop = NULL;
    actor_stop(s->actor);
}

static void on_turn(void *self)
{
    struct spool *s = self;
    commit_turn(s);
    if (s->stop != NULL) {
        stop_turn(s);
        return;
    }
    start_turn(s);
    compact_turn(s);
    lives_plan(s);
    atomic_store_explicit(&s->counters.failed, s->fail_fault != FAULT_NONE, memory_order_relaxed);
}

static const struct actor_role role = {"spool", on_letter, on_turn};

/* Making.
 * ------------------------------------------------------------------------------------------
 */

/* Files that say nothing any more, from a preparation that was cut off, go at once. */
static enum fault adopt_segments(struct spool *s)
{
    uint32_t count;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct recovered_segment *r = &all[i];
        if (r->number > s->number_max)
            s->number_max = r->number;
        if (r->is_broken && r->damage_count > 0)
            continue; /* reported, and left for its owner to look at */
        if (r->is_broken) {
            char name[SEGMENT_NAME_MAX];
            segment_name(r->number, name);
            enum fault fault = disk_unlink(s->disk, name);
            if (fault != FAULT_NONE && fault != FAULT_NOT_FOUND)
                return fault;
            continue;
        }
        struct life *l = life_new(s, r->number, r->is_free ? LIFE_FREE : LIFE_SEALED);
        if (l == NULL)
            return FAULT_NO_MEMORY;
        l->epoch = r->epoch;
    }
    return FAULT_NONE;
}

static void name_spool(struct spool *s)
{
    uint8_t random[10];
    struct id_source source = {0};
    struct loop *l = actor_loop(s->actor);
    if (recovery_spool_id(s->start.recovery, &s->spool_id))
        return;
    loop_random(l, random, sizeof random);
    s->spool_id = id_next(&source, (uint64_t)loop_wall_ms(l), random);
}

static enum fault open_spool(struct spool *s)
{
    enum fault fault = disk_new(s->world, s->settings.path, &s->disk);
    if (fault == FAULT_NONE)
        fault = disk_lock(s->disk);
    if (fault == FAULT_NONE)
        fault = recovery_open(s->disk, &s->start.recovery);
    if (fault != FAULT_NONE)
        return fault;
    name_spool(s);
    s->epoch = recovery_epoch_max(s->start.recovery);
    fault = adopt_segments(s);
    if (fault == FAULT_NONE)
        fault = lives_open_first(s);
    return fault;
}

enum fault spool_new(struct world *w, const struct spool_settings *settings, struct disk_pool *pool,
                     uint32_t max_letters, struct log *log, struct spool **spool_out)
{
    check(settings->inline_bytes_max <= ENVELOPE_INLINE_MAX);
    struct spool *s = calloc(1, sizeof *s);
    if (s == NULL)
        return FAULT_NO_MEMORY;
    s->world = w;
    s->settings = *settings;
    s->pool = pool;
    places_init(&s->places);
    list_init(&s->gathered);
    list_init(&s->removals);
    list_init(&s->fetchings);
    timer_init(&s->retry, on_retry, s);
    enum fault fault = actor_new(w, &role, s, max_letters, log, &s->actor);
    if (fault == FAULT_NONE)
        fault = open_spool(s);
    if (fault != FAULT_NONE) {
        spool_free(s);
        return fault;
    }
    lives_plan(s);
    actor_flush(s->actor);
    (void)loop_wake(actor_loop(s->actor)); /* the first turn has no letter, but recovery to begin */
    *spool_out = s;
    return FAULT_NONE;
}

void spool_set_queue(struct spool *s, struct actor *queue)
{
    s->queue = queue;
}

struct actor *spool_actor(struct spool *s)
{
    return s->actor;
}

const struct spool_settings *spool_settings(const struct spool *s)
{
    return &s->settings;
}

struct disk *spool_disk(struct spool *s)
{
    return s->disk;
}

struct disk_pool *spool_pool(struct spool *s)
{
    return s->pool;
}

enum fault spool_takes_mail(const struct spool *s)
{
    return (enum fault)atomic_load_explicit(&s->takes_mail, memory_order_relaxed);
}

void spool_counters(const struct spool *s, struct spool_counters *counters_out)
{
#define READ(field) \
    counters_out->field = atomic_load_explicit(&s->counters.field, memory_order_relaxed)
    READ(records);
    READ(batches);
    READ(syncs);
    READ(bytes_written);
    READ(copies);
    READ(segments);
    READ(segments_free);
    READ(segments_compacted);
    READ(messages);
    READ(live_bytes);
    READ(damaged);
    READ(failed);
    READ(recovered);
#undef READ
}

static void free_work(struct spool *s)
{
    for (struct list *node; (node = list_take_first(&s->removals)) != NULL;)
        free(container_of(node, struct removal, node));
    for (struct list *node; (node = list_take_first(&s->fetchings)) != NULL;) {
        struct fetching_job *f = container_of(node, struct fetching_job, node);
        mail_release(f->mail);
        free(f);
    }
}

void spool_free(struct spool *s)
{
    if (s == NULL)
        return;
    free_work(s);
    compact_free(s);
    recovery_free(s->start.recovery);
    lives_free(s);
    places_fini(&s->places);
    free(s->batch);
    free(s->sendings);
    disk_free(s->disk);
    if (s->actor != NULL)
        timer_cancel(actor_loop(s->actor), &s->retry);
    actor_free(s->actor);
    free(s);
}
