/*
 * start: recovery beside the running spool. New mail is accepted meanwhile; no old life ends before
 * all is known and told.
 *
 *   SCAN each segment --> RESOLVE --> MESSAGES, a batch at a time --> LAST (the queue has all) -->
 *   ORPHANS (content files that no message names are unlinked) --> OVER
 *
 * Of two batches a disk thread fills one while the queue takes in the other. In between this thread
 * takes the places of the messages into its table, so that appends about them find them: some
 * thousand in a turn, so that commits beside wait a few milliseconds at most.
 * What fails for want of memory or by the disk is tried again; nothing is given up.
 */
#include <stdlib.h>

#include "base/log.h"
#include "spool/content.h"
#include "spool/spool_inside.h"

/* The table is larger than the cache: without looking ahead each place waits for two misses. */
#define TOUCH_BUCKET_AHEAD 16u
#define TOUCH_ENTRY_AHEAD  8u

static uint32_t segment_count(const struct start *t)
{
    uint32_t count;
    (void)recovery_segments(t->recovery, &count);
    return count;
}

static enum fault resolve(struct start *t)
{
    enum fault fault = recovery_resolve(t->recovery);
    if (fault == FAULT_NONE)
        recovery_give_once(t->recovery);
    return fault;
}

/* The next batch that is not empty, or the end of the last segment. */
static enum fault fill(struct start *t)
{
    struct recovered_batch *b = &t->handings[t->turn].batch;
    if (b->messages == NULL && !recovered_batch_init(b))
        return FAULT_NO_MEMORY;
    for (; t->segment < segment_count(t); t->segment++) {
        enum fault fault = recovery_messages(t->recovery, t->segment, &t->at, b);
        if (fault != FAULT_NONE || b->place_count > 0)
            return fault;
        t->at = (struct recovery_position){0};
    }
    return FAULT_NONE;
}

/* One that stays is an orphan at the next start, too. */
static void unlink_orphans(struct spool *s)
{
    const char *name;
    size_t at = 0;
    while ((name = recovery_orphan(s->start.recovery, &at)) != NULL)
        (void)!disk_unlink(s->disk, name);
}

static void run(struct job *j)
{
    struct start *t = container_of(j, struct start, task.job);
    switch (t->step) {
    case START_SCAN:
        t->fault = recovery_scan(t->recovery, t->segment);
        break;
    case START_RESOLVE:
        t->fault = resolve(t);
        break;
    case START_MESSAGES:
        t->fault = fill(t);
        break;
    case START_ORPHANS:
        unlink_orphans(container_of(t, struct spool, start));
        break;
    case START_LAST:
    case START_OVER:
        check(false);
    }
}

/* In the recovery's table, which is sorted; UINT32_MAX: it is not there. */
static uint32_t place_of_number(const struct spool *s, uint32_t number)
{
    uint32_t count;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    uint32_t from = 0, to = count;
    while (to - from > 1) {
        uint32_t middle = from + (to - from) / 2;
        if (all[middle].number <= number)
            from = middle;
        else
            to = middle;
    }
    return count > 0 && all[from].number == number ? from : UINT32_MAX;
}

bool start_has_segment(const struct spool *s, uint32_t number)
{
    return place_of_number(s, number) != UINT32_MAX;
}

static struct life *life_of_number(const struct spool *s, uint32_t number)
{
    uint32_t at = place_of_number(s, number);
    check(at != UINT32_MAX && s->start.lives[at] != NULL);
    return s->start.lives[at];
}

bool start_adopt(struct spool *s)
{
    uint32_t count;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    s->start.lives = calloc(count + (size_t)1, sizeof(struct life *));
    if (s->start.lives == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].number > s->number_max)
            s->number_max = all[i].number;
        if (all[i].is_broken)
            continue;
        struct life *l = life_new(s, all[i].number, all[i].is_free ? LIFE_FREE : LIFE_SEALED);
        if (l == NULL)
            return false;
        l->epoch = all[i].epoch;
        s->start.lives[i] = l;
    }
    return true;
}

