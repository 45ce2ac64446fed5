/*
 * event_base: lets libunbound run on our loop (unbound-event.h).
 *
 * Owns nothing but the events that libunbound makes and frees by itself; each is a descriptor of
 * libunbound's and a timer, either or both. One loop, one thread.
 */
#ifndef DNS_UNBOUND_EVENT_BASE_H
#define DNS_UNBOUND_EVENT_BASE_H

#include <sys/time.h>
#include <unbound-event.h>

#include "os/loop.h"

struct event_loop {
    struct ub_event_base base; /* what libunbound is given */
    struct loop *loop;
};

void event_loop_init(struct event_loop *e, struct loop *l);

#endif
