#include "spool/mail_object.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"

#define DRAFT_FIRST_BYTES 4096
/* A client must send as much as this before more is taken: many who only say that they will send
 * much must not use up the memory of all. */
#define DRAFT_TOLD_BYTES (64u * 1024)

/* The payload grows in `payload`: the envelope, then the content. */
struct mail_draft {
    struct id id;
    struct buffer payload;
    size_t envelope_bytes;
    bool content_moved;
};

/* Finished objects ---------------------------------------------------------------------------- */

struct mail_object *mail_retain(struct mail_object *m)
{
    if (m != NULL)
        atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed);
    return m;
}

/* Whoever frees must see all that the other holders did with it before. */
void mail_release(struct mail_object *m)
{
    if (m == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel);
    check(before > 0);
    if (before > 1)
        return;
    arena_fini(&m->arena);
    free(m->memory);
    free(m);
}

static enum fault make_object(struct id id, uint8_t *memory, size_t capacity, struct span payload,
                              struct mail_object **mail_out)
{
    struct mail_object *m = calloc(1, sizeof *m);
    if (m == NULL) {
        free(memory);
        return FAULT_NO_MEMORY;
    }
    atomic_init(&m->references, 1);
    m->id = id;
    m->memory = memory;
    m->payload = payload;
    arena_init(&m->arena, ENVELOPE_RECIPIENTS_MAX * sizeof(struct span));
    enum fault fault = envelope_decode(payload, &m->arena, &m->envelope);
    if (fault != FAULT_NONE) {
        mail_release(m);
        return fault;
    }
    m->payload_crc = crc32c(0, payload);
    m->memory_bytes = sizeof *m + capacity + m->arena.used;
    *mail_out = m;
    return FAULT_NONE;
}

enum fault mail_of_payload(struct id id, uint8_t *memory, struct span payload,
                           struct mail_object **mail_out)
{
    size_t before = payload.len > 0 ? (size_t)(payload.data - memory) : 0;
    return make_object(id, memory, before + payload.len, payload, mail_out);
}

/* Drafts -------------------------------------------------------------------------------------- */

struct mail_draft *draft_new(struct id id, const struct envelope *e, uint64_t content_bytes_hint,
                             uint32_t inline_bytes_max)
{
    check(inline_bytes_max <= ENVELOPE_INLINE_MAX);
    check(e->recipient_count > 0 && e->recipient_count <= ENVELOPE_RECIPIENTS_MAX);
    struct mail_draft *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    struct envelope open = *e;
    open.content_bytes = 0;
    open.content_in_file = open.body_8bitmime = open.has_dot_lines = false;
    d->id = id;
    d->envelope_bytes = envelope_encoded_bytes(&open);
    buffer_init(&d->payload, d->envelope_bytes + inline_bytes_max);
    /* More than fits goes to a file: what is gathered before that is a matter of reading speed. */
    size_t first = content_bytes_hint <= inline_bytes_max ? (size_t)content_bytes_hint : 0;
    if (first > DRAFT_TOLD_BYTES)
        first = DRAFT_TOLD_BYTES;
    first += d->envelope_bytes;
    if (first < DRAFT_FIRST_BYTES)
        first = DRAFT_FIRST_BYTES < d->payload.max ? DRAFT_FIRST_BYTES : d->payload.max;
    if (!buffer_fit(&d->payload, first)) {
        draft_free(d);
        return NULL;
    }
    bool fits = envelope_encode(&open, &d->payload);
    check(fits && d->payload.len == d->envelope_bytes);
    return d;
}

void draft_free(struct mail_draft *d)
{
    if (d == NULL)
        return;
    buffer_fini(&d->payload);
    free(d);
}

enum fault draft_add(struct mail_draft *d, struct span run)
{
    check(!d->content_moved);
    if (run.len > d->payload.max - d->payload.len)
        return FAULT_LIMIT;
    if (buffer_put(&d->payload, run))
        return FAULT_NONE;
    d->payload.full = false; /* memory may be there again later */
    return FAULT_NO_MEMORY;
}

struct span draft_content(const struct mail_draft *d)
{
    return span_skip(buffer_span(&d->payload), d->envelope_bytes);
}

void draft_content_moved(struct mail_draft *d)
{
    d->content_moved = true;
    d->payload.len = d->envelope_bytes;
    (void)buffer_fit(&d->payload, d->envelope_bytes); /* as it was when that cannot be had */
}

size_t draft_memory_bytes(const struct mail_draft *d)
{
    return sizeof *d + d->payload.capacity;
}

enum fault draft_finish(struct mail_draft *d, uint64_t content_bytes, bool body_8bitmime,
                        bool has_dot_lines, struct mail_object **mail_out)
{
    struct buffer *payload = &d->payload;
    check(d->content_moved || content_bytes == payload->len - d->envelope_bytes);
    struct envelope e = {.content_bytes = content_bytes,
                         .content_in_file = d->content_moved,
                         .body_8bitmime = body_8bitmime,
                         .has_dot_lines = has_dot_lines};
    size_t envelope_bytes = envelope_patch(payload->data, d->envelope_bytes, &e);
    payload->len -= d->envelope_bytes - envelope_bytes;
    if (payload->len < payload->capacity / 2)
        (void)buffer_fit(payload, payload->len);
    enum fault fault =
        make_object(d->id, payload->data, payload->capacity, buffer_span(payload), mail_out);
    free(d);
    return fault;
}
