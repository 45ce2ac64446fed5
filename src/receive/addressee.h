/*
 * addressee: answers what a session asks at RCPT (SESSION_WANT_RECIPIENT): who is meant, and may
 * this client write to him? Joins route/recipient to the session.
 *
 * A literal of the address that the client has connected to is the first of our domains (RFC 5321
 * 4.1.3): such mail cannot be meant for anybody else. Pure but for the session; one worker's
 * thread.
 */
#ifndef RECEIVE_ADDRESSEE_H
#define RECEIVE_ADDRESSEE_H

#include "config/settings.h"
#include "receive/session.h"

#define ADDRESSEE_MEMORY_MAX (2u * 1024 * 1024) /* to think of all members of a list */

/* `settings` may be NULL: no domain is ours. `local`: our end of the connection; it matters for
 * literals alone. */
void addressee_resolve(struct session *s, const struct settings *settings, struct endpoint local,
                       bool may_relay);

#endif
