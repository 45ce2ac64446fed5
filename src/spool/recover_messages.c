/*
 * recover_messages: the part of recover.h that gives the living messages, a batch at a time.
 */
#include <stdlib.h>

#include "base/check.h"
#include "spool/recover_inside.h"

#define BATCH_BYTES       (1024u * 1024) /* of envelopes and states: then it is full, too */
#define BATCH_ARENA_BYTES (64u * 1024 * 1024)

bool recovered_batch_init(struct recovered_batch *b)
{
    *b = (struct recovered_batch){
        .messages = calloc(RECOVERY_BATCH_MESSAGES, sizeof *b->messages),
        .places = calloc(RECOVERY_BATCH_MESSAGES, sizeof *b->places),
    };
    arena_init(&b->arena, BATCH_ARENA_BYTES);
    if (b->messages != NULL && b->places != NULL)
        return true;
    recovered_batch_fini(b);
    return false;
}

void recovered_batch_fini(struct recovered_batch *b)
{
    free(b->messages);
    free(b->places);
    arena_fini(&b->arena);
    *b = (struct recovered_batch){0};
}

static void tell_damage(struct recovery *r, struct found *f, uint32_t segment)
{
    if (!f->is_damaged)
        r->segments[segment].damage_count++;
    f->is_damaged = true;
}

/* Is there, in an index that was perhaps read again, the entry that was seen at the scan? */
static bool base_entry(const struct index *x, const struct found *f, struct index_entry *e)
{
    return index_at(x, f->base.at, e) && e->type == RECORD_ACCEPTED && id_equal(e->id, f->id) &&
           e->offset == f->base.offset;
}

/* DAMAGED: there is no envelope. */
static enum fault take_envelope(const struct index *x, const struct found *f, struct arena *arena,
                                struct envelope *envelope_out)
{
    struct index_entry e;
    if (!base_entry(x, f, &e))
        return FAULT_DAMAGED;
    struct span head = arena_copy(arena, e.payload); /* the index goes before the batch does */
    if (arena->full)
        return FAULT_NO_MEMORY;
    return envelope_decode_head(head, arena, envelope_out);
}

static enum fault take_message_state(struct recovery *r, struct found *f, struct arena *arena,
                                     struct recovered_message *m)
{
    if (f->state.bytes == 0)
        return FAULT_NONE;
    struct span payload = state_pool_get(&f->state_payload, arena);
    enum fault fault = state_decode(payload, m->envelope.recipient_count, arena, &m->state);
    m->sending = m->sending || (fault == FAULT_NONE && m->state.is_delivering);
    if (arena->full)
        return FAULT_NO_MEMORY;
    if (fault == FAULT_NONE)
        return FAULT_NONE;
    m->state = (struct message_state){0};
    tell_damage(r, f, f->state.segment);
    return FAULT_NONE;
}

static enum fault give(struct recovery *r, struct found *f, const struct index *x,
                       struct recovered_batch *b)
{
    struct recovered_message *m = &b->messages[b->message_count];
    *m = (struct recovered_message){
        .id = f->id, .version = f->version, .sending = recovery_is_sending(r, f)};
    enum fault fault = take_envelope(x, f, &b->arena, &m->envelope);
    if (fault == FAULT_NONE)
        fault = take_message_state(r, f, &b->arena, m);
    if (fault == FAULT_NONE)
        b->message_count++;
    else if (fault == FAULT_DAMAGED)
        tell_damage(r, f, f->base.segment);
    else
        return fault;
    b->places[b->place_count++] = recovery_tell_place(r, f);
    return FAULT_NONE;
}

/* What was given in the calls before this one: it is not asked for again. */
static void drop_given(struct recovery *r, uint32_t segment, uint32_t at)
{
    for (; r->given <= segment; r->given++) {
        uint32_t *first = &r->scanned[r->given].first;
        uint32_t end = r->given == segment ? at : NOBODY;
        while (*first != end) {
            uint32_t i = *first;
            *first = recover_table_at(&r->table, i)->next;
            recovery_drop(r, i);
        }
        if (r->given == segment)
            return;
    }
}

enum fault recovery_messages(struct recovery *r, uint32_t i, struct recovery_position *at,
                             struct recovered_batch *b)
{
    check(i < r->segment_count && r->waits_for != NULL);
    uint32_t next = at->has_begun ? at->next : r->scanned[i].first;
    struct index *x = NULL;
    enum fault fault = FAULT_NONE;
    if (r->gives_once)
        drop_given(r, i, next);
    arena_reset(&b->arena);
    b->message_count = b->place_count = 0;
    if (next != NOBODY)
        fault = recovery_index(r, i, &x);
    while (fault == FAULT_NONE && next != NOBODY && b->place_count < RECOVERY_BATCH_MESSAGES &&
           b->arena.used < BATCH_BYTES) {
        struct found *f = recover_table_at(&r->table, next);
        fault = give(r, f, x, b);
        next = f->next;
    }
    if (fault == FAULT_NONE)
        *at = (struct recovery_position){true, next};
    return fault;
}
