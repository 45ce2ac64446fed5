/*
 * transaction: one message, from the first byte of its content until the queue knows of it.
 *
 * Owns the draft, then the mail object, the content file while it is written, and the letters. It
 * belongs to a conversation only while that waits for it: after the final dot it goes on alone when
 * the client goes away (RFC 1047: the client may have gone because we were slow, and must not be
 * made to send again what is nearly safe). One worker's thread.
 *
 *   FILLING --commit--> CLOSING_FILE --synced--> WAITING --credit--> APPENDING --answer--> QUEUEING
 *   QUEUEING --answer--> freed;  FILLING --commit (no file)--> WAITING or APPENDING
 *   FILLING, CLOSING_FILE, APPENDING --drop or fault--> DROPPING (while there is a file) --> freed
 *
 * In QUEUEING the message is durable and may be answered 250.
 */
#ifndef RECEIVE_TRANSACTION_H
#define RECEIVE_TRANSACTION_H

#include "receive/receiver_inside.h"
#include "receive/session.h"

struct transaction;

/* Told to the conversation that waits; never from inside a call of its own. */
struct transaction_events {
    void (*on_room)(void *context); /* was full, takes content again */
    /* The content cannot be kept; the transaction is no longer the conversation's. */
    void (*on_content_fault)(void *context, enum fault fault);
    /* The answer to transaction_commit; the transaction is no longer the conversation's. */
    void (*on_committed)(void *context, enum fault fault, struct id id);
};

/* Under the settings of its session. Takes the envelope from the session and makes id and Received
 * field. NO_MEMORY. */
must_use enum fault transaction_new(struct receiver *r, const struct receiver_settings *settings,
                                    const struct session *session, struct endpoint client,
                                    const struct transaction_events *events, void *context,
                                    struct transaction **transaction_out);
/* More content, at most SPILL_RUN_MAX bytes, not while it is full. After a fault (NO_MEMORY, HOPS)
 * only transaction_drop is left. */
must_use enum fault transaction_keep(struct transaction *t, struct span run);
bool transaction_is_full(const struct transaction *t);
/* The content is complete. A fault (NO_MEMORY) is the answer, and the transaction is gone; else
 * on_committed comes. */
must_use enum fault transaction_commit(struct transaction *t, const struct session *session);
/* There is no message. Not after transaction_commit. */
void transaction_drop(struct transaction *t);
/* After transaction_commit: the client is gone. */
void transaction_detach(struct transaction *t);

/* A letter that came back; false: no transaction's. */
bool transaction_on_letter(struct letter *letter);
/* At the end of the receiver. */
void transaction_free(struct transaction *t);
/* Of the receiver's list. */
struct transaction *transaction_of(struct list *node);

#endif
