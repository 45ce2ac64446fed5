/*
 * image: the bytes of one simulated file: what reads see, and what a power cut would leave.
 *
 * Each write is kept until a sync as an extent of its own, so that a power cut can keep or lose
 * each of its sectors. Room is counted in blocks that have been written to: a hole takes none, and
 * to overwrite takes none. For store.c alone.
 */
#ifndef SIM_IMAGE_H
#define SIM_IMAGE_H

#include "base/span.h"
#include "sim/random.h"

#define IMAGE_SECTOR_BYTES 512 /* what a disk writes whole or not at all */
#define IMAGE_BLOCK_BYTES  4096

struct image;

struct image *image_new(void);
void image_free(struct image *c);
uint64_t image_size(const struct image *c);
uint64_t image_blocks(const struct image *c); /* those that take room */

size_t image_read(const struct image *c, uint64_t offset, void *bytes_out, size_t len);
/* How many of `len` bytes at `offset` can be written with so many more blocks. */
size_t image_fits(const struct image *c, uint64_t offset, size_t len, uint64_t blocks);
void image_write(struct image *c, uint64_t offset, struct span bytes);

void image_sync(struct image *c);
/* The sync that reports an error: each unsynced sector is made durable, or stays readable and is
   never written by any later sync; or nothing has happened. */
void image_sync_fail(struct image *c, struct random *r);
bool image_is_dirty(const struct image *c);
/* The kernel makes something durable by itself: all, or a few sectors, or the size. */
void image_write_back(struct image *c, struct random *r);
/* Each sector of each unsynced write is kept or lost, and so is the size; reads see it from now. */
void image_power_cut(struct image *c, struct random *r);

#endif
