/*
 * inside: what the parts of the queue's actor share; nobody else includes it.
 *
 * intake.c makes messages; resolve.c finds the way of recipients that are due; dispatch.c starts
 * deliveries and takes them back, on what channel.c gives; outcome.c turns results into standings,
 * save.c makes them durable; notify.c tells senders; operate.c obeys operators; queue.c is the
 * actor. All of it runs on the queue's thread.
 */
#ifndef QUEUE_INSIDE_H
#define QUEUE_INSIDE_H

#include "dns/resolver.h"
#include "queue/catalog.h"
#include "queue/destination.h"
#include "queue/fairness.h"
#include "queue/fresh.h"
#include "queue/message.h"
#include "queue/queue.h"
#include "queue/reply.h"
#include "queue/retry.h"
#include "queue/schedule.h"
#include "queue/site.h"
#include "spool/recovered.h"
#include "spool/spool.h"
#include "transfer/accepted.h"
#include "transfer/delivery.h"
#include "transfer/notification.h"
#include "transfer/operate.h"

#define QUEUE_APPENDS_MAX       4096 /* under way */
#define QUEUE_RESOLVES_MAX      500
#define QUEUE_NOTIFICATIONS_MAX 64
#define QUEUE_CHANNELS_MAX      4096
#define QUEUE_CHANNEL_IDLE_MS   60000 /* then it is closed */
#define QUEUE_TURN_MAX          1000  /* messages that fall due, or are operated on, in one turn */
#define QUEUE_SCAN_MAX          1000  /* recipients looked at for one delivery */
#define QUEUE_TROUBLE_MS        1000  /* no memory, no disk: first pause before trying again */
#define QUEUE_TROUBLE_MAX_MS    60000
#define QUEUE_CRASHES_MAX       3
#define NOTIFICATION_RECIPIENTS_MAX                              \
    100 /* each may need 2 KiB, and all must fit into one record \
         */

/* A question to the resolver. */
struct question {
    struct resolve resolve;
    struct credit_waiter waiter;
    struct queue *queue;
    struct destination *destination;
};

/* One connection's place; see transfer/delivery.h. */
struct channel {
    struct delivery delivery;
    struct list node;      /* of all channels */
    struct list idle;      /* in its site's list, while it has no delivery */
    struct list idle_long; /* in the queue's list, while it has no delivery; the oldest first */
    int64_t idle_since_ms;
    struct site *site;
    struct message *message; /* of the delivery under way */
    uint32_t *recipients;
    uint32_t recipient_capacity;
    uint32_t worker;
    uint32_t generation; /* of the site, at the start */
    bool is_lent;        /* with the worker */
};

/*
 * What a message needs while something is being made durable for it: at most one record or one
 * notification at a time; what comes meanwhile waits for the next round.
 *
 *   IDLE -> WANTS_NOTIFY (for a credit) -> NOTIFYING -> WANTS_APPEND (for a credit) -> APPENDING ->
 * IDLE IDLE -> WANTS_APPEND;  NOTIFYING -> IDLE (it could not be composed)
 */
enum work_state { WORK_IDLE, WORK_WANTS_NOTIFY, WORK_NOTIFYING, WORK_WANTS_APPEND, WORK_APPENDING };

struct work {
    struct queue *queue;
    struct message *message;
    struct list touched; /* in the queue's list of those to be looked at in this turn */
    enum work_state state;
    bool control_due; /* a CONTROL record is to be written, whatever the recipients say */
    bool control_sent;
    bool delay_due;           /* the sender is to be told that it is late */
    bool tells_delay;         /* and is, by the notification under way */
    bool is_done;             /* the record under way ends the message */
    bool is_lost;             /* the spool does not know the message */
    uint32_t unsaved, untold; /* recipients in these phases */
    int64_t append_after_ms, notify_after_ms;
    uint32_t append_faults, notify_faults; /* in a row */
    uint32_t notify_max;
    struct credit_waiter waiter;
    struct append append;
    struct buffer payload;
    struct notification notification;
    struct notified_recipient *notified;
    struct reply **notified_replies; /* references, while `notified` points into them */
    uint32_t notified_count;
    struct mail_object *mail; /* for the notification; or NULL: it is fetched */
    struct mail_object *dsn;  /* composed, to be appended */
    struct list waits;        /* of operations, for the record after the one under way */
    struct list waits_sent;   /* for the one under way */
};

