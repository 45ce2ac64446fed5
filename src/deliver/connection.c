#include "deliver/connection.h"

#include <stdlib.h>

/* Of what is converted at once (content_pump.c): its bytes as triples, and what an entity gets in
   addition, for as many as have room in it. */
#define CONVERTED_BYTES_MAX (1024u * 1024)

void connection_enter(struct connection *c, enum connection_state next)
{
#define TO(state) (1u << CONNECTION_##state)
    static const uint8_t moves[] = {
        [CONNECTION_UNUSED] = TO(FETCHING) | TO(CONNECTING) | TO(UNUSED) | TO(DRAINING),
        [CONNECTION_FETCHING] = TO(CONNECTING) | TO(TALKING) | TO(UNUSED) | TO(IDLE),
        [CONNECTION_CONNECTING] = TO(CONNECTING) | TO(TALKING) | TO(UNUSED),
        [CONNECTION_TALKING] = TO(CONNECTING) | TO(IDLE) | TO(UNUSED),
        [CONNECTION_IDLE] =
            TO(FETCHING) | TO(TALKING) | TO(CONNECTING) | TO(IDLE) | TO(QUITTING) | TO(UNUSED),
        [CONNECTION_QUITTING] = TO(FETCHING) | TO(CONNECTING) | TO(UNUSED),
        [CONNECTION_DRAINING] = TO(DRAINING),
    };
#undef TO
    check((moves[c->state] & (1u << next)) != 0);
    c->state = next;
}

bool connection_set_timer(struct connection *c, int64_t after_ms)
{
    struct loop *l = connection_loop(c);
    return timer_set(l, &c->timer, loop_mono_us(l) + after_ms * 1000) == FAULT_NONE;
}

static void on_timer(void *context)
{
    conversation_on_time(context);
}

/* Life ---------------------------------------------------------------------------------------- */

struct connection *connection_new(struct deliverer *d)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->deliverer = d;
    c->link = &c->links[0];
    c->rival = &c->links[1];
    buffer_init(&c->sending, CLIENT_OUTPUT_MAX);
    buffer_init(&c->converted, CONVERTED_BYTES_MAX);
    c->fetching.connection = c;
    c->reading.connection = c;
    timer_init(&c->timer, on_timer, c);
    list_append(&d->connections, &c->node);
    return c;
}

void connection_free(struct connection *c)
{
    connection_drop(c);
    if (c->has_content)
        content_fini(&c->reading.content);
    mail_release(c->mail);
    mail_release(c->fetching.fetch.mail);
    buffer_fini(&c->sending);
    downgrading_forget(c);
    list_remove(&c->node);
    free(c);
}

static bool has_letter_out(const struct connection *c)
{
    return c->is_append_out || c->is_fetch_out || c->is_job_out;
}

/* A closed channel's connection ends once nothing of it is under way. */
static void end_orphan(struct connection *c)
{
    check(c->is_orphan && c->delivery == NULL && !link_is_open(c->link));
    if (has_letter_out(c))
        connection_enter(c, CONNECTION_DRAINING);
    else
        connection_free(c);
}

void connection_close(struct connection *c)
{
    check(c->delivery == NULL && !c->is_orphan);
    c->is_orphan = true;
    if (c->state == CONNECTION_IDLE)
        conversation_quit(c);
    else if (c->state != CONNECTION_QUITTING)
        end_orphan(c);
}

void connection_renew(struct connection *c)
{
    if (c->state == CONNECTION_IDLE && c->delivery == NULL)
        conversation_quit(c);
}

/* The socket ---------------------------------------------------------------------------------- */

void connection_drop(struct connection *c)
{
    connecting_end_race(c);
    if (link_is_open(c->link)) {
        link_close(c->link);
        deliverer_count(&c->deliverer->counters.connections_open, -1);
    }
    c->is_securing = false;
    client_free(c->client);
    c->client = NULL;
    if (c->settings != NULL)
        lease_give(c->settings->lease);
    c->settings = NULL;
    c->is_sending = false;
    c->transactions = 0;
    buffer_free_memory(&c->sending);
    timer_cancel(connection_loop(c), &c->timer);
    outgoing_end(c);
}

