/*
 * queue_cases: what the tests of the queue's actor share beside the house itself (queue_house.h).
 */
#ifndef TESTS_UNIT_QUEUE_CASES_H
#define TESTS_UNIT_QUEUE_CASES_H

#include "queue_house.h"

/* How many letters a turn takes: all tests are run with all and with one. */
static uint32_t max_letters;

static inline struct house *house_with(const struct queue_settings *settings)
{
    return house_of(settings, 1, max_letters);
}

static inline struct house *house(void)
{
    struct queue_settings s = house_settings();
    return house_with(&s);
}

static inline void reply(struct delivery_result *r, enum delivery_end end, const char *text)
{
    *r = (struct delivery_result){
        .end = end, .is_reply = true, .text = span_text(text), .remote = SPAN("mx.b.test")};
}

/* By the address: "bad…" fails, "later…" is deferred, all others are delivered. */
static inline void by_name(struct house *h, struct span address, struct delivery_result *result)
{
    (void)h;
    if (span_starts_with(address, SPAN("bad")))
        reply(result, DELIVERY_FAILED, "550 5.1.1 no such user");
    if (span_starts_with(address, SPAN("later")))
        reply(result, DELIVERY_DEFERRED, "450 4.2.0 greylisted");
}

static inline struct stored *of(struct house *h, struct id id)
{
    struct stored *s = stored_of(h, id);
    assert_non_null(s);
    return s;
}

/* The only message in the spool that is not `id`: the notification about it. */
static inline struct stored *notification_of(struct house *h, struct id id)
{
    struct stored *found = NULL;
    for (uint32_t i = 0; i < h->stored_count; i++)
        if (!id_equal(h->stored[i].id, id)) {
            assert_null(found);
            found = &h->stored[i];
        }
    return found;
}

static inline void crash_and_recover(struct house *h, bool sending)
{
    house_die(h);
    house_live(h);
    house_recover(h, sending);
}

#define RUN_ONCE(tests, letters, name) \
    (max_letters = (letters), cmocka_run_group_tests_name((name), tests, NULL, NULL))
#define RUN_TWICE(tests) \
    (RUN_ONCE(tests, 0, "all letters a turn") != 0 ? 1 : RUN_ONCE(tests, 1, "one letter a turn"))

#endif
