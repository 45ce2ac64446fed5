/*
 * spill: content that is too large for its record, on its way into a file (spool/content.h).
 *
 * Two buffers: one is filled while the disk has the other, so that the client's bytes and the
 * disk's work overlap and memory stays within 2 * SPILL_BUFFER_BYTES however large the message is.
 * Owns buffers and the content file until it is finished or dropped; one job is out at most. One
 * worker's thread.
 *
 *   FILLING --finish--> FINISHING --last job back--> FINISHED --drop--> DROPPING --> gone
 *   FILLING, FINISHING --drop, fault--> DROPPING --job back--> gone
 */
#ifndef RECEIVE_SPILL_H
#define RECEIVE_SPILL_H

#include "base/buffer.h"
#include "spool/content.h"

#define SPILL_BUFFER_BYTES (256u * 1024)

enum spill_state { SPILL_FILLING, SPILL_FINISHING, SPILL_FINISHED, SPILL_DROPPING, SPILL_GONE };

struct spill;

/* `first` goes to the disk before anything that is added; it stays the caller's and unchanged until
 * the first answer. NULL: no memory. */
struct spill *spill_new(struct actor *worker, struct spool *spool, struct id id, struct span first,
                        void *context);
/* The run must fit: at most SPILL_RUN_MAX bytes, and not while spill_is_full. NO_MEMORY. */
#define SPILL_RUN_MAX (64u * 1024)
must_use enum fault spill_add(struct spill *s, struct span run);
bool spill_is_full(const struct spill *s); /* no more before the next answer */
void spill_finish(struct spill *s);        /* all has been added */
void spill_drop(struct spill *s);          /* there is no message: unlinks the file */

/* A JOB letter that came back: of a spill? */
bool spill_owns(const struct letter *letter);
/* Whose letter it is. */
struct spill *spill_of(struct letter *letter);
void *spill_context(const struct spill *s);
/* Its answer; goes on with the next job. The fault that is returned has dropped it. When the state
 * is GONE afterwards, only spill_free is left. */
enum fault spill_on_answer(struct spill *s);
enum spill_state spill_state(const struct spill *s);
size_t spill_memory_bytes(const struct spill *s);
/* No job is out, or the world is dead. */
void spill_free(struct spill *s);

#endif
