/*
 * importer: the actor that takes messages from the drop folder, one after the other.
 *
 * A file's id is the message's id, and its order of steps makes that enough for "exactly once":
 *
 *   ID -> ID.import, durable  -> ACCEPTED record, durable -> unlinked, durable -> the queue knows
 * it
 *
 * So no delivery begins while the file is there. A start finds files ID.import whose message may be
 * in the spool: RECOVERED letters go through the importer, which unlinks the file of each such
 * message, durably, before the queue hears of it. What is left of them when the recovery is over
 * is not in the spool, and is imported; so is every other file.
 *
 * It looks at the folder when it starts and every IMPORTER_LOOK_MS. A file that is not as it should
 * be is set aside (ID.bad) and logged. What cannot be stored now is tried again. Owns the folder
 * and the message at hand. RENEW: other settings. STOP, the first: nothing new is begun; the
 * second: it ends.
 */
#ifndef RECEIVE_IMPORTER_H
#define RECEIVE_IMPORTER_H

#include "config/settings.h"
#include "letter/actor.h"
#include "spool/spool.h"

#define IMPORTER_LOOK_MS  1000
#define IMPORTER_PAUSE_MS 1000 /* before something is tried again */

struct importer;

struct importer_renewal {
    struct letter letter;
    const struct settings *settings; /* the asker's until the answer */
};

/* Lists the folder (blocks). NOT_FOUND: there is no such folder; DENIED, and all of disk.h. */
must_use enum fault importer_new(struct world *w, const struct settings *settings,
                                 struct spool *spool, struct actor *queue, uint32_t max_letters,
                                 struct log *log, struct importer **importer_out);
struct actor *importer_actor(struct importer *i); /* gets the spool's RECOVERED letters */
void importer_free(struct importer *i); /* after its actor was joined, and the spool freed */

#endif
