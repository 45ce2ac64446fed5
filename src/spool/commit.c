/*
 * commit: group commit, from gathered appends to their answers.
 *
 * A turn takes what has been gathered into one batch, writes it, answers the SENDINGs (which only
 * have to survive the process), syncs, and only then lets the records count: in the table of
 * places, in the lives of segments, in the answers. A batch that cannot be written or synced goes,
 * record for record, into the next segment; the failed one is left for good, since after a failed
 * sync nothing unsynced may be believed even if a later sync succeeds. If that fails too, all is
 * answered in vain.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "spool/content.h"
#include "spool/spool_inside.h"

#define STRIKES_MAX 2u

static void answer(struct spool *s, struct append *a, enum fault fault)
{
    a->fault = fault;
    letter_answer(s->actor, &a->letter);
}

void commit_gather(struct spool *s, struct append *a)
{
    list_append(&s->gathered, &a->node);
}

void commit_answer_all(struct spool *s, enum fault fault)
{
    for (struct list *node; (node = list_take_first(&s->gathered)) != NULL;) {
        struct append *a = container_of(node, struct append, node);
        answer(s, a, a->type == RECORD_ACCEPTED ? fault : FAULT_DISK_ERROR);
    }
}

bool commit_is_idle(const struct spool *s)
{
    return list_empty(&s->gathered) && s->batch_count == 0;
}

/* What a record needs before it may be added.
 * ------------------------------------------------------
 */

static bool is_known(const struct spool *s, struct id id)
{
    return places_find(&s->places, id) != NULL;
}

/* A group's members stand in one part or in two; they are few and short. */
static enum fault judge_group(struct spool *s, const struct append *a)
{
    struct record member;
    check(a->part_count == 1);
    struct cursor members = cursor_over(a->parts[0]);
    while (group_next(&members, &member)) {
        bool is_new = member.type == RECORD_ACCEPTED;
        if (!is_new && !is_known(s, member.id))
            return FAULT_NOT_FOUND;
    }
    check(cursor_at_end(&members));
    return FAULT_NONE;
}

static enum fault judge(struct spool *s, const struct append *a)
{
    if (a->type == RECORD_GROUP)
        return judge_group(s, a);
    if (a->type != RECORD_ACCEPTED)
        return is_known(s, a->id) ? FAULT_NONE : FAULT_NOT_FOUND;
    return (enum fault)atomic_load_explicit(&s->takes_mail, memory_order_relaxed);
}

/* Room in our own tables, so that nothing can fail any more once it is on disk. A group brings at
   most as many messages as it has members. */
static bool reserve(struct spool *s, const struct append *a)
{
    uint32_t more = a->type == RECORD_ACCEPTED || a->type == RECORD_GROUP ? s->batch_count + 64 : 0;
    if (more > 0 && !places_reserve(&s->places, more))
        return false;
    if (s->batch_count == s->batch_capacity) {
        uint32_t larger = s->batch_capacity == 0 ? 64 : 2 * s->batch_capacity;
        struct batched *grown = realloc(s->batch, larger * sizeof *grown);
        if (grown == NULL)
            return false;
        s->batch = grown;
        s->batch_capacity = larger;
    }
    if (s->sending_count == s->sending_capacity) {
        uint32_t larger = s->sending_capacity == 0 ? 64 : 2 * s->sending_capacity;
        struct sending *grown = realloc(s->sendings, larger * sizeof *grown);
        if (grown == NULL)
            return false;
        s->sendings = grown;
        s->sending_capacity = larger;
    }
    return true;
}

static size_t payload_bytes(const struct append *a)
{
    size_t len = 0;
    for (uint32_t i = 0; i < a->part_count; i++)
        len += a->parts[i].len;
    return len;
}

static enum fault add(struct spool *s, struct append *a)
{
    uint64_t offset;
    enum fault fault = segment_add(s->tail->segment, a->type, a->id, a->version, a->parts,
                                   a->part_count, a->payload_crc, &offset);
    if (fault != FAULT_NONE)
        return fault;
    s->batch[s->batch_count++] = (struct batched){
        .append = a,
        .type = a->type,
        .id = a->id,
        .version = a->version,
        .offset = (uint32_t)offset,
        .bytes = (uint32_t)(RECORD_HEADER_BYTES + payload_bytes(a)),
    };
    if (a->type != RECORD_SENDING)
        s->needs_sync = true;
    spool_count(&s->counters.records, 1);
    spool_count(&s->counters.copies, 1);
    return FAULT_NONE;
}

