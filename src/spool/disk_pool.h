/*
 * disk_pool: the threads that do on the disk what may take long.
 *
 * An actor each. They know nothing of what they do: a JOB letter carries a function that runs there
 * and blocks as long as it must, then the letter goes back. A job touches only what it was given.
 * Jobs with the same key run one after the other, in the order sent, on one thread.
 */
#ifndef SPOOL_DISK_POOL_H
#define SPOOL_DISK_POOL_H

#include "letter/actor.h"

#define DISK_POOL_MAX 8

struct job {
    struct letter letter;
    void (*run)(struct job *j); /* on the disk thread */
};

struct disk_pool;

must_use enum fault disk_pool_new(struct world *w, uint32_t threads, uint32_t max_letters,
                                  struct disk_pool **pool_out);
uint32_t disk_pool_threads(const struct disk_pool *p);
struct actor *disk_pool_actor(struct disk_pool *p, uint32_t i); /* to start, join and count */
/* Sends it to the thread of `key`; the answer comes to `from` as LETTER_JOB. */
void job_send(struct actor *from, struct disk_pool *p, uint64_t key, struct job *j);
void disk_pool_free(struct disk_pool *p); /* its actors were joined */

#endif
