/*
 * examine: what an administrator can see of a spool without a server: `postrider spool verify`,
 * `dump`, `export`.
 *
 * Changes nothing in the spool: no sync, no index file, no lock that outlives the call. verify and
 * dump may run beside a server, and say so: what is being written at that moment may look torn, and
 * messages end meanwhile. export refuses then (a message exported and delivered would be there
 * twice), and holds the lock while it runs. Everything printed from files is escaped. For the
 * command line alone: it blocks, and takes the memory of a segment and its index at a time.
 */
#ifndef SPOOL_EXAMINE_H
#define SPOOL_EXAMINE_H

#include <stdio.h>

#include "os/world.h"

enum examine_format { EXAMINE_TEXT, EXAMINE_JSON };

/*
 * Reads everything: every segment and record, every index against its segment, the newest state of
 * every living message against its envelope, every content file. Prints each damage with its file
 * and offset, then a summary; *clean_out: there was none. As JSON: one object a damage, a line
 * each, and the summary as the last line.
 * Faults, told on `out` too: what disk_new and recovery_open say, NO_MEMORY.
 */
must_use enum fault examine_verify(struct world *w, const char *path, enum examine_format format,
                                   FILE *out, bool *clean_out);

/* Each record in the order of segments, a line each. Faults as above. */
must_use enum fault examine_dump(struct world *w, const char *path, enum examine_format format,
                                 FILE *out);

/*
 * Each living message as "ID.eml" (what would be sent: generated header fields and content) and
 * "ID.envelope" (JSON) in the folder `to`, which is made when it is not there; files that are there
 * are never replaced (EXISTS). What cannot be exported is told on `out`, and the rest goes on; then
 * the result is DAMAGED. DISK_LOCKED: a server uses the spool. Others as above, and of writing.
 */
must_use enum fault examine_export(struct world *w, const char *path, const char *to, FILE *out);

#endif
