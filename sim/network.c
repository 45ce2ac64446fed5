/*
 * network: see network.h.
 */
#include "sim/network.h"

#include <stdlib.h>
#include <string.h>

#define BACKLOG_MAX        128
#define CONNECT_US_MAX     (127 * SIM_SECOND) /* as long as Linux tries */
#define GIVE_UP_US         (925 * SIM_SECOND) /* after which Linux does not send again */
#define RETRANSMIT_US_MIN  (SIM_SECOND / 5)
#define RETRANSMIT_US_MAX  (60 * SIM_SECOND)
#define POWER_RESET_US_MAX (60 * SIM_SECOND)

enum kind { SYN, ANSWER, DATA, FIN, RESET, WINDOW };

/* Something under way to a side. */
struct segment {
    struct sim_event event;
    struct side *to;
    enum kind kind;
    size_t len;
    enum fault fault;
    int64_t sent_us;
};

static void drop(struct sim_event *e)
{
    struct segment *g = container_of(e, struct segment, event);
    stream_forget(g->to->stream);
    free(g);
}

static void arrive(struct sim *s, struct sim_event *e);

static void post(struct side *to, enum kind kind, size_t len, enum fault fault, int64_t at_us)
{
    struct segment *g = calloc(1, sizeof *g);
    check(g != NULL);
    *g = (struct segment){.event = {.fire = arrive, .drop = drop},
                          .to = to,
                          .kind = kind,
                          .len = len,
                          .fault = fault,
                          .sent_us = to->stream->sim->now_us};
    to->stream->references++;
    sim_at(to->stream->sim, &g->event, at_us);
}

static int64_t soon(struct sim *s)
{
    return sim_effect_us(s) + random_between(&s->random, 1, s->options.latency_us_max);
}

/* Never before what was sent earlier. */
static int64_t after_the_rest(struct side *to)
{
    int64_t at_us = soon(to->stream->sim);
    if (at_us < to->in.last_arrival_us)
        at_us = to->in.last_arrival_us;
    to->in.last_arrival_us = at_us;
    return at_us;
}

void stream_forget(struct stream *stream)
{
    check(stream->references > 0);
    if (--stream->references > 0)
        return;
    free(stream->sides[0].in.bytes);
    free(stream->sides[1].in.bytes);
    free(stream);
}

struct side *side_other(const struct side *side)
{
    struct stream *stream = side->stream;
    return side == &stream->sides[0] ? &stream->sides[1] : &stream->sides[0];
}

struct stream *stream_connect(struct machine *from, struct endpoint source, struct endpoint to)
{
    struct sim *s = from->sim;
    struct stream *stream = calloc(1, sizeof *stream);
    check(stream != NULL);
    stream->sim = s;
    stream->references = 1;
    stream->begun_us = s->now_us;
    stream->is_tiny = random_chance(&s->random, s->options.tiny_segments);
    stream->window = 1 + (size_t)random_below(&s->random, s->options.window_bytes_max);
    list_init(&stream->node);
    stream->sides[0] = (struct side){.stream = stream, .machine = from, .address = source};
    stream->sides[1] = (struct side){.stream = stream, .address = to};
    stream->sides[1].machine = machine_at(s, to);
    post(&stream->sides[1], SYN, 0, FAULT_NONE, soon(s));
    return stream;
}

static bool is_apart(const struct side *to)
{
    const struct machine *here = to->machine;
    const struct machine *there = side_other(to)->machine;
    return here != NULL && there != NULL && machine_is_apart(here, there);
}

static struct port *port_find(struct machine *m, uint16_t number)
{
    list_each(node, &m->ports)
    {
        struct port *p = container_of(node, struct port, node);
        if (p->number == number)
            return p;
    }
    return NULL;
}

static void answer(struct side *client, enum fault fault, int64_t at_us)
{
    post(client, ANSWER, 0, fault, at_us);
}

/* Nobody answers: tried again for two minutes, then given up. */
static void not_heard(struct side *server, struct sim *s)
{
    int64_t again_us = s->now_us + random_between(&s->random, SIM_SECOND / 2, 4 * SIM_SECOND);
    int64_t end_us = server->stream->begun_us + CONNECT_US_MAX;
    if (again_us < end_us)
        post(server, SYN, 0, FAULT_NONE, again_us);
    else
        answer(side_other(server), FAULT_CONNECT_TIMEOUT, end_us);
}

