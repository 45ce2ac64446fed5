/*
 * message: a message that has something left to do, and its recipients, in one piece of memory.
 *
 * No addresses and no content: a message with one recipient costs 136 bytes (asserted in
 * message.c), since a million of them must fit. What a message needs only while something happens
 * to it lies in its `work` (work.h), which is made before a delivery starts. The queue's thread
 * only.
 *
 * What a recipient is doing (its phase), and what its `node` is in:
 *
 *   SCHEDULED   waits until `due_ms`. In its site's `deferred`, when the site was at fault
 *   RESOLVING   its domain's route is asked for. In the destination's `waiting`
 *   READY       waits for its turn at its site. In the site's `ready`
 *   BUSY        is in a delivery
 *   UNSAVED     has a result that is in no append yet
 *   SAVING      has a result that is being made durable
 *   UNTOLD      its sender is to be told. Who has failed still waits on disk; who is delivered is
 * so there, and the report is owed TELLING     the notification is being composed or appended STUCK
 * cannot go on and nobody can be told: until an operator releases the message FINISHED    its end
 * is durable
 *
 *   SCHEDULED -> RESOLVING -> READY -> BUSY -> UNSAVED -> SAVING -> SCHEDULED | FINISHED
 *   SCHEDULED (an expanded list), SAVING (delivered, with a report) -> UNTOLD
 *   BUSY, RESOLVING, READY -> UNTOLD -> TELLING -> UNTOLD (it could not be told) | FINISHED
 *   SCHEDULED, RESOLVING, READY, UNTOLD, STUCK -> UNSAVED by an operator's command
 *   SAVING -> UNSAVED after a fault of the disk; SCHEDULED -> FINISHED: found so at the start
 */
#ifndef QUEUE_MESSAGE_H
#define QUEUE_MESSAGE_H

#include "base/heap.h"
#include "base/id.h"
#include "base/list.h"
#include "queue/reply.h"
#include "spool/state.h"

struct destination;
struct fresh;
struct sender;
struct work;

enum phase {
    PHASE_SCHEDULED,
    PHASE_RESOLVING,
    PHASE_READY,
    PHASE_BUSY,
    PHASE_UNSAVED,
    PHASE_SAVING,
    PHASE_UNTOLD,
    PHASE_TELLING,
    PHASE_STUCK,
    PHASE_FINISHED
};

struct recipient {
    struct list node;
    struct destination *destination; /* a reference; NULL: it has no domain */
    struct reply *reply;             /* a reference, or NULL */
    int64_t due_ms;                  /* monotonic */
    uint32_t index : 25;             /* in the envelope, and in its message */
    uint32_t notify : 5;             /* a set of enum notify */
    uint32_t report : 2; /* enum recipient_report: of a DELIVERED one, until its sender is told */
    uint16_t attempts;
    uint8_t standing : 4; /* enum recipient_standing */
    uint8_t phase : 4;    /* enum phase; written by recipient_enter alone */
    uint8_t era;          /* of its last attempt (retry.h) */
};

/* Why a message is held: HELD(NAME, text); the text is what is on disk. */
#define HELD_REASONS(HELD)                                                         \
    HELD(NONE, "")                                                                 \
    HELD(OPERATOR, "by an operator")                                               \
    HELD(UNDELIVERABLE, "undeliverable, and there is no sender to tell")           \
    HELD(CRASHES, "it was being worked on at three crashes")                       \
    HELD(NO_DOMAIN, "a recipient has no domain, and there is no next hop for all") \
    HELD(DAMAGED, "the stored message cannot be read")                             \
    HELD(OTHER, "by an earlier decision")

enum held_reason {
#define HELD(name, text) HELD_##name,
    HELD_REASONS(HELD)
#undef HELD
};

struct message {
    struct heap_node due; /* in the schedule: at or before the first thing that is to be done */
    struct id id;
    struct fresh *fresh; /* its mail object is still in memory; or NULL */
    struct sender *sender;
    struct work *work; /* or NULL */
    int64_t arrival_wall_ms;
    uint64_t content_bytes : 40;
    uint64_t crashes : 8;
    uint64_t held_reason : 4;
    uint64_t is_held : 1;
    uint64_t is_removing : 1;    /* by an operator, once what is under way is back */
    uint64_t has_no_sender : 1;  /* the null reverse-path: nobody can be told */
    uint64_t was_deferred : 1;   /* counted in `deferred` */
    uint64_t is_delay_told : 1;  /* or is not to be */
    uint64_t wants_delay : 1;    /* somebody is to be told of, should it be late */
    uint64_t is_last_resort : 1; /* see the envelope */
    uint32_t version;            /* of its newest state, tried or written */
    uint32_t moving;             /* recipients RESOLVING or READY */
    uint32_t busy;               /* recipients BUSY */
    uint32_t recipient_count;
    struct recipient recipients[];
};

/* All recipients WAITING and SCHEDULED; all else zero. NULL: no memory. */
struct message *message_new(struct id id, uint32_t recipient_count);
/* Nothing of it is in a list or heap any more; references were released. */
void message_free(struct message *m);
struct message *message_of(const struct recipient *r);
/* The only writer of a phase; keeps `moving` and `busy`; holds the move against a table. */
void recipient_enter(struct recipient *r, enum phase phase);
bool recipient_is_waiting(const struct recipient *r); /* its standing is WAITING */
/* It is waiting, and neither failed nor stuck. */
bool recipient_is_tried(const struct recipient *r);
/* Nobody is waiting, once those who are being told of have been: all that is left is to end it. */
bool message_is_ended(const struct message *m);

struct span held_reason_text(enum held_reason reason);
enum held_reason held_reason_of(struct span text);

#endif
