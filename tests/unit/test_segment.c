/* segment: on a real directory under /tmp. Crashes and failing disks are the simulator's matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "os/linux/real_world.h"
#include "spool/segment.h"

#define PAGES 8u
#define BYTES (PAGES * SPOOL_PAGE)

static const struct id spool_id = {{1, 2, 3}};
static const struct id message = {{9, 9, 9}};
static struct world *world;
static struct disk *disk;
static char path[64];

static int begin(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/postrider-segment-XXXXXX");
    return mkdtemp(path) == NULL || world_new_real(&world) != FAULT_NONE ||
           disk_new(world, path, &disk) != FAULT_NONE;
}

static int finish(void **state)
{
    char command[128];
    (void)state;
    disk_free(disk);
    world_free_real(world);
    snprintf(command, sizeof command, "rm -rf %s", path);
    return system(command) == 0 ? 0 : 1;
}

static struct segment *opened(uint64_t epoch)
{
    struct segment *s = NULL;
    assert_int_equal(segment_prepare(disk, 1, spool_id, BYTES), FAULT_NONE);
    assert_int_equal(segment_open(disk, 1, spool_id, epoch, &s), FAULT_NONE);
    return s;
}

static enum fault add(struct segment *s, size_t len, uint64_t *offset_out)
{
    static uint8_t bytes[BYTES];
    const struct span parts[] = {span_of(bytes, len / 2), span_of(bytes, len - len / 2)};
    uint32_t crc = crc32c(crc32c(0, parts[0]), parts[1]);
    return segment_add(s, RECORD_ACCEPTED, message, 1, parts, 2, crc, offset_out);
}

/* How many records are in the file, each checked to lie where it was said to. */
static uint32_t count_records(uint64_t epoch, const uint64_t *offsets)
{
    static uint8_t image[BYTES];
    struct file *f;
    size_t got = 0;
    assert_int_equal(file_open(disk, "00000001.seg", DISK_READ, &f), FAULT_NONE);
    assert_int_equal(file_read(f, 0, image, sizeof image, &got), FAULT_NONE);
    file_close(f);
    assert_int_equal(got, sizeof image);
    struct walk w;
    struct record r;
    uint64_t offset;
    uint32_t count = 0;
    walk_init(&w, span_of(image, got), epoch, 0);
    while (walk_next(&w, &r, &offset) == WALK_RECORD) {
        if (offsets != NULL)
            assert_int_equal(offset, offsets[count]);
        count++;
    }
    assert_int_equal(w.end, WALK_END);
    return count;
}

static void what_is_synced_is_there(void **state)
{
    (void)state;
    uint64_t offsets[4];
    struct segment *s = opened(5);
    assert_int_equal(add(s, 100, &offsets[0]), FAULT_NONE);
    assert_int_equal(add(s, 0, &offsets[1]), FAULT_NONE);
    assert_int_equal(count_records(5, offsets), 0);
    assert_int_equal(segment_sync(s), FAULT_NONE);
    assert_int_equal(count_records(5, offsets), 2);
    assert_int_equal(segment_synced(s), 2 * SPOOL_PAGE);
    assert_int_equal(add(s, 5000, &offsets[2]), FAULT_NONE);
    assert_int_equal(add(s, 1, &offsets[3]), FAULT_NONE);
    assert_int_equal(segment_sync(s), FAULT_NONE);
    assert_int_equal(count_records(5, offsets), 4);
    assert_int_equal(segment_synced(s), 4 * SPOOL_PAGE);
    segment_close(s);
}

static void what_is_written_may_grow_before_its_sync(void **state)
{
    (void)state;
    uint64_t offsets[2];
    struct segment *s = opened(5);
    assert_int_equal(add(s, 100, &offsets[0]), FAULT_NONE);
    assert_int_equal(segment_write(s), FAULT_NONE);
    assert_int_equal(count_records(5, offsets), 1);
    assert_int_equal(add(s, 100, &offsets[1]), FAULT_NONE);
    assert_int_equal(segment_unsynced(s).len, 2 * (RECORD_HEADER_BYTES + 100));
    assert_int_equal(segment_sync(s), FAULT_NONE);
    assert_int_equal(count_records(5, offsets), 2);
    assert_int_equal(segment_unsynced(s).len, 0);
    segment_close(s);
}

