/*
 * spool: the actor that makes mail durable: group commit, where each message lies, segments' lives.
 *
 * Owns the log's tail, the table of places (message id -> its base, its newest state) and the life
 * of every segment; nobody else writes segments. All appends that came during the last sync go out
 * in one write and one fdatasync; no timer. A turn: take letters; write what was added; answer the
 * SENDINGs, which wait for no sync; sync; answer the rest. Everything that takes longer (preparing,
 * freeing and compacting segments, content files, reading back, recovery) is done by the disk pool,
 * at most one such piece of work of a kind at a time, paced. docs/SPOOL.md holds the format and the
 * crash argument; DESIGN promises 1, 2, 3, 6 rest on it.
 *
 *   OPENING (spool_new) -> RECOVERING (accepts; old segments are being read) -> READY
 *   any -> FAILED (a sync failed, and so did writing the same batch elsewhere, or no tail can be
 *   had: nothing is accepted and nothing delivered; it is tried again every SPOOL_RETRY_MS) -> as
 *   it was before
 *
 * STOP: answered once all that was asked before is answered and no file work is out.
 */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "letter/actor.h"
#include "spool/disk_pool.h"
#include "spool/mail_object.h"
#include "spool/record.h"

#define SPOOL_RETRY_MS     1000
#define APPEND_MEMBERS_MAX 64 /* of a GROUP */

struct disk;
struct spool;

struct spool_settings {
    const char *path;
    uint32_t segment_bytes;     /* SEGMENT_BYTES; the simulator takes less */
    uint32_t inline_bytes_max;  /* content beyond it lies in a file; at most ENVELOPE_INLINE_MAX */
    uint64_t disk_bytes_max;    /* segments and content files together; 0: what the disk has */
    uint32_t segments_reserved; /* for OUTCOME, DONE and compaction when all else is full */
};

/*
 * Opens and locks the directory, reads the segments' headers and opens a tail, so that mail can be
 * accepted as soon as it is started; blocks for that. Faults: NOT_FOUND, DENIED, UNREACHABLE (a
 * network file system), DISK_LOCKED, DISK_ERROR, DISK_FULL, SYNTAX (of a later format), DAMAGED
 * (segments of different spools), NO_MEMORY.
 * `queue` gets the RECOVERED letters (may be set later by spool_set_queue, before the start).
 */
must_use enum fault spool_new(struct world *w, const struct spool_settings *settings,
                              struct disk_pool *pool, uint32_t max_letters, struct log *log,
                              struct spool **spool_out);
void spool_set_queue(struct spool *s, struct actor *queue);
struct actor *spool_actor(struct spool *s);
void spool_free(struct spool *s); /* after its actor was joined */
const struct spool_settings *spool_settings(const struct spool *s);
/* Where content files lie, and the threads that write and read them (content.h). */
struct disk *spool_disk(struct spool *s);
struct disk_pool *spool_pool(struct spool *s);

/*
 * APPEND: one record. The parts' bytes stay the sender's and unchanged until the answer. A second
 * part of an ACCEPTED may be its inline content; a GROUP is in one part, of at most
 * APPEND_MEMBERS_MAX members.
 *
 * ACCEPTED makes the message known. OUTCOME and CONTROL replace its state: `version` rises by one
 * from the last. SENDING is answered once it is with the kernel; all others once they are synced.
 * DONE ends it: base and state are free, its content file is unlinked once DONE is durable. A GROUP
 * does what its members say, all or nothing.
 * Answers: NONE: it is kept. DISK_FULL, NO_MEMORY (both only for a lone ACCEPTED: the rest has its
 * reserve), LIMIT (no segment has room for it), NOT_FOUND (no such message): nothing was written.
 * DISK_ERROR: in doubt. It does not count in this life, but may be found after a crash. So the
 * content file of such an ACCEPTED stays; such a state is written again under a higher version;
 * after such a DONE only DONE may follow (alone or in its group); such a group is written again
 * whole, with the same new messages. What a start does not find is never found later.
 */
struct append {
    struct letter letter;
    enum record_type type;
    uint32_t version;
    struct id id;
    struct span parts[2];
    uint32_t part_count;
    uint32_t payload_crc; /* CRC-32C of the parts one after the other */
    enum fault fault;     /* out */
    struct list node;     /* the spool's, while it is lent */
};

/*
 * FETCH: a stored message read back; verified against id, epoch and CRC. On NONE `mail` is a
 * reference of the asker's; it is read although the message ends meanwhile. NOT_FOUND: no such
 * message (it is done). DAMAGED, DISK_ERROR, NO_MEMORY.
 */
struct fetch {
    struct letter letter;
    struct id id;
    struct mail_object *mail; /* out */
    enum fault fault;         /* out */
    struct list node;         /* the spool's, while it is lent */
    void *work;               /* the spool's */
};

/* Figures for status and tests; written by the spool, read by anybody. */
struct spool_counters {
    uint64_t records, batches, syncs, bytes_written, copies;
    uint64_t segments, segments_free, segments_compacted, messages, live_bytes, damaged;
    uint64_t content_bytes; /* of content files */
    bool failed, recovered;
};
void spool_counters(const struct spool *s, struct spool_counters *counters_out);
/* Any thread: is there room for new mail now? A hint for MAIL; APPEND decides. */
enum fault spool_takes_mail(const struct spool *s);

#endif
