/*
 * event_base: see event_base.h. libunbound uses these as it would libevent: an event is added and
 * deleted many times; unless it persists it ends when it fires; its time limit begins with each add
 * and, when it persists, with each firing.
 */
#include "dns/unbound/event_base.h"

#include <stdlib.h>

#include "base/check.h"
#include "os/descriptor.h"

struct event {
    struct ub_event base; /* what libunbound sees */
    struct loop *loop;
    int number; /* of the descriptor, or -1 */
    int bits;
    void (*on_event)(int number, short bits, void *context);
    void *context;
    int64_t limit_us; /* after each add; 0: none */
    struct timer timer;
    struct descriptor *descriptor; /* NULL while it is not added */
};

static struct event *event_of(struct ub_event *base)
{
    return container_of(base, struct event, base);
}

static void deactivate(struct event *e)
{
    timer_cancel(e->loop, &e->timer);
    if (e->descriptor != NULL)
        descriptor_unwatch(e->descriptor);
    e->descriptor = NULL;
}

static bool set_limit(struct event *e)
{
    return e->limit_us == 0 ||
           timer_set(e->loop, &e->timer, loop_mono_us(e->loop) + e->limit_us) == FAULT_NONE;
}

/* The call-back may free the event: it comes last. */
static void fire(struct event *e, int bits)
{
    if ((e->bits & UB_EV_PERSIST) == 0)
        deactivate(e);
    else
        (void)set_limit(e); /* no memory is needed: it was set, or has just fired */
    e->on_event(e->number, (short)bits, e->context);
}

static void on_ready(void *context, unsigned ready)
{
    fire(context, ((ready & DESCRIPTOR_READABLE) != 0 ? UB_EV_READ : 0) |
                      ((ready & DESCRIPTOR_WRITABLE) != 0 ? UB_EV_WRITE : 0));
}

static void on_timer(void *context)
{
    fire(context, UB_EV_TIMEOUT);
}

static int64_t us_of(const struct timeval *t)
{
    int64_t us = (int64_t)t->tv_sec * 1000000 + t->tv_usec;
    return us > 0 ? us : 1;
}

static int event_add(struct ub_event *base, struct timeval *limit)
{
    struct event *e = event_of(base);
    unsigned wanted = ((e->bits & UB_EV_READ) != 0 ? (unsigned)DESCRIPTOR_READABLE : 0) |
                      ((e->bits & UB_EV_WRITE) != 0 ? (unsigned)DESCRIPTOR_WRITABLE : 0);
    deactivate(e);
    e->limit_us = limit != NULL && (e->bits & UB_EV_TIMEOUT) != 0 ? us_of(limit) : 0;
    if (e->number >= 0 && wanted != 0 &&
        descriptor_watch(e->loop, e->number, wanted, on_ready, e, &e->descriptor) != FAULT_NONE)
        return -1;
    if (set_limit(e))
        return 0;
    deactivate(e);
    return -1;
}

static int event_del(struct ub_event *base)
{
    deactivate(event_of(base));
    return 0;
}

static void event_add_bits(struct ub_event *base, short bits)
{
    event_of(base)->bits |= bits;
}

static void event_del_bits(struct ub_event *base, short bits)
{
    event_of(base)->bits &= ~bits;
}

static void event_set_fd(struct ub_event *base, int number)
{
    event_of(base)->number = number;
}

static void event_free(struct ub_event *base)
{
    deactivate(event_of(base));
    free(event_of(base));
}

static int event_add_timer(struct ub_event *base, struct ub_event_base *unused,
                           void (*on_event)(int, short, void *), void *context,
                           struct timeval *limit)
{
    struct event *e = event_of(base);
    (void)unused;
    e->on_event = on_event;
    e->context = context;
    e->bits |= UB_EV_TIMEOUT;
    return event_add(base, limit);
}

static int no_signal_add(struct ub_event *base, struct timeval *limit)
{
    (void)base;
    (void)limit;
    return -1;
}

static int no_signal_del(struct ub_event *base)
{
    (void)base;
    return -1;
}

static void no_winsock_unregister(struct ub_event *base)
{
    (void)base;
}

static void no_winsock_block(struct ub_event *base, int bits)
{
    (void)base;
    (void)bits;
}

/* libunbound's type wants it writable; nobody writes it. */
static struct ub_event_vmt event_methods = {
    .add_bits = event_add_bits,
    .del_bits = event_del_bits,
    .set_fd = event_set_fd,
    .free = event_free,
    .add = event_add,
    .del = event_del,
    .add_timer = event_add_timer,
    .del_timer = event_del,
    .add_signal = no_signal_add,
    .del_signal = no_signal_del,
    .winsock_unregister_wsaevent = no_winsock_unregister,
    .winsock_tcp_wouldblock = no_winsock_block,
};

static struct ub_event *new_event(struct ub_event_base *base, int number, short bits,
                                  void (*on_event)(int, short, void *), void *context)
{
    struct event *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->base = (struct ub_event){.magic = UB_EVENT_MAGIC, .vmt = &event_methods};
    e->loop = container_of(base, struct event_loop, base)->loop;
    e->number = number;
    e->bits = bits;
    e->on_event = on_event;
    e->context = context;
    timer_init(&e->timer, on_timer, e);
    return &e->base;
}

static void base_free(struct ub_event_base *base)
{
    (void)base;
}

static int no_dispatch(struct ub_event_base *base)
{
    (void)base;
    return -1;
}

static int no_exit(struct ub_event_base *base, struct timeval *limit)
{
    (void)base;
    (void)limit;
    return -1;
}

static struct ub_event *no_signal(struct ub_event_base *base, int number,
                                  void (*on_event)(int, short, void *), void *context)
{
    (void)base;
    (void)number;
    (void)on_event;
    (void)context;
    return NULL;
}

static struct ub_event *no_winsock(struct ub_event_base *base, void *windows_event,
                                   void (*on_event)(int, short, void *), void *context)
{
    (void)base;
    (void)windows_event;
    (void)on_event;
    (void)context;
    return NULL;
}

static struct ub_event_base_vmt base_methods = {
    .free = base_free,
    .dispatch = no_dispatch,
    .loopexit = no_exit,
    .new_event = new_event,
    .new_signal = no_signal,
    .winsock_register_wsaevent = no_winsock,
};

void event_loop_init(struct event_loop *e, struct loop *l)
{
    e->base = (struct ub_event_base){.magic = UB_EVENT_MAGIC, .vmt = &base_methods};
    e->loop = l;
}
