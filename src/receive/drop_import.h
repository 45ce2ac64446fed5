/*
 * drop_import: one file of the drop folder becomes a mail object: jobs of the disk pool, for the
 * importer alone.
 *
 * The file is another user's and nothing about it is believed: it must be a regular file with one
 * name, that only its owner (and the server's group) may have touched, of a size within the limit,
 * whole, and the same when it is read a second time. Its first step renames it, durably, so that a
 * later start knows which files may be in the spool already. Content over the inline limit goes to
 * its content file. Owns what it makes until the mail object is taken. It blocks.
 */
#ifndef RECEIVE_DROP_IMPORT_H
#define RECEIVE_DROP_IMPORT_H

#include "config/settings.h"
#include "spool/content.h"
#include "spool/mail_object.h"

#define DROP_NAME_MAX 40

enum drop_import_step {
    DROP_IMPORT_LIST,   /* names in the folder: the first DROP_LIST_MAX ids */
    DROP_IMPORT_TAKE,   /* makes `mail` */
    DROP_IMPORT_FORGET, /* unlinks the file, durably */
    DROP_IMPORT_ASIDE   /* gives it a name under which it stays: what it is is in `why` */
};

#define DROP_LIST_MAX 1000

struct drop_name {
    struct id id;
    bool is_taken; /* it has the name that TAKE gives */
};

struct drop_import {
    struct job job;
    enum drop_import_step step;
    struct disk *folder, *spool;
    const struct settings *settings; /* the asker's */
    uint32_t inline_bytes_max;
    struct id id;
    bool is_taken;
    bool only_taken; /* of LIST */
    int64_t wall_ms;
    /* Out. */
    struct drop_name names[DROP_LIST_MAX];
    uint32_t name_count;
    struct mail_object *mail;
    uint32_t owner;
    const char *why;  /* of DAMAGED: what is wrong with the file, a constant */
    enum fault fault; /* NONE, DAMAGED: set it aside; else: try again later */
};

void drop_import_run(struct drop_import *d); /* the step, on the caller's thread */
void drop_import_send(struct actor *from, struct disk_pool *pool, struct drop_import *d,
                      enum drop_import_step step);

#endif
