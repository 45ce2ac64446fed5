/*
 * resolver: see resolver.h.
 *
 * A work is one RESOLVE under way: its resolution, and the questions of its present step. A
 * question waits for a place among RESOLVER_LOOKUPS_MAX, is asked, and is answered; a work whose
 * questions are all answered is ready. Answers may come from inside lookup_start, so they only mark
 * what is ready: pump() alone starts lookups and takes works on, at the end of each turn.
 */
#include "dns/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "base/lease.h"
#include "config/settings.h"
#include "dns/lookup.h"
#include "dns/resolution.h"
#include "mail/idn.h"

#define NAME_MEMORY_MAX 1024

enum question_state { WAITING, ASKED, ANSWERED };

struct question {
    struct lookup lookup;
    struct list node; /* in resolver.waiting */
    struct work *work;
    uint32_t index;
    enum question_state state;
};

/* A name server, with all that is remembered of its answers. */
struct server {
    struct lease lease; /* of manners */
    struct endpoint at;
    struct lookups *lookups;
};

/* The settings of now, or those of a work that began before. */
struct manner {
    struct lease lease; /* of works, and of the resolver while it is the present one */
    struct resolver_settings settings;
    struct server *server;
};

struct work {
    struct list node;  /* in resolver.works */
    struct list ready; /* in resolver.ready */
    struct resolver *resolver;
    struct manner *manner;
    struct resolve *asker;
    struct timer timer;
    struct resolution resolution;
    struct question *questions;
    uint32_t question_count, open_count;
    bool is_late;        /* its time is over */
    struct arena memory; /* of a name in A-labels */
};

struct resolver {
    struct world *world;
    struct manner *manner; /* of works to come */
    struct actor *actor;
    struct list works;
    struct list ready;
    struct list waiting; /* questions, first come, first served */
    uint32_t asked_count;
    bool is_stopping;
};

static void on_letter(void *self, struct letter *letter);
static void on_turn(void *self);

static const struct actor_role role = {"resolver", on_letter, on_turn};

/* Manners and servers
 * ------------------------------------------------------------------------------------------------
 */

static void end_server(struct lease *lease)
{
    struct server *s = container_of(lease, struct server, lease);
    lookups_free(s->lookups);
    free(s);
}

static enum fault server_new(struct resolver *r, struct endpoint at, struct server **server_out)
{
    struct server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return FAULT_NO_MEMORY;
    s->lease.on_end = end_server;
    s->at = at;
    enum fault fault = lookups_new(r->world, actor_loop(r->actor), at, &s->lookups);
    if (fault == FAULT_NONE)
        *server_out = s;
    else
        free(s);
    return fault;
}

static void end_manner(struct lease *lease)
{
    struct manner *m = container_of(lease, struct manner, lease);
    if (m->server != NULL)
        lease_give(&m->server->lease);
    settings_release(m->settings.settings);
    free((char *)(uintptr_t)m->settings.hostname);
    free((struct endpoint *)(uintptr_t)m->settings.own);
    free(m);
}

static enum fault copy_settings(const struct resolver_settings *from, struct resolver_settings *to)
{
    struct endpoint *own = calloc(from->own_count + 1, sizeof *own);
    *to = *from;
    to->hostname = strdup(from->hostname);
    to->own = own;
    to->settings = settings_retain(from->settings);
    if (to->hostname == NULL || own == NULL)
        return FAULT_NO_MEMORY;
    for (size_t i = 0; i < from->own_count; i++)
        own[i] = from->own[i];
    return FAULT_NONE;
}

/* The server of before is kept when it is the same, with what it knows. */
static enum fault use(struct resolver *r, const struct resolver_settings *settings)
{
    struct manner *before = r->manner, *m = calloc(1, sizeof *m);
    if (m == NULL)
        return FAULT_NO_MEMORY;
    m->lease.on_end = end_manner;
    lease_take(&m->lease);
    enum fault fault = copy_settings(settings, &m->settings);
    if (fault == FAULT_NONE && before != NULL &&
        endpoint_equal(before->server->at, settings->server))
        m->server = before->server;
    else if (fault == FAULT_NONE)
        fault = server_new(r, settings->server, &m->server);
    if (fault != FAULT_NONE) {
        lease_give(&m->lease);
        return fault;
    }
    lease_take(&m->server->lease);
    r->manner = m;
    if (before != NULL)
        lease_give(&before->lease);
    return FAULT_NONE;
}

