/*
 * process: the main function of the agent's process, after the fork.
 *
 * Root stays root here, so that hands can become users; but all of root's powers beyond that are
 * given up at the start, and no file of a user is touched.
 */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <sys/types.h>

#include "os/log_file.h"
#include "os/world.h"

struct agent_process {
    const char *path; /* of the configuration */
    int bundle;       /* in which it lies (config/bundle.h) */
    int door;         /* through which engines come */
    struct log_file *log_file;
    int heart;    /* each beat is a byte into this pipe */
    pid_t parent; /* who forked it */
};

/* The exit code, of sysexits. SIGTERM: ends when what is in hand is done, at the latest after
   AGENT_STOP_MS; what waits is asked for again by the engine. */
#define AGENT_STOP_MS 10000
int agent_process(struct world *w, const struct agent_process *p);

#endif