/* The free ones may have a new life already. */
static bool is_imported(const struct recovered_segment *r, const struct life *l)
{
    return l != NULL && l->use == LIFE_SEALED && l->epoch == r->epoch;
}

static void import_lives(struct spool *s)
{
    uint32_t count;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct life *l = s->start.lives[i];
        if (!is_imported(&all[i], l))
            continue;
        for (uint32_t w = 0; w < all[i].waits_for_count; w++)
            life_wait_for(l, s->start.lives[all[i].waits_for[w]]);
    }
}

static void import_place(struct spool *s, const struct recovered_place *r)
{
    struct life *base = life_of_number(s, r->base.segment);
    struct life *state = r->state.bytes > 0 ? life_of_number(s, r->state.segment) : NULL;
    struct life *sending = r->sending.bytes > 0 ? life_of_number(s, r->sending.segment) : NULL;
    struct placed *p = places_add(&s->places, r->id);
    p->base_segment = base->slot;
    p->base_offset = r->base.offset;
    p->base_bytes = r->base.bytes & PLACE_BYTES_MASK;
    p->in_file = r->in_file;
    p->version = r->version;
    life_hold(base, r->base.bytes);
    if (state != NULL) {
        p->state_segment = state->slot;
        p->state_offset = r->state.offset;
        p->state_bytes = r->state.bytes;
        life_hold(state, r->state.bytes);
    }
    if (sending != NULL) {
        p->sending_segment = sending->slot;
        life_hold(sending, RECORD_HEADER_BYTES);
    }
}

/* Messages that came since the start are in the table already; none of them is among these. */
static bool import_places(struct spool *s, const struct recovered_batch *b)
{
    if (!places_reserve(&s->places, b->place_count))
        return false;
    for (uint32_t i = 0; i < b->message_count; i++)
        if (b->messages[i].envelope.content_in_file)
            s->content_bytes += content_file_bytes(b->messages[i].envelope.content_bytes);
    for (uint32_t i = 0; i < b->place_count; i++) {
        if (i + TOUCH_BUCKET_AHEAD < b->place_count)
            places_touch(&s->places, b->places[i + TOUCH_BUCKET_AHEAD].id, PLACES_TOUCH_BUCKET);
        if (i + TOUCH_ENTRY_AHEAD < b->place_count)
            places_touch(&s->places, b->places[i + TOUCH_ENTRY_AHEAD].id, PLACES_TOUCH_ENTRY);
        import_place(s, &b->places[i]);
    }
    return true;
}

/* What is damaged is put aside in the end, not written over. */
static void report(struct spool *s)
{
    struct recovery_counts n = recovery_counts(s->start.recovery);
    uint32_t count, damaged = 0;
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].damage_count == 0)
            continue;
        damaged += all[i].damage_count;
        if (is_imported(&all[i], s->start.lives[i]))
            s->start.lives[i]->is_damaged = true;
        LOG(actor_log(s->actor), EVENT_SPOOL_DAMAGED, log_u64("segment", all[i].number),
            log_u64("stretches", all[i].damage_count));
    }
    spool_count(&s->counters.damaged, damaged);
    LOG(actor_log(s->actor), EVENT_SPOOL_RECOVERED, log_u64("messages", n.living),
        log_u64("sending", n.sending), log_u64("ended", n.ended), log_u64("segments", count),
        log_u64("damaged", damaged));
}

static void pause_start(struct spool *s)
{
    s->start.is_paused = true;
    spool_retry_later(s);
}

static void tell_queue(struct spool *s, struct handing *h, bool last)
{
    h->letter.messages = h->batch.messages;
    h->letter.count = last ? 0 : h->batch.message_count;
    h->letter.last = last;
    h->state = HANDING_OUT;
    letter_send(s->actor, s->queue, &h->letter.letter, LETTER_RECOVERED, NULL);
}

