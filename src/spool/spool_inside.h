/*
 * spool_inside: what the spool actor's own files share; nobody else includes it.
 *
 *   spool.c    the actor: letters, states, the start and the end of it
 *   commit.c   the batch: from gathered appends to answers
 *   apply.c    what a record that is durable changes
 *   lives.c    the lives of segments, and which file work is done when
 *   room.c     how much of the disk is taken, and what is given back
 *   fetch.c    reading a message back
 *   start.c    recovery beside the running spool
 *   compact.c  copying what lives out of segments that hold little
 */
#ifndef SPOOL_SPOOL_INSIDE_H
#define SPOOL_SPOOL_INSIDE_H

#include <stdatomic.h>

#include "spool/places.h"
#include "spool/recover.h"
#include "spool/segment.h"
#include "spool/spool.h"

#define LIVES_MAX       65536u
#define SLACK_SEGMENTS  8u             /* promise 6: twice the live mail plus so many segments */
#define SLACK_WORK      4u             /* of them beside the reserve: tail, next, compaction */
#define COMPACT_BYTES   (1024u * 1024) /* copied in one batch, so that commits beside stay fast */
#define COMPACT_RECORDS 256u

#define PLACE_BYTES_MASK 0x1FFFFFFFu /* of base_bytes */

/* Work for the disk pool, and what the spool's thread does when it is done. */
struct task {
    struct job job;
    void (*on_done)(struct spool *s, struct task *t);
};

/*
 * A slot of the table of segments, and what its file is:
 *
 *   NONE --prepare--> PREPARING --> FREE --open--> OPENING --> NEXT --> TAIL --seal--> SEALED
 *   SEALED --free (nothing lives, nothing is waited for)--> FREEING --> FREE
 *   FREE, or whatever has failed --trim--> TRIMMING (unlinked) --> NONE
 *
 * On disk: a file of PREPARING may have no header; from PREPARING's end to OPENING's begin it says
 * free; from OPENING's end to FREEING's begin it says live with this epoch.
 */
enum life_use {
    LIFE_NONE,
    LIFE_PREPARING,
    LIFE_FREE,
    LIFE_OPENING,
    LIFE_NEXT,
    LIFE_TAIL,
    LIFE_SEALED,
    LIFE_FREEING,
    LIFE_TRIMMING
};

/* A life that has to be durably over before this one may end. */
struct life_wait {
    uint32_t slot;
    uint64_t epoch;
};

struct life {
    struct task task; /* at most one is out */
    struct spool *spool;
    uint32_t slot, number;
    uint64_t epoch;
    enum life_use use;
    bool is_job_out;
    bool has_failed;     /* a write or sync did: never written again, its file goes at its end */
    bool is_damaged;     /* something in it cannot be read: in the end it is put aside, not freed */
    bool is_unreadable;  /* and that is something that lives: kept as it is */
    bool waits_for_ever; /* no memory for what it waits for: never freed, which is safe */
    bool is_paused;      /* its last work failed: not before RETRY_LIVES */
    uint32_t pins;       /* readers */
    uint64_t live_bytes;
    uint64_t synced;  /* of a sealed one */
    enum fault fault; /* of the job */
    struct segment *segment;
    struct life_wait *waits;
    uint32_t wait_count, wait_capacity;
};

/* A record in the batch. */
struct batched {
    struct append *append; /* NULL: a copy, or a SENDING that is answered */
    bool is_copy, with_sending;
    enum record_type type;
    struct id id;
    uint32_t version, offset, bytes;
    uint32_t copied_from; /* slot; for a copy */
    uint32_t copied_offset;
};

struct batch {
    struct batched *all;
    uint32_t at, count, capacity;
};

/* A record, or a member of a group, that is durable. */
struct change {
    enum record_type type;
    struct id id;
    uint32_t version;
    struct span payload;
    uint32_t offset, bytes;
};

