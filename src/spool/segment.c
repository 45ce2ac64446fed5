#include "spool/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct segment {
    struct file *file;
    uint64_t epoch;
    uint64_t bytes;  /* of the whole file */
    uint64_t synced; /* where the batch begins; all below is durable */
    uint64_t sequence;
    uint32_t record_count; /* in the batch */
    bool written;          /* the batch as it stands is with the kernel */
    bool failed;
    struct buffer batch; /* with room for its header in front */
};

void segment_name(uint32_t number, char name_out[SEGMENT_NAME_MAX])
{
    int len = snprintf(name_out, SEGMENT_NAME_MAX, "%08u.seg", number);
    check(len > 0 && len < SEGMENT_NAME_MAX);
}

void segment_aside_name(uint32_t number, char name_out[SEGMENT_NAME_MAX])
{
    int len = snprintf(name_out, SEGMENT_NAME_MAX, "%08u.bad", number);
    check(len > 0 && len < SEGMENT_NAME_MAX);
}

static enum fault write_header(struct file *f, enum segment_use use, uint32_t number,
                               struct id spool_id, uint64_t epoch)
{
    uint8_t page[SPOOL_PAGE] = {0};
    struct segment_header h = {use, SPOOL_FORMAT, number, epoch, spool_id};
    struct span part = span_of(page, sizeof page);
    segment_header_encode(&h, page);
    enum fault fault = file_write(f, 0, &part, 1);
    return fault == FAULT_NONE ? file_sync(f) : fault;
}

static enum fault write_zeros(struct file *f, uint32_t bytes)
{
    uint8_t *zeros = calloc(1, SEGMENT_STEP_BYTES);
    if (zeros == NULL)
        return FAULT_NO_MEMORY;
    enum fault fault = FAULT_NONE;
    for (uint32_t at = 0; fault == FAULT_NONE && at < bytes; at += SEGMENT_STEP_BYTES) {
        uint32_t step = bytes - at < SEGMENT_STEP_BYTES ? bytes - at : SEGMENT_STEP_BYTES;
        struct span part = span_of(zeros, step);
        fault = file_write(f, at, &part, 1);
        if (fault == FAULT_NONE)
            fault = file_sync(f);
    }
    free(zeros);
    return fault;
}

enum fault segment_prepare(struct disk *d, uint32_t number, struct id spool_id, uint32_t bytes)
{
    check(bytes >= 2 * SPOOL_PAGE && bytes % SPOOL_PAGE == 0);
    char name[SEGMENT_NAME_MAX];
    struct file *f;
    segment_name(number, name);
    enum fault fault = file_open(d, name, DISK_CREATE, &f);
    if (fault != FAULT_NONE)
        return fault;
    fault = write_zeros(f, bytes);
    if (fault == FAULT_NONE)
        fault = write_header(f, SEGMENT_FREE, number, spool_id, 0);
    if (fault == FAULT_NONE)
        fault = disk_sync(d);
    file_close(f);
    return fault;
}

/* Opens a segment file whose header is one of this spool and number. */
static enum fault open_own(struct disk *d, uint32_t number, struct id spool_id,
                           struct file **file_out, struct segment_header *header_out)
{
    char name[SEGMENT_NAME_MAX];
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    size_t got = 0;
    struct file *f;
    segment_name(number, name);
    enum fault fault = file_open(d, name, DISK_WRITE, &f);
    if (fault != FAULT_NONE)
        return fault;
    fault = file_read(f, 0, bytes, sizeof bytes, &got);
    if (fault == FAULT_NONE)
        fault = segment_header_decode(span_of(bytes, got), header_out);
    bool own = fault == FAULT_NONE && header_out->number == number &&
               id_equal(header_out->spool_id, spool_id);
    if (fault == FAULT_NONE && !own)
        fault = FAULT_DAMAGED;
    if (fault != FAULT_NONE) {
        file_close(f);
        return fault;
    }
    *file_out = f;
    return FAULT_NONE;
}

enum fault segment_free(struct disk *d, uint32_t number, struct id spool_id)
{
    struct segment_header h;
    struct file *f;
    enum fault fault = open_own(d, number, spool_id, &f, &h);
    if (fault != FAULT_NONE)
        return fault;
    fault = write_header(f, SEGMENT_FREE, number, spool_id, 0);
    file_close(f);
    return fault;
}

