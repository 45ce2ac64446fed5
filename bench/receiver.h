/*
 * receiver: one SMTP connection of the sink, and the state all connections share.
 *
 * A turn of the loop is: every ready connection reads and works (receiver_on_event), the ids go to
 * their file, then every reply goes out (receiver_flush). So an id is in the file before its
 * 250 is sent, and what happened after that is the other side's doing.
 *
 * It trusts its peer to be a mail server under test and checks only what it needs; lines and held
 * back input are bounded all the same.
 */
#ifndef BENCH_RECEIVER_H
#define BENCH_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "idlog.h"
#include "idset.h"
#include "store.h"
#include "trouble.h"

enum phase { PHASE_NONE, PHASE_CONNECT, PHASE_MAIL, PHASE_RCPT, PHASE_DATA, PHASE_DOT };

/* Extensions of EHLO, and EHLO itself, that can be left out. */
enum extension {
    WITHOUT_EHLO = 1 << 0,
    WITHOUT_PIPELINING = 1 << 1,
    WITHOUT_SIZE = 1 << 2,
    WITHOUT_8BITMIME = 1 << 3,
    WITHOUT_ENHANCEDSTATUSCODES = 1 << 4,
    WITHOUT_CHUNKING = 1 << 5,
};

struct sink_options {
    const char *hostname;
    uint64_t size_max;
    unsigned without; /* bits of enum extension */
    enum phase delay_phase;
    uint64_t delay_ns;
    bool ids_with_recipients;
};

struct sink_counts {
    uint64_t messages; /* received in full and answered 250, or dropped at that moment */
    uint64_t recipients;
    uint64_t bytes;
    uint64_t connections;
    uint64_t open;       /* connections now */
    uint64_t duplicates; /* ids (with recipients: pairs) that had been seen before */
    uint64_t without_id;
    uint64_t tempfailed;
    uint64_t rejected;
    uint64_t dropped;
    uint64_t dropped_after_dot; /* taken, and the peer cannot know: each permits a duplicate */
    uint64_t first_ns;          /* monotonic time of the first and last message; 0: none */
    uint64_t last_ns;
};

struct receiver;

struct sink {
    struct sink_options options;
    struct sink_counts counts;
    struct trouble_plan trouble;
    struct idlog *ids;
    struct idset seen;
    struct store *store; /* or NULL */
    int epoll_fd;
    uint64_t turn_ns;
    struct receiver *dirty;  /* connections with something to send or to end */
    struct receiver *paused; /* oldest first: all wait equally long */
    struct receiver *paused_last;
};

/* Takes over an accepted, non-blocking socket. */
void receiver_open(struct sink *sink, int fd);

void receiver_on_event(struct receiver *receiver, uint32_t events);

/* Goes on with connections whose delay is over. */
void receiver_resume(struct sink *sink);

/* Sends every waiting reply and closes what is to be closed; after idlog_flush(). */
void receiver_flush(struct sink *sink);

/* When the next paused connection goes on; UINT64_MAX: none is paused. */
uint64_t receiver_resume_at_ns(const struct sink *sink);

#endif
