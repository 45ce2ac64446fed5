/*
 * recover, on the simulated disk: lives that write segments, free and compact them and make index
 * files, and are killed or lose their power in the middle of any disk operation; syncs fail. What
 * was durable once is there in every later life, what has ended never comes back, and nothing is
 * taken for damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "sim/world.h"
#include "spool/recover.h"
#include "spool/segment.h"

#define SEEDS         400
#define LIVES         8
#define STEPS         30 /* of a life */
#define SEGMENTS_MAX  64
#define MESSAGES_MAX  (LIVES * STEPS * 4)
#define SEGMENT_PAGES 12u
#define DISK_BYTES    (64u * 1024 * 1024)

static const struct endpoint address = {.family = 4, .ip = {10, 0, 0, 1}};
static const struct id spool_id = {{1, 2, 3}};

/* What the test knows of a message. */
struct known {
    bool begun, kept; /* an ACCEPTED was written; it was synced or recovered */
    bool ended, gone; /* a DONE was written; it was synced, or a recovery said so */
    uint32_t version; /* the highest written */
    uint32_t durable; /* of these synced or recovered */
};

/* A life's record that is not yet synced. */
struct pending {
    uint32_t message;
    enum record_type type;
    uint32_t version;
};

struct bench {
    struct sim *sim;
    struct random *random;
    struct machine *machine;
    struct world *life;
    struct disk *disk;
    struct recovery *recovery;
    struct segment *tail;
    uint32_t tail_number;
    uint64_t epoch;
    uint32_t next_number;
    bool usable[SEGMENTS_MAX]; /* free: this life may open it */
    struct known messages[MESSAGES_MAX];
    uint32_t message_count;
    struct pending pending[STEPS * 8];
    uint32_t pending_count;
    uint64_t sync_faults, recovered, freed, copied, cuts;
};

static struct id id_of(uint32_t message)
{
    return (struct id){{(uint8_t)(message >> 8), (uint8_t)message, 0xaa, (uint8_t)message}};
}

static uint32_t message_of(struct id id)
{
    return (uint32_t)id.bytes[0] << 8 | id.bytes[1];
}

static uint32_t draw(struct bench *b, uint32_t limit)
{
    return (uint32_t)random_below(b->random, limit);
}

/* Lives: each of these answers false when the life is over. */

static bool open_tail(struct bench *b)
{
    for (int tries = 0; tries < 5; tries++) {
        uint32_t number = SEGMENTS_MAX;
        for (uint32_t i = 0; i < SEGMENTS_MAX && number == SEGMENTS_MAX; i++)
            if (b->usable[i])
                number = i;
        if (number == SEGMENTS_MAX) {
            assert_true(b->next_number < SEGMENTS_MAX);
            number = b->next_number++;
            if (segment_prepare(b->disk, number, spool_id, SEGMENT_PAGES * SPOOL_PAGE) !=
                FAULT_NONE)
                continue;
        }
        b->usable[number] = false;
        if (segment_open(b->disk, number, spool_id, ++b->epoch, &b->tail) == FAULT_NONE) {
            b->tail_number = number;
            return true;
        }
    }
    return false;
}

static void settle_pending(struct bench *b)
{
    for (uint32_t i = 0; i < b->pending_count; i++) {
        struct known *k = &b->messages[b->pending[i].message];
        if (b->pending[i].type == RECORD_ACCEPTED)
            k->kept = true;
        if (b->pending[i].type == RECORD_DONE)
            k->gone = true;
        if (b->pending[i].type == RECORD_OUTCOME && b->pending[i].version > k->durable)
            k->durable = b->pending[i].version;
    }
    b->pending_count = 0;
}

/* The old segment is sealed at what was synced, its batch written again in a new one. */
static bool move_tail(struct bench *b)
{
    struct segment *old = b->tail;
    struct span rest = segment_unsynced(old);
    struct record r;
    size_t used;
    uint64_t offset;
    enum fault sealed =
        index_write(b->disk, b->tail_number, segment_epoch(old), segment_synced(old));
    (void)sealed;
    b->tail = NULL;
    bool ok = open_tail(b);
    while (ok && rest.len > 0) {
        assert_int_equal(record_decode(rest, segment_epoch(old), &r, &used), FAULT_NONE);
        ok = segment_add(b->tail, r.type, r.id, r.version, &r.payload, 1, crc32c(0, r.payload),
                         &offset) == FAULT_NONE;
        rest = span_skip(rest, used);
    }
    segment_close(old);
    return ok;
}