static bool begin_batch(struct segment *s)
{
    buffer_reset(&s->batch);
    s->record_count = 0;
    s->written = false;
    if (buffer_reserve(&s->batch, BATCH_HEADER_BYTES) == NULL)
        return false;
    buffer_commit(&s->batch, BATCH_HEADER_BYTES);
    return true;
}

enum fault segment_open(struct disk *d, uint32_t number, struct id spool_id, uint64_t epoch,
                        struct segment **segment_out)
{
    check(epoch > 0);
    struct segment_header h;
    struct segment *s = calloc(1, sizeof *s);
    if (s == NULL)
        return FAULT_NO_MEMORY;
    buffer_init(&s->batch, BATCH_BYTES_MAX);
    s->epoch = epoch;
    s->synced = SPOOL_PAGE;
    enum fault fault = begin_batch(s) ? FAULT_NONE : FAULT_NO_MEMORY;
    if (fault == FAULT_NONE)
        fault = open_own(d, number, spool_id, &s->file, &h);
    if (fault == FAULT_NONE && h.use != SEGMENT_FREE)
        fault = FAULT_DAMAGED;
    if (fault == FAULT_NONE)
        fault = file_size(s->file, &s->bytes);
    if (fault == FAULT_NONE)
        fault = write_header(s->file, SEGMENT_LIVE, number, spool_id, epoch);
    if (fault != FAULT_NONE) {
        segment_close(s);
        return fault;
    }
    *segment_out = s;
    return FAULT_NONE;
}

void segment_close(struct segment *s)
{
    if (s == NULL)
        return;
    if (s->file != NULL)
        file_close(s->file);
    buffer_fini(&s->batch);
    free(s);
}

enum fault segment_add(struct segment *s, enum record_type type, struct id id, uint32_t version,
                       const struct span *parts, size_t count, uint32_t payload_crc,
                       uint64_t *offset_out)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    if (s->failed)
        return FAULT_DISK_ERROR;
    size_t whole = RECORD_HEADER_BYTES + len, after = s->batch.len + whole;
    bool fits =
        len <= RECORD_PAYLOAD_MAX && after <= BATCH_BYTES_MAX && s->synced + after <= s->bytes;
    if (!fits)
        return FAULT_LIMIT;
    uint8_t *record = buffer_reserve(&s->batch, whole);
    if (record == NULL)
        return FAULT_NO_MEMORY;
    record_encode_header(record, s->epoch, type, id, version, (uint32_t)len, payload_crc);
    record += RECORD_HEADER_BYTES;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(record, parts[i].data, parts[i].len);
        record += parts[i].len;
    }
    *offset_out = s->synced + s->batch.len;
    buffer_commit(&s->batch, whole);
    s->record_count++;
    s->written = false;
    return FAULT_NONE;
}

enum fault segment_write(struct segment *s)
{
    if (s->failed)
        return FAULT_DISK_ERROR;
    if (s->written || s->record_count == 0)
        return FAULT_NONE;
    uint32_t record_bytes = (uint32_t)(s->batch.len - BATCH_HEADER_BYTES);
    struct batch_header h = {record_bytes, s->record_count, s->synced, s->sequence};
    batch_header_encode(&h, s->epoch, s->batch.data);
    struct span part = buffer_span(&s->batch);
    enum fault fault = file_write(s->file, s->synced, &part, 1);
    s->failed = fault != FAULT_NONE;
    s->written = !s->failed;
    return fault;
}

enum fault segment_sync(struct segment *s)
{
    enum fault fault = segment_write(s);
    if (fault != FAULT_NONE || s->record_count == 0)
        return fault;
    fault = file_sync(s->file);
    if (fault != FAULT_NONE) {
        s->failed = true;
        return fault;
    }
    s->synced = page_round_up(s->synced + s->batch.len);
    s->sequence++;
    bool begun = begin_batch(s);
    check(begun); /* the memory is there: the buffer has held at least this much */
    return FAULT_NONE;
}

struct span segment_unsynced(const struct segment *s)
{
    return span_skip(buffer_span(&s->batch), BATCH_HEADER_BYTES);
}

uint64_t segment_synced(const struct segment *s)
{
    return s->synced;
}

uint64_t segment_room(const struct segment *s)
{
    uint64_t end = s->synced + s->batch.len;
    return end < s->bytes ? s->bytes - end : 0;
}

uint64_t segment_epoch(const struct segment *s)
{
    return s->epoch;
}
