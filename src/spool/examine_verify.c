/*
 * examine_verify: the part of examine.h that checks.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "spool/content.h"
#include "spool/examine_inside.h"
#include "spool/segment.h"

struct verification {
    struct examined e;
    enum examine_format format;
    uint64_t records, content_files, orphans, damages;
    uint32_t live, free, unwritten, indexes;
};

/* One finding. `to` 0: it is at one place, not a stretch. */
static void report(struct verification *v, const char *file, uint64_t from, uint64_t to,
                   const char *what)
{
    FILE *out = v->e.out;
    v->damages++;
    if (v->format == EXAMINE_JSON) {
        fputs("{\"file\":", out);
        examine_put_json(&v->e, out, span_text(file));
        fprintf(out, ",\"from\":%" PRIu64 ",\"to\":%" PRIu64 ",\"damage\":", from, to);
        examine_put_json(&v->e, out, span_text(what));
        fputs("}\n", out);
    } else if (to > 0) {
        fprintf(out, "%s: %" PRIu64 " to %" PRIu64 ": %s\n", file, from, to, what);
    } else {
        fprintf(out, "%s: %" PRIu64 ": %s\n", file, from, what);
    }
}

/* A server may have freed or recycled the segment while it was being read. */
static bool has_changed(struct verification *v, const struct recovered_segment *s)
{
    char name[SEGMENT_NAME_MAX];
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    struct segment_header h;
    struct file *f;
    size_t got = 0;
    if (!v->e.is_busy)
        return false;
    segment_name(s->number, name);
    if (file_open(v->e.disk, name, DISK_READ, &f) != FAULT_NONE)
        return true;
    enum fault fault = file_read(f, 0, bytes, sizeof bytes, &got);
    file_close(f);
    return fault != FAULT_NONE || segment_header_decode(span_of(bytes, got), &h) != FAULT_NONE ||
           h.epoch != s->epoch;
}

static void verify_entry(struct verification *v, const char *name, const struct index_entry *entry)
{
    struct envelope envelope;
    v->records++;
    if (entry->type != RECORD_ACCEPTED)
        return;
    arena_reset(&v->e.arena);
    if (envelope_decode_head(entry->payload, &v->e.arena, &envelope) != FAULT_NONE)
        report(v, name, entry->offset, 0, "the envelope of a message cannot be read");
}

/* `fresh` is from the segment's bytes, `stored` the index file, or NULL. */
static void compare(struct verification *v, const struct recovered_segment *s,
                    const struct index *fresh, const struct index *stored)
{
    char name[SEGMENT_NAME_MAX], index[INDEX_NAME_MAX];
    struct index_entry entry;
    segment_name(s->number, name);
    index_name(s->number, index);
    for (uint32_t i = 0; i < index_damage_count(fresh); i++) {
        struct damage d = index_damage(fresh, i);
        report(v, name, d.from, d.to, "was synced once, and cannot be read");
    }
    bool differs = stored != NULL && !span_equal(index_bytes(fresh), index_bytes(stored));
    if (differs && index_damage_count(fresh) == index_damage_count(stored))
        report(v, index, 0, 0, "is not what the segment says");
    for (size_t at = 0; index_next(fresh, &at, &entry);)
        verify_entry(v, name, &entry);
}

static enum fault verify_image(struct verification *v, const struct recovered_segment *s,
                               struct span image, struct index *stored)
{
    char name[SEGMENT_NAME_MAX];
    struct index *fresh;
    uint64_t synced = stored == NULL ? 0 : index_synced(stored);
    if (stored != NULL)
        image = span_sub(image, 0, (size_t)synced); /* what lies beyond was left out on purpose */
    if (synced > image.len && !has_changed(v, s)) {
        segment_name(s->number, name);
        report(v, name, image.len, synced, "the file ends before what was synced");
    }
    if (synced > image.len)
        synced = image.len;
    enum fault fault = index_build(image, s->epoch, synced, s->number, &fresh);
    if (fault != FAULT_NONE)
        return fault;
    if (!has_changed(v, s))
        compare(v, s, fresh, stored);
    index_free(fresh);
    return FAULT_NONE;
}

static enum fault verify_live(struct verification *v, const struct recovered_segment *s)
{
    char name[SEGMENT_NAME_MAX], index[INDEX_NAME_MAX];
    struct index *stored = NULL;
    uint8_t *memory;
    size_t len;
    segment_name(s->number, name);
    index_name(s->number, index);
    v->live++;
    enum fault fault = index_load(v->e.disk, s->number, s->epoch, &stored);
    if (fault == FAULT_NONE)
        v->indexes++;
    else if (fault != FAULT_NOT_FOUND && !has_changed(v, s))
        report(v, index, 0, 0, "cannot be used; the next start makes it again");
    fault = segment_image(v->e.disk, s->number, &memory, &len);
    if (fault == FAULT_NONE) {
        fault = verify_image(v, s, span_of(memory, len), stored);
        free(memory);
    } else if (fault != FAULT_NO_MEMORY && !has_changed(v, s)) {
        report(v, name, 0, 0, fault_text(fault));
        fault = FAULT_NONE;
    }
    index_free(stored);
    return fault;
}

