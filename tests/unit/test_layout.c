#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "spool/layout.h"

#define EPOCH 11u
#define PAGES 16u
#define IMAGE (PAGES * SPOOL_PAGE)

/* A small segment image, filled batch by batch as the spool does it. */
struct image {
    uint8_t bytes[IMAGE];
    uint64_t at;
    uint64_t synced;
    uint64_t sequence;
};

static struct image *image_new(void)
{
    struct image *i = calloc(1, sizeof *i);
    assert_non_null(i);
    i->at = i->synced = SPOOL_PAGE;
    return i;
}

/* One batch of `count` DONE records with `payload_len` bytes each. */
static void add_batch(struct image *i, uint64_t epoch, uint32_t count, uint32_t payload_len)
{
    static const uint8_t zeros[SPOOL_PAGE];
    uint64_t at = i->at + BATCH_HEADER_BYTES;
    uint32_t bytes = 0;
    for (uint32_t n = 0; n < count; n++) {
        struct span payload = span_of(zeros, payload_len);
        struct id id = {{(uint8_t)i->sequence, (uint8_t)n}};
        record_encode_header(i->bytes + at, epoch, RECORD_DONE, id, n, payload_len,
                             crc32c(0, payload));
        memcpy(i->bytes + at + RECORD_HEADER_BYTES, zeros, payload_len);
        at += RECORD_HEADER_BYTES + payload_len;
        bytes += RECORD_HEADER_BYTES + payload_len;
    }
    struct batch_header h = {bytes, count, i->synced, i->sequence++};
    batch_header_encode(&h, epoch, i->bytes + i->at);
    i->at = i->synced = page_round_up(at);
}

struct seen {
    uint32_t records;
    uint32_t damages;
    enum walk_end end;
    struct damage damage;
};

static struct seen walk_all(const struct image *i, uint64_t synced_known)
{
    struct walk w;
    struct record r;
    uint64_t offset;
    struct seen seen = {0};
    walk_init(&w, span_of(i->bytes, IMAGE), EPOCH, synced_known);
    for (enum walk_step step; (step = walk_next(&w, &r, &offset)) != WALK_OVER;) {
        if (step == WALK_RECORD)
            seen.records++;
        if (step == WALK_DAMAGE)
            seen.damages++;
        assert_true(seen.records + seen.damages < 1000);
    }
    assert_int_equal(seen.damages, w.damage_count);
    seen.end = w.end;
    seen.damage = w.damage;
    return seen;
}

