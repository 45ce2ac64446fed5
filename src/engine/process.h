/*
 * process: the main function of the engine's process, after the fork.
 *
 * It becomes the server's user for good before anything else. Its main thread waits for the signal
 * to end and makes new generations of what the supervisor hands over; everything else is the
 * engine's actors.
 */
#ifndef ENGINE_PROCESS_H
#define ENGINE_PROCESS_H

#include <sys/types.h>

#include "engine/engine.h"
#include "os/log_file.h"

struct engine_process {
    const char *path;       /* of the configuration */
    int bundle;             /* in which it lies (config/bundle.h) */
    const char *spool;      /* that of the start, whatever it says */
    uint32_t uid, gid;      /* whom to become; uid 0: nobody else */
    const uint32_t *groups; /* its others */
    uint32_t group_count;
    bool has_control_group;
    uint32_t control_gid;
    const int *listeners; /* bound and listening, in the order of the configuration */
    uint32_t listener_count;
    int control;    /* a listening Unix socket */
    int agent_door; /* os/packet.h */
    struct log_file *log_file;
    int heart;      /* each beat of the engine is a byte into this pipe */
    int supervisor; /* ipc/handover.h: new generations come from there */
    pid_t parent;   /* who forked it */
};

/* The exit code: 0 after a clean end, else of sysexits, with one sentence on standard error. When
   the engine does not wind down in time the process just ends here; nothing on disk depends on it.
 */
int engine_process(struct world *w, struct engine_process *p);

#endif
