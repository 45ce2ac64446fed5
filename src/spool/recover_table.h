/*
 * recover_table: what the scan of the segments has found of each message, by id.
 *
 * Owns its memory: chunks of entries that never move, and a hash table of their numbers. Nothing is
 * allocated for a single message. What is asked for mostly stands behind what was asked for last
 * (records lie in the order in which messages came), so that is looked at first: a walk along the
 * entries instead of a cache miss or two for each. Knows nothing of what the entries mean. One
 * thread at a time.
 */
#ifndef SPOOL_RECOVER_TABLE_H
#define SPOOL_RECOVER_TABLE_H

#include "base/fault.h"
#include "base/id.h"
#include "spool/state_pool.h"

/* A record: `segment` is the place in the recovery's table of segments, `at` the place of its entry
 * in that segment's index (of a base alone). bytes 0: there is none. */
struct found_place {
    uint32_t segment;
    uint32_t offset;
    uint32_t bytes;
    uint32_t at;
};

struct found {
    struct id id;
    struct found_place base;
    struct found_place state;
    struct pooled_state state_payload;
    uint32_t version; /* of the state */
    uint32_t sending_segment;
    uint32_t sending_offset;
    uint32_t done_segment;
    uint32_t next; /* living, with its base in the same segment; of recover.c */
    bool has_sending;
    bool has_done;
    bool in_file;
    bool is_damaged; /* counted already */
};

struct found_chunk;

struct recover_table {
    struct found_chunk **chunks;
    uint32_t chunk_count;
    uint32_t count;  /* of entries */
    uint32_t *slots; /* number of the entry + 1, or 0 */
    uint32_t slot_count;
    uint32_t last; /* the entry that was asked for last */
};

void recover_table_init(struct recover_table *t);
void recover_table_fini(struct recover_table *t);
struct found *recover_table_get(const struct recover_table *t, struct id id); /* or NULL */
/* It will be asked for soon: brings its slot into the cache. */
void recover_table_touch(const struct recover_table *t, struct id id);
/* The same, made (zeroed but for its id) when it is not there. NULL: no memory, or UINT32_MAX / 2
   entries; nothing has changed. */
struct found *recover_table_make(struct recover_table *t, struct id id);
struct found *recover_table_at(const struct recover_table *t, uint32_t i); /* i < count */

/* Frees what finds entries by id: only recover_table_at may follow. */
void recover_table_forget_ids(struct recover_table *t);
/* Entry i, which is there, is not needed any more: memory is given back by chunks of them. */
void recover_table_drop(struct recover_table *t, uint32_t i);

/*
 * A set of pairs of small numbers, kept within twice the memory of its distinct members: which
 * segment waits for which.
 */
struct pair_set {
    uint64_t *pairs; /* first number in the high half */
    size_t count;
    size_t capacity;
};

void pair_set_init(struct pair_set *s);
void pair_set_fini(struct pair_set *s);
must_use bool pair_set_add(struct pair_set *s, uint32_t a, uint32_t b); /* false: no memory */
void pair_set_sort(struct pair_set *s);                                 /* ascending, each once */

#endif
