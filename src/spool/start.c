/*
 * start: recovery beside the running spool. New mail is accepted meanwhile; no old life ends before
 * all is known and told.
 *
 *   SCAN each segment --> RESOLVE --> IMPORT places and lives, some in each turn --> MESSAGES of
 *   each segment, a letter to the queue for each --> ORPHANS (content files that no message names
 *   are unlinked) --> OVER
 *
 * What fails for want of memory or by the disk is tried again; nothing is given up.
 */
#include <stdlib.h>

#include "base/log.h"
#include "spool/spool_inside.h"

#define IMPORT_PLACES                                                           \
    16384u /* in a turn, so that commits beside wait a few milliseconds at most \
            */

static void run(struct job *j)
{
    struct start *t = container_of(j, struct start, task.job);
    struct spool *s = container_of(t, struct spool, start);
    const char *name;
    size_t at = 0;
    switch (t->step) {
    case START_SCAN:
        t->fault = recovery_scan(t->recovery, t->segment);
        break;
    case START_RESOLVE:
        t->fault = recovery_resolve(t->recovery);
        break;
    case START_MESSAGES:
        t->fault = recovery_messages(t->recovery, t->segment, &t->messages, &t->message_count);
        break;
    case START_ORPHANS:
        /* One that stays is an orphan at the next start, too. */
        while ((name = recovery_orphan(t->recovery, &at)) != NULL)
            (void)!disk_unlink(s->disk, name);
        break;
    case START_IMPORT:
    case START_OVER:
        check(false);
    }
}

static uint32_t segment_count(const struct start *t)
{
    uint32_t count;
    (void)recovery_segments(t->recovery, &count);
    return count;
}

/* In the recovery's table, which is sorted; UINT32_MAX: it is not there. */
static uint32_t place_of_number(const struct spool *s, uint32_t number)
{
    uint32_t count;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    uint32_t from = 0, to = count;
    while (to - from > 1) {
        uint32_t middle = from + (to - from) / 2;
        if (all[middle].number <= number)
            from = middle;
        else
            to = middle;
    }
    return count > 0 && all[from].number == number ? from : UINT32_MAX;
}

bool start_has_segment(const struct spool *s, uint32_t number)
{
    return place_of_number(s, number) != UINT32_MAX;
}

static struct life *life_of_number(const struct spool *s, uint32_t number)
{
    uint32_t at = place_of_number(s, number);
    check(at != UINT32_MAX && s->start.lives[at] != NULL);
    return s->start.lives[at];
}

bool start_adopt(struct spool *s)
{
    uint32_t count;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    s->start.lives = calloc(count + (size_t)1, sizeof(struct life *));
    if (s->start.lives == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].number > s->number_max)
            s->number_max = all[i].number;
        if (all[i].is_broken)
            continue;
        struct life *l = life_new(s, all[i].number, all[i].is_free ? LIFE_FREE : LIFE_SEALED);
        if (l == NULL)
            return false;
        l->epoch = all[i].epoch;
        s->start.lives[i] = l;
    }
    return true;
}

/* The free ones may have a new life already. */
static bool is_imported(const struct recovered_segment *r, const struct life *l)
{
    return l != NULL && l->use == LIFE_SEALED && l->epoch == r->epoch;
}

static void import_lives(struct spool *s)
{
    uint32_t count;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct life *l = s->start.lives[i];
        if (!is_imported(&all[i], l))
            continue;
        for (uint32_t w = 0; w < all[i].waits_for_count; w++)
            life_wait_for(l, s->start.lives[all[i].waits_for[w]]);
    }
}

static void import_place(struct spool *s, const struct recovered_place *r)
{
    struct life *base = life_of_number(s, r->base.segment);
    struct life *state = r->state.bytes > 0 ? life_of_number(s, r->state.segment) : NULL;
    struct life *sending = r->sending.bytes > 0 ? life_of_number(s, r->sending.segment) : NULL;
    struct placed *p = places_add(&s->places, r->id);
    p->base_segment = base->slot;
    p->base_offset = r->base.offset;
    p->base_bytes = r->base.bytes & PLACE_BYTES_MASK;
    p->in_file = r->in_file;
    p->version = r->version;
    life_hold(base, r->base.bytes);
    if (state != NULL) {
        p->state_segment = state->slot;
        p->state_offset = r->state.offset;
        p->state_bytes = r->state.bytes;
        life_hold(state, r->state.bytes);
    }
    if (sending != NULL) {
        p->sending_segment = sending->slot;
        life_hold(sending, RECORD_HEADER_BYTES);
    }
}

