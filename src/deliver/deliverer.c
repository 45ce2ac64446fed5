#include "deliver/deliverer.h"

#include <stdlib.h>

#include "deliver/connection.h"
#include "deliver/local.h"

enum fault deliverer_new(struct actor *worker, const struct deliverer_settings *settings,
                         struct spool *spool, struct deliverer **deliverer_out)
{
    struct deliverer *d = calloc(1, sizeof *d);
    if (d == NULL)
        return FAULT_NO_MEMORY;
    d->worker = worker;
    lease_take(settings->lease);
    d->settings = settings;
    d->spool = spool;
    list_init(&d->connections);
    list_init(&d->notices);
    /* A file that was named is read at once, so that a wrong one is seen before mail depends on it.
     */
    enum fault fault = settings->tls_authorities == NULL ? FAULT_NONE : securing_prepare(d);
    if (fault != FAULT_NONE) {
        deliverer_free(d);
        return fault;
    }
    *deliverer_out = d;
    return FAULT_NONE;
}

void deliverer_use(struct deliverer *d, const struct deliverer_settings *settings)
{
    struct lease *before = d->settings->lease;
    lease_take(settings->lease);
    d->settings = settings;
    securing_renew(d);
    list_each(node, &d->connections) connection_renew(container_of(node, struct connection, node));
    lease_give(before);
}

static void on_close(struct deliverer *d, struct delivery *delivery)
{
    struct connection *c = delivery->connection;
    delivery->connection = NULL;
    if (c != NULL)
        connection_close(c);
    letter_answer(d->worker, &delivery->letter);
}

static void on_deliver(struct deliverer *d, struct delivery *delivery)
{
    if (delivery->kind == DELIVERY_CLOSE) {
        on_close(d, delivery);
        return;
    }
    delivery->results = NULL;
    delivery->site_fault = FAULT_NONE;
    delivery->keeps_connection = false;
    if (delivery->route->transport == ROUTE_LOCAL) {
        local_deliver(d, delivery);
        return;
    }
    if (delivery->connection == NULL)
        delivery->connection = connection_new(d);
    if (delivery->connection == NULL)
        letter_answer(d->worker, &delivery->letter); /* without results: no memory */
    else
        connection_deliver(delivery->connection, delivery);
}

static void on_fetched(struct fetching *f)
{
    if (f->connection != NULL)
        connection_on_fetch(f->connection);
    else if (f->local != NULL)
        local_on_fetch(f->local);
    else
        notice_on_fetch(f->notice);
}

/* On a worker only we append SENDING records and read content. The letter's owner may free it. */
static bool on_answer(struct letter *letter)
{
    if (letter->type == LETTER_FETCH) {
        on_fetched(container_of(letter, struct fetching, fetch.letter));
        return true;
    }
    if (letter->type == LETTER_APPEND) {
        struct append *a = container_of(letter, struct append, letter);
        if (a->type != RECORD_SENDING)
            return false;
        connection_on_append(container_of(a, struct connection, append));
        return true;
    }
    if (letter->type != LETTER_JOB)
        return false;
    struct content *content = container_of(letter, struct content, job.letter);
    if (content->step != CONTENT_READ && content->step != CONTENT_ENCLOSE)
        return false;
    struct reading *r = container_of(content, struct reading, content);
    if (r->connection != NULL)
        connection_on_job(r->connection);
    else if (r->local != NULL)
        local_on_job(r->local);
    else
        notice_on_job(r->notice);
    return true;
}

bool deliverer_on_letter(struct deliverer *d, struct letter *letter)
{
    if (letter->is_answer)
        return on_answer(letter);
    if (letter->type == LETTER_DELIVER)
        on_deliver(d, container_of(letter, struct delivery, letter));
    else if (letter->type == LETTER_NOTIFY)
        notice_begin(d, letter);
    else
        return false;
    return true;
}

void deliverer_counters(const struct deliverer *d, struct deliverer_counters *counters_out)
{
#define READ(field) \
    counters_out->field = atomic_load_explicit(&d->counters.field, memory_order_relaxed)
    READ(connections);
    READ(connections_open);
    READ(connects_failed);
    READ(transactions);
    READ(delivered);
    READ(bytes);
    READ(fetched);
#undef READ
}

void deliverer_free(struct deliverer *d)
{
    if (d == NULL)
        return;
    list_each(node, &d->connections) connection_free(container_of(node, struct connection, node));
    notices_free(d);
    local_free(d->local);
    tls_context_free(d->tls);
    lease_give(d->settings->lease);
    free(d);
}
