/*
 * descriptor: watches a descriptor that a library owns, for libraries that do their own I/O.
 *
 * In the real world only; what uses it stands behind a seam of its own that the simulator
 * implements otherwise (dns/lookup.h). Level-triggered: on_ready comes in every poll while the
 * descriptor is ready. The descriptor is never closed here, and a watch ends before its owner
 * closes it. One watch for a descriptor. For the loop's own thread.
 */
#ifndef OS_DESCRIPTOR_H
#define OS_DESCRIPTOR_H

#include "os/loop.h"

struct descriptor;

enum descriptor_ready {
    DESCRIPTOR_READABLE = 1, /* or at its end, or broken */
    DESCRIPTOR_WRITABLE = 2, /* or broken */
};

/* `wanted` and `ready`: of enum descriptor_ready. on_ready comes from loop_poll and may end the
   watch. Faults: NO_MEMORY, EXISTS, and those of fault_of_errno. */
must_use enum fault descriptor_watch(struct loop *l, int number, unsigned wanted,
                                     void (*on_ready)(void *context, unsigned ready), void *context,
                                     struct descriptor **descriptor_out);
void descriptor_unwatch(struct descriptor *d); /* frees; no on_ready comes after it */

#endif
