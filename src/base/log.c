/*
 * log: see log.h.
 *
 * A line is built in `line`, whose limit leaves room for the end (`ENDING_MAX`), so that even a cut
 * line is a whole one and valid JSON. A finished line moves to `waiting` if there is room, else it
 * is counted as lost; the first line that finds room again is preceded by a log-dropped line.
 */
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/calendar.h"
#include "base/check.h"
#include "base/encode.h"

#define ENDING_MAX         24  /* the mark of a cut line, closing brace, line feed */
#define ESCAPED_BYTES_MAX  6   /* one byte of a value as \u00XX */
#define KEY_DECORATION_MAX 16  /* blanks, comma, quotes, equals sign around a key and its value */
#define DROPPED_LINE_MAX   160 /* a log-dropped line is shorter */

struct log {
    struct log_sink sink;
    enum log_format format;
    enum log_level most;
    uint64_t dropped;
    uint64_t dropped_unreported;
    bool stuck; /* the sink took nothing: it is not asked again before the next flush */
    struct buffer line;
    struct buffer waiting;
    char time[CALENDAR_ISO_LEN + 1];
    int64_t wall_ms;
};

struct row {
    const char *name;
    const char *help;
    enum log_level level;
};

static const struct row rows[EVENT_COUNT] = {
#define EVENT(name, text, level, help) [EVENT_##name] = {text, help, LOG_##level},
#include "base/event.def"
#undef EVENT
};

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
    [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

static const struct row *row_of(enum event event)
{
    unsigned index = (unsigned)event;
    check(index < EVENT_COUNT);
    return &rows[index];
}

const char *event_name(enum event event)
{
    return row_of(event)->name;
}

enum log_level event_level(enum event event)
{
    return row_of(event)->level;
}

const char *event_help(enum event event)
{
    return row_of(event)->help;
}

struct log *log_new(struct log_sink sink, enum log_format format, enum log_level most)
{
    struct log *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->sink = sink;
    l->format = format;
    l->most = most;
    buffer_init(&l->line, LOG_LINE_MAX);
    buffer_init(&l->waiting, LOG_BUFFER_MAX);
    calendar_format_iso(0, l->time);
    return l;
}

void log_free(struct log *l)
{
    if (l == NULL)
        return;
    log_flush(l);
    buffer_fini(&l->line);
    buffer_fini(&l->waiting);
    free(l);
}

void log_set_time(struct log *l, int64_t wall_ms)
{
    if (l == NULL || wall_ms == l->wall_ms)
        return;
    l->wall_ms = wall_ms;
    calendar_format_iso(wall_ms, l->time);
}

bool log_wants(const struct log *l, enum event event)
{
    return l != NULL && event_level(event) <= l->most;
}

uint64_t log_dropped(const struct log *l)
{
    return l == NULL ? 0 : l->dropped;
}

/* A value that needs no quotes: not empty, printable, no blank, quote or backslash. */
static bool is_bare(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t byte = s.data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '\\')
            return false;
    }
    return s.len > 0;
}

static bool put_text(struct log *l, struct span value)
{
    if (l->format == LOG_JSON)
        return encode_json_string(&l->line, value);
    if (is_bare(value))
        return buffer_put(&l->line, value);
    return buffer_put_u8(&l->line, '"') && encode_escaped(&l->line, value) &&
           buffer_put_u8(&l->line, '"');
}

static bool put_key(struct log *l, const char *key)
{
    if (l->format == LOG_JSON)
        return buffer_printf(&l->line, ",\"%s\":", key);
    return buffer_printf(&l->line, " %s=", key);
}

static bool put_value(struct log *l, const struct log_field *field)
{
    char text[ID_TEXT_LEN + 1];
    switch (field->kind) {
    case LOG_KIND_SPAN:
        return put_text(l, field->value.span);
    case LOG_KIND_U64:
        return buffer_printf(&l->line, "%" PRIu64, field->value.u64);
    case LOG_KIND_I64:
        return buffer_printf(&l->line, "%" PRId64, field->value.i64);
    case LOG_KIND_ID:
        id_format(field->value.id, text);
        return put_text(l, span_of(text, ID_TEXT_LEN));
    case LOG_KIND_FAULT:
        return put_text(l, span_text(fault_name(field->value.fault)));
    }
    check(false);
}

