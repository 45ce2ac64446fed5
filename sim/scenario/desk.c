/*
 * desk: see desk.h.
 */
#include "sim/scenario/desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/scenario/wire.h"

#define PATIENCE_US (20 * SIM_SECOND)

struct desk {
    struct world *life;
    struct loop *loop;
    struct thread *thread;
    struct endpoint control;
    struct wire *wire;
    struct timer begin;
    char question[128];
    struct buffer answer;
    bool is_answered;
};

static void hang_up(struct desk *d)
{
    wire_free(d->wire);
    d->wire = NULL;
}

static void on_input(void *context)
{
    struct desk *d = context;
    struct span line;
    while (wire_line(d->wire, &line)) {
        if (span_starts_with(line, SPAN("{\"end\":true"))) {
            d->is_answered = true;
            hang_up(d);
            return;
        }
        (void)buffer_put(&d->answer, line);
        (void)buffer_put_u8(&d->answer, '\n');
    }
}

static void on_gone(void *context)
{
    hang_up(context);
}

static const struct wire_events wire_events = {.on_input = on_input, .on_gone = on_gone};

static void on_begin(void *context)
{
    struct desk *d = context;
    struct endpoint any = {0};
    struct wire_habits habits = {.silence_us_max = PATIENCE_US};
    d->wire = wire_connect(d->loop, d->control, any, &habits, &wire_events, d);
    if (d->wire != NULL)
        wire_put_text(d->wire, d->question);
}

static bool turn(void *context)
{
    struct desk *d = context;
    loop_poll(d->loop, true);
    return true;
}

struct desk *desk_new(struct machine *m, struct endpoint control)
{
    struct desk *d = calloc(1, sizeof *d);
    check(d != NULL);
    d->control = control;
    buffer_init(&d->answer, 16u * 1024 * 1024);
    timer_init(&d->begin, on_begin, d);
    d->life = life_begin(m);
    enum fault fault = loop_new(d->life, &d->loop);
    check(fault == FAULT_NONE);
    fault = thread_start(d->life, "desk", d->loop, turn, d, &d->thread);
    check(fault == FAULT_NONE);
    return d;
}

void desk_free(struct desk *d)
{
    thread_join(d->thread);
    timer_cancel(d->loop, &d->begin);
    hang_up(d);
    loop_free(d->loop);
    life_end(d->life);
    buffer_fini(&d->answer);
    free(d);
}

void desk_ask(struct desk *d, const char *question)
{
    hang_up(d);
    (void)snprintf(d->question, sizeof d->question, "%s\n", question);
    buffer_reset(&d->answer);
    d->is_answered = false;
    enum fault fault = timer_set(d->loop, &d->begin, loop_mono_us(d->loop));
    check(fault == FAULT_NONE);
}

bool desk_is_answered(const struct desk *d)
{
    return d->is_answered;
}

bool desk_is_busy(const struct desk *d)
{
    return d->wire != NULL || heap_contains(&d->begin.node);
}

struct span desk_answer(const struct desk *d)
{
    return buffer_span(&d->answer);
}

/* What follows "name": */
static struct span value_of(struct span row, const char *name)
{
    char key[64];
    int len = snprintf(key, sizeof key, "\"%s\":", name);
    check(len > 0 && (size_t)len < sizeof key);
    size_t at = span_find(row, span_text(key), 0);
    return span_skip(row, at == row.len ? at : at + (size_t)len);
}

bool desk_number(struct span row, const char *name, uint64_t *value_out)
{
    struct span value = value_of(row, name);
    size_t len = 0;
    while (len < value.len && value.data[len] >= '0' && value.data[len] <= '9')
        len++;
    return span_parse_u64(span_sub(value, 0, len), UINT64_MAX, value_out);
}

bool desk_text(struct span row, const char *name, struct span *text_out)
{
    struct span value = value_of(row, name);
    if (value.len == 0 || value.data[0] != '"')
        return false;
    *text_out = span_sub(value, 1, span_find_byte(value, '"', 1) - 1);
    return true;
}
