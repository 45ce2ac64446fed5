/*
 * identity: as whom a process acts, and how it becomes that user for ever.
 *
 * Never root: whoever would be is refused. Blocks no longer than the system's calls do.
 */
#ifndef AGENT_IDENTITY_H
#define AGENT_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

struct identity {
    uint32_t uid, gid;
};

struct identity identity_own(void); /* of this process */
bool identity_equal(struct identity a, struct identity b);
/* Is this process root, who alone can become somebody else? */
bool identity_is_root(void);

/* Irrevocably, with no other groups; held against what the kernel then says. DENIED: it is root's,
   or this process is neither root nor that user already. UNKNOWN: the kernel has not done it; the
   process must end. */
must_use enum fault identity_become(struct identity i);

#endif