/* A record read for compaction, waiting to be added to a batch. */
struct copy {
    enum record_type type;
    bool with_sending; /* a state; a SENDING that is newer goes with it, in a group */
    struct id id;
    uint32_t version, offset;
    uint8_t *memory;
    struct span payload;
    struct span record; /* the payload as it is to be written; of a group, in `group` */
    struct buffer group;
    uint32_t record_crc;
};

struct compaction {
    struct task task;
    struct spool *spool;
    struct life *life;        /* NULL: none is under way */
    bool is_job_out, is_read; /* is_read: the copies wait to be added */
    struct index *index;
    size_t at;
    uint64_t copied_bytes; /* chosen to be copied, of the whole segment */
    struct copy copies[COMPACT_RECORDS];
    uint32_t copy_count;
    uint32_t added;    /* of them, to batches */
    uint32_t in_batch; /* of them, in this one */
    uint32_t synced;   /* of those added, or passed over */
    enum fault fault;
};

/* A batch of recovered messages, and its way to the queue. */
struct handing {
    struct recovered letter;
    struct recovered_batch batch;
    enum { HANDING_EMPTY, HANDING_FILLED, HANDING_OUT } state;
};

struct start {
    struct task task;
    struct recovery *recovery;
    enum { START_SCAN, START_RESOLVE, START_MESSAGES, START_LAST, START_ORPHANS, START_OVER } step;
    bool is_job_out, is_paused;
    struct life **lives; /* of each segment of the recovery's table; NULL: none */
    uint32_t segment;
    struct recovery_position at; /* of the messages of `segment` */
    struct handing handings[2];  /* while the queue has one, the other is filled */
    uint32_t turn;               /* the one that is filled next */
    struct buffer stale;         /* names, each with its NUL; while the spool is made */
    enum fault fault;
};

/* One file to be unlinked after its message's DONE. */
struct removal {
    struct task task;
    struct list node;
    struct disk *disk;
    struct id id;
    uint64_t bytes; /* that are free now */
};

/* The result is kept here until it is answered: at the end of a life the asker may be gone first.
 */
struct fetching {
    struct task task;
    struct list node;
    struct spool *spool;
    struct fetch *fetch;
    struct life *life;
    struct id id;
    uint32_t offset;
    enum fault fault;
    struct mail_object *mail;
};

struct spool {
    struct world *world;
    struct actor *actor;
    struct actor *queue;
    struct spool_settings settings;
    struct disk_pool *pool;
    struct disk *disk;
    struct id spool_id;
    uint64_t epoch; /* the highest so far */
    uint32_t number_max;
    struct letter *stop;

    struct places places;
    struct life *lives[LIVES_MAX];
    uint32_t life_count; /* slots ever used */
    uint32_t files;      /* slots that are not NONE */
    uint32_t free_files;
    uint32_t coming_files; /* being prepared or opened */
    uint64_t live_bytes;
    uint64_t content_bytes; /* of content files */
    uint64_t room_bytes;    /* of the file system, when last asked */
    int64_t room_asked_us;
    struct life *tail, *next;

    struct list gathered; /* appends not yet in a batch */
    struct batch batch;   /* since the last sync */
    struct batch again;   /* of failed ones: from `at` on they wait to be added */
    uint32_t new_count;   /* messages that the batch brings, at the most */
    bool needs_sync;
    uint32_t strikes;      /* failed commits in a row */
    enum fault fail_fault; /* why there is no tail, after it was tried in vain; else NONE */
    struct timer retry;
    bool is_tail_paused, is_next_paused;

    struct start start;
    bool is_ready; /* recovery is over: lives may end */
    struct compaction compaction;
    struct list removals, fetchings;

    _Atomic int takes_mail; /* enum fault */
    struct {
        _Atomic uint64_t records, batches, syncs, bytes_written, copies, segments, segments_free,
            segments_compacted, messages, live_bytes, content_bytes, damaged, failed, recovered;
    } counters;
};

