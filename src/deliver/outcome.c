/*
 * outcome: what the queue is told of a delivery. All texts are copied into the delivery's arena;
 * one that does not fit there costs the text, not the verdict.
 */
#include <stdio.h>
#include <string.h>

#include "deliver/connection.h"

/* "mx.example.org[2001:db8::1]" of the present attempt. */
static struct span format_remote(struct connection *c)
{
    check(c->attempt_next > 0);
    const struct route_host *host =
        &c->delivery->route->hosts[c->attempts[c->attempt_next - 1].host];
    char text[ENDPOINT_TEXT_MAX];
    if (c->peer.family == 0) /* a Unix socket: its path */
        return arena_copy(&c->delivery->arena, host->name);
    struct span ip = endpoint_format_ip(c->peer, text);
    if (host->name.len == 0)
        return arena_printf(&c->delivery->arena, "[%.*s]", SPAN_PRINT(ip));
    return arena_printf(&c->delivery->arena, "%.*s[%.*s]", SPAN_PRINT(host->name), SPAN_PRINT(ip));
}

/* "550 5.1.1 no such user"; empty: there was no reply, or no memory for it. */
static struct span format_reply(struct arena *a, const struct client_result *r)
{
    char line[DELIVERY_REPLY_MAX];
    if (r->code == 0)
        return (struct span){NULL, 0};
    int len = snprintf(line, sizeof line, "%03d ", r->code);
    check(len == 4);
    struct span text = span_sub(r->text, 0, sizeof line - (size_t)len);
    if (text.len > 0)
        memcpy(line + len, text.data, text.len);
    return arena_copy(a, span_of(line, (size_t)len + text.len));
}

static enum delivery_end end_of(enum client_verdict verdict)
{
    if (verdict == CLIENT_DELIVERED)
        return DELIVERY_DELIVERED;
    return verdict == CLIENT_FAILED ? DELIVERY_FAILED : DELIVERY_DEFERRED;
}

static struct delivery_result result_of(struct connection *c, const struct client_result *r,
                                        struct span remote, struct span tls)
{
    bool in_doubt = client_outcome(c->client)->in_doubt;
    struct span text = format_reply(&c->delivery->arena, r);
    bool has_reply = r->fault == FAULT_NONE && text.len > 0;
    bool is_waiting = end_of(r->verdict) == DELIVERY_DEFERRED;
    return (struct delivery_result){
        .end = end_of(r->verdict),
        .is_reply = has_reply,
        .is_relayed = r->verdict == CLIENT_DELIVERED && !client_extensions(c->client)->dsn,
        .in_doubt = in_doubt && is_waiting && r->phase == CLIENT_DOT && r->fault != FAULT_NONE,
        .fault = has_reply || r->fault != FAULT_NONE ? r->fault : FAULT_UNKNOWN,
        .text = text,
        .remote = remote,
        .tls = tls,
    };
}

void outcome_take(struct connection *c)
{
    struct delivery *d = c->delivery;
    struct span remote = format_remote(c);
    struct span tls = securing_describe(c, &d->arena);
    for (uint32_t i = 0; i < d->recipient_count; i++) {
        d->results[i] = result_of(c, &c->recipients[i].result, remote, tls);
        if (d->results[i].end == DELIVERY_DELIVERED)
            deliverer_count(&c->deliverer->counters.delivered, 1);
    }
}

void outcome_defer_all(struct connection *c, enum fault fault)
{
    struct delivery *d = c->delivery;
    for (uint32_t i = 0; i < d->recipient_count; i++)
        d->results[i] = (struct delivery_result){.end = DELIVERY_DEFERRED,
                                                 .fault = fault,
                                                 .is_reply = c->trouble_is_reply,
                                                 .text = c->trouble_text,
                                                 .remote = c->trouble_remote};
}

void outcome_note_trouble(struct connection *c, enum fault fault, const struct client_result *r)
{
    c->trouble_fault = fault == FAULT_NONE ? FAULT_UNREACHABLE : fault;
    c->trouble_text = (struct span){NULL, 0};
    if (r != NULL)
        c->trouble_text = format_reply(&c->delivery->arena, r);
    c->trouble_is_reply = c->trouble_text.len > 0 && r->fault == FAULT_NONE;
    c->trouble_remote = format_remote(c);
}
