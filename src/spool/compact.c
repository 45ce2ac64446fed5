/*
 * compact: copies what lives out of a segment that holds little, so that it can be used again.
 *
 * The segment is pinned. A piece of work is at most COMPACT_BYTES: the disk pool reads and verifies
 * the records, the next batch takes them behind the appends of that turn, and when it is synced
 * their places move. Base and state are copied as they are, with their versions.
 */
#include <stdlib.h>

#include "base/log.h"
#include "spool/spool_inside.h"

static void run_index(struct job *j)
{
    struct compaction *w = container_of(j, struct compaction, job);
    w->fault = index_look(w->spool->disk, w->life->number, w->life->epoch, &w->index);
}

static void run_read(struct job *j)
{
    struct compaction *w = container_of(j, struct compaction, job);
    const struct life *l = w->life;
    for (uint32_t i = 0; i < w->copy_count && w->fault == FAULT_NONE; i++) {
        struct copy *c = &w->copies[i];
        if (c->type != RECORD_SENDING)
            w->fault = record_fetch(w->spool->disk, l->number, l->epoch, c->offset, c->id, c->type,
                                    &c->memory, &c->payload);
    }
}

static void order(struct compaction *w, void (*run)(struct job *j))
{
    w->fault = FAULT_NONE;
    w->is_job_out = true;
    w->job.run = run;
    job_send(w->spool->actor, w->spool->pool, w->life->slot, &w->job);
}

void compact_begin(struct spool *s, struct life *l)
{
    struct compaction *w = &s->compaction;
    check(w->life == NULL);
    w->spool = s;
    w->life = l;
    w->at = 0;
    w->copy_count = 0;
    w->is_read = false;
    w->copied_bytes = 0;
    life_pin(l);
    order(w, run_index);
}

static void forget_copies(struct compaction *w)
{
    for (uint32_t i = 0; i < w->copy_count; i++)
        free(w->copies[i].memory);
    w->copy_count = 0;
    w->is_read = false;
}

static void end(struct spool *s)
{
    struct compaction *w = &s->compaction;
    forget_copies(w);
    index_free(w->index);
    w->index = NULL;
    life_unpin(w->life);
    w->life = NULL;
}

static bool lives_here(const struct spool *s, const struct index_entry *e)
{
    const struct placed *p = places_find(&s->places, e->id);
    uint32_t here = s->compaction.life->slot;
    if (p == NULL)
        return false;
    switch (e->type) {
    case RECORD_ACCEPTED:
        return p->base_segment == here && p->base_offset == e->offset;
    case RECORD_SENDING:
        return p->sending_segment == here;
    case RECORD_OUTCOME:
    case RECORD_CONTROL:
        return p->state_bytes > 0 && p->state_segment == here && p->state_offset == e->offset;
    case RECORD_DONE:
    case RECORD_GROUP:
        break;
    }
    return false;
}

/* Chooses the next piece. False: the end of the segment is reached and nothing more lives in it. */
static bool choose(struct spool *s)
{
    struct compaction *w = &s->compaction;
    struct index_entry e;
    uint64_t bytes = 0;
    while (w->copy_count < COMPACT_RECORDS && bytes < COMPACT_BYTES &&
           index_next(w->index, &w->at, &e)) {
        if (!lives_here(s, &e))
            continue;
        w->copies[w->copy_count++] =
            (struct copy){.type = e.type, .id = e.id, .version = e.version, .offset = e.offset};
        bytes += e.bytes;
        w->copied_bytes += e.bytes;
    }
    return w->copy_count > 0;
}

/* What cannot be read stays where it is, reported; its segment is kept for its owner to look at. */
static void set_aside(struct spool *s)
{
    struct compaction *w = &s->compaction;
    w->life->is_set_aside = true;
    spool_count(&s->counters.damaged, 1);
    LOG(actor_log(s->actor), EVENT_SPOOL_DAMAGED, log_u64("segment", w->life->number),
        log_u64("live_bytes", w->life->live_bytes));
}

void compact_on_job(struct spool *s)
{
    struct compaction *w = &s->compaction;
    w->is_job_out = false;
    if (w->fault == FAULT_NONE) {
        w->is_read = w->copy_count > 0;
        return;
    }
    if (w->fault == FAULT_DAMAGED)
        set_aside(s);
    end(s);
    spool_retry_later(s);
}

void compact_turn(struct spool *s)
{
    struct compaction *w = &s->compaction;
    if (w->life == NULL || w->is_job_out || w->is_read)
        return;
    if (choose(s)) {
        order(w, run_read);
        return;
    }
    if (w->life->live_bytes > 0 && w->copied_bytes == 0) {
        set_aside(s); /* what lives in it lies in a damaged stretch */
        end(s);
        return;
    }
    spool_count(&s->counters.segments_compacted, 1);
    LOG(actor_log(s->actor), EVENT_SPOOL_COMPACTED, log_u64("segment", w->life->number));
    end(s);
}

bool compact_has_copies(const struct spool *s)
{
    return s->compaction.is_read;
}

void compact_copies_done(struct spool *s)
{
    forget_copies(&s->compaction);
}

void compact_free(struct spool *s)
{
    forget_copies(&s->compaction);
    index_free(s->compaction.index);
}
