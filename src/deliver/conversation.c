/*
 * conversation: a connection's socket and the client's machine on it: what is sent, how long is
 * waited. Of the results it knows only whether another host has to be tried.
 */
#include <string.h>

#include "base/log.h"
#include "deliver/connection.h"
#include "mail/idn.h"

static void pump(struct connection *c, struct span input);

static void pump_on(struct connection *c)
{
    pump(c, (struct span){NULL, 0});
}

/* Transactions -------------------------------------------------------------------------------- */

static struct client_limits limits_of(const struct deliverer_settings *s)
{
    return (struct client_limits){
        .greeting_timeout_ms = s->greeting_timeout_ms,
        .ehlo_timeout_ms = s->ehlo_timeout_ms,
        .mail_timeout_ms = s->mail_timeout_ms,
        .rcpt_timeout_ms = s->rcpt_timeout_ms,
        .data_timeout_ms = s->data_timeout_ms,
        .block_timeout_ms = s->block_timeout_ms,
        .dot_timeout_ms = s->dot_timeout_ms,
        .quit_timeout_ms = s->quit_timeout_ms,
    };
}

/* The client is of the settings of now, and holds them. */
static struct client *make_client(struct connection *c)
{
    const struct deliverer_settings *s = c->deliverer->settings;
    lease_take(s->lease);
    c->settings = s;
    c->limits = limits_of(s);
    return client_new(&c->limits, s->hostname);
}

enum fault conversation_start(struct connection *c)
{
    c->client = make_client(c);
    if (c->client == NULL)
        return FAULT_NO_MEMORY;
    client_speak(c->client, securing_manner(c));
    conversation_begin(c);
    return FAULT_NONE;
}

/* Of a message whose sender has said SMTPUTF8: that its addresses are all ASCII is no reason to
   refuse a server for. Content in a file is not read for it. */
static bool may_have_utf8_header(const struct envelope *e)
{
    size_t end = span_find(e->content, SPAN("\r\n\r\n"), 0);
    return e->content_in_file || !idn_is_ascii(span_sub(e->content, 0, end));
}

void conversation_begin(struct connection *c)
{
    const struct delivery *d = c->delivery;
    const struct envelope *e = &c->mail->envelope;
    struct client_transaction t = {
        .reverse_path = e->reverse_path,
        .recipients = c->recipients,
        .recipient_count = d->recipient_count,
        .content_bytes = e->prefix.len + e->content_bytes,
        .is_8bitmime = e->body_8bitmime,
        /* DATA goes in one piece with RCPT, so that BDAT costs a tenth more CPU (relay-4k-50: 0.087
           for 0.079 s in 1,000); but each dot to be doubled cuts the content once more. */
        .likes_chunks = e->has_dot_lines,
        .needs_utf8 = e->smtputf8 && may_have_utf8_header(e),
        .ret = e->ret,
        .envid = e->envid,
    };
    c->has_result = false;
    c->has_moved = true;
    c->out = (struct outgoing){.is_active = false};
    c->transactions++;
    deliverer_count(&c->deliverer->counters.transactions, 1);
    connection_enter(c, CONNECTION_TALKING);
    client_begin(c->client, &t);
    pump_on(c);
}

/* A recipient whose result another host must not change. */
static bool has_final_verdict(const struct connection *c)
{
    for (uint32_t i = 0; i < c->delivery->recipient_count; i++) {
        enum client_verdict v = c->recipients[i].result.verdict;
        if (v == CLIENT_DELIVERED || v == CLIENT_FAILED)
            return true;
    }
    return false;
}

/* The transaction is over, and what becomes of the connection is known. */
static void conclude(struct connection *c)
{
    const struct client_outcome *o = client_outcome(c->client);
    enum fault site_fault = FAULT_NONE;
    c->has_result = false;
    if (o->is_stale && c->is_reused) {
        c->is_reused = false;
        c->attempt_next = 0; /* the same host, on a new connection */
        connection_drop(c);
        connecting_try_next(c);
        return;
    }
    if (o->is_host_trouble) {
        outcome_note_trouble(c, o->trouble.fault, &o->trouble);
        site_fault = c->trouble_fault;
        if (!o->in_doubt && !has_final_verdict(c) && c->attempt_next < c->attempt_count) {
            connection_drop(c);
            connecting_try_next(c);
            return;
        }
    }
    outcome_take(c);
    connection_finish(c, site_fault);
}

