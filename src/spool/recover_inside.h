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
    uint32_t first; /* living message whose base lies here, the others by found.next; or NOBODY */
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

struct recovery {
    struct disk *disk;
    bool look_only;
    bool has_aside; /* a damaged segment was put aside by an earlier life */
    bool has_spool_id;
    struct id spool_id;
    uint64_t epoch_max;

    struct buffer listed_segments, listed_files; /* arrays of the two that follow */
    struct recovered_segment *segments;
    struct content_file *content_files;
    uint32_t segment_count, content_file_count;
    struct scanned *scanned; /* one for each segment */

    struct recover_table table;
    struct state_pool states;
    struct buffer copies; /* an array of struct copy */
    struct pair_set waits;
    uint32_t *waits_for; /* what the segments' waits_for point into */
    struct recovery_counts counts;

    struct index *index; /* the one read last, of index_segment; or NULL */
    uint32_t index_segment;
    bool gives_once; /* recovery_give_once */
    uint32_t given;  /* then: segments before it have been given */
};

/* The index of segment i, in memory until another is asked for. DISK_ERROR, NO_MEMORY. */
must_use enum fault recovery_index(struct recovery *r, uint32_t i, struct index **index_out);
struct recovered_place recovery_tell_place(const struct recovery *r, const struct found *f);
void recovery_drop(struct recovery *r,
                   uint32_t i); /* entry i of the table is not needed any more */
bool recovery_lives(const struct found *f);
/* A final dot may have been sent after the state that is known. */
bool recovery_is_sending(const struct recovery *r, const struct found *f);

#endif
