/*
 * disk: one flat directory of files, with the operations whose durability the spool argues about.
 *
 * All calls block; only the spool actor and the disk pool make them. A struct file may be used by
 * one thread at a time, but for file_read, which any number of threads may make at once. Durability
 * is that of POSIX and no more: written bytes are on stable storage after file_sync, names after
 * disk_sync. A failed call leaves the file's unsynced bytes in an unknown state.
 */
#ifndef OS_DISK_H
#define OS_DISK_H

#include "base/span.h"
#include "os/world.h"

struct disk;
struct file;

enum disk_open {
    DISK_READ,  /* existing, to read */
    DISK_WRITE, /* existing, to read and write */
    DISK_CREATE /* must not exist yet; to read and write */
};

/* Opens the directory, makes sub-folders never. Faults: NOT_FOUND, DENIED, DISK_ERROR, UNREACHABLE
 * (a network file system: refused). */
must_use enum fault disk_new(struct world *w, const char *path, struct disk **disk_out);
void disk_free(struct disk *d);
/* Exclusive, until disk_free or the process dies; DISK_LOCKED when somebody else has it. */
must_use enum fault disk_lock(struct disk *d);
/* The directory: names created, renamed, unlinked before are durable. */
must_use enum fault disk_sync(struct disk *d);
must_use enum fault disk_unlink(struct disk *d, const char *name);
/* Replaces `to` atomically. */
must_use enum fault disk_rename(struct disk *d, const char *from, const char *to);
/* Calls on_name for each file, in no order. on_name must not change the directory. */
must_use enum fault disk_list(struct disk *d, void (*on_name)(void *context, const char *name),
                              void *context);
must_use enum fault disk_room(struct disk *d, uint64_t *bytes_free_out);

must_use enum fault file_open(struct disk *d, const char *name, enum disk_open how,
                              struct file **file_out);
void file_close(struct file *f);
/* What kind of file somebody else has put there. */
struct file_look {
    bool is_regular;
    uint32_t links, owner, mode; /* mode: the permission bits */
    uint64_t bytes;
};
must_use enum fault file_look(struct file *f, struct file_look *look_out);
must_use enum fault file_size(struct file *f, uint64_t *bytes_out);
/* Reads up to `len` bytes at `offset`; less only at the end of the file. */
must_use enum fault file_read(struct file *f, uint64_t offset, void *bytes_out, size_t len,
                              size_t *got_out);
/* Writes all parts one after the other at `offset`, or faults (DISK_FULL, DISK_ERROR) with any part
 * of it written. */
must_use enum fault file_write(struct file *f, uint64_t offset, const struct span *parts,
                               size_t count);
/* fdatasync. After a fault nothing written since the last good sync may be trusted, even if a later
 * one succeeds. */
must_use enum fault file_sync(struct file *f);

#endif