/* After the batch.
 * ---------------------------------------------------------------------------------
 */

static void release_state(struct spool *s, struct placed *p)
{
    if (p->state_bytes > 0)
        life_release(s->lives[p->state_segment], p->state_bytes);
    if (p->sending_segment != PLACE_NOWHERE)
        life_release(s->lives[p->sending_segment], RECORD_HEADER_BYTES);
    p->state_bytes = 0;
    p->sending_segment = PLACE_NOWHERE;
}

static void run_removal(struct job *j)
{
    struct removal *r = container_of(j, struct removal, job);
    char name[CONTENT_NAME_MAX];
    content_name(r->id, name);
    /* What stays is found by the next start: no living message names it. */
    (void)!disk_unlink(r->disk, name);
}

static void remove_content(struct spool *s, struct id id)
{
    struct removal *r = calloc(1, sizeof *r);
    if (r == NULL)
        return;
    r->job.run = run_removal;
    r->disk = s->disk;
    r->id = id;
    list_append(&s->removals, &r->node);
    job_send(s->actor, s->pool, id.bytes[15], &r->job);
}

static void apply_accepted(struct spool *s, struct id id, struct span payload, uint32_t offset,
                           uint32_t bytes)
{
    struct placed *p = places_find(&s->places, id);
    check(p == NULL);
    p = places_add(&s->places, id);
    p->base_segment = s->tail->slot;
    p->base_offset = offset;
    p->base_bytes = bytes & 0x7FFFFFFF;
    p->in_file = envelope_is_in_file(payload);
    life_hold(s->tail, bytes);
}

static void apply_state(struct spool *s, struct id id, uint32_t version, uint32_t offset,
                        uint32_t bytes)
{
    struct placed *p = places_find(&s->places, id);
    if (p == NULL)
        return; /* ended in the same batch: a leftover */
    release_state(s, p);
    p->state_segment = s->tail->slot;
    p->state_offset = offset;
    p->state_bytes = bytes;
    p->version = version;
    life_hold(s->tail, bytes);
}

static void apply_sending(struct spool *s, struct id id)
{
    struct placed *p = places_find(&s->places, id);
    if (p == NULL)
        return;
    if (p->sending_segment != PLACE_NOWHERE)
        life_release(s->lives[p->sending_segment], RECORD_HEADER_BYTES);
    p->sending_segment = s->tail->slot;
    life_hold(s->tail, RECORD_HEADER_BYTES);
}

/* The segment of the DONE has to outlive the one of the base (docs/SPOOL.md, crash argument 4). */
static void apply_done(struct spool *s, struct id id)
{
    struct placed *p = places_find(&s->places, id);
    if (p == NULL)
        return;
    struct life *base = s->lives[p->base_segment];
    release_state(s, p);
    life_release(base, p->base_bytes);
    life_wait_for(s->tail, base);
    if (p->in_file)
        remove_content(s, id);
    places_remove(&s->places, p);
}

static void apply_one(struct spool *s, enum record_type type, struct id id, uint32_t version,
                      struct span payload, uint32_t offset, uint32_t bytes)
{
    switch (type) {
    case RECORD_ACCEPTED:
        apply_accepted(s, id, payload, offset, bytes);
        break;
    case RECORD_OUTCOME:
    case RECORD_CONTROL:
        apply_state(s, id, version, offset, bytes);
        break;
    case RECORD_SENDING:
        apply_sending(s, id);
        break;
    case RECORD_DONE:
        apply_done(s, id);
        break;
    case RECORD_GROUP:
        check(false);
    }
}

static void apply_group(struct spool *s, const struct batched *b)
{
    struct record m;
    struct cursor members = cursor_over(b->append->parts[0]);
    while (group_next(&members, &m)) {
        uint32_t bytes = (uint32_t)(GROUP_MEMBER_HEADER_BYTES + m.payload.len);
        apply_one(s, m.type, m.id, m.version, m.payload, b->offset, bytes);
    }
}

/* A copy counts if what it was copied from still does. The segment with the copy waits for the one
   with the original, so that a later DONE, which waits for the copy, outlives both. */
