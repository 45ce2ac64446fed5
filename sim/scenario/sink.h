/*
 * sink: a machine that takes mail: a small SMTP server of its own, healthy or troubled.
 *
 * In trouble it is dead, mute, or sulks: 4xx, 5xx or 421 at any phase, garbage, nothing, a
 * connection closed or reset at any byte, replies that come late. Its 250 after the content counts
 * as taken. It compares each content with what was handed to the engine, byte by byte, and reads
 * the notifications that come home. RFC 5321, 2920, 1870, 6152, 3464.
 */
#ifndef SIM_SCENARIO_SINK_H
#define SIM_SCENARIO_SINK_H

#include "sim/scenario/town.h"

struct sink;

enum sink_mode { SINK_WELL, SINK_DEAD, SINK_MUTE, SINK_SULKY, SINK_HARSH, SINK_MODES };

struct sink *sink_new(const struct town *t, uint32_t host, struct ledger *l, struct random *r);
void sink_free(struct sink *s);
/* SULKY never says 5xx to mail that it would take in peace, HARSH does. `troubles` per million
   replies. */
void sink_enter(struct sink *s, enum sink_mode mode, uint32_t troubles);
uint32_t sink_connections(const struct sink *s);

#endif
