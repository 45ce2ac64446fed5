/*
 * maildir: puts one message into a Maildir (cr.yp.to/proto/maildir.html), so that it is there whole
 * and durable, once, or not at all.
 *
 * The file is written under tmp with a name of its own, synced, renamed to new without replacing
 * anything, and new is synced. The name in new is made of the message's id and the recipient's
 * number, so that the same delivery made again is seen: in new by the rename, in cur (where a
 * reader has moved it to) by its first part. Lines end with LF. Runs as the mailbox's user; blocks.
 */
#ifndef AGENT_MAILDIR_H
#define AGENT_MAILDIR_H

#include "agent/result.h"
#include "os/packet.h"

/* The recipient's part of a quota is looked at before a byte is written. `attempt` tells apart what
   this process writes under tmp. */
struct agent_result maildir_put(const struct message_put *put, const struct enclosure *enclosed,
                                const char *hostname, uint32_t attempt);

/* "1795000000.01ABC…-3.", with which every name of that recipient of that message begins. */
#define MAILDIR_PREFIX_MAX 64
struct span maildir_prefix(struct id id, uint32_t recipient, char text_out[MAILDIR_PREFIX_MAX]);

#endif
