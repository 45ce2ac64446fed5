/*
 * checker: holds what the clients and servers have seen against the promises (DESIGN §5), when all
 * is quiet. Knows only the ledger, the town and what an operator can see; shares no code with the
 * engine.
 */
#ifndef SIM_SCENARIO_CHECKER_H
#define SIM_SCENARIO_CHECKER_H

#include "sim/scenario/town.h"

struct checker {
    struct ledger *ledger;
    const struct town *town;
    struct span listing; /* rows of `queue list`, at the end */
    int64_t lifetime_us; /* of mail in the queue */
    bool clock_jumped;
};

void checker_run(const struct checker *c);

#endif
