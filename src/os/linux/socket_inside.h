/*
 * socket_inside: what connections (socket.c) and listeners (listener.c) share; nobody else includes
 * it.
 *
 *                    connection_begin                       listener_begin
 *                      |          \ accepted                      |
 *                  CONNECTING    ADOPTABLE                    LISTENING
 *        on_connect  |    \          | socket_adopt
 *           (fault)  |     \ (none)  |
 *                  ENDED    `--> CONNECTED --> HALF (on_end, none) --> ENDED (on_end, a fault)
 *
 * socket_close leads out of each of them.
 */
#ifndef OS_LINUX_SOCKET_INSIDE_H
#define OS_LINUX_SOCKET_INSIDE_H

#include "os/linux/loop_inside.h"
#include "os/socket.h"

enum socket_state { CONNECTING, ADOPTABLE, LISTENING, CONNECTED, HALF, ENDED };

struct socket {
    struct watch watch;
    struct loop *loop;
    const struct socket_events *events;
    void *context;
    struct endpoint peer;
    enum socket_state state;
    enum fault broken; /* what a connect or send has met and on_connect or on_end is to tell */
    bool is_readable;  /* the kernel may have bytes or the end: edge-triggered, so remembered */
    bool is_ending;    /* the end lies behind the bytes: a short read is not the last one */
    bool is_paused;
    bool is_resting;    /* a listener that waits for descriptors to become free */
    size_t part_count;  /* of an unfinished send */
    struct span *parts; /* its memory, with part_first the first part that is not sent */
    size_t part_first;
    struct timer rest;
};

/* Makes a connection of a descriptor, which it owns even when it faults. */
must_use enum fault connection_begin(struct loop *l, int descriptor, enum socket_state state,
                                     struct endpoint peer, struct socket **socket_out);
void socket_free_dead(struct watch *w);
void listener_close(struct socket *s);
void set_no_delay(int descriptor);
void set_nonblocking(int descriptor);

#endif
