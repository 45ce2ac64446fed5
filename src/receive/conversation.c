#include "receive/conversation_inside.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "config/settings.h"
#include "receive/addressee.h"
#include "receive/transaction.h"

#define REPLY_TEXT_MAX 160

struct conversation *conversation_of(struct list *node)
{
    return container_of(node, struct conversation, node);
}

static int64_t now_us(const struct conversation *c)
{
    return loop_mono_us(c->receiver->loop);
}

void conversation_touch(struct conversation *c)
{
    c->active_us = now_us(c);
}

/* The client has nothing to do: we have. */
static bool is_waiting(const struct conversation *c)
{
    return c->is_committing || (c->transaction != NULL && transaction_is_full(c->transaction));
}

/* Log --------------------------------------------------------------------------------------- */

static void log_closed(const struct conversation *c)
{
    char text[ENDPOINT_TEXT_MAX];
    LOG(c->receiver->log, EVENT_SESSION_CLOSED,
        log_span("client", endpoint_format(c->client, text)), log_u64("messages", c->messages),
        log_u64("refused", c->refused), log_text("why", c->why));
}

/* A reply may hold no more than our own constants. */
static const char *reply_text(const struct refusal *reply, char text_out[REPLY_TEXT_MAX])
{
    (void)snprintf(text_out, REPLY_TEXT_MAX, "%d %s %s", reply->code, reply->enhanced, reply->text);
    return text_out;
}

static void log_refused(struct conversation *c)
{
    struct receiver *r = c->receiver;
    struct session_refused refused = session_refused(c->session);
    char client[ENDPOINT_TEXT_MAX], reply[REPLY_TEXT_MAX];
    c->refused++;
    if (!refused.is_message) {
        LOG(r->log, EVENT_COMMAND_REFUSED,
            log_span("client", endpoint_format_ip(c->client, client)),
            log_span("helo", session_helo(c->session)),
            log_span("from", session_reverse_path(c->session)),
            log_span("command", refused.command),
            log_text("reply", reply_text(&refused.reply, reply)));
        return;
    }
    receiver_count(&r->counts.refused, 1);
    uint32_t recipients;
    (void)session_recipients(c->session, &recipients);
    LOG(r->log, EVENT_MESSAGE_REFUSED, log_span("from", session_reverse_path(c->session)),
        log_u64("size", session_facts(c->session)->bytes), log_u64("recipients", recipients),
        log_span("client", endpoint_format_ip(c->client, client)),
        log_span("helo", session_helo(c->session)),
        log_text("reply", reply_text(&refused.reply, reply)));
}

/* Output ------------------------------------------------------------------------------------ */

/* All that has been replied goes out in one piece. False: an earlier piece is still under way. */
static bool send_replies(struct conversation *c)
{
    struct buffer *out = session_output(c->session);
    if (c->sending.len > 0)
        return false;
    if (out->len == 0)
        return true;
    struct span part = buffer_span(out);
    if (link_send(&c->link, &part, 1) == SEND_LATER)
        c->sending = buffer_take(out);
    else
        buffer_free_memory(out);
    conversation_touch(c);
    return true;
}

/* What the session wants ---------------------------------------------------------------------- */

static const struct transaction_events transaction_events;

static void drop_transaction(struct conversation *c)
{
    if (c->transaction != NULL)
        transaction_drop(c->transaction);
    c->transaction = NULL;
}

static enum fault ensure_transaction(struct conversation *c)
{
    if (c->transaction != NULL)
        return FAULT_NONE;
    return transaction_new(c->receiver, c->settings, c->session, c->client, &transaction_events, c,
                           &c->transaction);
}

static void resolve(struct conversation *c)
{
    struct endpoint local = {0};
    if (session_asked(c->session)->address.literal) /* else it does not matter, and is a call */
        local = socket_local(c->link.socket);
    addressee_resolve(c->session, c->settings->all, local, c->may_relay);
}

static void keep(struct conversation *c, struct span run)
{
    enum fault fault = ensure_transaction(c);
    if (fault == FAULT_NONE)
        fault = transaction_keep(c->transaction, run);
    if (fault == FAULT_NONE)
        return;
    drop_transaction(c);
    session_content_fault(c->session, fault);
}

