/*
 * commit: group commit, from gathered appends to their answers.
 *
 * A turn takes what has been gathered into one batch, writes it, answers the SENDINGs (which only
 * have to survive the process), syncs, and only then lets the records count (apply.c) and answers
 * them. A batch that cannot be written or synced goes, record for record and in its order, into the
 * next segment; the failed one is left for good, since after a failed sync nothing unsynced may be
 * believed even if a later sync succeeds. If that fails too, all is answered DISK_ERROR: whatever
 * was in a failed batch may be found after a crash, so that no other answer would be true.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
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

/* What was in a batch that failed; the SENDINGs that were answered stay, to be written again. */
static void answer_again(struct spool *s)
{
    uint32_t kept = 0;
    for (uint32_t i = s->again.at; i < s->again.count; i++) {
        struct append *a = s->again.all[i].append;
        if (a == NULL) {
            s->again.all[kept++] = s->again.all[i];
            continue;
        }
        apply_mark(s, a, MARK_IN_DOUBT);
        answer(s, a, FAULT_DISK_ERROR);
    }
    s->again.at = 0;
    s->again.count = kept;
}

void commit_answer_all(struct spool *s, enum fault fault)
{
    answer_again(s);
    for (struct list *node; (node = list_take_first(&s->gathered)) != NULL;) {
        struct append *a = container_of(node, struct append, node);
        answer(s, a, a->type == RECORD_ACCEPTED ? fault : FAULT_DISK_ERROR);
    }
}

/* A batch holds no appends between turns, but for SENDINGs that are answered. */
bool commit_is_idle(const struct spool *s)
{
    for (uint32_t i = s->again.at; i < s->again.count; i++)
        if (s->again.all[i].append != NULL)
            return false;
    return list_empty(&s->gathered);
}

/* What a record needs before it may be added.
 * ------------------------------------------------------
 */

static bool is_known(const struct spool *s, struct id id)
{
    return places_find(&s->places, id) != NULL;
}

/* A group's members are few and short. */
static enum fault judge_group(struct spool *s, const struct append *a)
{
    struct record member;
    uint32_t count = 0;
    check(a->part_count == 1);
    struct cursor members = cursor_over(a->parts[0]);
    while (group_next(&members, &member)) {
        bool is_new = member.type == RECORD_ACCEPTED;
        count++;
        if (!is_new && !is_known(s, member.id))
            return FAULT_NOT_FOUND;
    }
    check(cursor_at_end(&members) && count <= APPEND_MEMBERS_MAX);
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

static bool batch_fits_one(struct batch *b)
{
    if (b->count < b->capacity)
        return true;
    uint32_t larger = b->capacity == 0 ? 64 : 2 * b->capacity;
    struct batched *grown = realloc(b->all, larger * sizeof *grown);
    if (grown == NULL)
        return false;
    b->all = grown;
    b->capacity = larger;
    return true;
}

/* Room in our own tables, so that nothing can fail any more once it is on disk. A group brings at
   most as many messages as it has members. */
static bool reserve(struct spool *s, enum record_type type)
{
    bool is_new = type == RECORD_ACCEPTED || type == RECORD_GROUP;
    if (is_new && !places_reserve(&s->places, s->new_count + APPEND_MEMBERS_MAX))
        return false;
    return batch_fits_one(&s->batch);
}

static uint32_t payload_bytes(const struct append *a)
{
    size_t len = 0;
    for (uint32_t i = 0; i < a->part_count; i++)
        len += a->parts[i].len;
    return (uint32_t)len;
}

static enum fault add(struct spool *s, struct append *a)
{
    uint64_t offset;
    if (!reserve(s, a->type))
        return FAULT_NO_MEMORY;
    enum fault fault = segment_add(s->tail->segment, a->type, a->id, a->version, a->parts,
                                   a->part_count, a->payload_crc, &offset);
    if (fault != FAULT_NONE)
        return fault;
    s->batch.all[s->batch.count++] = (struct batched){
        .append = a,
        .type = a->type,
        .id = a->id,
        .version = a->version,
        .offset = (uint32_t)offset,
        .bytes = RECORD_HEADER_BYTES + payload_bytes(a),
    };
    apply_mark(s, a, MARK_CHANGING);
    s->new_count += a->type == RECORD_ACCEPTED ? 1
                    : a->type == RECORD_GROUP  ? APPEND_MEMBERS_MAX
                                               : 0;
    if (a->type != RECORD_SENDING)
        s->needs_sync = true;
    spool_count(&s->counters.records, 1);
    spool_count(&s->counters.copies, 1);
    return FAULT_NONE;
}

/* Filling it.
 * --------------------------------------------------------------------------------------
 */

/* A SENDING that was answered and then lost with its segment. */
static enum fault add_sending(struct spool *s, const struct batched *b)
{
    uint64_t offset;
    if (!is_known(s, b->id))
        return FAULT_NONE;
    if (!reserve(s, RECORD_SENDING))
        return FAULT_NO_MEMORY;
    enum fault fault =
        segment_add(s->tail->segment, RECORD_SENDING, b->id, b->version, NULL, 0, 0, &offset);
    if (fault != FAULT_NONE)
        return fault;
    s->batch.all[s->batch.count++] = *b;
    return FAULT_NONE;
}

static enum fault fill_again(struct spool *s)
{
    while (s->again.at < s->again.count) {
        const struct batched *b = &s->again.all[s->again.at];
        enum fault fault = b->append == NULL ? add_sending(s, b) : add(s, b->append);
        if (fault != FAULT_NONE)
            return fault;
        s->again.at++;
    }
    return FAULT_NONE;
}

static enum fault fill_gathered(struct spool *s)
{
    while (!list_empty(&s->gathered)) {
        struct append *a = container_of(s->gathered.next, struct append, node);
        enum fault fault = judge(s, a);
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
            continue;
        }
        fault = add(s, a);
        if (fault != FAULT_NONE)
            return fault;
        list_remove(&a->node);
    }
    return FAULT_NONE;
}

