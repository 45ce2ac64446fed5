/*
 * content: the bytes of one simulated file: what reads see, and what a power cut would leave.
 *
 * Each write is kept until a sync as an extent of its own, so that a power cut can keep or lose
 * each of its sectors. Room is counted in blocks that have been written to: a hole takes none, and
 * to overwrite takes none. For store.c alone.
 */
#ifndef SIM_CONTENT_H
#define SIM_CONTENT_H

#include "base/span.h"
#include "sim/random.h"

#define CONTENT_SECTOR_BYTES 512 /* what a disk writes whole or not at all */
#define CONTENT_BLOCK_BYTES  4096

struct content;

struct content *content_new(void);
void content_free(struct content *c);
uint64_t content_size(const struct content *c);
uint64_t content_blocks(const struct content *c); /* those that take room */

size_t content_read(const struct content *c, uint64_t offset, void *bytes_out, size_t len);
/* How many of `len` bytes at `offset` can be written with so many more blocks. */
size_t content_fits(const struct content *c, uint64_t offset, size_t len, uint64_t blocks);
void content_write(struct content *c, uint64_t offset, struct span bytes);

void content_sync(struct content *c);
/* The sync that reports an error: each unsynced sector is made durable, or stays readable and is
   never written by any later sync; or nothing has happened. */
void content_sync_fail(struct content *c, struct random *r);
bool content_is_dirty(const struct content *c);
/* The kernel makes something durable by itself: all, or a few sectors, or the size. */
void content_write_back(struct content *c, struct random *r);
/* Each sector of each unsynced write is kept or lost, and so is the size; reads see it from now. */
void content_power_cut(struct content *c, struct random *r);

#endif
