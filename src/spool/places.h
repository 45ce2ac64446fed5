/*
 * places: where each message lies: message id -> its base, its newest state, its last SENDING.
 *
 * Owns its entries. They lie in chunks and never move; a hash table of 4 bytes a message finds them
 * and grows by one bucket at a time (linear hashing), so that neither memory nor time jumps however
 * many messages there are: 56 bytes a message. Memory once taken is kept for the next messages.
 * Segments are named by their slot in the table of lives. Pure; one thread (the spool's).
 */
#ifndef SPOOL_PLACES_H
#define SPOOL_PLACES_H

#include "base/id.h"

#define PLACE_NOWHERE UINT32_MAX

struct placed {
    struct id id;
    uint32_t base_segment, base_offset;
    uint32_t base_bytes : 29;
    uint32_t in_file : 1;          /* its content lies in a file of its own */
    uint32_t is_changing : 1;      /* the batch holds a newer record of it */
    uint32_t is_done_in_doubt : 1; /* an end that was refused may be found after a crash */
    uint32_t state_segment, state_offset;
    uint32_t state_bytes;     /* 0: there is none */
    uint32_t version;         /* of the state */
    uint32_t sending_segment; /* holds a SENDING newer than the state; or PLACE_NOWHERE */
    uint32_t next;            /* of the bucket; for places.c alone */
};

struct places {
    struct placed **chunks;
    uint32_t chunk_count, chunk_capacity;
    uint32_t used;       /* entries ever given out */
    uint32_t first_free; /* of those given back */
    uint32_t count;
    uint32_t **bucket_chunks;
    uint32_t bucket_chunk_count, bucket_chunk_capacity;
    uint32_t bucket_count;
};

void places_init(struct places *p);
void places_fini(struct places *p);
struct placed *places_find(const struct places *p, struct id id); /* NULL: unknown */
/* Memory for `more` further messages, so that places_add cannot fail. False: none. */
__attribute__((warn_unused_result)) bool places_reserve(struct places *p, uint32_t more);
/* That so many will come: the table need not grow step by step. Without memory it does. */
void places_expect(struct places *p, uint64_t count);
/* It will be asked for or added soon: brings what is looked at for it into the cache, first its
   bucket, and in another call, a little later, what is there. */
enum places_touch { PLACES_TOUCH_BUCKET, PLACES_TOUCH_ENTRY };
void places_touch(const struct places *p, struct id id, enum places_touch step);
/* A message that is not there yet (checked), in no place; room for it was reserved (checked). */
struct placed *places_add(struct places *p, struct id id);
void places_remove(struct places *p, struct placed *placed);
uint32_t places_count(const struct places *p);
size_t places_memory_bytes(const struct places *p);

#endif
