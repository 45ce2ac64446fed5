/* content files: written and read back, and every way in which one can be wrong. */
#include "spool_files.h"

#include "spool/content_block.h"

#define STRIDE (CONTENT_HEADER_BYTES + CONTENT_BLOCK_BYTES)

static uint8_t bytes[4 * CONTENT_BLOCK_BYTES];

static void fill_bytes(void)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 11);
}

static void write_content(uint8_t n, size_t len, size_t step)
{
    struct content c;
    content_begin(&c, files.disk, an_id(n));
    for (size_t at = 0; at < len; at += step) {
        c.bytes = span_sub(span_of(bytes, len), at, step);
        content_do(&c, CONTENT_WRITE);
        assert_int_equal(c.fault, FAULT_NONE);
    }
    content_do(&c, CONTENT_FINISH);
    assert_int_equal(c.fault, FAULT_NONE);
    assert_int_equal(c.total_bytes, len);
    assert_true(c.file == NULL && c.block == NULL);
}

/* Reads all of it: every byte that comes is checked; *read_out is how many came. */
static enum fault read_content(uint8_t n, size_t *read_out)
{
    struct content c;
    content_begin(&c, files.disk, an_id(n));
    *read_out = 0;
    for (;;) {
        content_do(&c, CONTENT_READ);
        if (c.fault != FAULT_NONE || c.bytes.len == 0)
            break;
        assert_true(*read_out + c.bytes.len <= sizeof bytes);
        assert_memory_equal(c.bytes.data, bytes + *read_out, c.bytes.len);
        *read_out += c.bytes.len;
    }
    enum fault fault = c.fault;
    assert_int_equal(c.bytes.len, 0);
    content_do(&c, CONTENT_READ); /* the end, or the fault, stays */
    assert_int_equal(c.fault, fault);
    assert_int_equal(c.bytes.len, 0);
    content_do(&c, CONTENT_CLOSE);
    assert_true(c.fault == FAULT_NONE && c.file == NULL && c.block == NULL);
    return fault;
}

static void comes_back_whatever_its_length_and_its_pieces(void **state)
{
    static const size_t lens[] = {0,
                                  1,
                                  CONTENT_BLOCK_BYTES - 1,
                                  CONTENT_BLOCK_BYTES,
                                  CONTENT_BLOCK_BYTES + 1,
                                  2 * CONTENT_BLOCK_BYTES,
                                  3 * CONTENT_BLOCK_BYTES + 77};
    static const size_t steps[] = {1000, CONTENT_BLOCK_BYTES - 1, CONTENT_BLOCK_BYTES,
                                   CONTENT_BLOCK_BYTES + 1, sizeof bytes};
    (void)state;
    uint8_t n = 0;
    for (size_t l = 0; l < sizeof lens / sizeof lens[0]; l++) {
        for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
            size_t got;
            write_content(++n, lens[l], steps[s]);
            assert_int_equal(read_content(n, &got), FAULT_NONE);
            assert_int_equal(got, lens[l]);
        }
    }
}

static void what_is_dropped_is_gone(void **state)
{
    (void)state;
    size_t got;
    struct content c;
    char name[CONTENT_NAME_MAX];
    content_name(an_id(1), name);
    content_begin(&c, files.disk, an_id(1));
    content_do(&c, CONTENT_DROP); /* before anything was made */
    assert_int_equal(c.fault, FAULT_NONE);
    c.bytes = span_of(bytes, 5);
    content_do(&c, CONTENT_WRITE);
    assert_true(files_has(name));
    content_do(&c, CONTENT_DROP);
    assert_true(c.fault == FAULT_NONE && c.file == NULL && c.block == NULL);
    assert_false(files_has(name));
    assert_int_equal(read_content(1, &got), FAULT_NOT_FOUND);
    assert_int_equal(got, 0);
}

static void another_content_of_that_name_is_left_alone(void **state)
{
    (void)state;
    size_t got;
    struct content c;
    write_content(1, 100, 100);
    content_begin(&c, files.disk, an_id(1));
    c.bytes = span_of(bytes, 5);
    content_do(&c, CONTENT_WRITE);
    assert_int_equal(c.fault, FAULT_DISK_ERROR);
    content_do(&c, CONTENT_FINISH);
    assert_int_equal(c.fault, FAULT_DISK_ERROR);
    content_do(&c, CONTENT_DROP);
    assert_int_equal(c.fault, FAULT_NONE);
    assert_int_equal(read_content(1, &got), FAULT_NONE);
    assert_int_equal(got, 100);
}

static void an_unfinished_one_is_damaged(void **state)
{
    (void)state;
    size_t got;
    struct content c;
    content_begin(&c, files.disk, an_id(1));
    c.bytes = span_of(bytes, 2 * CONTENT_BLOCK_BYTES + 5);
    content_do(&c, CONTENT_WRITE);
    content_fini(&c);
    assert_int_equal(read_content(1, &got), FAULT_DAMAGED);
    assert_int_equal(got, 2 * CONTENT_BLOCK_BYTES);
}

