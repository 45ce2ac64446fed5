/*
 * mailbox: a Maildir's folder opened step by step from its base, so that no game of its user's with
 * symbolic links or renames leads anywhere else.
 *
 * The base is the administrator's: it is opened as its path says. Below it each component is opened
 * by itself, never through a symbolic link, and must be a folder of ours or root's that not
 * everybody may write to; the mailbox itself must be ours. What is missing is made, mode 0700, and
 * made durable before anything is put into it: `cur` is made last, so that where it is, everything
 * above it has been synced. From then on only descriptors are used. Owns the descriptors. Runs as
 * the mailbox's user, never as root for somebody else. Blocks.
 */
#ifndef AGENT_MAILBOX_H
#define AGENT_MAILBOX_H

#include "base/fault.h"
#include "base/span.h"

#define MAILBOX_PATH_MAX  2000
#define MAILBOX_DEPTH_MAX 16 /* components below the base */

struct mailbox {
    int folder, tmp, new, cur; /* -1: not open */
};

/* base_bytes: how many of the path's first bytes are the base, all of them slash-ended components.
   MAILBOX_UNSAFE, MAILBOX_DENIED, MAILBOX_FULL, DISK_FULL, DISK_ERROR, NO_DESCRIPTORS, UNKNOWN. */
must_use enum fault mailbox_open(struct mailbox *m, struct span path, size_t base_bytes);
void mailbox_close(struct mailbox *m);

/* Is there a file in the folder whose name begins so? */
must_use enum fault mailbox_find(int folder, struct span prefix, bool *found_out);
/* What lies in new and cur, and in those of the mailbox's own folders (Maildir++), in bytes. */
must_use enum fault mailbox_bytes(const struct mailbox *m, uint64_t *bytes_out);

#endif
