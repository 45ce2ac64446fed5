/*
 * loop_inside: what the parts of the real loop share (loop.c, socket.c); nobody else includes it.
 */
#ifndef OS_LINUX_LOOP_INSIDE_H
#define OS_LINUX_LOOP_INSIDE_H

#include <stdatomic.h>

#include "base/list.h"
#include "os/loop.h"

/*
 * A descriptor in the epoll set. on_ready gets the epoll events; it comes again in the next poll,
 * with no events, after watch_again. A watch that is closed is freed by on_dead once no event of
 * the running poll can name it any more.
 */
struct watch {
    void (*on_ready)(struct watch *w, uint32_t events);
    void (*on_dead)(struct watch *w);
    struct list again; /* in loop.again or loop.dead */
    int descriptor;
    bool is_dead;
};

struct loop_counts {
    _Atomic uint64_t waits, wakes, reads, sends, accepts, connects, controls;
    _Atomic uint64_t bytes_read, bytes_sent;
};

struct loop {
    int epoll;
    int event; /* eventfd: written to wake a sleeping loop */
    _Atomic int state;
    bool is_dispatching;
    uint32_t watch_count;
    int64_t mono_us;
    int64_t wall_ms;
    void (*on_tick)(void *context);
    void *tick_context;
    struct heap timers;
    struct list again;
    struct list dead;
    uint8_t *read_buffer; /* SOCKET_READ_BYTES, shared by all sockets of the loop */
    struct loop_counts counts;
    size_t random_left;
    uint8_t random[256]; /* fresh bytes of the kernel are random[0 .. random_left) */
};

/* The counters have one writer, but for `wakes`. */
static inline void loop_count(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + n, memory_order_relaxed);
}

/* Adds w->descriptor with these epoll events. */
must_use enum fault watch_open(struct loop *l, struct watch *w, uint32_t events);
/* Takes it out of the epoll set and puts it back (a descriptor with EPOLLEXCLUSIVE cannot be
   modified). */
void watch_suspend(struct loop *l, struct watch *w);
must_use enum fault watch_resume(struct loop *l, struct watch *w, uint32_t events);
void watch_again(struct loop *l, struct watch *w);
/* Closes the descriptor; on_dead follows, from here or from the end of the running poll. */
void watch_close(struct loop *l, struct watch *w);
/* The same, but the descriptor stays open: it is somebody else's. */
void watch_release(struct loop *l, struct watch *w);

#endif
