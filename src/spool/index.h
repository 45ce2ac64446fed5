/*
 * index: the file beside a sealed segment ("NNNNNNNN.idx") that says what lies in it, without the
 * content, so that a start need not read 64 MiB to learn it.
 *
 * Bound to the segment's epoch, and checksummed block by block; an index that is missing, of
 * another life or damaged is made again from the segment. An entry of an ACCEPTED record holds its
 * envelope without the content; one of OUTCOME and CONTROL its whole state. It also says up to
 * where the segment is known to be synced, so that damage there is told from a torn tail. Encoding
 * and decoding are pure; index_write and index_read use the disk and are for the disk pool or for
 * tools.
 */
#ifndef SPOOL_INDEX_H
#define SPOOL_INDEX_H

#include "os/disk.h"
#include "spool/layout.h"

/* What one record, or one member of a group, is. */
struct index_entry {
    enum record_type type;
    uint32_t version;
    struct id id;
    uint32_t offset; /* of the record; of the group for a member */
    uint32_t bytes;  /* of the record with its header; of a member its share of the group */
    bool in_group;
    struct span payload; /* ACCEPTED: without content; OUTCOME, CONTROL: whole; else empty */
};

struct index; /* a whole one, in memory */

/* From a segment's bytes, by walking it. Damage met on the way is counted and kept in the index.
   NO_MEMORY. */
must_use enum fault index_build(struct span image, uint64_t epoch, uint64_t synced_known,
                                uint32_t number, struct index **index_out);
/* Reads the index file of a segment, or where there is no good one the segment itself (and then
   writes the file, unless `is_tail`: a segment that this process has not sealed). */
must_use enum fault index_read(struct disk *d, uint32_t number, uint64_t epoch,
                               struct index **index_out);
/* For sealing: reads the segment, writes its index durably. A failed index is no loss: the start
   makes it again. */
must_use enum fault index_write(struct disk *d, uint32_t number, uint64_t epoch, uint64_t synced);
must_use enum fault index_unlink(struct disk *d, uint32_t number);
void index_free(struct index *x);

/* Walks: `size_t at = 0; while (index_next(x, &at, &entry))`, in the order of the records. */
bool index_next(const struct index *x, size_t *at, struct index_entry *entry_out);
uint32_t index_damage_count(const struct index *x);
struct damage index_damage(const struct index *x, uint32_t i);

#endif
