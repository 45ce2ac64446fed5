/*
 * lives: the lives of segments. All file work on them is done by jobs of the disk pool; the spool's
 * thread only decides. The next tail is opened ahead, so that a full one is followed at once.
 *
 * Two rules keep a start right (docs/SPOOL.md). A life waits only for earlier ones, so no two wait
 * for each other. And none ends unless a later one has durably begun: the highest epoch that ever
 * had records is always to be found in some header, so that no epoch is used twice.
 */
#include <stdlib.h>

#include "base/log.h"
#include "spool/spool_inside.h"

static bool is_coming(enum life_use use)
{
    return use == LIFE_PREPARING || use == LIFE_OPENING;
}

static void life_enter(struct life *l, enum life_use next)
{
#define TO(use) (1u << LIFE_##use)
    static const uint16_t moves[] = {
        [LIFE_NONE] = TO(PREPARING) | TO(FREE) | TO(SEALED) | TO(TRIMMING),
        [LIFE_PREPARING] = TO(FREE) | TO(TRIMMING),
        [LIFE_FREE] = TO(OPENING) | TO(TRIMMING),
        [LIFE_OPENING] = TO(NEXT) | TO(TRIMMING),
        [LIFE_NEXT] = TO(TAIL),
        [LIFE_TAIL] = TO(SEALED),
        [LIFE_SEALED] = TO(FREEING) | TO(TRIMMING),
        [LIFE_FREEING] = TO(FREE) | TO(SEALED) | TO(TRIMMING),
        [LIFE_TRIMMING] = TO(NONE),
    };
#undef TO
    struct spool *s = l->spool;
    check((moves[l->use] & (1u << next)) != 0);
    s->files = s->files + (next != LIFE_NONE) - (l->use != LIFE_NONE);
    s->free_files = s->free_files + (next == LIFE_FREE) - (l->use == LIFE_FREE);
    s->coming_files = s->coming_files + is_coming(next) - is_coming(l->use);
    l->use = next;
}

struct life *life_new(struct spool *s, uint32_t number, enum life_use use)
{
    struct life *l = NULL;
    for (uint32_t i = 0; i < s->life_count && l == NULL; i++)
        if (s->lives[i]->use == LIFE_NONE)
            l = s->lives[i];
    if (l == NULL) {
        if (s->life_count == LIVES_MAX || (l = calloc(1, sizeof *l)) == NULL)
            return NULL;
        l->slot = s->life_count;
        l->spool = s;
        s->lives[s->life_count++] = l;
    }
    l->number = number;
    l->epoch = 0;
    if (number > s->number_max)
        s->number_max = number;
    life_enter(l, use);
    return l;
}

/* What lives, who reads, what is waited for.
 * -------------------------------------------------------
 */

void life_hold(struct life *l, uint32_t bytes)
{
    l->live_bytes += bytes;
    l->spool->live_bytes += bytes;
}

void life_release(struct life *l, uint32_t bytes)
{
    check(l->live_bytes >= bytes);
    l->live_bytes -= bytes;
    l->spool->live_bytes -= bytes;
}

void life_pin(struct life *l)
{
#ifdef PLANTED_BUG_READER_NOT_PINNED
    (void)l;
#else
    l->pins++;
#endif
}

void life_unpin(struct life *l)
{
#ifdef PLANTED_BUG_READER_NOT_PINNED
    (void)l;
#else
    check(l->pins > 0);
    l->pins--;
#endif
}

void life_wait_for(struct life *l, const struct life *other)
{
#ifndef PLANTED_BUG_DONE_RECYCLED
    if (l == other)
        return;
    for (uint32_t i = l->wait_count; i > 0; i--)
        if (l->waits[i - 1].slot == other->slot && l->waits[i - 1].epoch == other->epoch)
            return;
    if (l->wait_count == l->wait_capacity) {
        uint32_t larger = l->wait_capacity == 0 ? 8 : 2 * l->wait_capacity;
        struct life_wait *grown = realloc(l->waits, larger * sizeof *grown);
        if (grown == NULL) {
            l->waits_for_ever = true;
            return;
        }
        l->waits = grown;
        l->wait_capacity = larger;
    }
    l->waits[l->wait_count++] = (struct life_wait){other->slot, other->epoch};
#else
    (void)l;
    (void)other;
#endif
}

