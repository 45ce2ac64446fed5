/* Local deliveries, simulated: the deliverer's side, the agent, hands that misbehave. */
#include "agent_house.h"

static int begin_village(void **state)
{
    begin(state);
    village_begin(true);
    return 0;
}

static int finish_village(void **state)
{
    village_end();
    return finish(state);
}

#define VILLAGE(name) cmocka_unit_test_setup_teardown(name, begin_village, finish_village)

static void expect_put(const struct channel *c, uint32_t i)
{
    assert_int_equal(result(c, i)->end, DELIVERY_DELIVERED);
    assert_true(has_copy(c->delivery.id, c->recipients[i]));
}

/* What goes well. ---------------------------------------------------------------------------- */

static void delivers(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    struct message *m = a_message("a@b u1@b u2@b a@b", 500);
    send_to(c, m, local_route());
    for (uint32_t i = 0; i < 4; i++)
        expect_put(c, i);
    expect_site(c, FAULT_NONE);
    assert_false(c->delivery.keeps_connection);
    assert_int_equal(village.copy_count, 4);
    assert_int_equal(counters().delivered, 4);
    assert_true(took_ms(c) < 1000);
    send_to(c, a_message("a@b", 2000), local_route());
    expect_put(c, 0);
    close_channel(c);
    assert_int_equal(agent_counters(village.agent).delivered, 5);
    assert_int_equal(m->sendings, 0);
}

static void delivers_content_from_its_file(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b c@b", 3 * INLINE_MAX), local_route());
    expect_put(c, 0);
    expect_put(c, 1);
    close_channel(c);
}

static void delivers_what_has_to_be_fetched(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    struct message *m = a_message("a@b", 500);
    deliver(c, m, local_route(), false);
    await(c);
    expect_put(c, 0);
    assert_non_null(c->delivery.mail);
    m->may_be_fetched = false;
    deliver(c, m, local_route(), false);
    await(c);
    expect_fault(c, 0, FAULT_NOT_FOUND);
    close_channel(c);
}

static void tells_what_became_of_each(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("no@b full@b never@b drop@b a@b cmd@b", 500), local_route());
    expect_reply(c, 0, DELIVERY_FAILED, "550 5.4.4 not found");
    expect_reply(c, 1, DELIVERY_DEFERRED, "452 4.2.2 the mailbox is full");
    expect_reply(c, 2, DELIVERY_FAILED, "552 5.2.2 never");
    expect_reply(c, 3, DELIVERY_DELIVERED, "250 2.0.0 discarded, as configured");
    expect_put(c, 4);
    expect_put(c, 5);
    expect_site(c, FAULT_NONE);
    close_channel(c);
}

/* More than the agent takes at once, and more users than there are hands. */
static void delivers_to_many(void **state)
{
    (void)state;
    static char recipients[RECIPIENTS_MAX * 10];
    size_t at = 0;
    for (int i = 0; i < 1000; i++)
        at += (size_t)sprintf(recipients + at, "%su%c@b", i == 0 ? "" : " ", '0' + i % 60);
    struct channel *c = a_channel();
    send_to(c, a_message(recipients, 100), local_route());
    for (uint32_t i = 0; i < 1000; i++)
        expect_put(c, i);
    assert_int_equal(village.copy_count, 1000);
    assert_true(agent_counters(village.agent).hands <= AGENT_HANDS_MAX);
    close_channel(c);
}

static void ends_idle_hands(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    send_to(c, a_message("a@b u1@b", 100), local_route());
    assert_int_equal(agent_counters(village.agent).hands, 2);
    run(2 * AGENT_HAND_IDLE_MS * 1000);
    assert_int_equal(agent_counters(village.agent).hands, 0);
    assert_int_equal(village.killed, 2);
    close_channel(c);
}

/* Hands that misbehave. ---------------------------------------------------------------------- */

