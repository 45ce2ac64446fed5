/*
 * real_world: what only the process that makes the real world needs; everything else asks os/.
 *
 * The main thread makes one world and frees it last. Ignores SIGPIPE for the process.
 */
#ifndef OS_LINUX_REAL_WORLD_H
#define OS_LINUX_REAL_WORLD_H

#include "os/socket.h"
#include "os/world.h"

must_use enum fault world_new_real(struct world **world_out);
void world_free_real(struct world *w); /* after all its threads, loops and disks */

/* A socket of a connected stream descriptor (one end of a socketpair, an inherited connection).
   Takes the descriptor, also when it faults. */
must_use enum fault socket_of_descriptor(struct loop *l, int descriptor,
                                         const struct socket_events *events, void *context,
                                         struct socket **socket_out);

#endif