/* Messages that came since the start are in the table already; none of them is among these. */
static void import_turn(struct spool *s)
{
    struct start *t = &s->start;
    struct recovered_place r;
    uint32_t left = IMPORT_PLACES;
    if (!places_reserve(&s->places, IMPORT_PLACES)) {
        t->is_paused = true;
        spool_retry_later(s);
        return;
    }
    while (left > 0 && recovery_place(t->recovery, &t->place, &r)) {
        import_place(s, &r);
        left--;
    }
    if (left == 0) {
        (void)loop_wake(actor_loop(s->actor));
        return;
    }
    import_lives(s);
    t->segment = 0;
    t->step = START_MESSAGES;
}

/* What is damaged is put aside in the end, not written over. */
static void report(struct spool *s)
{
    struct recovery_counts n = recovery_counts(s->start.recovery);
    uint32_t count, damaged = 0;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].damage_count == 0)
            continue;
        damaged += all[i].damage_count;
        if (is_imported(&all[i], s->start.lives[i]))
            s->start.lives[i]->is_damaged = true;
        LOG(actor_log(s->actor), EVENT_SPOOL_DAMAGED, log_u64("segment", all[i].number),
            log_u64("stretches", all[i].damage_count));
    }
    spool_count(&s->counters.damaged, damaged);
    LOG(actor_log(s->actor), EVENT_SPOOL_RECOVERED, log_u64("messages", n.living),
        log_u64("sending", n.sending), log_u64("ended", n.ended), log_u64("segments", count),
        log_u64("damaged", damaged));
}

static void tell_queue(struct spool *s, bool last)
{
    struct start *t = &s->start;
    t->letter.messages = t->messages;
    t->letter.count = t->message_count;
    t->letter.last = last;
    t->is_letter_out = true;
    letter_send(s->actor, s->queue, &t->letter.letter, LETTER_RECOVERED, NULL);
}

static void on_done(struct spool *s, struct task *t);

static void order(struct spool *s)
{
    s->start.is_job_out = true;
    task_send(s, 0, &s->start.task, run, on_done);
}

static void over(struct spool *s)
{
    report(s);
    recovery_free(s->start.recovery);
    s->start.recovery = NULL;
    free(s->start.lives);
    s->start.lives = NULL;
    s->is_ready = true;
    atomic_store_explicit(&s->counters.recovered, 1, memory_order_relaxed);
    atomic_store_explicit(&s->counters.messages, places_count(&s->places), memory_order_relaxed);
}

void start_turn(struct spool *s)
{
    struct start *t = &s->start;
    if (t->step == START_OVER || t->is_job_out || t->is_letter_out || t->is_paused)
        return;
    uint32_t count = segment_count(t);
    if (t->step == START_SCAN && t->segment == count)
        t->step = START_RESOLVE;
    if (t->step == START_IMPORT)
        import_turn(s);
    if (t->step == START_IMPORT)
        return;
    if (t->step == START_MESSAGES && t->segment == count) {
        t->step = START_ORPHANS;
        t->messages = NULL;
        t->message_count = 0;
        tell_queue(s, true);
        return;
    }
    order(s);
}

static void on_done(struct spool *s, struct task *task)
{
    struct start *t = &s->start;
    (void)task;
    t->is_job_out = false;
    if (t->fault != FAULT_NONE) {
        t->is_paused = true;
        spool_retry_later(s);
        return;
    }
    switch (t->step) {
    case START_SCAN:
        t->segment++;
        break;
    case START_RESOLVE:
        t->step = START_IMPORT;
        break;
    case START_MESSAGES:
        t->segment++;
        if (t->message_count > 0)
            tell_queue(s, false);
        break;
    case START_ORPHANS:
        t->step = START_OVER;
        over(s);
        break;
    case START_IMPORT:
    case START_OVER:
        break;
    }
}

void start_on_letter(struct spool *s)
{
    s->start.is_letter_out = false;
}

bool start_is_unwritten(struct spool *s, uint32_t number)
{
    uint32_t count, at = place_of_number(s, number);
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    if (at == UINT32_MAX || recovery_scan(s->start.recovery, at) != FAULT_NONE)
        return false;
    return all[at].record_count == 0 && all[at].damage_count == 0;
}
