/*
 * content: content over the inline limit, in a file of its own ("ID.msg").
 *
 * Framed blocks of CONTENT_BLOCK_BYTES, each with a CRC bound to the message id and the block's
 * number, so that a reader verifies a block before its first byte leaves. Written by jobs of the
 * disk pool: create, blocks, then finish, which syncs file and directory; only then may the
 * ACCEPTED record be appended. One job of a content at a time; it belongs to whoever sends them.
 * After a failed write only DROP (or content_fini) is left; WRITE and FINISH fault.
 * Memory: one block while it is open.
 */
#ifndef SPOOL_CONTENT_H
#define SPOOL_CONTENT_H

#include "base/id.h"
#include "os/packet.h"
#include "spool/disk_pool.h"

#define CONTENT_BLOCK_BYTES  (64u * 1024)
#define CONTENT_NAME_MAX     32
#define CONTENT_HEADER_BYTES 16 /* of a block */

void content_name(struct id id, char name_out[CONTENT_NAME_MAX]); /* "ID.msg" */
uint64_t content_file_bytes(uint64_t content_bytes);              /* how long its file is */

enum content_step {
    CONTENT_WRITE,  /* appends `bytes`, any length; the first one creates the file */
    CONTENT_FINISH, /* writes what is left of a block, syncs file and directory, closes */
    CONTENT_DROP,   /* closes and unlinks: there is no message */
    CONTENT_READ,   /* opens at the first; the next block in order into `bytes`; empty at the end */
    CONTENT_CLOSE,  /* after reading */
    CONTENT_ENCLOSE /* opens it for another process, as it lies on the disk: `enclosed` */
};

/*
 * One content being written or read, and its letter. Zeroed and content_init'ed before the first
 * step; after FINISH, DROP, CLOSE (or a failed step and then DROP or CLOSE) nothing is held.
 */
struct content {
    struct job job;
    struct disk_pool *pool;
    struct disk *disk;
    struct id id;
    enum content_step step;
    struct span
        bytes; /* WRITE: in, the sender's until the answer; READ: out, valid until the next step */
    enum fault fault;           /* out: DISK_FULL, DISK_ERROR, DAMAGED, NO_MEMORY, NOT_FOUND */
    struct enclosure *enclosed; /* ENCLOSE: out, the asker's to take; content_fini closes it */
    struct file *file;
    uint8_t *block;     /* what is gathered, or header and bytes that were read */
    uint32_t block_len; /* of what is gathered */
    bool is_created;    /* the file is ours to unlink */
    bool is_over;       /* READ: the last block was given; else: a write has failed */
    uint64_t block_number;
    uint64_t total_bytes; /* written or read so far */
};

/*
 * Tools and tests that have no actors: begins zeroed `c` for a disk, and does a step at once, on
 * the caller's thread; it blocks. `fault` and `bytes` tell the result. The job does the same.
 */
void content_begin(struct content *c, struct disk *d, struct id id);
void content_do(struct content *c, enum content_step step);

struct spool;
void content_init(struct content *c, struct spool *s, struct id id);
/* Sends the job; c->job.letter comes back to `from` as LETTER_JOB. */
void content_send(struct actor *from, struct content *c, enum content_step step);
/* Closes and frees what is still held, without a job and without unlinking: for the end of an actor
 * that waits for no more answers, and at any time after reading only, since closing what was only
 * read waits for no disk. No job is out, or the world is dead. */
void content_fini(struct content *c);

#endif