/* An operator's request that is not answered yet. */
struct errand {
    struct operate *operate;
    struct list node;
    struct id after;   /* how far it has walked */
    bool has_walked;   /* all messages concerned have been looked at */
    uint64_t pending;  /* records that it waits for */
    struct list waits; /* the same, one by one */
};

struct queue {
    struct queue_settings settings;
    struct site_limits limits;
    struct actor *actor;
    struct log *log;
    struct loop *loop;
    struct actor *spool, *resolver;
    struct actor *workers[QUEUE_WORKERS_MAX];
    uint32_t worker_channels[QUEUE_WORKERS_MAX];
    uint32_t worker_count, next_worker;
    struct retry_clock clock;
    struct timer timer;
    struct queue_counts counts;

    struct catalog catalog;
    struct schedule schedule;
    struct senders senders;
    struct replies replies;
    struct fresh_cache fresh;
    struct destinations destinations;

    struct map sites;
    struct heap sites_due; /* back-offs */
    struct list hungry;    /* sites that may start something */
    struct list starved;   /* sites that wait for a channel */
    int64_t starved_until_ms;
    struct list channels; /* all */
    struct list idle;     /* channels, idle longest first */
    uint32_t channel_count, channels_lent;

    struct list touched;   /* work to be looked at in this turn */
    uint32_t work_waiting; /* pieces of work that are not IDLE */
    struct credit appends, resolves, notifications;
    uint32_t resolves_sent;
    bool is_spool_failing; /* the last append could not be made durable: nothing is delivered */

    struct list operations;
    struct letter *stop;
};

/* The message is to be looked at by then. */
void queue_look_by(struct queue *q, struct message *m, int64_t at_ms);
uint32_t queue_random(struct queue *q);
/* How long to wait after so many faults of the own house (from 1). */
int64_t queue_trouble_ms(struct queue *q, uint32_t faults);
struct actor *queue_next_worker(struct queue *q);

/* intake.c */
void intake_mail(struct queue *q, struct mail_object *mail); /* durable by now */
void intake_recovered(struct queue *q, const struct recovered_message *r);
/* Everything of it is over: takes it out of all tables and frees it. */
void intake_end(struct queue *q, struct message *m);
void intake_release(struct queue *q, struct message *m); /* at the queue's own end */

/* resolve.c */
/* Recipients that are due find their way: to a site, or into a destination's list. */
void resolve_message(struct queue *q, struct message *m);
void resolve_answered(struct queue *q, struct question *question);
/* Back from wherever it waits (RESOLVING, READY) to SCHEDULED. */
void resolve_recall(struct queue *q, struct recipient *r);
/* False: the destination must be asked again first, and is. */
bool resolve_is_current(struct queue *q, struct destination *d);
void resolve_forget(struct queue *q, bool all); /* destinations that nobody needs */
void resolve_drop_route(struct queue *q, struct destination *d);

/* dispatch.c */
bool dispatch_ready(struct queue *q, struct recipient *r); /* false: no memory */
void dispatch_unready(struct queue *q, struct recipient *r);
void dispatch_hungry(struct queue *q, struct site *s);
struct site *dispatch_site(struct queue *q, struct span key); /* NULL: no memory */
void dispatch_site_release(struct queue *q, struct site *s);  /* frees it when nobody needs it */
void dispatch_end_backoff(struct queue *q, struct site *s);   /* as if its time were over */
void dispatch_all_hungry(struct queue *q);
void dispatch_starved(struct queue *q); /* a channel may be had again */
void dispatch_answered(struct queue *q, struct channel *c);
void dispatch_turn(struct queue *q);       /* sites whose time has come, hungry sites */
int64_t dispatch_next_ms(struct queue *q); /* when dispatch_turn has something to do */
void dispatch_free(struct queue *q);

