#include "deliver/connection.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static const struct socket_events events;

static void pump(struct connection *c, struct span input);
static void try_next(struct connection *c);

static void connection_enter(struct connection *c, enum connection_state next)
{
#define TO(state) (1u << CONNECTION_##state)
    static const uint8_t moves[] = {
        [CONNECTION_UNUSED] = TO(FETCHING) | TO(CONNECTING) | TO(UNUSED) | TO(DRAINING),
        [CONNECTION_FETCHING] = TO(CONNECTING) | TO(TALKING) | TO(UNUSED) | TO(IDLE) | TO(DRAINING),
        [CONNECTION_CONNECTING] = TO(CONNECTING) | TO(TALKING) | TO(UNUSED) | TO(DRAINING),
        [CONNECTION_TALKING] = TO(CONNECTING) | TO(IDLE) | TO(UNUSED) | TO(DRAINING),
        [CONNECTION_IDLE] =
            TO(FETCHING) | TO(TALKING) | TO(CONNECTING) | TO(QUITTING) | TO(UNUSED) | TO(DRAINING),
        [CONNECTION_QUITTING] = TO(FETCHING) | TO(CONNECTING) | TO(UNUSED) | TO(DRAINING),
        [CONNECTION_DRAINING] = TO(DRAINING),
    };
#undef TO
    check((moves[c->state] & (1u << next)) != 0);
    c->state = next;
}

static struct loop *loop_of(const struct connection *c)
{
    return actor_loop(c->deliverer->worker);
}

static void set_timer(struct connection *c, int64_t after_ms)
{
    struct loop *l = loop_of(c);
    /* No memory for a timer: the site's own time limits then end it. */
    enum fault fault = timer_set(l, &c->timer, loop_mono_us(l) + after_ms * 1000);
    (void)fault;
}

static void drop_socket(struct connection *c)
{
    if (c->socket != NULL) {
        socket_close(c->socket);
        deliverer_count(&c->deliverer->counters.connections_open, -1);
    }
    c->socket = NULL;
    client_free(c->client);
    c->client = NULL;
    c->is_sending = false;
    c->has_begun = false;
    c->transactions = 0;
    buffer_free_memory(&c->sending);
    buffer_free_memory(&c->waiting);
    timer_cancel(loop_of(c), &c->timer);
}

static bool has_letter_out(const struct connection *c)
{
    return c->is_append_out || c->is_fetch_out || c->is_job_out;
}

static void close_content(struct connection *c)
{
    if (c->has_content && !c->is_job_out) {
        content_fini(&c->reading.content);
        c->has_content = false;
    }
}

/* A closed channel's connection ends once nothing of it is under way. True: it is freed. */
static bool end_orphan(struct connection *c)
{
    if (!c->is_orphan || c->state == CONNECTION_QUITTING)
        return false;
    drop_socket(c);
    if (has_letter_out(c)) {
        connection_enter(c, CONNECTION_DRAINING);
        return false;
    }
    connection_free(c);
    return true;
}

/* Results.
 * -----------------------------------------------------------------------------------------
 */

static struct span format_remote(struct connection *c, const struct route_host *host)
{
    char text[ENDPOINT_TEXT_MAX];
    struct span ip = endpoint_format_ip(c->peer, text);
    if (host->name.len == 0)
        return arena_printf(&c->delivery->arena, "[%.*s]", SPAN_PRINT(ip));
    return arena_printf(&c->delivery->arena, "%.*s[%.*s]", SPAN_PRINT(host->name), SPAN_PRINT(ip));
}

static struct span format_reply(struct arena *a, const struct client_result *r)
{
    struct span text = span_sub(r->text, 0, DELIVERY_REPLY_MAX - 8);
    struct buffer b;
    buffer_init(&b, DELIVERY_REPLY_MAX);
    bool ok = buffer_printf(&b, "%03d ", r->code) && buffer_put(&b, text);
    struct span copy = ok ? arena_copy(a, buffer_span(&b)) : (struct span){NULL, 0};
    buffer_fini(&b);
    return copy;
}

