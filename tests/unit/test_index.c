#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spool_files.h"

static struct index *read_index(uint32_t number)
{
    struct index *x = NULL;
    assert_int_equal(index_read(files.disk, number, (uint64_t)number * 10, &x), FAULT_NONE);
    return x;
}

static struct index_entry next(const struct index *x, size_t *at)
{
    struct index_entry e = {0};
    assert_true(index_next(x, at, &e));
    return e;
}

static void same(const struct index *a, const struct index *b)
{
    struct index_entry one, other;
    size_t at_a = 0, at_b = 0;
    assert_int_equal(index_entry_count(a), index_entry_count(b));
    while (index_next(a, &at_a, &one)) {
        assert_true(index_next(b, &at_b, &other));
        assert_true(one.type == other.type && one.version == other.version);
        assert_true(id_equal(one.id, other.id) && span_equal(one.payload, other.payload));
        assert_true(one.offset == other.offset && one.bytes == other.bytes);
        assert_true(one.in_group == other.in_group);
    }
    assert_false(index_next(b, &at_b, &other));
}

/* Segment 1: an ACCEPTED, a SENDING, an OUTCOME; a group of OUTCOME and ACCEPTED; a DONE. */
static void fill(uint32_t *offsets)
{
    struct segment *s = files_segment(1);
    offsets[0] = files_accept(s, 1, 2);
    offsets[1] = files_add(s, RECORD_SENDING, an_id(1), 0, (struct span){NULL, 0});
    offsets[2] = files_outcome(s, 1, 1, 2);
    files_sync(s);
    struct buffer group, state = a_state(2, 2, "550 5.1.1 no"), e = an_envelope(2, 1, "x", false);
    buffer_init(&group, RECORD_PAYLOAD_MAX);
    assert_true(group_put(&group, RECORD_OUTCOME, an_id(1), 2, buffer_span(&state)));
    assert_true(group_put(&group, RECORD_ACCEPTED, an_id(2), 0, buffer_span(&e)));
    offsets[3] = files_add(s, RECORD_GROUP, (struct id){{0}}, 0, buffer_span(&group));
    files_sync(s);
    offsets[4] = files_add(s, RECORD_DONE, an_id(1), 3, (struct span){NULL, 0});
    files_sync(s);
    segment_close(s);
    buffer_fini(&group);
    buffer_fini(&state);
    buffer_fini(&e);
}

static void says_what_lies_in_a_segment(void **state)
{
    (void)state;
    uint32_t offsets[5];
    struct arena arena;
    struct envelope envelope;
    struct message_state standing;
    fill(offsets);
    arena_init(&arena, 65536);
    struct index *x = read_index(1);
    size_t at = 0;
    struct index_entry e = next(x, &at);
    assert_true(e.type == RECORD_ACCEPTED && e.offset == offsets[0] && !e.in_group);
    assert_int_equal(envelope_decode_head(e.payload, &arena, &envelope), FAULT_NONE);
    assert_int_equal(envelope.recipient_count, 2);
    assert_true(span_equal(envelope.recipients[1].path, SPAN("r1.1@b.example")));
    assert_true(envelope.prefix.len == 0 && envelope.content.len == 0);
    uint32_t end = e.offset + e.bytes;
    e = next(x, &at);
    assert_true(e.type == RECORD_SENDING && e.offset == end && e.payload.len == 0);
    e = next(x, &at);
    assert_true(e.type == RECORD_OUTCOME && e.offset == offsets[2] && e.version == 1);
    assert_int_equal(state_decode(e.payload, 2, &arena, &standing), FAULT_NONE);
    e = next(x, &at);
    assert_true(e.type == RECORD_OUTCOME && e.in_group && e.offset == offsets[3]);
    uint32_t group_bytes = e.bytes;
    e = next(x, &at);
    assert_true(e.type == RECORD_ACCEPTED && e.in_group && e.offset == offsets[3]);
    assert_true(id_equal(e.id, an_id(2)) && e.bytes > group_bytes);
    e = next(x, &at);
    assert_true(e.type == RECORD_DONE && e.offset == offsets[4] && e.version == 3);
    assert_false(index_next(x, &at, &e));
    assert_int_equal(index_damage_count(x), 0);
    assert_int_equal(index_synced(x), 4 * SPOOL_PAGE);
    index_free(x);
    arena_fini(&arena);
}

