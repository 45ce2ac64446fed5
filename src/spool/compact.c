/*
 * compact: copies what lives out of segments that hold little, so that they can be used again.
 *
 * The segment is pinned. A piece of work is at most COMPACT_BYTES: the disk pool reads and verifies
 * the records, the next batches take them behind the appends of their turn, and once they are
 * synced their places move. Base and state are copied as they are, with their versions; a state
 * together with the SENDING that is newer, in a group, so that it does not come to be the newer
 * one. What is just being changed stays, and so does a message whose end was refused: its DONE may
 * lie in an earlier segment than the copy would.
 */
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "spool/spool_inside.h"

static void run_index(struct job *j)
{
    struct compaction *w = container_of(j, struct compaction, task.job);
    w->fault = index_look(w->spool->disk, w->life->number, w->life->epoch, &w->index);
}

static enum fault join_sending(struct copy *c)
{
    buffer_init(&c->group, c->payload.len + 2 * GROUP_MEMBER_HEADER_BYTES);
    bool fits = group_put(&c->group, c->type, c->id, c->version, c->payload) &&
                group_put(&c->group, RECORD_SENDING, c->id, c->version, (struct span){NULL, 0});
    c->record = buffer_span(&c->group);
    return fits ? FAULT_NONE : FAULT_NO_MEMORY;
}

static enum fault read_copy(const struct compaction *w, struct copy *c)
{
    enum fault fault = FAULT_NONE;
    if (c->type != RECORD_SENDING)
        fault = record_fetch(w->spool->disk, w->life->number, w->life->epoch, c->offset, c->id,
                             c->type, &c->memory, &c->payload);
    c->record = c->payload;
    if (fault == FAULT_NONE && c->with_sending)
        fault = join_sending(c);
    c->record_crc = crc32c(0, c->record);
    return fault;
}

static void run_read(struct job *j)
{
    struct compaction *w = container_of(j, struct compaction, task.job);
    for (uint32_t i = 0; i < w->copy_count && w->fault == FAULT_NONE; i++)
        w->fault = read_copy(w, &w->copies[i]);
}

static void on_done(struct spool *s, struct task *t);

static void order(struct compaction *w, void (*run)(struct job *j))
{
    w->fault = FAULT_NONE;
    w->is_job_out = true;
    task_send(w->spool, w->life->slot, &w->task, run, on_done);
}

void compact_begin(struct spool *s, struct life *l)
{
    struct compaction *w = &s->compaction;
    check(w->life == NULL);
    w->spool = s;
    w->life = l;
    w->at = 0;
    w->copied_bytes = 0;
    life_pin(l);
    order(w, run_index);
}

static void forget_copies(struct compaction *w)
{
    for (uint32_t i = 0; i < w->copy_count; i++) {
        free(w->copies[i].memory);
        buffer_fini(&w->copies[i].group);
    }
    w->copy_count = w->added = w->synced = w->in_batch = 0;
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

/* Not at once again: something in it cannot be had now. */
static void end_for_now(struct spool *s)
{
    s->compaction.life->is_paused = true;
    spool_retry_later(s);
    end(s);
}

/* Is the place of the message's record of this type here? */
static bool lives_here(const struct spool *s, enum record_type type, struct id id, uint32_t offset)
{
    const struct placed *p = places_find(&s->places, id);
    uint32_t here = s->compaction.life->slot;
    if (p == NULL)
        return false;
    switch (type) {
    case RECORD_ACCEPTED:
        return p->base_segment == here && p->base_offset == offset;
    case RECORD_SENDING:
        return p->sending_segment == here;
    case RECORD_OUTCOME:
    case RECORD_CONTROL:
        return p->state_bytes > 0 && p->state_segment == here && p->state_offset == offset;
    case RECORD_DONE:
    case RECORD_GROUP:
        break;
    }
    return false;
}

bool compact_may_copy(struct spool *s, const struct copy *c)
{
    if (!lives_here(s, c->type, c->id, c->offset))
        return false;
    const struct placed *p = places_find(&s->places, c->id);
    bool is_base = c->type == RECORD_ACCEPTED;
    bool has_sending = p->sending_segment != PLACE_NOWHERE;
    return !p->is_done_in_doubt && (is_base || !p->is_changing) &&
           (is_base || c->type == RECORD_SENDING || c->with_sending == has_sending);
}

static struct copy copy_of(const struct spool *s, const struct index_entry *e)
{
    const struct placed *p = places_find(&s->places, e->id);
    bool is_state = e->type == RECORD_OUTCOME || e->type == RECORD_CONTROL;
    return (struct copy){.type = e->type,
                         .with_sending = is_state && p->sending_segment != PLACE_NOWHERE,
                         .id = e->id,
                         .version = e->version,
                         .offset = e->offset};
}

/* Chooses the next piece. False: the end of the segment is reached and nothing more lives in it. */
static bool choose(struct spool *s)
{
    struct compaction *w = &s->compaction;
    struct index_entry e;
    uint64_t bytes = 0;
    while (w->copy_count < COMPACT_RECORDS && bytes < COMPACT_BYTES &&
           index_next(w->index, &w->at, &e)) {
        if (!lives_here(s, e.type, e.id, e.offset))
            continue;
        w->copies[w->copy_count++] = copy_of(s, &e);
        bytes += e.bytes;
        w->copied_bytes += e.bytes;
    }
    return w->copy_count > 0;
}

/* What cannot be read stays where it is, reported; its segment is kept for its owner to look at. */
static void set_aside(struct spool *s)
{
    struct compaction *w = &s->compaction;
    w->life->is_damaged = w->life->is_unreadable = true;
    spool_count(&s->counters.damaged, 1);
    LOG(actor_log(s->actor), EVENT_SPOOL_DAMAGED, log_u64("segment", w->life->number),
        log_u64("live_bytes", w->life->live_bytes));
}

static void on_done(struct spool *s, struct task *t)
{
    struct compaction *w = container_of(t, struct compaction, task);
    w->is_job_out = false;
    if (w->fault == FAULT_NONE) {
        w->is_read = w->copy_count > 0;
        return;
    }
    if (w->fault == FAULT_DAMAGED)
        set_aside(s);
    end_for_now(s);
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
    if (w->life->live_bytes > 0) {
        if (w->copied_bytes == 0)
            set_aside(s); /* what lives in it lies in a damaged stretch */
        end_for_now(s);
        return;
    }
    spool_count(&s->counters.segments_compacted, 1);
    LOG(actor_log(s->actor), EVENT_SPOOL_COMPACTED, log_u64("segment", w->life->number));
    end(s);
}

bool compact_has_copies(const struct spool *s)
{
    return s->compaction.is_read && s->compaction.added < s->compaction.copy_count;
}

void compact_copies_done(struct spool *s)
{
    forget_copies(&s->compaction);
}

void compact_synced(struct spool *s)
{
    struct compaction *w = &s->compaction;
    w->synced = w->added;
    w->in_batch = 0;
    if (w->is_read && w->added == w->copy_count)
        forget_copies(w);
}

void compact_put_back(struct spool *s)
{
    s->compaction.added = s->compaction.synced;
    s->compaction.in_batch = 0;
}

void compact_give_up(struct spool *s)
{
    if (s->compaction.is_read)
        end_for_now(s);
}

void compact_free(struct spool *s)
{
    forget_copies(&s->compaction);
    index_free(s->compaction.index);
}
