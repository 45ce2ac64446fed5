#include "spool/spool.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "spool/spool_inside.h"

#define STALE_BYTES_MAX (1024u * 1024) /* names of stale files that one start removes */

static void on_retry(void *context)
{
    (void)context; /* the turn that follows tries again whatever has failed */
}

/* Needs no memory: the loop's only timer was set before. */
void spool_retry_later(struct spool *s)
{
    struct loop *l = actor_loop(s->actor);
    if (heap_contains(&s->retry.node))
        return;
    enum fault fault = timer_set(l, &s->retry, loop_mono_us(l) + SPOOL_RETRY_MS * INT64_C(1000));
    check(fault == FAULT_NONE);
}

static void end_pauses(struct spool *s)
{
    if (heap_contains(&s->retry.node))
        return;
    s->is_tail_paused = s->is_next_paused = s->start.is_paused = false;
    for (uint32_t i = 0; i < s->life_count; i++)
        s->lives[i]->is_paused = false;
}

void task_send(struct spool *s, uint64_t key, struct task *t, void (*run)(struct job *j),
               void (*on_done)(struct spool *s, struct task *t))
{
    t->job.run = run;
    t->on_done = on_done;
    job_send(s->actor, s->pool, key, &t->job);
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

static void on_letter(void *self, struct letter *letter)
{
    struct spool *s = self;
    if (!letter->is_answer) {
        on_request(s, letter);
    } else if (letter->type == LETTER_RECOVERED) {
        start_on_letter(letter);
    } else {
        struct task *t = container_of(letter, struct task, job.letter);
        t->on_done(s, t);
    }
}

/* What is gathered is answered; file work that is out comes back. What is not begun is not needed,
   and the queue, which has stopped before, may not answer any more. */
static void stop_turn(struct spool *s)
{
    bool is_idle = commit_is_idle(s) && lives_are_idle(s) && !s->compaction.is_job_out &&
                   list_empty(&s->removals) && list_empty(&s->fetchings);
    if (!is_idle) {
        if (!commit_is_idle(s))
            lives_plan(s); /* they wait for a tail */
        return;
    }
    letter_answer(s->actor, s->stop);
    s->stop = NULL;
    actor_stop(s->actor);
}

static void on_turn(void *self)
{
    struct spool *s = self;
    end_pauses(s);
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

/* Index files that were being written, or whose segment has gone. */
static void note_stale(void *context, const char *name)
{
    struct spool *s = context;
    uint64_t number;
    struct span text = span_text(name);
    bool is_new = span_ends_with_nocase(text, SPAN(".new"));
    if (!is_new && !span_ends_with_nocase(text, SPAN(".idx")))
        return;
    if (!span_parse_u64(span_sub(text, 0, text.len - 4), UINT32_MAX, &number))
        return;
    if (is_new || !start_has_segment(s, (uint32_t)number))
        (void)buffer_put(&s->start.stale, span_of(name, text.len + 1));
}

/* What stays is found by the next start. */
static enum fault remove_stale(struct spool *s)
{
    struct buffer *names = &s->start.stale;
    buffer_init(names, STALE_BYTES_MAX);
    enum fault fault = disk_list(s->disk, note_stale, s);
    for (size_t at = 0; at < names->len;) {
        const char *name = (const char *)names->data + at;
        (void)!disk_unlink(s->disk, name);
        at += strlen(name) + 1;
    }
    buffer_fini(names);
    return fault;
}

/* Files that say nothing any more, from a preparation that was cut off, go at once. Those whose
   header is damaged are reported, and left for their owner to look at. */
static enum fault remove_blank(struct spool *s)
{
    uint32_t count;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (!all[i].is_broken || all[i].damage_count > 0)
            continue;
        char name[SEGMENT_NAME_MAX];
        segment_name(all[i].number, name);
        enum fault fault = disk_unlink(s->disk, name);
        if (fault != FAULT_NONE && fault != FAULT_NOT_FOUND)
            return fault;
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
    if (!start_adopt(s))
        return FAULT_NO_MEMORY;
    fault = remove_blank(s);
    if (fault == FAULT_NONE)
        fault = remove_stale(s);
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
    if (fault == FAULT_NONE) /* the first turn has no letter, but recovery to begin */
        fault = timer_set(actor_loop(s->actor), &s->retry, loop_mono_us(actor_loop(s->actor)));
    if (fault == FAULT_NONE)
        fault = open_spool(s);
    if (fault != FAULT_NONE) {
        spool_free(s);
        return fault;
    }
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
    READ(content_bytes);
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
        struct fetching *f = container_of(node, struct fetching, node);
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
    start_free(s);
    lives_free(s);
    places_fini(&s->places);
    free(s->batch.all);
    free(s->again.all);
    disk_free(s->disk);
    if (s->actor != NULL)
        timer_cancel(actor_loop(s->actor), &s->retry);
    actor_free(s->actor);
    free(s);
}
