/*
 * control: the actor behind the control socket: answers `status`, `queue …` and `reload` for
 * operators, and `status` alone for whoever else can reach it.
 *
 * Owns its connections and what they ask. A request (ipc/control.h) is taken whole, carried out,
 * and the connection ends with the answer. Rows leave page by page, so that a million messages cost
 * no memory, and a client that does not read stops only itself. At most CONTROL_CONNECTIONS_MAX at
 * once; one that asks nothing for CONTROL_TIMEOUT_MS is closed.
 */
#ifndef ENGINE_CONTROL_H
#define ENGINE_CONTROL_H

#include "letter/actor.h"

#define CONTROL_CONNECTIONS_MAX 64
#define CONTROL_TIMEOUT_MS      30000
#define CONTROL_PAGE_ROWS       256
#define CONTROL_OUTPUT_MAX      (4u * 1024 * 1024) /* of one page of rows */

struct control;
struct engine;
struct settings;

/* RENEW: what the status speaks of from now on. */
struct control_renewal {
    struct letter letter;
    const struct settings *settings; /* the asker's until the answer */
};

/* descriptor: a listening Unix socket. */
must_use enum fault control_new(struct world *w, struct engine *e, int descriptor, struct log *log,
                                struct control **control_out);
/* Any thread: what came of the reload that operators wait for. */
void control_reload_ended(struct control *c, bool is_good, struct span text);
struct actor *control_actor(struct control *c);
void control_free(struct control *c); /* after its actor was joined */

#endif