/* RFC 5321 4.1.1.10: a good connection is not closed without QUIT. Its answer is not waited for:
   the next delivery is. */
static void hang_up(struct connection *c)
{
    if (c->client != NULL && client_is_usable(c->client) && !c->is_sending) {
        client_quit(c->client);
        struct span quit = buffer_span(client_output(c->client));
        (void)link_send(c->link, &quit, 1);
    }
    connection_drop(c);
}

void connection_over(struct connection *c)
{
    connection_drop(c);
    if (c->delivery != NULL && c->is_started)
        return; /* a kept one, while the mail is fetched */
    connection_enter(c, CONNECTION_UNUSED);
    if (c->is_orphan)
        end_orphan(c);
}

static bool may_be_kept(const struct connection *c)
{
    return c->client != NULL && client_is_usable(c->client) && !c->is_sending &&
           c->settings == c->deliverer->settings && c->transactions < c->settings->messages_max;
}

/* The delivery -------------------------------------------------------------------------------- */

void connection_finish(struct connection *c, enum fault site_fault)
{
    struct delivery *d = c->delivery;
    struct mail_object *mail = c->mail;
    d->keeps_connection =
        may_be_kept(c) && connection_set_timer(c, c->deliverer->settings->idle_ms);
    if (d->keeps_connection) {
        outgoing_end(c);
        buffer_free_memory(&c->sending);
    } else {
        hang_up(c);
    }
    downgrading_forget(c);
    c->delivery = NULL;
    c->recipients = NULL;
    c->mail = NULL;
    if (d->mail == NULL)
        d->mail = mail;
    else
        mail_release(mail);
    d->site_fault = site_fault;
    connection_enter(c, d->keeps_connection ? CONNECTION_IDLE : CONNECTION_UNUSED);
    letter_answer(c->deliverer->worker, &d->letter);
}

/* Not one host was asked. */
static void finish_early(struct connection *c, enum fault fault)
{
    outcome_defer_all(c, fault);
    connection_finish(c, FAULT_NONE);
}

static enum fault name_recipients(struct connection *c)
{
    struct delivery *d = c->delivery;
    const struct envelope *e = &c->mail->envelope;
    c->recipients = arena_alloc(&d->arena, d->recipient_count * sizeof *c->recipients);
    if (c->recipients == NULL)
        return FAULT_NO_MEMORY;
    for (uint32_t i = 0; i < d->recipient_count; i++) {
        if (d->recipients[i] >= e->recipient_count)
            return FAULT_DAMAGED; /* it is not the message that the queue knows */
        const struct envelope_recipient *r = &e->recipients[d->recipients[i]];
        c->recipients[i] =
            (struct client_recipient){.path = r->path, .orcpt = r->orcpt, .notify = r->notify};
    }
    return FAULT_NONE;
}

/* The kept connection is to a host of the route, and as secure as the route wants it; then that
   host is the first. */
static bool is_to_the_point(struct connection *c)
{
    uint32_t number = attempts_find(c->delivery->route, c->peer, c->attempts, c->attempt_count);
    if (number == c->attempt_count || !securing_suits(c, c->attempts[number].host))
        return false;
    attempts_prefer(c->attempts, number);
    return true;
}

/* The mail object is there. */
static void ready(struct connection *c)
{
    const struct route *route = c->delivery->route;
    enum fault fault = name_recipients(c);
    if (fault != FAULT_NONE) {
        finish_early(c, fault);
        return;
    }
    c->attempt_count = attempts_order(connection_loop(c), route,
                                      c->deliverer->settings->attempts_max, c->attempts);
    attempts_defer_silent(&c->deliverer->silence, loop_mono_us(connection_loop(c)), route,
                          c->attempts, c->attempt_count);
    c->is_reused = may_be_kept(c) && is_to_the_point(c);
    if (c->is_reused) {
        c->attempt_next = 1;
        conversation_begin(c);
        return;
    }
    hang_up(c);
    connecting_try_next(c);
}

