/*
 * seven: a message that came to a server without 8BITMIME, as it was before it was made 7-bit (RFC
 * 2045 6.7, 6.8). Shares no code with the engine. For messages of one part, as parcels are.
 */
#ifndef SIM_SCENARIO_SEVEN_H
#define SIM_SCENARIO_SEVEN_H

#include "base/buffer.h"

/* False: it has 8-bit bytes, or what was added to its header, or its encoding, is not as it should
   be. */
bool seven_restore(struct span content, struct buffer *out);

#endif
