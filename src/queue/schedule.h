/*
 * schedule: which message is to be looked at next.
 *
 * A heap of all messages: each is in it from its beginning to its end, so that changing a time
 * never needs memory; RETRY_NEVER sinks to the bottom. A key is at or before the first thing that
 * is to be done: whoever takes a message out when it is due sets the next one. O(log n). The
 * queue's thread only.
 */
#ifndef QUEUE_SCHEDULE_H
#define QUEUE_SCHEDULE_H

#include "queue/message.h"

struct schedule {
    struct heap heap;
};

void schedule_init(struct schedule *s);
void schedule_fini(struct schedule *s);
/* False: no memory. */
__attribute__((warn_unused_result)) bool schedule_add(struct schedule *s, struct message *m,
                                                      int64_t at_ms);
void schedule_remove(struct schedule *s, struct message *m); /* no-op when it is not in it */
void schedule_by(struct schedule *s, struct message *m, int64_t at_ms); /* not later than that */
void schedule_set(struct schedule *s, struct message *m, int64_t at_ms);
/* The first one, if it is due; it stays where it is. */
struct message *schedule_due(const struct schedule *s, int64_t now_ms);
int64_t schedule_first_ms(const struct schedule *s); /* RETRY_NEVER when there is none */

#endif
