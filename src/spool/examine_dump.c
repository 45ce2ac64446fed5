/*
 * examine_dump: the part of examine.h that prints the records.
 */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "spool/examine_inside.h"
#include "spool/segment.h"

#define RECIPIENTS_IN_TEXT 20 /* the rest of a line of text is a number; JSON has them all */

static const char *type_name(enum record_type type)
{
    switch (type) {
    case RECORD_ACCEPTED:
        return "ACCEPTED";
    case RECORD_SENDING:
        return "SENDING";
    case RECORD_OUTCOME:
        return "OUTCOME";
    case RECORD_CONTROL:
        return "CONTROL";
    case RECORD_DONE:
        return "DONE";
    case RECORD_GROUP:
        return "GROUP";
    }
    return "UNKNOWN";
}

static void put_if_any(struct examined *e, const char *key, struct span value)
{
    if (value.len == 0)
        return;
    fputs(key, e->out);
    examine_put_text(e, e->out, value);
}

/* What was asked for one recipient, behind his address, when anything was. */
static void wishes_text(struct examined *e, const struct envelope_recipient *r)
{
    char notify[NOTIFY_TEXT_MAX];
    put_if_any(e, "(for ", r->original);
    if (r->original.len > 0)
        fputc(')', e->out);
    put_if_any(e, " NOTIFY=", notify_text(r->notify, notify));
    put_if_any(e, " ORCPT=", r->orcpt);
}

static void envelope_text(struct examined *e, const struct envelope *v)
{
    fputs(" from=<", e->out);
    examine_put_text(e, e->out, v->reverse_path);
    fputs("> to=", e->out);
    for (uint32_t i = 0; i < v->recipient_count && i < RECIPIENTS_IN_TEXT; i++) {
        fputs(i == 0 ? "<" : ",<", e->out);
        examine_put_text(e, e->out, v->recipients[i].path);
        fputc('>', e->out);
        wishes_text(e, &v->recipients[i]);
    }
    if (v->recipient_count > RECIPIENTS_IN_TEXT)
        fprintf(e->out, ",+%u", v->recipient_count - RECIPIENTS_IN_TEXT);
    put_if_any(e, " RET=", notify_return_text(v->ret));
    put_if_any(e, " ENVID=", v->envid);
    fprintf(e->out, "%s content=%" PRIu64 "%s", v->smtputf8 ? " SMTPUTF8" : "", v->content_bytes,
            v->content_in_file ? " file" : "");
}

static void json_if_any(struct examined *e, const char *key, struct span value)
{
    if (value.len == 0)
        return;
    fprintf(e->out, ",\"%s\":", key);
    examine_put_json(e, e->out, value);
}

/* Those of whom something was asked, by their number. */
static void wishes_json(struct examined *e, const struct envelope *v)
{
    bool is_first = true;
    fputs(",\"wishes\":[", e->out);
    for (uint32_t i = 0; i < v->recipient_count; i++) {
        const struct envelope_recipient *r = &v->recipients[i];
        char notify[NOTIFY_TEXT_MAX];
        if (r->original.len == 0 && r->orcpt.len == 0 && r->notify == 0)
            continue;
        fprintf(e->out, "%s{\"recipient\":%u", is_first ? "" : ",", i);
        json_if_any(e, "original", r->original);
        json_if_any(e, "orcpt", r->orcpt);
        json_if_any(e, "notify", notify_text(r->notify, notify));
        fputc('}', e->out);
        is_first = false;
    }
    fputc(']', e->out);
}

static void envelope_json(struct examined *e, const struct envelope *v)
{
    fputs(",\"sender\":", e->out);
    examine_put_json(e, e->out, v->reverse_path);
    fputs(",\"recipients\":[", e->out);
    for (uint32_t i = 0; i < v->recipient_count; i++) {
        if (i > 0)
            fputc(',', e->out);
        examine_put_json(e, e->out, v->recipients[i].path);
    }
    fputc(']', e->out);
    wishes_json(e, v);
    json_if_any(e, "ret", notify_return_text(v->ret));
    json_if_any(e, "envid", v->envid);
    fprintf(e->out, ",\"smtputf8\":%s,\"content_bytes\":%" PRIu64 ",\"content_in_file\":%s",
            v->smtputf8 ? "true" : "false", v->content_bytes,
            v->content_in_file ? "true" : "false");
}

static void count_standings(const struct message_state *s, uint32_t counts[RECIPIENT_REMOVED + 1])
{
    memset(counts, 0, (RECIPIENT_REMOVED + 1) * sizeof *counts);
    for (uint32_t i = 0; i < s->recipient_count; i++) {
        check(s->recipients[i].standing <= RECIPIENT_REMOVED);
        counts[s->recipients[i].standing]++;
    }
}

