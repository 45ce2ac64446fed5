/*
 * examine_export: the part of examine.h that writes messages into an ordinary folder.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/calendar.h"
#include "spool/content.h"
#include "spool/examine_inside.h"

#define PATH_BYTES_MAX 4096

struct exporting {
    struct examined e;
    const char *to;
    struct recovered_batch batch;
    uint8_t *image; /* of the segment at hand */
    size_t image_len;
    uint64_t exported, failed;
};

/* A new file in the folder: "wx" never replaces one. */
static enum fault new_file(const struct exporting *x, struct id id, const char *suffix,
                           FILE **file_out)
{
    char path[PATH_BYTES_MAX], text[ID_TEXT_LEN + 1];
    id_format(id, text);
    int len = snprintf(path, sizeof path, "%s/%s.%s", x->to, text, suffix);
    if (len < 0 || (size_t)len >= sizeof path)
        return FAULT_TOO_LONG;
    *file_out = fopen(path, "wxb");
    return *file_out != NULL ? FAULT_NONE : fault_of_errno(errno);
}

static enum fault end_file(FILE *file, enum fault fault)
{
    bool failed = ferror(file) != 0;
    int error = fclose(file) == 0 ? 0 : errno;
    if (fault != FAULT_NONE)
        return fault;
    if (error != 0)
        return fault_of_errno(error);
    return failed ? FAULT_DISK_ERROR : FAULT_NONE;
}

/* Why a record is not what the scan saw: it has changed since, or memory was short. */
static enum fault base_payload(const struct exporting *x, const struct recovered_segment *s,
                               struct id id, uint32_t offset, struct span *payload_out)
{
    struct record r;
    size_t used;
    struct span bytes = span_skip(span_of(x->image, x->image_len), offset);
    enum fault fault = record_decode(bytes, s->epoch, &r, &used);
    if (fault != FAULT_NONE)
        return fault;
    struct record found = r;
    struct cursor members = cursor_over(r.payload);
    bool is_it = r.type == RECORD_ACCEPTED && id_equal(r.id, id);
    while (!is_it && r.type == RECORD_GROUP && group_next(&members, &found))
        is_it = found.type == RECORD_ACCEPTED && id_equal(found.id, id);
    *payload_out = found.payload;
    return is_it ? FAULT_NONE : FAULT_DAMAGED;
}

static void put_span(FILE *file, struct span bytes)
{
    if (bytes.len > 0)
        fwrite(bytes.data, 1, bytes.len, file);
}

static enum fault put_content_file(struct exporting *x, FILE *file,
                                   const struct recovered_message *m)
{
    struct content c;
    content_begin(&c, x->e.disk, m->id);
    do {
        content_do(&c, CONTENT_READ);
        put_span(file, c.bytes);
    } while (c.fault == FAULT_NONE && c.bytes.len > 0);
    enum fault fault = c.fault;
    if (fault == FAULT_NONE && c.total_bytes != m->envelope.content_bytes)
        fault = FAULT_DAMAGED;
    content_fini(&c);
    return fault;
}

static enum fault export_content(struct exporting *x, const struct recovered_segment *s,
                                 const struct recovered_message *m)
{
    struct recovered_place place;
    struct span payload = {NULL, 0};
    struct envelope envelope;
    FILE *file;
    if (!recovery_place_of(x->e.recovery, m->id, &place))
        return FAULT_NOT_FOUND;
    enum fault fault = base_payload(x, s, m->id, place.base.offset, &payload);
    arena_reset(&x->e.arena);
    if (fault == FAULT_NONE)
        fault = envelope_decode(payload, &x->e.arena, &envelope);
    if (fault == FAULT_NONE)
        fault = new_file(x, m->id, "eml", &file);
    if (fault != FAULT_NONE)
        return fault;
    put_span(file, envelope.prefix);
    put_span(file, envelope.content);
    if (envelope.content_in_file)
        fault = put_content_file(x, file, m);
    return end_file(file, fault);
}

static void put_time(FILE *file, const char *key, int64_t wall_ms)
{
    char text[CALENDAR_ISO_LEN + 1];
    calendar_format_iso(wall_ms, text);
    fprintf(file, "\"%s\": \"%s\"", key, text);
}

static void put_text(struct exporting *x, FILE *file, const char *key, struct span text)
{
    fprintf(file, "\"%s\": ", key);
    examine_put_json(&x->e, file, text);
}

static void put_text_if_any(struct exporting *x, FILE *file, const char *key, struct span text)
{
    if (text.len == 0)
        return;
    fputs(", ", file);
    put_text(x, file, key, text);
}

