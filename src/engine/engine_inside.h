/*
 * engine_inside: what the engine's own files share; nobody else includes it.
 *
 * A member is one actor of the engine with the letters that the engine sends it.
 */
#ifndef ENGINE_ENGINE_INSIDE_H
#define ENGINE_ENGINE_INSIDE_H

#include <stdatomic.h>

#include "dns/resolver.h"
#include "engine/control.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/worker.h"
#include "queue/queue.h"
#include "receive/importer.h"
#include "tls/context.h"

#define ENGINE_WORKERS_MAX QUEUE_WORKERS_MAX
#define ENGINE_MEMBERS_MAX (ENGINE_WORKERS_MAX + DISK_POOL_MAX + 5)

/* In the order in which they are asked to stop. */
enum engine_stage {
    STAGE_RUNNING,
    STAGE_SESSIONS, /* workers finish what they receive */
    STAGE_QUEUE,    /* the queue waits for its deliveries and outcomes */
    STAGE_SPOOL,    /* spool, resolver and control */
    STAGE_THREADS,  /* workers and the disk pool end */
    STAGE_ENDED
};

struct member {
    struct actor *actor;
    char name[16];
    enum engine_stage stops_at; /* a worker also at STAGE_SESSIONS */
    struct letter ping, stop;
    bool is_worker;
};

/* How the members come from one generation to the next. */
struct renewal {
    struct generation *alive[ENGINE_GENERATIONS_MAX]; /* oldest first; the last is the present */
    uint32_t count;
    struct generation *_Atomic pending; /* from engine_reload; NULL: none */
    struct worker_renewal workers[ENGINE_WORKERS_MAX];
    struct queue_renewal queue;
    struct resolver_renewal resolver;
    struct control_renewal control;
    struct importer_renewal importer;
    uint32_t letters_out;
    bool is_queue_next;  /* it hears of it when all others have */
    bool is_oldest_over; /* its sessions have been told */
    enum fault fault;    /* of a member, in this round */
};

struct engine {
    struct world *world;
    struct engine_options options;
    struct actor *actor; /* its own */
    struct timer beat;
    struct log_sink sink;
    struct disk_pool *pool;
    struct spool *spool;
    struct queue *queue;
    struct resolver *resolver;
    struct importer *importer; /* NULL: there is no drop folder */
    struct control *control;   /* NULL: none */
    struct worker *workers[ENGINE_WORKERS_MAX];
    uint32_t worker_count;
    struct member members[ENGINE_MEMBERS_MAX];
    uint32_t member_count;
    uint32_t pings_out, stops_out;
    enum engine_stage stage;
    int64_t started_wall_ms;
    _Atomic bool is_asked_to_stop, is_stopped;
    struct renewal renewal;
    _Atomic uint32_t generation_number, generation_count; /* for status */
    struct spool_settings spool_settings;
    struct log *logs[ENGINE_MEMBERS_MAX + 1];
    uint32_t log_count;
};

/* renewal.c: of the engine's thread. */
void renewal_begin(struct engine *e, struct generation *first);
void renewal_tend(struct engine *e); /* in each turn */
void renewal_answered(struct engine *e);
void renewal_free(struct engine *e); /* all members are freed */

#endif
