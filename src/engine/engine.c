#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/engine_inside.h"

static struct log *log_for(struct engine *e)
{
    const struct settings *s = e->options.source.settings;
    struct log *l = log_new(e->options.log_sink, s->log_format, s->log_level);
    if (l != NULL)
        e->logs[e->log_count++] = l;
    return l;
}

static void join_in(struct engine *e, struct actor *actor, const char *name, uint32_t number,
                    enum engine_stage stops_at)
{
    check(e->member_count < ENGINE_MEMBERS_MAX);
    struct member *m = &e->members[e->member_count++];
    m->actor = actor;
    m->stops_at = stops_at;
    if (number == UINT32_MAX)
        (void)snprintf(m->name, sizeof m->name, "%s", name);
    else
        (void)snprintf(m->name, sizeof m->name, "%s-%u", name, number % 1000);
}

/* Winding down, one stage after the other. --------------------------------------------------------
 */

static bool stops_in(const struct member *m, enum engine_stage stage)
{
    return m->stops_at == stage || (stage == STAGE_SESSIONS && m->is_worker);
}

static void next_stage(struct engine *e)
{
    while (e->stops_out == 0 && e->stage != STAGE_ENDED) {
        e->stage++;
        for (uint32_t i = 0; i < e->member_count; i++) {
            struct member *m = &e->members[i];
            if (!stops_in(m, e->stage))
                continue;
            letter_send(e->actor, m->actor, &m->stop, LETTER_STOP, NULL);
            e->stops_out++;
        }
    }
    if (e->stage == STAGE_ENDED) {
        LOG(actor_log(e->actor), EVENT_ENGINE_STOPPED, log_text("how", "asked"));
        timer_cancel(actor_loop(e->actor), &e->beat);
        atomic_store(&e->is_stopped, true);
        actor_stop(e->actor);
    }
}

static void on_letter(void *self, struct letter *letter)
{
    struct engine *e = self;
    check(letter->is_answer);
    if (letter->type == LETTER_PING) {
        if (--e->pings_out == 0 && e->options.on_beat != NULL)
            e->options.on_beat(e->options.context);
    } else if (letter->type == LETTER_RENEW) {
        renewal_answered(e);
    } else {
        e->stops_out--;
        next_stage(e);
    }
}

static void on_turn(void *self)
{
    struct engine *e = self;
    renewal_tend(e);
    if (e->stage == STAGE_RUNNING && atomic_load(&e->is_asked_to_stop) &&
        e->renewal.letters_out == 0)
        next_stage(e);
}

/* A new round only when the last one is over: whoever hangs is not asked again. After the actors
   have begun to end nobody is asked. */
static void on_beat(void *context)
{
    struct engine *e = context;
    struct loop *l = actor_loop(e->actor);
    if (e->pings_out == 0 && e->stage < STAGE_SPOOL) {
        for (uint32_t i = 0; i < e->member_count; i++) {
            struct member *m = &e->members[i];
            if (e->stage == STAGE_QUEUE && m->stops_at == STAGE_QUEUE)
                continue;
            letter_send(e->actor, m->actor, &m->ping, LETTER_PING, NULL);
            e->pings_out++;
        }
    }
    /* A set timer moves without memory; a new one may find none, and then the supervisor sees no
       more beats. */
    if (timer_set(l, &e->beat, loop_mono_us(l) + ENGINE_BEAT_MS * INT64_C(1000)) != FAULT_NONE)
        LOG(actor_log(e->actor), EVENT_ENGINE_STOPPED, log_fault("fault", FAULT_NO_MEMORY));
}

static const struct actor_role role = {"engine", on_letter, on_turn};

/* Making.
 * ------------------------------------------------------------------------------------------
 */

static enum fault make_disk(struct engine *e, const char **part_out)
{
    *part_out = "disk threads";
    enum fault fault = disk_pool_new(e->world, e->options.source.settings->disk_threads,
                                     e->options.max_letters, &e->pool);
    if (fault != FAULT_NONE)
        return fault;
    for (uint32_t i = 0; i < disk_pool_threads(e->pool); i++)
        join_in(e, disk_pool_actor(e->pool, i), "disk", i, STAGE_THREADS);
    *part_out = "spool";
    fault = spool_new(e->world, &e->spool_settings, e->pool, e->options.max_letters, log_for(e),
                      &e->spool);
    if (fault == FAULT_NONE)
        join_in(e, spool_actor(e->spool), "spool", UINT32_MAX, STAGE_SPOOL);
    return fault;
}

