#include "receive/receiver.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "receive/conversation.h"
#include "receive/receiver_inside.h"
#include "receive/transaction.h"

#define STARVED_LOG_US (60 * INT64_C(1000000)) /* between two lines about it */

struct listener {
    struct list node;
    struct socket *socket;
    struct receiver *receiver;
    struct receiver_door door;
    uint32_t round;
};

/* Turning away -------------------------------------------------------------------------------- */

static void nothing_of_bytes(void *context, struct span bytes)
{
    (void)context, (void)bytes;
}

static void nothing_of_sent(void *context)
{
    (void)context;
}

static void nothing_of_end(void *context, enum fault fault)
{
    (void)context, (void)fault;
}

static const struct socket_events deaf = {
    .on_bytes = nothing_of_bytes, .on_sent = nothing_of_sent, .on_end = nothing_of_end};

/* One line, and good-bye. A new connection takes so few bytes at once. */
static void turn_away(struct receiver *r, struct socket *socket, struct endpoint client,
                      const char *enhanced, const char *text)
{
    char line[400], address[ENDPOINT_TEXT_MAX];
    int len =
        snprintf(line, sizeof line, "421 %s %.255s %s\r\n", enhanced, r->settings->hostname, text);
    struct span part = span_of(line, (size_t)len);
    socket_adopt(socket, &deaf, r);
    (void)socket_send(socket, &part, 1);
    socket_close(socket);
    receiver_count(&r->counts.sessions_refused, 1);
    LOG(r->log, EVENT_SESSION_REFUSED, log_span("client", endpoint_format(client, address)),
        log_text("why", text));
}

bool receiver_admits(struct receiver *r, struct endpoint client)
{
    const struct receiver_settings *s = r->settings;
    if (s->sessions_per_minute_max == 0 ||
        address_ranges_contain(s->relay_from, s->relay_from_count, client))
        return true;
    int64_t now_us = loop_mono_us(r->loop);
    if (client_rate_is_over(&r->rates, client, RATE_SESSIONS, s->sessions_per_minute_max, now_us))
        return false;
    client_rate_count(&r->rates, client, RATE_SESSIONS, s->sessions_per_minute_max, now_us);
    return true;
}

static void on_accept(void *context, struct socket *connection, struct endpoint client)
{
    const struct listener *l = context;
    struct receiver *r = l->receiver;
    if (r->conversation_count >= r->settings->sessions_max) {
        turn_away(r, connection, client, "4.3.2", "too many connections, try again later");
        return;
    }
    bool is_proxy = address_ranges_contain(l->door.proxy_from, l->door.proxy_from_count, client);
    if (!is_proxy && !receiver_admits(r, client)) {
        turn_away(r, connection, client, "4.7.0", RECEIVER_TOO_OFTEN);
        return;
    }
    enum fault fault = is_proxy ? FAULT_NONE : client_limit_take(&r->clients, client);
    if (fault == FAULT_LIMIT)
        turn_away(r, connection, client, "4.7.0", "too many connections from your address");
    else if (fault != FAULT_NONE)
        turn_away(r, connection, client, fault_enhanced(fault), fault_text(fault));
    else if (conversation_open(r, connection, client, is_proxy, &l->door) != FAULT_NONE)
        receiver_count(&r->counts.sessions_refused, 1);
}

/* Told ten times a second while it lasts: logged now and then. */
static void on_starved(void *context, enum fault fault)
{
    struct receiver *r = ((const struct listener *)context)->receiver;
    int64_t now_us = loop_mono_us(r->loop);
    if (r->starved_logged_us != 0 && now_us < r->starved_logged_us + STARVED_LOG_US)
        return;
    r->starved_logged_us = now_us;
    LOG(r->log, EVENT_ACCEPT_PAUSED, log_fault("fault", fault),
        log_u64("sessions", r->conversation_count));
}

static const struct socket_events listening = {.on_accept = on_accept, .on_starved = on_starved};

/* The receiver -------------------------------------------------------------------------------- */