/* A life that ended has another epoch, or none. */
bool life_waits(struct life *l)
{
    while (l->wait_count > 0) {
        const struct life_wait *w = &l->waits[l->wait_count - 1];
        const struct life *other = l->spool->lives[w->slot];
        if (other->epoch == w->epoch)
            return true;
        l->wait_count--;
    }
    return l->waits_for_ever;
}

/* Jobs.
 * --------------------------------------------------------------------------------------------
 */

static void on_job(struct spool *s, struct task *t);

static void order(struct life *l, void (*run)(struct job *j))
{
    check(!l->is_job_out);
    l->is_job_out = true;
    task_send(l->spool, l->slot, &l->task, run, on_job);
}

static struct life *life_of(struct job *j)
{
    return container_of(j, struct life, task.job);
}

static void run_prepare(struct job *j)
{
    struct life *l = life_of(j);
    const struct spool *s = l->spool;
    l->fault = segment_prepare(s->disk, l->number, s->spool_id, s->settings.segment_bytes);
}

static void run_open(struct job *j)
{
    struct life *l = life_of(j);
    const struct spool *s = l->spool;
    l->fault = segment_open(s->disk, l->number, s->spool_id, l->epoch, &l->segment);
}

/*
 * A failed segment gets no index: what lies beyond its last sync may be there or not, and all its
 * readers, in this life and in later ones, must see the same of it. A start finds out and settles
 * it.
 */
static void run_seal(struct job *j)
{
    struct life *l = life_of(j);
    segment_close(l->segment);
    l->segment = NULL;
    if (!l->has_failed)
        l->fault = index_write(l->spool->disk, l->number, l->epoch, l->synced);
}

static void run_free(struct job *j)
{
    struct life *l = life_of(j);
    const struct spool *s = l->spool;
    l->fault = segment_free(s->disk, l->number, s->spool_id);
    /* An index without its segment's life is refused by its epoch, so this needs no order. */
    if (l->fault == FAULT_NONE)
        (void)!index_unlink(s->disk, l->number);
}

static enum fault remove_segment(struct disk *d, uint32_t number, bool is_kept)
{
    char name[SEGMENT_NAME_MAX], aside[SEGMENT_NAME_MAX];
    segment_name(number, name);
    segment_aside_name(number, aside);
    enum fault fault = is_kept ? disk_rename(d, name, aside) : disk_unlink(d, name);
    return fault == FAULT_NOT_FOUND ? FAULT_NONE : fault;
}

/* Durably gone before its number or its epoch means nothing any more. What is damaged is kept under
   another name, for its owner to look at. */
static void run_trim(struct job *j)
{
    struct life *l = life_of(j);
    const struct spool *s = l->spool;
    segment_close(l->segment);
    l->segment = NULL;
    l->fault = remove_segment(s->disk, l->number, l->is_damaged);
    if (l->fault == FAULT_NONE)
        l->fault = index_unlink(s->disk, l->number);
    if (l->fault == FAULT_NONE)
        l->fault = disk_sync(s->disk);
}

static void trim(struct life *l)
{
    life_enter(l, LIFE_TRIMMING);
    order(l, run_trim);
}

static void open_ahead(struct life *l)
{
    struct spool *s = l->spool;
#ifndef PLANTED_BUG_STALE_BYTES
    s->epoch++;
#endif
    l->epoch = s->epoch;
    life_enter(l, LIFE_OPENING);
    order(l, run_open);
}

static void pause(struct life *l)
{
    l->is_paused = true;
    spool_retry_later(l->spool);
}

static void no_next(struct life *l)
{
    struct spool *s = l->spool;
    s->is_next_paused = true;
    spool_retry_later(s);
    if (s->tail == NULL)
        lives_fail(s, l->fault);
    trim(l);
}

static void on_prepared(struct life *l)
{
    if (l->fault == FAULT_NONE)
        life_enter(l, LIFE_FREE);
    else
        no_next(l);
}

static void on_opened(struct life *l)
{
    if (l->fault != FAULT_NONE) {
        no_next(l);
        return;
    }
    life_enter(l, LIFE_NEXT);
    l->spool->next = l;
}