static void commit(struct conversation *c)
{
    struct id none = {{0}};
    enum fault fault = ensure_transaction(c);
    if (fault == FAULT_NONE)
        fault = transaction_commit(c->transaction, c->session);
    if (fault == FAULT_NONE) {
        c->is_committing = true;
        if (!c->may_relay)
            client_rate_count(&c->receiver->rates, c->client, RATE_MESSAGES,
                              c->settings->messages_per_minute_max, now_us(c));
        return;
    }
    c->transaction = NULL;
    session_committed(c->session, fault, none);
}

static void act(struct conversation *c, enum session_want want, struct span run)
{
    switch (want) {
    case SESSION_WANT_INPUT:
        break;
    case SESSION_WANT_RECIPIENT:
        resolve(c);
        break;
    case SESSION_WANT_KEEP:
        keep(c, run);
        break;
    case SESSION_WANT_COMMIT:
        commit(c);
        break;
    case SESSION_WANT_LOG:
        log_refused(c);
        break;
    case SESSION_WANT_ABANDON:
        drop_transaction(c);
        break;
    case SESSION_WANT_TLS:
        c->is_securing = true;
        break;
    case SESSION_WANT_CLOSE:
        drop_transaction(c);
        c->is_closing = true;
        break;
    }
}

/* Input --------------------------------------------------------------------------------------- */

static enum fault takes_mail(const struct conversation *c)
{
    const struct receiver *r = c->receiver;
    if (receiver_memory_is_full(r))
        return FAULT_NO_MEMORY;
    bool is_over =
        !c->may_relay && client_rate_is_over(&r->rates, c->client, RATE_MESSAGES,
                                             c->settings->messages_per_minute_max, now_us(c));
    return is_over ? FAULT_RATE : spool_takes_mail(r->spool);
}

/* Gives the session input until all is used or it has to wait; the result is how much was used. */
static size_t run_session(struct conversation *c, struct span input)
{
    size_t used = 0;
    session_refuse_mail(c->session, takes_mail(c));
    while (!c->is_closing && !c->is_securing && !is_waiting(c)) {
        size_t n;
        struct span run;
        enum session_want want = session_step(c->session, span_skip(input, used), &n, &run);
        used += n;
        act(c, want, run);
        /* Input that is left then waits for room in the output. */
        if (want == SESSION_WANT_INPUT && (used == input.len || !send_replies(c)))
            break;
    }
    (void)send_replies(c);
    /* What stands behind STARTTLS was put there by somebody else (CVE-2011-0411). */
    return c->is_securing ? input.len : used;
}

static void end_session(struct conversation *c, enum fault fault, const char *why)
{
    c->why = why;
    session_end(c->session, fault);
    (void)run_session(c, (struct span){NULL, 0});
}

static bool is_idle(const struct conversation *c)
{
    enum session_state state = session_state(c->session);
    return (state == SESSION_CONNECTED || state == SESSION_READY) && !c->is_closing &&
           !c->is_securing && !is_waiting(c) && c->pending.len == 0;
}

void conversation_recount(struct conversation *c)
{
    receiver_memory(c->receiver, &c->counted,
                    session_memory_bytes(c->session) + c->pending.capacity + c->sending.capacity);
}

bool conversation_begin_tls(struct conversation *c, struct span early)
{
    struct tls_stream *stream = tls_stream_accept(c->settings->tls);
    if (stream == NULL) {
        conversation_close(c, "out of memory");
        return false;
    }
    conversation_touch(c);
    link_start_tls(&c->link, stream, early);
    c->has_begun_tls = true;
    return true;
}

void conversation_settle(struct conversation *c)
{
    bool is_due = c->is_securing && !c->has_begun_tls && c->sending.len == 0;
    if (is_due && !c->is_closing && !conversation_begin_tls(c, (struct span){NULL, 0}))
        return;
    bool is_to_end = c->receiver->is_stopping || lease_is_over(c->settings->lease);
    if (is_to_end && is_idle(c))
        end_session(c, FAULT_STOPPING, "stopping");
    bool is_done = c->is_closing || (c->is_half && !is_waiting(c));
    if (is_done && c->sending.len == 0) {
        conversation_close(c, c->why);
        return;
    }
    conversation_recount(c);
    /* Not while it is only committing: so it is noticed when the client goes away. */
    bool is_full = c->transaction != NULL && transaction_is_full(c->transaction);
    link_read_pause(&c->link, c->pending.len > 0 || is_full || c->is_closing);
}