static void headers_come_back_and_flipped_bits_are_seen(void **state)
{
    (void)state;
    struct segment_header h = {SEGMENT_LIVE, SPOOL_FORMAT, 42, EPOCH, {{9, 8, 7}}}, back;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_header_encode(&h, bytes);
    assert_int_equal(segment_header_decode(span_of(bytes, sizeof bytes), &back), FAULT_NONE);
    assert_true(back.use == SEGMENT_LIVE && back.number == 42 && back.epoch == EPOCH);
    assert_true(id_equal(back.spool_id, h.spool_id));
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(segment_header_decode(span_of(bytes, sizeof bytes), &back), FAULT_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void a_later_format_is_told_from_damage(void **state)
{
    (void)state;
    struct segment_header h = {SEGMENT_LIVE, SPOOL_FORMAT + 1, 1, EPOCH, {{0}}}, back;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_header_encode(&h, bytes);
    assert_int_equal(segment_header_decode(span_of(bytes, sizeof bytes), &back), FAULT_SYNTAX);
}

static void contradictory_headers_are_refused(void **state)
{
    (void)state;
    const struct segment_header bad[] = {
        {SEGMENT_FREE, SPOOL_FORMAT, 1, EPOCH, {{0}}}, /* free, yet alive */
        {SEGMENT_LIVE, SPOOL_FORMAT, 1, 0, {{0}}},
        {(enum segment_use)3, SPOOL_FORMAT, 1, EPOCH, {{0}}},
        {SEGMENT_LIVE, 0, 1, EPOCH, {{0}}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct segment_header back;
        uint8_t bytes[SEGMENT_HEADER_BYTES];
        segment_header_encode(&bad[i], bytes);
        assert_int_equal(segment_header_decode(span_of(bytes, sizeof bytes), &back), FAULT_DAMAGED);
    }
}

static void an_empty_segment_ends_at_once(void **state)
{
    (void)state;
    struct image *i = image_new();
    struct seen seen = walk_all(i, 0);
    assert_true(seen.records == 0 && seen.damages == 0 && seen.end == WALK_END);
    free(i);
}

static void all_records_of_all_batches_are_seen(void **state)
{
    (void)state;
    struct image *i = image_new();
    add_batch(i, EPOCH, 3, 10);
    add_batch(i, EPOCH, 1, 4000);
    add_batch(i, EPOCH, 40, 100);
    struct seen seen = walk_all(i, i->synced);
    assert_true(seen.records == 44 && seen.damages == 0 && seen.end == WALK_END);
    free(i);
}

static void a_segment_filled_to_its_end_is_whole(void **state)
{
    (void)state;
    struct image *i = image_new();
    while (i->at < IMAGE)
        add_batch(i, EPOCH, 1, 100);
    struct seen seen = walk_all(i, 0);
    assert_true(seen.records == PAGES - 1 && seen.damages == 0 && seen.end == WALK_END);
    free(i);
}

/* Each sector of the last batch may be lost: nobody was told about it, so it is the torn tail. */
static void a_torn_last_batch_is_no_damage(void **state)
{
    (void)state;
    for (size_t sector = 0; sector < 4; sector++) {
        struct image *i = image_new();
        add_batch(i, EPOCH, 2, 100);
        uint64_t last = i->at;
        add_batch(i, EPOCH, 10, 150); /* fills sectors 0 to 3 of its page */
        memset(i->bytes + last + sector * 512, 0xA5, 512);
        struct seen seen = walk_all(i, 0);
        assert_true(seen.damages == 0 && seen.records >= 2 && seen.records < 12);
        assert_int_equal(seen.end, sector == 0 ? WALK_END : WALK_TORN);
        free(i);
    }
}

static void the_same_bytes_below_a_later_batch_are_damage(void **state)
{
    (void)state;
    for (size_t sector = 0; sector < 4; sector++) {
        struct image *i = image_new();
        add_batch(i, EPOCH, 2, 100);
        uint64_t second = i->at;
        add_batch(i, EPOCH, 10, 150);
        uint64_t third = i->at;
        add_batch(i, EPOCH, 5, 10);
        memset(i->bytes + second + sector * 512, 0xA5, 512);
        struct seen seen = walk_all(i, 0);
        assert_int_equal(seen.damages, 1);
        assert_true(seen.damage.from >= second && seen.damage.from < third);
        assert_int_equal(seen.damage.to, third);
        assert_true(seen.records >= 2 + 5 && seen.records < 2 + 10 + 5);
        free(i);
    }
}

static void damage_at_the_end_is_known_from_elsewhere(void **state)
{
    (void)state;
    struct image *i = image_new();
    add_batch(i, EPOCH, 2, 100);
    uint64_t second = i->at;
    add_batch(i, EPOCH, 3, 100);
    i->bytes[second + BATCH_HEADER_BYTES + 1] ^= 1;
    assert_int_equal(walk_all(i, 0).damages, 0);
    assert_int_equal(walk_all(i, i->synced).damages, 1);
    memset(i->bytes + second, 0, SPOOL_PAGE);
    assert_int_equal(walk_all(i, 0).damages, 0);
    assert_int_equal(walk_all(i, i->synced).damages, 1);
    free(i);
}

static void bytes_of_an_earlier_life_are_not_seen(void **state)
{
    (void)state;
    struct image *i = image_new();
    while (i->at < IMAGE)
        add_batch(i, EPOCH - 1, 1, 100);
    i->at = i->synced = SPOOL_PAGE;
    i->sequence = 0;
    add_batch(i, EPOCH, 2, 100);
    struct seen seen = walk_all(i, 0);
    assert_true(seen.records == 2 && seen.damages == 0 && seen.end == WALK_END);
    free(i);
}

static void any_bytes_end_the_walk(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int round = 0; round < 300; round++) {
        struct image *i = image_new();
        for (uint32_t b = 0; b < 5; b++)
            add_batch(i, EPOCH, 1 + b, 50 * b);
        for (int k = 0; k < 20; k++) {
            random = random * 1664525u + 1013904223u;
            i->bytes[(random >> 8) % (7 * SPOOL_PAGE)] ^= (uint8_t)(1 + (random & 127));
        }
        (void)walk_all(i, round % 2 ? i->synced : 0);
        free(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_come_back_and_flipped_bits_are_seen),
        cmocka_unit_test(a_later_format_is_told_from_damage),
        cmocka_unit_test(contradictory_headers_are_refused),
        cmocka_unit_test(an_empty_segment_ends_at_once),
        cmocka_unit_test(all_records_of_all_batches_are_seen),
        cmocka_unit_test(a_segment_filled_to_its_end_is_whole),
        cmocka_unit_test(a_torn_last_batch_is_no_damage),
        cmocka_unit_test(the_same_bytes_below_a_later_batch_are_damage),
        cmocka_unit_test(damage_at_the_end_is_known_from_elsewhere),
        cmocka_unit_test(bytes_of_an_earlier_life_are_not_seen),
        cmocka_unit_test(any_bytes_end_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