static void is_written_at_the_first_reading_and_read_at_the_second(void **state)
{
    (void)state;
    uint32_t offsets[5];
    fill(offsets);
    struct index *looked = NULL;
    assert_int_equal(index_look(files.disk, 1, 10, &looked), FAULT_NONE);
    assert_false(files_has("00000001.idx"));
    struct index *walked = read_index(1);
    assert_true(files_has("00000001.idx"));
    /* Only the index file can still know it. */
    files_patch("00000001.seg", SPOOL_PAGE, SPAN("nothing of a batch is left here"));
    struct index *stored = read_index(1);
    same(walked, stored);
    same(walked, looked);
    assert_true(span_equal(index_bytes(walked), index_bytes(stored)));
    index_free(looked);
    index_free(walked);
    index_free(stored);
    assert_int_equal(index_unlink(files.disk, 1), FAULT_NONE);
    assert_int_equal(index_unlink(files.disk, 1), FAULT_NONE);
    assert_false(files_has("00000001.idx"));
}

static void flipped_torn_or_foreign_it_is_refused_and_made_again(void **state)
{
    (void)state;
    uint32_t offsets[5];
    fill(offsets);
    struct index *good = read_index(1), *again = NULL;
    struct span bytes = index_bytes(good);
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t *flipped = malloc(bytes.len), *torn = malloc(i > 0 ? i : 1);
        assert_true(flipped != NULL && torn != NULL);
        memcpy(flipped, bytes.data, bytes.len);
        memcpy(torn, bytes.data, i);
        flipped[i] ^= 0x40;
        assert_int_equal(index_decode(flipped, bytes.len, 1, 10, &again), FAULT_DAMAGED);
        assert_int_equal(index_decode(torn, i, 1, 10, &again), FAULT_DAMAGED);
    }
    uint8_t *longer = calloc(1, bytes.len + 4), *copy = malloc(bytes.len);
    assert_true(longer != NULL && copy != NULL);
    memcpy(longer, bytes.data, bytes.len);
    memcpy(copy, bytes.data, bytes.len);
    assert_int_equal(index_decode(longer, bytes.len + 4, 1, 10, &again), FAULT_DAMAGED);
    assert_int_equal(index_decode(copy, bytes.len, 2, 10, &again), FAULT_DAMAGED); /* number */
    assert_int_equal(index_load(files.disk, 1, 11, &again), FAULT_DAMAGED);        /* life */
    assert_int_equal(index_load(files.disk, 2, 10, &again), FAULT_NOT_FOUND);
    files_flip("00000001.idx", 200);
    assert_int_equal(index_load(files.disk, 1, 10, &again), FAULT_DAMAGED);
    again = read_index(1);
    same(good, again);
    index_free(again);
    assert_int_equal(index_load(files.disk, 1, 10, &again), FAULT_NONE);
    same(good, again);
    index_free(again);
    index_free(good);
}

static void sealing_leaves_out_what_was_never_synced(void **state)
{
    (void)state;
    struct index *x;
    struct segment *s = files_segment(1);
    files_accept(s, 1, 1);
    files_sync(s);
    uint64_t synced = segment_synced(s);
    files_accept(s, 2, 1);
    files_sync(s); /* suppose that this one failed: readable, and yet not durable */
    segment_close(s);
    assert_int_equal(index_write(files.disk, 1, 10, synced), FAULT_NONE);
    x = read_index(1);
    assert_int_equal(index_entry_count(x), 1);
    assert_int_equal(index_synced(x), synced);
    assert_int_equal(index_damage_count(x), 0);
    index_free(x);
    assert_int_equal(index_write(files.disk, 2, 10, synced), FAULT_NOT_FOUND);
}

static void what_was_synced_and_is_gone_is_damage_when_sealing(void **state)
{
    (void)state;
    struct segment *s = files_segment(1);
    files_accept(s, 1, 1);
    files_sync(s);
    uint32_t offset = files_accept(s, 2, 1);
    files_sync(s);
    uint64_t synced = segment_synced(s);
    segment_close(s);
    files_flip("00000001.seg", (long)offset + 60);
    assert_int_equal(index_write(files.disk, 1, 10, synced), FAULT_NONE);
    struct index *x = read_index(1);
    assert_int_equal(index_entry_count(x), 1);
    assert_int_equal(index_damage_count(x), 1);
    assert_int_equal(index_damage(x, 0).from, offset);
    assert_int_equal(index_damage(x, 0).to, synced);
    index_free(x);
    /* Without the index nobody knows that it was synced: a torn tail. */
    assert_int_equal(index_unlink(files.disk, 1), FAULT_NONE);
    x = read_index(1);
    assert_int_equal(index_entry_count(x), 1);
    assert_int_equal(index_damage_count(x), 0);
    index_free(x);
}

