/*
 * loading: a configuration is read, checked by a throw-away child (engine/rehearsal.h), and kept as
 * it was read.
 *
 * The supervisor opens the files that the child names and copies them into the bundle; it
 * understands nothing of them. Waits for the child, REHEARSAL_WAIT_MS at most.
 */
#ifndef ENGINE_LOADING_H
#define ENGINE_LOADING_H

#include "engine/rehearsal.h"

/* The bundle, a sealed descriptor, with what the configuration says to us in *result_out and what
   has changed since the bundle `before` (or -1) in `text`; -1: it cannot be used, and `text` says
   why. */
int loading_run(const char *path, bool is_root, int before, struct rehearsal_result *result_out,
                struct buffer *text);

#endif
