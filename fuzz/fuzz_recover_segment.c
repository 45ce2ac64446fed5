/*
 * Two segments of any records, with the right checksums and then some bits flipped, and what a
 * start makes of them: it ends with an answer, and the same one whether it reads the segments or
 * their index files.
 *
 * The input is a row of operations: a byte, then what it needs. 1 to 6: a record of that type (id
 * u8, version u8, length u16, payload); 7: the batch is over; 8: the next segment; 9: later the
 * bit is flipped (page u8, byte and bit u16); all else: nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "os/linux/real_world.h"
#include "spool/recover.h"
#include "spool/segment.h"

#define SEGMENTS 2u
#define PAGES    12u
#define BYTES    (PAGES * SPOOL_PAGE)
#define FLIPS    16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct image {
    uint8_t bytes[BYTES];
    uint64_t batch; /* where the batch begins */
    uint64_t at;    /* where its next record goes */
    uint32_t records;
    uint64_t sequence;
};

struct spool_images {
    struct image segments[SEGMENTS];
    uint32_t flips[FLIPS];
    uint32_t flip_count;
};

static uint64_t epoch_of(uint32_t segment)
{
    return segment + 1;
}

static void image_begin(struct image *i, uint32_t segment)
{
    struct segment_header h = {SEGMENT_LIVE, SPOOL_FORMAT, segment, epoch_of(segment), {{1}}};
    memset(i, 0, sizeof *i);
    segment_header_encode(&h, i->bytes);
    i->batch = SPOOL_PAGE;
    i->at = i->batch + BATCH_HEADER_BYTES;
}

static void end_batch(struct image *i, uint32_t segment)
{
    if (i->records == 0)
        return;
    struct batch_header h = {(uint32_t)(i->at - i->batch - BATCH_HEADER_BYTES), i->records,
                             i->batch, i->sequence++};
    batch_header_encode(&h, epoch_of(segment), i->bytes + i->batch);
    i->batch = page_round_up(i->at);
    i->at = i->batch + BATCH_HEADER_BYTES;
    i->records = 0;
}

static void put_record(struct image *i, uint32_t segment, enum record_type type, struct cursor *c)
{
    struct id id = {{cursor_u8(c)}};
    uint32_t version = cursor_u8(c);
    size_t len = cursor_u16(c) % 2048;
    struct span payload = cursor_bytes(c, len < c->rest.len ? len : c->rest.len);
    if (i->at + RECORD_HEADER_BYTES + payload.len > BYTES)
        return;
    record_encode_header(i->bytes + i->at, epoch_of(segment), type, id, version,
                         (uint32_t)payload.len, crc32c(0, payload));
    if (payload.len > 0)
        memcpy(i->bytes + i->at + RECORD_HEADER_BYTES, payload.data, payload.len);
    i->at += RECORD_HEADER_BYTES + payload.len;
    i->records++;
}

static void build(struct spool_images *s, struct span input)
{
    struct cursor c = cursor_over(input);
    uint32_t segment = 0;
    s->flip_count = 0;
    for (uint32_t i = 0; i < SEGMENTS; i++)
        image_begin(&s->segments[i], i);
    while (cursor_ok(&c) && !cursor_at_end(&c)) {
        uint8_t what = cursor_u8(&c);
        if (what >= RECORD_ACCEPTED && what <= RECORD_GROUP)
            put_record(&s->segments[segment], segment, (enum record_type)what, &c);
        else if (what == 7)
            end_batch(&s->segments[segment], segment);
        else if (what == 8 && segment + 1 < SEGMENTS)
            end_batch(&s->segments[segment], segment), segment++;
        else if (what == 9 && s->flip_count < FLIPS)
            s->flips[s->flip_count++] =
                cursor_u8(&c) % (PAGES * SEGMENTS) * SPOOL_PAGE * 8 + cursor_u16(&c) % 32768;
    }
    end_batch(&s->segments[segment], segment);
    for (uint32_t i = 0; i < s->flip_count; i++) {
        uint32_t byte = s->flips[i] / 8;
        s->segments[byte / BYTES].bytes[byte % BYTES] ^= (uint8_t)(1u << s->flips[i] % 8);
    }
}

/* A folder for this process, made at its first input; what is in it is small and stays. */
static const char *folder(void)
{
    static char path[64];
    if (path[0] == '\0') {
        bool in_memory = access("/dev/shm", W_OK) == 0;
        snprintf(path, sizeof path, "%s/postrider-fuzz-XXXXXX", in_memory ? "/dev/shm" : "/tmp");
        check(mkdtemp(path) != NULL);
    }
    return path;
}

