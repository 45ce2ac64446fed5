/*
 * derive: what each room of the engine wants to know, taken from the configuration.
 *
 * Limits that are those of the whole engine are shared out among the workers here.
 */
#include <stdlib.h>

#include "engine/engine_inside.h"

#define APPENDS_PER_WORKER_MAX 2048
#define ATTEMPTS_MAX           20 /* addresses tried for one delivery */

/* Each worker's share, rounded up, so that no limit becomes zero. */
static uint32_t share(const struct engine *e, uint32_t whole)
{
    return (whole + e->worker_count - 1) / e->worker_count;
}

static void derive_spool(struct engine *e, const struct settings *s)
{
    uint32_t inline_max = e->options.inline_bytes_max;
    e->spool_settings = (struct spool_settings){
        .path = s->spool,
        .segment_bytes = (uint32_t)s->segment_bytes,
        .inline_bytes_max = inline_max == 0 ? ENVELOPE_INLINE_MAX : inline_max,
        .disk_bytes_max = s->spool_bytes_max,
        .segments_reserved = s->reserve_segments,
    };
}

static void derive_queue(struct engine *e, const struct settings *s)
{
    e->queue_settings = (struct queue_settings){
        .retry_first_ms = s->retry_first_ms,
        .retry_max_ms = s->retry_max_ms,
        .lifetime_ms = s->queue_lifetime_ms,
        .site_connections_max = s->deliver_connections_max,
        .delivery_recipients_max = s->deliver_recipients_max,
        .fresh_bytes_max = s->fresh_bytes_max,
        .next_hop = s->next_hop_host,
        .next_hop_port = s->next_hop_port,
        .secret = e->options.secret,
    };
    e->resolver_settings = (struct resolver_settings){
        .hostname = s->hostname,
        .server = s->dns_server,
        .timeout_ms = s->dns_timeout_ms,
        .port = s->deliver_port,
        .own = e->options.own,
        .own_count = e->options.own_count,
    };
}

static void derive_deliverer(struct engine *e, const struct settings *s)
{
    e->deliverer_settings = (struct deliverer_settings){
        .hostname = s->hostname,
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

static void derive_receiver(struct engine *e, const struct settings *s)
{
    e->receiver_settings = (struct receiver_settings){
        .hostname = s->hostname,
        .session = {.message_bytes_max = s->message_bytes_max,
                    .recipients_max = s->recipients_max,
                    .errors_max = s->errors_max,
                    .idle_commands_max = s->idle_commands_max},
        .sessions_max = share(e, s->sessions_max),
        .sessions_per_client_max = share(e, s->sessions_per_client_max),
        .command_timeout_ms = s->command_timeout_ms,
        .data_timeout_ms = s->data_timeout_ms,
        .session_time_max_ms = s->session_time_max_ms,
        .memory_bytes_max = s->memory_bytes_max / e->worker_count,
        .hops_max = s->hops_max,
        .relay_from = s->relay_from,
        .relay_from_count = s->relay_from_count,
        .appends_max =
            e->options.appends_max == 0 ? APPENDS_PER_WORKER_MAX : e->options.appends_max,
    };
}

void engine_derive(struct engine *e)
{
    const struct settings *s = e->options.settings;
    derive_spool(e, s);
    derive_queue(e, s);
    derive_deliverer(e, s);
    derive_receiver(e, s);
}
