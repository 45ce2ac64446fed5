#include "spool/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "spool/envelope.h"
#include "spool/segment.h"

/*
 * Header: magic 8, format u16, zero u16, number u32, epoch u64, synced u64, body bytes u64, entry
 * count u32, damage count u32, zero u64, zero u32, crc u32. Then the body: damages (from u64, to
 * u64), entries. Then a CRC u32 for each INDEX_BLOCK_BYTES of the body, of epoch, number of the
 * block, and the block.
 */
static const uint8_t magic[8] = {'P', 'R', 'I', 'N', 'D', 'E', 'X', '\n'};
#define INDEX_FORMAT 1
#define DAMAGE_BYTES 16
/* An entry: type u8, flags u8, zero u16, version u32, id 16, offset u32, bytes u32, payload length
 * u32; then the payload. */
#define ENTRY_BYTES 36
enum { FLAG_IN_GROUP = 1 };

struct index {
    uint8_t *memory;
    size_t len;
    struct span damages;
    struct span entries;
    uint64_t synced;
    uint64_t confirmed;
    uint32_t entry_count;
    uint32_t damage_count;
};

/* What index_build has so far. */
struct building {
    struct buffer entries;
    struct buffer damages;
    uint32_t entry_count;
    uint32_t damage_count;
    uint64_t walked;    /* where the walk ended */
    uint64_t confirmed; /* up to where a batch says that all was synced */
};