enum fault receiver_new(struct actor *worker, const struct receiver_settings *settings,
                        struct spool *spool, struct actor *queue, struct receiver **receiver_out)
{
    uint64_t secret;
    check(settings->appends_max > 0);
    struct receiver *r = calloc(1, sizeof *r);
    if (r == NULL)
        return FAULT_NO_MEMORY;
    r->worker = worker;
    r->loop = actor_loop(worker);
    r->log = actor_log(worker);
    r->spool = spool;
    r->queue = queue;
    list_init(&r->listeners);
    list_init(&r->conversations);
    list_init(&r->transactions);
    credit_init(&r->appends, settings->appends_max);
    loop_random(r->loop, &secret, sizeof secret);
    client_limit_init(&r->clients, settings->sessions_per_client_max, secret);
    client_rates_init(&r->rates, secret);
    receiver_use(r, settings);
    *receiver_out = r;
    return FAULT_NONE;
}

void receiver_use(struct receiver *r, const struct receiver_settings *settings)
{
    const struct receiver_settings *before = r->settings;
    check(settings->command_timeout_ms > 0 && settings->data_timeout_ms > 0);
    lease_take(settings->lease);
    r->settings = settings;
    r->clients.sessions_max = settings->sessions_per_client_max;
    if (before != NULL)
        lease_give(before->lease);
}

void receiver_retire(struct receiver *r)
{
    list_each(node, &r->conversations) conversation_stop(conversation_of(node));
}

static void close_listener(struct listener *l)
{
    list_remove(&l->node);
    socket_close(l->socket);
    free(l);
}

static void close_listeners(struct receiver *r)
{
    list_each(node, &r->listeners) close_listener(container_of(node, struct listener, node));
}

void receiver_renew_listeners(struct receiver *r)
{
    r->listeners_round++;
}

void receiver_close_listeners(struct receiver *r, bool the_new)
{
    list_each(node, &r->listeners)
    {
        struct listener *l = container_of(node, struct listener, node);
        if ((l->round == r->listeners_round) == the_new)
            close_listener(l);
    }
}

enum fault receiver_listen(struct receiver *r, int descriptor, const struct receiver_door *door)
{
    check(!door->is_implicit || r->settings->tls != NULL);
    struct listener *l = calloc(1, sizeof *l);
    if (l == NULL)
        return FAULT_NO_MEMORY;
    l->receiver = r;
    l->door = *door;
    l->round = r->listeners_round;
    enum fault fault = socket_listen_on(r->loop, descriptor, &listening, l, &l->socket);
    if (fault != FAULT_NONE) {
        free(l);
        return fault;
    }
    list_append(&r->listeners, &l->node);
    return FAULT_NONE;
}

bool receiver_on_letter(struct receiver *r, struct letter *letter)
{
    (void)r;
    return transaction_on_letter(letter);
}

void receiver_stop(struct receiver *r)
{
    r->is_stopping = true;
    close_listeners(r);
    list_each(node, &r->conversations) conversation_stop(conversation_of(node));
}

bool receiver_is_idle(const struct receiver *r)
{
    return r->conversation_count == 0 && list_empty(&r->transactions);
}

void receiver_counters(const struct receiver *r, struct receiver_counters *counters_out)
{
#define READ(name) counters_out->name = atomic_load_explicit(&r->counts.name, memory_order_relaxed)
    READ(sessions);
    READ(sessions_open);
    READ(sessions_refused);
    READ(messages);
    READ(recipients);
    READ(bytes);
    READ(refused);
    READ(copies);
#undef READ
}

void receiver_free(struct receiver *r)
{
    if (r == NULL)
        return;
    close_listeners(r);
    list_each(node, &r->conversations) conversation_close(conversation_of(node), "the end");
    list_each(node, &r->transactions) transaction_free(transaction_of(node));
    client_limit_fini(&r->clients);
    client_rates_fini(&r->rates);
    lease_give(r->settings->lease);
    free(r);
}
