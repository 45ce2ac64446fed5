#include "agent/agent.h"

#include <stdlib.h>

#include "agent/kind.h"
#include "agent/result.h"
#include "base/list.h"

#define TICK_MS 500

struct agent {
    struct loop *loop;
    struct agent_house house;
    struct log *log;
    struct packet_door *door;
    struct timer tick;
    bool is_ticking, is_stopping;
    struct list callers, waiting, hands;
    uint32_t next_number;
    struct agent_counters counters;
};

/* The channel of one worker of one engine. */
struct caller {
    struct list node; /* in agent.callers */
    struct agent *agent;
    struct ipc_channel channel;
    uint32_t request_count;
    struct list requests;
};

struct request {
    struct list node;    /* in agent.waiting, while it has no hand */
    struct list sibling; /* in caller.requests */
    struct agent *agent;
    struct caller *caller; /* NULL: it is gone, nobody wants the answer */
    uint32_t number;       /* the caller's */
    struct identity who;
    struct message_put put; /* with our number */
    struct enclosure *enclosed;
    struct arena arena;
};

struct hand {
    struct list node; /* in agent.hands */
    struct agent *agent;
    struct ipc_channel channel;
    struct identity who;
    int64_t pid;
    struct request *request; /* NULL: idle */
    int64_t until_us;        /* then it is killed, or ended when idle */
};

static int64_t after_us(const struct agent *a, int64_t ms)
{
    return loop_mono_us(a->loop) + ms * 1000;
}

/* Requests. ---------------------------------------------------------------------------------- */

static void request_free(struct request *r)
{
    if (r->caller != NULL)
        r->caller->request_count--;
    list_remove(&r->node);
    list_remove(&r->sibling);
    enclosure_close(r->enclosed);
    arena_fini(&r->arena);
    free(r);
}

static void caller_free(struct caller *c)
{
    list_each(node, &c->requests)
    {
        struct request *r = container_of(node, struct request, sibling);
        bool has_hand = list_empty(&r->node);
        list_remove(&r->sibling);
        r->caller = NULL;
        if (has_hand)
            continue; /* what has begun goes on: its next asker sees that it is done */
        r->agent->counters.waiting--;
        request_free(r);
    }
    c->agent->counters.callers--;
    channel_close(&c->channel);
    list_remove(&c->node);
    free(c);
}

static void count_end(struct agent *a, enum message_end end)
{
    a->counters.delivered += end == MESSAGE_DELIVERED;
    a->counters.deferred += end == MESSAGE_DEFERRED;
    a->counters.failed += end == MESSAGE_FAILED;
}

/* A caller that does not read its answers has stopped, or never meant to. May free the caller. */
static void tell(struct caller *c, uint32_t number, enum message_end end, struct span text)
{
    struct ipc_message m = {.type = MESSAGE_TYPE_OUTCOME,
                            .outcome = {.number = number, .end = (uint8_t)end, .text = text}};
    count_end(c->agent, end);
    if (channel_send(&c->channel, &m, NULL) != FAULT_NONE)
        caller_free(c);
}

/* Frees the request, and may free its caller. */
static void conclude(struct request *r, enum message_end end, struct span text)
{
    struct caller *c = r->caller;
    uint32_t number = r->number;
    request_free(r);
    if (c != NULL)
        tell(c, number, end, text);
}

static void conclude_for(struct request *r, enum fault fault)
{
    struct agent_result result = result_of_fault(fault);
    conclude(r, result.end, result_text(&result));
}

/* Hands. ------------------------------------------------------------------------------------- */

static bool dispatch(struct agent *a);

static void hand_free(struct hand *h)
{
    struct agent *a = h->agent;
    a->counters.hands--;
    channel_close(&h->channel);
    a->house.kill_hand(a->house.context, h->pid);
    list_remove(&h->node);
    free(h);
}

/* It died, hangs or lies: whether it has done its work nobody knows, so it is to be asked again. */
static void hand_fail(struct hand *h, enum fault fault)
{
    struct agent *a = h->agent;
    struct request *r = h->request;
    a->counters.hands_failed++;
    LOG(a->log, EVENT_HAND_FAILED, log_i64("pid", h->pid), log_u64("uid", h->who.uid),
        log_fault("fault", fault));
    hand_free(h);
    if (r != NULL)
        conclude_for(r, fault);
}

static void on_hand_message(void *context, const struct ipc_message *m, struct enclosure *enclosed)
{
    struct hand *h = context;
    struct agent *a = h->agent;
    struct request *r = h->request;
    (void)enclosed; /* the table permits none */
    if (r == NULL || m->done.number != r->put.number || m->done.end > MESSAGE_FAILED) {
        hand_fail(h, FAULT_PROTOCOL);
        return;
    }
    h->request = NULL;
    h->until_us = after_us(a, AGENT_HAND_IDLE_MS);
    conclude(r, (enum message_end)m->done.end, m->done.text);
    (void)dispatch(a);
}

static void on_hand_end(void *context, enum fault why)
{
    struct hand *h = context;
    struct agent *a = h->agent;
    hand_fail(h, why);
    (void)dispatch(a);
}

