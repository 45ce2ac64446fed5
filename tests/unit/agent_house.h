/*
 * agent_house: beside the deliverer of deliver_house.h an agent (the real one, on a machine of its
 * own) and hands that are no processes and misbehave as told, with a ledger of mailboxes.
 *
 * Watched always: what a hand is given is the message, byte by byte; the same delivery puts no
 * second copy into a mailbox; who was told "delivered" has the message.
 */
#ifndef TESTS_UNIT_AGENT_HOUSE_H
#define TESTS_UNIT_AGENT_HOUSE_H

#include "agent/agent.h"
#include "agent/kind.h"
#include "agent/result.h"
#include "agent/source.h"
#include "deliver/local.h"
#include "deliver_cases.h"

enum { COPIES_MAX = 20000, HANDS_MAX = 400, RUINS_MAX = 400 };

/* What a hand does with a delivery. */
enum handling {
    PUTS,        /* what a good one does */
    STALLS,      /* never answers */
    DIES_BEFORE, /* nothing is in the mailbox */
    DIES_AFTER,  /* it is, and nobody is told */
    ANSWERS_TWICE,
    LIES_NUMBER, /* answers what it was not asked */
    LIES_END,    /* answers what there is not */
    HANDLINGS
};

struct copy {
    struct id id;
    uint32_t recipient;
    char address[64];
};

struct double_hand {
    struct list node;
    struct ipc_channel channel;
    struct timer timer;
    struct message_done done; /* answered when the timer is due */
    bool is_closed;
};

struct village {
    struct machine *agent_machine, *hands_machine;
    struct world *agent_life, *hands_life;
    int agent_door, hands_door; /* descriptors of those who listen */
    int to_agent, to_hands;     /* numbers of those who offer */
    struct actor *agent_actor, *hands_actor;
    struct packet_door *hands_listener;
    struct agent *agent;
    struct list hands;
    struct copy copies[COPIES_MAX];
    uint32_t copy_count;
    enum handling next;   /* of the next delivery; then PUTS again */
    uint32_t next_count;  /* or of so many */
    uint32_t misdeeds;    /* per million, drawn */
    int64_t takes_us_max; /* a delivery */
    uint32_t puts, repeats;
    uint64_t killed; /* hands that were told to be */
};

static struct village village;

/* Hands. ------------------------------------------------------------------------------------- */

static bool has_copy(struct id id, uint32_t recipient)
{
    for (uint32_t i = 0; i < village.copy_count; i++)
        if (id_equal(village.copies[i].id, id) && village.copies[i].recipient == recipient)
            return true;
    return false;
}

static void expect_whole(const struct message_put *put, const struct enclosure *enclosed)
{
    struct source s;
    struct span piece;
    struct buffer all;
    const struct message *m = message_of(put->id);
    buffer_init(&all, 64 << 20);
    assert_int_equal(source_open(&s, put, enclosed), FAULT_NONE);
    do {
        assert_int_equal(source_next(&s, &piece), FAULT_NONE);
        assert_true(buffer_put(&all, piece));
    } while (piece.len > 0);
    source_close(&s);
    struct span end = span_skip(buffer_span(&all), all.len - m->content.len);
    assert_true(all.len > m->content.len && span_equal(end, m->content));
    assert_true(span_equal(put->address, m->mail->envelope.recipients[put->recipient].path));
    buffer_fini(&all);
}

static void put_copy(const struct message_put *put)
{
    village.puts++;
    if (has_copy(put->id, put->recipient)) {
        village.repeats++;
        return;
    }
    assert_true(village.copy_count < COPIES_MAX);
    struct copy *c = &village.copies[village.copy_count++];
    c->id = put->id;
    c->recipient = put->recipient;
}

static void hand_end(struct double_hand *h)
{
    channel_close(&h->channel);
    timer_cancel(actor_loop(village.hands_actor), &h->timer);
    list_remove(&h->node);
    free(h);
}

static void answer_as(struct double_hand *h, struct message_done done)
{
    struct ipc_message m = {.type = MESSAGE_TYPE_DONE, .done = done};
    enum fault fault = channel_send(&h->channel, &m, NULL);
    (void)fault;
}

static enum handling draw_handling(void)
{
    if (village.next_count > 0) {
        village.next_count--;
        return village.next;
    }
    if (chance(village.misdeeds))
        return (enum handling)below(HANDLINGS);
    return PUTS;
}

static void on_put(void *context, const struct ipc_message *m, struct enclosure *enclosed)
{
    struct double_hand *h = context;
    const struct message_put *put = &m->put;
    enum handling handling = draw_handling();
    expect_whole(put, enclosed);
    enclosure_close(enclosed);
    h->done = (struct message_done){.number = put->number, .end = MESSAGE_DELIVERED};
    if (span_starts_with(put->address, SPAN("full")))
        h->done.end = MESSAGE_DEFERRED;
    else if (span_starts_with(put->address, SPAN("never")))
        h->done.end = MESSAGE_FAILED;
    else if (handling != DIES_BEFORE && handling != STALLS)
        put_copy(put);
    if (handling == STALLS)
        return;
    if (handling == DIES_BEFORE || handling == DIES_AFTER) {
        hand_end(h);
        return;
    }
    if (handling == LIES_NUMBER)
        h->done.number++;
    if (handling == LIES_END)
        h->done.end = 7;
    if (handling == ANSWERS_TWICE)
        answer_as(h, h->done);
    struct loop *l = actor_loop(village.hands_actor);
    assert_int_equal(
        timer_set(l, &h->timer, loop_mono_us(l) + (int64_t)below((size_t)village.takes_us_max + 1)),
        FAULT_NONE);
}