static void on_done(struct spool *s, struct task *t);

static void order(struct spool *s)
{
    s->start.is_job_out = true;
    task_send(s, 0, &s->start.task, run, on_done);
}

void start_free(struct spool *s)
{
    struct start *t = &s->start;
    recovery_free(t->recovery);
    t->recovery = NULL;
    free(t->lives);
    t->lives = NULL;
    for (uint32_t i = 0; i < 2; i++)
        recovered_batch_fini(&t->handings[i].batch);
}

static void over(struct spool *s)
{
    report(s);
    start_free(s);
    s->is_ready = true;
    atomic_store_explicit(&s->counters.recovered, 1, memory_order_relaxed);
    atomic_store_explicit(&s->counters.messages, places_count(&s->places), memory_order_relaxed);
}

static bool queue_has_answered(const struct start *t)
{
    return t->handings[0].state != HANDING_OUT && t->handings[1].state != HANDING_OUT;
}

/* What is filled is taken in and passed on; then the other one is to be filled. */
static void messages_turn(struct spool *s)
{
    struct start *t = &s->start;
    struct handing *h = &t->handings[t->turn];
    if (h->state == HANDING_FILLED) {
        if (!import_places(s, &h->batch)) {
            pause_start(s);
            return;
        }
        tell_queue(s, h, false);
        t->turn ^= 1;
        h = &t->handings[t->turn];
    }
    if (h->state == HANDING_EMPTY)
        order(s);
}

void start_turn(struct spool *s)
{
    struct start *t = &s->start;
    if (t->is_job_out || t->is_paused)
        return;
    switch (t->step) {
    case START_SCAN:
        if (t->segment == segment_count(t))
            t->step = START_RESOLVE;
        order(s);
        return;
    case START_RESOLVE:
        order(s);
        return;
    case START_MESSAGES:
        messages_turn(s);
        return;
    case START_LAST:
        if (queue_has_answered(t)) {
            t->step = START_ORPHANS;
            tell_queue(s, &t->handings[0], true);
        }
        return;
    case START_ORPHANS:
        if (queue_has_answered(t))
            order(s);
        return;
    case START_OVER:
        return;
    }
}

static void on_resolved(struct spool *s)
{
    struct start *t = &s->start;
    import_lives(s);
    places_expect(&s->places, recovery_message_count(t->recovery));
    t->segment = 0;
    t->step = START_MESSAGES;
}

static void on_filled(struct start *t)
{
    if (t->segment == segment_count(t))
        t->step = START_LAST;
    else
        t->handings[t->turn].state = HANDING_FILLED;
}

static void on_done(struct spool *s, struct task *task)
{
    struct start *t = &s->start;
    (void)task;
    t->is_job_out = false;
    if (t->fault != FAULT_NONE) {
        pause_start(s);
        return;
    }
    switch (t->step) {
    case START_SCAN:
        t->segment++;
        break;
    case START_RESOLVE:
        on_resolved(s);
        break;
    case START_MESSAGES:
        on_filled(t);
        break;
    case START_ORPHANS:
        t->step = START_OVER;
        over(s);
        break;
    case START_LAST:
    case START_OVER:
        break;
    }
}

void start_on_letter(struct letter *letter)
{
    struct handing *h = container_of(letter, struct handing, letter.letter);
    check(h->state == HANDING_OUT);
    h->state = HANDING_EMPTY;
}

bool start_is_unwritten(struct spool *s, uint32_t number)
{
    uint32_t count, at = place_of_number(s, number);
    const struct recovered_segment *all = recovery_segments(s->start.recovery, &count);
    if (at == UINT32_MAX || recovery_scan(s->start.recovery, at) != FAULT_NONE)
        return false;
    return all[at].record_count == 0 && all[at].damage_count == 0;
}
