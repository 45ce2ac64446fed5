/*
 * process: the main function of the engine's process, after the fork.
 *
 * Its main thread waits for the signal to end; everything else is the engine's actors.
 */
#ifndef ENGINE_PROCESS_H
#define ENGINE_PROCESS_H

#include <sys/types.h>

#include "engine/engine.h"

struct engine_process {
    const struct settings *settings;
    const int *listeners; /* bound and listening */
    uint32_t listener_count;
    int control;                /* a listening Unix socket */
    const struct endpoint *own; /* where we listen */
    size_t own_count;
    struct log_sink log_sink;
    int heart;    /* each beat of the engine is a byte into this pipe */
    pid_t parent; /* who forked it */
};

/* The exit code: 0 after a clean end, else of sysexits, with one sentence on standard error. When
   the engine does not wind down in time the process just ends here; nothing on disk depends on it.
 */
int engine_process(struct world *w, struct engine_process *p);

#endif
