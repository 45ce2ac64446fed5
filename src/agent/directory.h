/*
 * directory: finds out, in the settings, where mail for an address goes and as whom.
 *
 * It believes nothing of a request but the address. A user with a uid of the users file is
 * delivered as that user; all others as the mail user of the settings, or, in a process that is not
 * root, as the caller. Owns nothing; one thread.
 */
#ifndef AGENT_DIRECTORY_H
#define AGENT_DIRECTORY_H

#include "agent/agent.h"
#include "config/settings.h"

struct directory {
    const struct settings *settings;
    bool is_root;
    bool has_mail_user; /* there is one, and it is not root */
    struct identity mail_user, own;
};

/* Asks the system for the mail user (blocks). */
void directory_init(struct directory *d, const struct settings *settings);
/* agent_house.find. NOT_FOUND: no such domain or user here. */
must_use enum fault directory_find(struct directory *d, const struct message_deliver *m,
                                   struct arena *arena, struct message_put *put,
                                   struct identity *who_out);

#endif
