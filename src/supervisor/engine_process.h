/*
 * engine_process: the main function of the engine's process, after the fork.
 *
 * Its main thread waits for the signal to end; everything else is the engine's actors. Each beat of
 * the engine is a byte into `heart`.
 */
#ifndef SUPERVISOR_ENGINE_PROCESS_H
#define SUPERVISOR_ENGINE_PROCESS_H

#include "os/world.h"
#include "supervisor/doors.h"
#include "supervisor/log_file.h"

/* The exit code: 0 after a clean end, else of sysexits, with one sentence on standard error. When
   the engine does not wind down in time the process just ends here; nothing on disk depends on it.
 */
int engine_process(struct world *w, const struct settings *settings, const struct doors *doors,
                   struct log_file *log_file, int heart);

#endif
