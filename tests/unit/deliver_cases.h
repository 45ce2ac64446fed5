/*
 * deliver_cases: one misdeed at a time: what the tests of that share. A calm world, in which times
 * can be told.
 */
#ifndef TESTS_UNIT_DELIVER_CASES_H
#define TESTS_UNIT_DELIVER_CASES_H

#include "deliver_house.h"

static int begin(void **state)
{
    struct sim_options calm = sim_options_calm();
    (void)state;
    calm.stall = calm.accept_late = 0; /* so that times can be told */
    house_begin(1, &calm);
    return 0;
}

static inline int finish(void **state)
{
    (void)state;
    house_end();
    return 0;
}

static inline void misbehaves(int host, enum moment when, const char *text)
{
    house.hosts[host].manner.at[when] = (struct misdeed){text, 0};
}

static inline const struct delivery_result *result(const struct channel *c, uint32_t i)
{
    assert_true(c->delivery.results != NULL && i < c->delivery.recipient_count);
    return &c->delivery.results[i];
}

static inline void expect_reply(const struct channel *c, uint32_t i, enum delivery_end end,
                                const char *text)
{
    const struct delivery_result *r = result(c, i);
    assert_int_equal(r->end, end);
    assert_true(r->is_reply);
    expect_span(r->text, span_text(text));
}

static inline void expect_fault(const struct channel *c, uint32_t i, enum fault fault)
{
    const struct delivery_result *r = result(c, i);
    assert_int_equal(r->end, DELIVERY_DEFERRED);
    assert_false(r->is_reply);
    assert_string_equal(fault_name(r->fault), fault_name(fault));
}

static inline void expect_delivered(const struct channel *c, uint32_t i)
{
    expect_reply(c, i, DELIVERY_DELIVERED, "250 2.0.0 taken");
}

static inline void expect_site(const struct channel *c, enum fault fault)
{
    assert_string_equal(fault_name(c->delivery.site_fault), fault_name(fault));
}

static inline int64_t took_ms(const struct channel *c)
{
    return (c->back_us - c->lent_us) / 1000;
}

static inline struct deliverer_counters counters(void)
{
    struct deliverer_counters c;
    deliverer_counters(house.deliverer, &c);
    return c;
}

/* Of a channel without a letter of its own under way. */
static inline enum connection_state state_of(const struct channel *c)
{
    const struct connection *connection = c->delivery.connection;
    return connection->state;
}

static inline void close_all(struct channel *c)
{
    close_channel(c);
    run(SIM_SECOND);
    expect_nothing_left();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, finish)

#endif
