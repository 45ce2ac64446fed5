/*
 * socket: connections; see os/socket.h. Listeners are in listener.c.
 *
 * Every descriptor is registered once, edge-triggered for both directions, so that no message costs
 * an epoll_ctl; `is_readable` keeps an edge that a pause or the end of a turn left unused. One read
 * per socket and turn keeps a fast peer from starving the others.
 */
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/address.h"
#include "os/linux/real_world.h"
#include "os/linux/socket_inside.h"

#define DRAIN_READS_MAX 4 /* of SOCKET_READ_BYTES each, before a close */

static void on_ready(struct watch *w, uint32_t events);

void set_no_delay(int descriptor)
{
    int one = 1;
    /* A Unix socket has no such option. */
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void set_nonblocking(int descriptor)
{
    int flags = fcntl(descriptor, F_GETFL);
    if (flags >= 0)
        (void)fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

void socket_free_dead(struct watch *w)
{
    struct socket *s = container_of(w, struct socket, watch);
    free(s->parts);
    free(s);
}

enum fault connection_begin(struct loop *l, int descriptor, enum socket_state state,
                            struct endpoint peer, struct socket **socket_out)
{
    struct socket *s = calloc(1, sizeof *s);
    if (s == NULL) {
        close(descriptor);
        return FAULT_NO_MEMORY;
    }
    s->watch =
        (struct watch){.on_ready = on_ready, .on_dead = socket_free_dead, .descriptor = descriptor};
    s->loop = l;
    s->peer = peer;
    s->state = state;
    enum fault fault = watch_open(l, &s->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    if (fault != FAULT_NONE) {
        close(descriptor);
        free(s);
        return fault;
    }
    *socket_out = s;
    return FAULT_NONE;
}

/* Doubt about the way there is temporary, even where the local system says "not permitted" (a
   packet filter). */
static enum fault connect_fault(int error)
{
    enum fault fault = fault_of_errno(error);
    return fault_is_temporary(fault) ? fault : FAULT_UNREACHABLE;
}

static enum fault bind_source(int descriptor, struct endpoint source)
{
    struct sockaddr_storage address;
    int one = 1;
    if (source.family == 0)
        return FAULT_NONE;
    socklen_t len = address_encode(source, &address);
    /* The port is chosen at connect, where only the pair has to be unique. */
    (void)setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    return bind(descriptor, (struct sockaddr *)&address, len) == 0 ? FAULT_NONE
                                                                   : connect_fault(errno);
}

/* The descriptor is given away, whatever becomes of it. */
static enum fault connect_by(struct loop *l, int descriptor, const struct sockaddr *address,
                             socklen_t len, struct endpoint to, const struct socket_events *events,
                             void *context, struct socket **socket_out)
{
    check(events->on_connect != NULL);
    loop_count(&l->counts.connects, 1);
    enum fault refused = FAULT_NONE;
    if (connect(descriptor, address, len) != 0 && errno != EINPROGRESS && errno != EINTR)
        refused = connect_fault(errno);
    struct socket *s;
    enum fault fault = connection_begin(l, descriptor, CONNECTING, to, &s);
    if (fault != FAULT_NONE)
        return fault;
    s->events = events;
    s->context = context;
    s->broken = refused;
    if (refused != FAULT_NONE)
        watch_again(l, &s->watch);
    *socket_out = s;
    return FAULT_NONE;
}

enum fault socket_connect(struct loop *l, struct endpoint to, struct endpoint source,
                          const struct socket_events *events, void *context,
                          struct socket **socket_out)
{
    struct sockaddr_storage address;
    socklen_t len = address_encode(to, &address);
    int descriptor =
        socket(to.family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return connect_fault(errno);
    enum fault fault = bind_source(descriptor, source);
    if (fault != FAULT_NONE) {
        close(descriptor);
        return fault;
    }
    set_no_delay(descriptor);
    return connect_by(l, descriptor, (struct sockaddr *)&address, len, to, events, context,
                      socket_out);
}

enum fault socket_connect_path(struct loop *l, struct span path, const struct socket_events *events,
                               void *context, struct socket **socket_out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path.len == 0 || path.len > SOCKET_PATH_MAX || span_find_byte(path, 0, 0) < path.len)
        return FAULT_UNREACHABLE;
    memcpy(address.sun_path, path.data, path.len);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return connect_fault(errno);
    return connect_by(l, descriptor, (struct sockaddr *)&address, sizeof address,
                      (struct endpoint){.family = 0}, events, context, socket_out);
}

enum fault socket_of_descriptor(struct loop *l, int descriptor, const struct socket_events *events,
                                void *context, struct socket **socket_out)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    (void)getpeername(descriptor, (struct sockaddr *)&address, &len);
    set_nonblocking(descriptor);
    set_no_delay(descriptor);
    enum fault fault =
        connection_begin(l, descriptor, ADOPTABLE, address_decode(&address), socket_out);
    if (fault == FAULT_NONE)
        socket_adopt(*socket_out, events, context);
    return fault;
}

void socket_adopt(struct socket *s, const struct socket_events *events, void *context)
{
    check(s->state == ADOPTABLE);
    check(events->on_bytes != NULL && events->on_end != NULL && events->on_sent != NULL);
    s->events = events;
    s->context = context;
    s->state = CONNECTED;
    if (s->is_readable)
        watch_again(s->loop, &s->watch);
}

/* After an orderly end nothing more is told but that a send is over. */
static void end(struct socket *s, enum fault fault)
{
    bool was_half = s->state == HALF;
    bool was_sending = s->parts != NULL;
    s->state = fault == FAULT_NONE ? HALF : ENDED;
    s->is_readable = false;
    if (fault != FAULT_NONE) {
        free(s->parts);
        s->parts = NULL;
    }
    if (!was_half)
        s->events->on_end(s->context, fault);
    else if (was_sending)
        s->events->on_sent(s->context);
}

/* The bytes that came before are still read; on_end follows them. */
static void break_connection(struct socket *s, enum fault fault)
{
    s->broken = fault;
    s->is_readable = true;
    s->is_ending = true;
    watch_again(s->loop, &s->watch);
}

static void finish_connect(struct socket *s)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (s->broken == FAULT_NONE) {
        if (getsockopt(s->watch.descriptor, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
            error = errno;
        s->broken = connect_fault(error);
    }
    if (s->broken == FAULT_NONE) {
        check(s->events->on_bytes != NULL && s->events->on_end != NULL);
        s->state = CONNECTED;
    } else {
        s->state = ENDED;
    }
    s->events->on_connect(s->context, s->broken);
}

/* Sends parts[0 .. count); true when something broke, else how far it came: *first_out is the first
   unfinished part, which has been cut to what is left of it. */
static bool send_parts(struct socket *s, struct span *parts, size_t count, size_t *first_out)
{
    struct iovec vector[SOCKET_PARTS_MAX];
    for (size_t i = 0; i < count; i++)
        vector[i] = (struct iovec){(void *)(uintptr_t)parts[i].data, parts[i].len};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = count};
    ssize_t sent;
    do {
        loop_count(&s->loop->counts.sends, 1);
        sent = sendmsg(s->watch.descriptor, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN)
        return true;
    size_t left = sent < 0 ? 0 : (size_t)sent;
    size_t first = 0;
    loop_count(&s->loop->counts.bytes_sent, left);
    while (first < count && left >= parts[first].len)
        left -= parts[first++].len;
    if (first < count)
        parts[first] = span_skip(parts[first], left);
    *first_out = first;
    return false;
}

enum send socket_send(struct socket *s, const struct span *parts, size_t count)
{
    check(count <= SOCKET_PARTS_MAX);
    check(s->state == CONNECTED || s->state == HALF || s->state == ENDED);
    check(s->parts == NULL);
    if (s->state == ENDED || s->broken != FAULT_NONE)
        return SEND_DONE;
    struct span left[SOCKET_PARTS_MAX];
    size_t used = 0;
    size_t first = 0;
    for (size_t i = 0; i < count; i++)
        if (parts[i].len > 0)
            left[used++] = parts[i];
    if (used == 0)
        return SEND_DONE;
    if (send_parts(s, left, used, &first)) {
        break_connection(s, FAULT_CONNECTION_LOST);
        return SEND_DONE;
    }
    if (first == used)
        return SEND_DONE;
    s->parts = malloc((used - first) * sizeof *s->parts);
    if (s->parts == NULL) {
        break_connection(s, FAULT_NO_MEMORY);
        return SEND_DONE;
    }
    s->part_first = 0;
    s->part_count = used - first;
    memcpy(s->parts, left + first, s->part_count * sizeof *left);
    return SEND_LATER;
}

static void continue_send(struct socket *s)
{
    size_t done = 0;
    if (send_parts(s, s->parts + s->part_first, s->part_count - s->part_first, &done)) {
        if (s->is_paused || s->state == HALF)
            end(s, FAULT_CONNECTION_LOST);
        else
            break_connection(s, FAULT_CONNECTION_LOST);
        return;
    }
    s->part_first += done;
    if (s->part_first < s->part_count)
        return;
    free(s->parts);
    s->parts = NULL;
    s->events->on_sent(s->context);
}

static void read_some(struct socket *s)
{
    struct loop *l = s->loop;
    loop_count(&l->counts.reads, 1);
    ssize_t got = recv(s->watch.descriptor, l->read_buffer, SOCKET_READ_BYTES, 0);
    if (got > 0) {
        s->is_readable = got == SOCKET_READ_BYTES || s->is_ending;
        if (s->is_readable)
            watch_again(l, &s->watch);
        loop_count(&l->counts.bytes_read, (size_t)got);
        s->events->on_bytes(s->context, span_of(l->read_buffer, (size_t)got));
    } else if (got == 0) {
        end(s, s->broken);
    } else if (errno == EINTR) {
        watch_again(l, &s->watch);
    } else if (errno != EAGAIN) {
        end(s, FAULT_CONNECTION_LOST);
    } else if (s->broken != FAULT_NONE) {
        end(s, s->broken);
    } else {
        s->is_readable = false;
    }
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct socket *s = container_of(w, struct socket, watch);
    if ((events & ~(uint32_t)EPOLLOUT) != 0)
        s->is_readable = true;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        s->is_ending = true;
    if (s->state == CONNECTING) {
        if (events != 0 || s->broken != FAULT_NONE)
            finish_connect(s);
    } else if (s->parts != NULL && s->broken == FAULT_NONE &&
               (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        continue_send(s);
    }
    /* Any call-back may have closed, paused or ended it. */
    if (!w->is_dead && s->state == CONNECTED && s->is_readable && !s->is_paused)
        read_some(s);
}

void socket_read_pause(struct socket *s, bool pause)
{
    s->is_paused = pause;
    if (!pause && s->is_readable && s->state == CONNECTED)
        watch_again(s->loop, &s->watch);
}

/* TCP answers a close that leaves bytes unread with a reset, which may take our last reply from the
   peer's hands (RFC 2525 2.17): a few unread bytes are thrown away first. */
static void drain(struct socket *s)
{
    for (int i = 0; i < DRAIN_READS_MAX && s->is_readable; i++) {
        loop_count(&s->loop->counts.reads, 1);
        ssize_t got = recv(s->watch.descriptor, NULL, SOCKET_READ_BYTES, MSG_TRUNC | MSG_DONTWAIT);
        s->is_readable = got == SOCKET_READ_BYTES;
    }
}

bool socket_has_input(const struct socket *s)
{
    uint8_t byte;
    loop_count(&s->loop->counts.reads, 1);
    return recv(s->watch.descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void socket_close(struct socket *s)
{
    if (s->state == LISTENING)
        listener_close(s);
    else if (s->state == CONNECTED || s->state == ADOPTABLE)
        drain(s);
    watch_close(s->loop, &s->watch);
}

bool socket_peer_user(const struct socket *s, uint32_t *uid_out)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(s->watch.descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
        len != sizeof peer)
        return false;
    *uid_out = peer.uid;
    return true;
}

bool socket_peer_is_in(const struct socket *s, uint32_t gid)
{
    struct ucred peer;
    gid_t others[NGROUPS_MAX];
    socklen_t len = sizeof peer;
    if (getsockopt(s->watch.descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
        len != sizeof peer)
        return false;
    bool is_in = peer.gid == gid;
    len = sizeof others;
    if (getsockopt(s->watch.descriptor, SOL_SOCKET, SO_PEERGROUPS, others, &len) != 0)
        return is_in;
    for (size_t i = 0; i < len / sizeof others[0]; i++)
        is_in = is_in || others[i] == gid;
    return is_in;
}

struct endpoint socket_peer(const struct socket *s)
{
    return s->peer;
}

struct endpoint socket_local(const struct socket *s)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(s->watch.descriptor, (struct sockaddr *)&address, &len) != 0)
        return (struct endpoint){0};
    return address_decode(&address);
}