static void an_empty_sync_uses_no_page(void **state)
{
    (void)state;
    struct segment *s = opened(5);
    assert_int_equal(segment_sync(s), FAULT_NONE);
    assert_int_equal(segment_write(s), FAULT_NONE);
    assert_int_equal(segment_synced(s), SPOOL_PAGE);
    segment_close(s);
}

static void a_full_segment_says_so_and_stays_as_it_is(void **state)
{
    (void)state;
    uint64_t offset;
    const size_t room = BYTES - SPOOL_PAGE - BATCH_HEADER_BYTES - RECORD_HEADER_BYTES;
    struct segment *s = opened(5);
    assert_int_equal(add(s, room + 1, &offset), FAULT_LIMIT);
    assert_int_equal(add(s, room, &offset), FAULT_NONE);
    assert_int_equal(add(s, 0, &offset), FAULT_LIMIT);
    assert_int_equal(segment_sync(s), FAULT_NONE);
    assert_int_equal(add(s, 0, &offset), FAULT_LIMIT);
    assert_int_equal(segment_sync(s), FAULT_NONE);
    assert_int_equal(count_records(5, NULL), 1);
    segment_close(s);
}

static void a_new_life_knows_nothing_of_the_old_one(void **state)
{
    (void)state;
    uint64_t offset;
    struct segment *s = opened(5);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(add(s, 100, &offset), FAULT_NONE);
        assert_int_equal(segment_sync(s), FAULT_NONE);
    }
    segment_close(s);
    assert_int_equal(segment_free(disk, 1, spool_id), FAULT_NONE);
    assert_int_equal(segment_open(disk, 1, spool_id, 6, &s), FAULT_NONE);
    assert_int_equal(add(s, 100, &offset), FAULT_NONE);
    assert_int_equal(segment_sync(s), FAULT_NONE);
    assert_int_equal(count_records(6, NULL), 1);
    segment_close(s);
}

static void only_a_free_segment_of_this_spool_is_opened(void **state)
{
    (void)state;
    const struct id other_spool = {{7}};
    struct segment *s = opened(5), *again = NULL;
    assert_int_equal(segment_open(disk, 1, spool_id, 6, &again), FAULT_DAMAGED); /* alive */
    segment_close(s);
    assert_int_equal(segment_free(disk, 1, other_spool), FAULT_DAMAGED);
    assert_int_equal(segment_free(disk, 1, spool_id), FAULT_NONE);
    assert_int_equal(segment_open(disk, 1, other_spool, 6, &again), FAULT_DAMAGED);
    assert_int_equal(segment_open(disk, 2, spool_id, 6, &again), FAULT_NOT_FOUND);
    assert_int_equal(segment_prepare(disk, 1, spool_id, BYTES), FAULT_EXISTS);
    assert_int_equal(disk_rename(disk, "00000001.seg", "00000002.seg"), FAULT_NONE);
    assert_int_equal(segment_open(disk, 2, spool_id, 6, &again),
                     FAULT_DAMAGED); /* another number */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_synced_is_there, begin, finish),
        cmocka_unit_test_setup_teardown(what_is_written_may_grow_before_its_sync, begin, finish),
        cmocka_unit_test_setup_teardown(an_empty_sync_uses_no_page, begin, finish),
        cmocka_unit_test_setup_teardown(a_full_segment_says_so_and_stays_as_it_is, begin, finish),
        cmocka_unit_test_setup_teardown(a_new_life_knows_nothing_of_the_old_one, begin, finish),
        cmocka_unit_test_setup_teardown(only_a_free_segment_of_this_spool_is_opened, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
