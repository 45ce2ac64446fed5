/*
 * house: the machine of the engine, and one life of it after the other, as a supervisor would have
 * it: who died, or could not begin, is begun again a little later.
 *
 * Reads the engine's log for what the engine foretells and reports: repeats, damage.
 */
#ifndef SIM_SCENARIO_HOUSE_H
#define SIM_SCENARIO_HOUSE_H

#include "config/settings.h"
#include "engine/engine.h"
#include "sim/scenario/ledger.h"

#define HOUSE_SPOOL "/spool"

#define HOUSE_RELOADS_MAX 8

struct house_plan {
    struct settings *settings;                   /* the house's from now on */
    struct settings *reloads[HOUSE_RELOADS_MAX]; /* these, too: what house_reload brings in force */
    uint32_t reload_count;
    uint64_t disk_bytes;
    uint32_t max_letters, inline_bytes_max, appends_max;
};

struct house {
    struct ledger *ledger;
    struct sim *sim;
    struct random random;
    struct machine *machine;
    struct endpoint smtp, control; /* where it listens */
    int descriptor;
    struct engine_options options;
    struct settings *settings;
    struct settings *reloads[HOUSE_RELOADS_MAX];
    uint32_t reload_count;
    uint64_t disk_bytes;
    struct world *life;
    struct engine *engine;
    int64_t begin_us; /* while there is no life */
    int64_t stop_us;  /* asked to stop then; 0: not */
    bool stays_down;
    uint32_t faults;         /* starts that failed, in a row */
    uint64_t kill_operation; /* of the next life; 0: none */
    enum sim_death kill_how;
    struct buffer log; /* the line that has come in part */
};

void house_init(struct house *h, struct ledger *l, const struct house_plan *plan, struct random *r);
void house_fini(struct house *h); /* has no life */

/* Whatever is due: a beginning, the end of who died or stopped. After each stretch of time. */
void house_tend(struct house *h);
int64_t house_next_us(
    const struct house *h); /* when house_tend has something to do, at the latest */
bool house_is_up(const struct house *h);
void house_kill(struct house *h, enum sim_death how);
/* In the middle of the n-th disk operation from now on; with no life, of the next one. */
void house_kill_at(struct house *h, uint64_t operation, enum sim_death how);
/* The configuration is another one from now on, in this life and the next. */
void house_reload(struct house *h, uint32_t which);
void house_stop(struct house *h, bool stays_down);
void house_rise(struct house *h); /* begins again after a stop that it stays down for */

#endif
