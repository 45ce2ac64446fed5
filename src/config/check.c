/*
 * check: see check.h.
 */
#include "config/check.h"

#define SEGMENT_UNIT  (1024u * 1024)
#define SEGMENTS_WORK 4 /* beside the reserve: the tail, its successor, one compacted, one new */

/* Where to complain: the last of the two that was written; both defaults agree. */
static struct place place_of(const struct parser *p, enum option_id a, enum option_id b)
{
    const struct place *x = &p->options[a], *y = &p->options[b];
    bool is_later = y->line > x->line || (y->line == x->line && y->column > x->column);
    return is_later ? *y : *x;
}

void check_settings(const struct settings *s, const struct parser *p, struct report *report)
{
    if (s->retry_first_ms > s->retry_max_ms)
        report_error(report, place_of(p, OPTION_QUEUE_RETRY_FIRST, OPTION_QUEUE_RETRY_MAX),
                     "'retry-first' is longer than 'retry-max'");
    if (s->fresh_bytes_max > s->memory_bytes_max)
        report_error(report, place_of(p, OPTION_QUEUE_FRESH_MEMORY, OPTION_LIMITS_MEMORY),
                     "'queue fresh-memory' is larger than 'limits memory'");
    if (s->segment_bytes % SEGMENT_UNIT != 0)
        report_error(report, p->options[OPTION_DISK_SEGMENT], "'segment' must be in whole M");
    for (uint32_t i = 0; i < s->listen_count; i++)
        if (s->listen[i]->kind == LISTEN_SUBMISSIONS && s->certificates_count == 0)
            report_error(report, p->blocks[BLOCK_LISTEN],
                         "'listen submissions' needs a certificate: a block 'tls'");
    if (s->certificates_count > CONFIG_CERTIFICATES_MAX)
        report_error(report, p->blocks[BLOCK_TLS], "there are more than %u blocks 'tls'",
                     CONFIG_CERTIFICATES_MAX);
    uint64_t segments = s->reserve_segments + SEGMENTS_WORK;
    if (s->spool_bytes_max != 0 && s->spool_bytes_max / s->segment_bytes < segments)
        report_error(report, place_of(p, OPTION_DISK_SIZE, OPTION_DISK_SEGMENT),
                     "'size' has no room for %llu segments: the reserve and %d to work with",
                     (unsigned long long)segments, SEGMENTS_WORK);
}

static void check_domain(const struct domain_settings *d, struct place place, struct report *report)
{
    if (d->deliver_count == 0 && d->users_file != NULL)
        report_error(report, place, "'domain %s' has 'users', but no 'deliver' for their mail",
                     d->name);
    if (d->deliver_count > 0 && d->deliver[0].kind == DELIVERY_MAILDIR && d->users_file == NULL)
        report_error(
            report, place,
            "'domain %s' needs 'users': without, strangers could make Maildirs of any name",
            d->name);
}

void check_block(const struct settings *s, enum block_id id, struct place place,
                 struct report *report)
{
    if (id == BLOCK_DOMAIN)
        check_domain(s->domains[s->domains_count - 1], place, report);
}
