/*
 * securing: TLS of a connection: whether it is asked for, the handshake, what is thought of the
 * certificate, and whether a kept connection is good enough for the next delivery.
 *
 * Opportunistic (ROUTE_TLS_MAY): any certificate will do, since in clear would do, too, and a
 * handshake that fails proves nothing against the host: it is asked again, in clear (RFC 7435).
 * Required (ROUTE_TLS_MUST): an authority vouches for the certificate, and it is for the host's
 * name, or the host is no use.
 */
#include <string.h>

#include "base/log.h"
#include "deliver/connection.h"

/* Of the present attempt: what the certificate has to be for. */
static struct span host_name(const struct connection *c, uint16_t host,
                             char text[ENDPOINT_TEXT_MAX])
{
    const struct route_host *h = &c->delivery->route->hosts[host];
    return h->name.len > 0 ? h->name : endpoint_format_ip(c->peer, text);
}

static uint16_t present_host(const struct connection *c)
{
    check(c->attempt_next > 0);
    return c->attempts[c->attempt_next - 1].host;
}

struct client_manner securing_manner(const struct connection *c)
{
    const struct route *route = c->delivery->route;
    bool is_given_up = endpoint_equal(c->peer, c->clear_peer);
    return (struct client_manner){
        .is_lmtp = route->transport == ROUTE_LMTP,
        .wishes_tls = route->tls == ROUTE_TLS_MAY && !is_given_up,
        .needs_tls = route->tls == ROUTE_TLS_MUST,
    };
}

static enum fault make_context(struct deliverer *d, struct tls_context **context_out)
{
    struct buffer why;
    buffer_init(&why, 1024);
    enum fault fault = tls_client_new(d->settings->tls_authorities, &why, context_out);
    if (fault != FAULT_NONE)
        LOG(actor_log(d->worker), EVENT_TLS_REFUSED, log_span("reason", buffer_span(&why)));
    buffer_fini(&why);
    return fault;
}

enum fault securing_prepare(struct deliverer *d)
{
    struct tls_context *made;
    if (d->tls != NULL)
        return FAULT_NONE;
    enum fault fault = make_context(d, &made);
    if (fault == FAULT_NONE)
        d->tls = made;
    return fault;
}

/* Connections that stand keep what they have (OpenSSL counts it). A file that cannot be read
   changes nothing. */
void securing_renew(struct deliverer *d)
{
    struct tls_context *made;
    if ((d->tls == NULL && d->settings->tls_authorities == NULL) ||
        make_context(d, &made) != FAULT_NONE)
        return;
    tls_context_free(d->tls);
    d->tls = made;
}

/* The name of the host, for its choice of a certificate. */
static struct tls_stream *make_stream(struct connection *c)
{
    char name[TLS_NAME_MAX];
    struct span host = c->delivery->route->hosts[present_host(c)].name;
    if (host.len >= sizeof name || securing_prepare(c->deliverer) != FAULT_NONE)
        return NULL;
    if (host.len > 0)
        memcpy(name, host.data, host.len);
    name[host.len] = '\0';
    return tls_stream_connect(c->deliverer->tls, host.len > 0 ? name : NULL,
                              loop_wall_ms(connection_loop(c)));
}

bool securing_start(struct connection *c)
{
    struct tls_stream *stream = make_stream(c);
    if (stream == NULL)
        return false;
    c->is_securing = true;
    link_start_tls(c->link, stream, (struct span){NULL, 0});
    return true;
}

static void log_secured(const struct connection *c, const char *doubt)
{
    char host[ENDPOINT_TEXT_MAX];
    const struct tls_stream *s = c->link->stream;
    LOG(actor_log(c->deliverer->worker), EVENT_SITE_SECURED, log_id("id", c->delivery->id),
        log_span("host", endpoint_format(c->peer, host)),
        log_text("version", tls_stream_version(s)), log_text("cipher", tls_stream_cipher(s)),
        log_text("verified", doubt == NULL ? "yes" : doubt));
}

static void log_insecure(const struct connection *c, const char *reason)
{
    char host[ENDPOINT_TEXT_MAX];
    LOG(actor_log(c->deliverer->worker), EVENT_SITE_INSECURE, log_id("id", c->delivery->id),
        log_span("host", endpoint_format(c->peer, host)), log_text("reason", reason));
}

enum fault securing_judge(struct connection *c, enum fault fault)
{
    char text[ENDPOINT_TEXT_MAX];
    const char *doubt = NULL;
    c->is_securing = false;
    if (fault != FAULT_NONE) {
        const char *reason = tls_stream_trouble(c->link->stream);
        log_insecure(c, reason[0] == '\0' ? fault_text(fault) : reason);
        return FAULT_TLS_FAILED;
    }
    (void)tls_stream_is_verified(c->link->stream, host_name(c, present_host(c), text), &doubt);
    if (doubt != NULL && c->delivery->route->tls == ROUTE_TLS_MUST) {
        log_insecure(c, doubt);
        return FAULT_UNVERIFIED;
    }
    log_secured(c, doubt);
    return FAULT_NONE;
}

bool securing_suits(const struct connection *c, uint16_t host)
{
    char text[ENDPOINT_TEXT_MAX];
    bool is_secure = c->link->stream != NULL;
    switch (c->delivery->route->tls) {
    case ROUTE_TLS_MAY:
        return true;
    case ROUTE_TLS_MUST:
        return is_secure && tls_stream_is_verified(c->link->stream, host_name(c, host, text), NULL);
    case ROUTE_TLS_NEVER:
        break;
    }
    return !is_secure;
}

struct span securing_describe(const struct connection *c, struct arena *arena)
{
    char text[ENDPOINT_TEXT_MAX];
    const struct tls_stream *s = c->link->stream;
    if (s == NULL || !link_is_secure(c->link))
        return (struct span){NULL, 0};
    bool is_verified = tls_stream_is_verified(s, host_name(c, present_host(c), text), NULL);
    return arena_printf(arena, "%s %s %s", tls_stream_version(s), tls_stream_cipher(s),
                        is_verified ? "verified" : "unverified");
}
