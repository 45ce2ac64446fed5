/*
 * conversation: one client: joins its socket, its protocol machine and its transaction.
 *
 * Owns the socket, the session, the timer, the replies that are being sent and the input that has
 * to wait: while a message is made durable, or the disk has no room for more content yet, what the
 * client has sent already is kept here (at most SOCKET_READ_BYTES) and no more is read. One
 * worker's thread.
 *
 * A client is timed out when it sends no command, no content, or takes no replies for too long; the
 * timer is not moved for each line but looks, once a period, at when the client was last active.
 */
#ifndef RECEIVE_CONVERSATION_H
#define RECEIVE_CONVERSATION_H

#include "receive/receiver_inside.h"

struct conversation;

#define PROXY_TIMEOUT_MS 30000 /* until all of a PROXY header is there */

/*
 * Takes the socket, also when it faults, and greets. The client has been counted by the caller;
 * conversation_close gives that back. is_proxy: the peer connects for somebody else, has not been
 * counted, and says in a PROXY header who the client is; nobody is greeted before. NO_MEMORY.
 */
must_use enum fault conversation_open(struct receiver *r, struct socket *socket,
                                      struct endpoint client, bool is_proxy,
                                      const struct receiver_door *door);
/* The receiver is stopping: 421 if nothing is under way, else after the message. */
void conversation_stop(struct conversation *c);
/* At once. A message after its final dot goes on. */
void conversation_close(struct conversation *c, const char *why);
struct conversation *conversation_of(struct list *node); /* of the receiver's list */

#endif
