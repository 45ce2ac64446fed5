/*
 * house: see house.h.
 */
#include "sim/scenario/house.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define SMTP_PORT    25
#define CONTROL_PORT 700
#define ADDRESS      ((struct endpoint){.family = 4, .ip = {10, 0, 0, 1}})
#define LINE_MAX     (64 * 1024)
#define STOP_US_MAX  ((ENGINE_STOP_LIMIT_MS + 100) * INT64_C(1000))
#define STARTS_MAX   200 /* that fail in a row, in peace or not */

/* The log. ---------------------------------------------------------------------------------------
 */

static struct span next_word(struct span *rest)
{
    struct span word;
    *rest = span_split(*rest, ' ', &word);
    return word;
}

/* "id=X" among the fields */
static struct span field_id(struct span fields)
{
    while (fields.len > 0) {
        struct span word = next_word(&fields);
        if (span_starts_with(word, SPAN("id=")))
            return span_skip(word, 3);
    }
    return fields;
}

static void on_log_line(struct house *h, struct span line)
{
    struct ledger *l = h->ledger;
    ledger_trace(l, "mx: %.*s", SPAN_PRINT(span_sub(span_skip(line, 25), 0, 400)));
    (void)next_word(&line);
    (void)next_word(&line);
    struct span event = next_word(&line);
    if (span_equal(event, SPAN("message-repeated")))
        ledger_repeat(l, field_id(line));
    else if (span_equal(event, SPAN("spool-damaged")))
        ledger_break(l, "the spool reports damage: %.*s", SPAN_PRINT(line));
}

static size_t on_log(void *context, struct span lines)
{
    struct house *h = context;
    size_t at = 0;
    while (at < lines.len) {
        size_t stop = span_find_byte(lines, '\n', at);
        on_log_line(h, span_sub(lines, at, stop - at));
        at = stop + 1;
    }
    return lines.len;
}

/* Lives. -----------------------------------------------------------------------------------------
 */

void house_init(struct house *h, struct ledger *l, const struct house_plan *plan, struct random *r)
{
    *h = (struct house){.ledger = l, .sim = l->sim, .settings = plan->settings};
    h->reload_count = plan->reload_count;
    memcpy(h->reloads, plan->reloads, sizeof h->reloads);
    random_init(&h->random, random_next(r));
    h->machine = machine_new(l->sim, "mx", ADDRESS);
    h->smtp = h->control = ADDRESS;
    h->smtp.port = SMTP_PORT;
    h->control.port = CONTROL_PORT;
    h->descriptor = machine_descriptor(h->machine, SMTP_PORT);
    h->disk_bytes = plan->disk_bytes;
    machine_disk(h->machine, HOUSE_SPOOL, plan->disk_bytes);
    h->options = (struct engine_options){
        .source = {.settings = plan->settings,
                   .listeners = &h->descriptor,
                   .listener_count = 1,
                   .own = &h->smtp,
                   .own_count = 1},
        .control = machine_descriptor(h->machine, CONTROL_PORT),
        .processors = 1,
        .max_letters = plan->max_letters,
        .inline_bytes_max = plan->inline_bytes_max,
        .appends_max = plan->appends_max,
        .secret = random_next(&h->random),
        .log_sink = {.write = on_log, .context = h},
    };
    h->begin_us = sim_now_us(l->sim);
}

void house_fini(struct house *h)
{
    check(h->life == NULL);
    settings_release(h->settings);
    for (uint32_t i = 0; i < h->reload_count; i++)
        settings_release(h->reloads[i]);
}

bool house_is_up(const struct house *h)
{
    return h->engine != NULL && h->stop_us == 0;
}

