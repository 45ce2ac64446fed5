/*
 * handover: short messages with descriptors between the supervisor and a child of its, over a pair
 * of packet sockets. In the real world only; blocks, and is for who has nothing else to do.
 *
 * A message is a byte that says what it is (enum handover_kind), then bytes. Both sides are the
 * same program, but a child is less trusted: what it sends is looked at, not believed.
 */
#ifndef IPC_HANDOVER_H
#define IPC_HANDOVER_H

#include "base/span.h"

#define HANDOVER_BYTES_MAX       (64 * 1024)
#define HANDOVER_DESCRIPTORS_MAX 72
#define HANDOVER_TEXT_MAX        (48 * 1024) /* of errors, for people */

enum handover_kind {
    HANDOVER_OPEN = 1,   /* rehearsal: a path, to be put into the bundle */
    HANDOVER_OPENED,     /* the answer: 0, or why not (errno) */
    HANDOVER_RESULT,     /* rehearsal: struct rehearsal_result, then text */
    HANDOVER_WANTED,     /* engine: an operator asks for a reload */
    HANDOVER_REFUSED,    /* to the engine: text; nothing has changed */
    HANDOVER_GENERATION, /* to the engine: text; the bundle, the log if has_log, the listeners */
};

/* Two descriptors; false: errno says why. */
bool handover_pair(int ends_out[2]);
/* The parts are sent as one message. False: it could not be; errno. */
bool handover_send(int end, enum handover_kind kind, const struct span *parts, size_t count,
                   const int *descriptors, size_t descriptor_count);
/* Waits at most timeout_ms (-1: as long as it takes). *len_out bytes behind the kind, which is
   answered; 0: nothing came in time, the other side is gone, or what came is no message.
   Descriptors are the caller's. */
enum handover_kind handover_receive(int end, int timeout_ms, uint8_t bytes_out[HANDOVER_BYTES_MAX],
                                    size_t *len_out, int descriptors_out[HANDOVER_DESCRIPTORS_MAX],
                                    size_t *descriptor_count_out);

#endif
