/*
 * recover_inside: what recover.c and recover_messages.c share; nobody else includes it.
 */
#ifndef SPOOL_RECOVER_INSIDE_H
#define SPOOL_RECOVER_INSIDE_H

#include "spool/content.h"
#include "spool/recover.h"
#include "spool/recover_table.h"

#define NOBODY UINT32_MAX

/* What the recovery keeps about a segment beside what it tells. */
struct scanned {
    struct index *index; /* in the cache, or NULL */
    uint64_t used_at;    /* the latest use, by recovery.uses */
    uint32_t base_count; /* living messages whose base lies here */
    uint32_t first;      /* of recovery_messages: the first whose state lies here, or NOBODY */
    bool done;
};

struct content_file {
    struct id id;
    char name[CONTENT_NAME_MAX];
};

/* A base beyond the first of its message. */
struct copy {
    struct found *found;
    uint32_t segment;
};

/* Of recovery_messages: what a message was made from, and the next one whose state lies in the same
 * segment. */
struct gathered {
    struct found *found;
    uint32_t next;
};

struct recovery {
    struct disk *disk;
    bool look_only;
    bool has_spool_id;
    struct id spool_id;
    uint64_t epoch_max;

    struct buffer listed_segments, listed_files; /* arrays of the two that follow */
    struct recovered_segment *segments;
    const struct content_file *content_files;
    uint32_t segment_count, content_file_count;
    struct scanned *scanned; /* one for each segment */

    struct recover_table table;
    struct buffer copies; /* an array of struct copy */
    struct pair_set waits;
    uint32_t *waits_for; /* what the segments' waits_for point into */
    struct recovery_counts counts;

    uint64_t cache_bytes, uses;
    struct arena arena; /* of the messages given last */
    struct recovered_message *messages;
    struct gathered *gathered;
};

/* The index of segment i, in memory until the next call; that of `keep` stays too. DISK_ERROR,
 * NO_MEMORY. */
must_use enum fault recovery_index(struct recovery *r, uint32_t i, uint32_t keep,
                                   struct index **index_out);
bool recovery_lives(const struct found *f);
/* A final dot may have been sent after the state that is known. */
bool recovery_is_sending(const struct recovery *r, const struct found *f);

#endif
