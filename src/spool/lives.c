/*
 * lives: the lives of segments. All file work on them is done by jobs of the disk pool; the spool's
 * thread only decides. The next tail is opened ahead, so that a full one is followed at once.
 */
#include <stdlib.h>

#include "base/log.h"
#include "spool/spool_inside.h"

#define SPARE_MAX \
    2u /* free files kept beside the next tail; more are unlinked when disk is short */

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
#ifndef PLANTED_BUG_READER_NOT_PINNED
    l->pins++;
#endif
}

void life_unpin(struct life *l)
{
#ifndef PLANTED_BUG_READER_NOT_PINNED
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
static bool waits(struct life *l)
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

static void order(struct life *l, void (*run)(struct job *j))
{
    check(!l->is_job_out);
    l->is_job_out = true;
    l->job.run = run;
    job_send(l->spool->actor, l->spool->pool, l->slot, &l->job);
}

static void run_prepare(struct job *j)
{
    struct life *l = container_of(j, struct life, job);
    const struct spool *s = l->spool;
    l->fault = segment_prepare(s->disk, l->number, s->spool_id, s->settings.segment_bytes);
}

static void run_open(struct job *j)
{
    struct life *l = container_of(j, struct life, job);
    const struct spool *s = l->spool;
    l->fault = segment_open(s->disk, l->number, s->spool_id, l->epoch, &l->segment);
}

static void run_seal(struct job *j)
{
    struct life *l = container_of(j, struct life, job);
    segment_close(l->segment);
    l->segment = NULL;
    l->fault = index_write(l->spool->disk, l->number, l->epoch, l->synced);
}

static void run_free(struct job *j)
{
    struct life *l = container_of(j, struct life, job);
    const struct spool *s = l->spool;
    l->fault = segment_free(s->disk, l->number, s->spool_id);
    /* An index without its segment's life is refused by its epoch, so this needs no order. */
    if (l->fault == FAULT_NONE)
        (void)!index_unlink(s->disk, l->number);
}

/* Durably gone before its number or its epoch means nothing any more. */
static void run_trim(struct job *j)
{
    struct life *l = container_of(j, struct life, job);
    const struct spool *s = l->spool;
    char name[SEGMENT_NAME_MAX];
    segment_close(l->segment);
    l->segment = NULL;
    segment_name(l->number, name);
    l->fault = disk_unlink(s->disk, name);
    if (l->fault == FAULT_NOT_FOUND)
        l->fault = FAULT_NONE;
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

static void on_prepared(struct life *l)
{
    if (l->fault == FAULT_NONE) {
        life_enter(l, LIFE_FREE);
        return;
    }
    if (l->spool->tail == NULL)
        l->spool->fail_fault = l->fault;
    trim(l);
    spool_retry_later(l->spool);
}

static void on_opened(struct life *l)
{
    struct spool *s = l->spool;
    if (l->fault == FAULT_NONE) {
        life_enter(l, LIFE_NEXT);
        s->next = l;
        return;
    }
    if (s->tail == NULL)
        s->fail_fault = l->fault;
    trim(l);
    spool_retry_later(s);
}

/* A header that cannot be read any more is as good as none: the file goes. */
static void on_freed(struct life *l)
{
    if (l->fault == FAULT_NONE) {
        l->epoch = 0;
        l->wait_count = 0;
        life_enter(l, LIFE_FREE);
    } else if (l->fault == FAULT_DAMAGED || l->fault == FAULT_NOT_FOUND) {
        trim(l);
    } else {
        life_enter(l, LIFE_SEALED);
        spool_retry_later(l->spool);
    }
}

static void on_trimmed(struct life *l)
{
    if (l->fault != FAULT_NONE) {
        spool_retry_later(l->spool); /* lives_plan orders it again */
        return;
    }
    l->epoch = 0;
    l->wait_count = 0;
    l->has_failed = l->is_set_aside = false;
    life_enter(l, LIFE_NONE);
}

void life_on_job(struct life *l)
{
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

void lives_leave_tail(struct spool *s)
{
    struct life *l = s->tail;
    l->synced = segment_synced(l->segment);
    s->tail = NULL;
    life_enter(l, LIFE_SEALED);
    order(l, run_seal);
}

/* How many more segments could be had: free ones, and files that there is room for. */
static uint64_t segments_left(const struct spool *s)
{
    uint64_t by_room = s->room_bytes / s->settings.segment_bytes;
    uint64_t most = s->settings.disk_bytes_max / s->settings.segment_bytes;
    uint64_t by_limit = most > s->files ? most - s->files : 0;
    if (s->settings.disk_bytes_max == 0)
        by_limit = by_room;
    return s->free_files + (by_room < by_limit ? by_room : by_limit) + (s->next != NULL);
}

static void plan_next(struct spool *s)
{
    struct life *l = NULL;
    if (s->next != NULL)
        return;
    for (uint32_t i = 0; i < s->life_count; i++) {
        enum life_use use = s->lives[i]->use;
        if (use == LIFE_PREPARING || use == LIFE_OPENING)
            return;
        if (use == LIFE_FREE && l == NULL)
            l = s->lives[i];
    }
    if (l != NULL) {
        open_ahead(l);
        return;
    }
    if (disk_room(s->disk, &s->room_bytes) != FAULT_NONE)
        s->room_bytes = 0;
    if (segments_left(s) == 0) {
        if (s->tail == NULL)
            s->fail_fault = FAULT_DISK_FULL;
        spool_retry_later(s);
        return;
    }
    l = life_new(s, s->number_max + 1, LIFE_PREPARING);
    if (l != NULL)
        order(l, run_prepare);
}

/* True when a life was ended or may still be. */
static void plan_ends(struct spool *s)
{
    for (uint32_t i = 0; i < s->life_count; i++) {
        struct life *l = s->lives[i];
        if (l->use == LIFE_TRIMMING && !l->is_job_out && !heap_contains(&s->retry.node))
            order(l, run_trim);
        if (l->use != LIFE_SEALED || l->is_job_out || l->live_bytes > 0 || l->pins > 0 || waits(l))
            continue;
        if (heap_contains(&s->retry.node) && l->fault != FAULT_NONE)
            continue;
        if (l->has_failed) {
            trim(l);
            continue;
        }
        life_enter(l, LIFE_FREEING);
        order(l, run_free);
    }
}

static bool is_over_bound(const struct spool *s)
{
    uint64_t used = (uint64_t)s->files * s->settings.segment_bytes;
    return used > 2 * s->live_bytes + (uint64_t)SLACK_SEGMENTS * s->settings.segment_bytes;
}

static void plan_room(struct spool *s)
{
    struct life *emptiest = NULL, *spare = NULL;
    bool is_short = segments_left(s) <= s->settings.segments_reserved;
    if (!is_over_bound(s) && !is_short)
        return;
    for (uint32_t i = 0; i < s->life_count; i++) {
        struct life *l = s->lives[i];
        if (l->use == LIFE_FREE)
            spare = l;
        if (l->use == LIFE_SEALED && l->live_bytes > 0 && !l->is_job_out && !l->is_set_aside &&
            (emptiest == NULL || l->live_bytes < emptiest->live_bytes))
            emptiest = l;
    }
    if (emptiest != NULL && emptiest->live_bytes > s->settings.segment_bytes / 4 * 3)
        emptiest = NULL; /* copying it would win next to nothing */
    if (spare != NULL && s->free_files > SPARE_MAX && !is_short)
        trim(spare);
    else if (emptiest != NULL && s->compaction.life == NULL)
        compact_begin(s, emptiest);
}

static enum fault judge_room(const struct spool *s)
{
    if (s->fail_fault != FAULT_NONE)
        return s->fail_fault;
    return segments_left(s) > s->settings.segments_reserved ? FAULT_NONE : FAULT_DISK_FULL;
}

/* While mail is refused for want of room no append asks for any, and nobody tells when others have
   made some. */
static void look_for_room(struct spool *s)
{
    if (heap_contains(&s->retry.node))
        return;
    if (disk_room(s->disk, &s->room_bytes) != FAULT_NONE)
        s->room_bytes = 0;
    if (judge_room(s) == FAULT_DISK_FULL)
        spool_retry_later(s);
}

void lives_plan(struct spool *s)
{
    plan_next(s);
    if (judge_room(s) == FAULT_DISK_FULL)
        look_for_room(s);
    if (s->is_ready) {
        plan_ends(s);
        plan_room(s);
    }
    atomic_store_explicit(&s->takes_mail, (int)judge_room(s), memory_order_relaxed);
    atomic_store_explicit(&s->counters.segments, s->files, memory_order_relaxed);
    atomic_store_explicit(&s->counters.segments_free, s->free_files, memory_order_relaxed);
    atomic_store_explicit(&s->counters.live_bytes, s->live_bytes, memory_order_relaxed);
}

/* The start and the end.
 * ---------------------------------------------------------------------------
 */

enum fault lives_open_first(struct spool *s)
{
    struct life *l = NULL;
    enum fault fault = disk_room(s->disk, &s->room_bytes);
    if (fault != FAULT_NONE)
        return fault;
    for (uint32_t i = 0; i < s->life_count && l == NULL; i++)
        if (s->lives[i]->use == LIFE_FREE)
            l = s->lives[i];
    if (l == NULL) {
        l = life_new(s, s->number_max + 1, LIFE_PREPARING);
        if (l == NULL)
            return FAULT_NO_MEMORY;
        run_prepare(&l->job);
        if (l->fault != FAULT_NONE)
            return l->fault;
        life_enter(l, LIFE_FREE);
    }
    l->epoch = ++s->epoch;
    life_enter(l, LIFE_OPENING);
    run_open(&l->job);
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