static void state_text(struct examined *e, const struct message_state *s)
{
    uint32_t counts[RECIPIENT_REMOVED + 1];
    count_standings(s, counts);
    for (unsigned i = RECIPIENT_WAITING; i <= RECIPIENT_REMOVED; i++)
        if (counts[i] > 0)
            fprintf(e->out, " %s=%u", examine_standing((enum recipient_standing)i), counts[i]);
    if (s->held)
        fputs(" held", e->out);
    if (s->crashes > 0)
        fprintf(e->out, " crashes=%u", s->crashes);
    if (s->reason.len > 0) {
        fputs(" reason=\"", e->out);
        examine_put_text(e, e->out, s->reason);
        fputc('"', e->out);
    }
    if (s->reply_count > 0) {
        fputs(" reply=\"", e->out);
        examine_put_text(e, e->out, s->replies[s->reply_count - 1]);
        fputc('"', e->out);
    }
}

static void state_json(struct examined *e, const struct message_state *s)
{
    uint32_t counts[RECIPIENT_REMOVED + 1];
    count_standings(s, counts);
    for (unsigned i = RECIPIENT_WAITING; i <= RECIPIENT_REMOVED; i++)
        fprintf(e->out, ",\"%s\":%u", examine_standing((enum recipient_standing)i), counts[i]);
    fprintf(e->out, ",\"held\":%s,\"crashes\":%u,\"reason\":", s->held ? "true" : "false",
            s->crashes);
    examine_put_json(e, e->out, s->reason);
    fputs(",\"replies\":[", e->out);
    for (uint16_t i = 0; i < s->reply_count; i++) {
        if (i > 0)
            fputc(',', e->out);
        examine_put_json(e, e->out, s->replies[i]);
    }
    fputc(']', e->out);
}

/* What is in the payload, behind what every record has. */
static void put_payload(struct examined *e, enum examine_format format,
                        const struct index_entry *entry)
{
    struct envelope envelope;
    struct message_state state;
    uint32_t count;
    bool is_base = entry->type == RECORD_ACCEPTED;
    bool is_state = entry->type == RECORD_OUTCOME || entry->type == RECORD_CONTROL;
    arena_reset(&e->arena);
    if (is_base && envelope_decode_head(entry->payload, &e->arena, &envelope) == FAULT_NONE) {
        if (format == EXAMINE_JSON)
            envelope_json(e, &envelope);
        else
            envelope_text(e, &envelope);
    } else if (is_state && state_recipient_count(entry->payload, &count) &&
               state_decode(entry->payload, count, &e->arena, &state) == FAULT_NONE) {
        if (format == EXAMINE_JSON)
            state_json(e, &state);
        else
            state_text(e, &state);
    } else if (is_base || is_state) {
        fputs(format == EXAMINE_JSON ? ",\"damaged\":true" : " DAMAGED", e->out);
    }
}

static void dump_entry(struct examined *e, enum examine_format format, const char *name,
                       const struct index_entry *entry)
{
    char id[ID_TEXT_LEN + 1];
    id_format(entry->id, id);
    if (format == EXAMINE_JSON)
        fprintf(e->out,
                "{\"file\":\"%s\",\"offset\":%u,\"bytes\":%u,\"type\":\"%s\",\"id\":\"%s\","
                "\"version\":%u,\"in_group\":%s",
                name, entry->offset, entry->bytes, type_name(entry->type), id, entry->version,
                entry->in_group ? "true" : "false");
    else
        fprintf(e->out, "%s %8u %-8s %s version=%u bytes=%u%s", name, entry->offset,
                type_name(entry->type), id, entry->version, entry->bytes,
                entry->in_group ? " group" : "");
    put_payload(e, format, entry);
    fputs(format == EXAMINE_JSON ? "}\n" : "\n", e->out);
}

static void dump_damage(struct examined *e, enum examine_format format, const char *name,
                        struct damage d)
{
    if (format == EXAMINE_JSON)
        fprintf(e->out,
                "{\"file\":\"%s\",\"offset\":%" PRIu64 ",\"bytes\":%" PRIu64
                ",\"type\":\"damage\"}\n",
                name, d.from, d.to - d.from);
    else
        fprintf(e->out, "%s %8" PRIu64 " DAMAGE   to %" PRIu64 "\n", name, d.from, d.to);
}

static enum fault dump_segment(struct examined *e, enum examine_format format,
                               const struct recovered_segment *s)
{
    char name[SEGMENT_NAME_MAX];
    struct index *x;
    struct index_entry entry;
    segment_name(s->number, name);
    if (s->is_free || s->is_broken)
        return FAULT_NONE;
    enum fault fault = index_look(e->disk, s->number, s->epoch, &x);
    if (fault != FAULT_NONE)
        return fault;
    for (size_t at = 0; index_next(x, &at, &entry);)
        dump_entry(e, format, name, &entry);
    for (uint32_t i = 0; i < index_damage_count(x); i++)
        dump_damage(e, format, name, index_damage(x, i));
    index_free(x);
    return FAULT_NONE;
}

enum fault examine_dump(struct world *w, const char *path, enum examine_format format, FILE *out)
{
    struct examined e;
    enum fault fault = examine_open(&e, w, path, out, false);
    for (uint32_t i = 0; fault == FAULT_NONE && i < e.segment_count; i++)
        fault = examine_tell(&e, "segments", dump_segment(&e, format, &e.segments[i]));
    if (fault == FAULT_NONE && e.is_busy && format == EXAMINE_TEXT)
        fputs("A server is using this spool: what is found is true for this moment.\n", out);
    examine_close(&e);
    return fault;
}