static void damage_in_the_middle_is_kept_and_the_rest_is_there(void **state)
{
    (void)state;
    struct segment *s = files_segment(1);
    uint32_t offsets[3];
    for (uint8_t n = 0; n < 3; n++) {
        offsets[n] = files_accept(s, n, 1);
        files_sync(s);
    }
    segment_close(s);
    files_flip("00000001.seg", (long)offsets[1] + 5);
    for (int round = 0; round < 2; round++) { /* walked, then from the file */
        struct index *x = read_index(1);
        size_t at = 0;
        assert_true(id_equal(next(x, &at).id, an_id(0)) && id_equal(next(x, &at).id, an_id(2)));
        assert_int_equal(index_entry_count(x), 2);
        assert_int_equal(index_damage_count(x), 1);
        assert_int_equal(index_damage(x, 0).from, offsets[1]);
        assert_int_equal(index_damage(x, 0).to, 3 * SPOOL_PAGE);
        index_free(x);
    }
}

static void odd_payloads_with_right_checksums(void **state)
{
    (void)state;
    struct segment *s = files_segment(1);
    struct buffer group;
    buffer_init(&group, 4096);
    files_add(s, RECORD_ACCEPTED, an_id(1), 0, SPAN("no envelope"));
    files_add(s, RECORD_DONE, an_id(2), 0, SPAN("with a payload"));
    assert_true(group_put(&group, RECORD_DONE, an_id(3), 0, SPAN("")));
    assert_true(buffer_put_text(&group, "half a member"));
    uint32_t offset = files_add(s, RECORD_GROUP, an_id(0), 0, buffer_span(&group));
    files_add(s, RECORD_GROUP, an_id(0), 0, SPAN(""));
    files_sync(s);
    segment_close(s);
    struct index *x = read_index(1);
    size_t at = 0;
    struct index_entry e = next(x, &at);
    assert_true(e.type == RECORD_ACCEPTED && e.payload.len == 0);
    e = next(x, &at);
    assert_true(e.type == RECORD_DONE && e.payload.len == 0);
    assert_false(index_next(x, &at, &e));
    assert_int_equal(index_damage_count(x), 1);
    assert_int_equal(index_damage(x, 0).from, offset);
    assert_int_equal(index_damage(x, 0).to, offset + RECORD_HEADER_BYTES + group.len);
    index_free(x);
    buffer_fini(&group);
}

static void an_empty_segment_has_an_empty_index(void **state)
{
    (void)state;
    segment_close(files_segment(1));
    struct index *x = read_index(1);
    assert_int_equal(index_entry_count(x), 0);
    assert_int_equal(index_synced(x), SPOOL_PAGE);
    index_free(x);
    assert_int_equal(index_read(files.disk, 2, 20, &x), FAULT_NOT_FOUND);
}

/* By pieces ---------------------------------------------------------------------------------------
 */

struct pieces {
    struct span image;
    size_t bytes; /* of a piece, when no more is asked for */
    uint32_t fails_after;
};

static enum fault give_piece(void *context, uint64_t from, size_t least, struct span *piece_out)
{
    struct pieces *p = context;
    if (p->fails_after-- == 0)
        return FAULT_DISK_ERROR;
    size_t wanted = least > p->bytes ? least : p->bytes;
    *piece_out = span_sub(p->image, (size_t)from, wanted);
    return FAULT_NONE;
}

/* What index_build says of the whole, byte for byte; or DAMAGED, when it tells of a damage. */
static void by_pieces_as_by_the_whole(struct span image, uint64_t synced)
{
    struct index *whole = NULL, *x = NULL;
    image = span_sub(image, 0, (size_t)synced);
    assert_int_equal(index_build(image, 10, synced, 1, &whole), FAULT_NONE);
    for (size_t bytes = 1; bytes <= 64 * SPOOL_PAGE; bytes *= 64) {
        struct pieces p = {image, bytes, UINT32_MAX};
        struct index_source source = {give_piece, &p};
        enum fault fault = index_build_pieces(&source, 10, synced, 1, &x);
        assert_true(fault == FAULT_NONE || index_damage_count(whole) > 0);
        if (fault != FAULT_NONE) {
            assert_int_equal(fault, FAULT_DAMAGED);
            continue;
        }
        assert_true(span_equal(index_bytes(x), index_bytes(whole)));
        assert_int_equal(index_confirmed(x), index_confirmed(whole));
        index_free(x);
    }
    index_free(whole);
}

