/*
 * load: one run of the generator: which message may be sent when, what became of each, and the
 * event loop under all sessions. One thread.
 *
 * Closed loop (rate 0): a session sends its next message as soon as the last one is answered.
 * Open loop: message n falls due at n / rate; a free session takes it, and how late the answer
 * came after that moment is measured too, so that a stalled server cannot hide behind sessions that
 * wait for it.
 *
 * Every number is given out once. A message that was lost in flight gets no second try under its
 * own id: whatever arrives twice was doubled by the server, not by us.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "message.h"
#include "net.h"

struct load_options {
    struct endpoint server;
    unsigned sessions;
    uint64_t messages_per_connection; /* 0: all */
    uint64_t messages;                /* 0: until time is up */
    double seconds;                   /* 0: until all messages are answered */
    double stall_seconds;             /* give up when nothing at all happens for so long */
    double rate;                      /* messages a second; 0: closed loop */
    size_t size;
    unsigned recipients;
    unsigned domains; /* "{}" in recipient_domain counts from 0 to domains - 1 */
    unsigned senders; /* "{}" in from counts from 0 to senders - 1 */
    const char *recipient_domain;
    const char *from;
    const char *helo;
    const char *run;
    const char *ids_path; /* or NULL */
    bool ids_with_recipients;
    bool pipelining;
    bool chunking;
    bool persist;  /* reconnect after a loss */
    bool idle;     /* open sessions and send nothing */
    bool together; /* no message, and no clock, before every session has its EHLO answered */
};

struct load_result {
    uint64_t accepted;
    uint64_t refused_4xx;
    uint64_t refused_5xx;
    uint64_t recipients_refused;
    uint64_t lost_before_dot; /* the server cannot have taken it */
    uint64_t lost_after_dot;  /* it may have: nobody was told */
    uint64_t connections;
    uint64_t connect_failures;
    uint64_t connections_lost;
    uint64_t bytes;
    uint64_t first_send_ns; /* monotonic; 0: none */
    uint64_t last_reply_ns;
    bool stalled;
    struct histogram latency_ns; /* from the final dot handed to the kernel to its reply */
    struct histogram due_ns;     /* open loop: from the due moment to the reply */
};

/* Runs to its end: all messages answered, time up, a signal, or a stall. */
void load_run(const struct load_options *options, struct load_result *result_out);

/* ---- For client.c: one session's view of the run. ---- */

struct load;
struct client;

enum take { TAKE_NOW, TAKE_LATER, TAKE_NEVER };

struct ticket {
    uint64_t number;
    uint64_t due_ns; /* 0 in a closed loop */
};

const struct load_options *load_options(const struct load *load);
const struct message *load_message(const struct load *load);
struct load_result *load_counts(struct load *load);
int load_epoll(const struct load *load);

/* The time at which this turn of the loop began: replies read in it arrived about then. */
uint64_t load_turn_ns(const struct load *load);

/* May this session send a message now? TAKE_LATER: it is parked and client_wake() comes. */
enum take load_take(struct load *load, struct client *client, struct ticket *ticket_out);

/* The id of an accepted message (recipient: or NULL) for the file of ids. */
void load_note_id(struct load *load, const char *id, size_t id_length, const char *recipient);

/* A message was answered for good: accepted (code 2xx) or refused. */
void load_on_answer(struct load *load, const struct ticket *ticket, unsigned code,
                    uint64_t dot_sent_ns);

/* A message was lost with its connection; another number may be given out in its place. */
void load_on_message_lost(struct load *load, bool after_dot);

/* The session has no connection any more: lost, or ended as it should. */
void load_on_disconnect(struct load *load, struct client *client, bool lost);

#endif