static void fetch(struct connection *c)
{
    struct fetch *f = &c->fetching.fetch;
    *f = (struct fetch){.id = c->delivery->id};
    c->is_fetch_out = true;
    connection_enter(c, CONNECTION_FETCHING);
    letter_send(c->deliverer->worker, spool_actor(c->deliverer->spool), &f->letter, LETTER_FETCH,
                NULL);
}

/* Letters of the delivery before may still be under way: it then begins when they are back. */
static void start(struct connection *c)
{
    struct delivery *d = c->delivery;
    if (has_letter_out(c))
        return;
    c->is_started = true;
    c->is_sending_written = false;
    c->trouble_fault = FAULT_UNREACHABLE;
    c->trouble_is_reply = false;
    c->trouble_text = c->trouble_remote = (struct span){NULL, 0};
    c->attempt_next = c->attempt_count = 0;
    if (c->state == CONNECTION_QUITTING)
        connection_drop(c);
    d->results = arena_alloc(&d->arena, d->recipient_count * sizeof *d->results);
    if (d->results == NULL) {
        connection_finish(c, FAULT_NONE); /* the queue defers all (transfer/delivery.h) */
    } else if (d->mail != NULL) {
        c->mail = mail_retain(d->mail);
        ready(c);
    } else {
        fetch(c);
    }
}

void connection_deliver(struct connection *c, struct delivery *delivery)
{
    check(c->delivery == NULL && !c->is_orphan && delivery->recipient_count > 0);
    c->delivery = delivery;
    c->is_started = false;
    if (c->state == CONNECTION_IDLE)
        timer_cancel(connection_loop(c), &c->timer);
    start(c);
}

/* Answers to its letters ---------------------------------------------------------------------- */

/* True: the letter is one of the delivery under way. Else `c` may be gone after it. */
static bool is_awaited(struct connection *c)
{
    if (c->delivery != NULL && c->is_started)
        return true;
    if (c->delivery != NULL)
        start(c);
    else if (c->state == CONNECTION_DRAINING)
        end_orphan(c);
    return false;
}

void connection_on_append(struct connection *c)
{
    enum fault fault = c->append.fault;
    c->is_append_out = false;
    if (!is_awaited(c))
        return;
    c->is_sending_written = fault == FAULT_NONE;
    if (c->state != CONNECTION_TALKING)
        return; /* another host is being tried meanwhile: a refusal is asked for again there */
    if (fault == FAULT_NONE)
        conversation_go_on(c);
    else
        conversation_lost(c, fault);
}

void connection_on_fetch(struct connection *c)
{
    struct fetch *f = &c->fetching.fetch;
    check(c->state == CONNECTION_FETCHING);
    c->is_fetch_out = false;
    if (f->fault != FAULT_NONE) {
        finish_early(c, f->fault);
        return;
    }
    deliverer_count(&c->deliverer->counters.fetched, 1);
    c->mail = f->mail;
    f->mail = NULL;
    ready(c);
}

void connection_on_job(struct connection *c)
{
    bool is_stale = c->is_job_stale;
    enum fault fault = c->reading.content.fault;
    c->is_job_out = c->is_job_stale = false;
    if (is_stale) {
        content_fini(&c->reading.content);
        c->has_content = false;
    }
    if (!is_awaited(c))
        return;
    if (c->is_surveying) {
        downgrading_on_block(c, is_stale, fault);
        return;
    }
    if (!c->out.is_active)
        return;
    if (!is_stale && fault == FAULT_NONE && !outgoing_take_block(c))
        fault = FAULT_DAMAGED;
    if (is_stale || fault == FAULT_NONE)
        conversation_go_on(c); /* when stale: from the first block, to another host */
    else
        conversation_lost(c, fault);
}