static void take_result(struct delivery_result *to, struct arena *a, const struct client_result *r,
                        struct span remote, bool in_doubt)
{
    *to = (struct delivery_result){.end = DELIVERY_DEFERRED, .fault = r->fault, .remote = remote};
    if (r->verdict == CLIENT_DELIVERED)
        to->end = DELIVERY_DELIVERED;
    else if (r->verdict == CLIENT_FAILED)
        to->end = DELIVERY_FAILED;
    to->in_doubt = in_doubt && to->end == DELIVERY_DEFERRED && r->phase == CLIENT_DOT;
    to->is_reply = r->code != 0 && r->fault == FAULT_NONE;
    if (r->code != 0)
        to->text = format_reply(a, r);
    if (to->text.len == 0 && to->fault == FAULT_NONE)
        to->fault = to->is_reply ? FAULT_NONE : FAULT_UNKNOWN;
}

/* What a client's transaction has brought. */
static void take_results(struct connection *c)
{
    struct delivery *d = c->delivery;
    const struct client_outcome *o = client_outcome(c->client);
    const struct attempt *at = &c->attempts[c->attempt_next > 0 ? c->attempt_next - 1 : 0];
    struct span remote =
        c->attempt_next > 0 ? format_remote(c, &d->route->hosts[at->host]) : (struct span){NULL, 0};
    for (uint32_t i = 0; i < d->recipient_count; i++) {
        take_result(&d->results[i], &d->arena, &c->recipients[i].result, remote, o->in_doubt);
        if (d->results[i].end == DELIVERY_DELIVERED)
            deliverer_count(&c->deliverer->counters.delivered, 1);
    }
}

/* Nobody was reached: every recipient is deferred for the reason of the last try. */
static void defer_all(struct connection *c, enum fault fault)
{
    struct delivery *d = c->delivery;
    for (uint32_t i = 0; i < d->recipient_count; i++)
        d->results[i] = (struct delivery_result){.end = DELIVERY_DEFERRED,
                                                 .fault = fault,
                                                 .is_reply = c->trouble_is_reply,
                                                 .text = c->trouble_text,
                                                 .remote = c->trouble_remote};
}

static bool may_be_kept(const struct connection *c)
{
    return c->client != NULL && client_is_usable(c->client) && !c->is_sending &&
           c->transactions < c->deliverer->settings->messages_max;
}

static struct mail_object *take_mail(struct connection *c)
{
    struct mail_object *mail = c->mail;
    c->mail = NULL;
    return mail;
}

/* The delivery is over: the letter goes back, the connection is kept or ended. Not while a letter
   of ours that points into the delivery is out. */
static void finish(struct connection *c, enum fault site_fault)
{
    struct delivery *d = c->delivery;
    c->out.is_active = false;
    if (d->mail == NULL)
        d->mail = take_mail(c);
    else
        mail_release(take_mail(c));
    c->delivery = NULL;
    c->recipients = NULL;
    c->has_begun = false;
    close_content(c);
    d->site_fault = site_fault;
    d->keeps_connection = may_be_kept(c);
    if (d->keeps_connection) {
        connection_enter(c, CONNECTION_IDLE);
        set_timer(c, c->deliverer->settings->idle_ms);
    } else {
        drop_socket(c);
        connection_enter(c, CONNECTION_UNUSED);
    }
    letter_answer(c->deliverer->worker, &d->letter);
}

/* Not even memory for the results: the queue defers all (transfer/delivery.h). */
static void finish_without_results(struct connection *c)
{
    c->delivery->results = NULL;
    finish(c, FAULT_NONE);
}

/* A host that cannot be used: why, for those who are deferred when no other can. */
static void note_trouble(struct connection *c, enum fault fault, const struct client_result *r)
{
    const struct route *route = c->delivery->route;
    const struct attempt *at = &c->attempts[c->attempt_next - 1];
    c->trouble_fault = fault == FAULT_NONE ? FAULT_UNREACHABLE : fault;
    c->trouble_is_reply = r != NULL && r->code != 0 && r->fault == FAULT_NONE;
    c->trouble_text = (struct span){NULL, 0};
    if (r != NULL && r->code != 0)
        c->trouble_text = format_reply(&c->delivery->arena, r);
    c->trouble_remote = format_remote(c, &route->hosts[at->host]);
}

/* Hosts.
 * -------------------------------------------------------------------------------------------
 */

