/*
 * operate: OPERATE, control -> queue: what an operator asks of the queue.
 *
 * LIST gives entries page by page, and looks at OPERATE_SCAN_MAX messages for one at the most:
 * `after` is where it begins (all zero at first) and then where the next one does; is_end says that
 * there is none. The addresses are not in the queue's memory: the asker fetches them from the
 * spool, and asks a filter again that had to answer MAYBE without them.
 */
#ifndef TRANSFER_OPERATE_H
#define TRANSFER_OPERATE_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/id.h"
#include "letter/letter.h"
#include "transfer/filter.h"

#define OPERATE_ROWS_MAX       1000
#define OPERATE_SCAN_MAX       2000
#define OPERATE_SITES_MAX      5000
#define OPERATE_RECIPIENTS_MAX 20000 /* described in one page of a LIST */

enum operation {
    OPERATE_LIST,  /* rows after `after`, by id, that `filter` takes or may take */
    OPERATE_SHOW,  /* one message: `rows` has one, `recipients` all of its recipients */
    OPERATE_RETRY, /* `id`, or all when `all`: due now, and its sites' back-off is over */
    OPERATE_HOLD,  /* `id` or all: kept, not tried; durable before the answer */
    OPERATE_RELEASE,
    OPERATE_REMOVE, /* `id` or all: ended without a notification; durable before the answer */
    OPERATE_BOUNCE, /* `id` or all: failed now, and the sender is told; durable before the answer */
    OPERATE_SITES,  /* all sites, OPERATE_SITES_MAX at the most: `sites` */
    OPERATE_COUNT   /* only `counts` */
};

struct operate_row {
    struct id id;
    int64_t arrival_wall_ms;
    uint64_t content_bytes;
    uint32_t recipients_waiting, recipients_total;
    uint32_t attempts;   /* the most of any recipient */
    int64_t due_wall_ms; /* the soonest */
    bool held, active;
    const char *state;        /* new, active, deferred or held: a constant */
    struct span reply;        /* the newest */
    struct span domain, site; /* of the recipient that it is about */
    bool is_maybe;            /* the filter is to be asked again, of these of `recipients`: */
    uint32_t recipients_first, recipients_count;
};

struct operate_recipient {
    uint32_t index;
    uint8_t standing; /* enum recipient_standing */
    uint16_t attempts;
    int64_t due_wall_ms;
    struct span reply;
    struct span domain, site;
};

/* A site that mail goes to; its texts in `arena` or constants. */
struct operate_site {
    struct span site;
    const char *state;       /* well, back-off or probe */
    uint32_t window, active; /* deliveries: that may be, that are under way */
    uint32_t ready, waiting; /* recipients: for their turn; for their time or a route */
    uint32_t connections;
    int64_t until_wall_ms; /* of the back-off; 0: there is none */
    uint64_t delivered;    /* recipients, since it was first met */
    uint32_t per_minute;   /* the same in the last whole minute */
    struct span fault;     /* the last one; empty: there was none */
};

struct queue_counts {
    uint64_t messages, recipients, held, active, deferred;
    uint64_t sites, channels;
    uint64_t accepted, delivered, deferrals, failed, expired, notified, removed, recovered,
        repeated;
};

struct operate {
    struct letter letter;
    enum operation operation;
    struct id id, after;
    bool all;
    const struct id *ids; /* a change of these instead of `id`; NULL: none. The asker's */
    uint32_t id_count;
    const struct filter *filter; /* of LIST; the asker's, may be NULL */
    uint32_t rows_max;
    bool wants_recipients; /* of LIST: those of each row are described */
    /* Out. `rows` and `recipients` are the asker's arrays; their texts lie in `arena`. */
    struct operate_row *rows;
    uint32_t row_count;
    struct operate_recipient *recipients; /* SHOW: in `arena` */
    uint32_t recipient_count;
    struct operate_site *sites; /* SITES: in `arena` */
    uint32_t site_count;
    bool is_end;      /* of LIST */
    uint64_t changed; /* how many messages an operation has changed */
    struct queue_counts counts;
    enum fault fault; /* NOT_FOUND, DISK_ERROR, NO_MEMORY */
    struct arena *arena;
    void *work;  /* the queue's */
    void *asker; /* the asker's */
};

#endif