static bool sync_tail(struct bench *b)
{
    for (int tries = 0; tries < 4; tries++) {
        if (segment_sync(b->tail) == FAULT_NONE) {
            settle_pending(b);
            return true;
        }
        b->sync_faults++;
        if (life_death(b->life) != SIM_ALIVE || !move_tail(b))
            return false;
    }
    return false;
}

static bool add(struct bench *b, enum record_type type, uint32_t message, uint32_t version,
                struct span payload)
{
    uint64_t offset;
    enum fault fault = segment_add(b->tail, type, id_of(message), version, &payload, 1,
                                   crc32c(0, payload), &offset);
    if (fault == FAULT_LIMIT) {
        if (!sync_tail(b) || !move_tail(b))
            return false;
        fault = segment_add(b->tail, type, id_of(message), version, &payload, 1, crc32c(0, payload),
                            &offset);
    }
    if (fault != FAULT_NONE)
        return false;
    assert_true(b->pending_count < sizeof b->pending / sizeof b->pending[0]);
    b->pending[b->pending_count++] = (struct pending){message, type, version};
    return true;
}

static bool accept_message(struct bench *b)
{
    static uint8_t content[3 * SPOOL_PAGE];
    struct envelope_recipient recipient = {.path = SPAN("r@b.example")};
    struct envelope e = {.reverse_path = SPAN("s@a.example"),
                         .content_bytes = draw(b, sizeof content),
                         .recipients = &recipient,
                         .recipient_count = 1};
    uint32_t message = b->message_count++;
    struct buffer payload;
    assert_true(message < MESSAGES_MAX);
    buffer_init(&payload, 65536);
    assert_true(envelope_encode(&e, &payload) &&
                buffer_put(&payload, span_of(content, (size_t)e.content_bytes)));
    b->messages[message].begun = true;
    bool ok = add(b, RECORD_ACCEPTED, message, 0, buffer_span(&payload));
    buffer_fini(&payload);
    return ok;
}

static bool put_outcome(struct bench *b, uint32_t message)
{
    struct known *k = &b->messages[message];
    struct recipient_state standing = {RECIPIENT_WAITING, 1, STATE_NO_REPLY, 5, REPORT_NONE};
    struct message_state s = {.recipients = &standing, .recipient_count = 1};
    struct buffer payload;
    buffer_init(&payload, 4096);
    assert_true(state_encode(&s, &payload));
    bool ok = add(b, RECORD_OUTCOME, message, ++k->version, buffer_span(&payload));
    buffer_fini(&payload);
    return ok;
}

/* One that is kept and has not been ended, or false. */
static bool pick(struct bench *b, uint32_t *message_out)
{
    for (int tries = 0; tries < 20 && b->message_count > 0; tries++) {
        *message_out = draw(b, b->message_count);
        if (b->messages[*message_out].kept && !b->messages[*message_out].ended)
            return true;
    }
    return false;
}

static bool step(struct bench *b)
{
    uint32_t message;
    switch (draw(b, 8)) {
    case 0:
    case 1:
    case 2:
        return accept_message(b);
    case 3:
        return !pick(b, &message) || put_outcome(b, message);
    case 4:
    case 5:
        if (!pick(b, &message))
            return true;
        b->messages[message].ended = true;
        return add(b, RECORD_DONE, message, b->messages[message].version, (struct span){NULL, 0});
    case 6:
        return segment_write(b->tail) == FAULT_NONE || sync_tail(b);
    default:
        return sync_tail(b);
    }
}

/* Recovery: what it says, held against what is known; then it is what is known. */

static void expect_messages(struct bench *b)
{
    struct recovered_place p;
    bool lives[MESSAGES_MAX] = {false};
    for (size_t at = 0; recovery_place(b->recovery, &at, &p);) {
        uint32_t message = message_of(p.id);
        assert_true(message < b->message_count);
        struct known *k = &b->messages[message];
        lives[message] = true;
        assert_true(k->begun);
        if (k->gone)
            fail_msg("message %u has come back", message);
        if (p.version < k->durable)
            fail_msg("message %u: version %u, %u was durable", message, p.version, k->durable);
        assert_true(p.version <= k->version);
        k->kept = true;
        k->ended = false;
        k->durable = p.version;
        k->version = p.version;
    }
    for (uint32_t i = 0; i < b->message_count; i++) {
        struct known *k = &b->messages[i];
        if (lives[i])
            continue;
        if (k->kept && !k->ended)
            fail_msg("message %u is lost", i);
        k->ended = k->gone = true; /* and it is never to come back */
    }
    b->recovered += recovery_message_count(b->recovery);
}

