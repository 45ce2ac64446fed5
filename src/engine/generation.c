/*
 * generation: see generation.h. What each room of the engine wants to know is taken from the
 * configuration here; limits that are those of the whole engine are shared out among the workers.
 */
#include "engine/generation.h"

#include <stdlib.h>

#include "tls/context.h"

#define APPENDS_PER_WORKER_MAX 2048
#define ATTEMPTS_MAX           20 /* addresses tried for one delivery */

/* Each worker's share, rounded up, so that no limit becomes zero. */
static uint32_t share(const struct generation *g, uint32_t whole)
{
    return (whole + g->worker_count - 1) / g->worker_count;
}

static void derive_queue(struct generation *g, uint64_t secret)
{
    const struct settings *s = g->source.settings;
    g->queue = (struct queue_settings){
        .retry_first_ms = s->retry_first_ms,
        .retry_max_ms = s->retry_max_ms,
        .lifetime_ms = s->queue_lifetime_ms,
        .delay_notice_ms = s->delay_notice_ms,
        .has_postmaster = s->postmaster != NULL,
        .site_connections_max = s->deliver_connections_max,
        .delivery_recipients_max = s->deliver_recipients_max,
        .fresh_bytes_max = s->fresh_bytes_max,
        .secret = secret,
    };
    g->resolver = (struct resolver_settings){
        .hostname = s->hostname,
        .server = s->dns_server,
        .timeout_ms = s->dns_timeout_ms,
        .port = s->deliver_port,
        .settings = s,
        .own = g->source.own,
        .own_count = g->source.own_count,
    };
}

static void derive_deliverer(struct worker_generation *w, int agent_door)
{
    const struct settings *s = w->whole->source.settings;
    w->deliverer = (struct deliverer_settings){
        .lease = &w->lease,
        .hostname = s->hostname,
        .postmaster = s->postmaster,
        .tls_authorities = s->deliver_tls_authorities,
        .agent_door = agent_door,
        .source_ipv4 = s->deliver_source_ipv4,
        .source_ipv6 = s->deliver_source_ipv6,
        .attempts_max = ATTEMPTS_MAX,
        .messages_max = s->deliver_messages_max,
        .idle_ms = s->deliver_idle_ms,
        .connect_timeout_ms = s->deliver_connect_timeout_ms,
        .greeting_timeout_ms = s->deliver_greeting_timeout_ms,
        .ehlo_timeout_ms = s->deliver_ehlo_timeout_ms,
        .mail_timeout_ms = s->deliver_mail_timeout_ms,
        .rcpt_timeout_ms = s->deliver_rcpt_timeout_ms,
        .data_timeout_ms = s->deliver_data_timeout_ms,
        .block_timeout_ms = s->deliver_block_timeout_ms,
        .dot_timeout_ms = s->deliver_dot_timeout_ms,
        .quit_timeout_ms = s->deliver_quit_timeout_ms,
    };
}

static void derive_receiver(struct worker_generation *w, uint32_t appends_max)
{
    const struct generation *g = w->whole;
    const struct settings *s = g->source.settings;
    w->receiver = (struct receiver_settings){
        .lease = &w->lease,
        .tls = w->tls,
        .hostname = s->hostname,
        .all = s,
        .session = {.message_bytes_max = s->message_bytes_max,
                    .recipients_max = s->recipients_max,
                    .errors_max = s->errors_max,
                    .idle_commands_max = s->idle_commands_max},
        .sessions_max = share(g, s->sessions_max),
        .sessions_per_client_max = share(g, s->sessions_per_client_max),
        .sessions_per_minute_max = share(g, s->sessions_per_minute_max),
        .messages_per_minute_max = share(g, s->messages_per_minute_max),
        .greeting_delay_ms = s->greeting_delay_ms,
        .command_timeout_ms = s->command_timeout_ms,
        .data_timeout_ms = s->data_timeout_ms,
        .session_time_max_ms = s->session_time_max_ms,
        .memory_bytes_max = s->memory_bytes_max / g->worker_count,
        .hops_max = s->hops_max,
        .relay_from = s->relay_from,
        .relay_from_count = s->relay_from_count,
        .appends_max = appends_max == 0 ? APPENDS_PER_WORKER_MAX : appends_max,
    };
}

