/*
 * store: a directory of the simulated disk, as it outlives the lives of its machine; for store.c
 * and disk.c alone.
 *
 * A name leads to an inode, which holds the bytes. The directory exists twice: as lives see it,
 * and as it is on the disk; in between lie the changes that no disk_sync has followed yet. Room
 * that a removed file took comes back at once, but never so that a power cut could bring the file
 * back into room that is used again: before that happens, the names are made durable, as file
 * systems do.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "sim/image.h"
#include "sim/inside.h"

struct store {
    struct list node; /* in machine.stores */
    struct sim *sim;
    const char *path;
    uint64_t blocks;
    uint64_t held; /* blocks of all inodes */
    struct list inodes;
    struct list cached;   /* the directory as it is seen, of struct name */
    struct list durable;  /* as it is on the disk */
    struct list unsynced; /* changes between them, the oldest first */
    struct disk *owner;   /* holds the lock */
};

struct inode {
    struct list node; /* in store.inodes */
    struct store *store;
    struct image *image;
    uint32_t references; /* names, changes and open files */
    uint32_t opens;
    bool is_named; /* scratch of store_used */
};

struct name {
    struct list node;
    struct inode *inode;
    char text[];
};

struct store *store_find(struct machine *m, const char *path);
struct inode *inode_new(struct store *s); /* with one reference */
void inode_forget(struct inode *inode);
struct inode *store_look_up(const struct store *s, const char *text); /* or NULL */
/* Create: to. Unlink: from. Rename: both. `inode` is what `to` leads to. */
void store_change(struct store *s, const char *from, const char *to, struct inode *inode);
void store_sync(struct store *s);
/* Some of the changes reach the disk; the others stay unsynced. */
void store_sync_in_part(struct store *s);
void store_shuffle(struct store *s);  /* the order in which names are listed */
uint64_t store_used(struct store *s); /* blocks of what a life can still reach */
/* The kernel writes back a little of what it keeps in mind. */
void store_write_back(struct store *s);

#endif