static void apply_copy(struct spool *s, const struct batched *b)
{
    struct placed *p = places_find(&s->places, b->id);
    struct life *from = s->lives[b->copied_from];
    life_wait_for(s->tail, from);
    if (p == NULL)
        return;
    if (b->type == RECORD_ACCEPTED && p->base_segment == b->copied_from &&
        p->base_offset == b->copied_offset) {
        life_release(from, p->base_bytes);
        p->base_segment = s->tail->slot;
        p->base_offset = b->offset;
        p->base_bytes = b->bytes & 0x7FFFFFFF;
        life_hold(s->tail, b->bytes);
    } else if ((b->type == RECORD_OUTCOME || b->type == RECORD_CONTROL) && p->state_bytes > 0 &&
               p->state_segment == b->copied_from && p->state_offset == b->copied_offset) {
        life_release(from, p->state_bytes);
        p->state_segment = s->tail->slot;
        p->state_offset = b->offset;
        p->state_bytes = b->bytes;
        life_hold(s->tail, b->bytes);
    } else if (b->type == RECORD_SENDING && p->sending_segment == b->copied_from) {
        apply_sending(s, b->id);
    }
}

static void apply(struct spool *s, const struct batched *b)
{
    struct append *a = b->append;
    if (a == NULL) {
        apply_copy(s, b);
        return;
    }
    if (a->type == RECORD_GROUP)
        apply_group(s, b);
    else
        apply_one(s, a->type, a->id, a->version, a->parts[0], b->offset, b->bytes);
    answer(s, a, FAULT_NONE);
}

static void apply_batch(struct spool *s)
{
    for (uint32_t i = 0; i < s->batch_count; i++)
        apply(s, &s->batch[i]);
    s->batch_count = 0;
    s->sending_count = s->redo_count = 0;
    s->needs_sync = false;
    s->strikes = 0;
    if (compact_has_copies(s))
        compact_copies_done(s);
    atomic_store_explicit(&s->counters.messages, places_count(&s->places), memory_order_relaxed);
}

/* Written is enough for SENDINGs; they are remembered until the sync, since the next segment has to
   get them should it fail. */
static void answer_sendings(struct spool *s)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->batch_count; i++) {
        struct batched b = s->batch[i];
        if (b.append == NULL || b.type != RECORD_SENDING) {
            s->batch[kept++] = b;
            continue;
        }
        apply_sending(s, b.id);
        s->sendings[s->sending_count++] = (struct sending){b.id, b.version};
        answer(s, b.append, FAULT_NONE);
    }
    s->batch_count = kept;
}

/* The batch.
 * ---------------------------------------------------------------------------------------
 */

/* Nothing of the batch counts; its appends wait again, in their order. */
static void put_back(struct spool *s)
{
    for (uint32_t i = s->batch_count; i > 0; i--)
        if (s->batch[i - 1].append != NULL)
            list_prepend(&s->gathered, &s->batch[i - 1].append->node);
    s->batch_count = 0;
    s->needs_sync = false;
    s->redo_count = s->sending_count;
}

static void fail_over(struct spool *s)
{
    s->strikes++;
    put_back(s);
    s->tail->has_failed = true;
    lives_leave_tail(s);
    lives_plan(s);
    if (s->strikes >= STRIKES_MAX) {
        commit_answer_all(s, FAULT_DISK_ERROR);
        s->fail_fault = FAULT_DISK_ERROR;
        spool_retry_later(s);
    }
}

/* False: the segment has failed. */
static bool write_batch(struct spool *s)
{
    struct segment *g = s->tail->segment;
    spool_count(&s->counters.bytes_written, segment_unsynced(g).len);
    if (segment_write(g) != FAULT_NONE)
        return false;
    spool_count(&s->counters.batches, 1);
    answer_sendings(s);
#ifdef PLANTED_BUG_BEFORE_SYNC
    if (s->batch_count > 0)
        return apply_batch(s), true;
#endif
    if (!s->needs_sync)
        return true;
    actor_flush(s->actor); /* deliveries go on while the disk works */
    spool_count(&s->counters.syncs, 1);
    if (segment_sync(g) != FAULT_NONE)
        return false;
    apply_batch(s);
    return true;
}

/* SENDINGs of a batch that failed, for the segment that takes its records. */
static enum fault redo_sendings(struct spool *s)
{
    for (; s->redo_count > 0; s->redo_count--) {
        const struct sending *again = &s->sendings[s->redo_count - 1];
        uint64_t offset;
        if (!is_known(s, again->id))
            continue;
        enum fault fault = segment_add(s->tail->segment, RECORD_SENDING, again->id, again->version,
                                       NULL, 0, 0, &offset);
        if (fault != FAULT_NONE)
            return fault;
        apply_sending(s, again->id);
    }
    return FAULT_NONE;
}

