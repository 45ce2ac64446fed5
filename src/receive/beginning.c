/*
 * beginning: a conversation until its greeting: who the client is, and whether it waits for us; see
 * conversation_inside.h. RFC 5321 3.1, RFC 8314 3 (TLS from the first byte), the PROXY protocol.
 */
#include "receive/conversation_inside.h"
#include "smtp/proxy.h"

static void log_opened(const struct conversation *c)
{
    char text[ENDPOINT_TEXT_MAX];
    LOG(c->receiver->log, EVENT_SESSION_OPENED,
        log_span("client", endpoint_format(c->client, text)));
}

static void log_turned_away(const struct conversation *c, const char *why)
{
    char text[ENDPOINT_TEXT_MAX];
    receiver_count(&c->receiver->counts.sessions_refused, 1);
    LOG(c->receiver->log, EVENT_SESSION_REFUSED,
        log_span("client", endpoint_format(c->client, text)), log_text("why", why));
}

void beginning_greet(struct conversation *c)
{
    c->awaits_greeting = false;
    conversation_touch(c);
    session_greet(c->session);
    conversation_proceed(c);
}

/* Who does not wait for the greeting has no use for our replies (RFC 5321 3.1): a program that
 * sends the same to everybody. May free. */
void beginning_turn_away(struct conversation *c)
{
    c->awaits_greeting = false;
    c->why = "it spoke before the greeting";
    log_turned_away(c, c->why);
    session_turn_away(c->session, "you spoke before the greeting");
    conversation_proceed(c);
}

/* The greeting, at once or after a while in which the client has to be silent. */
static void begin_clear(struct conversation *c)
{
    if (c->may_relay || session_is_lmtp(c->session)) {
        beginning_greet(c);
    } else if (c->pending.len > 0 || socket_has_input(c->link.socket)) {
        beginning_turn_away(c);
    } else if (c->settings->greeting_delay_ms == 0) {
        beginning_greet(c);
    } else {
        c->awaits_greeting = true;
        conversation_touch(c);
        if (conversation_set_timer(c))
            conversation_settle(c);
    }
}

/* Who the client is stands now. What has come behind a PROXY header is in `pending`. May free. */
void beginning_of(struct conversation *c)
{
    const struct receiver_settings *s = c->settings;
    c->may_relay = address_ranges_contain(s->relay_from, s->relay_from_count, c->client);
    log_opened(c);
    if (!c->is_implicit) {
        begin_clear(c);
        return;
    }
    c->is_securing = true;
    if (!conversation_begin_tls(c, buffer_span(&c->pending)))
        return;
    buffer_free_memory(&c->pending);
    conversation_settle(c);
}

static void refuse_proxy(struct conversation *c, const char *why)
{
    log_turned_away(c, why);
    conversation_close(c, why);
}

void beginning_hear_proxy(struct conversation *c, struct span bytes)
{
    struct proxy_header header;
    size_t used;
    bool fits =
        buffer_fit(&c->pending, c->pending.len + bytes.len) && buffer_put(&c->pending, bytes);
    enum proxy_progress progress =
        fits ? proxy_read(buffer_span(&c->pending), &used, &header) : PROXY_FAULT;
    conversation_recount(c);
    if (progress == PROXY_MORE)
        return;
    if (progress == PROXY_FAULT) {
        refuse_proxy(c, "a proxy has sent no PROXY header");
        return;
    }
    c->awaits_proxy = false;
    buffer_consume(&c->pending, used);
    if (header.is_relayed)
        c->client = header.client;
    if (!receiver_admits(c->receiver, c->client)) {
        refuse_proxy(c, RECEIVER_TOO_OFTEN);
        return;
    }
    c->is_counted = client_limit_take(&c->receiver->clients, c->client) == FAULT_NONE;
    conversation_touch(c);
    if (c->is_counted)
        beginning_of(c);
    else
        refuse_proxy(c, "too many connections from your address");
}
