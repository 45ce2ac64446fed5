/*
 * channel: one process's end of a conversation with another, in the messages of message.def.
 *
 * What is not permitted, malformed, or wrongly enclosed ends the channel; it never harms the
 * receiver. A channel that has ended gives nothing more and takes nothing; its owner closes it.
 * Owns its packet end. For its loop's thread. Never waits: a message that finds no room is refused
 * with LIMIT, and the sender keeps it until the other side has answered something.
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include "ipc/message.h"
#include "os/packet.h"

struct channel_events {
    /* Texts of `m` are valid only during the call; `enclosed`, there if its row says so, is the
       callee's. May close the channel. */
    void (*on_message)(void *context, const struct ipc_message *m, struct enclosure *enclosed);
    /* CONNECTION_LOST, or PROTOCOL: what came was no message of theirs. Only channel_close remains.
     */
    void (*on_end)(void *context, enum fault why);
};

/* Zeroed: closed. It must not move while it is open. */
struct ipc_channel {
    struct packet_end *end; /* NULL: closed */
    enum message_side own, peer;
    const struct channel_events *events;
    void *context;
    bool has_ended;
    struct buffer out;
};

/* Own and peer, events and context are set before one of the three that open it. After a fault it
   is closed. */
void channel_init(struct ipc_channel *c, enum message_side own, enum message_side peer,
                  const struct channel_events *events, void *context);
must_use enum fault channel_offer(struct ipc_channel *c, struct loop *l, int door);
void channel_adopt(struct ipc_channel *c, struct packet_end *end);
must_use enum fault channel_open(struct ipc_channel *c, struct loop *l, int descriptor);

static inline bool channel_is_open(const struct ipc_channel *c)
{
    return c->end != NULL;
}

/* A message that the table does not permit is a programmer's error (checked). LIMIT: no room now.
   TOO_LONG: a text is longer than the table allows. NO_MEMORY. CONNECTION_LOST: it has ended,
   on_end tells. */
must_use enum fault channel_send(struct ipc_channel *c, const struct ipc_message *m,
                                 const struct enclosure *enclosed);
void channel_close(struct ipc_channel *c); /* at any time; no event comes after it */

#endif
