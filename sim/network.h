/*
 * network: streams, ports and what travels between machines; for network.c and socket.c alone.
 *
 * A stream has two sides. What is sent to a side lies in its pipe at once, but only the first
 * `arrived` bytes of it may be read: each segment under way is an event that lets more arrive.
 */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "sim/inside.h"

struct pipe {
    uint8_t *bytes; /* the first `start` are read, then `len` to be read */
    size_t start, len, capacity;
    size_t arrived; /* of len */
    int64_t last_arrival_us;
    bool is_fin_sent, is_fin_arrived;
};

struct side {
    struct stream *stream;
    struct socket *socket; /* NULL: nobody yet, or nobody any more */
    struct machine *machine;
    struct endpoint address;
    struct pipe in;
    bool is_closed; /* what arrives is answered with a reset */
    bool is_silent; /* power lost: what arrives is not answered */
    bool is_reset;  /* a reset has arrived */
};

struct stream {
    struct sim *sim;
    uint32_t references; /* sockets, events, a backlog */
    struct list node;    /* in port.backlog */
    struct side sides[2];
    size_t window;
    bool is_tiny;
    bool is_given_up; /* a partition lasted too long for one side */
    int64_t begun_us;
};

struct port {
    struct list node; /* in machine.ports */
    struct machine *machine;
    uint16_t number;
    int descriptor; /* 0: none, it ends with its last listener */
    struct list listeners;
    struct list backlog;
    size_t backlog_count;
};

enum socket_state { LISTENING, CONNECTING, ADOPTABLE, CONNECTED, HALF, ENDED };

struct socket {
    struct list node;  /* in loop.sockets, or loop.dead */
    struct list ready; /* in loop.ready */
    struct loop *loop;
    const struct socket_events *events;
    void *context;
    enum socket_state state;
    struct side *side; /* NULL for a listener and for a ghost */
    struct port *port;
    struct list listener; /* in port.listeners */
    struct endpoint local, peer;
    bool is_closed, is_paused;
    bool is_connect_done;
    enum fault connect_fault;
    bool is_sent;
    struct span parts[SOCKET_PARTS_MAX]; /* of an unfinished send: those that are not under way */
    size_t part_first, part_count;
};

/* socket.c */
void socket_ready(struct socket *s);
void socket_pump(struct socket *s); /* there may be room again for an unfinished send */

/* network.c */
struct stream *stream_connect(struct machine *from, struct endpoint source, struct endpoint to);
void stream_forget(struct stream *stream);
struct side *side_other(const struct side *side);
/* How many of the bytes are under way now; all of them when nobody will ever read them. */
size_t side_send(struct side *side, struct span bytes, size_t room_max);
bool side_may_send(const struct side *side); /* side_send would answer more than 0 */
void side_take(struct side *side, uint8_t *bytes_out, size_t len);
void side_shut(struct side *side);
void side_close(struct side *side);
void side_break(struct side *side);
void side_reset(struct side *side);
struct port *port_open(struct machine *m, uint16_t number);
struct port *port_of_descriptor(struct machine *m, int descriptor);
void port_notify(struct port *port);
void port_leave(struct socket *listener);
bool port_is_free(struct machine *m, uint16_t number);
uint16_t machine_free_port(struct machine *m);

#endif