static void on_hand_time(void *context)
{
    struct double_hand *h = context;
    struct message_done done = h->done;
    if (done.end == MESSAGE_DEFERRED)
        done.text = SPAN("452 4.2.2 the mailbox is full");
    else if (done.end == MESSAGE_FAILED)
        done.text = SPAN("552 5.2.2 never");
    answer_as(h, done);
}

static void on_hand_end(void *context, enum fault why)
{
    (void)why;
    hand_end(context);
}

static const struct channel_events double_hand_events = {on_put, on_hand_end};

static void on_hand_offer(void *context, struct packet_end *end)
{
    (void)context;
    struct double_hand *h = calloc(1, sizeof *h);
    assert_non_null(h);
    channel_init(&h->channel, SIDE_HAND, SIDE_AGENT, &double_hand_events, h);
    timer_init(&h->timer, on_hand_time, h);
    channel_adopt(&h->channel, end);
    list_append(&village.hands, &h->node);
}

/* The agent. --------------------------------------------------------------------------------- */

/* "no@": nobody. "drop@": discarded. "cmd@": a command. A digit behind "u" is the user's. */
static enum fault find(void *context, const struct message_deliver *m, struct arena *arena,
                       struct message_put *put, struct identity *who_out)
{
    (void)context, (void)arena;
    if (span_starts_with(m->address, SPAN("no@")))
        return FAULT_NOT_FOUND;
    put->kind = AGENT_MAILDIR;
    if (span_starts_with(m->address, SPAN("drop@")))
        put->kind = AGENT_DISCARD;
    if (span_starts_with(m->address, SPAN("cmd@"))) {
        put->kind = AGENT_COMMAND;
        put->time_ms = 600000;
    }
    *who_out = (struct identity){1000, 1000};
    if (m->address.data[0] == 'u')
        who_out->uid += m->address.data[1];
    return FAULT_NONE;
}

static enum fault start_hand(void *context, struct identity who, struct ipc_channel *c,
                             int64_t *pid_out)
{
    (void)context, (void)who;
    *pid_out = 1;
    return channel_offer(c, actor_loop(village.agent_actor), village.to_hands);
}

static void kill_hand(void *context, int64_t pid)
{
    (void)context, (void)pid;
    village.killed++;
}

static void no_letter(void *self, struct letter *letter)
{
    (void)self, (void)letter;
    fail_msg("nobody writes to it");
}

static const struct actor_role agent_role = {"agent", no_letter, NULL};
static const struct actor_role hands_role = {"hands", no_letter, NULL};

static void agent_begins(void)
{
    static const struct agent_house agent_house = {NULL, find, start_hand, kill_hand};
    village.agent_life = life_begin(village.agent_machine);
    assert_int_equal(
        actor_new(village.agent_life, &agent_role, NULL, 0, NULL, &village.agent_actor),
        FAULT_NONE);
    assert_int_equal(actor_start(village.agent_actor), FAULT_NONE);
    assert_int_equal(agent_new(actor_loop(village.agent_actor), &agent_house, NULL, &village.agent),
                     FAULT_NONE);
    assert_int_equal(agent_listen(village.agent, village.agent_door), FAULT_NONE);
}

static inline void agent_dies(void)
{
    life_kill(village.agent_life, SIM_KILLED);
    agent_free(village.agent);
    village.agent = NULL;
    free_actor(village.agent_actor);
    life_end(village.agent_life);
}

/* The village. ------------------------------------------------------------------------------- */

static void village_begin(bool with_agent)
{
    struct endpoint agent_at = {4, {10, 0, 2, 1}, 1}, hands_at = {4, {10, 0, 3, 1}, 2};
    memset(&village, 0, sizeof village);
    list_init(&village.hands);
    village.takes_us_max = 3000;
    village.agent_machine = machine_new(house.sim, "agent", agent_at);
    village.hands_machine = machine_new(house.sim, "hands", hands_at);
    village.agent_door = machine_descriptor(village.agent_machine, agent_at.port);
    village.hands_door = machine_descriptor(village.hands_machine, hands_at.port);
    village.to_agent = machine_door(house.sender, agent_at);
    village.to_hands = machine_door(village.agent_machine, hands_at);
    house.settings.agent_door = village.to_agent;
    village.hands_life = life_begin(village.hands_machine);
    assert_int_equal(
        actor_new(village.hands_life, &hands_role, NULL, 0, NULL, &village.hands_actor),
        FAULT_NONE);
    assert_int_equal(actor_start(village.hands_actor), FAULT_NONE);
    assert_int_equal(packet_listen(actor_loop(village.hands_actor), village.hands_door,
                                   on_hand_offer, NULL, &village.hands_listener),
                     FAULT_NONE);
    if (with_agent)
        agent_begins();
}

static void village_end(void)
{
    if (house.sim->running != NULL)
        return;
    if (village.agent != NULL)
        agent_dies();
    while (!list_empty(&village.hands))
        hand_end(container_of(village.hands.next, struct double_hand, node));
    packet_unlisten(village.hands_listener);
    free_actor(village.hands_actor);
    life_end(village.hands_life);
}

static inline struct route *local_route(void)
{
    struct route *r = route_new_to_path(ROUTE_LOCAL, SPAN("b.example"));
    assert_non_null(r);
    return r;
}

/* Everybody who is said to have it has it; nobody has it twice (put_copy counts). */
static inline void expect_kept_promise(const struct channel *c)
{
    for (uint32_t i = 0; i < c->delivery.recipient_count; i++)
        if (result(c, i)->end == DELIVERY_DELIVERED && result(c, i)->text.len == 0)
            assert_true(has_copy(c->delivery.id, c->recipients[i]));
}

#endif
