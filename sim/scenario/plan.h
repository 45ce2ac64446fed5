/*
 * plan: what a seed decides beforehand: the engine's settings, the mail, and when what goes wrong.
 *
 * Drawn from a random source of its own, so that it does not depend on how the run goes.
 */
#ifndef SIM_SCENARIO_PLAN_H
#define SIM_SCENARIO_PLAN_H

#include "sim/scenario/house.h"
#include "sim/scenario/sender.h"
#include "sim/scenario/sink.h"

#define PLAN_CLIENTS_MAX 4 /* the last one is a stranger's */
#define PLAN_PARCELS_MAX 400
#define PLAN_ACTIONS_MAX 400

/* What may go wrong in a seed; each is drawn for itself, so that it also comes alone. */
struct troubles {
    bool network, dns, sinks, disk, disk_full, crashes, stops, clock, partitions;
};

/* ACTION(NAME, name in a trace) */
#define ACTIONS(ACTION)                                                        \
    ACTION(SESSION, "session")     /* a: of plan.sessions */                   \
    ACTION(NETWORK, "network")     /* a: rough or not */                       \
    ACTION(DNS, "dns")             /* a: rough or not */                       \
    ACTION(DISK, "disk")           /* a: failing or not */                     \
    ACTION(DISK_FULL, "disk size") /* b: bytes */                              \
    ACTION(SINK, "sink")           /* a: host, b: mode * 1000000 + troubles */ \
    ACTION(PARTITION, "partition") /* a: host, b: apart or not */              \
    ACTION(KILL, "kill")           /* a: enum sim_death */                     \
    ACTION(KILL_AT, "kill at")     /* a: enum sim_death, b: disk operation */  \
    ACTION(STOP, "stop")                                                       \
    ACTION(RELOAD, "reload") /* a: of house.reloads */                         \
    ACTION(CLOCK, "clock")   /* b: ms */                                       \
    ACTION(PEACE, "peace")

enum action_kind {
#define ACTION(name, text) ACTION_##name,
    ACTIONS(ACTION)
#undef ACTION
};

struct action {
    int64_t at_us;
    enum action_kind kind;
    uint32_t a;
    int64_t b;
};

struct session_plan {
    uint32_t client;
    struct sender_style style;
    uint32_t parcels[SENDER_MESSAGES_MAX], count;
};

struct plan {
    struct troubles troubles;
    struct house_plan house;
    int64_t lifetime_us, retry_us;
    int64_t war_us; /* when peace begins */
    uint32_t client_count;
    uint32_t parcel_count; /* with the last ones, which are sent when all is quiet */
    uint32_t last_first;   /* the first of these */
    struct session_plan sessions[PLAN_PARCELS_MAX];
    uint32_t session_count;
    struct action actions[PLAN_ACTIONS_MAX];
    uint32_t action_count;
    struct sim_options rough;
};

/* The town is there; its last_first is set. */
void plan_draw(struct plan *p, struct town *t, struct random *r);
/* Makes the parcels that the plan speaks of. */
void plan_parcels(const struct plan *p, const struct town *t, struct ledger *l, struct random *r);

const char *action_name(enum action_kind kind);

#endif
