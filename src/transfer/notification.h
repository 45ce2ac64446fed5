/*
 * notification: NOTIFY, queue -> worker: compose a delivery status notification (RFC 3464).
 *
 * The worker reads the original (fetching it when `mail` is NULL) and makes the notification's mail
 * object: empty reverse-path, one recipient, which is the original's reverse-path. The queue then
 * appends it in one group with the original's outcome: both or neither.
 */
#ifndef TRANSFER_NOTIFICATION_H
#define TRANSFER_NOTIFICATION_H

#include "letter/letter.h"
#include "mail/dsn.h"
#include "spool/mail_object.h"

struct notified_recipient {
    uint32_t index; /* into the original's recipients */
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
    struct mail_object *dsn; /* out: a reference of the queue's */
    enum fault fault;        /* out: NO_MEMORY, LIMIT, or that of the fetch */
    void *work;              /* the worker's */
};

#endif
