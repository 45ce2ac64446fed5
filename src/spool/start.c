/*
 * start: recovery beside the running spool. New mail is accepted meanwhile; no old life ends before
 * all is known and told.
 *
 *   SCAN each segment --> RESOLVE --> import places and lives --> MESSAGES of each segment, a
 * letter to the queue for each --> ORPHANS (content files that no message names are unlinked) -->
 * OVER
 */
#include <stdlib.h>

#include "base/log.h"
#include "spool/spool_inside.h"

static void run(struct job *j)
{
    struct start *t = container_of(j, struct start, job);
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

static struct life *life_of_number(const struct spool *s, uint32_t number)
{
    for (uint32_t i = 0; i < s->life_count; i++)
        if (s->lives[i]->use != LIFE_NONE && s->lives[i]->number == number)
            return s->lives[i];
    return NULL;
}

static void import_waits(struct spool *s)
{
    uint32_t count;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct life *l = life_of_number(s, all[i].number);
        if (l == NULL || all[i].is_free)
            continue;
        for (uint32_t w = 0; w < all[i].waits_for_count; w++) {
            struct life *other = life_of_number(s, all[all[i].waits_for[w]].number);
            if (other != NULL)
                life_wait_for(l, other);
        }
    }
}

/* Messages that came since the start are in the table already; none of them is among these. */
static bool import_places(struct spool *s)
{
    struct recovered_place r;
    size_t at = 0;
    uint64_t count = recovery_message_count(s->start.recovery);
    if (count > UINT32_MAX || !places_reserve(&s->places, (uint32_t)count))
        return false;
    while (recovery_place(s->start.recovery, &at, &r)) {
        struct life *base = life_of_number(s, r.base.segment);
        struct life *state = r.state.bytes > 0 ? life_of_number(s, r.state.segment) : NULL;
        check(base != NULL);
        struct placed *p = places_add(&s->places, r.id);
        p->base_segment = base->slot;
        p->base_offset = r.base.offset;
        p->base_bytes = r.base.bytes & 0x7FFFFFFF;
        p->in_file = r.in_file;
        p->version = r.version;
        life_hold(base, r.base.bytes);
        if (state != NULL) {
            p->state_segment = state->slot;
            p->state_offset = r.state.offset;
            p->state_bytes = r.state.bytes;
            life_hold(state, r.state.bytes);
        }
    }
    return true;
}

static void report(struct spool *s)
{
    struct recovery_counts n = recovery_counts(s->start.recovery);
    uint32_t count, damaged = 0;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].damage_count == 0)
            continue;
        damaged += all[i].damage_count;
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

static void order(struct spool *s)
{
    s->start.is_job_out = true;
    s->start.job.run = run;
    job_send(s->actor, s->pool, 0, &s->start.job);
}

static void over(struct spool *s)
{
    report(s);
    recovery_free(s->start.recovery);
    s->start.recovery = NULL;
    s->is_ready = true;
    atomic_store_explicit(&s->counters.recovered, 1, memory_order_relaxed);
    atomic_store_explicit(&s->counters.messages, places_count(&s->places), memory_order_relaxed);
}

void start_turn(struct spool *s)
{
    struct start *t = &s->start;
    bool waits = t->is_job_out || t->is_letter_out || heap_contains(&s->retry.node);
    if (t->step == START_OVER || waits)
        return;
    uint32_t count = segment_count(t);
    if (t->step == START_SCAN && t->segment == count)
        t->step = START_RESOLVE;
    if (t->step == START_MESSAGES && t->segment == count) {
        t->step = START_ORPHANS;
        t->messages = NULL;
        t->message_count = 0;
        tell_queue(s, true);
        return;
    }
    order(s);
}

/* Memory or the disk may be there again later; nothing is given up. */
void start_on_job(struct spool *s)
{
    struct start *t = &s->start;
    t->is_job_out = false;
    if (t->fault != FAULT_NONE) {
        spool_retry_later(s);
        return;
    }
    switch (t->step) {
    case START_SCAN:
        t->segment++;
        break;
    case START_RESOLVE:
        t->segment = 0;
        if (!import_places(s)) {
            t->fault = FAULT_NO_MEMORY;
            spool_retry_later(s);
            return;
        }
        import_waits(s);
        t->step = START_MESSAGES;
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
    case START_OVER:
        break;
    }
}

void start_on_letter(struct spool *s)
{
    s->start.is_letter_out = false;
}