static inline void spool_count(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + n, memory_order_relaxed);
}

/* spool.c */
/* `run` is done by the pool, then `on_done` by the spool. */
void task_send(struct spool *s, uint64_t key, struct task *t, void (*run)(struct job *j),
               void (*on_done)(struct spool *s, struct task *t));
/* What has failed is paused, all that is paused is tried again after SPOOL_RETRY_MS. */
void spool_retry_later(struct spool *s);

/* commit.c */
void commit_gather(struct spool *s, struct append *a);
void commit_turn(struct spool *s);
void commit_answer_all(struct spool *s, enum fault fault); /* what waits, in vain */
bool commit_is_idle(const struct spool *s);

/* apply.c */
enum mark { MARK_CHANGING, MARK_UNCHANGED, MARK_IN_DOUBT };
void apply_append(struct spool *s, const struct append *a, uint32_t offset, uint32_t bytes);
void apply_copy(struct spool *s, const struct batched *b);
void apply_sending(struct spool *s, struct id id);
void apply_mark(struct spool *s, const struct append *a, enum mark mark);

/* lives.c */
struct life *life_new(struct spool *s, uint32_t number, enum life_use use); /* NULL: no memory */
void life_wait_for(struct life *l, const struct life *other);
bool life_waits(struct life *l);
void life_hold(struct life *l, uint32_t bytes);
void life_release(struct life *l, uint32_t bytes);
void life_pin(struct life *l);
void life_unpin(struct life *l);
bool lives_take_next(struct spool *s); /* the next one becomes the tail; false: there is none yet */
void lives_leave_tail(struct spool *s);
void lives_fail(struct spool *s, enum fault fault);    /* there is no tail, for now */
void lives_plan(struct spool *s);                      /* orders whatever file work is due */
void lives_trim(struct life *l);                       /* a free one */
must_use enum fault lives_open_first(struct spool *s); /* blocks; at the start only */
bool lives_are_idle(const struct spool *s);
void lives_free(struct spool *s);

/* room.c */
void room_look(struct spool *s); /* how much the file system has */
void room_keep_looking(struct spool *s);
bool room_for_file(const struct spool *s);
uint32_t room_files_wanted(const struct spool *s); /* free ones, the next one included */
void room_plan(struct spool *s);                   /* what to trim or to compact */
enum fault room_for_mail(const struct spool *s);

/* fetch.c */
void fetch_begin(struct spool *s, struct fetch *f);
/*
 * Reads the record at `offset` of a segment, of which it is believed that it is (or, a group, that
 * it holds) the record `type` of message `id`. *memory_out is malloc'ed, *payload_out points into
 * it.
 */
must_use enum fault record_fetch(struct disk *d, uint32_t number, uint64_t epoch, uint32_t offset,
                                 struct id id, enum record_type type, uint8_t **memory_out,
                                 struct span *payload_out);

/* start.c */
bool start_adopt(struct spool *s); /* a life for each segment found; false: no memory */
void start_turn(struct spool *s);  /* the next step, if none is under way */
void start_on_letter(struct letter *letter);
void start_free(struct spool *s);
bool start_has_segment(const struct spool *s, uint32_t number);
/* Blocks; at the start only. Has nothing ever been written into this live segment? */
bool start_is_unwritten(struct spool *s, uint32_t number);

/* compact.c */
void compact_begin(struct spool *s, struct life *l);
void compact_turn(struct spool *s);
bool compact_has_copies(const struct spool *s); /* to be added to a batch */
bool compact_may_copy(struct spool *s, const struct copy *c);
void compact_copies_done(struct spool *s);
void compact_synced(struct spool *s);   /* the batch is durable */
void compact_put_back(struct spool *s); /* the batch has failed */
void compact_give_up(struct spool *s);  /* the copies have no room */
void compact_free(struct spool *s);

#endif