static bool keep_pending(struct conversation *c, struct span rest)
{
    if (rest.len == 0 || c->is_closing)
        return true;
    receiver_count(&c->receiver->counts.copies, 1);
    return buffer_fit(&c->pending, rest.len) && buffer_put(&c->pending, rest);
}

void conversation_proceed(struct conversation *c)
{
    size_t used = run_session(c, buffer_span(&c->pending));
    buffer_consume(&c->pending, used);
    if (c->pending.len == 0)
        buffer_free_memory(&c->pending);
    conversation_settle(c);
}

static void on_bytes(void *context, struct span bytes)
{
    struct conversation *c = context;
    if (c->awaits_proxy) {
        beginning_hear_proxy(c, bytes);
        return;
    }
    if (c->awaits_greeting) {
        beginning_turn_away(c);
        return;
    }
    enum session_state state = session_state(c->session);
    check(c->pending.len == 0); /* else it is paused */
    if ((state == SESSION_DATA || state == SESSION_CHUNK) && c->sending.len == 0)
        conversation_touch(c);
    size_t used = run_session(c, bytes);
    if (!keep_pending(c, span_skip(bytes, used))) {
        conversation_close(c, "out of memory");
        return;
    }
    conversation_settle(c);
}

static void on_sent(void *context)
{
    struct conversation *c = context;
    buffer_fini(&c->sending);
    conversation_touch(c);
    conversation_proceed(c);
}

/* A client may shut its sending side and still wait for replies. */
static void on_end(void *context, enum fault fault)
{
    struct conversation *c = context;
    if (c->why == NULL)
        c->why = fault == FAULT_NONE ? "the client closed" : fault_text(fault);
    if (fault != FAULT_NONE) {
        conversation_close(c, c->why);
        return;
    }
    c->is_half = true;
    conversation_settle(c);
}

static void log_secured(const struct conversation *c)
{
    char client[ENDPOINT_TEXT_MAX];
    const struct tls_stream *s = c->link.stream;
    LOG(c->receiver->log, EVENT_SESSION_SECURED,
        log_span("client", endpoint_format(c->client, client)),
        log_text("version", tls_stream_version(s)), log_text("cipher", tls_stream_cipher(s)),
        log_u64("resumed", tls_stream_is_resumed(s)));
}

/* Under implicit TLS the greeting comes now (RFC 8314 3). */
static void on_secure(void *context, enum fault fault)
{
    struct conversation *c = context;
    if (fault != FAULT_NONE) {
        conversation_close(c, c->link.stream == NULL ? fault_text(fault)
                                                     : tls_stream_trouble(c->link.stream));
        return;
    }
    c->is_securing = false;
    log_secured(c);
    session_secured(c->session);
    conversation_touch(c);
    if (c->is_implicit)
        session_greet(c->session);
    conversation_proceed(c);
}

static const struct link_events events = {
    .on_bytes = on_bytes, .on_sent = on_sent, .on_secure = on_secure, .on_end = on_end};

/* The transaction's answers ------------------------------------------------------------------- */

static void on_room(void *context)
{
    struct conversation *c = context;
    conversation_touch(c);
    conversation_proceed(c);
}

static void on_content_fault(void *context, enum fault fault)
{
    struct conversation *c = context;
    c->transaction = NULL;
    session_content_fault(c->session, fault);
    conversation_touch(c);
    conversation_proceed(c);
}

static void on_committed(void *context, enum fault fault, struct id id)
{
    struct conversation *c = context;
    c->transaction = NULL;
    c->is_committing = false;
    if (fault == FAULT_NONE)
        c->messages++;
    else
        c->refused++;
    session_committed(c->session, fault, id);
    conversation_touch(c);
    conversation_proceed(c);
}

static const struct transaction_events transaction_events = {
    .on_room = on_room, .on_content_fault = on_content_fault, .on_committed = on_committed};

/* Time ---------------------------------------------------------------------------------------- */

static int64_t timeout_us(const struct conversation *c)
{
    const struct receiver_settings *s = c->settings;
    enum session_state state = session_state(c->session);
    bool is_data = state == SESSION_DATA || state == SESSION_CHUNK;
    if (c->awaits_proxy)
        return PROXY_TIMEOUT_MS * INT64_C(1000);
    if (c->awaits_greeting)
        return s->greeting_delay_ms * 1000;
    return (is_data ? s->data_timeout_ms : s->command_timeout_ms) * 1000;
}

