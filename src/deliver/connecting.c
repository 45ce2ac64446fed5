/*
 * connecting: which address of a route is tried next, and two of a host raced (RFC 8305): IPv6
 * first, and when it has not answered after RACE_DELAY_MS, IPv4 beside it; who answers first is it.
 * Addresses that do not answer are remembered (silence.h).
 */
#include "base/log.h"
#include "deliver/connection.h"

#define RACE_DELAY_MS INT64_C(250) /* RFC 8305 5: the recommended one */

static void on_connect(struct connection *c, struct link *link, enum fault fault);

static void on_connect_0(void *context, enum fault fault)
{
    struct connection *c = context;
    on_connect(c, &c->links[0], fault);
}

static void on_connect_1(void *context, enum fault fault)
{
    struct connection *c = context;
    on_connect(c, &c->links[1], fault);
}

static const struct link_events events[2] = {
    {.on_connect = on_connect_0,
     .on_bytes = conversation_on_bytes,
     .on_sent = conversation_on_sent,
     .on_secure = conversation_on_secure,
     .on_end = conversation_on_end},
    {.on_connect = on_connect_1,
     .on_bytes = conversation_on_bytes,
     .on_sent = conversation_on_sent,
     .on_secure = conversation_on_secure,
     .on_end = conversation_on_end},
};

static struct endpoint address_of(const struct connection *c, uint32_t attempt)
{
    struct attempt at = c->attempts[attempt];
    return c->delivery->route->hosts[at.host].addresses[at.address];
}

static enum fault open_link(struct connection *c, struct link *link, struct endpoint peer)
{
    const struct deliverer_settings *s = c->deliverer->settings;
    struct endpoint source = peer.family == 6 ? s->source_ipv6 : s->source_ipv4;
    const struct link_events *e = &events[link - c->links];
    struct loop *l = connection_loop(c);
    deliverer_count(&c->deliverer->counters.connections, 1);
    enum fault fault = peer.family == 0
                           ? link_connect_path(link, l, c->delivery->route->socket_path, e, c)
                           : link_connect(link, l, peer, source, e, c);
    if (fault == FAULT_NONE)
        deliverer_count(&c->deliverer->counters.connections_open, 1);
    return fault;
}

void connecting_end_race(struct connection *c)
{
    c->is_race_due = false;
    if (!link_is_open(c->rival))
        return;
    link_close(c->rival);
    deliverer_count(&c->deliverer->counters.connections_open, -1);
}

static void note_silence(struct connection *c, struct endpoint peer)
{
    char text[ENDPOINT_TEXT_MAX];
    if (peer.family == 0 ||
        !silence_add(&c->deliverer->silence, peer, loop_mono_us(connection_loop(c))))
        return;
    LOG(actor_log(c->deliverer->worker), EVENT_ADDRESS_SILENT, log_id("id", c->delivery->id),
        log_span("host", endpoint_format(peer, text)));
}

static void note_failed(struct connection *c, struct endpoint peer, enum fault fault)
{
    deliverer_count(&c->deliverer->counters.connects_failed, 1);
    outcome_note_trouble(c, fault, NULL);
    if (fault == FAULT_CONNECT_TIMEOUT || fault == FAULT_UNREACHABLE)
        note_silence(c, peer);
}

/* The present attempt is IPv6, and the next one IPv4 of the same host. */
static bool may_race(const struct connection *c)
{
    uint32_t next = c->attempt_next;
    return c->peer.family == 6 && next < c->attempt_count &&
           c->attempts[next].host == c->attempts[next - 1].host && address_of(c, next).family == 4;
}

static bool await(struct connection *c)
{
    int64_t timeout_ms = c->deliverer->settings->connect_timeout_ms;
    c->is_race_due = may_race(c) && timeout_ms > RACE_DELAY_MS;
    return connection_set_timer(c, c->is_race_due ? RACE_DELAY_MS : timeout_ms);
}

void connecting_try_next(struct connection *c)
{
    while (c->attempt_next < c->attempt_count) {
        c->peer = address_of(c, c->attempt_next++);
        enum fault fault = open_link(c, c->link, c->peer);
        if (fault == FAULT_NONE && await(c)) {
            connection_enter(c, CONNECTION_CONNECTING);
            return;
        }
        connection_drop(c);
        note_failed(c, c->peer, fault == FAULT_NONE ? FAULT_NO_MEMORY : fault);
    }
    outcome_defer_all(c, c->trouble_fault);
    connection_finish(c, c->trouble_fault);
}

static void give_up(struct connection *c, enum fault fault)
{
    connection_drop(c);
    note_failed(c, c->peer, fault);
    connecting_try_next(c);
}

/* The rival takes the place of the first: its link, its address. */
static void change_places(struct connection *c)
{
    struct link *link = c->link;
    struct endpoint peer = c->peer;
    c->link = c->rival;
    c->rival = link;
    c->peer = c->rival_peer;
    c->rival_peer = peer;
}

/* The attempts of the two, whichever of them is to be the present one. */
static void change_attempts(struct connection *c)
{
    struct attempt *first = &c->attempts[c->attempt_next - 1];
    struct attempt attempt = first[0];
    first[0] = first[1];
    first[1] = attempt;
}

static void met(struct connection *c, bool is_rival)
{
    if (is_rival) { /* the other one is left for later */
        note_silence(c, c->peer);
        change_places(c);
        change_attempts(c);
    }
    connecting_end_race(c);
    silence_remove(&c->deliverer->silence, c->peer);
    enum fault fault = conversation_start(c);
    if (fault != FAULT_NONE)
        give_up(c, fault);
}

/* One of two: the other one is waited for, and the attempt is used up. */
static void lose_one(struct connection *c, bool is_rival, enum fault fault)
{
    note_failed(c, is_rival ? c->rival_peer : c->peer, fault);
    if (is_rival)
        change_attempts(c);
    else
        change_places(c);
    c->attempt_next++;
    connecting_end_race(c);
}

static void on_connect(struct connection *c, struct link *link, enum fault fault)
{
    bool is_rival = link == c->rival;
    if (fault == FAULT_NONE)
        met(c, is_rival);
    else if (link_is_open(c->rival))
        lose_one(c, is_rival, fault);
    else
        give_up(c, fault);
}

static void begin_race(struct connection *c)
{
    c->is_race_due = false;
    c->rival_peer = address_of(c, c->attempt_next);
    /* When it fails at once it has its turn later. */
    (void)!open_link(c, c->rival, c->rival_peer);
    if (!connection_set_timer(c, c->deliverer->settings->connect_timeout_ms - RACE_DELAY_MS))
        give_up(c, FAULT_NO_MEMORY);
}

void connecting_on_time(struct connection *c)
{
    if (c->is_race_due) {
        begin_race(c);
        return;
    }
    if (link_is_open(c->rival))
        lose_one(c, true, FAULT_CONNECT_TIMEOUT);
    give_up(c, FAULT_CONNECT_TIMEOUT);
}
