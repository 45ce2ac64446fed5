/*
 * world: what the program stands in: the real one (os/linux) or the simulated one (sim/), chosen
 * when linking.
 *
 * One struct world per process (or per simulated machine), made by main or by the simulator and
 * handed down; there are no globals. It gives loops, disks and threads. Everything of the engine
 * that touches clock, random, sockets, disk or threads goes through src/os/ and nothing else.
 */
#ifndef OS_WORLD_H
#define OS_WORLD_H

#include <stdbool.h>

#include "base/fault.h"

struct world;
struct loop;
struct thread;

/* One turn of an actor: run what is there, then sleep in loop_poll (real world) or return
 * (simulated). False: this thread is finished. */
typedef bool (*thread_turn)(void *context);

/*
 * Runs `turn` again and again until it answers false: on a thread of its own (real), or whenever
 * the simulator's seed says so. `loop` is the loop that the turn polls: loop_wake() on it makes the
 * turn run. `name` has at most 15 bytes.
 */
must_use enum fault thread_start(struct world *w, const char *name, struct loop *loop,
                                 thread_turn turn, void *context, struct thread **thread_out);

/* Waits until the turn has answered false; frees. In the simulated world it returns at once,
 * whether it has or not (a crash leaves nobody to wait for). */
void thread_join(struct thread *t);

#endif
