/*
 * disk_pool: see disk_pool.h.
 */
#include "spool/disk_pool.h"

#include <stdlib.h>

#include "base/check.h"

struct disk_thread {
    struct actor *actor;
};

struct disk_pool {
    uint32_t count;
    struct disk_thread threads[DISK_POOL_MAX];
};

/* The answer leaves at once: the next job of this turn may take long. */
static void on_letter(void *self, struct letter *letter)
{
    struct disk_thread *t = self;
    switch (letter->type) {
    case LETTER_JOB: {
        struct job *j = container_of(letter, struct job, letter);
        j->run(j);
        break;
    }
    case LETTER_STOP:
        actor_stop(t->actor);
        break;
    case LETTER_PING:
        break;
    case LETTER_RENEW:
    case LETTER_APPEND:
    case LETTER_FETCH:
    case LETTER_RECOVERED:
    case LETTER_ACCEPTED:
    case LETTER_DELIVER:
    case LETTER_NOTIFY:
    case LETTER_RESOLVE:
    case LETTER_OPERATE:
    case LETTER_COUNT:
    default:
        check(letter->type == LETTER_JOB); /* nobody sends it any other */
    }
    letter_answer(t->actor, letter);
    actor_flush(t->actor);
}

static const struct actor_role role = {.name = "disk", .on_letter = on_letter};

enum fault disk_pool_new(struct world *w, uint32_t threads, uint32_t max_letters,
                         struct disk_pool **pool_out)
{
    check(threads > 0 && threads <= DISK_POOL_MAX);
    struct disk_pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return FAULT_NO_MEMORY;
    for (; p->count < threads; p->count++) {
        struct disk_thread *t = &p->threads[p->count];
        enum fault fault = actor_new(w, &role, t, max_letters, NULL, &t->actor);
        if (fault != FAULT_NONE) {
            disk_pool_free(p);
            return fault;
        }
    }
    *pool_out = p;
    return FAULT_NONE;
}

uint32_t disk_pool_threads(const struct disk_pool *p)
{
    return p->count;
}

struct actor *disk_pool_actor(struct disk_pool *p, uint32_t i)
{
    check(i < p->count);
    return p->threads[i].actor;
}

void job_send(struct actor *from, struct disk_pool *p, uint64_t key, struct job *j)
{
    letter_send(from, p->threads[key % p->count].actor, &j->letter, LETTER_JOB, NULL);
}

void disk_pool_free(struct disk_pool *p)
{
    if (p == NULL)
        return;
    for (uint32_t i = 0; i < p->count; i++)
        actor_free(p->threads[i].actor);
    free(p);
}
