/*
 * sender: a machine with clients that hand mail to the engine: a small SMTP client of its own.
 *
 * It speaks plainly or in pipelines, by DATA or by BDAT, several messages a session, slowly, and
 * vanishes; strangers try to relay. It says what it wants to be told (RFC 3461). What it hands over
 * and what it reads goes into the ledger. A message whose end has not left is tried again in
 * another session; one whose end has left and that got no answer may or may not have been taken,
 * and is left alone. RFC 5321, 2920, 3030.
 */
#ifndef SIM_SCENARIO_SENDER_H
#define SIM_SCENARIO_SENDER_H

#include "sim/scenario/ledger.h"
#include "sim/scenario/wire.h"

#define SENDER_MESSAGES_MAX 8 /* of one session */

struct sender;

struct sender_style {
    bool is_pipelined, by_bdat, says_helo;
    size_t chunk_bytes;   /* of BDAT */
    uint32_t aborts;      /* RSET instead of the end, before so many messages: then they are sent */
    bool vanishes_at_dot; /* goes away right behind a message, without waiting for the reply */
    bool leaves_politely; /* QUIT, and waits for its answer */
    struct wire_habits habits;
};

struct sender *sender_new(struct machine *m, struct ledger *l, struct endpoint server);
/* Ends whatever is open. */
void sender_free(struct sender *s);
/* A session at a time from now, with these messages. */
void sender_plan(struct sender *s, int64_t after_us, const struct sender_style *style,
                 const uint32_t *parcels, uint32_t count);
/* All its messages are settled. */
bool sender_is_idle(const struct sender *s);
/* From now on all sessions are quick and polite. */
void sender_calm(struct sender *s);

#endif
