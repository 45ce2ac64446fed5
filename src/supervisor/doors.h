/*
 * doors: what the supervisor opens for the engine, as what it was started as: listening sockets,
 * the control socket, the spool's folder.
 *
 * Faults are said in `why`, one sentence each, with what to do about it where that is known.
 */
#ifndef SUPERVISOR_DOORS_H
#define SUPERVISOR_DOORS_H

#include "engine/rehearsal.h"

struct doors {
    struct endpoint at[CONFIG_LISTENERS_MAX];
    int listeners[CONFIG_LISTENERS_MAX];
    uint32_t count;
    int control;
    char control_path[REHEARSAL_CONTROL_MAX];
};

/* An exit code of sysexits; 0: all are open. Otherwise none is. The folders of spool and control
   socket are made when they are missing, and are the server's user's. */
int doors_open(struct doors *d, const struct rehearsal_result *wanted, struct buffer *why);
/* The listening sockets that are wanted from now on; those that stay are not touched. An exit code;
   not 0: nothing has changed. */
int doors_renew(struct doors *d, const struct rehearsal_result *wanted, struct buffer *why);
void doors_close(struct doors *d);

#endif
