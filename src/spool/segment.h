/*
 * segment: one segment file, from its making through its filling.
 *
 * segment_prepare makes a file and writes it once in full, in steps of SEGMENT_STEP_BYTES with a
 * sync after each, so that the commits of another segment beside it stay fast; it is for the disk
 * pool. struct segment is the log's tail: records are added to a batch in memory, written at once
 * and synced at once. It belongs to the spool actor. A batch begins at a page of its own: a page
 * once synced is never written again. After a fault of writing or syncing the segment takes nothing
 * more; what was not synced is still in the batch (segment_unsynced), to be written into another
 * segment.
 */
#ifndef SPOOL_SEGMENT_H
#define SPOOL_SEGMENT_H

#include "os/disk.h"
#include "spool/layout.h"

#define SEGMENT_STEP_BYTES (1024u * 1024)
#define SEGMENT_NAME_MAX   16
#define BATCH_BYTES_MAX    (8u * 1024 * 1024) /* so that large mail does not make small mail wait */

struct segment;

void segment_name(uint32_t number, char name_out[SEGMENT_NAME_MAX]); /* "00000042.seg" */
/* "00000042.bad": a damaged segment in which nothing lives, kept for its owner. */
void segment_aside_name(uint32_t number, char name_out[SEGMENT_NAME_MAX]);

/* A new, free segment of `bytes` (a multiple of SPOOL_PAGE), durable with its name. On a fault the
 * file may be there in part: it has no header, and is no segment. */
must_use enum fault segment_prepare(struct disk *d, uint32_t number, struct id spool_id,
                                    uint32_t bytes);

/* Ends the life of a segment: its header says free, durably. */
must_use enum fault segment_free(struct disk *d, uint32_t number, struct id spool_id);

/*
 * Begins a life: the header says live with `epoch` (higher than any before), durably, before the
 * first batch. DAMAGED: no free segment of this spool.
 */
must_use enum fault segment_open(struct disk *d, uint32_t number, struct id spool_id,
                                 uint64_t epoch, struct segment **segment_out);
void segment_close(struct segment *s);

/*
 * Adds a record to the batch; its payload is the parts one after the other, payload_crc their
 * CRC-32C. *offset_out is where it will lie. LIMIT: no room in the segment, or the batch is at
 * BATCH_BYTES_MAX; nothing has changed. NO_MEMORY; the same. A segment that has failed: DISK_ERROR.
 */
must_use enum fault segment_add(struct segment *s, enum record_type type, struct id id,
                                uint32_t version, const struct span *parts, size_t count,
                                uint32_t payload_crc, uint64_t *offset_out);
/* Writes what was added since the last sync: it survives the process, not yet the power. */
must_use enum fault segment_write(struct segment *s);
/* Makes it durable, and begins the next batch. Writes first, if that was not done. */
must_use enum fault segment_sync(struct segment *s);

/* The records added and not synced, as they were encoded for this epoch: headers and payloads,
 * without the batch header. */
struct span segment_unsynced(const struct segment *s);
uint64_t segment_synced(const struct segment *s); /* offset below which all is durable */
uint64_t segment_room(const struct segment *s);   /* bytes behind all that was added */
uint64_t segment_epoch(const struct segment *s);

#endif
