/*
 * generation: one configuration as the engine's members take it: the settings, what each room
 * derives from them, TLS contexts, listening sockets. Immutable once made.
 *
 * Counted: by each worker as long as one of its sessions, messages or connections, or the worker
 * itself, goes by it (a lease on the worker's own part), and by the engine, which lets go when
 * nobody else is left and it is not the present one. generation_new may block (it reads
 * certificates) and is for any thread; the rest is for the engine's.
 */
#ifndef ENGINE_GENERATION_H
#define ENGINE_GENERATION_H

#include <stdatomic.h>

#include "deliver/deliverer.h"
#include "dns/resolver.h"
#include "engine/engine.h"
#include "queue/queue.h"
#include "receive/receiver.h"

struct generation;

/* Of one worker, by its thread alone. */
struct worker_generation {
    struct lease lease;
    struct generation *whole;
    struct receiver_settings receiver;
    struct deliverer_settings deliverer;
    struct tls_context *tls; /* NULL: none is offered */
};

struct generation {
    _Atomic uint32_t references;
    uint32_t number;
    struct generation_source source;
    struct queue_settings queue;
    struct resolver_settings resolver;
    uint32_t worker_count;
    struct worker_generation workers[];
};

/* `why` says more about a fault; the source is ended with the generation, or by the caller after a
   fault. */
must_use enum fault generation_new(const struct engine_options *options,
                                   const struct generation_source *source, uint32_t worker_count,
                                   struct buffer *why, struct generation **generation_out);
/* What is special about the listening socket of this index of the source. */
struct receiver_door generation_door(const struct generation *g, uint32_t index);
/* Nobody but the engine goes by it. */
bool generation_is_unused(const struct generation *g);
void generation_free(struct generation *g);

#endif