static void try_next(struct connection *c)
{
    const struct deliverer_settings *s = c->deliverer->settings;
    while (c->attempt_next < c->attempt_count) {
        struct attempt at = c->attempts[c->attempt_next++];
        c->peer = c->delivery->route->hosts[at.host].addresses[at.address];
        struct endpoint source = c->peer.family == 6 ? s->source_ipv6 : s->source_ipv4;
        deliverer_count(&c->deliverer->counters.connections, 1);
        enum fault fault = socket_connect(loop_of(c), c->peer, source, &events, c, &c->socket);
        if (fault == FAULT_NONE) {
            deliverer_count(&c->deliverer->counters.connections_open, 1);
            connection_enter(c, CONNECTION_CONNECTING);
            set_timer(c, s->connect_timeout_ms);
            return;
        }
        deliverer_count(&c->deliverer->counters.connects_failed, 1);
        note_trouble(c, fault, NULL);
    }
    defer_all(c, c->trouble_fault);
    finish(c, c->trouble_fault);
}

static void begin(struct connection *c)
{
    const struct delivery *d = c->delivery;
    const struct envelope *e = &c->mail->envelope;
    struct client_transaction t = {
        .reverse_path = e->reverse_path,
        .recipients = c->recipients,
        .recipient_count = d->recipient_count,
        .content_bytes = e->prefix.len + e->content_bytes,
        .is_8bitmime = e->body_8bitmime,
    };
    c->has_begun = true;
    c->has_result = false;
    c->transactions++;
    deliverer_count(&c->deliverer->counters.transactions, 1);
    connection_enter(c, CONNECTION_TALKING);
    client_begin(c->client, &t);
    c->progress = client_progress(c->client) + 1; /* so that the timer is set */
    pump(c, (struct span){NULL, 0});
}

static void on_connect(void *context, enum fault fault)
{
    struct connection *c = context;
    const struct deliverer *d = c->deliverer;
    if (fault == FAULT_NONE) {
        c->client = client_new(&d->limits, d->settings->hostname);
        if (c->client == NULL)
            fault = FAULT_NO_MEMORY;
    }
    if (fault == FAULT_NONE) {
        begin(c);
        return;
    }
    deliverer_count(&c->deliverer->counters.connects_failed, 1);
    note_trouble(c, fault, NULL);
    drop_socket(c);
    try_next(c);
}

/* The address that we are connected to is one of the new route: it is tried first. */
static bool is_still_right(struct connection *c)
{
    for (uint32_t i = 0; i < c->attempt_count; i++) {
        struct attempt at = c->attempts[i];
        if (!endpoint_equal(c->delivery->route->hosts[at.host].addresses[at.address], c->peer))
            continue;
        c->attempts[i] = c->attempts[0];
        c->attempts[0] = at;
        c->attempt_next = 1;
        return true;
    }
    return false;
}

/* The mail object is there. */
static void ready(struct connection *c)
{
    struct delivery *d = c->delivery;
    c->recipients = arena_alloc(&d->arena, d->recipient_count * sizeof *c->recipients);
    if (c->recipients == NULL) {
        defer_all(c, FAULT_NO_MEMORY);
        finish(c, FAULT_NONE);
        return;
    }
    for (uint32_t i = 0; i < d->recipient_count; i++) {
        check(d->recipients[i] < c->mail->envelope.recipient_count);
        c->recipients[i].path = c->mail->envelope.recipients[d->recipients[i]];
    }
    c->attempt_count =
        attempts_order(loop_of(c), d->route, c->deliverer->settings->attempts_max, c->attempts);
    if (may_be_kept(c) && is_still_right(c)) {
        c->is_reused = true;
        begin(c);
        return;
    }
    drop_socket(c);
    c->is_reused = false;
    try_next(c);
}

/* Letters of the delivery before may still be under way: it then begins when they are back. */
static void start(struct connection *c)
{
    struct delivery *d = c->delivery;
    if (d == NULL || c->is_started || has_letter_out(c))
        return;
    close_content(c);
    c->is_started = true;
    c->is_sending_written = false;
    c->trouble_fault = FAULT_UNREACHABLE;
    c->trouble_is_reply = false;
    c->trouble_text = c->trouble_remote = (struct span){NULL, 0};
    c->attempt_next = c->attempt_count = 0;
    if (c->state == CONNECTION_QUITTING)
        drop_socket(c);
    else
        timer_cancel(loop_of(c), &c->timer);
    d->results = arena_alloc(&d->arena, d->recipient_count * sizeof *d->results);
    if (d->results == NULL) {
        finish_without_results(c);
        return;
    }
    if (d->mail != NULL) {
        c->mail = mail_retain(d->mail);
        ready(c);
        return;
    }
    c->fetching.fetch.id = d->id;
    c->is_fetch_out = true;
    connection_enter(c, CONNECTION_FETCHING);
    letter_send(c->deliverer->worker, spool_actor(c->deliverer->spool), &c->fetching.fetch.letter,
                LETTER_FETCH, NULL);
}