static enum fault verify_segment(struct verification *v, const struct recovered_segment *s)
{
    char name[SEGMENT_NAME_MAX];
    segment_name(s->number, name);
    if (s->is_free) {
        v->free++;
        return FAULT_NONE;
    }
    if (!s->is_broken)
        return verify_live(v, s);
    if (s->damage_count > 0)
        report(v, name, 0, SEGMENT_HEADER_BYTES,
               "the header is damaged: whatever lies in this segment is not seen");
    else
        v->unwritten++;
    return FAULT_NONE;
}

static void verify_content(struct verification *v, const struct recovered_message *m)
{
    char name[CONTENT_NAME_MAX];
    struct content c;
    content_name(m->id, name);
    content_begin(&c, v->e.disk, m->id);
    do
        content_do(&c, CONTENT_READ);
    while (c.fault == FAULT_NONE && c.bytes.len > 0);
    v->content_files++;
    /* Beside a server the message may just have ended. */
    if (c.fault != FAULT_NONE && !(c.fault == FAULT_NOT_FOUND && v->e.is_busy))
        report(v, name, c.total_bytes, 0, fault_text(c.fault));
    if (c.fault == FAULT_NONE && c.total_bytes != m->envelope.content_bytes)
        report(v, name, c.total_bytes, 0, "has another length than its envelope says");
    content_fini(&c);
}

static void verify_message(struct verification *v, const struct recovered_message *m)
{
    struct recovered_place place;
    char name[SEGMENT_NAME_MAX];
    bool has_state = recovery_place_of(v->e.recovery, m->id, &place) && place.state.bytes > 0;
    if (has_state && m->state.recipient_count == 0) {
        segment_name(place.state.segment, name);
        report(v, name, place.state.offset, 0,
               "the state of a message cannot be read: all its recipients count as waiting");
    }
    if (m->envelope.content_in_file)
        verify_content(v, m);
}

static enum fault verify_messages_of(struct verification *v, uint32_t i, struct recovered_batch *b)
{
    struct recovery_position at = {0};
    enum fault fault;
    while ((fault = recovery_messages(v->e.recovery, i, &at, b)) == FAULT_NONE &&
           b->place_count > 0)
        for (uint32_t m = 0; m < b->message_count; m++)
            verify_message(v, &b->messages[m]);
    return fault;
}

static enum fault verify_messages(struct verification *v)
{
    struct recovered_batch batch = {0};
    enum fault fault = examine_recover(&v->e);
    if (fault == FAULT_NONE && !recovered_batch_init(&batch))
        fault = examine_tell(&v->e, "messages", FAULT_NO_MEMORY);
    for (uint32_t i = 0; fault == FAULT_NONE && i < v->e.segment_count; i++)
        fault = examine_tell(&v->e, "messages", verify_messages_of(v, i, &batch));
    recovered_batch_fini(&batch);
    for (size_t at = 0; fault == FAULT_NONE && recovery_orphan(v->e.recovery, &at) != NULL;)
        v->orphans++;
    return fault;
}

static void summarize_json(struct verification *v)
{
    struct recovery_counts c = recovery_counts(v->e.recovery);
    fprintf(v->e.out,
            "{\"segments\":%u,\"live\":%u,\"free\":%u,\"unwritten\":%u,\"indexes\":%u,"
            "\"records\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"perhaps_sent\":%" PRIu64
            ",\"copies\":%" PRIu64 ",\"content_files\":%" PRIu64 ",\"orphans\":%" PRIu64
            ",\"damages\":%" PRIu64 ",\"server_is_running\":%s,\"clean\":%s}\n",
            v->e.segment_count, v->live, v->free, v->unwritten, v->indexes, v->records, c.living,
            c.sending, c.copies, v->content_files, v->orphans, v->damages,
            v->e.is_busy ? "true" : "false", v->damages == 0 ? "true" : "false");
}

static void summarize(struct verification *v)
{
    struct recovery_counts c = recovery_counts(v->e.recovery);
    FILE *out = v->e.out;
    fprintf(out, "segments       %u: %u live, %u free, %u not yet written\n", v->e.segment_count,
            v->live, v->free, v->unwritten);
    fprintf(out, "indexes        %u\n", v->indexes);
    fprintf(out, "records        %" PRIu64 "\n", v->records);
    fprintf(out, "messages       %" PRIu64 ", of which %" PRIu64 " perhaps sent already\n",
            c.living, c.sending);
    fprintf(out, "content files  %" PRIu64 ", and %" PRIu64 " that no message names\n",
            v->content_files, v->orphans);
    if (v->e.is_busy)
        fputs("A server is using this spool: what is found is true for this moment.\n", out);
    if (v->damages == 0)
        fputs("clean\n", out);
    else
        fprintf(out, "NOT clean: damage in %" PRIu64 " places\n", v->damages);
}

enum fault examine_verify(struct world *w, const char *path, enum examine_format format, FILE *out,
                          bool *clean_out)
{
    struct verification v = {.format = format};
    *clean_out = false;
    enum fault fault = examine_open(&v.e, w, path, out, false);
    for (uint32_t i = 0; fault == FAULT_NONE && i < v.e.segment_count; i++)
        fault = examine_tell(&v.e, "segments", verify_segment(&v, &v.e.segments[i]));
    if (fault == FAULT_NONE)
        fault = verify_messages(&v);
    if (fault == FAULT_NONE) {
        if (format == EXAMINE_JSON)
            summarize_json(&v);
        else
            summarize(&v);
        *clean_out = v.damages == 0;
    }
    examine_close(&v.e);
    return fault;
}