/* Its slot may be used again. */
static void life_is_over(struct life *l)
{
    l->epoch = 0;
    l->wait_count = 0;
    l->has_failed = l->is_damaged = l->is_unreadable = l->is_paused = false;
}

/* A header that cannot be read any more is as good as none: the file goes. */
static void on_freed(struct life *l)
{
    if (l->fault == FAULT_NONE) {
        life_is_over(l);
        life_enter(l, LIFE_FREE);
    } else if (l->fault == FAULT_DAMAGED || l->fault == FAULT_NOT_FOUND) {
        trim(l);
    } else {
        life_enter(l, LIFE_SEALED);
        pause(l);
    }
}

static void on_trimmed(struct life *l)
{
    if (l->fault != FAULT_NONE) {
        pause(l);
        return;
    }
    life_is_over(l);
    life_enter(l, LIFE_NONE);
}

static void on_job(struct spool *s, struct task *t)
{
    struct life *l = container_of(t, struct life, task);
    (void)s;
    l->is_job_out = false;
    switch (l->use) {
    case LIFE_PREPARING:
        on_prepared(l);
        break;
    case LIFE_OPENING:
        on_opened(l);
        break;
    case LIFE_FREEING:
        on_freed(l);
        break;
    case LIFE_TRIMMING:
        on_trimmed(l);
        break;
    case LIFE_SEALED: /* its index is written, or will be made by the next start */
    case LIFE_NONE:
    case LIFE_FREE:
    case LIFE_NEXT:
    case LIFE_TAIL:
        break;
    }
}

/* Plans.
 * -------------------------------------------------------------------------------------------
 */

bool lives_take_next(struct spool *s)
{
    if (s->next == NULL)
        return false;
    s->tail = s->next;
    s->next = NULL;
    life_enter(s->tail, LIFE_TAIL);
    s->fail_fault = FAULT_NONE;
    /* What a failed segment may hold beyond its last sync is written again in later ones: a copy of
       a base there must not outlive a DONE here. */
    for (uint32_t i = 0; i < s->life_count; i++)
        if (s->lives[i]->has_failed)
            life_wait_for(s->tail, s->lives[i]);
    return true;
}

void lives_fail(struct spool *s, enum fault fault)
{
    if (s->fail_fault == FAULT_NONE)
        LOG(actor_log(s->actor), fault == FAULT_DISK_FULL ? EVENT_SPOOL_FULL : EVENT_SPOOL_FAILED,
            log_fault("fault", fault));
    s->fail_fault = fault;
    s->is_tail_paused = true;
    spool_retry_later(s);
}

void lives_leave_tail(struct spool *s)
{
    struct life *l = s->tail;
    l->synced = segment_synced(l->segment);
    s->tail = NULL;
    life_enter(l, LIFE_SEALED);
    order(l, run_seal);
}

static void cannot_prepare(struct spool *s, enum fault fault)
{
    bool is_needed = s->tail == NULL && s->next == NULL && s->free_files + s->coming_files == 0;
    s->is_next_paused = true;
    spool_retry_later(s);
    if (is_needed)
        lives_fail(s, fault);
}

static void prepare_another(struct spool *s)
{
    room_look(s);
    if (!room_for_file(s)) {
        cannot_prepare(s, FAULT_DISK_FULL);
        return;
    }
    struct life *l = life_new(s, s->number_max + 1, LIFE_PREPARING);
    if (l != NULL)
        order(l, run_prepare);
    else
        cannot_prepare(s, FAULT_NO_MEMORY);
}

static void plan_next(struct spool *s)
{
    struct life *free_one = NULL;
    bool is_opening = false, is_preparing = false;
    for (uint32_t i = 0; i < s->life_count; i++) {
        enum life_use use = s->lives[i]->use;
        is_preparing = is_preparing || use == LIFE_PREPARING;
        is_opening = is_opening || use == LIFE_OPENING;
        if (use == LIFE_FREE && free_one == NULL)
            free_one = s->lives[i];
    }
    if (s->is_next_paused)
        return;
    if (s->next == NULL && !is_opening && free_one != NULL)
        open_ahead(free_one);
    uint32_t files = s->free_files + s->coming_files + (s->next != NULL);
    if (!is_preparing && files < room_files_wanted(s))
        prepare_another(s);
}