void connection_deliver(struct connection *c, struct delivery *delivery)
{
    check(c->delivery == NULL && !c->is_orphan);
    c->delivery = delivery;
    c->is_started = false;
    start(c);
}

/* The conversation.
 * --------------------------------------------------------------------------------
 */

static void flush_commands(struct connection *c)
{
    if (c->is_sending || c->waiting.len == 0 || c->socket == NULL)
        return;
    struct buffer sent = c->sending;
    c->sending = c->waiting;
    c->waiting = sent;
    buffer_reset(&c->waiting);
    struct span part = buffer_span(&c->sending);
    c->is_sending = socket_send(c->socket, &part, 1) == SEND_LATER;
}

static void take_output(struct connection *c)
{
    struct buffer *output = client_output(c->client);
    if (output->len == 0)
        return;
    bool fits = buffer_put(&c->waiting, buffer_span(output));
    buffer_consume(output, output->len);
    if (fits)
        flush_commands(c);
    else
        client_lost(c->client, FAULT_NO_MEMORY);
}

static void arm_timer(struct connection *c)
{
    int64_t timeout_ms = client_timeout_ms(c->client);
    uint64_t progress = client_progress(c->client);
    if (progress == c->progress)
        return;
    c->progress = progress;
    if (timeout_ms >= 0)
        set_timer(c, timeout_ms);
}

/* As early as the host has said that it talks to us, so that the record is written while MAIL and
   RCPT are on their way. */
static void write_sending(struct connection *c)
{
    enum client_phase phase = client_phase(c->client);
    bool is_time = phase == CLIENT_MAIL || phase == CLIENT_RCPT || phase == CLIENT_DATA ||
                   phase == CLIENT_CONTENT;
    if (!is_time || !c->has_begun || c->is_sending_written || c->is_append_out)
        return;
    c->append = (struct append){
        .type = RECORD_SENDING, .id = c->delivery->id, .version = c->delivery->version};
    c->is_append_out = true;
    letter_send(c->deliverer->worker, spool_actor(c->deliverer->spool), &c->append.letter,
                LETTER_APPEND, NULL);
}

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
    c->has_result = false;
    c->out.is_active = false;
    if (o->is_stale && c->is_reused) {
        c->is_reused = false;
        c->attempt_next = 0;
        drop_socket(c);
        try_next(c);
        return;
    }
    enum fault site_fault = FAULT_NONE;
    if (o->is_host_trouble) {
        note_trouble(c, o->trouble.fault, &o->trouble);
        site_fault = c->trouble_fault;
        if (!o->in_doubt && !has_final_verdict(c) && c->attempt_next < c->attempt_count) {
            drop_socket(c);
            try_next(c);
            return;
        }
    }
    take_results(c);
    finish(c, site_fault);
}

static void say_goodbye(struct connection *c)
{
    connection_enter(c, CONNECTION_QUITTING);
    set_timer(c, c->deliverer->settings->quit_timeout_ms);
    client_quit(c->client);
    pump(c, (struct span){NULL, 0});
}

/* A connection without a delivery has ended. */
static void connection_over(struct connection *c)
{
    drop_socket(c);
    if (c->state != CONNECTION_UNUSED)
        connection_enter(c, CONNECTION_UNUSED);
    (void)end_orphan(c);
}

/* True: go on with the rest of the input. */
static bool on_want(struct connection *c, enum client_want want, bool has_input)
{
    switch (want) {
    case CLIENT_WANT_INPUT:
        return has_input;
    case CLIENT_WANT_CONTENT:
        outgoing_begin(c);
        if (c->is_sending_written)
            outgoing_continue(c);
        return true;
    case CLIENT_WANT_RESULT:
        c->has_result = true;
        c->out.is_active = false;
        return true;
    case CLIENT_WANT_IDLE:
        if (!c->has_result)
            return has_input;
        conclude(c);
        return false;
    case CLIENT_WANT_CLOSE:
        if (c->has_result)
            conclude(c);
        else
            connection_over(c);
        return false;
    }
    check(false);
    return false;
}