static bool copy_is_live(const struct spool *s, const struct copy *c)
{
    const struct placed *p = places_find(&s->places, c->id);
    uint32_t from = s->compaction.life->slot;
    if (p == NULL)
        return false;
    if (c->type == RECORD_ACCEPTED)
        return p->base_segment == from && p->base_offset == c->offset;
    if (c->type == RECORD_SENDING)
        return p->sending_segment == from;
    return p->state_bytes > 0 && p->state_segment == from && p->state_offset == c->offset;
}

/* Copies come last in a batch, all of a piece of work or none. */
static enum fault add_copies(struct spool *s)
{
    struct compaction *w = &s->compaction;
    static const struct append none = {.type = RECORD_DONE};
    for (uint32_t i = 0; i < w->copy_count; i++) {
        const struct copy *c = &w->copies[i];
        uint64_t offset;
        if (!copy_is_live(s, c))
            continue;
        if (!reserve(s, &none))
            return FAULT_NO_MEMORY;
        enum fault fault = segment_add(s->tail->segment, c->type, c->id, c->version, &c->payload, 1,
                                       crc32c(0, c->payload), &offset);
        if (fault != FAULT_NONE)
            return fault;
        s->needs_sync = true;
        s->batch[s->batch_count++] = (struct batched){
            .type = c->type,
            .id = c->id,
            .version = c->version,
            .offset = (uint32_t)offset,
            .bytes = (uint32_t)(RECORD_HEADER_BYTES + c->payload.len),
            .copied_from = w->life->slot,
            .copied_offset = c->offset,
        };
    }
    if (!s->needs_sync)
        compact_copies_done(s); /* none of them lives any more */
    return FAULT_NONE;
}

/* Adds what fits. LIMIT: something waits for the next batch or segment. */
static enum fault fill(struct spool *s)
{
    enum fault fault = redo_sendings(s);
    while (fault == FAULT_NONE && !list_empty(&s->gathered)) {
        struct append *a = container_of(s->gathered.next, struct append, node);
        fault = judge(s, a);
        if (fault == FAULT_NONE && !reserve(s, a))
            fault = FAULT_NO_MEMORY;
#ifdef PLANTED_BUG_OUTCOME_LOST
        if (fault == FAULT_NONE && a->type == RECORD_OUTCOME) {
            list_remove(&a->node);
            answer(s, a, FAULT_NONE);
            continue;
        }
#endif
        if (fault != FAULT_NONE) {
            list_remove(&a->node);
            answer(s, a, fault);
            fault = FAULT_NONE;
            continue;
        }
        fault = add(s, a);
        if (fault == FAULT_NONE)
            list_remove(&a->node);
    }
    if (fault == FAULT_NONE && compact_has_copies(s))
        fault = add_copies(s);
    return fault;
}

static bool has_work(const struct spool *s)
{
    return !list_empty(&s->gathered) || compact_has_copies(s) || s->redo_count > 0;
}

/* A record that an empty segment has no room for never will. */
static void refuse_too_large(struct spool *s)
{
    struct list *node = list_take_first(&s->gathered);
    if (node != NULL)
        answer(s, container_of(node, struct append, node), FAULT_LIMIT);
    else if (compact_has_copies(s))
        compact_copies_done(s);
}

/* What did not fit: the next batch of this segment has room for it, or the next segment. */
static void make_room(struct spool *s, enum fault why, bool was_empty)
{
    if (why == FAULT_NO_MEMORY) {
        commit_answer_all(s, FAULT_NO_MEMORY);
        return;
    }
    if (!was_empty)
        return;
    if (segment_synced(s->tail->segment) == SPOOL_PAGE)
        refuse_too_large(s);
    else
        lives_leave_tail(s);
}

void commit_turn(struct spool *s)
{
    while (has_work(s)) {
        if (s->tail == NULL && !lives_take_next(s)) {
            lives_plan(s);
            if (s->fail_fault != FAULT_NONE)
                commit_answer_all(s, s->fail_fault);
            return;
        }
        enum fault why = fill(s);
        bool was_empty = segment_unsynced(s->tail->segment).len == 0;
        if (why == FAULT_LIMIT && !was_empty)
            s->needs_sync = true; /* so that the batch ends, SENDINGs alone too */
        if (!was_empty && !write_batch(s)) {
            fail_over(s);
            continue;
        }
        if (why != FAULT_NONE)
            make_room(s, why, was_empty);
        else if (was_empty)
            return;
    }
}
