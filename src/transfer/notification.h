/*
 * notification: NOTIFY, queue -> worker: compose a delivery status notification (RFC 3464).
 *
 * The worker reads the original (fetching it when `mail` is NULL) and makes the notification's mail
 * object: empty reverse-path, one recipient, which is the original's reverse-path or, when that is
 * empty, the postmaster. The queue then appends it in one group with the original's outcome: both
 * or neither.
 */
#ifndef TRANSFER_NOTIFICATION_H
#define TRANSFER_NOTIFICATION_H

#include "letter/letter.h"
#include "mail/dsn.h"
#include "spool/mail_object.h"

struct notified_recipient {
    uint32_t index; /* into the original's recipients */
    enum dsn_action action;
    struct span text;
    struct span remote;
    bool is_reply;
    enum fault fault;
};

struct notification {
    struct letter letter;
    struct id id;                                /* of the original */
    struct mail_object *mail;                    /* the queue's reference, or NULL */
    const struct notified_recipient *recipients; /* the queue's until the answer */
    uint32_t recipient_count;
    int64_t retry_until_ms;  /* of those that are delayed */
    bool is_to_postmaster;   /* the original has no sender */
    struct mail_object *dsn; /* out: a reference of the queue's */
    enum fault fault; /* out: NO_MEMORY, LIMIT, DENIED (there is no postmaster), or that of the
                         fetch */
    void *work;       /* the worker's */
};

#endif
