/*
 * A million messages: what they cost in memory (asserted) and in time (printed).
 *
 * In a build with sanitizers there are fewer of them; the cost of each is asserted all the same.
 */
#include <malloc.h>
#include <time.h>

#include "queue_house.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNT 100000u
size_t __sanitizer_get_current_allocated_bytes(void);
static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
#else
#define COUNT 1000000u
static size_t allocated(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}
#endif

enum { BATCH = 1000, DOMAINS = 10000, SENDERS = 1000, REPLIES = 200 };
#define BYTES_MAX 170u /* of a message, all in all */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct batch {
    struct recovered letter;
    struct recovered_message messages[BATCH];
    struct recipient_state states[BATCH];
    struct envelope_recipient paths[BATCH];
    struct span replies[BATCH];
    char path[BATCH][64], client[BATCH][32], reply[BATCH][64];
    struct id_source ids;
};

/* One recipient each, many domains, senders and replies; tried once, due in an hour, or never
 * tried. */
static void fill(struct batch *b, struct house *h, uint32_t from, bool was_tried, uint32_t domains)
{
    int64_t wall_ms = loop_wall_ms(actor_loop(h->spool));
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t n = from + i;
        snprintf(b->path[i], sizeof b->path[i], "user%u@domain%u.example", n, n % domains);
        snprintf(b->client[i], sizeof b->client[i], "10.%u.%u.9", n % SENDERS / 256,
                 n % SENDERS % 256);
        snprintf(b->reply[i], sizeof b->reply[i], "450 4.2.0 try again, says server %u",
                 n % REPLIES);
        b->paths[i].path = span_text(b->path[i]);
        b->replies[i] = span_text(b->reply[i]);
        b->states[i] = (struct recipient_state){
            .standing = RECIPIENT_WAITING, .attempts = 1, .due_wall_ms = wall_ms + 3600 * 1000 + n};
        uint8_t random[10] = {0};
        b->messages[i] =
            (struct recovered_message){.id = id_next(&b->ids, (uint64_t)wall_ms, random),
                                       .version = 1,
                                       .envelope = {.arrival_wall_ms = wall_ms,
                                                    .reverse_path = SPAN("a@a.test"),
                                                    .client = span_text(b->client[i]),
                                                    .content_bytes = 4000,
                                                    .recipients = &b->paths[i],
                                                    .recipient_count = 1}};
        if (was_tried)
            b->messages[i].state = (struct message_state){.recipients = &b->states[i],
                                                          .recipient_count = 1,
                                                          .replies = &b->replies[i],
                                                          .reply_count = 1};
    }
    b->letter = (struct recovered){.messages = b->messages, .count = BATCH};
}

static void hand_over(struct batch *b, struct house *h)
{
    uint32_t before = h->answered;
    letter_send(h->spool, queue_actor(h->queue), &b->letter.letter, LETTER_RECOVERED, NULL);
    actor_flush(h->spool);
    while (h->answered == before)
        house_run(h, 100);
}

static void report(const char *what, size_t bytes, double seconds)
{
    print_message("%u messages %s: %.1f MB, %.1f bytes each, in %.2f s\n", COUNT, what,
                  (double)bytes / 1e6, (double)bytes / COUNT, seconds);
}

static void scheduled(void **state)
{
    (void)state;
    struct queue_settings s = house_settings();
    struct house *h = house_of(&s, 1, 0);
    static struct batch b;
    size_t before = allocated();
    double seconds = 0;
    for (uint32_t n = 0; n < COUNT; n += BATCH) {
        fill(&b, h, n, true, DOMAINS);
        double begin = now();
        hand_over(&b, h);
        seconds += now() - begin;
    }
    size_t bytes = allocated() - before;
    report("recovered", bytes, seconds);
    assert_int_equal(house_counts(h).messages, COUNT);
    assert_true(bytes <= (size_t)COUNT * BYTES_MAX);
    assert_int_equal(h->questions, 0); /* bound when due */
    house_free(h);
}

/* All are due at once, for one domain, and wait for its route. */
static void due_at_once(void **state)
{
    (void)state;
    struct queue_settings s = house_settings();
    struct house *h = house_of(&s, 1, 0);
    h->resolve_us = HOUR;
    static struct batch b;
    size_t before = allocated();
    for (uint32_t n = 0; n < COUNT; n += BATCH) {
        fill(&b, h, n, true, 1);
        hand_over(&b, h);
    }
    double begin = now();
    struct operate o = {.operation = OPERATE_RETRY, .all = true};
    house_operate(h, &o);
    house_run(h, MINUTE);
    report("due at once", allocated() - before, now() - begin);
    assert_int_equal(o.changed, COUNT);
    assert_int_equal(h->questions, 1);
    assert_true(allocated() - before <= (size_t)COUNT * BYTES_MAX);
    house_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scheduled),
        cmocka_unit_test(due_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