/* False: the life is over. */
static bool expect_envelopes_of(struct bench *b, uint32_t segment, struct recovered_batch *batch,
                                uint64_t *given)
{
    struct recovery_position at = {0};
    do {
        if (recovery_messages(b->recovery, segment, &at, batch) != FAULT_NONE)
            return false;
        for (uint32_t m = 0; m < batch->message_count; m++) {
            const struct recovered_message *message = &batch->messages[m];
            assert_int_equal(message->envelope.recipient_count, 1);
            assert_int_equal(message->state.recipient_count, message->version > 0);
        }
        *given += batch->message_count;
    } while (batch->place_count > 0);
    return true;
}

static void expect_envelopes(struct bench *b, uint32_t segments)
{
    struct recovered_batch batch;
    uint64_t given = 0;
    bool lives = true;
    assert_true(recovered_batch_init(&batch));
    for (uint32_t i = 0; lives && i < segments; i++)
        lives = expect_envelopes_of(b, i, &batch, &given);
    recovered_batch_fini(&batch);
    if (lives)
        assert_int_equal(given, recovery_message_count(b->recovery));
}

/* An index may tell of what its segment has lost. */
static void expect_record(struct bench *b, const struct place *p)
{
    static uint8_t memory[SEGMENT_PAGES * SPOOL_PAGE];
    char name[SEGMENT_NAME_MAX];
    uint32_t count;
    size_t got = 0, used;
    struct record r;
    struct file *f;
    uint64_t epoch = 0;
    const struct recovered_segment *s = recovery_segments(b->recovery, &count);
    for (uint32_t i = 0; i < count; i++)
        if (s[i].number == p->segment)
            epoch = s[i].epoch;
    segment_name(p->segment, name);
    assert_int_equal(file_open(b->disk, name, DISK_READ, &f), FAULT_NONE);
    assert_int_equal(file_read(f, p->offset, memory, p->bytes, &got), FAULT_NONE);
    file_close(f);
    if (record_decode(span_of(memory, got), epoch, &r, &used) != FAULT_NONE)
        fail_msg("segment %u: the record at %u is lost", p->segment, p->offset);
}

static void expect_records(struct bench *b)
{
    struct recovered_place p;
    for (size_t at = 0; recovery_place(b->recovery, &at, &p);) {
        expect_record(b, &p.base);
        if (p.state.bytes > 0)
            expect_record(b, &p.state);
    }
}

static bool recover(struct bench *b)
{
    uint32_t count;
    if (recovery_open(b->disk, &b->recovery) != FAULT_NONE)
        return false;
    const struct recovered_segment *s = recovery_segments(b->recovery, &count);
    for (uint32_t i = 0; i < count; i++)
        if (recovery_scan(b->recovery, i) != FAULT_NONE)
            return false;
    if (life_death(b->life) != SIM_ALIVE)
        return false;
    assert_int_equal(recovery_resolve(b->recovery), FAULT_NONE);
    expect_messages(b);
    expect_records(b);
    expect_envelopes(b, count);
    memset(b->usable, 0, sizeof b->usable);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(s[i].damage_count, 0);
        assert_true(s[i].number < SEGMENTS_MAX);
        b->usable[s[i].number] = s[i].is_free;
    }
    b->epoch = recovery_epoch_max(b->recovery);
    return life_death(b->life) == SIM_ALIVE;
}

/* Frees what holds nothing that lives, in the order in which the segments wait for each other. */
static bool free_segments(struct bench *b)
{
    uint32_t count;
    const struct recovered_segment *s = recovery_segments(b->recovery, &count);
    bool is_free[SEGMENTS_MAX] = {false};
    for (uint32_t i = 0; i < count; i++)
        is_free[i] = s[i].is_free;
    for (uint32_t round = 0; round < count; round++) {
        for (uint32_t i = 0; i < count; i++) {
            bool may = !is_free[i] && !s[i].is_broken && s[i].live_records == 0;
            for (uint32_t w = 0; may && w < s[i].waits_for_count; w++)
                may = is_free[s[i].waits_for[w]];
            if (!may)
                continue;
            if (segment_free(b->disk, s[i].number, spool_id) != FAULT_NONE)
                return false;
            if (draw(b, 2) == 0 && index_unlink(b->disk, s[i].number) != FAULT_NONE)
                return false;
            is_free[i] = b->usable[s[i].number] = true;
            b->freed++;
        }
    }
    return true;
}

