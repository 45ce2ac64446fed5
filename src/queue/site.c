/*
 * site: see site.h.
 */
#include "queue/site.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "queue/retry.h"

static const bool moves[3][3] = {
    [SITE_WELL] = {[SITE_BACKOFF] = true},
    [SITE_BACKOFF] = {[SITE_PROBE] = true, [SITE_WELL] = true},
    [SITE_PROBE] = {[SITE_BACKOFF] = true, [SITE_WELL] = true},
};

static void site_enter(struct site *s, enum site_state state)
{
    check(moves[s->state][state]);
    s->state = state;
}

static uint32_t window_max(const struct site_limits *limits)
{
    return limits->connections_max * SITE_WINDOW_UNIT;
}

struct site *site_new(struct span key, const struct site_limits *limits, uint64_t secret)
{
    check(limits->connections_max > 0 && limits->connections_max < UINT32_MAX / SITE_WINDOW_UNIT);
    struct site *s = calloc(1, sizeof *s + key.len);
    if (s == NULL)
        return NULL;
    heap_node_init(&s->wake);
    list_init(&s->hungry);
    list_init(&s->deferred);
    list_init(&s->idle);
    fairness_init(&s->ready, secret);
    s->state = SITE_WELL;
    s->window = QUEUE_WINDOW_FIRST * SITE_WINDOW_UNIT;
    if (s->window > window_max(limits))
        s->window = window_max(limits);
    s->key_len = (uint32_t)key.len;
    memcpy(s->key, key.data, key.len);
    return s;
}

void site_free(struct site *s)
{
    check(s->channels == 0 && s->ready.count == 0 && list_empty(&s->hungry));
    check(!heap_contains(&s->wake) && list_empty(&s->idle));
    list_remove(&s->deferred); /* those in it go on by their own times */
    fairness_fini(&s->ready);
    free(s);
}

struct span site_key(const void *site)
{
    const struct site *s = site;
    return span_of(s->key, s->key_len);
}

uint32_t site_window(const struct site *s)
{
    return s->window / SITE_WINDOW_UNIT;
}

bool site_may_start(const struct site *s)
{
    switch (s->state) {
    case SITE_WELL:
        return s->busy < site_window(s);
    case SITE_BACKOFF:
        return false;
    case SITE_PROBE:
        return !s->is_probing;
    }
    return false;
}

uint32_t site_on_start(struct site *s)
{
    check(site_may_start(s));
    s->busy++;
    s->is_probing = s->state == SITE_PROBE;
    return s->generation;
}

void site_on_end(struct site *s)
{
    check(s->busy > 0);
    s->busy--;
}

bool site_on_well(struct site *s, bool has_taken, const struct site_limits *limits)
{
    bool was_well = s->state == SITE_WELL;
    if (!was_well)
        site_enter(s, SITE_WELL);
    s->is_probing = false;
    s->faults = 0;
    if (has_taken)
        s->window += SITE_WINDOW_UNIT * SITE_WINDOW_UNIT / s->window;
    if (s->window > window_max(limits))
        s->window = window_max(limits);
    return !was_well;
}

int64_t site_on_fault(struct site *s, uint32_t generation, const struct site_limits *limits,
                      uint32_t random)
{
    if (generation != s->generation || s->state == SITE_BACKOFF)
        return 0;
    if (s->state == SITE_WELL)
        s->window = s->window / 2 < SITE_WINDOW_UNIT ? SITE_WINDOW_UNIT : s->window / 2;
    site_enter(s, SITE_BACKOFF);
    s->is_probing = false;
    s->generation++;
    s->faults++;
    int64_t first_ms = limits->retry_first_ms < SITE_BACKOFF_FIRST_MS ? limits->retry_first_ms
                                                                      : SITE_BACKOFF_FIRST_MS;
    return retry_delay_ms(first_ms, limits->retry_max_ms, s->faults, random);
}

static void turn_minute(struct site *s, int64_t now_ms)
{
    int64_t minute = now_ms / 60000;
    if (minute == s->minute)
        return;
    s->in_last_minute = minute == s->minute + 1 ? s->in_minute : 0;
    s->in_minute = 0;
    s->minute = minute;
}

void site_count(struct site *s, uint32_t recipients, int64_t now_ms)
{
    turn_minute(s, now_ms);
    s->in_minute += recipients;
    s->delivered += recipients;
}

uint32_t site_per_minute(struct site *s, int64_t now_ms)
{
    turn_minute(s, now_ms);
    return s->in_last_minute;
}

void site_on_time(struct site *s)
{
    if (s->state == SITE_BACKOFF)
        site_enter(s, SITE_PROBE);
}