static bool try_field(struct log *l, const struct log_field *field)
{
    size_t before = l->line.len;
    if (put_key(l, field->key) && put_value(l, field))
        return true;
    l->line.len = before;
    l->line.full = false;
    return false;
}

/* False when the field had to be cut or left out. A value is cut to what fits however it must be
   escaped. */
static bool put_field(struct log *l, const struct log_field *field)
{
    if (try_field(l, field))
        return true;
    if (field->kind == LOG_KIND_SPAN) {
        struct log_field cut = *field;
        size_t room = l->line.max - l->line.len;
        size_t taken = span_text(field->key).len + KEY_DECORATION_MAX;
        if (taken < room) {
            cut.value.span = span_sub(cut.value.span, 0, (room - taken) / ESCAPED_BYTES_MAX);
            (void)try_field(l, &cut);
        }
    }
    return false;
}

static void put_head(struct log *l, const struct row *row)
{
    const char *level = level_names[row->level];
    if (l->format == LOG_JSON)
        (void)buffer_printf(&l->line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", l->time,
                            level, row->name);
    else
        (void)buffer_printf(&l->line, "%s %s %s", l->time, level, row->name);
}

static void put_ending(struct log *l, bool cut)
{
    l->line.max = LOG_LINE_MAX;
    if (cut)
        (void)buffer_put_text(&l->line,
                              l->format == LOG_JSON ? ",\"truncated\":true" : " truncated=yes");
    (void)buffer_put_text(&l->line, l->format == LOG_JSON ? "}\n" : "\n");
}

static void build_line(struct log *l, enum event event, const struct log_field *fields,
                       size_t count)
{
    bool cut = false;
    buffer_reset(&l->line);
    l->line.max = LOG_LINE_MAX - ENDING_MAX;
    put_head(l, row_of(event));
    for (size_t i = 0; i < count; i++)
        cut |= !put_field(l, &fields[i]);
    put_ending(l, cut);
}

/* For a line of any length after the report of a loss: else the reports of single lines would fill
   what is left. */
static bool has_room(const struct log *l)
{
    return l->waiting.max - l->waiting.len >= DROPPED_LINE_MAX + LOG_LINE_MAX;
}

/* Reports what was lost before anything newer is written. */
static bool put_dropped_line(struct log *l)
{
    if (l->dropped_unreported == 0)
        return true;
    if (!has_room(l))
        return false;
    struct log_field count = log_u64("count", l->dropped_unreported);
    build_line(l, EVENT_LOG_DROPPED, &count, 1);
    if (l->line.full || !buffer_put(&l->waiting, buffer_span(&l->line))) {
        l->waiting.full = false;
        return false;
    }
    l->dropped_unreported = 0;
    return true;
}

/* One write of all that waits. */
static void drain(struct log *l)
{
    if (l->waiting.len == 0 || l->stuck)
        return;
    size_t taken = l->sink.write(l->sink.context, buffer_span(&l->waiting));
    check(taken <= l->waiting.len);
    l->stuck = taken == 0;
    buffer_consume(&l->waiting, taken);
}

void log_event(struct log *l, enum event event, const struct log_field *fields, size_t count)
{
    if (!log_wants(l, event))
        return;
    if (!has_room(l))
        drain(l);
    if (put_dropped_line(l)) {
        build_line(l, event, fields, count);
        if (!l->line.full && buffer_put(&l->waiting, buffer_span(&l->line)))
            return;
    }
    l->waiting.full = false;
    l->dropped++;
    l->dropped_unreported++;
}

void log_flush(struct log *l)
{
    if (l == NULL)
        return;
    l->stuck = false;
    drain(l);
    if (l->dropped_unreported > 0 && put_dropped_line(l))
        drain(l);
}

struct log_field log_span(const char *key, struct span value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_SPAN, .value.span = value};
}

struct log_field log_text(const char *key, const char *value)
{
    return log_span(key, span_text(value));
}

struct log_field log_u64(const char *key, uint64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_U64, .value.u64 = value};
}

struct log_field log_i64(const char *key, int64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_I64, .value.i64 = value};
}

struct log_field log_id(const char *key, struct id value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_ID, .value.id = value};
}

struct log_field log_fault(const char *key, enum fault value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_FAULT, .value.fault = value};
}