static void arrive_syn(struct side *server)
{
    struct stream *stream = server->stream;
    struct sim *s = stream->sim;
    struct side *client = side_other(server);
    struct machine *m = server->machine;
    struct port *port = m == NULL ? NULL : port_find(m, server->address.port);
    if (client->is_closed || client->is_silent)
        return;
    if (m == NULL)
        answer(client, FAULT_UNREACHABLE, soon(s));
    else if (random_chance(&s->random, s->options.silence))
        answer(client, FAULT_CONNECT_TIMEOUT, stream->begun_us + CONNECT_US_MAX);
    else if (m->is_off)
        not_heard(server, s);
    else if (port == NULL || random_chance(&s->random, s->options.refuse))
        answer(client, FAULT_CONNECT_REFUSED, soon(s));
    else if (port->backlog_count >= BACKLOG_MAX)
        not_heard(server, s);
    else {
        stream->references++;
        list_append(&port->backlog, &stream->node);
        port->backlog_count++;
        answer(client, FAULT_NONE, soon(s));
        port_notify(port);
    }
}

static void arrive_answer(struct side *client, enum fault fault)
{
    struct socket *s = client->socket;
    if (s == NULL || s->state != CONNECTING)
        return;
    s->is_connect_done = true;
    s->connect_fault = fault;
    socket_ready(s);
}

static void arrive_reset(struct side *side)
{
    struct sim *s = side->stream->sim;
    side->is_reset = true;
    /* What was not read yet may be lost, or read first. */
    if (random_chance(&s->random, 500000))
        side->in.start = side->in.len = side->in.arrived = 0;
    else
        side->in.len = side->in.arrived;
}

static void arrive_at_stream(struct segment *g)
{
    struct side *side = g->to;
    struct sim *s = side->stream->sim;
    bool is_lost = side->stream->is_given_up && g->kind != RESET;
    if (side->is_reset || side->is_silent || is_lost)
        return;
    if (side->is_closed) {
        if (g->kind == DATA)
            post(side_other(side), RESET, 0, FAULT_NONE, after_the_rest(side_other(side)));
        return;
    }
    if (g->kind == DATA)
        side->in.arrived += g->len;
    else if (g->kind == RESET)
        arrive_reset(side);
    else if (side->in.arrived == side->in.len)
        side->in.is_fin_arrived = true;
    else
        post(side, FIN, 0, FAULT_NONE, s->now_us + 1000);
    check(side->in.arrived <= side->in.len);
    if (side->socket != NULL)
        socket_ready(side->socket);
}

static bool side_is_waiting(const struct side *side)
{
    return side->socket != NULL && side->socket->part_count > 0;
}

/* Who sent it hears of it; the other side only when it sends something. */
static void give_up(struct segment *g)
{
    struct side *from = side_other(g->to);
    if (g->kind == ANSWER)
        arrive_answer(g->to, FAULT_CONNECT_TIMEOUT);
    if (g->kind == WINDOW) /* it is the sender who probes whether there is room */
        from = g->to;
    if (g->kind == ANSWER || g->kind == RESET || (g->kind == WINDOW && !side_is_waiting(from)))
        return;
    from->stream->is_given_up = true;
    if (from->is_reset || from->is_closed || from->is_silent)
        return;
    arrive_reset(from);
    if (from->socket != NULL)
        socket_ready(from->socket);
}

/* In a partition: sent again, later and later. False when it is given up instead. */
static bool try_again(struct sim *s, struct segment *g)
{
    int64_t elapsed_us = s->now_us - g->sent_us;
    int64_t limit_us = g->kind == ANSWER ? CONNECT_US_MAX : GIVE_UP_US;
    int64_t wait_us = RETRANSMIT_US_MIN + random_between(&s->random, 0, elapsed_us / 2 + 1);
    if (elapsed_us > limit_us)
        return false;
    sim_at(s, &g->event, s->now_us + (wait_us < RETRANSMIT_US_MAX ? wait_us : RETRANSMIT_US_MAX));
    return true;
}

static void take_in(struct segment *g)
{
    switch (g->kind) {
    case SYN:
        arrive_syn(g->to);
        break;
    case ANSWER:
        arrive_answer(g->to, g->fault);
        break;
    case WINDOW:
        if (g->to->socket != NULL)
            socket_pump(g->to->socket);
        break;
    case DATA:
    case FIN:
    case RESET:
        arrive_at_stream(g);
        break;
    }
}

