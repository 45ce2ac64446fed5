/*
 * fresh: mail objects that stay in memory until the first attempt, so that most mail is never read
 * back from the disk.
 *
 * Bounded in bytes: when the bound would be passed, the oldest go first, since those are the ones
 * whose site does not take them. Owns one reference of each object. The queue's thread only.
 */
#ifndef QUEUE_FRESH_H
#define QUEUE_FRESH_H

#include "queue/message.h"
#include "spool/mail_object.h"

struct fresh_cache {
    struct list list; /* oldest first */
    uint64_t bytes, bytes_max;
};

void fresh_init(struct fresh_cache *c, uint64_t bytes_max);
/* Another bound: what is beyond it goes now. */
void fresh_limit(struct fresh_cache *c, uint64_t bytes_max);
/* Keeps a reference of its own for `m`, which has none, if there is room or can be made. */
void fresh_keep(struct fresh_cache *c, struct message *m, struct mail_object *mail);
/* Without a reference; NULL: none is kept. */
const struct mail_object *fresh_look(const struct message *m);
/* A reference of the caller's, or NULL. `last`: the cache forgets it. */
struct mail_object *fresh_take(struct fresh_cache *c, struct message *m, bool last);
void fresh_drop(struct fresh_cache *c, struct message *m); /* no-op when it has none */

#endif
