/*
 * supervisor: keeps the other processes running (children.h) and brings new configurations in force
 * without ending them.
 *
 * Owns the listening sockets, the control socket's path, the log's descriptor, the configuration as
 * it was read, and the children. It parses nothing: a throw-away child does (loading.h). It reads
 * nothing from the network. The spool is locked by the engine: two engines never run.
 *
 * SIGTERM and SIGINT end it when all have wound down; the second time at once. SIGHUP reloads: the
 * log is opened anew, the configuration is read and checked; a bad one changes nothing. The service
 * manager is told of all this, where there is one.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include "os/world.h"

/* Until it is asked to end. The exit code, of sysexits. What is wrong at the start is said on
   standard error in one sentence. `path`: of the configuration. */
int supervisor_run(struct world *w, const char *path);

#endif
