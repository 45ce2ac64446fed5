/*
 * engine: the actors of the process that moves mail, wired together: spool, disk pool, queue,
 * resolver, workers, control. Threads and wiring only.
 *
 * Owns all of them and an actor of its own, which asks each of them once a second whether it still
 * turns (PING) and tells the supervisor (on_beat) when all have answered since the last beat; and
 * which winds them down when asked to: workers take no new mail and finish what they have, then the
 * queue, the resolver, the spool, and at last whatever remains. Nothing on disk depends on a clean
 * end. Made, started, joined and freed by one thread; engine_stop may be called by any.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/buffer.h"
#include "config/settings.h"
#include "os/socket.h"
#include "os/world.h"

#define ENGINE_BEAT_MS         1000
#define ENGINE_STOP_LIMIT_MS   30000 /* then it ends with work in hand; the next start finds it */
#define ENGINE_GENERATIONS_MAX 4     /* alive at once */

struct engine;

/* What a generation of the configuration is made of. All but the settings, of which it has a
   reference of its own, stays the giver's until on_end. */
struct generation_source {
    const struct settings *settings;
    const int *listeners; /* descriptors that are bound and listening; all workers accept on each */
    uint32_t listener_count;
    const struct endpoint *own; /* our own addresses */
    size_t own_count;
    /* The text of a file that the settings name; data NULL: there is none. NULL: files are read. */
    struct span (*find_file)(void *context, const char *path);
    /* The workers have the listening sockets under descriptors of their own; may be NULL. */
    void (*on_taken)(void *context);
    void (*on_end)(void *context); /* nobody goes by it any more; any thread; may be NULL */
    void *context;
};

/* Who may do everything through the control socket, beside root; others may ask for the status. */
struct engine_operators {
    uint32_t uid, gid; /* gid: with has_group */
    bool has_group;
};

struct engine_options {
    /* Of the first generation, with which it is made. */
    struct generation_source source;
    int control; /* a listening Unix socket, or -1 */
    struct engine_operators operators;
    int agent_door;                 /* os/packet.h: to the agent; -1: there is none */
    uint32_t processors;            /* for settings->workers 0 */
    uint32_t max_letters;           /* of a turn of any actor; 0: all */
    uint32_t inline_bytes_max;      /* 0: ENVELOPE_INLINE_MAX */
    uint32_t appends_max;           /* of a worker, under way with the spool; 0: plenty */
    const uint8_t *ticket_keys;     /* TLS_TICKET_KEY_BYTES random bytes; NULL: no TLS */
    struct buffer *why;             /* says more about a fault of TLS; may be NULL */
    uint64_t secret;                /* random, of the hash tables */
    struct log_sink log_sink;       /* shared by all actors: each flush is one call */
    void (*on_beat)(void *context); /* on the engine actor's thread; may be NULL */
    /* An operator asks for a reload, to be answered by engine_reload_ended; on the control actor's
       thread. NULL: there is none. */
    void (*on_reload_wanted)(void *context);
    void *context;
};

/* Opens the spool (blocks) and makes everything; *part_out says what a fault concerns ("spool"). */
must_use enum fault engine_new(struct world *w, const struct engine_options *options,
                               struct engine **engine_out, const char **part_out);
must_use enum fault engine_start(struct engine *e);
/*
 * Another generation: new sessions, deliveries and questions go by it as soon as all members have
 * heard of it; whoever is at work goes on by the one it began with. What the process was made with
 * stays: spool, control socket, number of threads, log. While ENGINE_GENERATIONS_MAX are alive it
 * waits, and sessions of the oldest are asked to end between two messages; one that comes
 * meanwhile takes its place. A fault (SYNTAX and others of tls/context.h, NO_MEMORY): nothing has
 * changed, `why` says more, and the source is the caller's. Any thread, but one at a time.
 */
must_use enum fault engine_reload(struct engine *e, const struct generation_source *source,
                                  struct buffer *why);
/* To operators who wait for it: what came of the reload, one text of lines. Any thread. */
void engine_reload_ended(struct engine *e, bool is_good, struct span text);
void engine_stop(struct engine *e);             /* any thread: begins to wind down */
bool engine_is_stopped(const struct engine *e); /* any thread: all actors have ended */
void engine_join(struct engine *e);             /* waits for the end of all threads */
void engine_free(struct engine *e);             /* joined, or its world is dead */

/* One JSON object with all counters, for `status`; any thread. False: full. */
bool engine_status(const struct engine *e, const char *hostname, struct buffer *out);

#endif
