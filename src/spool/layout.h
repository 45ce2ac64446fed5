/*
 * layout: how a segment is filled: its header page, its batches, and the walk over them.
 *
 * Pure: works on bytes in memory. A segment is SEGMENT_BYTES long and written in pages of
 * SPOOL_PAGE. Page 0 is the segment header. Each batch (what one write and one sync made durable)
 * begins at a page, with a batch header, followed by its records without gaps. A page once synced
 * is never written again, so a torn write can only touch records that nobody was told about. The
 * walk tells a torn tail (bytes of which nobody knew that they were synced) from damage (bytes
 * below an offset known to be synced).
 */
#ifndef SPOOL_LAYOUT_H
#define SPOOL_LAYOUT_H

#include "spool/record.h"

#define SPOOL_PAGE           4096u
#define SEGMENT_BYTES        (64u * 1024 * 1024)
#define SPOOL_FORMAT         1
#define SEGMENT_HEADER_BYTES 64
#define BATCH_HEADER_BYTES   40

enum segment_use {
    SEGMENT_FREE = 1, /* holds nothing; its old bytes belong to no epoch */
    SEGMENT_LIVE = 2
};

struct segment_header {
    enum segment_use use;
    uint16_t format;
    uint32_t number;    /* the segment's name: its place among the files */
    uint64_t epoch;     /* of this life; rises with every life of any segment; 0 when free */
    struct id spool_id; /* segments of another spool are refused */
};

void segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_BYTES]);
/* DAMAGED: no header. SYNTAX: a header of a later format than this program knows. */
must_use enum fault segment_header_decode(struct span bytes, struct segment_header *header_out);

struct batch_header {
    uint32_t record_bytes; /* of all its records together */
    uint32_t record_count;
    uint64_t synced;   /* everything in this segment below this offset was synced when the batch was
                          written */
    uint64_t sequence; /* of the batch in its segment: 0, 1, 2 … */
};

void batch_header_encode(const struct batch_header *h, uint64_t epoch,
                         uint8_t out[BATCH_HEADER_BYTES]);
must_use enum fault batch_header_decode(struct span bytes, uint64_t epoch,
                                        struct batch_header *header_out);

uint64_t page_round_up(uint64_t bytes);

enum walk_end { WALK_GOING, WALK_END, WALK_TORN };

/* A stretch that was synced and cannot be read. */
struct damage {
    uint64_t from;
    uint64_t to;
};

struct walk {
    struct span image; /* the segment from its offset `base` */
    uint64_t base;
    uint64_t epoch;
    uint64_t synced_known; /* from elsewhere (an index file), or 0 */
    uint64_t at;           /* next byte to look at */
    uint64_t batch_end;    /* where the records of the present batch end */
    uint64_t sequence_next;
    uint64_t synced_seen; /* the highest that a batch met so far says was synced before it */
    uint32_t records_left;
    uint32_t damage_count;
    struct damage damage; /* the latest stretch found */
    enum walk_end end;
};

void walk_init(struct walk *w, struct span image, uint64_t epoch, uint64_t synced_known);

/*
 * Goes on in other bytes of the segment, which begin at w->at: the begin of a batch (checked). What
 * is synced and what follows is then judged by this piece alone, so only a walk that meets nothing
 * but whole batches may be believed.
 */
void walk_piece(struct walk *w, struct span piece);

enum walk_step { WALK_RECORD, WALK_DAMAGE, WALK_OVER };
/*
 * The next thing in the segment. WALK_RECORD: *record_out (pointing into the image) at *offset_out.
 * WALK_DAMAGE: w->damage was synced once and is unreadable; the walk goes on behind it. WALK_OVER:
 * w->end is WALK_END (nothing more was written) or WALK_TORN (something was begun that nobody was
 * told about).
 */
enum walk_step walk_next(struct walk *w, struct record *record_out, uint64_t *offset_out);

#endif