static bool copy_record(struct bench *b, const struct place *p, uint64_t epoch)
{
    struct record r;
    size_t len, used;
    uint8_t *memory;
    uint64_t offset;
    if (segment_image(b->disk, p->segment, &memory, &len) != FAULT_NONE)
        return false;
    assert_int_equal(record_decode(span_skip(span_of(memory, len), p->offset), epoch, &r, &used),
                     FAULT_NONE);
    assert_int_equal(used, p->bytes);
    enum fault fault =
        segment_add(b->tail, r.type, r.id, r.version, &r.payload, 1, crc32c(0, r.payload), &offset);
    if (fault == FAULT_LIMIT && sync_tail(b) && move_tail(b))
        fault = segment_add(b->tail, r.type, r.id, r.version, &r.payload, 1, crc32c(0, r.payload),
                            &offset);
    free(memory);
    b->copied++;
    return fault == FAULT_NONE;
}

/* Copies what lives in one segment to the tail; a later life frees it. */
static bool compact(struct bench *b)
{
    uint32_t count;
    struct recovered_place p;
    const struct recovered_segment *s = recovery_segments(b->recovery, &count);
    if (count == 0 || b->message_count == 0)
        return true;
    const struct recovered_segment *from = &s[draw(b, count)];
    for (size_t at = 0; recovery_place(b->recovery, &at, &p);) {
        if (b->messages[message_of(p.id)].ended)
            continue;
        if (p.base.segment == from->number && !copy_record(b, &p.base, from->epoch))
            return false;
        if (p.state.bytes > 0 && p.state.segment == from->number &&
            p.version == b->messages[message_of(p.id)].version &&
            !copy_record(b, &p.state, from->epoch))
            return false;
    }
    return draw(b, 3) == 0 || sync_tail(b);
}

static void live(struct bench *b)
{
    b->pending_count = 0;
    if (!recover(b) || !open_tail(b) || !free_segments(b))
        return;
    uint32_t compact_at = draw(b, 2 * STEPS);
    for (uint32_t i = 0; i < STEPS; i++) {
        if (i == compact_at && !compact(b))
            return;
        if (!step(b))
            return;
    }
    if (draw(b, 2) == 0 && sync_tail(b)) {
        enum fault fault =
            index_write(b->disk, b->tail_number, segment_epoch(b->tail), segment_synced(b->tail));
        (void)fault;
    }
}

static void bury(struct bench *b)
{
    segment_close(b->tail);
    recovery_free(b->recovery);
    b->tail = NULL;
    b->recovery = NULL;
    disk_free(b->disk);
    life_end(b->life);
}

static void run(uint64_t seed, uint32_t sync_error, struct bench *sums)
{
    struct sim_options o = sim_options_calm();
    o.sync_error = sync_error;
    o.write_back = 50000;
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->sim = sim_new(seed, &o);
    b->random = sim_random(b->sim);
    b->machine = machine_new(b->sim, "machine", address);
    machine_disk(b->machine, "/spool", DISK_BYTES);
    for (int i = 0; i < LIVES && b->next_number + 20 < SEGMENTS_MAX; i++) {
        enum sim_death how = draw(b, 2) == 0 ? SIM_KILLED : SIM_POWER_CUT;
        b->life = life_begin(b->machine);
        assert_int_equal(disk_new(b->life, "/spool", &b->disk), FAULT_NONE);
        if (draw(b, 4) > 0)
            life_kill_at(b->life, 1 + draw(b, draw(b, 2) == 0 ? 20 : 120), how);
        live(b);
        b->cuts += life_death(b->life) != SIM_ALIVE;
        if (life_death(b->life) == SIM_ALIVE)
            life_kill(b->life, how);
        bury(b);
    }
    /* The last one is left in peace. */
    sim_options(b->sim)->sync_error = 0;
    b->life = life_begin(b->machine);
    assert_int_equal(disk_new(b->life, "/spool", &b->disk), FAULT_NONE);
    assert_true(recover(b));
    bury(b);
    sums->sync_faults += b->sync_faults;
    sums->recovered += b->recovered;
    sums->freed += b->freed;
    sums->copied += b->copied;
    sums->cuts += b->cuts;
    sim_free(b->sim);
    free(b);
}

static void crashes_lose_and_repeat_nothing(void **state)
{
    (void)state;
    struct bench *sums = calloc(1, sizeof *sums);
    assert_non_null(sums);
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run(seed, 0, sums);
    assert_true(sums->cuts > SEEDS && sums->recovered > SEEDS && sums->freed > SEEDS &&
                sums->copied > SEEDS);
    free(sums);
}

static void nor_do_failing_syncs(void **state)
{
    (void)state;
    struct bench *sums = calloc(1, sizeof *sums);
    assert_non_null(sums);
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run(seed, 60000, sums);
    assert_true(sums->sync_faults > SEEDS);
    free(sums);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_lose_and_repeat_nothing),
        cmocka_unit_test(nor_do_failing_syncs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