static const struct channel_events hand_events = {on_hand_message, on_hand_end};

static enum fault hand_new(struct agent *a, struct identity who, struct hand **hand_out)
{
    struct hand *h = calloc(1, sizeof *h);
    if (h == NULL)
        return FAULT_NO_MEMORY;
    h->agent = a;
    h->who = who;
    channel_init(&h->channel, SIDE_AGENT, SIDE_HAND, &hand_events, h);
    enum fault fault = a->house.start_hand(a->house.context, who, &h->channel, &h->pid);
    if (fault != FAULT_NONE) {
        free(h);
        return fault;
    }
    a->counters.hands++;
    a->counters.hands_started++;
    list_append(&a->hands, &h->node);
    LOG(a->log, EVENT_HAND_STARTED, log_i64("pid", h->pid), log_u64("uid", who.uid));
    *hand_out = h;
    return FAULT_NONE;
}

static int64_t time_ms(const struct request *r)
{
    return r->put.kind == AGENT_COMMAND ? (int64_t)r->put.time_ms + AGENT_COMMAND_GRACE_MS
                                        : AGENT_MAILBOX_TIME_MS;
}

static void give(struct hand *h, struct request *r)
{
    struct ipc_message m = {.type = MESSAGE_TYPE_PUT, .put = r->put};
    check(h->request == NULL);
    if (!list_empty(&r->node))
        h->agent->counters.waiting--;
    list_remove(&r->node);
    h->request = r;
    h->until_us = after_us(h->agent, time_ms(r));
    enum fault fault = channel_send(&h->channel, &m, r->enclosed);
    if (fault == FAULT_TOO_LONG) {
        h->request = NULL; /* the hand is well */
        conclude_for(r, fault);
    } else if (fault != FAULT_NONE) {
        hand_fail(h, fault);
    }
}

/* What hands there are for a user, and who could make room. */
struct survey {
    struct hand *idle;  /* of that user */
    struct hand *spare; /* an idle one of somebody else */
    uint32_t own;       /* of that user */
};

static struct survey look_for(const struct agent *a, struct identity who)
{
    struct survey s = {NULL, NULL, 0};
    list_each(node, &a->hands)
    {
        struct hand *h = container_of(node, struct hand, node);
        bool is_own = identity_equal(h->who, who);
        s.own += is_own;
        if (h->request == NULL && is_own && s.idle == NULL)
            s.idle = h;
        else if (h->request == NULL && !is_own && s.spare == NULL)
            s.spare = h;
    }
    return s;
}

/* False: it has to wait. */
static bool try_request(struct agent *a, struct request *r)
{
    struct survey s = look_for(a, r->who);
    struct hand *h = s.idle;
    if (h == NULL && s.own >= AGENT_HANDS_PER_USER_MAX)
        return false;
    if (h == NULL && a->counters.hands >= AGENT_HANDS_MAX) {
        if (s.spare == NULL)
            return false;
        hand_free(s.spare);
    }
    enum fault fault = h == NULL ? hand_new(a, r->who, &h) : FAULT_NONE;
    if (fault == FAULT_NONE) {
        give(h, r);
    } else {
        if (!list_empty(&r->node))
            a->counters.waiting--;
        conclude_for(r, fault);
    }
    return true;
}

/* The first that somebody can take; false: there is none. A hand that has become idle, or has died,
   makes room for one. */
static bool dispatch(struct agent *a)
{
    list_each(node, &a->waiting)
    {
        if (try_request(a, container_of(node, struct request, node)))
            return true; /* which may have changed the list */
    }
    return false;
}

/* Time. -------------------------------------------------------------------------------------- */

/* Without memory for the timer it is set with the next request. */
static void tick_later(struct agent *a)
{
    if (!a->is_ticking)
        a->is_ticking = timer_set(a->loop, &a->tick, after_us(a, TICK_MS)) == FAULT_NONE;
}

static struct hand *late_hand(const struct agent *a)
{
    int64_t now_us = loop_mono_us(a->loop);
    list_each(node, &a->hands)
    {
        struct hand *h = container_of(node, struct hand, node);
        if (now_us >= h->until_us)
            return h;
    }
    return NULL;
}

static void on_tick(void *context)
{
    struct agent *a = context;
    a->is_ticking = false;
    for (struct hand *h; (h = late_hand(a)) != NULL;) {
        if (h->request == NULL)
            hand_free(h);
        else
            hand_fail(h, FAULT_TIMEOUT);
    }
    while (dispatch(a)) {
    }
    tick_later(a);
}

/* Callers. ----------------------------------------------------------------------------------- */

static struct request *request_new(struct caller *c, const struct message_deliver *m,
                                   struct enclosure *enclosed)
{
    struct request *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    struct agent *a = c->agent;
    arena_init(&r->arena, AGENT_REQUEST_MEMORY_MAX);
    list_init(&r->node);
    r->agent = a;
    r->caller = c;
    r->number = m->number;
    r->enclosed = enclosed;
    r->put = (struct message_put){
        .number = a->next_number++,
        .id = m->id,
        .recipient = m->recipient,
        .may_be_repeated = m->may_be_repeated,
        .is_framed = m->is_framed,
        .content_bytes = m->content_bytes,
        .address = arena_copy(&r->arena, m->address),
        .sender = arena_copy(&r->arena, m->sender),
        .prefix = arena_copy(&r->arena, m->prefix),
    };
    c->request_count++;
    list_append(&c->requests, &r->sibling);
    return r;
}

