/*
 * actor: a thread of control that owns its state outright and is reached only by letters.
 *
 * Owns its mailbox, its loop and its outboxes. A turn is: take all letters that lie in the mailbox;
 * hand each to on_letter; poll the loop; on_turn; send what the turn wrote. Letters written during
 * a turn leave together at its end, one atomic push and at most one wake-up for each receiver (an
 * unbatched wake-up costs about 30 µs of CPU). Everything here is for the actor's own thread, but
 * for actor_mail's push inside and actor_counters' reading of another's.
 */
#ifndef LETTER_ACTOR_H
#define LETTER_ACTOR_H

#include "base/log.h"
#include "letter/letter.h"
#include "os/loop.h"

#define ACTOR_PEERS_MAX 80

struct actor_role {
    const char *name; /* at most 15 bytes: also the thread's name */
    /* A request for this actor, or the answer to one of its own. */
    void (*on_letter)(void *self, struct letter *letter);
    /* End of a turn, before the letters leave: the place to commit a batch. May be NULL. Who wants
       another turn without a letter, a socket or a timer wakes its own loop. */
    void (*on_turn)(void *self);
};

/* Costs of the turn-based engine, summed by `status` and held against a budget per message by the
 * tests. Written by the owner, read by anybody (relaxed atomics). */
struct actor_counters {
    uint64_t turns, letters_sent, letters_taken, wakeups_sent, polls_slept;
};

/* max_letters: how many letters one turn takes at the most, 0 for all (the simulator also runs with
 * 1). */
must_use enum fault actor_new(struct world *w, const struct actor_role *role, void *self,
                              uint32_t max_letters, struct log *log, struct actor **actor_out);
must_use enum fault actor_start(struct actor *a); /* its thread begins to run turns */
void actor_stop(struct actor *a); /* from its own thread: the running turn is the last */
void actor_join(struct actor *a); /* from the thread that started it: waits for its end */
/* After actor_join; letters that still lie in the mailbox are left to their owners. */
void actor_free(struct actor *a);

struct loop *actor_loop(struct actor *a);
struct log *actor_log(struct actor *a);
struct world *actor_world(struct actor *a);

/* Sends a request that `credit` (may be NULL: the letter is bounded otherwise) has been taken for.
 */
void letter_send(struct actor *from, struct actor *to, struct letter *letter, enum letter_type type,
                 struct credit *credit);
/* Sends a request back to where it came from, with its answer filled in. Its credit returns when
 * the sender takes it out of its mailbox. */
void letter_answer(struct actor *from, struct letter *letter);
/* Sends what has been written so far in this turn; for an actor that is about to block on the disk.
 */
void actor_flush(struct actor *a);
void actor_counters(const struct actor *a, struct actor_counters *counters_out);

#endif