/* channel.c */
/* A channel of the site without a delivery, a new one if need be; NULL: none can be had now. */
struct channel *channel_take(struct queue *q, struct site *s);
bool channel_has_room(struct channel *c, uint32_t recipients); /* false: no memory */
void channel_lend(struct queue *q, struct channel *c, enum delivery_kind kind);
/* The letter is back. CLOSE: it is freed. */
void channel_back(struct queue *q, struct channel *c);
/* It has no delivery any more. */
void channel_idle(struct queue *q, struct channel *c);
void channel_close_idle(struct queue *q, bool all); /* those idle for too long, or all */
int64_t channel_next_ms(const struct queue *q); /* when channel_close_idle has something to do */
void channel_free_all(struct queue *q);

/* outcome.c */
/*
 * What has become of a recipient. Its message has its work; the recipient is in no list. `mail`,
 * for the log's sake, may be NULL; a `reply` is taken over (NULL: no memory for it).
 */
void outcome_delivered(struct queue *q, struct recipient *r, const struct delivery_result *result,
                       const struct mail_object *mail);
void outcome_deferred(struct queue *q, struct recipient *r, struct reply *reply, bool in_doubt,
                      const struct mail_object *mail);
void outcome_failed(struct queue *q, struct recipient *r, struct reply *reply,
                    const struct mail_object *mail);
/* Nobody can be told: STUCK, and in time the message is held. */
void outcome_stuck(struct queue *q, struct recipient *r, enum held_reason reason);
/* An operator ends it, and the sender is told. The recipient is in no list. False: no memory. */
bool outcome_bounced(struct queue *q, struct recipient *r);
bool outcome_expired(struct queue *q, struct recipient *r,
                     const struct mail_object *mail); /* false: no memory, nothing was done */
/* It is a list, whose members are recipients of their own. */
void outcome_expanded(struct queue *q, struct recipient *r, const struct mail_object *mail);
/* When its lifetime is over. */
int64_t outcome_over_ms(const struct queue *q, struct message *m);
/* Is its time over, and has it been tried in this era? */
bool outcome_is_over(const struct queue *q, const struct recipient *r);
/* The only writer of a standing. */
void outcome_settle(struct queue *q, struct recipient *r, enum recipient_standing standing);

/* save.c */
/* The message's work, made when there is none; NULL: no memory. */
struct work *save_work(struct queue *q, struct message *m);
/* At the end of the turn the work is looked at. */
void save_touch(struct queue *q, struct work *w);
void save_turn(struct queue *q);
void save_append(struct queue *q,
                 struct work *w); /* asks for a credit, then composes and appends */
void save_answered(struct queue *q, struct work *w);
void save_work_free(struct queue *q, struct work *w); /* no-op for NULL */
void save_work_enter(struct queue *q, struct work *w, enum work_state state);
/* Held from now on, which is written with the next record. */
void save_hold(struct queue *q, struct message *m, struct work *w, enum held_reason reason);
int64_t save_next_ms(const struct work *w); /* when it has to be looked at again; RETRY_NEVER */

/* notify.c */
/* When the sender is to be told that the message is late; RETRY_NEVER: not, or no more. */
int64_t notify_delay_ms(const struct queue *q, struct message *m);
/* Has that time come? Then it is told, once there is memory. */
void notify_look(struct queue *q, struct message *m);
void notify_forget(struct queue *q, struct work *w); /* the list of those told of */
bool notify_is_due(const struct work *w);            /* somebody is to be told something */
/* Before a record is composed: what it would tell may be over. */
void notify_review(struct work *w);
void notify_begin(struct queue *q, struct work *w);
void notify_answered(struct queue *q, struct work *w);
void notify_told(struct queue *q, struct work *w);     /* the group is durable */
void notify_too_long(struct queue *q, struct work *w); /* no record has room for it */

/* operate.c */
void operate_request(struct queue *q, struct operate *o);
void operate_turn(struct queue *q); /* goes on with what walks over all messages */
/* The record that these waits were for was answered. */
void operate_answered(struct queue *q, struct list *waits, enum fault fault);
/* sites.c */
enum fault sites_describe(struct queue *q, struct operate *o);

/* operate.c */
void operate_abandon(struct queue *q); /* the queue stops: answers all */

#endif
