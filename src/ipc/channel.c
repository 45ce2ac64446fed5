#include "ipc/channel.h"

_Static_assert(MESSAGE_BYTES_MAX <= PACKET_BYTES_MAX, "a message is a packet");

void channel_init(struct ipc_channel *c, enum message_side own, enum message_side peer,
                  const struct channel_events *events, void *context)
{
    *c = (struct ipc_channel){.own = own, .peer = peer, .events = events, .context = context};
    buffer_init(&c->out, MESSAGE_BYTES_MAX);
}

/* The packet end stays until the owner closes the channel, but nothing that comes is heard. */
static void end_for(struct ipc_channel *c, enum fault why)
{
    c->has_ended = true;
    c->events->on_end(c->context, why);
}

/* The channel may be closed, and its owner freed, when an event returns. */
static void on_packet(void *context, struct span bytes, struct enclosure *enclosed)
{
    struct ipc_channel *c = context;
    struct ipc_message m;
    bool is_good = !c->has_ended && message_decode(bytes, &m) == FAULT_NONE &&
                   message_is_permitted(m.type, c->peer, c->own, enclosed != NULL);
    if (is_good) {
        c->events->on_message(c->context, &m, enclosed);
        return;
    }
    enclosure_close(enclosed);
    if (!c->has_ended)
        end_for(c, FAULT_PROTOCOL);
}

static void on_end(void *context)
{
    struct ipc_channel *c = context;
    if (!c->has_ended)
        end_for(c, FAULT_CONNECTION_LOST);
}

static const struct packet_events packet_events = {on_packet, on_end};

static enum fault opened(struct ipc_channel *c, enum fault fault)
{
    if (fault != FAULT_NONE)
        c->end = NULL;
    c->has_ended = false;
    return fault;
}

enum fault channel_offer(struct ipc_channel *c, struct loop *l, int door)
{
    check(c->end == NULL);
    return opened(c, packet_offer(l, door, &packet_events, c, &c->end));
}

enum fault channel_open(struct ipc_channel *c, struct loop *l, int descriptor)
{
    check(c->end == NULL);
    return opened(c, packet_open(l, descriptor, &packet_events, c, &c->end));
}

void channel_adopt(struct ipc_channel *c, struct packet_end *end)
{
    check(c->end == NULL);
    c->end = end;
    c->has_ended = false;
    packet_adopt(end, &packet_events, c);
}

enum fault channel_send(struct ipc_channel *c, const struct ipc_message *m,
                        const struct enclosure *enclosed)
{
    check(c->end != NULL);
    check(message_is_permitted(m->type, c->own, c->peer, enclosed != NULL));
    if (c->has_ended)
        return FAULT_CONNECTION_LOST;
    buffer_reset(&c->out);
    if (!message_encode(m, &c->out))
        return c->out.full ? FAULT_NO_MEMORY : FAULT_TOO_LONG;
    return packet_send(c->end, buffer_span(&c->out), enclosed);
}

void channel_close(struct ipc_channel *c)
{
    if (c->end != NULL)
        packet_close(c->end);
    c->end = NULL;
    buffer_free_memory(&c->out);
}