void index_name(uint32_t number, char name_out[INDEX_NAME_MAX])
{
    int len = snprintf(name_out, INDEX_NAME_MAX, "%08u.idx", number);
    check(len > 0 && len < INDEX_NAME_MAX);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put_u32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static void put_u64(uint8_t *at, uint64_t v)
{
    put_u32(at, (uint32_t)v);
    put_u32(at + 4, (uint32_t)(v >> 32));
}

static uint32_t block_crc(uint64_t epoch, uint32_t block, struct span bytes)
{
    uint8_t seed[12];
    put_u64(seed, epoch);
    put_u32(seed + 8, block);
    return crc32c(crc32c(0, span_of(seed, sizeof seed)), bytes);
}

static size_t block_count(size_t body_len)
{
    return (body_len + INDEX_BLOCK_BYTES - 1) / INDEX_BLOCK_BYTES;
}

/* Building ------------------------------------------------------------------------------------ */

static void kept_payload(const struct record *r, struct span parts_out[2])
{
    parts_out[0] = parts_out[1] = (struct span){NULL, 0};
    switch (r->type) {
    case RECORD_ACCEPTED:
        if (!envelope_head(r->payload, parts_out))
            parts_out[0] = parts_out[1] = (struct span){NULL, 0};
        return;
    case RECORD_OUTCOME:
    case RECORD_CONTROL:
        parts_out[0] = r->payload;
        return;
    case RECORD_SENDING:
    case RECORD_DONE:
    case RECORD_GROUP:
        return;
    }
}

static bool put_entry(struct building *b, const struct record *r, uint64_t offset, uint64_t bytes,
                      bool in_group)
{
    struct span parts[2];
    kept_payload(r, parts);
    uint32_t payload_len = (uint32_t)(parts[0].len + parts[1].len);
    uint8_t *entry = buffer_reserve(&b->entries, ENTRY_BYTES);
    if (entry == NULL)
        return false;
    memset(entry, 0, ENTRY_BYTES);
    entry[0] = (uint8_t)r->type;
    entry[1] = in_group ? FLAG_IN_GROUP : 0;
    put_u32(entry + 4, r->version);
    memcpy(entry + 8, r->id.bytes, sizeof r->id.bytes);
    put_u32(entry + 24, (uint32_t)offset);
    put_u32(entry + 28, (uint32_t)bytes);
    put_u32(entry + 32, payload_len);
    buffer_commit(&b->entries, ENTRY_BYTES);
    b->entry_count++;
    return buffer_put(&b->entries, parts[0]) && buffer_put(&b->entries, parts[1]);
}

static bool put_damage(struct building *b, struct damage damage)
{
    b->damage_count++;
    return buffer_put_u64(&b->damages, damage.from) && buffer_put_u64(&b->damages, damage.to);
}

static bool group_is_whole(struct span payload)
{
    struct cursor c = cursor_over(payload);
    struct record member;
    while (group_next(&c, &member)) {
    }
    return cursor_at_end(&c);
}

/* Both or neither: no member of a group that is not whole counts. */
static bool put_group(struct building *b, const struct record *group, uint64_t offset)
{
    if (!group_is_whole(group->payload))
        return put_damage(
            b, (struct damage){offset, offset + RECORD_HEADER_BYTES + group->payload.len});
    struct cursor c = cursor_over(group->payload);
    struct record member;
    bool ok = true;
    while (ok && group_next(&c, &member))
        ok = put_entry(b, &member, offset, GROUP_MEMBER_HEADER_BYTES + member.payload.len, true);
    return ok;
}

static bool walk_segment(struct building *b, struct span image, uint64_t epoch,
                         uint64_t synced_known)
{
    struct walk w;
    struct record r;
    uint64_t offset = 0;
    bool ok = true;
    walk_init(&w, image, epoch, synced_known);
    while (ok) {
        enum walk_step step = walk_next(&w, &r, &offset);
        if (step == WALK_OVER)
            break;
        if (step == WALK_DAMAGE)
            ok = put_damage(b, w.damage);
        else if (r.type == RECORD_GROUP)
            ok = put_group(b, &r, offset);
        else
            ok = put_entry(b, &r, offset, RECORD_HEADER_BYTES + r.payload.len, false);
    }
    b->walked = w.at < image.len ? w.at : image.len;
    b->confirmed = w.synced_seen > synced_known ? w.synced_seen : synced_known;
    return ok;
}

static void write_header(uint8_t *h, uint32_t number, uint64_t epoch, uint64_t synced,
                         const struct building *b, size_t body_len)
{
    memset(h, 0, INDEX_HEADER_BYTES);
    memcpy(h, magic, sizeof magic);
    h[8] = INDEX_FORMAT;
    put_u32(h + 12, number);
    put_u64(h + 16, epoch);
    put_u64(h + 24, synced);
    put_u64(h + 32, body_len);
    put_u32(h + 40, b->entry_count);
    put_u32(h + 44, b->damage_count);
    put_u32(h + 60, crc32c(0, span_of(h, INDEX_HEADER_BYTES - 4)));
}

/* Header, body and CRCs in one piece of memory, as in the file. */
static enum fault assemble(const struct building *b, uint32_t number, uint64_t epoch,
                           uint64_t synced, struct index **index_out)
{
    size_t body_len = b->damages.len + b->entries.len;
    size_t len = INDEX_HEADER_BYTES + body_len + 4 * block_count(body_len);
    uint8_t *memory = malloc(len);
    if (memory == NULL)
        return FAULT_NO_MEMORY;
    write_header(memory, number, epoch, synced, b, body_len);
    uint8_t *body = memory + INDEX_HEADER_BYTES, *crc = body + body_len;
    if (b->damages.len > 0)
        memcpy(body, b->damages.data, b->damages.len);
    if (b->entries.len > 0)
        memcpy(body + b->damages.len, b->entries.data, b->entries.len);
    for (uint32_t i = 0; i < block_count(body_len); i++, crc += 4) {
        struct span block =
            span_sub(span_of(body, body_len), (size_t)i * INDEX_BLOCK_BYTES, INDEX_BLOCK_BYTES);
        put_u32(crc, block_crc(epoch, i, block));
    }
    return index_decode(memory, len, number, epoch, index_out);
}

static void begin(struct building *b)
{
    *b = (struct building){.entry_count = 0};
    buffer_init(&b->entries, INDEX_BYTES_MAX);
    buffer_init(&b->damages, INDEX_BYTES_MAX);
}

static void end(struct building *b)
{
    buffer_fini(&b->entries);
    buffer_fini(&b->damages);
}

enum fault index_build(struct span image, uint64_t epoch, uint64_t synced_known, uint32_t number,
                       struct index **index_out)
{
    check(image.len <= SEGMENT_BYTES);
    struct building b;
    begin(&b);
    enum fault fault = FAULT_NO_MEMORY;
    if (walk_segment(&b, image, epoch, synced_known))
        fault = assemble(&b, number, epoch, b.walked > synced_known ? b.walked : synced_known,
                         index_out);
    if (fault == FAULT_NONE)
        (*index_out)->confirmed = b.confirmed;
    end(&b);
    return fault;
}

/* How long the batch at the begin of the piece is; 0: there is none. */
static size_t batch_bytes(struct span piece, uint64_t epoch)
{
    struct batch_header h;
    if (batch_header_decode(piece, epoch, &h) != FAULT_NONE)
        return 0;
    return BATCH_HEADER_BYTES + (size_t)h.record_bytes;
}

/* A piece that begins with the whole batch at w->at. */
static enum fault next_piece(const struct index_source *source, struct walk *w, uint64_t synced)
{
    struct span piece;
    uint64_t left = synced - w->at;
    enum fault fault = source->read(source->context, w->at, SPOOL_PAGE, &piece);
    size_t need = fault == FAULT_NONE ? batch_bytes(piece, w->epoch) : 0;
    if (need > piece.len && need <= left)
        fault = source->read(source->context, w->at, need, &piece);
    if (fault != FAULT_NONE)
        return fault;
    if (need == 0 || need > piece.len || need > left)
        return FAULT_DAMAGED;
    walk_piece(w, span_sub(piece, 0, left < SEGMENT_BYTES ? (size_t)left : SEGMENT_BYTES));
    return FAULT_NONE;
}

/* Another whole batch of it? */
static bool piece_has_more(const struct walk *w)
{
    struct span rest = span_skip(w->image, (size_t)(w->at - w->base));
    size_t bytes = batch_bytes(rest, w->epoch);
    return bytes > 0 && bytes <= rest.len;
}

static enum fault walk_in_piece(struct building *b, struct walk *w)
{
    struct record r;
    uint64_t offset = 0;
    do {
        if (walk_next(w, &r, &offset) != WALK_RECORD)
            return FAULT_DAMAGED;
        bool ok = r.type == RECORD_GROUP
                      ? put_group(b, &r, offset)
                      : put_entry(b, &r, offset, RECORD_HEADER_BYTES + r.payload.len, false);
        if (!ok)
            return FAULT_NO_MEMORY;
    } while (w->records_left > 0 || piece_has_more(w));
    return FAULT_NONE;
}

enum fault index_build_pieces(const struct index_source *source, uint64_t epoch, uint64_t synced,
                              uint32_t number, struct index **index_out)
{
    struct building b;
    struct walk w;
    enum fault fault = FAULT_NONE;
    begin(&b);
    walk_init(&w, (struct span){NULL, 0}, epoch, synced);
    while (fault == FAULT_NONE && w.at < synced) {
        fault = next_piece(source, &w, synced);
        if (fault == FAULT_NONE)
            fault = walk_in_piece(&b, &w);
    }
    if (fault == FAULT_NONE)
        fault = assemble(&b, number, epoch, synced, index_out);
    end(&b);
    return fault;
}

/* Reading ------------------------------------------------------------------------------------- */

static bool type_is_kept(uint8_t type)
{
    return type >= RECORD_ACCEPTED && type <= RECORD_DONE;
}

/* Every entry once, so that a walk later need not doubt anything. */
static bool entries_are_whole(const struct index *x)
{
    struct index_entry e;
    size_t at = 0;
    uint32_t count = 0;
    while (index_next(x, &at, &e))
        count++;
    return at == x->entries.len && count == x->entry_count;
}

static bool blocks_are_whole(struct span body, struct span crcs, uint64_t epoch)
{
    struct cursor c = cursor_over(crcs);
    for (uint32_t i = 0; i < block_count(body.len); i++) {
        struct span block = span_sub(body, (size_t)i * INDEX_BLOCK_BYTES, INDEX_BLOCK_BYTES);
        if (cursor_u32(&c) != block_crc(epoch, i, block))
            return false;
    }
    return cursor_at_end(&c);
}

static enum fault take_header(struct index *x, uint32_t number, uint64_t epoch,
                              uint64_t *body_len_out)
{
    struct span file = span_of(x->memory, x->len);
    struct cursor c = cursor_over(file);
    struct span found_magic = cursor_bytes(&c, sizeof magic);
    uint16_t format = cursor_u16(&c);
    (void)cursor_u16(&c);
    uint32_t found_number = cursor_u32(&c);
    uint64_t found_epoch = cursor_u64(&c);
    x->synced = cursor_u64(&c);
    *body_len_out = cursor_u64(&c);
    x->entry_count = cursor_u32(&c);
    x->damage_count = cursor_u32(&c);
    (void)cursor_bytes(&c, 12);
    uint32_t crc = cursor_u32(&c);
    if (!cursor_ok(&c) || !span_equal(found_magic, span_of(magic, sizeof magic)))
        return FAULT_DAMAGED;
    if (crc != crc32c(0, span_sub(file, 0, INDEX_HEADER_BYTES - 4)))
        return FAULT_DAMAGED;
    if (format > INDEX_FORMAT)
        return FAULT_SYNTAX;
    return found_number == number && found_epoch == epoch && format != 0 ? FAULT_NONE
                                                                         : FAULT_DAMAGED;
}

static enum fault take_file(struct index *x, uint32_t number, uint64_t epoch)
{
    uint64_t body_len = 0;
    enum fault fault = take_header(x, number, epoch, &body_len);
    if (fault != FAULT_NONE)
        return fault;
    struct span rest = span_skip(span_of(x->memory, x->len), INDEX_HEADER_BYTES);
    if (body_len > rest.len || (uint64_t)x->damage_count * DAMAGE_BYTES > body_len)
        return FAULT_DAMAGED;
    struct span body = span_sub(rest, 0, (size_t)body_len);
    if (!blocks_are_whole(body, span_skip(rest, (size_t)body_len), epoch))
        return FAULT_DAMAGED;
    x->damages = span_sub(body, 0, (size_t)x->damage_count * DAMAGE_BYTES);
    x->entries = span_skip(body, x->damages.len);
    x->confirmed = x->synced;
    return entries_are_whole(x) ? FAULT_NONE : FAULT_DAMAGED;
}

enum fault index_decode(uint8_t *memory, size_t len, uint32_t number, uint64_t epoch,
                        struct index **index_out)
{
    struct index *x = calloc(1, sizeof *x);
    if (x == NULL) {
        free(memory);
        return FAULT_NO_MEMORY;
    }
    x->memory = memory;
    x->len = len;
    enum fault fault = take_file(x, number, epoch);
    if (fault != FAULT_NONE) {
        index_free(x);
        return fault;
    }
    *index_out = x;
    return FAULT_NONE;
}

struct span index_bytes(const struct index *x)
{
    return span_of(x->memory, x->len);
}

bool index_at(const struct index *x, size_t at, struct index_entry *entry_out)
{
    if (at > x->entries.len || x->entries.len - at < ENTRY_BYTES)
        return false;
    const uint8_t *entry = x->entries.data + at;
    uint32_t payload_len = get_u32(entry + 32);
    if (payload_len > x->entries.len - at - ENTRY_BYTES || !type_is_kept(entry[0]))
        return false;
    *entry_out = (struct index_entry){.type = (enum record_type)entry[0],
                                      .in_group = (entry[1] & FLAG_IN_GROUP) != 0,
                                      .version = get_u32(entry + 4),
                                      .offset = get_u32(entry + 24),
                                      .bytes = get_u32(entry + 28),
                                      .payload = span_of(entry + ENTRY_BYTES, payload_len)};
    memcpy(entry_out->id.bytes, entry + 8, sizeof entry_out->id.bytes);
    return true;
}

bool index_next(const struct index *x, size_t *at, struct index_entry *entry_out)
{
    if (!index_at(x, *at, entry_out))
        return false;
    *at += ENTRY_BYTES + entry_out->payload.len;
    return true;
}

uint32_t index_entry_count(const struct index *x)
{
    return x->entry_count;
}

uint64_t index_synced(const struct index *x)
{
    return x->synced;
}

uint64_t index_confirmed(const struct index *x)
{
    return x->confirmed;
}

uint32_t index_damage_count(const struct index *x)
{
    return x->damage_count;
}

struct damage index_damage(const struct index *x, uint32_t i)
{
    check(i < x->damage_count);
    struct cursor c = cursor_over(span_sub(x->damages, (size_t)i * DAMAGE_BYTES, DAMAGE_BYTES));
    struct damage d = {.from = cursor_u64(&c)};
    d.to = cursor_u64(&c);
    return d;
}

void index_free(struct index *x)
{
    if (x == NULL)
        return;
    free(x->memory);
    free(x);
}