static void put_recipient(struct exporting *x, FILE *file, const struct recovered_message *m,
                          uint32_t i)
{
    static const struct recipient_state fresh = {RECIPIENT_WAITING, 0, STATE_NO_REPLY, 0,
                                                 REPORT_NONE};
    bool known = m->state.recipient_count > i;
    const struct recipient_state *r = known ? &m->state.recipients[i] : &fresh;
    fputs(i == 0 ? "\n    {" : ",\n    {", file);
    const struct envelope_recipient *asked = &m->envelope.recipients[i];
    char notify[NOTIFY_TEXT_MAX];
    put_text(x, file, "address", asked->path);
    put_text_if_any(x, file, "original", asked->original);
    put_text_if_any(x, file, "orcpt", asked->orcpt);
    put_text_if_any(x, file, "notify", notify_text(asked->notify, notify));
    fprintf(file, ", \"standing\": \"%s\", \"attempts\": %u", examine_standing(r->standing),
            r->attempts);
    if (known && r->standing == RECIPIENT_WAITING) {
        fputs(", ", file);
        put_time(file, "due", r->due_wall_ms);
    }
    if (r->reply != STATE_NO_REPLY && r->reply < m->state.reply_count) {
        fputs(", ", file);
        put_text(x, file, "reply", m->state.replies[r->reply]);
    }
    fputc('}', file);
}

static enum fault export_envelope(struct exporting *x, const struct recovered_message *m)
{
    FILE *file;
    char id[ID_TEXT_LEN + 1];
    enum fault fault = new_file(x, m->id, "envelope", &file);
    if (fault != FAULT_NONE)
        return fault;
    id_format(m->id, id);
    fprintf(file, "{\n  \"id\": \"%s\",\n  ", id);
    put_time(file, "arrival", m->envelope.arrival_wall_ms);
    fputs(",\n  ", file);
    put_text(x, file, "sender", m->envelope.reverse_path);
    fputs(",\n  ", file);
    put_text(x, file, "client", m->envelope.client);
    fputs(",\n  ", file);
    put_text(x, file, "helo", m->envelope.helo);
    fputs(",\n  ", file);
    put_text(x, file, "envid", m->envelope.envid);
    fputs(",\n  ", file);
    put_text(x, file, "ret", notify_return_text(m->envelope.ret));
    fprintf(file, ",\n  \"smtputf8\": %s,\n  \"body_8bitmime\": %s,\n  \"held\": %s,\n  ",
            m->envelope.smtputf8 ? "true" : "false", m->envelope.body_8bitmime ? "true" : "false",
            m->state.held ? "true" : "false");
    put_text(x, file, "reason", m->state.reason);
    fprintf(file, ",\n  \"version\": %u,\n  \"perhaps_sent\": %s,\n  \"recipients\": [", m->version,
            m->sending ? "true" : "false");
    for (uint32_t i = 0; i < m->envelope.recipient_count; i++)
        put_recipient(x, file, m, i);
    fputs("\n  ]\n}\n", file);
    return end_file(file, FAULT_NONE);
}

/* The content last: an .eml that is there has its envelope. */
static void export_message(struct exporting *x, const struct recovered_segment *s,
                           const struct recovered_message *m)
{
    char id[ID_TEXT_LEN + 1];
    enum fault fault = export_envelope(x, m);
    if (fault == FAULT_NONE)
        fault = export_content(x, s, m);
    if (fault == FAULT_NONE) {
        x->exported++;
        return;
    }
    x->failed++;
    id_format(m->id, id);
    fprintf(x->e.out, "%s: %s\n", id, fault_text(fault));
}

static enum fault export_segment(struct exporting *x, uint32_t i)
{
    const struct recovered_segment *s = &x->e.segments[i];
    struct recovery_position at = {0};
    enum fault fault;
    while ((fault = recovery_messages(x->e.recovery, i, &at, &x->batch)) == FAULT_NONE &&
           x->batch.place_count > 0) {
        if (x->image == NULL)
            fault = segment_image(x->e.disk, s->number, &x->image, &x->image_len);
        if (fault != FAULT_NONE)
            return fault;
        for (uint32_t m = 0; m < x->batch.message_count; m++)
            export_message(x, s, &x->batch.messages[m]);
    }
    free(x->image);
    x->image = NULL;
    return fault;
}

enum fault examine_export(struct world *w, const char *path, const char *to, FILE *out)
{
    struct exporting x = {.to = to};
    enum fault fault = examine_open(&x.e, w, path, out, true);
    if (fault == FAULT_NONE)
        fault = examine_recover(&x.e);
    if (fault == FAULT_NONE && !recovered_batch_init(&x.batch))
        fault = examine_tell(&x.e, "messages", FAULT_NO_MEMORY);
    if (fault == FAULT_NONE && mkdir(to, 0700) != 0 && errno != EEXIST)
        fault = examine_tell(&x.e, to, fault_of_errno(errno));
    for (uint32_t i = 0; fault == FAULT_NONE && i < x.e.segment_count; i++)
        fault = examine_tell(&x.e, "segments", export_segment(&x, i));
    uint64_t damages = 0;
    for (uint32_t i = 0; i < x.e.segment_count; i++)
        damages += x.e.segments[i].damage_count;
    if (fault == FAULT_NONE) {
        fprintf(out, "%" PRIu64 " messages exported, %" PRIu64 " not\n", x.exported, x.failed);
        if (damages > 0)
            fprintf(out, "The spool is damaged in %" PRIu64 " places: see spool verify.\n",
                    damages);
        fault = x.failed > 0 || damages > 0 ? FAULT_DAMAGED : FAULT_NONE;
    }
    recovered_batch_fini(&x.batch);
    examine_close(&x.e);
    return fault;
}
