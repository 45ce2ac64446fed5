/*
 * packet: see os/packet.h. In the simulated world a pair is a connection between two machines, one
 * for each process, so that it has latency, breaks and ends as other connections do; what is
 * enclosed travels in it. A door is a port of the machine that listens (machine_descriptor) and a
 * number of the machine that offers (machine_door).
 */
#include "os/packet.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cursor.h"
#include "sim/inside.h"

#define UNDER_WAY_MAX (1024u * 1024) /* of one end, beyond what is enclosed */
#define FRAME_BYTES   12             /* length, what is enclosed (0: nothing) and how long */
#define BUFFER_MAX    (512u * 1024 * 1024)

struct enclosure {
    uint64_t bytes;
    uint8_t data[];
};

struct packet_end {
    struct socket *socket;
    const struct packet_events *events;
    void *context;
    struct buffer in, out, sending;
    size_t under_way; /* bytes of packets, to be sent */
    bool is_connected, is_sending, has_ended;
    bool is_giving, is_closed;
};

struct packet_door {
    struct socket *listener;
    void (*on_offer)(void *context, struct packet_end *end);
    void *context;
};

/* Enclosures. -------------------------------------------------------------------------------- */

static struct enclosure *enclosure_new(uint64_t bytes)
{
    struct enclosure *e = malloc(sizeof *e + (size_t)bytes);
    check(e != NULL);
    e->bytes = bytes;
    return e;
}