static void arrive(struct sim *s, struct sim_event *e)
{
    struct segment *g = container_of(e, struct segment, event);
    bool is_local = g->kind == ANSWER && g->fault == FAULT_CONNECT_TIMEOUT;
    if (!is_apart(g->to) || is_local)
        take_in(g);
    else if (g->kind == SYN)
        not_heard(g->to, s);
    else if (try_again(s, g))
        return;
    else
        give_up(g);
    drop(e);
}

static bool is_broken(const struct side *side)
{
    return side->is_reset || side_other(side)->is_reset || side->stream->is_given_up;
}

static size_t room(const struct side *side)
{
    const struct side *to = side_other(side);
    return to->in.len < side->stream->window ? side->stream->window - to->in.len : 0;
}

bool side_may_send(const struct side *side)
{
    return is_broken(side) || side_other(side)->is_closed || room(side) > 0;
}

static void fill(struct pipe *p, struct span bytes)
{
    if (p->start > 0) {
        memmove(p->bytes, p->bytes + p->start, p->len);
        p->start = 0;
    }
    if (p->len + bytes.len > p->capacity) {
        p->capacity = p->len + bytes.len;
        p->bytes = realloc(p->bytes, p->capacity);
        check(p->bytes != NULL);
    }
    memcpy(p->bytes + p->len, bytes.data, bytes.len);
    p->len += bytes.len;
}

static void send_segments(struct side *to, size_t len)
{
    struct sim *s = to->stream->sim;
    bool is_cut = random_chance(&s->random, s->options.cut_segments);
    while (len > 0) {
        size_t n = len;
        if (to->stream->is_tiny)
            n = 1 + (size_t)random_below(&s->random, 16);
        else if (is_cut)
            n = 1 + (size_t)random_below(&s->random, len);
        n = n < len ? n : len;
        post(to, DATA, n, FAULT_NONE, after_the_rest(to));
        len -= n;
    }
}

size_t side_send(struct side *side, struct span bytes, size_t room_max)
{
    struct side *to = side_other(side);
    struct sim *s = side->stream->sim;
    if (side->stream->is_given_up && !side->is_reset && bytes.len > 0)
        post(side, RESET, 0, FAULT_NONE, soon(s));
    if (is_broken(side) || bytes.len == 0)
        return bytes.len;
    if (to->is_closed) {
        post(to, DATA, 0, FAULT_NONE, soon(s));
        return bytes.len;
    }
    size_t n = room(side) < room_max ? room(side) : room_max;
    n = n < bytes.len ? n : bytes.len;
    if (n == 0)
        return 0;
    fill(&to->in, span_sub(bytes, 0, n));
    send_segments(to, n);
    if (random_chance(&s->random, s->options.reset))
        side_break(side);
    return n;
}

void side_take(struct side *side, uint8_t *bytes_out, size_t len)
{
    struct pipe *p = &side->in;
    check(len <= p->arrived);
    memcpy(bytes_out, p->bytes + p->start, len);
    p->start += len;
    p->len -= len;
    p->arrived -= len;
    post(side_other(side), WINDOW, 0, FAULT_NONE, soon(side->stream->sim));
}

void side_shut(struct side *side)
{
    struct side *to = side_other(side);
    if (to->in.is_fin_sent)
        return;
    to->in.is_fin_sent = true;
    post(to, FIN, 0, FAULT_NONE, after_the_rest(to));
}

void side_close(struct side *side)
{
    struct side *to = side_other(side);
    side->is_closed = true;
    side->socket = NULL;
    if (side->is_reset)
        return; /* the other side has heard of it, or will */
    /* What has come and nobody has read makes Linux break the connection. */
    if (side->in.arrived > 0)
        post(to, RESET, 0, FAULT_NONE, after_the_rest(to));
    else
        side_shut(side);
}

void side_break(struct side *side)
{
    struct sim *s = side->stream->sim;
    post(side, RESET, 0, FAULT_NONE, s->now_us + random_between(&s->random, 0, SIM_SECOND));
    post(side_other(side), RESET, 0, FAULT_NONE,
         s->now_us + random_between(&s->random, 0, SIM_SECOND));
}

