/*
 * The spool's readers: whatever lies on the disk, each of them ends with an answer, and what is
 * accepted is written again and means the same.
 *
 * The first byte chooses: a payload as it is; a segment as it is; a segment whose checksums are set
 * right first, so that what is behind them is reached.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "spool/envelope.h"
#include "spool/layout.h"
#include "spool/state.h"

#define ARENA_BYTES_MAX  (1024 * 1024)
#define OUTPUT_BYTES_MAX (4u * 1024 * 1024)
#define RECIPIENTS       3
#define EPOCH            1u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_recipients(const struct envelope *a, const struct envelope *b)
{
    for (uint32_t i = 0; i < a->recipient_count; i++) {
        const struct envelope_recipient *r = &a->recipients[i], *s = &b->recipients[i];
        if (!span_equal(r->path, s->path) || !span_equal(r->original, s->original) ||
            !span_equal(r->orcpt, s->orcpt) || r->notify != s->notify)
            return false;
    }
    return true;
}

static bool same_envelope(const struct envelope *a, const struct envelope *b)
{
    return a->arrival_wall_ms == b->arrival_wall_ms && a->content_bytes == b->content_bytes &&
           a->content_in_file == b->content_in_file && a->body_8bitmime == b->body_8bitmime &&
           a->has_dot_lines == b->has_dot_lines && span_equal(a->reverse_path, b->reverse_path) &&
           span_equal(a->client, b->client) && span_equal(a->helo, b->helo) &&
           a->smtputf8 == b->smtputf8 && a->ret == b->ret && span_equal(a->envid, b->envid) &&
           a->recipient_count == b->recipient_count && same_recipients(a, b);
}

/* What an index keeps of it is read as the same, but for prefix and content. */
static void read_head(struct span payload, const struct envelope *e, struct arena *arena)
{
    struct span head[2];
    struct envelope again;
    struct buffer joined;
    if (!envelope_head(payload, head))
        return; /* content that is not the last field */
    buffer_init(&joined, OUTPUT_BYTES_MAX);
    check(buffer_put(&joined, head[0]) && buffer_put(&joined, head[1]));
    enum fault fault = envelope_decode_head(buffer_span(&joined), arena, &again);
    check(fault == FAULT_NONE || fault == FAULT_NO_MEMORY);
    if (fault == FAULT_NONE)
        check(same_envelope(e, &again));
    buffer_fini(&joined);
}

static void read_envelope(struct span payload, struct arena *arena)
{
    struct envelope e, again;
    struct buffer written;
    if (envelope_decode(payload, arena, &e) != FAULT_NONE)
        return;
    read_head(payload, &e, arena);
    if (!e.content_in_file && e.content_bytes > ENVELOPE_INLINE_MAX)
        return; /* read, but never written */
    buffer_init(&written, OUTPUT_BYTES_MAX);
    check(envelope_encode(&e, &written) && written.len == envelope_encoded_bytes(&e));
    check(buffer_put(&written, e.content));
    enum fault fault = envelope_decode(buffer_span(&written), arena, &again);
    check(fault == FAULT_NONE || fault == FAULT_NO_MEMORY);
    if (fault == FAULT_NONE)
        check(same_envelope(&e, &again) && span_equal(e.content, again.content) &&
              span_equal(e.prefix, again.prefix));
    buffer_fini(&written);
}

static void read_state(struct span payload, struct arena *arena)
{
    struct message_state s, again;
    struct buffer written;
    uint32_t count = 0;
    bool is_counted = state_recipient_count(payload, &count);
    if (state_decode(payload, RECIPIENTS, arena, &s) != FAULT_NONE)
        return;
    check(is_counted && count == RECIPIENTS && s.recipient_count == RECIPIENTS);
    buffer_init(&written, OUTPUT_BYTES_MAX);
    check(state_encode(&s, &written));
    if (state_decode(buffer_span(&written), RECIPIENTS, arena, &again) == FAULT_NONE) {
        check(s.held == again.held && s.crashes == again.crashes);
        check(span_equal(s.reason, again.reason) && s.reply_count == again.reply_count);
        for (uint32_t i = 0; i < RECIPIENTS; i++)
            check(s.recipients[i].standing == again.recipients[i].standing &&
                  s.recipients[i].reply == again.recipients[i].reply);
    }
    buffer_fini(&written);
}