static void pump(struct connection *c, struct span input)
{
    for (bool goes_on = true; goes_on;) {
        size_t used;
        enum client_want want = client_step(c->client, input, &used);
        input = span_skip(input, used);
        take_output(c);
        goes_on = on_want(c, want, input.len > 0);
        if (!goes_on && want != CLIENT_WANT_INPUT)
            return;
    }
    write_sending(c);
    arm_timer(c);
}

static void on_bytes(void *context, struct span bytes)
{
    pump(context, bytes);
}

static void on_sent(void *context)
{
    struct connection *c = context;
    c->is_sending = false;
    flush_commands(c);
    outgoing_continue(c);
    c->progress--; /* the kernel took something: the time begins anew */
    pump(c, (struct span){NULL, 0});
}

static void on_end(void *context, enum fault fault)
{
    struct connection *c = context;
    c->is_sending = false;
    client_lost(c->client, fault == FAULT_NONE ? FAULT_CONNECTION_LOST : fault);
    pump(c, (struct span){NULL, 0});
}

static const struct socket_events events = {
    .on_connect = on_connect, .on_bytes = on_bytes, .on_sent = on_sent, .on_end = on_end};

static void on_timer(void *context)
{
    struct connection *c = context;
    switch (c->state) {
    case CONNECTION_CONNECTING:
        on_connect(c, FAULT_CONNECT_TIMEOUT);
        break;
    case CONNECTION_TALKING:
        client_lost(c->client, FAULT_TIMEOUT);
        pump(c, (struct span){NULL, 0});
        break;
    case CONNECTION_IDLE:
        say_goodbye(c);
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

/* Answers to its letters.
 * --------------------------------------------------------------------------
 */

/* True: the letter's answer matters to the delivery under way. */
static bool is_awaited(struct connection *c)
{
    if (c->delivery != NULL && c->is_started)
        return true;
    if (!end_orphan(c))
        start(c);
    return false;
}

void connection_on_append(struct connection *c)
{
    c->is_append_out = false;
    if (!is_awaited(c))
        return;
    if (c->append.fault == FAULT_NONE)
        c->is_sending_written = true;
    if (c->state != CONNECTION_TALKING)
        return; /* another host is being tried meanwhile */
    if (c->append.fault != FAULT_NONE)
        client_lost(c->client, c->append.fault);
    else
        outgoing_continue(c);
    c->progress--;
    pump(c, (struct span){NULL, 0});
}

void connection_on_fetch(struct connection *c)
{
    c->is_fetch_out = false;
    if (!is_awaited(c)) {
        mail_release(c->fetching.fetch.mail);
        c->fetching.fetch.mail = NULL;
        return;
    }
    if (c->fetching.fetch.fault != FAULT_NONE) {
        defer_all(c, c->fetching.fetch.fault);
        finish(c, FAULT_NONE);
        return;
    }
    deliverer_count(&c->deliverer->counters.fetched, 1);
    c->mail = c->fetching.fetch.mail;
    c->fetching.fetch.mail = NULL;
    ready(c);
}

void connection_on_job(struct connection *c)
{
    c->is_job_out = false;
    if (!is_awaited(c) || !c->out.is_active)
        return;
    if (c->reading.content.fault != FAULT_NONE) {
        client_lost(c->client, c->reading.content.fault);
    } else {
        c->out.rest = c->reading.content.bytes;
        c->out.is_all_read = c->reading.content.bytes.len == 0;
        outgoing_continue(c);
    }
    c->progress--;
    pump(c, (struct span){NULL, 0});
}

/* Life.
 * --------------------------------------------------------------------------------------------
 */

struct connection *connection_new(struct deliverer *d)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->deliverer = d;
    buffer_init(&c->sending, 2 * CLIENT_OUTPUT_MAX);
    buffer_init(&c->waiting, 2 * CLIENT_OUTPUT_MAX);
    c->fetching.connection = c;
    c->reading.connection = c;
    timer_init(&c->timer, on_timer, c);
    list_append(&d->connections, &c->node);
    return c;
}

void connection_free(struct connection *c)
{
    drop_socket(c);
    if (c->has_content)
        content_fini(&c->reading.content);
    mail_release(c->mail);
    mail_release(c->fetching.fetch.mail);
    buffer_fini(&c->sending);
    buffer_fini(&c->waiting);
    list_remove(&c->node);
    free(c);
}

void connection_close(struct connection *c)
{
    check(c->delivery == NULL);
    c->is_orphan = true;
    if (c->state == CONNECTION_IDLE)
        say_goodbye(c);
    else
        (void)end_orphan(c);
}
