/*
 * operate: OPERATE, control -> queue: what an operator asks of the queue.
 *
 * LIST gives entries page by page: `after` is the last id of the page before (all zero at first);
 * a page is complete when fewer than `rows_max` came. The addresses are not in the queue's memory:
 * the asker fetches them from the spool.
 */
#ifndef TRANSFER_OPERATE_H
#define TRANSFER_OPERATE_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/id.h"
#include "letter/letter.h"

#define OPERATE_ROWS_MAX 1000

enum operation {
    OPERATE_LIST,  /* rows after `after`, by id */
    OPERATE_SHOW,  /* one message: `rows` has one, `recipients` all of its recipients */
    OPERATE_RETRY, /* `id`, or all when `all`: due now, and its sites' back-off is over */
    OPERATE_HOLD,  /* `id` or all: kept, not tried; durable before the answer */
    OPERATE_RELEASE,
    OPERATE_REMOVE, /* `id` or all: ended without a notification; durable before the answer */
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
    struct span reply; /* the newest, in `text` */
};

struct operate_recipient {
    uint32_t index;
    uint8_t standing; /* enum recipient_standing */
    uint16_t attempts;
    int64_t due_wall_ms;
    struct span reply;
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
    uint32_t rows_max;
    /* Out. `rows` and `recipients` are the asker's arrays; their texts lie in `arena`. */
    struct operate_row *rows;
    uint32_t row_count;
    struct operate_recipient *recipients; /* SHOW: in `arena` */
    uint32_t recipient_count;
    uint64_t changed; /* how many messages an operation has changed */
    struct queue_counts counts;
    enum fault fault; /* NOT_FOUND, DISK_ERROR, NO_MEMORY */
    struct arena *arena;
    void *work; /* the queue's */
};

#endif