static enum fault add_copy(struct spool *s, const struct copy *c)
{
    uint64_t offset;
    enum record_type written = c->with_sending ? RECORD_GROUP : c->type;
    struct id id = c->with_sending ? (struct id){{0}} : c->id;
    if (!compact_may_copy(s, c))
        return FAULT_NONE;
    if (!reserve(s, c->type))
        return FAULT_NO_MEMORY;
    enum fault fault = segment_add(s->tail->segment, written, id, c->version, &c->record, 1,
                                   c->record_crc, &offset);
    if (fault != FAULT_NONE)
        return fault;
    s->needs_sync = true;
    s->compaction.in_batch++;
    s->batch.all[s->batch.count++] = (struct batched){
        .is_copy = true,
        .with_sending = c->with_sending,
        .type = c->type,
        .id = c->id,
        .version = c->version,
        .offset = (uint32_t)offset,
        .bytes = (uint32_t)(c->with_sending ? GROUP_MEMBER_HEADER_BYTES + c->payload.len
                                            : RECORD_HEADER_BYTES + c->payload.len),
        .copied_from = s->compaction.life->slot,
        .copied_offset = c->offset,
    };
    return FAULT_NONE;
}

/* Copies come last in a batch: the end of a message is always before a copy of it. */
static enum fault fill_copies(struct spool *s)
{
    struct compaction *w = &s->compaction;
    for (; w->is_read && w->added < w->copy_count; w->added++) {
        enum fault fault = add_copy(s, &w->copies[w->added]);
        if (fault != FAULT_NONE)
            return fault;
    }
    if (w->is_read && w->in_batch == 0)
        compact_copies_done(s); /* none of them lives any more */
    return FAULT_NONE;
}

/* Adds what fits. LIMIT: something waits for the next batch or segment. */
static enum fault fill(struct spool *s)
{
    enum fault fault = fill_again(s);
    if (fault == FAULT_NONE)
        fault = fill_gathered(s);
    if (fault == FAULT_NONE)
        fault = fill_copies(s);
    return fault;
}

/* Writing it.
 * --------------------------------------------------------------------------------------
 */

static void apply_batch(struct spool *s)
{
    for (uint32_t i = 0; i < s->batch.count; i++) {
        const struct batched *b = &s->batch.all[i];
        if (b->is_copy) {
            apply_copy(s, b);
        } else if (b->append == NULL) {
            apply_sending(s, b->id); /* in its order: it may be newer than a state before it */
        } else {
            apply_append(s, b->append, b->offset, b->bytes);
            answer(s, b->append, FAULT_NONE);
        }
    }
    s->batch.count = s->new_count = 0;
    if (s->again.at == s->again.count)
        s->again.at = s->again.count = 0;
    s->needs_sync = false;
    s->strikes = 0;
    compact_synced(s);
    atomic_store_explicit(&s->counters.messages, places_count(&s->places), memory_order_relaxed);
}