static enum fault make_queue(struct engine *e, const char **part_out)
{
    *part_out = "resolver";
    enum fault fault = resolver_new(e->world, &e->renewal.alive[0]->resolver,
                                    e->options.max_letters, log_for(e), &e->resolver);
    if (fault != FAULT_NONE)
        return fault;
    join_in(e, resolver_actor(e->resolver), "resolver", UINT32_MAX, STAGE_SPOOL);
    *part_out = "queue";
    fault = queue_new(e->world, &e->renewal.alive[0]->queue, e->options.max_letters, log_for(e),
                      &e->queue);
    if (fault != FAULT_NONE)
        return fault;
    join_in(e, queue_actor(e->queue), "queue", UINT32_MAX, STAGE_QUEUE);
    spool_set_queue(e->spool, queue_actor(e->queue));
    return FAULT_NONE;
}

/* Without its folder, or without the right to use it, nothing is taken from there; mail goes on all
   the same. */
static enum fault make_importer(struct engine *e, const char **part_out)
{
    const struct settings *s = e->options.source.settings;
    *part_out = "drop folder";
    if (s->drop == NULL)
        return FAULT_NONE;
    enum fault fault = importer_new(e->world, s, e->spool, queue_actor(e->queue),
                                    e->options.max_letters, log_for(e), &e->importer);
    if (fault == FAULT_NO_MEMORY)
        return fault;
    if (fault != FAULT_NONE) {
        LOG(actor_log(e->actor), EVENT_DROP_FAILED, log_text("folder", s->drop),
            log_fault("fault", fault));
        return FAULT_NONE;
    }
    join_in(e, importer_actor(e->importer), "importer", UINT32_MAX, STAGE_SPOOL);
    e->members[e->member_count - 1].is_worker = true; /* it, too, stops to bring mail in first */
    spool_set_queue(e->spool, importer_actor(e->importer));
    return FAULT_NONE;
}

static enum fault make_worker(struct engine *e, uint32_t number)
{
    struct worker *w;
    enum fault fault = worker_new(e->world, e->options.max_letters, log_for(e), &w);
    if (fault != FAULT_NONE)
        return fault;
    e->workers[number] = w;
    join_in(e, worker_actor(w), "worker", number, STAGE_THREADS);
    e->members[e->member_count - 1].is_worker = true;
    const struct generation *first = e->renewal.alive[0];
    const struct worker_generation *own = &first->workers[number];
    fault = worker_equip(w, &own->receiver, &own->deliverer, e->spool, queue_actor(e->queue));
    for (uint32_t i = 0; i < first->source.listener_count && fault == FAULT_NONE; i++) {
        struct receiver_door door = generation_door(first, i);
        fault = receiver_listen(worker_receiver(w), first->source.listeners[i], &door);
    }
    return fault;
}

static enum fault make_workers(struct engine *e, const char **part_out)
{
    struct actor *actors[ENGINE_WORKERS_MAX];
    *part_out = "workers";
    for (uint32_t i = 0; i < e->worker_count; i++) {
        enum fault fault = make_worker(e, i);
        if (fault != FAULT_NONE)
            return fault;
        actors[i] = worker_actor(e->workers[i]);
    }
    if (e->options.source.on_taken != NULL)
        e->options.source.on_taken(e->options.source.context);
    queue_introduce(e->queue, spool_actor(e->spool), resolver_actor(e->resolver), actors,
                    e->worker_count);
    return FAULT_NONE;
}

static enum fault make_control(struct engine *e, const char **part_out)
{
    *part_out = "control socket";
    if (e->options.control < 0)
        return FAULT_NONE;
    enum fault fault = control_new(e->world, e, e->options.control, log_for(e), &e->control);
    if (fault == FAULT_NONE)
        join_in(e, control_actor(e->control), "control", UINT32_MAX, STAGE_SPOOL);
    return fault;
}

