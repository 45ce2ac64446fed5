/*
 * forget: a disk as strict as POSIX allows, for power cuts on command.
 *
 * A tree of files and folders lives in memory over a backing folder. The backing folder holds what
 * is on stable storage and nothing else: bytes of a file get there by forget_sync() of that file,
 * names by forget_sync_folder() of the folder that holds them. In particular a sync of a new file
 * does not save its name, as it would on ext4 by kindness.
 *
 * forget_cut() is the power cut: what was not synced is gone or, when the disk tears, a random part
 * of it survives: single sectors of 512 bytes in any order, and of each folder's changes a first
 * part in the order in which they were made. Afterwards every operation answers -EIO, and the
 * backing folder is the disk that the next start finds.
 *
 * Owns the folder BACKING.orphans beside the backing one, in which every file has a second link,
 * so that bytes can be durable before their name is. Not modelled: modes, owners and times (they
 * go to the backing file at once), hard links, symbolic links, extended attributes.
 *
 * Any thread may call; one lock inside. Functions answer 0 or a negated errno, as FUSE wants it.
 * `path` begins with a slash. No path is read after a cut.
 */
#ifndef POWERCUT_FORGET_H
#define POWERCUT_FORGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct forget;
struct node; /* an open file */

struct forget_options {
    const char *backing;
    bool tear;              /* a cut lets a random part of what is unsynced survive */
    uint64_t seed;          /* of those draws */
    uint64_t cut_after;     /* cut at this write, change of a folder or sync; 0: only on command */
    unsigned sync_delay_ms; /* what a sync takes; others go on meanwhile */
};

struct forget_counts {
    uint64_t writes, syncs, folder_syncs, changes;
    uint64_t sectors_lost, sectors_survived, changes_lost, changes_survived;
    bool cut;
};

/* NULL after a sentence on stderr. */
struct forget *forget_new(const struct forget_options *options);
void forget_free(struct forget *disk);

void forget_cut(struct forget *disk);
struct forget_counts forget_counts(struct forget *disk);

/* Files: forget_open with O_CREAT makes one, with O_TRUNC empties it. */
int forget_open(struct forget *disk, const char *path, int flags, mode_t mode,
                struct node **node_out);
void forget_close(struct forget *disk, struct node *node);
ssize_t forget_read(struct forget *disk, struct node *node, void *bytes_out, size_t len, off_t at);
ssize_t forget_write(struct forget *disk, struct node *node, const void *bytes, size_t len,
                     off_t at);
int forget_sync(struct forget *disk, struct node *node);
/* node NULL: the file at path. */
int forget_truncate(struct forget *disk, const char *path, struct node *node, off_t size);
int forget_grow(struct forget *disk, struct node *node, off_t size); /* never shrinks */
int forget_status(struct forget *disk, const char *path, struct node *node,
                  struct stat *status_out);
int forget_chmod(struct forget *disk, const char *path, struct node *node, mode_t mode);
int forget_chown(struct forget *disk, const char *path, struct node *node, uid_t user, gid_t group);

/* Names. */
int forget_unlink(struct forget *disk, const char *path);
int forget_rename(struct forget *disk, const char *from, const char *to, bool exclusive);
int forget_make_folder(struct forget *disk, const char *path, mode_t mode);
int forget_remove_folder(struct forget *disk, const char *path);
int forget_sync_folder(struct forget *disk, const char *path);
int forget_list(struct forget *disk, const char *path,
                void (*on_name)(void *context, const char *name), void *context);
int forget_room(struct forget *disk, struct statvfs *room_out);

#endif
