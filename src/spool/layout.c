#include "spool/layout.h"

#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"

static const uint8_t segment_magic[8] = {'P', 'R', 'S', 'P', 'O', 'O', 'L', '\n'};
static const uint8_t batch_magic[4] = {'B', 'A', 'T', 'C'};

static void put(uint8_t **at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *(*at)++ = (uint8_t)(v >> (8 * i));
}

static uint32_t seeded_crc(uint64_t seed, struct span bytes)
{
    uint8_t seed_bytes[8], *at = seed_bytes;
    put(&at, seed, 8);
    return crc32c(crc32c(0, span_of(seed_bytes, 8)), bytes);
}

uint64_t page_round_up(uint64_t bytes)
{
    return (bytes + SPOOL_PAGE - 1) / SPOOL_PAGE * SPOOL_PAGE;
}

/* magic 8, format u16, use u8, zero u8, number u32, epoch u64, spool id 16, zeros, crc u32 at 60.
 */
void segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_BYTES])
{
    memset(out, 0, SEGMENT_HEADER_BYTES);
    memcpy(out, segment_magic, sizeof segment_magic);
    uint8_t *at = out + 8;
    put(&at, h->format, 2);
    put(&at, (uint64_t)h->use, 2);
    put(&at, h->number, 4);
    put(&at, h->epoch, 8);
    memcpy(at, h->spool_id.bytes, sizeof h->spool_id.bytes);
    at = out + SEGMENT_HEADER_BYTES - 4;
    put(&at, seeded_crc(0, span_of(out, SEGMENT_HEADER_BYTES - 4)), 4);
}

enum fault segment_header_decode(struct span bytes, struct segment_header *header_out)
{
    if (bytes.len < SEGMENT_HEADER_BYTES)
        return FAULT_DAMAGED;
    struct cursor c = cursor_over(span_sub(bytes, 0, SEGMENT_HEADER_BYTES));
    struct span magic = cursor_bytes(&c, sizeof segment_magic);
    uint16_t format = cursor_u16(&c);
    uint16_t use = cursor_u16(&c);
    uint32_t number = cursor_u32(&c);
    uint64_t epoch = cursor_u64(&c);
    struct span spool_id = cursor_bytes(&c, sizeof(struct id));
    (void)cursor_bytes(&c, SEGMENT_HEADER_BYTES - 4 - 40);
    uint32_t crc = cursor_u32(&c);
    if (!span_equal(magic, span_of(segment_magic, sizeof segment_magic)))
        return FAULT_DAMAGED;
    if (crc != seeded_crc(0, span_sub(bytes, 0, SEGMENT_HEADER_BYTES - 4)))
        return FAULT_DAMAGED;
    if (format > SPOOL_FORMAT)
        return FAULT_SYNTAX;
    bool free = use == SEGMENT_FREE && epoch == 0;
    bool live = use == SEGMENT_LIVE && epoch != 0;
    if (format == 0 || !(free || live))
        return FAULT_DAMAGED;
    *header_out = (struct segment_header){
        .use = (enum segment_use)use, .format = format, .number = number, .epoch = epoch};
    memcpy(header_out->spool_id.bytes, spool_id.data, spool_id.len);
    return FAULT_NONE;
}

/* magic 4, record bytes u32, record count u32, zero u32, synced u64, sequence u64, zero u32, crc
 * u32. */
void batch_header_encode(const struct batch_header *h, uint64_t epoch,
                         uint8_t out[BATCH_HEADER_BYTES])
{
    uint8_t *at = out + sizeof batch_magic;
    memcpy(out, batch_magic, sizeof batch_magic);
    put(&at, h->record_bytes, 4);
    put(&at, h->record_count, 4);
    put(&at, 0, 4);
    put(&at, h->synced, 8);
    put(&at, h->sequence, 8);
    put(&at, 0, 4);
    put(&at, seeded_crc(epoch, span_of(out, BATCH_HEADER_BYTES - 4)), 4);
}

