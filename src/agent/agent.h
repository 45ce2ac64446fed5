/*
 * agent: takes deliveries from engines and has them done by hands, processes that each are one user
 * for ever.
 *
 * It finds each recipient's user, mailbox or command in its own settings, through `house`; what
 * comes over a channel names an address and nothing else. It owns the callers (the channels of
 * engines), the requests and the hands. A request goes to an idle hand of its user, or to a new
 * one, or waits; a hand that hangs or lies is killed and its request answered "not now". A caller
 * that breaks the rules loses its channel. Waits for nothing, touches no mailbox. One loop's
 * thread; the same code runs in the simulator, whose hands are no processes.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/identity.h"
#include "base/arena.h"
#include "base/log.h"
#include "ipc/channel.h"

#define AGENT_CALLERS_MAX        128
#define AGENT_REQUESTS_MAX       256 /* of one caller at once */
#define AGENT_HANDS_MAX          40
#define AGENT_HANDS_PER_USER_MAX 24
#define AGENT_HAND_IDLE_MS       30000
#define AGENT_MAILBOX_TIME_MS    120000 /* of one delivery into a mailbox */
#define AGENT_COMMAND_GRACE_MS   15000  /* beyond the command's own time */
#define AGENT_REQUEST_MEMORY_MAX (64u * 1024)

struct agent;

/* What it stands in. */
struct agent_house {
    void *context;
    /* Where mail for m->address goes: fills the fields of `put` that the request does not have, its
       texts in the arena, and as whom. The fault is the answer to the engine (NOT_FOUND: there is
       no such recipient). */
    enum fault (*find)(void *context, const struct message_deliver *m, struct arena *arena,
                       struct message_put *put, struct identity *who_out);
    /* Starts a process that becomes `who` and opens `c`, which is initialised, to it. */
    enum fault (*start_hand)(void *context, struct identity who, struct ipc_channel *c,
                             int64_t *pid_out);
    void (*kill_hand)(void *context, int64_t pid); /* it may be dead already */
};

struct agent_counters {
    uint64_t requests, delivered, deferred, failed, hands_started, hands_failed;
    uint32_t hands, waiting, callers; /* now */
};

must_use enum fault agent_new(struct loop *l, const struct agent_house *house, struct log *log,
                              struct agent **agent_out);
/* Engines come through the door. */
must_use enum fault agent_listen(struct agent *a, int door);
/* No more engines and no new requests: what waits is left to the engines, what has begun goes on
   and is answered. */
void agent_stop(struct agent *a);
bool agent_is_idle(const struct agent *a); /* no hand is at work */
struct agent_counters agent_counters(const struct agent *a);
void agent_free(struct agent *a); /* kills its hands */

#endif
