/*
 * listener: listening sockets; see os/socket.h.
 *
 * The same listening descriptor may be watched by several loops: EPOLLEXCLUSIVE wakes one of them
 * for a connection and not all. It is level-triggered, so that what one turn leaves the next one
 * takes. When descriptors or memory run out the listener rests, since the kernel would report the
 * waiting connection again and again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "os/address.h"
#include "os/linux/socket_inside.h"

#define ACCEPTS_PER_TURN_MAX 16 /* what is left goes to the other loops, or to the next turn */
#define REST_US              100000
#define BACKLOG              1024 /* cut by net.core.somaxconn */
#define LISTENER_EVENTS      (EPOLLIN | EPOLLEXCLUSIVE)

static void rest(struct socket *s)
{
    if (timer_set(s->loop, &s->rest, s->loop->mono_us + REST_US) != FAULT_NONE)
        return; /* no memory for a timer: it is asked again at once instead */
    s->is_resting = true;
    if (!s->is_paused)
        watch_suspend(s->loop, &s->watch);
}

static void resume(struct socket *s)
{
    if (!s->is_paused && !s->is_resting &&
        watch_resume(s->loop, &s->watch, LISTENER_EVENTS) != FAULT_NONE)
        rest(s);
}

static void on_rested(void *context)
{
    struct socket *s = context;
    s->is_resting = false;
    resume(s);
}

void socket_listen_pause(struct socket *s, bool pause)
{
    check(s->state == LISTENING);
    if (s->is_paused == pause)
        return;
    s->is_paused = pause;
    if (!pause)
        resume(s);
    else if (!s->is_resting)
        watch_suspend(s->loop, &s->watch);
}

static bool is_out_of_something(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void tell_starved(struct socket *s, enum fault fault)
{
    if (s->events->on_starved != NULL)
        s->events->on_starved(s->context, fault);
}

/* True: go on, there may be more. */
static bool accept_one(struct socket *s)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    loop_count(&s->loop->counts.accepts, 1);
    int descriptor = accept4(s->watch.descriptor, (struct sockaddr *)&address, &len,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
        int error = errno;
        if (is_out_of_something(error)) {
            rest(s);
            tell_starved(s, fault_of_errno(error));
        }
        /* Other errors are those of the connection that was to be accepted (accept(2)). */
        return error != EAGAIN;
    }
    struct socket *connection;
    struct endpoint peer = address_decode(&address);
    enum fault fault = connection_begin(s->loop, descriptor, ADOPTABLE, peer, &connection);
    if (fault != FAULT_NONE) {
        rest(s);
        tell_starved(s, fault);
        return false;
    }
    s->events->on_accept(s->context, connection, peer);
    return true;
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct socket *s = container_of(w, struct socket, watch);
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN_MAX; i++)
        if (w->is_dead || s->is_paused || s->is_resting || !accept_one(s))
            return;
}

/* Takes the descriptor. */
static enum fault begin(struct loop *l, int descriptor, const struct socket_events *events,
                        void *context, struct socket **socket_out)
{
    check(events->on_accept != NULL);
    struct socket *s = calloc(1, sizeof *s);
    enum fault fault = s == NULL ? FAULT_NO_MEMORY : FAULT_NONE;
    if (fault == FAULT_NONE) {
        s->watch = (struct watch){
            .on_ready = on_ready, .on_dead = socket_free_dead, .descriptor = descriptor};
        s->loop = l;
        s->events = events;
        s->context = context;
        s->state = LISTENING;
        timer_init(&s->rest, on_rested, s);
        /* What is accepted inherits it. */
        set_no_delay(descriptor);
        fault = watch_open(l, &s->watch, LISTENER_EVENTS);
    }
    if (fault == FAULT_NONE) {
        *socket_out = s;
    } else {
        close(descriptor);
        free(s);
    }
    return fault;
}

/* The caller keeps its descriptor: other loops listen on it, too. */
enum fault socket_listen_on(struct loop *l, int descriptor, const struct socket_events *events,
                            void *context, struct socket **socket_out)
{
    int own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return fault_of_errno(errno);
    set_nonblocking(own);
    return begin(l, own, events, context, socket_out);
}

enum fault socket_listen(struct loop *l, struct endpoint at, const struct socket_events *events,
                         void *context, struct socket **socket_out)
{
    struct sockaddr_storage address;
    socklen_t len = address_encode(at, &address);
    int descriptor =
        socket(at.family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return fault_of_errno(errno);
    int one = 1;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(descriptor, (struct sockaddr *)&address, len) != 0 ||
        listen(descriptor, BACKLOG) != 0) {
        enum fault fault = fault_of_errno(errno);
        close(descriptor);
        return fault;
    }
    return begin(l, descriptor, events, context, socket_out);
}

/* The description lives on in other processes and loops, and would in this epoll set. */
void listener_close(struct socket *s)
{
    timer_cancel(s->loop, &s->rest);
    if (!s->is_paused && !s->is_resting)
        watch_suspend(s->loop, &s->watch);
}
