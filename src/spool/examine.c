#include "spool/examine.h"

#include <string.h>

#include "base/encode.h"
#include "spool/examine_inside.h"

#define TEXT_BYTES_MAX  (64u * 1024 * 1024)
#define ARENA_BYTES_MAX (64u * 1024 * 1024) /* one envelope and its state */

enum fault examine_tell(struct examined *e, const char *what, enum fault fault)
{
    if (fault != FAULT_NONE)
        fprintf(e->out, "%s: %s\n", what, fault_text(fault));
    return fault;
}

/* The lock is tried for a moment only, so that a server may start while the spool is looked at. */
static enum fault look_for_server(struct world *w, const char *path, bool *is_busy_out)
{
    struct disk *probe;
    enum fault fault = disk_new(w, path, &probe);
    if (fault != FAULT_NONE)
        return fault;
    *is_busy_out = disk_lock(probe) == FAULT_DISK_LOCKED;
    disk_free(probe);
    return FAULT_NONE;
}

enum fault examine_open(struct examined *e, struct world *w, const char *path, FILE *out, bool lock)
{
    *e = (struct examined){.world = w, .out = out};
    buffer_init(&e->text, TEXT_BYTES_MAX);
    arena_init(&e->arena, ARENA_BYTES_MAX);
    enum fault fault = look_for_server(w, path, &e->is_busy);
    if (fault == FAULT_NONE)
        fault = disk_new(w, path, &e->disk);
    if (fault == FAULT_NONE && lock)
        fault = disk_lock(e->disk);
    if (fault == FAULT_NONE)
        fault = recovery_look(e->disk, &e->recovery);
    if (fault != FAULT_NONE)
        return examine_tell(e, path, fault);
    e->segments = recovery_segments(e->recovery, &e->segment_count);
    return FAULT_NONE;
}

void examine_close(struct examined *e)
{
    recovery_free(e->recovery);
    disk_free(e->disk);
    buffer_fini(&e->text);
    arena_fini(&e->arena);
}

enum fault examine_recover(struct examined *e)
{
    enum fault fault = FAULT_NONE;
    for (uint32_t i = 0; fault == FAULT_NONE && i < e->segment_count; i++)
        fault = recovery_scan(e->recovery, i);
    if (fault == FAULT_NONE)
        fault = recovery_resolve(e->recovery);
    return examine_tell(e, "spool", fault);
}

void examine_put_text(struct examined *e, FILE *to, struct span text)
{
    buffer_reset(&e->text);
    if (encode_escaped(&e->text, text) && e->text.len > 0)
        fwrite(e->text.data, 1, e->text.len, to);
}

void examine_put_json(struct examined *e, FILE *to, struct span text)
{
    buffer_reset(&e->text);
    if (encode_json_string(&e->text, text))
        fwrite(e->text.data, 1, e->text.len, to);
    else
        fputs("null", to);
}

const char *examine_standing(enum recipient_standing standing)
{
    switch (standing) {
    case RECIPIENT_WAITING:
        return "waiting";
    case RECIPIENT_DELIVERED:
        return "delivered";
    case RECIPIENT_FAILED:
        return "failed";
    case RECIPIENT_REMOVED:
        return "removed";
    }
    return "unknown";
}
