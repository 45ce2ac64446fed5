/*
 * queue: the actor that schedules: messages, sites, windows, retries, fairness (DESIGN §7).
 *
 * Owns every message that has something left to do, the sites they go to and the channels to them.
 * It keeps no addresses: a recipient costs about 150 bytes. It never touches a socket or the disk:
 * it asks the resolver for routes, lends deliveries to workers, and has each outcome made durable
 * by the spool before it counts. At most one state record of a message is under way; what comes
 * meanwhile goes into the next. Every step is O(log n) or better.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include "letter/actor.h"
#include "os/socket.h"

#define QUEUE_WORKERS_MAX 64

struct queue;

struct queue_settings {
    int64_t retry_first_ms, retry_max_ms; /* doubles from the first to the most, with some spread */
    int64_t lifetime_ms;                  /* then the recipient fails: EXPIRED */
    int64_t delay_notice_ms; /* its sender is told once that a message is late; 0: never */
    bool has_postmaster;     /* who is told of failed mail without a sender; else it is held */
    uint32_t site_connections_max;    /* the window's most; it begins at QUEUE_WINDOW_FIRST */
    uint32_t delivery_recipients_max; /* of one transaction */
    uint64_t fresh_bytes_max;         /* mail objects kept in memory until their first attempt */
    uint64_t secret;                  /* of the hash tables */
};

/* RENEW: what the queue goes by from now on. `secret` stays as it was. */
struct queue_renewal {
    struct letter letter;
    const struct queue_settings *settings; /* the asker's until the answer */
    enum fault fault;                      /* out: NO_MEMORY, nothing has changed */
};

must_use enum fault queue_new(struct world *w, const struct queue_settings *settings,
                              uint32_t max_letters, struct log *log, struct queue **queue_out);
struct actor *queue_actor(struct queue *q);
/* Before the start: whom it speaks to. */
void queue_introduce(struct queue *q, struct actor *spool, struct actor *resolver,
                     struct actor *const *workers, uint32_t worker_count);
/* After its actor was joined, and after everybody whom it was introduced to has been freed: they
   may still hold letters of its. Frees what it owns. */
void queue_free(struct queue *q);

#endif