static void no_byte_of_a_flipped_block_leaves(void **state)
{
    (void)state;
    const size_t len = 2 * CONTENT_BLOCK_BYTES + 300;
    char name[CONTENT_NAME_MAX];
    content_name(an_id(1), name);
    write_content(1, len, len);
    for (size_t at = 0; at < 2 * STRIDE + CONTENT_HEADER_BYTES + 300; at += 97) {
        size_t got;
        files_flip(name, (long)at);
        assert_int_equal(read_content(1, &got), FAULT_DAMAGED);
        assert_int_equal(got, at / STRIDE * CONTENT_BLOCK_BYTES);
        files_flip(name, (long)at);
    }
    size_t got;
    assert_int_equal(read_content(1, &got), FAULT_NONE);
}

static void cut_or_lengthened_it_is_damaged(void **state)
{
    static const size_t cuts[] = {0,
                                  1,
                                  CONTENT_HEADER_BYTES - 1,
                                  CONTENT_HEADER_BYTES,
                                  STRIDE - 1,
                                  STRIDE,
                                  STRIDE + CONTENT_HEADER_BYTES,
                                  2 * STRIDE,
                                  2 * STRIDE + CONTENT_HEADER_BYTES + 299};
    (void)state;
    char name[CONTENT_NAME_MAX], path[128], command[256];
    content_name(an_id(1), name);
    files_path(name, path);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        size_t got;
        write_content(1, 2 * CONTENT_BLOCK_BYTES + 300, sizeof bytes);
        snprintf(command, sizeof command, "truncate -s %zu %s", cuts[i], path);
        assert_int_equal(system(command), 0);
        assert_int_equal(read_content(1, &got), FAULT_DAMAGED);
        assert_int_equal(got, cuts[i] / STRIDE * CONTENT_BLOCK_BYTES);
        assert_int_equal(disk_unlink(files.disk, name), FAULT_NONE);
    }
    for (size_t len = CONTENT_BLOCK_BYTES; len <= CONTENT_BLOCK_BYTES + 10; len += 10) {
        size_t got;
        write_content(1, len, len);
        snprintf(command, sizeof command, "printf x >>%s", path);
        assert_int_equal(system(command), 0);
        assert_int_equal(read_content(1, &got), FAULT_DAMAGED);
        assert_int_equal(got, CONTENT_BLOCK_BYTES);
        assert_int_equal(disk_unlink(files.disk, name), FAULT_NONE);
    }
}

static void a_block_counts_only_in_its_place(void **state)
{
    (void)state;
    uint8_t file[2 * STRIDE], *first = file, *second = file + STRIDE;
    struct span block = span_of(bytes, CONTENT_BLOCK_BYTES), got;
    bool last;
    content_block_encode(an_id(1), 0, block, false, first);
    memcpy(first + CONTENT_HEADER_BYTES, bytes, CONTENT_BLOCK_BYTES);
    content_block_encode(an_id(1), 1, span_of(bytes, 9), true, second);
    memcpy(second + CONTENT_HEADER_BYTES, bytes, 9);
    struct span whole = span_of(file, STRIDE + CONTENT_HEADER_BYTES + 9);
    struct span tail = span_skip(whole, STRIDE);
    assert_int_equal(content_block_decode(an_id(1), 0, whole, &got, &last), FAULT_NONE);
    assert_true(!last && span_equal(got, block));
    assert_int_equal(content_block_decode(an_id(1), 1, tail, &got, &last), FAULT_NONE);
    assert_true(last && span_equal(got, span_of(bytes, 9)));
    /* swapped, or of another message */
    assert_int_equal(content_block_decode(an_id(1), 1, whole, &got, &last), FAULT_DAMAGED);
    assert_int_equal(content_block_decode(an_id(1), 0, tail, &got, &last), FAULT_DAMAGED);
    assert_int_equal(content_block_decode(an_id(2), 0, whole, &got, &last), FAULT_DAMAGED);
    assert_int_equal(content_block_decode(an_id(2), 1, tail, &got, &last), FAULT_DAMAGED);
    for (size_t n = 0; n < tail.len; n++)
        assert_int_equal(content_block_decode(an_id(1), 1, span_sub(tail, 0, n), &got, &last),
                         FAULT_DAMAGED);
    for (size_t bit = 0; bit < tail.len * 8; bit++) {
        second[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        enum fault fault = content_block_decode(an_id(1), 1, tail, &got, &last);
        assert_int_equal(fault, FAULT_DAMAGED);
        second[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, files_begin, files_finish)

int main(void)
{
    fill_bytes();
    const struct CMUnitTest tests[] = {
        IN_A_DIRECTORY(comes_back_whatever_its_length_and_its_pieces),
        IN_A_DIRECTORY(what_is_dropped_is_gone),
        IN_A_DIRECTORY(another_content_of_that_name_is_left_alone),
        IN_A_DIRECTORY(an_unfinished_one_is_damaged),
        IN_A_DIRECTORY(no_byte_of_a_flipped_block_leaves),
        IN_A_DIRECTORY(cut_or_lengthened_it_is_damaged),
        cmocka_unit_test(a_block_counts_only_in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
