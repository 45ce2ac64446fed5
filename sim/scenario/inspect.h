/*
 * inspect: what a server that has been given a message finds in it.
 *
 * A parcel must be what its client handed over, with one Received field on top, for recipients of
 * its own whose domain leads here. Anything else must be a notification, from nobody, to the sender
 * of a parcel, about recipients of that parcel (RFC 3464). What is neither is unknown mail, which
 * nobody may ever see.
 */
#ifndef SIM_SCENARIO_INSPECT_H
#define SIM_SCENARIO_INSPECT_H

#include "sim/scenario/town.h"

struct inspection {
    const struct town *town;
    struct ledger *ledger;
    uint32_t host;
    const char *reverse_path;
    const char (*recipients)[LEDGER_ADDRESS_MAX];
    uint32_t recipient_count;
    struct span content;
    bool is_7bit; /* the server has not offered 8BITMIME */
    /* Out, of inspect. */
    struct parcel *parcel; /* NULL: a notification */
    struct span notice_id;
};

/* Breaks promises as it finds them; gives what the server thinks of it in peace. */
enum opinion inspect(struct inspection *i);
/* The server keeps it. */
struct handover *inspect_take(const struct inspection *i);
/* A server has said 5xx to this recipient. */
void inspect_refused(struct ledger *l, const char *recipient);
/* ... to this sender: its parcel's recipients. False: it is not known whose they are. */
bool inspect_refused_sender(struct ledger *l, const char *sender);

#endif
