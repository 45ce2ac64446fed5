/*
 * socket: the sockets of the simulated world; see os/socket.h.
 *
 * Each loop has a list of sockets with something to tell. A poll serves them in an order drawn from
 * the seed, one call-back or two each; what is left makes the loop run again. Received bytes are
 * given in a block of exactly their size that is freed right after, so that ASan finds who keeps
 * them; bytes of an unfinished send are read as late as possible, for the same reason.
 */
#include "os/socket.h"

#include <stdlib.h>
#include <string.h>

#include "sim/network.h"

static struct socket *socket_new(struct loop *l, enum socket_state state,
                                 const struct socket_events *events, void *context)
{
    struct socket *s = calloc(1, sizeof *s);
    check(s != NULL);
    s->loop = l;
    s->state = state;
    s->events = events;
    s->context = context;
    list_init(&s->ready);
    list_init(&s->listener);
    list_append(&l->sockets, &s->node);
    return s;
}

static struct sim *sim_of(const struct socket *s)
{
    return s->loop->world->sim;
}

static bool is_ghost(const struct loop *l)
{
    return l->world->death != SIM_ALIVE;
}

void socket_ready(struct socket *s)
{
    struct sim *sim = sim_of(s);
    if (is_ghost(s->loop) || s->is_closed)
        return;
    if (list_empty(&s->ready))
        list_append(&s->loop->ready, &s->ready);
    if (s->loop != sim->running)
        loop_run_by(s->loop,
                    sim->now_us + random_between(&sim->random, 0, sim->options.wake_us_max));
}

static enum fault listen_at(struct loop *l, struct port *port, struct endpoint at,
                            const struct socket_events *events, void *context,
                            struct socket **socket_out)
{
    check(events->on_accept != NULL);
    struct socket *s = socket_new(l, LISTENING, events, context);
    s->local = at;
    s->local.port = port->number;
    s->port = port;
    list_append(&port->listeners, &s->listener);
    port_notify(port);
    *socket_out = s;
    return FAULT_NONE;
}

enum fault socket_listen_on(struct loop *l, int descriptor, const struct socket_events *events,
                            void *context, struct socket **socket_out)
{
    struct machine *m = l->world->machine;
    struct port *port = port_of_descriptor(m, descriptor);
    if (port == NULL || is_ghost(l))
        return FAULT_UNKNOWN;
    return listen_at(l, port, m->addresses[0], events, context, socket_out);
}

enum fault socket_listen(struct loop *l, struct endpoint at, const struct socket_events *events,
                         void *context, struct socket **socket_out)
{
    static const uint8_t any[16] = {0};
    struct machine *m = l->world->machine;
    if (is_ghost(l))
        return FAULT_UNKNOWN;
    if (!machine_owns(m, at) && memcmp(at.ip, any, at.family == 4 ? 4 : 16) != 0)
        return FAULT_NO_PORTS;
    if (at.port != 0 && !port_is_free(m, at.port))
        return FAULT_ADDRESS_IN_USE;
    uint16_t number = at.port != 0 ? at.port : machine_free_port(m);
    return listen_at(l, port_open(m, number), at, events, context, socket_out);
}

void socket_listen_pause(struct socket *s, bool pause)
{
    check(s->state == LISTENING);
    s->is_paused = pause;
    if (s->port != NULL)
        port_notify(s->port);
}

/* The address to connect from: one of the machine's, of the same family. */
static enum fault choose_source(struct machine *m, struct endpoint to, struct endpoint *source)
{
    if (source->family != 0 && !machine_owns(m, *source))
        return FAULT_NO_PORTS;
    if (source->family != 0 && source->family != to.family)
        return FAULT_UNREACHABLE;
    for (size_t i = 0; i < m->address_count && source->family == 0; i++)
        if (m->addresses[i].family == to.family)
            *source = m->addresses[i];
    if (source->family == 0)
        return FAULT_UNREACHABLE;
    if (source->port == 0)
        source->port = machine_free_port(m);
    return FAULT_NONE;
}

enum fault socket_connect(struct loop *l, struct endpoint to, struct endpoint source,
                          const struct socket_events *events, void *context,
                          struct socket **socket_out)
{
    check(events->on_connect != NULL && (to.family == 4 || to.family == 6));
    struct machine *m = l->world->machine;
    if (is_ghost(l))
        return FAULT_UNREACHABLE;
    enum fault fault = choose_source(m, to, &source);
    if (fault != FAULT_NONE)
        return fault;
    struct socket *s = socket_new(l, CONNECTING, events, context);
    s->local = source;
    s->peer = to;
    s->side = &stream_connect(m, source, to)->sides[0];
    s->side->socket = s;
    l->counters.connects++;
    sim_note(m->sim, NOTE_CONNECT, ((uint64_t)source.port << 16) + to.port);
    *socket_out = s;
    return FAULT_NONE;
}

