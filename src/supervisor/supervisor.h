/*
 * supervisor: keeps the other processes running (children.h).
 *
 * Owns the listening sockets, the control socket's path, the log's descriptor and the children. It
 * parses nothing (the configuration came to it as settings) and reads nothing from the network. The
 * spool is locked by the engine: two engines never run. SIGTERM and SIGINT end it when all have
 * wound down; the second time at once.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include "config/settings.h"
#include "os/world.h"

/* Until it is asked to end (SIGTERM, SIGINT). The exit code, of sysexits. What is wrong at the
   start is said on standard error in one sentence. */
int supervisor_run(struct world *w, const struct settings *settings);

#endif
