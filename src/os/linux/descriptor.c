/*
 * descriptor: see os/descriptor.h.
 */
#include "os/descriptor.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "os/linux/loop_inside.h"

struct descriptor {
    struct watch watch;
    struct loop *loop;
    unsigned wanted;
    void (*on_ready)(void *context, unsigned ready);
    void *context;
};

static void on_watch(struct watch *w, uint32_t events)
{
    struct descriptor *d = container_of(w, struct descriptor, watch);
    unsigned ready = 0;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        ready |= DESCRIPTOR_READABLE;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
        ready |= DESCRIPTOR_WRITABLE;
    ready &= d->wanted;
    if (ready != 0)
        d->on_ready(d->context, ready);
}

static void on_dead(struct watch *w)
{
    free(container_of(w, struct descriptor, watch));
}

enum fault descriptor_watch(struct loop *l, int number, unsigned wanted,
                            void (*on_ready)(void *context, unsigned ready), void *context,
                            struct descriptor **descriptor_out)
{
    check(wanted != 0 && (wanted & ~3u) == 0);
    struct descriptor *d = calloc(1, sizeof *d);
    if (d == NULL)
        return FAULT_NO_MEMORY;
    d->watch = (struct watch){.on_ready = on_watch, .on_dead = on_dead, .descriptor = number};
    d->loop = l;
    d->wanted = wanted;
    d->on_ready = on_ready;
    d->context = context;
    uint32_t events = ((wanted & DESCRIPTOR_READABLE) != 0 ? (uint32_t)EPOLLIN : 0) |
                      ((wanted & DESCRIPTOR_WRITABLE) != 0 ? (uint32_t)EPOLLOUT : 0);
    enum fault fault = watch_open(l, &d->watch, events);
    if (fault == FAULT_NONE)
        *descriptor_out = d;
    else
        free(d);
    return fault;
}

void descriptor_unwatch(struct descriptor *d)
{
    watch_release(d->loop, &d->watch);
}