/* Commands and replies ------------------------------------------------------------------------ */

/* What the kernel has not yet taken stays the client's, which bounds it. */
static void send_commands(struct connection *c)
{
    struct buffer *output = client_output(c->client);
    if (output->len == 0 || output->full || c->is_sending)
        return;
    struct buffer sent = c->sending;
    c->sending = *output;
    *output = sent;
    buffer_reset(output);
    struct span part = buffer_span(&c->sending);
    c->is_sending = link_send(c->link, &part, 1) == SEND_LATER;
}

/* As early as the host has said that it talks to us, so that the record is written while MAIL and
   RCPT are on their way; once for a delivery, however many hosts are tried. */
static void write_sending(struct connection *c)
{
    enum client_phase phase = client_phase(c->client);
    bool is_time = phase == CLIENT_MAIL || phase == CLIENT_RCPT || phase == CLIENT_DATA ||
                   phase == CLIENT_CONTENT;
    if (!is_time || c->is_sending_written || c->is_append_out)
        return;
    c->append = (struct append){
        .type = RECORD_SENDING, .id = c->delivery->id, .version = c->delivery->version};
    c->is_append_out = true;
    letter_send(c->deliverer->worker, spool_actor(c->deliverer->spool), &c->append.letter,
                LETTER_APPEND, NULL);
}

/* The time of a phase; false: no memory for a timer. */
static bool arm_timer(struct connection *c)
{
    int64_t timeout_ms = client_timeout_ms(c->client);
    uint64_t progress = client_progress(c->client);
    if (progress == c->progress && !c->has_moved)
        return true;
    c->progress = progress;
    c->has_moved = false;
    return timeout_ms < 0 || connection_set_timer(c, timeout_ms);
}

enum react { REACT_OVER, REACT_AGAIN, REACT_WAIT };

/* Input is left only when the next command has no room, for others are still to be sent: those
   that the server has answered already. */
static enum react on_want_input(struct connection *c, bool has_input)
{
    const struct buffer *output = client_output(c->client);
    if (c->has_result) {
        conclude(
            c); /* the host was refused: QUIT is on its way, and the answer matters to nobody */
        return REACT_OVER;
    }
    if (has_input && output->len > 0 && !output->full)
        client_lost(c->client, FAULT_PROTOCOL);
    return has_input || output->full ? REACT_AGAIN : REACT_WAIT;
}

/* The rest of the input is read before the connection is called well. */
static enum react on_want_idle(struct connection *c, bool has_input)
{
    if (has_input)
        return REACT_AGAIN;
    if (!c->has_result)
        return REACT_WAIT;
    conclude(c);
    return REACT_OVER;
}

/* The 220 has come, so our STARTTLS is with the server; what came behind the 220 is dropped by the
   caller (CVE-2021-38371). */
static enum react on_want_tls(struct connection *c)
{
    if (c->is_securing)
        return REACT_WAIT;
    if (!c->is_sending && securing_start(c))
        return REACT_WAIT;
    client_lost(c->client, FAULT_NO_MEMORY);
    return REACT_AGAIN;
}

static enum react on_want_judgement(struct connection *c)
{
    enum fault fault = downgrading_judge(c);
    if (fault == FAULT_NONE && !c->is_judged)
        return REACT_WAIT;
    if (fault != FAULT_NONE)
        client_lost(c->client, fault);
    else
        client_judge(c->client, c->verdict,
                     c->downgrade == NULL ? 0 : downgrade_bytes(c->downgrade));
    return REACT_AGAIN;
}