static void survives_each_misdeed(void **state)
{
    (void)state;
    static const struct {
        enum handling handling;
        enum fault fault; /* that is told; NONE: the delivery is well */
        bool is_put;
    } cases[] = {
        {STALLS, FAULT_TIMEOUT, false},
        {DIES_BEFORE, FAULT_CONNECTION_LOST, false},
        {DIES_AFTER, FAULT_CONNECTION_LOST, true},
        {ANSWERS_TWICE, FAULT_NONE, true},
        {LIES_NUMBER, FAULT_PROTOCOL, true},
        {LIES_END, FAULT_PROTOCOL, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct channel *c = a_channel();
        struct message *m = a_message("a@b", 500);
        uint32_t before = village.copy_count;
        village.next = cases[i].handling;
        village.next_count = 1;
        send_to(c, m, local_route());
        run(SIM_SECOND); /* the second answer comes, too */
        if (cases[i].fault == FAULT_NONE) {
            expect_put(c, 0);
        } else {
            struct agent_result expected = result_of_fault(cases[i].fault);
            const struct delivery_result *r = result(c, 0);
            assert_int_equal(r->end, DELIVERY_DEFERRED);
            expect_span(r->text, result_text(&expected));
        }
        assert_int_equal(village.copy_count - before, cases[i].is_put);
        assert_true(took_ms(c) <= AGENT_MAILBOX_TIME_MS + 2000);
        expect_site(c, FAULT_NONE);
        /* Tried again it is there, once. */
        deliver(c, m, local_route(), false);
        await(c);
        expect_put(c, 0);
        assert_int_equal(village.copy_count - before, 1);
        close_channel(c);
    }
}

/* One mailbox that hangs holds up nobody else. */
static void a_hang_harms_nobody_else(void **state)
{
    (void)state;
    struct channel *stuck = a_channel(), *other = a_channel();
    village.next = STALLS;
    village.next_count = 1;
    deliver(stuck, a_message("a@b", 500), local_route(), true);
    run(SIM_SECOND);
    for (int i = 0; i < 20; i++) {
        send_to(other, a_message("a@b u1@b", 500), local_route());
        expect_put(other, 0);
        expect_put(other, 1);
        assert_true(took_ms(other) < 1000);
    }
    await(stuck);
    close_channel(stuck);
    close_channel(other);
}

/* An agent that is away, dies or lies. ------------------------------------------------------- */

static void waits_for_an_agent_and_no_longer(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    agent_dies();
    struct message *m = a_message("a@b c@b", 500);
    send_to(c, m, local_route());
    expect_fault(c, 0, FAULT_UNREACHABLE);
    expect_fault(c, 1, FAULT_UNREACHABLE);
    expect_site(c, FAULT_UNREACHABLE);
    assert_true(took_ms(c) >= LOCAL_AWAY_MS && took_ms(c) < LOCAL_AWAY_MS + 2000);
    deliver(c, m, local_route(), true);
    run(5 * SIM_SECOND);
    assert_true(c->is_lent);
    agent_begins();
    await(c);
    expect_put(c, 0);
    expect_put(c, 1);
    close_channel(c);
}

/* At once after it was asked, and at each moment later. */
static void an_agent_that_dies_costs_nothing(void **state)
{
    (void)state;
    for (int64_t after_us = 0; after_us < 6000; after_us += 150) {
        struct channel *c = &house.channels[0];
        if (house.channel_count == 0)
            c = a_channel();
        struct message *m = a_message("a@b u1@b c@b", 500);
        uint32_t before = village.copy_count;
        deliver(c, m, local_route(), true);
        run(after_us);
        agent_dies();
        run(SIM_SECOND);
        agent_begins();
        await(c);
        for (uint32_t i = 0; i < 3; i++)
            expect_put(c, i);
        assert_int_equal(village.copy_count - before, 3);
    }
    close_channel(&house.channels[0]);
}

/* Twice: then the message waits, and not the worker for ever. */
static void an_agent_that_always_dies_defers(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    deliver(c, a_message("a@b", 500), local_route(), true);
    village.next = STALLS;
    village.next_count = 1000;
    for (int i = 0; i < 2; i++) {
        run(2 * SIM_SECOND);
        agent_dies();
        agent_begins();
    }
    await(c);
    expect_fault(c, 0, FAULT_CONNECTION_LOST);
    expect_site(c, FAULT_NONE);
    close_channel(c);
}

/* An agent that is none: what it does with each request. */
enum lie { LIE_TWICE, LIE_OTHER, LIE_END_OF_NONE, LIE_GARBAGE, LIE_SILENCE, LIES };

struct liar {
    struct ipc_channel channel;
    struct packet_door *door;
    enum lie lie;
    uint32_t asked;
};

static struct liar liar;

static void on_asked(void *context, const struct ipc_message *m, struct enclosure *enclosed)
{
    (void)context;
    struct ipc_message answer = {.type = MESSAGE_TYPE_OUTCOME,
                                 .outcome = {.number = m->deliver.number, .end = MESSAGE_DEFERRED}};
    enclosure_close(enclosed);
    liar.asked++;
    if (liar.lie == LIE_OTHER)
        answer.outcome.number += 1000;
    if (liar.lie == LIE_END_OF_NONE)
        answer.outcome.end = 3;
    if (liar.lie == LIE_GARBAGE) {
        assert_int_equal(packet_send(liar.channel.end, SPAN("\xFF\xFFgarbage"), NULL), FAULT_NONE);
        return;
    }
    for (int i = 0; i < (liar.lie == LIE_TWICE ? 2 : 1) && liar.lie != LIE_SILENCE; i++)
        assert_int_equal(channel_send(&liar.channel, &answer, NULL), FAULT_NONE);
}

static void on_left(void *context, enum fault why)
{
    (void)context, (void)why;
    channel_close(&liar.channel);
}

static const struct channel_events liar_events = {on_asked, on_left};

static void on_offered_to_liar(void *context, struct packet_end *end)
{
    (void)context;
    struct ipc_message welcome = {.type = MESSAGE_TYPE_WELCOME, .welcome = {.requests_max = 2}};
    channel_close(&liar.channel);
    channel_init(&liar.channel, SIDE_AGENT, SIDE_ENGINE, &liar_events, NULL);
    channel_adopt(&liar.channel, end);
    assert_int_equal(channel_send(&liar.channel, &welcome, NULL), FAULT_NONE);
}

static void a_lying_agent_harms_nobody(void **state)
{
    (void)state;
    agent_dies();
    village.agent_life = life_begin(village.agent_machine);
    assert_int_equal(
        actor_new(village.agent_life, &agent_role, NULL, 0, NULL, &village.agent_actor),
        FAULT_NONE);
    assert_int_equal(actor_start(village.agent_actor), FAULT_NONE);
    memset(&liar, 0, sizeof liar);
    assert_int_equal(packet_listen(actor_loop(village.agent_actor), village.agent_door,
                                   on_offered_to_liar, NULL, &liar.door),
                     FAULT_NONE);
    struct channel *c = a_channel();
    for (liar.lie = 0; liar.lie < LIES; liar.lie++) {
        uint32_t before = liar.asked;
        deliver(c, a_message("a@b c@b d@b e@b", 500), local_route(), true);
        for (int hours = 0; hours < 3 && c->is_lent; hours++)
            run(3600 * SIM_SECOND);
        await(c);
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(result(c, i)->end, DELIVERY_DEFERRED);
        assert_true(liar.asked - before <= 8);
        assert_true(took_ms(c) <= 4 * 2 * LOCAL_ANSWER_MS);
    }
    close_channel(c);
    run(SIM_SECOND);
    channel_close(&liar.channel);
    packet_unlisten(liar.door);
    free_actor(village.agent_actor);
    life_end(village.agent_life);
}

/* Everything at once. ------------------------------------------------------------------------ */

static void storm(uint64_t seed)
{
    struct random r;
    random_init(&r, seed);
    struct sim_options rough = sim_options_rough(&r);
    house_begin(seed, &rough);
    village_begin(true);
    house.slow = (uint32_t)below(500000);
    village.misdeeds = (uint32_t)below(300000);
    village.takes_us_max = (int64_t)below(200000);
    struct channel *channels[4];
    for (int i = 0; i < 4; i++)
        channels[i] = a_channel();
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 4; i++) {
            struct channel *c = channels[i];
            if (c->is_lent)
                continue;
            if (c->delivery.results != NULL && c->delivery.recipient_count > 0)
                expect_kept_promise(c);
            struct message *m = house.message_count > 4 && chance(300000)
                                    ? &house.messages[below(house.message_count)]
                                    : a_message("a@b u1@b u2@b full@b a@b", below(3000));
            if (m->deliveries < DELIVERIES_MAX)
                deliver(c, m, local_route(), chance(500000));
        }
        run((int64_t)below(300000));
        if (chance(150000)) {
            agent_dies();
            run((int64_t)below(30000000));
            agent_begins();
        }
    }
    for (int i = 0; i < 4; i++) {
        await(channels[i]);
        expect_kept_promise(channels[i]);
        close_channel(channels[i]);
    }
    village_end();
    house_end();
}

static void keeps_its_promise_in_storms(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        storm(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VILLAGE(delivers),
        VILLAGE(delivers_content_from_its_file),
        VILLAGE(delivers_what_has_to_be_fetched),
        VILLAGE(tells_what_became_of_each),
        VILLAGE(delivers_to_many),
        VILLAGE(ends_idle_hands),
        VILLAGE(survives_each_misdeed),
        VILLAGE(a_hang_harms_nobody_else),
        VILLAGE(waits_for_an_agent_and_no_longer),
        VILLAGE(an_agent_that_dies_costs_nothing),
        VILLAGE(an_agent_that_always_dies_defers),
        VILLAGE(a_lying_agent_harms_nobody),
        cmocka_unit_test(keeps_its_promise_in_storms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