enum fault enclosure_of_bytes(struct world *w, const struct span *parts, size_t count,
                              struct enclosure **enclosure_out)
{
    (void)w;
    uint64_t bytes = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        bytes += parts[i].len;
    struct enclosure *e = enclosure_new(bytes);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(e->data + at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    *enclosure_out = e;
    return FAULT_NONE;
}

enum fault enclosure_of_file(struct file *f, struct enclosure **enclosure_out)
{
    uint64_t bytes = 0;
    size_t got = 0;
    enum fault fault = file_size(f, &bytes);
    if (fault != FAULT_NONE)
        return fault;
    struct enclosure *e = enclosure_new(bytes);
    fault = file_read(f, 0, e->data, (size_t)bytes, &got);
    e->bytes = got;
    if (fault == FAULT_NONE)
        *enclosure_out = e;
    else
        free(e);
    return fault;
}

uint64_t enclosure_bytes(const struct enclosure *e)
{
    return e->bytes;
}

enum fault enclosure_read(const struct enclosure *e, uint64_t offset, void *bytes_out, size_t len,
                          size_t *got_out)
{
    struct span rest = span_skip(span_of(e->data, (size_t)e->bytes), (size_t)offset);
    *got_out = rest.len < len ? rest.len : len;
    if (*got_out > 0)
        memcpy(bytes_out, rest.data, *got_out);
    return FAULT_NONE;
}

void enclosure_close(struct enclosure *e)
{
    free(e);
}

/* Ends. -------------------------------------------------------------------------------------- */

static void end_end(struct packet_end *end)
{
    if (end->has_ended || end->is_closed)
        return;
    end->has_ended = true;
    end->events->on_end(end->context);
}

static void flush(struct packet_end *end)
{
    while (end->is_connected && !end->is_sending && !end->has_ended && end->out.len > 0) {
        struct buffer sent = end->sending;
        end->sending = end->out;
        end->out = sent;
        buffer_reset(&end->out);
        end->under_way = 0;
        struct span all = buffer_span(&end->sending);
        end->is_sending = socket_send(end->socket, &all, 1) == SEND_LATER;
    }
}

/* True: a whole packet was there and was given. */
static bool give_packet(struct packet_end *end)
{
    struct cursor c = cursor_over(buffer_span(&end->in));
    uint32_t len = cursor_u32(&c), has = cursor_u32(&c), enclosed_len = cursor_u32(&c);
    struct span bytes = cursor_bytes(&c, len), content = cursor_bytes(&c, enclosed_len);
    struct enclosure *enclosed = NULL;
    if (!cursor_ok(&c) || end->has_ended || end->is_closed)
        return false;
    if (has != 0)
        (void)!enclosure_of_bytes(NULL, &content, 1, &enclosed);
    /* In memory of exactly its size, freed right after, so that it shows who keeps it. */
    uint8_t *copy = malloc(len);
    check(copy != NULL);
    memcpy(copy, bytes.data, len);
    buffer_consume(&end->in, FRAME_BYTES + len + enclosed_len);
    end->events->on_packet(end->context, span_of(copy, len), enclosed);
    free(copy);
    return true;
}

static void on_bytes(void *context, struct span bytes)
{
    struct packet_end *end = context;
    check(buffer_put(&end->in, bytes));
    end->is_giving = true;
    while (give_packet(end)) {
    }
    end->is_giving = false;
    if (end->is_closed)
        packet_close(end);
}

static void on_sent(void *context)
{
    struct packet_end *end = context;
    end->is_sending = false;
    flush(end);
}

static void on_end(void *context, enum fault fault)
{
    (void)fault;
    end_end(context);
}

static void on_connect(void *context, enum fault fault)
{
    struct packet_end *end = context;
    end->is_connected = fault == FAULT_NONE;
    if (end->is_connected)
        flush(end);
    else
        end_end(end);
}

static const struct socket_events events = {
    .on_connect = on_connect, .on_bytes = on_bytes, .on_sent = on_sent, .on_end = on_end};

static struct packet_end *end_new(void)
{
    struct packet_end *end = calloc(1, sizeof *end);
    check(end != NULL);
    buffer_init(&end->in, BUFFER_MAX);
    buffer_init(&end->out, BUFFER_MAX);
    buffer_init(&end->sending, BUFFER_MAX);
    return end;
}

enum fault packet_offer(struct loop *l, int door, const struct packet_events *packet_events,
                        void *context, struct packet_end **end_out)
{
    const struct machine *m = l->world->machine;
    if (door < 0 || (size_t)door >= m->door_count)
        return FAULT_CONNECTION_LOST;
    struct packet_end *end = end_new();
    end->events = packet_events;
    end->context = context;
    enum fault fault = socket_connect(l, m->doors[door], (struct endpoint){.family = 0}, &events,
                                      end, &end->socket);
    if (fault != FAULT_NONE) {
        end->socket = NULL;
        packet_close(end);
        return fault;
    }
    *end_out = end;
    return FAULT_NONE;
}

enum fault packet_open(struct loop *l, int descriptor, const struct packet_events *packet_events,
                       void *context, struct packet_end **end_out)
{
    (void)l, (void)descriptor, (void)packet_events, (void)context, (void)end_out;
    return FAULT_UNKNOWN;
}

static void on_accept(void *context, struct socket *connection, struct endpoint peer)
{
    struct packet_door *d = context;
    (void)peer;
    struct packet_end *end = end_new();
    end->socket = connection;
    end->is_connected = true;
    socket_adopt(connection, &events, end);
    d->on_offer(d->context, end);
}

static const struct socket_events door_events = {.on_accept = on_accept};

enum fault packet_listen(struct loop *l, int door,
                         void (*on_offer)(void *context, struct packet_end *end), void *context,
                         struct packet_door **door_out)
{
    struct packet_door *d = calloc(1, sizeof *d);
    check(d != NULL);
    d->on_offer = on_offer;
    d->context = context;
    enum fault fault = socket_listen_on(l, door, &door_events, d, &d->listener);
    if (fault == FAULT_NONE)
        *door_out = d;
    else
        free(d);
    return fault;
}

void packet_unlisten(struct packet_door *d)
{
    socket_close(d->listener);
    free(d);
}

void packet_adopt(struct packet_end *end, const struct packet_events *packet_events, void *context)
{
    check(end->events == NULL);
    end->events = packet_events;
    end->context = context;
}

enum fault packet_send(struct packet_end *end, struct span bytes, const struct enclosure *enclosed)
{
    check(bytes.len > 0 && bytes.len <= PACKET_BYTES_MAX);
    if (end->has_ended)
        return FAULT_CONNECTION_LOST;
    if (end->under_way + bytes.len > UNDER_WAY_MAX)
        return FAULT_LIMIT;
    end->under_way += bytes.len;
    uint32_t content = enclosed == NULL ? 0 : (uint32_t)enclosed->bytes;
    bool ok = buffer_put_u32(&end->out, (uint32_t)bytes.len) &&
              buffer_put_u32(&end->out, enclosed != NULL) && buffer_put_u32(&end->out, content) &&
              buffer_put(&end->out, bytes) &&
              (content == 0 || buffer_put(&end->out, span_of(enclosed->data, content)));
    check(ok);
    flush(end);
    return FAULT_NONE;
}

void packet_close(struct packet_end *end)
{
    if (end->socket != NULL)
        socket_close(end->socket);
    end->socket = NULL;
    end->is_closed = true;
    if (end->is_giving)
        return;
    buffer_fini(&end->in);
    buffer_fini(&end->out);
    buffer_fini(&end->sending);
    free(end);
}