/* What ends is written down before anything else happens. */
static void end_life(struct house *h, bool is_crash)
{
    struct ledger *l = h->ledger;
    enum sim_death death = life_death(h->life);
    struct engine_life *life = &l->lives[ledger_life(l)];
    life->ended_us = sim_now_us(h->sim);
    life->is_crash = is_crash;
    life->is_power_cut = death == SIM_POWER_CUT;
    if (h->engine != NULL) {
        engine_join(h->engine);
        engine_free(h->engine);
    }
    h->engine = NULL;
    life_end(h->life);
    h->life = NULL;
    h->stop_us = 0;
    h->begin_us = sim_now_us(h->sim) + random_between(&h->random, 0, 3 * SIM_SECOND);
    ledger_trace(l, "mx: life %u ends%s", ledger_life(l),
                 death == SIM_POWER_CUT ? ": power cut"
                 : death == SIM_KILLED  ? ": killed"
                                        : "");
}

static void begin_life(struct house *h)
{
    struct ledger *l = h->ledger;
    const char *part = "";
    if (l->life_count == LEDGER_LIVES_MAX) {
        ledger_break(l, "the engine began %u times", l->life_count);
        return;
    }
    l->lives[l->life_count++] =
        (struct engine_life){.begun_us = sim_now_us(h->sim), .ended_us = SIM_NEVER};
    ledger_trace(l, "mx: life %u begins", ledger_life(l));
    h->life = life_begin(h->machine);
    if (h->kill_operation > 0)
        life_kill_at(h->life, h->kill_operation, h->kill_how);
    h->kill_operation = 0;
    enum fault fault = engine_new(h->life, &h->options, &h->engine, &part);
    if (fault == FAULT_NONE)
        fault = engine_start(h->engine);
    else
        h->engine = NULL;
    if (fault == FAULT_NONE) {
        h->faults = 0;
        return;
    }
    ledger_trace(l, "mx: the engine cannot begin: %s: %s", part, fault_text(fault));
    bool was_killed = life_death(h->life) != SIM_ALIVE;
    if (!was_killed && ++h->faults > STARTS_MAX)
        ledger_break(l, "the engine cannot begin: %s: %s", part, fault_text(fault));
    end_life(h, true);
    /* One that failed by itself is no life that could have done anything. */
    if (!was_killed)
        l->life_count--;
}

void house_tend(struct house *h)
{
    int64_t now_us = sim_now_us(h->sim);
    if (h->life != NULL && life_death(h->life) != SIM_ALIVE)
        end_life(h, true);
    else if (h->engine != NULL && engine_is_stopped(h->engine))
        end_life(h, false);
    else if (h->stop_us > 0 && now_us >= h->stop_us + STOP_US_MAX)
        house_kill(h, SIM_KILLED);
    if (h->life == NULL && !h->stays_down && now_us >= h->begin_us)
        begin_life(h);
}

int64_t house_next_us(const struct house *h)
{
    if (h->life == NULL)
        return h->stays_down ? SIM_NEVER : h->begin_us;
    return h->stop_us > 0 ? sim_now_us(h->sim) + SIM_SECOND / 10 : SIM_NEVER;
}

void house_kill(struct house *h, enum sim_death how)
{
    if (h->life == NULL)
        return;
    life_kill(h->life, how);
    end_life(h, true);
}

void house_kill_at(struct house *h, uint64_t operation, enum sim_death how)
{
    if (h->life != NULL) {
        life_kill_at(h->life, operation, how);
        return;
    }
    h->kill_operation = operation;
    h->kill_how = how;
}

void house_reload(struct house *h, uint32_t which)
{
    struct buffer why;
    check(which < h->reload_count);
    h->options.source.settings = h->reloads[which];
    if (!house_is_up(h) || life_death(h->life) != SIM_ALIVE)
        return;
    buffer_init(&why, 1024);
    enum fault fault = engine_reload(h->engine, &h->options.source, &why);
    check(fault == FAULT_NONE);
    buffer_fini(&why);
}

void house_stop(struct house *h, bool stays_down)
{
    h->stays_down = stays_down;
    if (h->engine == NULL || h->stop_us > 0)
        return;
    ledger_trace(h->ledger, "mx: is asked to stop");
    h->stop_us = sim_now_us(h->sim);
    engine_stop(h->engine);
}

void house_rise(struct house *h)
{
    h->stays_down = false;
}
