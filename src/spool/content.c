#include "spool/content.h"

#include <string.h>

#include "base/check.h"
#include "spool/spool.h"

static void run(struct job *j)
{
    struct content *c = container_of(j, struct content, job);
    content_do(c, c->step);
}

void content_init(struct content *c, struct spool *s, struct id id)
{
    content_begin(c, spool_disk(s), id);
    c->pool = spool_pool(s);
}

/* Of the id's random end, so that contents spread over the threads, and one keeps its thread. */
static uint64_t thread_key(struct id id)
{
    uint64_t key;
    memcpy(&key, id.bytes + sizeof id.bytes - sizeof key, sizeof key);
    return key;
}

void content_send(struct actor *from, struct content *c, enum content_step step)
{
    c->step = step;
    c->job.run = run;
    job_send(from, c->pool, thread_key(c->id), &c->job);
}
