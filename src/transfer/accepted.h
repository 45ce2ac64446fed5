/*
 * accepted: ACCEPTED, worker -> queue: a durable message to be scheduled.
 *
 * Sent after the spool answered its APPEND; the 250 need not wait for it. The queue takes its own
 * reference of `mail` if it wants to keep it.
 */
#ifndef TRANSFER_ACCEPTED_H
#define TRANSFER_ACCEPTED_H

#include "letter/letter.h"
#include "spool/mail_object.h"

struct accepted {
    struct letter letter;
    struct mail_object *mail; /* the sender's reference, until the answer */
};

#endif