static bool may_end(struct life *l)
{
    return l->use == LIFE_SEALED && !l->is_job_out && !l->is_paused && l->live_bytes == 0 &&
           l->pins == 0 && !life_waits(l);
}

/* The tail, or the next one, is later than all that are sealed. */
static void plan_ends(struct spool *s)
{
    if (s->tail == NULL && s->next == NULL)
        return;
    for (uint32_t i = 0; i < s->life_count; i++) {
        struct life *l = s->lives[i];
        if (l->use == LIFE_TRIMMING && !l->is_job_out && !l->is_paused)
            order(l, run_trim);
        if (!may_end(l))
            continue;
        if (l->has_failed || l->is_damaged) {
            trim(l);
            continue;
        }
        life_enter(l, LIFE_FREEING);
        order(l, run_free);
    }
}

/* A failed spool begins anew with a tail whose header could just be written and synced. */
static void end_failure(struct spool *s)
{
    if (s->fail_fault != FAULT_NONE && !s->is_tail_paused && s->tail == NULL)
        (void)lives_take_next(s);
}

void lives_plan(struct spool *s)
{
    end_failure(s);
    plan_next(s);
    room_keep_looking(s);
    if (s->is_ready) {
        plan_ends(s);
        room_plan(s);
    }
    atomic_store_explicit(&s->takes_mail, (int)room_for_mail(s), memory_order_relaxed);
    atomic_store_explicit(&s->counters.segments, s->files, memory_order_relaxed);
    atomic_store_explicit(&s->counters.segments_free, s->free_files, memory_order_relaxed);
    atomic_store_explicit(&s->counters.live_bytes, s->live_bytes, memory_order_relaxed);
    atomic_store_explicit(&s->counters.content_bytes, s->content_bytes, memory_order_relaxed);
}

void lives_trim(struct life *l)
{
    trim(l);
}

/* The start and the end.
 * ---------------------------------------------------------------------------
 */

static struct life *prepare_first(struct spool *s, enum fault *fault)
{
    struct life *l = life_new(s, s->number_max + 1, LIFE_PREPARING);
    *fault = FAULT_NO_MEMORY;
    if (l == NULL)
        return NULL;
    run_prepare(&l->task.job);
    *fault = l->fault;
    if (l->fault != FAULT_NONE) {
        life_enter(l, LIFE_TRIMMING); /* later, should there be another one for the tail */
        return NULL;
    }
    life_enter(l, LIFE_FREE);
    return l;
}

/* On a full disk: one that a life before has opened and never written to. */
static struct life *reuse_unwritten(struct spool *s)
{
    for (uint32_t i = 0; i < s->life_count; i++) {
        struct life *l = s->lives[i];
        if (l->use != LIFE_SEALED || !start_is_unwritten(s, l->number))
            continue;
        if (segment_free(s->disk, l->number, s->spool_id) != FAULT_NONE)
            continue;
        l->epoch = 0;
        life_enter(l, LIFE_FREEING);
        life_enter(l, LIFE_FREE);
        return l;
    }
    return NULL;
}

enum fault lives_open_first(struct spool *s)
{
    struct life *l = NULL;
    enum fault fault = FAULT_NONE;
    room_look(s);
    for (uint32_t i = 0; i < s->life_count && l == NULL; i++)
        if (s->lives[i]->use == LIFE_FREE)
            l = s->lives[i];
    if (l == NULL)
        l = prepare_first(s, &fault);
    if (l == NULL && fault == FAULT_DISK_FULL)
        l = reuse_unwritten(s);
    if (l == NULL)
        return fault;
    l->epoch = ++s->epoch;
    life_enter(l, LIFE_OPENING);
    run_open(&l->task.job);
    if (l->fault != FAULT_NONE)
        return l->fault;
    life_enter(l, LIFE_NEXT);
    s->next = l;
    return lives_take_next(s) ? FAULT_NONE : FAULT_UNKNOWN;
}

bool lives_are_idle(const struct spool *s)
{
    for (uint32_t i = 0; i < s->life_count; i++)
        if (s->lives[i]->is_job_out)
            return false;
    return true;
}

void lives_free(struct spool *s)
{
    for (uint32_t i = 0; i < s->life_count; i++) {
        segment_close(s->lives[i]->segment);
        free(s->lives[i]->waits);
        free(s->lives[i]);
    }
}