enum fault batch_header_decode(struct span bytes, uint64_t epoch, struct batch_header *header_out)
{
    if (bytes.len < BATCH_HEADER_BYTES)
        return FAULT_DAMAGED;
    struct cursor c = cursor_over(span_sub(bytes, 0, BATCH_HEADER_BYTES));
    struct span magic = cursor_bytes(&c, sizeof batch_magic);
    struct batch_header h = {.record_bytes = cursor_u32(&c), .record_count = cursor_u32(&c)};
    (void)cursor_u32(&c);
    h.synced = cursor_u64(&c);
    h.sequence = cursor_u64(&c);
    (void)cursor_u32(&c);
    uint32_t crc = cursor_u32(&c);
    if (!span_equal(magic, span_of(batch_magic, sizeof batch_magic)))
        return FAULT_DAMAGED;
    if (crc != seeded_crc(epoch, span_sub(bytes, 0, BATCH_HEADER_BYTES - 4)))
        return FAULT_DAMAGED;
    if (h.record_count == 0 || h.record_bytes > SEGMENT_BYTES)
        return FAULT_DAMAGED;
    *header_out = h;
    return FAULT_NONE;
}

void walk_init(struct walk *w, struct span image, uint64_t epoch, uint64_t synced_known)
{
    *w = (struct walk){
        .image = image, .epoch = epoch, .synced_known = synced_known, .at = SPOOL_PAGE};
}

void walk_piece(struct walk *w, struct span piece)
{
    check(w->records_left == 0);
    w->image = piece;
    w->base = w->at;
}

/* Where the bytes that are at hand end. */
static uint64_t end_of(const struct walk *w)
{
    return w->base + w->image.len;
}

static bool batch_at(const struct walk *w, uint64_t offset, struct batch_header *header_out)
{
    struct span bytes = span_skip(w->image, (size_t)(offset - w->base));
    return batch_header_decode(bytes, w->epoch, header_out) == FAULT_NONE &&
           header_out->sequence >= w->sequence_next;
}

/*
 * The bytes at w->at are not what they should be. They were synced if an offset from elsewhere says
 * so, or if a later batch of this epoch says that it knew; then they are damage, and the walk goes
 * on at that batch. Otherwise they are the torn tail.
 */
static enum walk_step lost(struct walk *w)
{
    uint64_t from = w->at;
    uint64_t page = page_round_up(from);
    struct batch_header header;
    if (page == from)
        page += SPOOL_PAGE;
    for (; page < end_of(w); page += SPOOL_PAGE) {
        if (batch_at(w, page, &header) && header.synced > from)
            break;
    }
    w->records_left = 0;
    if (page >= end_of(w) && w->synced_known <= from) {
        w->end = WALK_TORN;
        return WALK_OVER;
    }
    w->at = page < end_of(w) ? page : end_of(w);
    w->damage = (struct damage){from, w->at < end_of(w) ? w->at : w->synced_known};
    w->damage_count++;
    return WALK_DAMAGE;
}

/* True when the walk stands at something that was never written in this epoch: no batch of it
 * follows. */
static bool nothing_follows(const struct walk *w)
{
    struct batch_header header;
    if (w->synced_known > w->at)
        return false;
    for (uint64_t page = w->at; page < end_of(w); page += SPOOL_PAGE) {
        if (batch_at(w, page, &header))
            return false;
    }
    return true;
}

static enum walk_step enter_batch(struct walk *w, bool *entered_out)
{
    struct batch_header header;
    *entered_out = false;
    if (w->at >= end_of(w) || nothing_follows(w)) {
        w->end = WALK_END;
        return WALK_OVER;
    }
    if (!batch_at(w, w->at, &header))
        return lost(w);
    w->records_left = header.record_count;
    w->batch_end = w->at + BATCH_HEADER_BYTES + header.record_bytes;
    w->sequence_next = header.sequence + 1;
    if (header.synced > w->synced_seen)
        w->synced_seen = header.synced;
    w->at += BATCH_HEADER_BYTES;
    *entered_out = true;
    return WALK_RECORD;
}

enum walk_step walk_next(struct walk *w, struct record *record_out, uint64_t *offset_out)
{
    if (w->end != WALK_GOING)
        return WALK_OVER;
    if (w->records_left == 0) {
        bool entered;
        enum walk_step step = enter_batch(w, &entered);
        if (!entered)
            return step;
    }
    size_t used = 0;
    uint64_t end = w->batch_end < end_of(w) ? w->batch_end : end_of(w);
    struct span bytes =
        span_sub(w->image, (size_t)(w->at - w->base), end > w->at ? (size_t)(end - w->at) : 0);
    if (record_decode(bytes, w->epoch, record_out, &used) != FAULT_NONE)
        return lost(w);
    *offset_out = w->at;
    w->at += used;
    if (--w->records_left == 0)
        w->at = page_round_up(w->batch_end);
    return WALK_RECORD;
}