static uint32_t count_workers(const struct engine_options *o)
{
    uint32_t workers = o->source.settings->workers;
    uint32_t wanted = workers == 0 ? o->processors : workers;
    if (wanted == 0)
        return 1;
    return wanted < ENGINE_WORKERS_MAX ? wanted : ENGINE_WORKERS_MAX;
}

static void derive_spool(struct engine *e)
{
    const struct settings *s = e->options.source.settings;
    uint32_t inline_max = e->options.inline_bytes_max;
    e->spool_settings = (struct spool_settings){
        .path = s->spool,
        .segment_bytes = (uint32_t)s->segment_bytes,
        .inline_bytes_max = inline_max == 0 ? ENVELOPE_INLINE_MAX : inline_max,
        .disk_bytes_max = s->spool_bytes_max,
        .segments_reserved = s->reserve_segments,
    };
}

static enum fault make_generation(struct engine *e, const char **part_out)
{
    struct generation *first;
    struct buffer unread;
    struct buffer *why = e->options.why != NULL ? e->options.why : &unread;
    *part_out = "TLS";
    buffer_init(&unread, 1024);
    enum fault fault =
        generation_new(&e->options, &e->options.source, e->worker_count, why, &first);
    buffer_fini(&unread);
    if (fault == FAULT_NONE)
        renewal_begin(e, first);
    return fault;
}

enum fault engine_new(struct world *w, const struct engine_options *options,
                      struct engine **engine_out, const char **part_out)
{
    *part_out = "engine";
    struct engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return FAULT_NO_MEMORY;
    e->world = w;
    e->options = *options;
    e->worker_count = count_workers(options);
    timer_init(&e->beat, on_beat, e);
    derive_spool(e);
    enum fault fault = make_generation(e, part_out);
    if (fault == FAULT_NONE) {
        *part_out = "engine";
        fault = actor_new(w, &role, e, 0, log_for(e), &e->actor);
    }
    if (fault == FAULT_NONE)
        fault = make_disk(e, part_out);
    if (fault == FAULT_NONE)
        fault = make_queue(e, part_out);
    if (fault == FAULT_NONE)
        fault = make_importer(e, part_out);
    if (fault == FAULT_NONE)
        fault = make_workers(e, part_out);
    if (fault == FAULT_NONE)
        fault = make_control(e, part_out);
    if (fault == FAULT_NONE) {
        *part_out = "engine";
        e->started_wall_ms = loop_wall_ms(actor_loop(e->actor));
        fault = timer_set(actor_loop(e->actor), &e->beat, loop_mono_us(actor_loop(e->actor)));
    }
    if (fault != FAULT_NONE) {
        engine_free(e);
        return fault;
    }
    *engine_out = e;
    return FAULT_NONE;
}

enum fault engine_start(struct engine *e)
{
    LOG(actor_log(e->actor), EVENT_ENGINE_STARTED, log_u64("workers", e->worker_count),
        log_u64("listeners", e->options.source.listener_count));
    enum fault fault = actor_start(e->actor);
    for (uint32_t i = 0; i < e->member_count && fault == FAULT_NONE; i++)
        fault = actor_start(e->members[i].actor);
    return fault;
}

void engine_stop(struct engine *e)
{
    atomic_store(&e->is_asked_to_stop, true);
    (void)loop_wake(actor_loop(e->actor));
}

bool engine_is_stopped(const struct engine *e)
{
    return atomic_load(&e->is_stopped);
}

void engine_join(struct engine *e)
{
    for (uint32_t i = 0; i < e->member_count; i++)
        actor_join(e->members[i].actor);
    actor_join(e->actor);
}

void engine_free(struct engine *e)
{
    if (e == NULL)
        return;
    /* A fetch under way is the asker's memory and gives back what the spool has put into it. */
    spool_free(e->spool);
    importer_free(e->importer);
    control_free(e->control);
    for (uint32_t i = 0; i < e->worker_count; i++)
        worker_free(e->workers[i]);
    resolver_free(e->resolver);
    queue_free(e->queue); /* its letters may still lie with the others */
    disk_pool_free(e->pool);
    if (e->actor != NULL)
        timer_cancel(actor_loop(e->actor), &e->beat);
    actor_free(e->actor);
    renewal_free(e);
    for (uint32_t i = 0; i < e->log_count; i++)
        log_free(e->logs[i]);
    free(e);
}
