/*
 * log: one line a decision: `2026-11-24T05:03:27.123Z notice message-accepted id=… from=<a@b>
 * size=4096`, or the same as JSON.
 *
 * The events are the rows of event.def. Values are always escaped (encode_escaped; JSON strings in
 * JSON): bytes from a peer can neither forge a line nor reach a terminal. Lines are gathered and
 * handed to the sink at log_flush (once per loop turn); a sink that cannot take them makes the log
 * count and report the loss, it never waits (LOG_BUFFER_MAX). One log per thread; many logs may
 * share a descriptor, since each flush is one write.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/fault.h"
#include "base/id.h"
#include "base/span.h"

#define LOG_BUFFER_MAX (64 * 1024)
#define LOG_LINE_MAX   4096

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

enum event {
#define EVENT(name, text, level, help) EVENT_##name,
#include "base/event.def"
#undef EVENT
    EVENT_COUNT
};

enum log_kind { LOG_KIND_SPAN, LOG_KIND_U64, LOG_KIND_I64, LOG_KIND_ID, LOG_KIND_FAULT };

struct log_field {
    const char *key;
    enum log_kind kind;
    union {
        struct span span;
        uint64_t u64;
        int64_t i64;
        struct id id;
        enum fault fault;
    } value;
};

/* Takes whole lines; answers how many bytes it took (0: none now). Never blocks. */
struct log_sink {
    size_t (*write)(void *context, struct span lines);
    void *context;
};

struct log;
/* NULL when memory is short. */
struct log *log_new(struct log_sink sink, enum log_format format, enum log_level most);
void log_free(struct log *l);                      /* flushes once */
void log_set_time(struct log *l, int64_t wall_ms); /* the loop sets it once per turn */
bool log_wants(const struct log *l, enum event event);
/* A NULL log takes everything and writes nothing. */
void log_event(struct log *l, enum event event, const struct log_field *fields, size_t count);
void log_flush(struct log *l);
uint64_t log_dropped(const struct log *l); /* lines lost so far */
const char *event_name(enum event event);
enum log_level event_level(enum event event);
const char *event_help(enum event event);

/* Values are referred to, not copied: they live until log_event returns. */
struct log_field log_span(const char *key, struct span value);
struct log_field log_text(const char *key, const char *value); /* NUL-terminated */
struct log_field log_u64(const char *key, uint64_t value);
struct log_field log_i64(const char *key, int64_t value);
struct log_field log_id(const char *key, struct id value);
struct log_field log_fault(const char *key, enum fault value);

/* LOG(log, EVENT_X, log_id("id", id), log_u64("size", n)); evaluates its fields only when the
   event is wanted. */
#define LOG(l, event, ...)                                                                    \
    do {                                                                                      \
        if (log_wants((l), (event))) {                                                        \
            const struct log_field log_fields_[] = {__VA_ARGS__};                             \
            log_event((l), (event), log_fields_, sizeof log_fields_ / sizeof log_fields_[0]); \
        }                                                                                     \
    } while (0)

#endif
