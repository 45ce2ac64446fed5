/*
 * children: the processes that the supervisor keeps running: how each is started, watched, started
 * again and ended. The table of them (struct child_role, one row each) is the supervisor's.
 *
 * Owns each child's pid and the reading end of its heartbeat. A child that died is reaped before
 * the next is forked, after the time of base/restart.h; if there never was a beat, everything ends
 * with its exit code. One that gives no beat for SUPERVISOR_HANG_MS is killed. Children are started
 * in the order of the table and ended in the opposite order, each when those behind it are gone:
 * who is asked ends after who asks.
 */
#ifndef SUPERVISOR_CHILDREN_H
#define SUPERVISOR_CHILDREN_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/restart.h"

#define CHILDREN_MAX       4
#define SUPERVISOR_HANG_MS 60000
#define SUPERVISOR_STOP_MS 35000 /* for one child, from SIGTERM to SIGKILL */

enum child_renewal {
    RENEWED_BY_MESSAGE, /* it is told of a new configuration */
    RENEWED_BY_START,   /* it is asked to end, and begins again with it */
};

/* One row. prepare (may be NULL) is called before each fork; false: not now. run is called in the
   child and gives its exit code, of sysexits. It writes a byte into `heart` at least every few
   seconds while it is well; `parent` is who forked it. */
struct child_role {
    const char *name; /* in the log */
    bool (*prepare)(void *context);
    int (*run)(void *context, int heart, pid_t parent);
    enum child_renewal renewal;
};

struct child {
    const struct child_role *role;
    pid_t pid;            /* 0: none */
    int heart;            /* its beats, or -1 */
    bool has_beaten;      /* this one has */
    bool has_ever_beaten; /* it or one before it */
    bool is_renewed;      /* it was asked to end, for a new configuration */
    struct restart restart;
    int64_t begun_ms, beat_ms, start_ms, kill_ms; /* monotonic; 0: not set */
};

struct children {
    struct child all[CHILDREN_MAX];
    uint32_t count;
    void *context; /* of every run */
    struct log *log;
    bool is_stopping;
    int code; /* of who made everything end, or of the last that ended */
};

/* One child for each of `roles`, which outlive it; none is started yet. */
void children_init(struct children *c, const struct child_role *roles, uint32_t count,
                   void *context, struct log *log);
/* Starts, again too, and kills those whose time it is. */
void children_tend(struct children *c);
/* How long nothing is to be done for them, at most a second. */
int children_wait_ms(const struct children *c);
/* The hearts to be polled, one for each child, and what came of it. */
void children_poll(const struct children *c, struct pollfd ready_out[CHILDREN_MAX]);
void children_on_ready(struct children *c, const struct pollfd ready[CHILDREN_MAX]);
void children_reap(struct children *c); /* SIGCHLD has come */
/* There is a new configuration: those that have to begin again for it do. */
void children_renew(struct children *c);
/* Asks all to end, one after the other; `at_once`: kills them. */
void children_stop(struct children *c, bool at_once);
bool children_are_gone(const struct children *c); /* they were to end and have */
bool children_are_well(const struct children *c); /* each that runs has beaten, and lately */

#endif
