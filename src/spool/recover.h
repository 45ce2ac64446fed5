/*
 * recover: what the files of a spool say, found after a start: a pure function of the files
 * (docs/SPOOL.md, "States of a message on disk").
 *
 * recovery_open lists the files and reads the segments' headers: enough to begin a new epoch and to
 * accept. The rest runs on the disk pool beside it, a segment at a time: recovery_scan of each live
 * segment, then recovery_resolve, then recovery_messages gives the messages that live, a batch at a
 * time, for the queue. What a killed process left written and not synced is made durable
 * before it is believed: names, headers of free segments (recovery_open), and the last batch of a
 * segment without an index (index_read, which then writes one). Nothing else on disk is changed;
 * content files that no message names are listed to be unlinked. One thread at a time. Limits:
 * about 100 bytes of memory for each message that left a trace, dead or alive, the newest states
 * (state_pool.h), and the index of one segment. Everything read is doubted: what is not as it
 * should be is counted as damage and left where it is.
 */
#ifndef SPOOL_RECOVER_H
#define SPOOL_RECOVER_H

#include "spool/index.h"
#include "spool/recovered.h"

#define RECOVERY_BATCH_MESSAGES 4096u

struct recovery;

struct recovered_segment {
    uint32_t number;
    uint64_t epoch;        /* 0: free */
    bool is_free;          /* can be used at once */
    bool is_broken;        /* no valid header: it was being prepared; or, with damage_count 1 from
                              recovery_open on, damaged: not to be used again nor unlinked */
    uint32_t damage_count; /* after recovery_scan; recovery_messages may add to it */
    uint32_t record_count; /* after recovery_scan: of all that can be read, members of groups too */
    /* After recovery_resolve: what lives in it, and the segments (indexes into this table) that
       have to be durably free before this one may be: they hold a copy of the base of a message
       whose DONE lies here (of several DONEs the one in the latest life), or an older copy of a
       base whose place (the copy in the latest life) is here. So a DONE written later, which waits
       for the place alone, outlives the older copies too. Only later lives wait for earlier ones,
       but for what no spool writes: two that wait for each other are never free, which is safe. */
    uint64_t live_bytes;
    uint32_t live_records;
    const uint32_t *waits_for;
    uint32_t waits_for_count;
};

struct place {
    uint32_t segment; /* its number */
    uint32_t offset;  /* of the record, or of the group that it is a member of */
    uint32_t bytes;   /* of the record, or its share of the group; 0: there is none */
};

struct recovered_place {
    struct id id;
    uint32_t version;                  /* of the state; 0: none */
    bool in_file;                      /* has a content file */
    struct place base, state, sending; /* sending: newer than the state */
};

/* Messages of which something was found: what `status` shows of a start. */
struct recovery_counts {
    uint64_t living;
    uint64_t sending;   /* of these: a final dot may have been sent */
    uint64_t ended;     /* base and DONE are there */
    uint64_t leftovers; /* no base: what else there is of an ended message */
    uint64_t copies;    /* bases beyond the first of a message */
};

/* Faults: DISK_ERROR, NO_MEMORY, SYNTAX (a later format), DAMAGED (segments of different spools).
 */
must_use enum fault recovery_open(struct disk *d, struct recovery **recovery_out);
/* For tools: the same, with nothing written or synced, here or later. */
must_use enum fault recovery_look(struct disk *d, struct recovery **recovery_out);
void recovery_free(struct recovery *r);
bool recovery_spool_id(const struct recovery *r, struct id *id_out); /* false: the spool is new */
/* New lives begin above it. The segment that has it is not freed before a later life has begun:
 * else a start after a crash between the two would give its epoch again, and its old bytes be new.
 */
uint64_t recovery_epoch_max(const struct recovery *r);
const struct recovered_segment *recovery_segments(const struct recovery *r, uint32_t *count_out);

/* Reads the i-th segment of the table, if it is live. DISK_ERROR (may be tried again), NO_MEMORY.
 */
must_use enum fault recovery_scan(struct recovery *r, uint32_t i);
/* All are scanned: decides what lives. NO_MEMORY (may be tried again). */
must_use enum fault recovery_resolve(struct recovery *r);
/* Where everything that lives lies: `size_t at = 0; while (recovery_place(r, &at, &place))`. */
bool recovery_place(const struct recovery *r, size_t *at, struct recovered_place *place_out);
/* The place of one message; false: it does not live. */
bool recovery_place_of(const struct recovery *r, struct id id, struct recovered_place *place_out);
uint64_t recovery_message_count(const struct recovery *r); /* that live */
struct recovery_counts recovery_counts(const struct recovery *r);

/* Messages given at once, with where they lie, and the memory of both. */
struct recovered_batch {
    struct recovered_message *messages;
    struct recovered_place *places; /* of these, and of those whose envelope is damaged */
    uint32_t message_count, place_count;
    struct arena arena;
};
must_use bool recovered_batch_init(struct recovered_batch *b); /* false: no memory */
void recovered_batch_fini(struct recovered_batch *b);          /* also of one that is all zero */

/* How far the messages of a segment have been given; all zero: none yet. */
struct recovery_position {
    bool has_begun;
    uint32_t next;
};

/*
 * The next of the messages that live and whose newest base lies in segment i; without any place in
 * the batch: there are no more. `at` and the batch are the caller's. Reads the segment's index
 * again, so that not all envelopes are in memory at once; the states are, since the scan. A message
 * whose base is no envelope is counted as damage and left out (its place is given, so it stays on
 * the disk); one whose state does not fit to its envelope is counted and given as if all its
 * recipients waited. DISK_ERROR, NO_MEMORY: may be tried again with the same `at`.
 */
must_use enum fault recovery_messages(struct recovery *r, uint32_t i, struct recovery_position *at,
                                      struct recovered_batch *b);
/*
 * From now on each message is given once, in rising order of segments, and what was known of it is
 * forgotten when the next batch is asked for: of recovery_place and recovery_place_of nothing may
 * be asked any more. So a start's peak of memory is not what it knew and the queue together.
 */
void recovery_give_once(struct recovery *r);
/* Content files that no living message names, to be unlinked: `size_t at = 0; while ((name = …(r,
 * &at)))`. None while anything is damaged: a record that cannot be read may name one. To be asked
 * after the messages of all segments. */
const char *recovery_orphan(const struct recovery *r, size_t *at);

#endif
