/*
 * loop: the real one: epoll, an eventfd and a heap of timers; see os/loop.h.
 *
 * A wake-up is never lost: `state` is WOKEN from the first loop_wake until the next poll begins or
 * ends, and a poll sleeps only after it has moved AWAKE to ASLEEP. Who finds it ASLEEP writes the
 * eventfd. The eventfd is edge-triggered, so that nobody ever has to read it.
 */
#include "os/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "os/linux/loop_inside.h"
#include "os/socket.h"

#define EVENTS_MAX  256 /* of one poll; more stay for the next */
#define WAIT_MS_MAX (60 * 60 * 1000)

enum { AWAKE, ASLEEP, WOKEN };

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void read_clocks(struct loop *l)
{
    l->mono_us = clock_ns(CLOCK_MONOTONIC) / 1000;
    l->wall_ms = clock_ns(CLOCK_REALTIME) / 1000000;
}

static enum fault open_descriptors(struct loop *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->epoll < 0 || l->event < 0)
        return fault_of_errno(errno);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->event, &e) != 0)
        return fault_of_errno(errno);
    return FAULT_NONE;
}

enum fault loop_new(struct world *w, struct loop **loop_out)
{
    (void)w;
    struct loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return FAULT_NO_MEMORY;
    l->epoll = l->event = -1;
    heap_init(&l->timers);
    list_init(&l->again);
    list_init(&l->dead);
    read_clocks(l);
    enum fault fault = open_descriptors(l);
    l->read_buffer = malloc(SOCKET_READ_BYTES);
    if (fault == FAULT_NONE && l->read_buffer == NULL)
        fault = FAULT_NO_MEMORY;
    if (fault == FAULT_NONE)
        *loop_out = l;
    else
        loop_free(l);
    return fault;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    check(!l->is_dispatching && l->watch_count == 0 && heap_first(&l->timers) == NULL);
    if (l->epoll >= 0)
        close(l->epoll);
    if (l->event >= 0)
        close(l->event);
    heap_fini(&l->timers);
    free(l->read_buffer);
    free(l);
}

/* Milliseconds, rounded up: a poll that ends before its timer is due would only come again. */
static int time_to_wait(struct loop *l)
{
    const struct heap_node *first = heap_first(&l->timers);
    if (!list_empty(&l->again))
        return 0;
    if (first == NULL)
        return -1;
    read_clocks(l);
    if (first->key <= l->mono_us)
        return 0;
    int64_t wait_us = first->key - l->mono_us;
    return wait_us / 1000 >= WAIT_MS_MAX ? WAIT_MS_MAX : (int)((wait_us + 999) / 1000);
}

static int wait(struct loop *l, bool may_sleep, struct epoll_event *events)
{
    int timeout_ms = may_sleep ? time_to_wait(l) : 0;
    if (timeout_ms != 0) {
        int awake = AWAKE;
        if (!atomic_compare_exchange_strong(&l->state, &awake, ASLEEP))
            timeout_ms = 0;
    }
    loop_count(&l->counts.waits, 1);
    int count = epoll_wait(l->epoll, events, EVENTS_MAX, timeout_ms);
    check(count >= 0 || errno == EINTR);
    atomic_exchange(&l->state, AWAKE);
    return count < 0 ? 0 : count;
}

/* Those put back before this poll, not those that put themselves back during it. */
static void dispatch_again(struct loop *l, struct list *batch)
{
    for (struct list *node; (node = list_take_first(batch)) != NULL;) {
        struct watch *w = container_of(node, struct watch, again);
        if (!w->is_dead)
            w->on_ready(w, 0);
    }
    (void)l;
}

static void dispatch_events(const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        struct watch *w = events[i].data.ptr;
        if (w != NULL && !w->is_dead)
            w->on_ready(w, events[i].events);
    }
}

/* At most as many as there were at the start: a timer set for now from its own call-back must not
   keep the loop from its sockets. */
static void dispatch_timers(struct loop *l)
{
    for (uint32_t left = l->timers.count; left > 0; left--) {
        struct heap_node *first = heap_first(&l->timers);
        if (first == NULL || first->key > l->mono_us)
            return;
        heap_remove(&l->timers, first);
        struct timer *t = container_of(first, struct timer, node);
        t->on_timer(t->context);
    }
}

static void bury(struct loop *l)
{
    for (struct list *node; (node = list_take_first(&l->dead)) != NULL;) {
        struct watch *w = container_of(node, struct watch, again);
        w->on_dead(w);
    }
}