enum fault resolver_new(struct world *w, const struct resolver_settings *settings,
                        uint32_t max_letters, struct log *log, struct resolver **resolver_out)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (r == NULL)
        return FAULT_NO_MEMORY;
    r->world = w;
    list_init(&r->works);
    list_init(&r->ready);
    list_init(&r->waiting);
    enum fault fault = actor_new(w, &role, r, max_letters, log, &r->actor);
    if (fault == FAULT_NONE)
        fault = use(r, settings);
    if (fault == FAULT_NONE)
        *resolver_out = r;
    else
        resolver_free(r);
    return fault;
}

struct actor *resolver_actor(struct resolver *r)
{
    return r->actor;
}

/* Questions ---------------------------------------------------------------------------------------
 */

static void answered(struct question *q, enum fault fault, struct span packet)
{
    struct work *w = q->work;
    q->state = ANSWERED;
    resolution_answer(&w->resolution, q->index, fault, packet);
    if (--w->open_count == 0)
        list_append(&w->resolver->ready, &w->ready);
}

static void on_answer(void *context, enum fault fault, struct span packet, enum lookup_trust trust)
{
    struct question *q = context;
    check(q->state == ASKED);
    q->work->resolver->asked_count--;
    if (fault == FAULT_NONE && trust == LOOKUP_BOGUS)
        fault = FAULT_DNS_TEMPORARY;
    answered(q, fault, packet);
}

static void ask(struct question *q)
{
    struct resolver *r = q->work->resolver;
    struct resolution_question asked = resolution_question(&q->work->resolution, q->index);
    q->state = ASKED;
    q->lookup.on_answer = on_answer;
    q->lookup.context = q;
    r->asked_count++;
    enum fault fault =
        lookup_start(q->work->manner->server->lookups, &q->lookup, asked.name, asked.type);
    if (fault != FAULT_NONE) {
        r->asked_count--;
        answered(q, fault, (struct span){NULL, 0});
    }
}

/* Takes it back from wherever it is. */
static void withdraw(struct question *q)
{
    struct resolver *r = q->work->resolver;
    if (q->state == ASKED) {
        lookup_cancel(q->work->manner->server->lookups, &q->lookup);
        r->asked_count--;
    }
    list_remove(&q->node);
}

/* Works -------------------------------------------------------------------------------------------
 */

/* Frees it and all it has under way; the asker is not told. */
static void work_free(struct work *w)
{
    for (uint32_t i = 0; i < w->question_count; i++)
        withdraw(&w->questions[i]);
    timer_cancel(actor_loop(w->resolver->actor), &w->timer);
    list_remove(&w->node);
    list_remove(&w->ready);
    resolution_fini(&w->resolution);
    arena_fini(&w->memory);
    lease_give(&w->manner->lease);
    free(w->questions);
    free(w);
}

static void answer(struct resolver *r, struct resolve *asker, enum fault fault, int64_t ttl_ms)
{
    asker->fault = fault;
    asker->ttl_ms = ttl_ms;
    asker->work = NULL;
    letter_answer(r->actor, &asker->letter);
}

static void finish(struct work *w)
{
    w->asker->route = w->resolution.route;
    w->resolution.route = NULL;
    answer(w->resolver, w->asker, w->resolution.fault, w->resolution.ttl_ms);
    work_free(w);
}

static void give_up(struct work *w, enum fault fault, int64_t ttl_ms)
{
    answer(w->resolver, w->asker, fault, ttl_ms);
    work_free(w);
}

