/*
 * supervisor: keeps one engine running: starts it, watches its heartbeat, starts it again.
 *
 * Owns the listening sockets, the control socket's path, the log's descriptor and the child. It
 * parses nothing (the configuration came to it as settings) and reads nothing from the network. A
 * child that died is reaped before the next is forked, and the spool is locked besides: two engines
 * never run. One that gives no beat for SUPERVISOR_HANG_MS is killed. A child that had been well is
 * followed at once, at the latest after SUPERVISOR_DELAY_WELL_MS_MAX; one that dies before its
 * first beat again and again waits longer each time (the crash-loop rule), up to
 * SUPERVISOR_DELAY_MS_MAX; and if there never was a beat, the supervisor ends with the child's exit
 * code.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include "config/settings.h"
#include "os/world.h"

#define SUPERVISOR_HANG_MS           60000
#define SUPERVISOR_DELAY_FIRST_MS    50
#define SUPERVISOR_DELAY_WELL_MS_MAX 400
#define SUPERVISOR_DELAY_MS_MAX      30000
#define SUPERVISOR_STOP_MS           35000

/* Until it is asked to end (SIGTERM, SIGINT). The exit code, of sysexits. What is wrong at the
   start is said on standard error in one sentence. */
int supervisor_run(struct world *w, const struct settings *settings);

#endif