static void read_payload(struct span payload)
{
    struct arena arena;
    struct record member;
    arena_init(&arena, ARENA_BYTES_MAX);
    read_envelope(payload, &arena);
    arena_reset(&arena);
    read_state(payload, &arena);
    arena_fini(&arena);
    struct cursor group = cursor_over(payload);
    while (group_next(&group, &member))
        check(member.type != RECORD_GROUP && member.payload.len <= payload.len);
}

/* Every stretch that is synced is told of at most once, and everything lies within the segment. */
static void read_segment(struct span bytes)
{
    struct segment_header header;
    struct record record;
    struct walk walk;
    uint64_t offset, before = 0;
    (void)(segment_header_decode(bytes, &header) == FAULT_NONE);
    walk_init(&walk, bytes, EPOCH, 0);
    for (enum walk_step step; (step = walk_next(&walk, &record, &offset)) != WALK_OVER;) {
        if (step == WALK_DAMAGE) {
            check(walk.damage.from >= before && walk.damage.to > walk.damage.from);
            before = walk.damage.to;
            continue;
        }
        check(offset >= before && offset + RECORD_HEADER_BYTES + record.payload.len <= bytes.len);
        before = offset + RECORD_HEADER_BYTES + record.payload.len;
        read_payload(record.payload);
    }
}

static uint32_t u32_at(const uint8_t *at)
{
    struct cursor c = cursor_over(span_of(at, 4));
    return cursor_u32(&c);
}

/* Makes the record at `at` valid when its length lets it; how long it is, or 0. */
static size_t seal_record(uint8_t *at, size_t room)
{
    struct id id;
    if (room < RECORD_HEADER_BYTES)
        return 0;
    size_t len = u32_at(at) % 512;
    if (RECORD_HEADER_BYTES + len > room)
        len = room - RECORD_HEADER_BYTES;
    enum record_type type = (enum record_type)(1 + at[12] % RECORD_GROUP);
    memcpy(id.bytes, at + 16, sizeof id.bytes);
    record_encode_header(at, EPOCH, type, id, u32_at(at + 8), (uint32_t)len,
                         crc32c(0, span_of(at + RECORD_HEADER_BYTES, len)));
    return RECORD_HEADER_BYTES + len;
}

/* Each page whose first byte is even begins a batch of as many records as its header says, but for
 * what does not fit in. */
static void seal(uint8_t *bytes, size_t len)
{
    uint64_t sequence = 0;
    for (size_t page = SPOOL_PAGE; page + BATCH_HEADER_BYTES < len;) {
        uint8_t *batch = bytes + page;
        size_t used = BATCH_HEADER_BYTES, one;
        uint32_t count = 0, wanted = 1 + u32_at(batch + 8) % 8;
        bool is_batch = batch[0] % 2 == 0;
        while (is_batch && count < wanted &&
               (one = seal_record(batch + used, len - page - used)) > 0) {
            used += one;
            count++;
        }
        struct batch_header h = {(uint32_t)(used - BATCH_HEADER_BYTES), count,
                                 batch[16] % 2 == 0 ? page : 0, sequence++};
        if (count > 0)
            batch_header_encode(&h, EPOCH, batch);
        page += page_round_up(used);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span input = span_of(data + 1, size - 1);
    if (data[0] % 3 == 0) {
        read_payload(input);
    } else if (data[0] % 3 == 1) {
        read_segment(input);
    } else {
        /* The header page is left out of the input. */
        uint8_t *bytes = calloc(1, SPOOL_PAGE + input.len);
        if (bytes == NULL)
            return 0;
        if (input.len > 0)
            memcpy(bytes + SPOOL_PAGE, input.data, input.len);
        seal(bytes, SPOOL_PAGE + input.len);
        read_segment(span_of(bytes, SPOOL_PAGE + input.len));
        free(bytes);
    }
    return 0;
}
