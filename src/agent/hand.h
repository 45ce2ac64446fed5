/*
 * hand: the main function of a process that has become one user for ever and does that user's
 * deliveries, one after the other.
 *
 * It ends when its agent does, or says so, and at anything that is not as it should be. It never
 * acts as root.
 */
#ifndef AGENT_HAND_H
#define AGENT_HAND_H

#include <sys/types.h>

#include "agent/identity.h"
#include "os/world.h"

struct hand_process {
    struct identity as;
    int channel; /* its end of a pair; the only descriptor it keeps beside the standard three */
    const char *hostname;
    pid_t parent;
};

/* The exit code. */
int hand_process(struct world *w, const struct hand_process *p);

#endif