static void write_bytes(const char *name, struct span bytes)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder(), name);
    int f = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(f >= 0);
    check(write(f, bytes.data, bytes.len) == (ssize_t)bytes.len);
    close(f);
}

static void remove_all(void)
{
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        char path[128], name[SEGMENT_NAME_MAX], index[INDEX_NAME_MAX];
        segment_name(i, name);
        index_name(i, index);
        snprintf(path, sizeof path, "%s/%s", folder(), name);
        unlink(path);
        snprintf(path, sizeof path, "%s/%s", folder(), index);
        unlink(path);
    }
    rmdir(folder());
}

static uint32_t digest_message(uint32_t crc, const struct recovered_message *m)
{
    crc = crc32c(crc, id_span(&m->id));
    crc = crc32c(crc, span_of(&m->version, sizeof m->version));
    crc = crc32c(crc, span_of(&m->sending, sizeof m->sending));
    crc = crc32c(crc, m->envelope.reverse_path);
    for (uint32_t i = 0; i < m->envelope.recipient_count; i++)
        crc = crc32c(crc, m->envelope.recipients[i].path);
    check(m->state.recipient_count == 0 || m->state.recipient_count == m->envelope.recipient_count);
    for (uint32_t i = 0; i < m->state.recipient_count; i++)
        crc = crc32c(crc, span_of(&m->state.recipients[i].attempts, 2));
    return crc32c(crc, m->state.reason);
}

static uint32_t digest_places(uint32_t crc, const struct recovery *r)
{
    struct recovered_place p;
    uint64_t count = 0;
    for (size_t at = 0; recovery_place(r, &at, &p); count++) {
        const uint32_t told[] = {p.version,    p.in_file,       p.base.segment, p.base.offset,
                                 p.base.bytes, p.state.segment, p.state.offset, p.state.bytes};
        crc = crc32c(crc, span_of(told, sizeof told));
        check(p.base.bytes > 0 && p.base.offset + RECORD_HEADER_BYTES <= BYTES);
    }
    check(count == recovery_message_count(r));
    return crc;
}

/* Everything that a recovery of the folder says; the time it may take is the fuzzer's limit. */
static uint32_t digest(struct disk *d)
{
    struct recovery *r;
    struct recovered_batch batch;
    uint32_t crc = 0, segments;
    enum fault fault = recovery_look(d, &r);
    if (fault != FAULT_NONE)
        return fault;
    const struct recovered_segment *s = recovery_segments(r, &segments);
    for (uint32_t i = 0; i < segments; i++)
        check(recovery_scan(r, i) == FAULT_NONE);
    check(recovery_resolve(r) == FAULT_NONE);
    crc = digest_places(crc, r);
    check(recovered_batch_init(&batch));
    for (uint32_t i = 0; i < segments; i++) {
        struct recovery_position at = {0};
        do {
            check(recovery_messages(r, i, &at, &batch) == FAULT_NONE);
            for (uint32_t m = 0; m < batch.message_count; m++)
                crc = digest_message(crc, &batch.messages[m]);
        } while (batch.place_count > 0);
        const uint32_t told[] = {s[i].damage_count, s[i].live_records, (uint32_t)s[i].live_bytes};
        crc = crc32c(crc, span_of(told, sizeof told));
        if (s[i].waits_for_count > 0)
            crc = crc32c(crc, span_of(s[i].waits_for, s[i].waits_for_count * sizeof(uint32_t)));
    }
    recovered_batch_fini(&batch);
    recovery_free(r);
    return crc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct spool_images spool;
    struct world *world;
    struct disk *disk;
    char name[SEGMENT_NAME_MAX], index[INDEX_NAME_MAX];
    if (folder()[0] != '\0' && access(folder(), F_OK) != 0)
        check(mkdir(folder(), 0700) == 0);
    build(&spool, span_of(data, size));
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        segment_name(i, name);
        write_bytes(name, span_of(spool.segments[i].bytes, BYTES));
    }
    check(world_new_real(&world) == FAULT_NONE);
    check(disk_new(world, folder(), &disk) == FAULT_NONE);
    uint32_t walked = digest(disk);
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        struct index *x;
        struct span image = span_of(spool.segments[i].bytes, BYTES);
        check(index_build(image, epoch_of(i), 0, i, &x) == FAULT_NONE);
        index_name(i, index);
        write_bytes(index, index_bytes(x));
        index_free(x);
    }
    check(digest(disk) == walked);
    disk_free(disk);
    world_free_real(world);
    remove_all();
    return 0;
}