/* Behind what was sent, as by a program that is killed; or when the network likes. */
void side_reset(struct side *side)
{
    if (random_chance(&side->stream->sim->random, 500000)) {
        side_break(side);
        return;
    }
    post(side, RESET, 0, FAULT_NONE, after_the_rest(side));
    post(side_other(side), RESET, 0, FAULT_NONE, after_the_rest(side_other(side)));
}

/* The power is gone: the peer learns it when the machine is back, if it still asks. */
static void side_silence(struct side *side)
{
    struct sim *s = side->stream->sim;
    side->is_silent = true;
    side->socket = NULL;
    post(side_other(side), RESET, 0, FAULT_NONE,
         s->now_us + random_between(&s->random, 0, POWER_RESET_US_MAX));
}

struct port *port_open(struct machine *m, uint16_t number)
{
    struct port *p = calloc(1, sizeof *p);
    check(p != NULL && port_is_free(m, number));
    p->machine = m;
    p->number = number;
    list_init(&p->listeners);
    list_init(&p->backlog);
    list_append(&m->ports, &p->node);
    return p;
}

int machine_descriptor(struct machine *m, uint16_t port)
{
    struct port *p = port_open(m, port);
    p->descriptor = m->next_descriptor++;
    return p->descriptor;
}

struct port *port_of_descriptor(struct machine *m, int descriptor)
{
    list_each(node, &m->ports)
    {
        struct port *p = container_of(node, struct port, node);
        if (descriptor != 0 && p->descriptor == descriptor)
            return p;
    }
    return NULL;
}

bool port_is_free(struct machine *m, uint16_t number)
{
    return port_find(m, number) == NULL;
}

uint16_t machine_free_port(struct machine *m)
{
    do
        m->next_port = m->next_port == UINT16_MAX ? 32768 : (uint16_t)(m->next_port + 1);
    while (!port_is_free(m, m->next_port));
    return m->next_port;
}

/* One of those that listen is told, drawn. */
void port_notify(struct port *port)
{
    struct socket *chosen = NULL;
    uint64_t count = 0;
    if (list_empty(&port->backlog))
        return;
    list_each(node, &port->listeners)
    {
        struct socket *s = container_of(node, struct socket, listener);
        if (!s->is_paused && random_below(&port->machine->sim->random, ++count) == 0)
            chosen = s;
    }
    if (chosen != NULL)
        socket_ready(chosen);
}

static void empty_backlog(struct port *port, bool is_silent)
{
    for (struct list *node; (node = list_take_first(&port->backlog)) != NULL;) {
        struct stream *stream = container_of(node, struct stream, node);
        if (is_silent)
            side_silence(&stream->sides[1]);
        else
            side_close(&stream->sides[1]);
        stream_forget(stream);
    }
    port->backlog_count = 0;
}

static void port_close(struct port *port)
{
    list_remove(&port->node);
    free(port);
}

void port_leave(struct socket *listener)
{
    struct port *port = listener->port;
    list_remove(&listener->listener);
    listener->port = NULL;
    if (!list_empty(&port->listeners) || port->descriptor != 0) {
        port_notify(port);
        return;
    }
    empty_backlog(port, false);
    port_close(port);
}

void network_free_ports(struct machine *m)
{
    while (!list_empty(&m->ports)) {
        struct port *port = container_of(m->ports.next, struct port, node);
        for (struct list *node; (node = list_take_first(&port->backlog)) != NULL;)
            stream_forget(container_of(node, struct stream, node));
        port_close(port);
    }
}

static void socket_died(struct socket *s, bool is_silent)
{
    list_remove(&s->ready);
    if (s->port != NULL)
        port_leave(s);
    if (s->side == NULL)
        return;
    struct stream *stream = s->side->stream;
    if (is_silent)
        side_silence(s->side);
    else
        side_close(s->side);
    s->side = NULL;
    stream_forget(stream);
}

void network_life_died(struct world *w)
{
    bool is_silent = w->death == SIM_POWER_CUT;
    if (is_silent)
        list_each(node, &w->machine->ports)
            empty_backlog(container_of(node, struct port, node), true);
    list_each(l_node, &w->loops)
    {
        struct loop *l = container_of(l_node, struct loop, node);
        list_each(s_node, &l->sockets)
            socket_died(container_of(s_node, struct socket, node), is_silent);
    }
}
