/*
 * desk: a machine from which an operator asks the engine through its control socket.
 *
 * One question at a time; its answer is complete when the last line says so (ipc/control.h).
 */
#ifndef SIM_SCENARIO_DESK_H
#define SIM_SCENARIO_DESK_H

#include "sim/scenario/ledger.h"

struct desk;

struct desk *desk_new(struct machine *m, struct endpoint control);
void desk_free(struct desk *d);
/* "queue\tlist". Whatever was asked before is forgotten. */
void desk_ask(struct desk *d, const char *question);
bool desk_is_answered(const struct desk *d);
bool desk_is_busy(const struct desk *d); /* false and not answered: the connection broke */
struct span desk_answer(const struct desk *d);
/* The number that follows "name": in a row; false: it is not there. */
bool desk_number(struct span row, const char *name, uint64_t *value_out);
/* The text that follows "name":" up to the next quote. */
bool desk_text(struct span row, const char *name, struct span *text_out);

#endif