bool conversation_set_timer(struct conversation *c)
{
    int64_t now = now_us(c), due = c->active_us + timeout_us(c);
    int64_t command_us = c->settings->command_timeout_ms * 1000;
    int64_t data_us = c->settings->data_timeout_ms * 1000;
    int64_t next = now + (command_us < data_us ? command_us : data_us);
    if ((c->awaits_proxy || c->awaits_greeting) && c->active_us + timeout_us(c) < next)
        next = c->active_us + timeout_us(c);
    if (due > now && due < next)
        next = due;
    if (timer_set(c->receiver->loop, &c->timer, next) == FAULT_NONE)
        return true;
    conversation_close(c, "out of memory");
    return false;
}

/* A client that does not take its replies would not take a 421 either. */
static void time_out(struct conversation *c, const char *why)
{
    if (c->sending.len > 0 || c->is_closing || c->awaits_proxy) {
        conversation_close(c, why);
        return;
    }
    end_session(c, FAULT_TIMEOUT, why);
    conversation_settle(c);
}

static void on_timer(void *context)
{
    struct conversation *c = context;
    int64_t now = now_us(c), whole_us = c->settings->session_time_max_ms * 1000;
    if (c->awaits_greeting && now >= c->active_us + timeout_us(c)) {
        c->awaits_greeting = false;
        if (conversation_set_timer(c))
            beginning_greet(c);
        return;
    }
    if (is_waiting(c))
        conversation_touch(c);
    if (!conversation_set_timer(c))
        return;
    if (now >= c->active_us + timeout_us(c))
        time_out(c, "timed out");
    else if (whole_us > 0 && now >= c->opened_us + whole_us && !is_waiting(c))
        time_out(c, "it took too long");
}

/* Beginning and end --------------------------------------------------------------------------- */

enum fault conversation_open(struct receiver *r, struct socket *socket, struct endpoint client,
                             bool is_proxy, const struct receiver_door *door)
{
    struct conversation *c = calloc(1, sizeof *c);
    if (c == NULL)
        goto no_conversation;
    c->session = session_new(&r->settings->session, r->settings->hostname);
    if (c->session == NULL)
        goto no_session;
    c->receiver = r;
    c->settings = r->settings;
    lease_take(c->settings->lease);
    c->client = client;
    c->is_implicit = door->is_implicit;
    c->awaits_proxy = is_proxy;
    c->is_counted = !is_proxy;
    c->opened_us = c->active_us = loop_mono_us(r->loop);
    buffer_init(&c->pending, SOCKET_READ_BYTES);
    timer_init(&c->timer, on_timer, c);
    link_adopt(&c->link, r->loop, socket, &events, c);
    list_append(&r->conversations, &c->node);
    r->conversation_count++;
    receiver_count(&r->counts.sessions, 1);
    receiver_count(&r->counts.sessions_open, 1);
    if (door->is_lmtp)
        session_speak_lmtp(c->session);
    if (c->settings->tls != NULL)
        session_offer_tls(c->session);
    if (conversation_set_timer(c) && !is_proxy)
        beginning_of(c);
    return FAULT_NONE;

no_session:
    free(c);
no_conversation:
    socket_close(socket);
    if (!is_proxy)
        client_limit_give(&r->clients, client);
    return FAULT_NO_MEMORY;
}

void conversation_stop(struct conversation *c)
{
    conversation_settle(c);
}

void conversation_close(struct conversation *c, const char *why)
{
    struct receiver *r = c->receiver;
    if (c->is_committing)
        transaction_detach(c->transaction);
    else
        drop_transaction(c);
    if (c->why == NULL)
        c->why = why == NULL ? "done" : why;
    log_closed(c);
    timer_cancel(r->loop, &c->timer);
    link_close(&c->link);
    session_free(c->session);
    buffer_fini(&c->sending);
    buffer_fini(&c->pending);
    receiver_memory(r, &c->counted, 0);
    if (c->is_counted)
        client_limit_give(&r->clients, c->client);
    list_remove(&c->node);
    r->conversation_count--;
    receiver_count(&r->counts.sessions_open, -1);
    lease_give(c->settings->lease);
    free(c);
}