static enum react react(struct connection *c, enum client_want want, bool has_input)
{
    switch (want) {
    case CLIENT_WANT_INPUT:
        return on_want_input(c, has_input);
    case CLIENT_WANT_CONTENT:
        outgoing_begin(c);
        outgoing_continue(c);
        return REACT_AGAIN;
    case CLIENT_WANT_RESULT:
        c->has_result = true;
        c->out.is_active = false;
        return REACT_AGAIN;
    case CLIENT_WANT_JUDGEMENT:
        return on_want_judgement(c);
    case CLIENT_WANT_TLS:
        return on_want_tls(c);
    case CLIENT_WANT_IDLE:
        return on_want_idle(c, has_input);
    case CLIENT_WANT_CLOSE:
        if (c->has_result)
            conclude(c);
        else
            connection_over(c);
        return REACT_OVER;
    }
    check(false);
    return REACT_OVER;
}

/* The client's loop (smtp_client.h). After it the delivery may be over and `c` freed. */
static void pump(struct connection *c, struct span input)
{
    for (;;) {
        size_t used;
        enum client_want want = client_step(c->client, input, &used);
        input = want == CLIENT_WANT_TLS ? (struct span){NULL, 0} : span_skip(input, used);
        send_commands(c);
        enum react next = react(c, want, input.len > 0);
        if (next == REACT_OVER)
            return;
        if (next == REACT_AGAIN)
            continue;
        write_sending(c);
        if (arm_timer(c))
            return;
        client_lost(c->client, FAULT_NO_MEMORY);
    }
}

void conversation_go_on(struct connection *c)
{
    c->has_moved = true;
    outgoing_continue(c);
    pump_on(c);
}

void conversation_lost(struct connection *c, enum fault fault)
{
    client_lost(c->client, fault);
    pump_on(c);
}

void conversation_quit(struct connection *c)
{
    connection_enter(c, CONNECTION_QUITTING);
    client_quit(c->client);
    pump_on(c);
}

void conversation_on_bytes(void *context, struct span bytes)
{
    pump(context, bytes);
}

void conversation_on_sent(void *context)
{
    struct connection *c = context;
    c->is_sending = false;
    send_commands(c);
    conversation_go_on(c);
}

void conversation_on_end(void *context, enum fault fault)
{
    struct connection *c = context;
    c->is_sending = false;
    conversation_lost(c, fault == FAULT_NONE ? FAULT_CONNECTION_LOST : fault);
}

/* The same address again; it is then talked to in clear. */
static void try_in_clear(struct connection *c)
{
    c->clear_peer = c->peer;
    c->attempt_next--;
    connection_drop(c);
    connecting_try_next(c);
}

void conversation_on_secure(void *context, enum fault fault)
{
    struct connection *c = context;
    fault = securing_judge(c, fault);
    if (fault == FAULT_NONE) {
        client_secured(c->client);
        conversation_go_on(c);
    } else if (c->delivery->route->tls == ROUTE_TLS_MUST) {
        conversation_lost(c, fault);
    } else {
        try_in_clear(c);
    }
}

/* The server waits for content that our own disk or spool does not give. */
static bool is_ours(const struct connection *c)
{
    bool is_waiting = c->out.is_active && !c->is_sending;
    return c->is_surveying || (is_waiting && (c->is_append_out || c->is_job_out));
}

void conversation_on_time(struct connection *c)
{
    switch (c->state) {
    case CONNECTION_CONNECTING:
        connecting_on_time(c);
        break;
    case CONNECTION_TALKING:
        if (c->is_securing)
            conversation_on_secure(c, FAULT_TIMEOUT);
        else
            conversation_lost(c, is_ours(c) ? FAULT_DISK_ERROR : FAULT_TIMEOUT);
        break;
    case CONNECTION_IDLE:
        conversation_quit(c);
        break;
    case CONNECTION_QUITTING:
        connection_over(c);
        break;
    case CONNECTION_UNUSED:
    case CONNECTION_FETCHING:
    case CONNECTION_DRAINING:
        break;
    }
}
