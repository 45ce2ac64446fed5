/*
 * recover_messages: the part of recover.h that gives the living messages, a segment at a time.
 */
#include <stdlib.h>

#include "base/check.h"
#include "spool/recover_inside.h"

/* The message of one base, its state still to come. False: no memory. */
static bool gather(struct recovery *r, uint32_t i, const struct index_entry *e, struct found *f,
                   uint32_t *count)
{
    struct recovered_message *m = &r->messages[*count];
    *m = (struct recovered_message){
        .id = f->id, .version = f->version, .sending = recovery_is_sending(r, f)};
    enum fault fault = envelope_decode_head(e->payload, &r->arena, &m->envelope);
    if (fault == FAULT_NO_MEMORY)
        return false;
    if (fault != FAULT_NONE) {
        r->segments[i].damage_count++;
        return true;
    }
    struct gathered *g = &r->gathered[*count];
    *g = (struct gathered){f, NOBODY};
    if (f->state.bytes != 0) {
        struct scanned *holder = &r->scanned[f->state.segment];
        g->next = holder->first;
        holder->first = *count;
    }
    ++*count;
    return true;
}

static enum fault gather_bases(struct recovery *r, uint32_t i, uint32_t *count)
{
    struct index *x;
    struct index_entry e;
    enum fault fault = recovery_index(r, i, i, &x);
    if (fault != FAULT_NONE)
        return fault;
    size_t at = 0, entry_at = 0;
    for (; index_next(x, &at, &e); entry_at = at) {
        if (e.type != RECORD_ACCEPTED)
            continue;
        struct found *f = recover_table_follow(&r->table, e.id);
        bool is_place =
            f != NULL && recovery_lives(f) && f->base.segment == i && f->base.at == entry_at;
        /* A file that has changed since the scan cannot make it more than there is room for. */
        if (is_place && *count < r->scanned[i].base_count && !gather(r, i, &e, f, count))
            return FAULT_NO_MEMORY;
    }
    return FAULT_NONE;
}

/* Is there, in an index that was perhaps read again, the entry that was seen at the scan? */
static bool state_entry(const struct index *x, const struct found *f, struct index_entry *e)
{
    return index_at(x, f->state.at, e) &&
           (e->type == RECORD_OUTCOME || e->type == RECORD_CONTROL) && id_equal(e->id, f->id) &&
           e->version == f->version;
}

static enum fault take_message_state(struct recovery *r, uint32_t segment, const struct index *x,
                                     uint32_t i)
{
    struct recovered_message *m = &r->messages[i];
    struct found *f = r->gathered[i].found;
    struct index_entry e;
    enum fault fault = FAULT_DAMAGED;
    if (state_entry(x, f, &e)) {
        struct span payload = arena_copy(&r->arena, e.payload); /* the index may leave the cache */
        fault = state_decode(payload, m->envelope.recipient_count, &r->arena, &m->state);
        if (r->arena.full)
            return FAULT_NO_MEMORY;
    }
    if (fault == FAULT_NONE)
        return FAULT_NONE;
    m->state = (struct message_state){0};
    if (!f->state_damaged)
        r->segments[segment].damage_count++;
    f->state_damaged = true;
    return FAULT_NONE;
}

/* A segment at a time, so that each index is read once, wherever the states lie. */
static enum fault gather_states(struct recovery *r, uint32_t base_segment)
{
    for (uint32_t s = 0; s < r->segment_count; s++) {
        struct index *x;
        uint32_t i = r->scanned[s].first;
        if (i == NOBODY)
            continue;
        enum fault fault = recovery_index(r, s, base_segment, &x);
        for (; fault == FAULT_NONE && i != NOBODY; i = r->gathered[i].next)
            fault = take_message_state(r, s, x, i);
        if (fault != FAULT_NONE)
            return fault;
    }
    return FAULT_NONE;
}

static bool make_room(struct recovery *r, uint32_t count)
{
    free(r->messages);
    free(r->gathered);
    arena_reset(&r->arena);
    r->messages = malloc((count + (size_t)1) * sizeof *r->messages);
    r->gathered = malloc((count + (size_t)1) * sizeof *r->gathered);
    for (uint32_t s = 0; s < r->segment_count; s++)
        r->scanned[s].first = NOBODY;
    return r->messages != NULL && r->gathered != NULL;
}

enum fault recovery_messages(struct recovery *r, uint32_t i,
                             const struct recovered_message **messages_out, uint32_t *count_out)
{
    check(i < r->segment_count);
    uint32_t count = 0;
    enum fault fault = FAULT_NONE;
    if (!make_room(r, r->scanned[i].base_count))
        return FAULT_NO_MEMORY;
    if (r->scanned[i].base_count > 0)
        fault = gather_bases(r, i, &count);
    if (fault == FAULT_NONE && count > 0)
        fault = gather_states(r, i);
    *messages_out = r->messages;
    *count_out = count;
    return fault;
}