enum fault socket_connect_path(struct loop *l, struct span path, const struct socket_events *events,
                               void *context, struct socket **socket_out)
{
    const struct machine *m = l->world->machine;
    for (size_t i = 0; i < m->path_count; i++) {
        if (!span_equal(path, span_text(m->paths[i].path)))
            continue;
        enum fault fault = socket_connect(l, m->paths[i].to, (struct endpoint){.family = 0}, events,
                                          context, socket_out);
        if (fault == FAULT_NONE)
            (*socket_out)->peer = (struct endpoint){.family = 0};
        return fault;
    }
    return FAULT_UNREACHABLE;
}

static bool has_more(const struct socket *s)
{
    const struct side *side = s->side;
    if (side == NULL || (s->state != CONNECTED && s->state != HALF))
        return false;
    if (s->is_sent || (side->is_reset && (!s->is_paused || s->part_count > 0)))
        return true;
    if (s->part_count > 0 && side_may_send(side))
        return true;
    return s->state == CONNECTED && !s->is_paused &&
           (side->in.arrived > 0 || side->in.is_fin_arrived);
}

bool socket_has_input(const struct socket *s)
{
    return s->side != NULL && s->side->in.arrived > 0;
}

void socket_adopt(struct socket *s, const struct socket_events *events, void *context)
{
    check(s->state == ADOPTABLE);
    check(events->on_bytes != NULL && events->on_end != NULL && events->on_sent != NULL);
    s->events = events;
    s->context = context;
    s->state = CONNECTED;
    if (has_more(s))
        socket_ready(s);
}

void socket_read_pause(struct socket *s, bool pause)
{
    s->is_paused = pause;
    if (has_more(s))
        socket_ready(s);
}

/* Puts as much as there is room for under way. */
static void push_parts(struct socket *s, size_t room_max)
{
    while (s->part_first < s->part_count) {
        struct span *part = &s->parts[s->part_first];
        size_t n = side_send(s->side, *part, room_max);
        sim_note_bytes(sim_of(s), NOTE_SEND, span_sub(*part, 0, n));
        s->loop->counters.bytes_sent += n;
        room_max -= n < room_max ? n : room_max;
        *part = span_skip(*part, n);
        if (part->len > 0)
            return;
        s->part_first++;
    }
    s->part_first = s->part_count = 0;
}

enum send socket_send(struct socket *s, const struct span *parts, size_t count)
{
    struct sim *sim = sim_of(s);
    check(count <= SOCKET_PARTS_MAX && s->part_count == 0 && !s->is_sent);
    check(s->state == CONNECTED || s->state == HALF || s->state == ENDED);
    if (s->side == NULL || s->state == ENDED || is_ghost(s->loop))
        return SEND_DONE;
    for (size_t i = 0; i < count; i++)
        if (parts[i].len > 0)
            s->parts[s->part_count++] = parts[i];
    if (s->part_count == 0)
        return SEND_DONE;
    s->loop->counters.sends++;
    size_t room_max = SIZE_MAX;
    if (random_chance(&sim->random, sim->options.short_send))
        room_max = (size_t)random_below(&sim->random, 64);
    push_parts(s, room_max);
    if (s->part_count == 0)
        return SEND_DONE;
    /* Kept short of room by chance: nothing but this would ask for the rest. */
    if (room_max != SIZE_MAX)
        socket_ready(s);
    return SEND_LATER;
}

void socket_pump(struct socket *s)
{
    if (s->part_count == 0 || s->side == NULL)
        return;
    push_parts(s, SIZE_MAX);
    if (s->part_count > 0)
        return;
    s->is_sent = true;
    socket_ready(s);
}

static void accept_one(struct socket *s)
{
    struct sim *sim = sim_of(s);
    struct port *port = s->port;
    if (s->is_paused || port == NULL || list_empty(&port->backlog))
        return;
    if (random_chance(&sim->random, sim->options.accept_late)) {
        port_notify(port);
        return;
    }
    struct stream *stream = container_of(list_take_first(&port->backlog), struct stream, node);
    struct side *side = &stream->sides[1];
    port->backlog_count--;
    struct socket *connection = socket_new(s->loop, ADOPTABLE, NULL, NULL);
    connection->side = side; /* with the backlog's reference */
    connection->local = side->address;
    connection->peer = stream->sides[0].address;
    side->socket = connection;
    s->loop->counters.accepts++;
    sim_note(sim, NOTE_ACCEPT, connection->peer.port);
    port_notify(port);
    s->events->on_accept(s->context, connection, connection->peer);
}