/* The worker has nothing left that goes by it. */
static void end_lease(struct lease *l)
{
    struct worker_generation *w = container_of(l, struct worker_generation, lease);
    atomic_fetch_sub_explicit(&w->whole->references, 1, memory_order_release);
}

/* A context for each worker, since they would wait for each other's locks in a common one. */
static enum fault make_tls(struct worker_generation *w, const struct engine_options *o,
                           struct buffer *why)
{
    const struct generation_source *source = &w->whole->source;
    const struct settings *s = source->settings;
    if (s->certificates_count == 0 || o->ticket_keys == NULL)
        return FAULT_NONE;
    struct tls_certificate *own = calloc(s->certificates_count, sizeof *own);
    if (own == NULL)
        return FAULT_NO_MEMORY;
    for (uint32_t i = 0; i < s->certificates_count; i++) {
        own[i].certificate = s->certificates[i]->certificate;
        own[i].key = s->certificates[i]->key;
        if (source->find_file == NULL)
            continue;
        own[i].certificate_text = source->find_file(source->context, own[i].certificate);
        own[i].key_text = source->find_file(source->context, own[i].key);
    }
    enum fault fault = tls_server_new(own, s->certificates_count, o->ticket_keys, why, &w->tls);
    free(own);
    return fault;
}

static enum fault make_worker(struct generation *g, uint32_t i, const struct engine_options *o,
                              struct buffer *why)
{
    struct worker_generation *w = &g->workers[i];
    w->lease.on_end = end_lease;
    w->whole = g;
    enum fault fault = make_tls(w, o, why);
    derive_receiver(w, o->appends_max);
    derive_deliverer(w, o->agent_door);
    return fault;
}

enum fault generation_new(const struct engine_options *o, const struct generation_source *source,
                          uint32_t worker_count, struct buffer *why,
                          struct generation **generation_out)
{
    struct generation *g = calloc(1, sizeof *g + worker_count * sizeof g->workers[0]);
    enum fault fault = FAULT_NONE;
    if (g == NULL)
        return FAULT_NO_MEMORY;
    g->references = 1 + worker_count;
    g->source = *source;
    g->worker_count = worker_count;
    (void)settings_retain(source->settings);
    derive_queue(g, o->secret);
    for (uint32_t i = 0; i < worker_count && fault == FAULT_NONE; i++)
        fault = make_worker(g, i, o, why);
    if (fault == FAULT_NONE) {
        *generation_out = g;
        return FAULT_NONE;
    }
    g->source.on_end = NULL;
    generation_free(g);
    return fault;
}

struct receiver_door generation_door(const struct generation *g, uint32_t index)
{
    const struct settings *s = g->source.settings;
    struct receiver_door door = {.is_lmtp = false};
    struct endpoint at;
    if (index >= settings_listener_count(s))
        return door;
    const struct listen_settings *block = settings_listener(s, index, &at);
    door.is_lmtp = block->kind == LISTEN_LMTP;
    door.is_implicit = block->kind == LISTEN_SUBMISSIONS;
    door.proxy_from = block->proxy_from;
    door.proxy_from_count = block->proxy_from_count;
    return door;
}

bool generation_is_unused(const struct generation *g)
{
    return atomic_load_explicit(&g->references, memory_order_acquire) == 1;
}

void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    for (uint32_t i = 0; i < g->worker_count; i++)
        tls_context_free(g->workers[i].tls);
    settings_release(g->source.settings);
    if (g->source.on_end != NULL)
        g->source.on_end(g->source.context);
    free(g);
}
