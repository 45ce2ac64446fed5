/*
 * loop: time, timers and completions for one thread.
 *
 * Owns the timer heap and, in the real world, an epoll set. All of it is used by the loop's own
 * thread only, but for loop_wake, which any thread may call. Times are microseconds on a monotonic
 * clock that starts anywhere; wall time is Unix milliseconds and may jump. Both are read once per
 * turn and stand still within it.
 */
#ifndef OS_LOOP_H
#define OS_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "base/heap.h"
#include "os/world.h"

struct loop;

struct timer {
    struct heap_node node;
    void (*on_timer)(void *context);
    void *context;
};

must_use enum fault loop_new(struct world *w, struct loop **loop_out);
void loop_free(struct loop *l); /* all its sockets are closed and timers cancelled before */

/*
 * Dispatches what is due: completions and timers. With may_sleep it first waits until there is
 * something, or until loop_wake. The simulated one never waits. Call-backs run inside; they may do
 * anything but call loop_poll.
 */
void loop_poll(struct loop *l, bool may_sleep);
/* Any thread: the running or the next loop_poll returns soon. Waking a loop that is awake costs an
   atomic operation and no system call. True when it slept and had to be woken. */
bool loop_wake(struct loop *l);

/* on_tick is called in each loop_poll once the time has been read, before anything is dispatched.
 */
void loop_on_tick(struct loop *l, void (*on_tick)(void *context), void *context);

int64_t loop_mono_us(const struct loop *l);
int64_t loop_wall_ms(const struct loop *l);
/* From the kernel; in the simulator from the seed. */
void loop_random(struct loop *l, void *bytes_out, size_t len);

/* What the loop has cost so far, in system calls but for the last two. Any thread may ask. */
struct loop_counters {
    uint64_t waits, wakes, reads, sends, accepts, connects, controls;
    uint64_t bytes_read, bytes_sent;
};
void loop_counters(const struct loop *l, struct loop_counters *counters_out);

void timer_init(struct timer *t, void (*on_timer)(void *context), void *context);
/* Sets or moves; fires once, at the first poll at or after at_us. NO_MEMORY only for a timer that
 * was not set. */
must_use enum fault timer_set(struct loop *l, struct timer *t, int64_t at_us);
void timer_cancel(struct loop *l, struct timer *t); /* no-op when not set */

#endif