/* The questions of the step before are all answered. */
static void begin_step(struct work *w)
{
    uint32_t count = resolution_question_count(&w->resolution);
    if (count == 0) {
        finish(w);
        return;
    }
    if (w->is_late) {
        give_up(w, FAULT_DNS_TEMPORARY, RESOLVER_TTL_DOUBT_MS);
        return;
    }
    free(w->questions);
    w->question_count = 0;
    w->questions = calloc(count, sizeof *w->questions);
    if (w->questions == NULL) {
        give_up(w, FAULT_NO_MEMORY, 0);
        return;
    }
    w->question_count = w->open_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct question *q = &w->questions[i];
        q->work = w;
        q->index = i;
        q->state = WAITING;
        list_append(&w->resolver->waiting, &q->node);
    }
}

/* What has been answered by now has to do; hosts that answered in time are a route. */
static void on_timer(void *context)
{
    struct work *w = context;
    w->is_late = true;
    for (uint32_t i = 0; i < w->question_count; i++) {
        struct question *q = &w->questions[i];
        if (q->state == ANSWERED)
            continue;
        withdraw(q);
        answered(q, FAULT_TIMEOUT, (struct span){NULL, 0});
    }
}

static void begin_work(struct resolver *r, struct resolve *asker)
{
    struct loop *l = actor_loop(r->actor);
    struct work *w = calloc(1, sizeof *w);
    asker->route = NULL;
    if (w == NULL) {
        answer(r, asker, FAULT_NO_MEMORY, 0);
        return;
    }
    w->resolver = r;
    w->manner = r->manner;
    lease_take(&w->manner->lease);
    w->asker = asker;
    asker->work = w;
    list_append(&r->works, &w->node);
    list_init(&w->ready);
    timer_init(&w->timer, on_timer, w);
    const struct resolver_settings *s = &w->manner->settings;
    struct span name;
    arena_init(&w->memory, NAME_MEMORY_MAX);
    /* DNS and configuration know domains in A-labels (RFC 6531 3.2, 3.3). */
    enum fault fault = idn_domain_to_ascii(&w->memory, asker->name, &name);
    resolution_init(&w->resolution, s, fault == FAULT_NONE ? name : (struct span){NULL, 0});
    if (fault == FAULT_NO_MEMORY ||
        timer_set(l, &w->timer, loop_mono_us(l) + s->timeout_ms * 1000) != FAULT_NONE)
        give_up(w, FAULT_NO_MEMORY, 0);
    else
        begin_step(w);
}

/* The actor
 * -----------------------------------------------------------------------------------------
 */

static void stop(struct resolver *r, struct letter *letter)
{
    r->is_stopping = true;
    while (!list_empty(&r->works))
        give_up(container_of(r->works.next, struct work, node), FAULT_STOPPING, 0);
    letter_answer(r->actor, letter);
    actor_stop(r->actor);
}

static void renew(struct resolver *r, struct resolver_renewal *renewal)
{
    renewal->fault = r->is_stopping ? FAULT_STOPPING : use(r, renewal->settings);
    letter_answer(r->actor, &renewal->letter);
}

static void on_letter(void *self, struct letter *letter)
{
    struct resolver *r = self;
    struct resolve *asker = container_of(letter, struct resolve, letter);
    if (letter->type == LETTER_STOP) {
        stop(r, letter);
    } else if (letter->type == LETTER_PING) {
        letter_answer(r->actor, letter);
    } else if (letter->type == LETTER_RENEW) {
        renew(r, container_of(letter, struct resolver_renewal, letter));
    } else {
        check(letter->type == LETTER_RESOLVE);
        if (r->is_stopping)
            answer(r, asker, FAULT_STOPPING, 0);
        else
            begin_work(r, asker);
    }
}

/* Until nothing more can be done: a step taken on asks new questions, and some are answered at
   once. */
static void pump(struct resolver *r)
{
    struct list *node;
    for (;;) {
        if (r->asked_count < RESOLVER_LOOKUPS_MAX && (node = list_take_first(&r->waiting)) != NULL)
            ask(container_of(node, struct question, node));
        else if ((node = list_take_first(&r->ready)) != NULL)
            begin_step(container_of(node, struct work, ready));
        else
            break;
    }
}

static void on_turn(void *self)
{
    pump(self);
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    while (!list_empty(&r->works))
        work_free(container_of(r->works.next, struct work, node));
    if (r->manner != NULL)
        lease_give(&r->manner->lease);
    actor_free(r->actor);
    free(r);
}