static void discard(struct request *r)
{
    LOG(r->agent->log, EVENT_MESSAGE_DISCARDED, log_id("id", r->put.id),
        log_span("to", r->put.address));
    conclude(r, MESSAGE_DELIVERED, SPAN("250 2.0.0 discarded, as configured"));
}

static void take_request(struct agent *a, struct request *r, const struct message_deliver *m)
{
    enum fault fault = a->house.find(a->house.context, m, &r->arena, &r->put, &r->who);
    if (fault == FAULT_NONE && r->arena.full)
        fault = FAULT_NO_MEMORY;
    if (fault != FAULT_NONE) {
        conclude_for(r, fault);
    } else if (r->put.kind == AGENT_DISCARD) {
        discard(r);
    } else if (!try_request(a, r)) {
        list_append(&a->waiting, &r->node);
        a->counters.waiting++;
    }
}

static void on_caller_message(void *context, const struct ipc_message *m,
                              struct enclosure *enclosed)
{
    struct caller *c = context;
    if (c->request_count >= AGENT_REQUESTS_MAX || c->agent->is_stopping) {
        enclosure_close(enclosed);
        caller_free(c); /* engines keep to it; a stopping agent's requests are made again */
        return;
    }
    c->agent->counters.requests++;
    tick_later(c->agent);
    struct request *r = request_new(c, &m->deliver, enclosed);
    if (r != NULL) {
        take_request(c->agent, r, &m->deliver);
        return;
    }
    enclosure_close(enclosed);
    struct agent_result result = result_of_fault(FAULT_NO_MEMORY);
    tell(c, m->deliver.number, result.end, result_text(&result));
}

static void on_caller_end(void *context, enum fault why)
{
    (void)why;
    caller_free(context);
}

static const struct channel_events caller_events = {on_caller_message, on_caller_end};

static void on_offer(void *context, struct packet_end *end)
{
    struct agent *a = context;
    struct caller *c = a->counters.callers < AGENT_CALLERS_MAX ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        packet_close(end);
        return;
    }
    c->agent = a;
    list_init(&c->requests);
    channel_init(&c->channel, SIDE_AGENT, SIDE_ENGINE, &caller_events, c);
    channel_adopt(&c->channel, end);
    list_append(&a->callers, &c->node);
    a->counters.callers++;
    struct ipc_message welcome = {.type = MESSAGE_TYPE_WELCOME,
                                  .welcome = {.requests_max = AGENT_REQUESTS_MAX}};
    if (channel_send(&c->channel, &welcome, NULL) != FAULT_NONE)
        caller_free(c);
}

/* Life. -------------------------------------------------------------------------------------- */

enum fault agent_new(struct loop *l, const struct agent_house *house, struct log *log,
                     struct agent **agent_out)
{
    struct agent *a = calloc(1, sizeof *a);
    if (a == NULL)
        return FAULT_NO_MEMORY;
    a->loop = l;
    a->house = *house;
    a->log = log;
    list_init(&a->callers);
    list_init(&a->waiting);
    list_init(&a->hands);
    timer_init(&a->tick, on_tick, a);
    *agent_out = a;
    return FAULT_NONE;
}

enum fault agent_listen(struct agent *a, int door)
{
    check(a->door == NULL);
    return packet_listen(a->loop, door, on_offer, a, &a->door);
}

/* A caller for whom something is in hand hears of it still. */
void agent_stop(struct agent *a)
{
    a->is_stopping = true;
    if (a->door != NULL)
        packet_unlisten(a->door);
    a->door = NULL;
    list_each(node, &a->waiting)
    {
        struct request *r = container_of(node, struct request, node);
        a->counters.waiting--;
        request_free(r);
    }
    list_each(c_node, &a->callers)
    {
        struct caller *c = container_of(c_node, struct caller, node);
        if (c->request_count == 0)
            caller_free(c);
    }
}

bool agent_is_idle(const struct agent *a)
{
    list_each(node, &a->hands)
    {
        if (container_of(node, struct hand, node)->request != NULL)
            return false;
    }
    return true;
}

struct agent_counters agent_counters(const struct agent *a)
{
    return a->counters;
}

void agent_free(struct agent *a)
{
    if (a == NULL)
        return;
    if (a->door != NULL)
        packet_unlisten(a->door);
    while (!list_empty(&a->callers))
        caller_free(container_of(a->callers.next, struct caller, node));
    while (!list_empty(&a->hands)) {
        struct hand *h = container_of(a->hands.next, struct hand, node);
        if (h->request != NULL)
            request_free(h->request);
        hand_free(h);
    }
    timer_cancel(a->loop, &a->tick);
    free(a);
}
