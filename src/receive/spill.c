#include "receive/spill.h"

#include <stdlib.h>

#include "base/check.h"

#define SEND_BYTES CONTENT_BLOCK_BYTES /* a job is worth its letters from here on */

struct spill {
    struct content content;
    struct actor *worker;
    void *context;
    enum spill_state state;
    bool is_out;              /* a job is with the disk */
    uint8_t filling;          /* the buffer that is filled; the disk may have the other */
    struct buffer buffers[2]; /* at most SPILL_BUFFER_BYTES each */
};

static const uint8_t moves[] = {
    [SPILL_FILLING] = 1u << SPILL_FINISHING | 1u << SPILL_DROPPING,
    [SPILL_FINISHING] = 1u << SPILL_FINISHED | 1u << SPILL_DROPPING,
    [SPILL_FINISHED] = 1u << SPILL_DROPPING,
    [SPILL_DROPPING] = 1u << SPILL_GONE,
    [SPILL_GONE] = 0,
};

static void enter(struct spill *s, enum spill_state next)
{
    check((moves[s->state] & 1u << next) != 0);
    s->state = next;
}

static void send(struct spill *s, enum content_step step, struct span bytes)
{
    check(!s->is_out);
    s->is_out = true;
    s->content.bytes = bytes;
    content_send(s->worker, &s->content, step);
}

struct spill *spill_new(struct actor *worker, struct spool *spool, struct id id, struct span first,
                        void *context)
{
    struct spill *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->worker = worker;
    s->context = context;
    content_init(&s->content, spool, id);
    for (size_t i = 0; i < 2; i++)
        buffer_init(&s->buffers[i], SPILL_BUFFER_BYTES);
    if (first.len > 0)
        send(s, CONTENT_WRITE, first);
    return s;
}

/* The filled buffer goes to the disk, the other one is free again. */
static void send_filled(struct spill *s)
{
    struct buffer *filled = &s->buffers[s->filling];
    s->filling ^= 1;
    buffer_reset(&s->buffers[s->filling]);
    send(s, CONTENT_WRITE, buffer_span(filled));
}

static void free_buffers(struct spill *s)
{
    buffer_free_memory(&s->buffers[0]);
    buffer_free_memory(&s->buffers[1]);
}

/* The next job, if there is reason for one. */
static void go_on(struct spill *s)
{
    if (s->is_out)
        return;
    switch (s->state) {
    case SPILL_FILLING:
        if (s->buffers[s->filling].len >= SEND_BYTES)
            send_filled(s);
        break;
    case SPILL_FINISHING:
        if (s->buffers[s->filling].len > 0)
            send_filled(s);
        else
            send(s, CONTENT_FINISH, (struct span){NULL, 0});
        break;
    case SPILL_DROPPING:
        send(s, CONTENT_DROP, (struct span){NULL, 0});
        break;
    case SPILL_FINISHED:
    case SPILL_GONE:
        break;
    }
}

enum fault spill_add(struct spill *s, struct span run)
{
    check(s->state == SPILL_FILLING && run.len <= SPILL_RUN_MAX && !spill_is_full(s));
    if (!buffer_put(&s->buffers[s->filling], run))
        return FAULT_NO_MEMORY;
    go_on(s);
    return FAULT_NONE;
}

bool spill_is_full(const struct spill *s)
{
    return s->is_out && s->buffers[s->filling].len > SPILL_BUFFER_BYTES - SPILL_RUN_MAX;
}

void spill_finish(struct spill *s)
{
    enter(s, SPILL_FINISHING);
    go_on(s);
}

void spill_drop(struct spill *s)
{
    enter(s, SPILL_DROPPING);
    if (!s->is_out)
        free_buffers(s);
    go_on(s);
}

bool spill_owns(const struct letter *letter)
{
    const struct job *job = container_of((struct letter *)(uintptr_t)letter, struct job, letter);
    const struct content *c = container_of((struct job *)(uintptr_t)job, struct content, job);
    return c->step == CONTENT_WRITE || c->step == CONTENT_FINISH || c->step == CONTENT_DROP;
}

struct spill *spill_of(struct letter *letter)
{
    struct job *job = container_of(letter, struct job, letter);
    struct content *c = container_of(job, struct content, job);
    return container_of(c, struct spill, content);
}

void *spill_context(const struct spill *s)
{
    return s->context;
}

/* A file that cannot be unlinked is not referenced: the next start removes it. */
static void on_dropped(struct spill *s)
{
    if (s->content.step == CONTENT_DROP)
        enter(s, SPILL_GONE);
    else
        go_on(s);
}

enum fault spill_on_answer(struct spill *s)
{
    enum fault fault = s->content.fault;
    check(s->is_out);
    s->is_out = false;
    if (s->state == SPILL_DROPPING) {
        free_buffers(s);
        on_dropped(s);
        return FAULT_NONE;
    }
    if (fault != FAULT_NONE) {
        spill_drop(s);
        return fault;
    }
    if (s->content.step == CONTENT_FINISH) {
        free_buffers(s);
        enter(s, SPILL_FINISHED);
    }
    go_on(s);
    return FAULT_NONE;
}

enum spill_state spill_state(const struct spill *s)
{
    return s->state;
}

size_t spill_memory_bytes(const struct spill *s)
{
    return sizeof *s + s->buffers[0].capacity + s->buffers[1].capacity +
           (s->state == SPILL_FINISHED ? 0 : CONTENT_BLOCK_BYTES);
}

void spill_free(struct spill *s)
{
    if (s == NULL)
        return;
    content_fini(&s->content);
    free_buffers(s);
    free(s);
}