static void tell_connect(struct socket *s)
{
    if (!s->is_connect_done)
        return;
    s->state = s->connect_fault == FAULT_NONE ? CONNECTED : ENDED;
    sim_note(sim_of(s), NOTE_CONNECT, (uint64_t)s->connect_fault);
    s->events->on_connect(s->context, s->connect_fault);
}

static void tell_bytes(struct socket *s)
{
    struct sim *sim = sim_of(s);
    size_t n = s->side->in.arrived;
    if (s->side->stream->is_tiny)
        n = 1 + (size_t)random_below(&sim->random, n < 16 ? n : 16);
    else if (random_chance(&sim->random, sim->options.cut_segments))
        n = 1 + (size_t)random_below(&sim->random, n);
    n = n < SOCKET_READ_BYTES ? n : SOCKET_READ_BYTES;
    uint8_t *bytes = malloc(n);
    check(bytes != NULL);
    side_take(s->side, bytes, n);
    s->loop->counters.reads++;
    s->loop->counters.bytes_read += n;
    sim_note_bytes(sim, NOTE_BYTES, span_of(bytes, n));
    s->events->on_bytes(s->context, span_of(bytes, n));
    free(bytes);
}

static void tell_end(struct socket *s, enum fault fault)
{
    bool was_half = s->state == HALF;
    bool was_sending = s->part_count > 0;
    s->state = fault == FAULT_NONE ? HALF : ENDED;
    if (fault != FAULT_NONE)
        s->part_first = s->part_count = 0;
    sim_note(sim_of(s), NOTE_END, (uint64_t)fault);
    if (!was_half)
        s->events->on_end(s->context, fault);
    else if (was_sending)
        s->events->on_sent(s->context);
}

static void tell_stream(struct socket *s)
{
    struct side *side = s->side;
    bool may_read = s->state == CONNECTED && !s->is_paused;
    if (s->is_sent) {
        s->is_sent = false;
        sim_note(sim_of(s), NOTE_SENT, s->local.port);
        s->events->on_sent(s->context);
    } else if (may_read && side->in.arrived > 0) {
        tell_bytes(s);
    } else if (side->is_reset && (may_read || s->state == HALF || s->part_count > 0)) {
        tell_end(s, FAULT_CONNECTION_LOST);
    } else if (may_read && side->in.is_fin_arrived && side->in.len == 0) {
        tell_end(s, FAULT_NONE);
    } else {
        socket_pump(s);
    }
}

static void dispatch(struct socket *s)
{
    if (s->state == LISTENING)
        accept_one(s);
    else if (s->state == CONNECTING)
        tell_connect(s);
    else if (s->side != NULL && (s->state == CONNECTED || s->state == HALF))
        tell_stream(s);
    if (!s->is_closed && has_more(s))
        socket_ready(s);
}

void network_dispatch(struct loop *l)
{
    struct list batch;
    size_t count = 0;
    list_init(&batch);
    for (struct list *node; (node = list_take_first(&l->ready)) != NULL; count++)
        list_append(&batch, node);
    while (!list_empty(&batch) && !is_ghost(l)) {
        size_t skip = (size_t)random_below(&l->world->sim->random, count);
        struct list *node = batch.next;
        while (skip-- > 0)
            node = node->next == &batch ? batch.next : node->next;
        list_remove(node);
        dispatch(container_of(node, struct socket, ready));
    }
    while (!list_empty(&batch))
        list_remove(batch.next);
}

void network_bury(struct loop *l)
{
    for (struct list *node; (node = list_take_first(&l->dead)) != NULL;)
        free(container_of(node, struct socket, node));
}

void socket_close(struct socket *s)
{
    check(!s->is_closed);
    s->is_closed = true;
    list_remove(&s->ready);
    sim_note(sim_of(s), NOTE_CLOSE, s->local.port);
    if (s->port != NULL)
        port_leave(s);
    if (s->side != NULL) {
        struct stream *stream = s->side->stream;
        side_close(s->side);
        s->side = NULL;
        stream_forget(stream);
    }
    list_remove(&s->node);
    list_append(&s->loop->dead, &s->node);
    if (!s->loop->is_dispatching)
        network_bury(s->loop);
}

bool socket_peer_user(const struct socket *s, uint32_t *uid_out)
{
    (void)s;
    *uid_out = 0; /* nobody else is there */
    return true;
}

bool socket_peer_is_in(const struct socket *s, uint32_t gid)
{
    (void)s;
    return gid == 0;
}

struct endpoint socket_peer(const struct socket *s)
{
    return s->peer;
}

struct endpoint socket_local(const struct socket *s)
{
    return s->local;
}

void sim_socket_shut(struct socket *s)
{
    check(s->part_count == 0);
    if (s->side != NULL)
        side_shut(s->side);
}

void sim_socket_reset(struct socket *s)
{
    if (s->side != NULL)
        side_reset(s->side);
}
