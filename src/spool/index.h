/*
 * index: the file beside a sealed segment ("NNNNNNNN.idx") that says what lies in it, without the
 * content, so that a start need not read 64 MiB to learn it.
 *
 * Bound to the segment's epoch, and checksummed block by block; an index that is missing, of
 * another life, torn or damaged is refused whole and made again from the segment. An entry of an
 * ACCEPTED record holds its envelope without the content; one of OUTCOME and CONTROL its whole
 * state. It also says up to where the segment is known to be synced, so that damage there is told
 * from a torn tail. Building and decoding are pure; the functions that take a disk block, and are
 * for the disk pool or for tools. docs/SPOOL.md draws the layout. Limits: a segment of
 * SEGMENT_BYTES, an index of INDEX_BYTES_MAX. Entries are read in place, from one piece of memory.
 */
#ifndef SPOOL_INDEX_H
#define SPOOL_INDEX_H

#include "os/disk.h"
#include "spool/layout.h"

#define INDEX_NAME_MAX     16
#define INDEX_HEADER_BYTES 64
#define INDEX_BLOCK_BYTES  (64u * 1024)
/* A segment full of the smallest members needs less than twice its size. */
#define INDEX_BYTES_MAX (2u * SEGMENT_BYTES + 1024 * 1024)

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

void index_name(uint32_t number, char name_out[INDEX_NAME_MAX]); /* "00000042.idx" */

/* From a segment's bytes (at most SEGMENT_BYTES), by walking it. Damage met on the way is counted
   and kept in the index; an ACCEPTED payload that is no envelope is an entry with an empty payload,
   a group that is not whole is damage. NO_MEMORY. */
must_use enum fault index_build(struct span image, uint64_t epoch, uint64_t synced_known,
                                uint32_t number, struct index **index_out);
/* Pieces of a segment: one that begins at `from`, of at least `least` bytes if there are as many.
   It stands until the next is asked for. */
struct index_source {
    enum fault (*read)(void *context, uint64_t from, size_t least, struct span *piece_out);
    void *context;
};
/* The same index from pieces, for a segment of which all up to `synced` is as it should be, so that
   no whole image is in memory. DAMAGED: it is not, and index_build has to say how. NO_MEMORY, and
   what the source says. */
must_use enum fault index_build_pieces(const struct index_source *source, uint64_t epoch,
                                       uint64_t synced, uint32_t number, struct index **index_out);
/* The bytes of an index file. Takes `memory` (malloc'ed; also on a fault). DAMAGED: not a whole
   index of this segment in this life; SYNTAX: of a later format. */
must_use enum fault index_decode(uint8_t *memory, size_t len, uint32_t number, uint64_t epoch,
                                 struct index **index_out);
struct span index_bytes(const struct index *x); /* as they stand in the file */

/*
 * For a start, of a segment that this process does not write: reads its index file, or where there
 * is no good one walks the segment itself, makes durable what was found, and then writes the file.
 * What a killed process had written and not synced is readable, and what is recovered from it (that
 * another copy may be freed) must not be lost to the power afterwards. So the batch that no later
 * one confirms is written again, byte for byte, and synced: after a failed sync a second one alone
 * may succeed and do nothing, since the kernel takes the pages for clean.
 * DISK_ERROR, NOT_FOUND (no such segment), NO_MEMORY.
 */
must_use enum fault index_read(struct disk *d, uint32_t number, uint64_t epoch,
                               struct index **index_out);
/* For tools: the same, with nothing written or synced. The segment may be another process's tail:
   then what was found is true for that moment. */
must_use enum fault index_look(struct disk *d, uint32_t number, uint64_t epoch,
                               struct index **index_out);
/* For tools: the index file alone. NOT_FOUND, DAMAGED, SYNTAX, DISK_ERROR, NO_MEMORY. */
must_use enum fault index_load(struct disk *d, uint32_t number, uint64_t epoch,
                               struct index **index_out);
/* For sealing: reads the segment up to `synced` (what lies beyond was never durable), writes its
   index durably. A failed index is no loss: the start makes it again. */
must_use enum fault index_write(struct disk *d, uint32_t number, uint64_t epoch, uint64_t synced);
/* Durable after the next disk_sync; NONE when there is no such file. */
must_use enum fault index_unlink(struct disk *d, uint32_t number);
void index_free(struct index *x);

/* A segment's bytes (at most SEGMENT_BYTES of them), malloc'ed, for the caller to free. */
must_use enum fault segment_image(struct disk *d, uint32_t number, uint8_t **memory_out,
                                  size_t *len_out);

/* Walks: `size_t at = 0; while (index_next(x, &at, &entry))`, in the order of the records. */
bool index_next(const struct index *x, size_t *at, struct index_entry *entry_out);
/* What index_next gave when its `at` was this, perhaps in an index that was read again since: false
   when no entry can be there; whether it is the one that was meant, the caller sees. */
bool index_at(const struct index *x, size_t at, struct index_entry *entry_out);
uint32_t index_entry_count(const struct index *x);
/* Below it all was durable when the file was written. */
uint64_t index_synced(const struct index *x);
/* Of one that was just built: below it a later batch, or whoever built it, says all was synced. */
uint64_t index_confirmed(const struct index *x);
uint32_t index_damage_count(const struct index *x);
struct damage index_damage(const struct index *x, uint32_t i);

#endif
