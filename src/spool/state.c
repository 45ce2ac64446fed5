#include "spool/state.h"

#include "base/check.h"
#include "base/cursor.h"
#include "spool/envelope.h"

/* Layout: version u8 (1), held u8, crashes u8, flags u8 (1 delivering, 2 delay told), reply count
 * u16, reason length u16, run count u32, reason, replies (length u16, text), runs. */
#define STATE_LAYOUT 1
/* A run: count u32, standing u8, report u8, attempts u16, reply u16, zero u16, due u64. */
#define RUN_BYTES 20

enum { FLAG_DELIVERING = 1, FLAG_DELAY_TOLD = 2 };

static bool same(const struct recipient_state *a, const struct recipient_state *b)
{
    return a->standing == b->standing && a->attempts == b->attempts && a->reply == b->reply &&
           a->due_wall_ms == b->due_wall_ms && a->report == b->report;
}

static uint32_t run_length(const struct message_state *s, uint32_t from)
{
    uint32_t n = 1;
    while (from + n < s->recipient_count && same(&s->recipients[from], &s->recipients[from + n]))
        n++;
    return n;
}

static uint32_t count_runs(const struct message_state *s)
{
    uint32_t runs = 0;
    for (uint32_t i = 0; i < s->recipient_count; i += run_length(s, i))
        runs++;
    return runs;
}

static bool put_text(struct buffer *out, struct span text)
{
    struct span cut = span_sub(text, 0, STATE_REPLY_BYTES_MAX);
    return buffer_put_u16(out, (uint16_t)cut.len) && buffer_put(out, cut);
}

static bool put_run(struct buffer *out, const struct recipient_state *r, uint32_t count)
{
    return buffer_put_u32(out, count) && buffer_put_u8(out, (uint8_t)r->standing) &&
           buffer_put_u8(out, (uint8_t)r->report) && buffer_put_u16(out, r->attempts) &&
           buffer_put_u16(out, r->reply) && buffer_put_u16(out, 0) &&
           buffer_put_u64(out, (uint64_t)r->due_wall_ms);
}

bool state_encode(const struct message_state *s, struct buffer *out)
{
    check(s->reply_count <= STATE_REPLIES_MAX);
    uint8_t flags = (uint8_t)((s->is_delivering ? FLAG_DELIVERING : 0) |
                              (s->is_delay_told ? FLAG_DELAY_TOLD : 0));
    bool ok = buffer_put_u8(out, STATE_LAYOUT) && buffer_put_u8(out, s->held) &&
              buffer_put_u8(out, s->crashes) && buffer_put_u8(out, flags) &&
              buffer_put_u16(out, s->reply_count) && buffer_put_u32(out, count_runs(s)) &&
              put_text(out, s->reason);
    for (uint16_t i = 0; ok && i < s->reply_count; i++)
        ok = put_text(out, s->replies[i]);
    for (uint32_t i = 0; ok && i < s->recipient_count;) {
        uint32_t run = run_length(s, i);
        ok = put_run(out, &s->recipients[i], run);
        i += run;
    }
    return ok;
}

static struct span take_text(struct cursor *c)
{
    uint16_t len = cursor_u16(c);
    if (len > STATE_REPLY_BYTES_MAX)
        cursor_fail(c);
    return cursor_bytes(c, len);
}

static void take_run(struct cursor *c, struct message_state *s)
{
    uint32_t count = cursor_u32(c);
    uint8_t standing = cursor_u8(c);
    uint8_t report = cursor_u8(c);
    struct recipient_state r = {.report = (enum recipient_report)report, .attempts = cursor_u16(c)};
    r.reply = cursor_u16(c);
    (void)cursor_u16(c);
    r.due_wall_ms = (int64_t)cursor_u64(c);
    r.standing = (enum recipient_standing)standing;
    bool reply_fits = r.reply == STATE_NO_REPLY || r.reply < s->reply_count;
    bool standing_fits = standing >= RECIPIENT_WAITING && standing <= RECIPIENT_REMOVED;
    if (!reply_fits || !standing_fits || report > REPORT_EXPANDED)
        cursor_fail(c);
    if (cursor_ok(c)) {
        for (uint32_t i = 0; i < count; i++)
            s->recipients[s->recipient_count++] = r;
    }
}

/* How many recipients the runs describe, by a walk that allocates nothing; they are the last `runs`
 * × RUN_BYTES bytes. */
static bool runs_describe(struct span runs, uint32_t recipient_count)
{
    uint64_t sum = 0;
    for (size_t at = 0; at < runs.len; at += RUN_BYTES) {
        struct cursor c = cursor_over(span_sub(runs, at, RUN_BYTES));
        uint32_t count = cursor_u32(&c);
        if (count == 0)
            return false;
        sum += count;
    }
    return sum == recipient_count;
}

enum fault state_decode(struct span payload, uint32_t recipient_count, struct arena *arena,
                        struct message_state *state_out)
{
    struct cursor c = cursor_over(payload);
    uint8_t layout = cursor_u8(&c);
    struct message_state s = {.held = cursor_u8(&c) != 0};
    s.crashes = cursor_u8(&c);
    uint8_t flags = cursor_u8(&c);
    s.is_delivering = (flags & FLAG_DELIVERING) != 0;
    s.is_delay_told = (flags & FLAG_DELAY_TOLD) != 0;
    s.reply_count = cursor_u16(&c);
    uint32_t runs = cursor_u32(&c);
    s.reason = take_text(&c);
    if (!cursor_ok(&c) || layout != STATE_LAYOUT)
        return FAULT_DAMAGED;
    if (s.reply_count > STATE_REPLIES_MAX || runs > recipient_count)
        return FAULT_DAMAGED;
    if (c.rest.len < (size_t)s.reply_count * 2 + (size_t)runs * RUN_BYTES)
        return FAULT_DAMAGED; /* before anything is allocated for them */

    s.replies = arena_alloc(arena, (s.reply_count + (size_t)1) * sizeof *s.replies);
    s.recipients = arena_alloc(arena, (recipient_count + (size_t)1) * sizeof *s.recipients);
    if (s.replies == NULL || s.recipients == NULL)
        return FAULT_NO_MEMORY;
    for (uint16_t i = 0; i < s.reply_count; i++)
        s.replies[i] = take_text(&c);
    if (!cursor_ok(&c) || c.rest.len != (size_t)runs * RUN_BYTES)
        return FAULT_DAMAGED;
    if (!runs_describe(c.rest, recipient_count))
        return FAULT_DAMAGED;
    for (uint32_t i = 0; i < runs; i++)
        take_run(&c, &s);
    if (!cursor_at_end(&c))
        return FAULT_DAMAGED;
    *state_out = s;
    return FAULT_NONE;
}

bool state_recipient_count(struct span payload, uint32_t *count_out)
{
    struct cursor c = cursor_over(payload);
    (void)cursor_bytes(&c, 6);
    uint32_t runs = cursor_u32(&c);
    uint64_t sum = 0;
    if (!cursor_ok(&c) || (uint64_t)runs * RUN_BYTES > c.rest.len)
        return false;
    c.rest = span_skip(c.rest, c.rest.len - (size_t)runs * RUN_BYTES); /* they are the last */
    for (uint32_t i = 0; i < runs; i++) {
        sum += cursor_u32(&c);
        (void)cursor_bytes(&c, RUN_BYTES - 4);
    }
    if (sum == 0 || sum > ENVELOPE_RECIPIENTS_MAX)
        return false;
    *count_out = (uint32_t)sum;
    return true;
}
