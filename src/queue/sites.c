/*
 * sites: how the sites stand, for operators; see inside.h and transfer/operate.h.
 *
 * Looks at each destination once, and not at messages.
 */
#include "queue/inside.h"

static const char *state_of(const struct site *s)
{
    switch (s->state) {
    case SITE_WELL:
        return "well";
    case SITE_BACKOFF:
        return "back-off";
    case SITE_PROBE:
        return "probe";
    }
    return "?";
}

static void count_recipients(struct queue *q)
{
    struct site *s;
    struct destination *d;
    for (size_t at = 0; (s = map_next(&q->sites, &at)) != NULL;)
        s->tally = 0;
    for (size_t at = 0; (d = map_next(&q->destinations.map, &at)) != NULL;)
        if (d->site != NULL)
            d->site->tally += d->references;
}

/* Ready are those that wait for their turn; busy ones and the rest cannot be told apart here, since
   a delivery has many recipients: so all that are not ready wait. */
static bool describe(struct queue *q, struct operate *o, struct site *s, struct operate_site *to)
{
    bool is_away = s->state == SITE_BACKOFF;
    *to = (struct operate_site){
        .state = state_of(s),
        .window = site_window(s),
        .active = s->busy,
        .ready = s->ready.count,
        .waiting = s->tally > s->ready.count ? s->tally - s->ready.count : 0,
        .connections = s->channels,
        .until_wall_ms = is_away ? retry_wall_of_mono(&q->clock, s->wake.key) : 0,
        .delivered = s->delivered,
        .per_minute = site_per_minute(s, q->clock.mono_ms),
        .fault = s->fault == FAULT_NONE ? SPAN("") : span_text(fault_text(s->fault)),
    };
    to->site = arena_copy(o->arena, site_key(s));
    return to->site.data != NULL;
}

enum fault sites_describe(struct queue *q, struct operate *o)
{
    struct site *s;
    size_t at = 0;
    size_t most = q->sites.count < OPERATE_SITES_MAX ? q->sites.count : OPERATE_SITES_MAX;
    o->site_count = 0;
    o->sites = arena_alloc(o->arena, (most + 1) * sizeof *o->sites);
    if (o->sites == NULL)
        return FAULT_NO_MEMORY;
    count_recipients(q);
    while (o->site_count < most && (s = map_next(&q->sites, &at)) != NULL)
        if (!describe(q, o, s, &o->sites[o->site_count++]))
            return FAULT_NO_MEMORY;
    return FAULT_NONE;
}