void loop_poll(struct loop *l, bool may_sleep)
{
    check(!l->is_dispatching);
    struct epoll_event events[EVENTS_MAX];
    int count = wait(l, may_sleep, events);
    read_clocks(l);
    l->is_dispatching = true;
    if (l->on_tick != NULL)
        l->on_tick(l->tick_context);
    /* The nodes move to a list of this poll's own, whose head is on the stack. */
    struct list batch;
    list_init(&batch);
    for (struct list *node; (node = list_take_first(&l->again)) != NULL;)
        list_append(&batch, node);
    dispatch_events(events, count);
    dispatch_again(l, &batch);
    dispatch_timers(l);
    l->is_dispatching = false;
    bury(l);
}

bool loop_wake(struct loop *l)
{
    if (atomic_load(&l->state) == WOKEN)
        return false;
    if (atomic_exchange(&l->state, WOKEN) != ASLEEP)
        return false;
    uint64_t one = 1;
    atomic_fetch_add_explicit(&l->counts.wakes, 1, memory_order_relaxed);
    /* EAGAIN would mean 2^64 - 2 wake-ups that nobody has slept through. */
    check(write(l->event, &one, sizeof one) == sizeof one);
    return true;
}

void loop_on_tick(struct loop *l, void (*on_tick)(void *context), void *context)
{
    l->on_tick = on_tick;
    l->tick_context = context;
}

int64_t loop_mono_us(const struct loop *l)
{
    return l->mono_us;
}

int64_t loop_wall_ms(const struct loop *l)
{
    return l->wall_ms;
}

static void fill_random(uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t got = getrandom(bytes, len, 0);
        check(got > 0 || errno == EINTR);
        if (got > 0) {
            bytes += got;
            len -= (size_t)got;
        }
    }
}

/* Small requests share one system call; bytes given out are wiped. */
void loop_random(struct loop *l, void *bytes_out, size_t len)
{
    if (len > sizeof l->random) {
        fill_random(bytes_out, len);
        return;
    }
    if (len > l->random_left) {
        fill_random(l->random, sizeof l->random);
        l->random_left = sizeof l->random;
    }
    l->random_left -= len;
    memcpy(bytes_out, l->random + l->random_left, len);
    explicit_bzero(l->random + l->random_left, len);
}

void loop_counters(const struct loop *l, struct loop_counters *counters_out)
{
#define READ(name) counters_out->name = atomic_load_explicit(&l->counts.name, memory_order_relaxed)
    READ(waits);
    READ(wakes);
    READ(reads);
    READ(sends);
    READ(accepts);
    READ(connects);
    READ(controls);
    READ(bytes_read);
    READ(bytes_sent);
#undef READ
}

void timer_init(struct timer *t, void (*on_timer)(void *context), void *context)
{
    heap_node_init(&t->node);
    t->on_timer = on_timer;
    t->context = context;
}

enum fault timer_set(struct loop *l, struct timer *t, int64_t at_us)
{
    if (heap_contains(&t->node))
        heap_change(&l->timers, &t->node, at_us);
    else if (!heap_insert(&l->timers, &t->node, at_us))
        return FAULT_NO_MEMORY;
    return FAULT_NONE;
}

void timer_cancel(struct loop *l, struct timer *t)
{
    heap_remove(&l->timers, &t->node);
}

enum fault watch_resume(struct loop *l, struct watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    loop_count(&l->counts.controls, 1);
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, w->descriptor, &e) != 0)
        return fault_of_errno(errno);
    return FAULT_NONE;
}

void watch_suspend(struct loop *l, struct watch *w)
{
    loop_count(&l->counts.controls, 1);
    (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->descriptor, NULL);
}

enum fault watch_open(struct loop *l, struct watch *w, uint32_t events)
{
    list_init(&w->again);
    enum fault fault = watch_resume(l, w, events);
    if (fault == FAULT_NONE)
        l->watch_count++;
    return fault;
}

void watch_again(struct loop *l, struct watch *w)
{
    if (!w->is_dead && list_empty(&w->again))
        list_append(&l->again, &w->again);
}

static void watch_end(struct loop *l, struct watch *w)
{
    check(!w->is_dead);
    w->is_dead = true;
    l->watch_count--;
    list_remove(&w->again);
    list_append(&l->dead, &w->again);
    if (!l->is_dispatching)
        bury(l);
}

void watch_close(struct loop *l, struct watch *w)
{
    close(w->descriptor);
    watch_end(l, w);
}

void watch_release(struct loop *l, struct watch *w)
{
    watch_suspend(l, w);
    watch_end(l, w);
}