/* Written is enough for SENDINGs; they are remembered until the sync, since the next segment has to
   get them should it fail. Until they are written there, the failed one keeps them. */
static void answer_sendings(struct spool *s)
{
    for (uint32_t i = 0; i < s->batch.count; i++) {
        struct batched *b = &s->batch.all[i];
        if (b->is_copy || b->type != RECORD_SENDING)
            continue;
        apply_sending(s, b->id);
        if (b->append != NULL)
            answer(s, b->append, FAULT_NONE);
        b->append = NULL;
    }
}

/* Nothing of the batch counts. Its records go before all others, in their order; what was read to
   be copied is looked at again. If something of an earlier failed batch still waits, then all that
   is in this one came from there. */
static void put_back(struct spool *s)
{
    struct batch *again = &s->again, *batch = &s->batch;
    compact_put_back(s);
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->all[i].append != NULL)
            apply_mark(s, batch->all[i].append, MARK_UNCHANGED);
    if (again->at < again->count) {
        check(again->at >= batch->count);
        again->at -= batch->count;
        memcpy(again->all + again->at, batch->all, batch->count * sizeof *batch->all);
        batch->count = 0;
    } else {
        struct batch emptied = *again;
        *again = *batch;
        *batch = emptied;
        batch->count = batch->at = again->at = 0;
        while (again->count > 0 && again->all[again->count - 1].is_copy)
            again->count--;
    }
    s->needs_sync = false;
    s->new_count = 0;
}

static void fail_over(struct spool *s)
{
    s->strikes++;
    put_back(s);
    s->tail->has_failed = true;
    lives_leave_tail(s);
    if (s->strikes >= STRIKES_MAX)
        lives_fail(s, FAULT_DISK_ERROR);
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
    if (!s->needs_sync)
        return true;
#ifdef PLANTED_BUG_BEFORE_SYNC
    /* The sync comes with a later batch: a turn is atomic in the simulator, so one that came later
       in this turn would hide the bug. */
    if (s->batch.count > 0)
        return apply_batch(s), true;
#endif
    actor_flush(s->actor); /* deliveries go on while the disk works */
    spool_count(&s->counters.syncs, 1);
    if (segment_sync(g) != FAULT_NONE)
        return false;
    apply_batch(s);
    return true;
}

static bool has_work(const struct spool *s)
{
    return !list_empty(&s->gathered) || compact_has_copies(s) || s->again.at < s->again.count;
}

/* A record that an empty segment has no room for never will. */
static void refuse_too_large(struct spool *s)
{
    struct batch *again = &s->again;
    struct list *node = NULL;
    if (again->at < again->count) {
        struct append *a = again->all[again->at++].append;
        if (a != NULL) {
            apply_mark(s, a, MARK_IN_DOUBT);
            answer(s, a, FAULT_DISK_ERROR);
        }
    } else if ((node = list_take_first(&s->gathered)) != NULL) {
        answer(s, container_of(node, struct append, node), FAULT_LIMIT);
    } else {
        compact_give_up(s);
    }
}

/* The next segment has room for what did not fit. */
static void leave_full_tail(struct spool *s)
{
    if (segment_synced(s->tail->segment) == SPOOL_PAGE)
        refuse_too_large(s);
    else
        lives_leave_tail(s);
}

/* False: nothing more can be done in this turn. */
static bool commit_one(struct spool *s)
{
    enum fault why = fill(s);
    bool is_empty = segment_unsynced(s->tail->segment).len == 0;
    if (why != FAULT_NONE)
        s->needs_sync = true; /* so that the batch ends, SENDINGs alone too */
    if (!is_empty && !write_batch(s)) {
        fail_over(s);
        return true;
    }
    if (why == FAULT_NO_MEMORY) {
        compact_give_up(s);
        commit_answer_all(s, why);
        return false;
    }
    if (why != FAULT_NONE && is_empty)
        leave_full_tail(s);
    return true;
}

void commit_turn(struct spool *s)
{
    while (has_work(s)) {
        if (s->fail_fault != FAULT_NONE) {
            commit_answer_all(s, s->fail_fault);
            return;
        }
        if (s->tail == NULL && !lives_take_next(s))
            return;
        if (!commit_one(s))
            return;
    }
}