static void by_pieces_it_is_the_same(void **state)
{
    (void)state;
    uint32_t offsets[5];
    uint8_t *memory = NULL;
    size_t len = 0;
    fill(offsets);
    assert_int_equal(segment_image(files.disk, 1, &memory, &len), FAULT_NONE);
    for (uint64_t synced = SPOOL_PAGE; synced <= 6 * SPOOL_PAGE; synced += 512)
        by_pieces_as_by_the_whole(span_of(memory, len), synced);
    for (size_t at = SPOOL_PAGE; at < 5 * SPOOL_PAGE; at += at % SPOOL_PAGE < 1024 ? 1 : 333) {
        memory[at] ^= 0x10;
        by_pieces_as_by_the_whole(span_of(memory, len), 4 * SPOOL_PAGE);
        memory[at] ^= 0x10;
    }
    struct index *x = NULL;
    for (uint32_t n = 0; n < 2; n++) {
        struct pieces p = {span_of(memory, len), 1, n};
        struct index_source source = {give_piece, &p};
        assert_int_equal(index_build_pieces(&source, 10, 4 * SPOOL_PAGE, 1, &x), FAULT_DISK_ERROR);
    }
    free(memory);
}

/* A full segment of the smallest members is the largest index; and reading it is cheap. */
static void the_largest_index_fits(void **state)
{
    (void)state;
    enum { MEMBERS = RECORD_PAYLOAD_MAX / GROUP_MEMBER_HEADER_BYTES };
    uint8_t *image = calloc(1, SEGMENT_BYTES);
    struct buffer group;
    struct index *x = NULL;
    assert_non_null(image);
    buffer_init(&group, RECORD_PAYLOAD_MAX);
    for (uint32_t i = 0; i < MEMBERS; i++)
        assert_true(group_put(&group, RECORD_SENDING, an_id((uint8_t)i), i, SPAN("")));
    struct batch_header h = {RECORD_HEADER_BYTES + (uint32_t)group.len, 1, SPOOL_PAGE, 0};
    uint64_t at = SPOOL_PAGE;
    for (; at + BATCH_HEADER_BYTES + h.record_bytes <= SEGMENT_BYTES; h.sequence++) {
        uint8_t *record = image + at + BATCH_HEADER_BYTES;
        batch_header_encode(&h, 7, image + at);
        record_encode_header(record, 7, RECORD_GROUP, an_id(0), 0, (uint32_t)group.len,
                             crc32c(0, buffer_span(&group)));
        memcpy(record + RECORD_HEADER_BYTES, group.data, group.len);
        at = h.synced = page_round_up(at + BATCH_HEADER_BYTES + h.record_bytes);
    }
    assert_int_equal(index_build(span_of(image, SEGMENT_BYTES), 7, 0, 1, &x), FAULT_NONE);
    assert_int_equal(index_entry_count(x), MEMBERS * h.sequence);
    assert_true(index_bytes(x).len <= INDEX_BYTES_MAX);
    index_free(x);
    free(image);
    buffer_fini(&group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(says_what_lies_in_a_segment, files_begin, files_finish),
        cmocka_unit_test_setup_teardown(is_written_at_the_first_reading_and_read_at_the_second,
                                        files_begin, files_finish),
        cmocka_unit_test_setup_teardown(flipped_torn_or_foreign_it_is_refused_and_made_again,
                                        files_begin, files_finish),
        cmocka_unit_test_setup_teardown(sealing_leaves_out_what_was_never_synced, files_begin,
                                        files_finish),
        cmocka_unit_test_setup_teardown(what_was_synced_and_is_gone_is_damage_when_sealing,
                                        files_begin, files_finish),
        cmocka_unit_test_setup_teardown(damage_in_the_middle_is_kept_and_the_rest_is_there,
                                        files_begin, files_finish),
        cmocka_unit_test_setup_teardown(odd_payloads_with_right_checksums, files_begin,
                                        files_finish),
        cmocka_unit_test_setup_teardown(an_empty_segment_has_an_empty_index, files_begin,
                                        files_finish),
        cmocka_unit_test_setup_teardown(by_pieces_it_is_the_same, files_begin, files_finish),
        cmocka_unit_test(the_largest_index_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
