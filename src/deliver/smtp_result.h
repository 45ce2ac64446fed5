/*
 * smtp_result: what became of a recipient, or of a connection, and why.
 *
 * The phases of the client's machine (smtp_client.h) are named here. The verdict goes by the first
 * digit of a reply alone (RFC 5321 4.2.1); what is no final reply decides nothing: the mail waits.
 * Pure; texts stay where they are, any thread.
 */
#ifndef DELIVER_SMTP_RESULT_H
#define DELIVER_SMTP_RESULT_H

#include "base/fault.h"
#include "base/span.h"
#include "mail/status.h"
#include "smtp/reply.h"

enum client_phase {
#define CLIENT_PHASE(name, text) CLIENT_##name,
#include "deliver/smtp_phase.def"
#undef CLIENT_PHASE
};

enum client_verdict {
    CLIENT_UNDECIDED, /* until the transaction is over */
    CLIENT_TAKEN,     /* RCPT was accepted; until the transaction is over */
    CLIENT_DELIVERED,
    CLIENT_DEFERRED,
    CLIENT_FAILED
};

struct client_result {
    enum client_verdict verdict;
    enum client_phase phase; /* what was awaited when it was decided */
    enum fault fault;        /* our reason; FAULT_NONE: the reply itself */
    int code;             /* of the server's reply, 0: there was none. With a fault (PROTOCOL): the
                             reply that made no sense */
    struct span text;     /* of that reply */
    struct status status; /* of class 2, 4 or 5, as the verdict */
};

const char *client_phase_name(enum client_phase phase);

bool client_result_is_final(const struct client_result *r); /* neither UNDECIDED nor TAKEN */

struct client_result client_result_of_fault(enum client_phase phase, enum client_verdict verdict,
                                            enum fault fault);
/* 2xx DELIVERED, 4xx DEFERRED, 5xx FAILED; else DEFERRED with PROTOCOL. */
struct client_result client_result_of_reply(enum client_phase phase, const struct reply *reply);
/* A reply of a class that may not come here: DEFERRED with PROTOCOL. */
struct client_result client_result_of_nonsense(enum client_phase phase, const struct reply *reply);
/* The server says never, we say not now. */
struct client_result client_result_deferred(struct client_result r);

#endif
