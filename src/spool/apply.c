/*
 * apply: what a record that has become durable changes: the table of places, the lives of segments.
 */
#include <stdlib.h>

#include "spool/content.h"
#include "spool/spool_inside.h"

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
    struct removal *r = container_of(j, struct removal, task.job);
    char name[CONTENT_NAME_MAX];
    struct file *f;
    uint64_t bytes = 0;
    content_name(r->id, name);
    if (file_open(r->disk, name, DISK_READ, &f) == FAULT_NONE) {
        (void)!file_size(f, &bytes);
        file_close(f);
    }
    /* What stays is found by the next start: no living message names it. */
    if (disk_unlink(r->disk, name) == FAULT_NONE)
        r->bytes = bytes;
}

static void on_removal(struct spool *s, struct task *t)
{
    struct removal *r = container_of(t, struct removal, task);
    s->content_bytes -= r->bytes < s->content_bytes ? r->bytes : s->content_bytes;
    list_remove(&r->node);
    free(r);
}

/* Without memory the file stays until the next start. */
static void remove_content(struct spool *s, struct id id)
{
    struct removal *r = calloc(1, sizeof *r);
    if (r == NULL)
        return;
    r->disk = s->disk;
    r->id = id;
    list_append(&s->removals, &r->node);
    task_send(s, id.bytes[15], &r->task, run_removal, on_removal);
}

static void apply_accepted(struct spool *s, const struct change *c)
{
    struct placed *p = places_add(&s->places, c->id);
    p->base_segment = s->tail->slot;
    p->base_offset = c->offset;
    p->base_bytes = c->bytes & PLACE_BYTES_MASK;
    p->in_file = envelope_is_in_file(c->payload);
    if (p->in_file)
        s->content_bytes += content_file_bytes(envelope_content_bytes(c->payload));
    life_hold(s->tail, c->bytes);
}

static void apply_state(struct spool *s, const struct change *c)
{
    struct placed *p = places_find(&s->places, c->id);
    if (p == NULL)
        return; /* ended in the same batch: a leftover */
    release_state(s, p);
    p->is_changing = 0;
    p->state_segment = s->tail->slot;
    p->state_offset = c->offset;
    p->state_bytes = c->bytes;
    p->version = c->version;
    life_hold(s->tail, c->bytes);
}

void apply_sending(struct spool *s, struct id id)
{
    struct placed *p = places_find(&s->places, id);
    if (p == NULL)
        return;
    if (p->sending_segment != PLACE_NOWHERE)
        life_release(s->lives[p->sending_segment], RECORD_HEADER_BYTES);
    p->is_changing = 0;
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

static void apply_change(struct spool *s, const struct change *c)
{
    switch (c->type) {
    case RECORD_ACCEPTED:
        apply_accepted(s, c);
        break;
    case RECORD_OUTCOME:
    case RECORD_CONTROL:
        apply_state(s, c);
        break;
    case RECORD_SENDING:
        apply_sending(s, c->id);
        break;
    case RECORD_DONE:
        apply_done(s, c->id);
        break;
    case RECORD_GROUP:
        check(false);
    }
}

void apply_append(struct spool *s, const struct append *a, uint32_t offset, uint32_t bytes)
{
    struct change c = {a->type, a->id, a->version, a->parts[0], offset, bytes};
    if (a->type != RECORD_GROUP) {
        apply_change(s, &c);
        return;
    }
    struct record m;
    struct cursor members = cursor_over(a->parts[0]);
    while (group_next(&members, &m)) {
        uint32_t share = (uint32_t)(GROUP_MEMBER_HEADER_BYTES + m.payload.len);
        apply_change(s, &(struct change){m.type, m.id, m.version, m.payload, offset, share});
    }
}

/* A state and the SENDING behind it were copied in one group. */
static void apply_state_copy(struct spool *s, struct placed *p, const struct batched *b)
{
    struct life *from = s->lives[b->copied_from];
    if (p->state_bytes == 0 || p->state_segment != b->copied_from ||
        p->state_offset != b->copied_offset)
        return;
    life_release(from, p->state_bytes);
    p->state_segment = s->tail->slot;
    p->state_offset = b->offset;
    p->state_bytes = b->bytes;
    life_hold(s->tail, b->bytes);
    if (b->with_sending)
        apply_sending(s, p->id);
}

/* A copy counts if what it was copied from still does. The segment with the copy waits for the one
   with the original, so that a later DONE, which waits for the copy, outlives both. */
void apply_copy(struct spool *s, const struct batched *b)
{
    struct placed *p = places_find(&s->places, b->id);
    struct life *from = s->lives[b->copied_from];
    life_wait_for(s->tail, from);
    if (p == NULL)
        return;
    if (b->type == RECORD_SENDING) {
        if (p->sending_segment == b->copied_from)
            apply_sending(s, b->id);
    } else if (b->type != RECORD_ACCEPTED) {
        apply_state_copy(s, p, b);
    } else if (p->base_segment == b->copied_from && p->base_offset == b->copied_offset) {
        life_release(from, p->base_bytes);
        p->base_segment = s->tail->slot;
        p->base_offset = b->offset;
        p->base_bytes = b->bytes & PLACE_BYTES_MASK;
        life_hold(s->tail, b->bytes);
    }
}

static void mark_one(struct spool *s, enum record_type type, struct id id, enum mark mark)
{
    struct placed *p = type != RECORD_ACCEPTED ? places_find(&s->places, id) : NULL;
    if (p == NULL)
        return;
    if (mark == MARK_IN_DOUBT)
        p->is_done_in_doubt = p->is_done_in_doubt || type == RECORD_DONE;
    else
        p->is_changing = mark == MARK_CHANGING;
}

void apply_mark(struct spool *s, const struct append *a, enum mark mark)
{
    if (a->type != RECORD_GROUP) {
        mark_one(s, a->type, a->id, mark);
        return;
    }
    struct record m;
    struct cursor members = cursor_over(a->parts[0]);
    while (group_next(&members, &m))
        mark_one(s, m.type, m.id, mark);
}
