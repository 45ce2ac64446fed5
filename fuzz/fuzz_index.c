/* An index file: as found, or sealed with the right checksums so that what is behind them is
 * reached. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "spool/index.h"

#define NUMBER 1u
#define EPOCH  7u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(uint8_t *at, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

/* The input as an index: its first INDEX_HEADER_BYTES are a header in which magic, name and
 * checksums are set right; the rest is the body. */
static uint8_t *sealed(struct span input, size_t *len_out)
{
    size_t body_len = input.len - INDEX_HEADER_BYTES;
    size_t blocks = (body_len + INDEX_BLOCK_BYTES - 1) / INDEX_BLOCK_BYTES;
    uint8_t *file = malloc(input.len + 4 * blocks);
    if (file == NULL)
        return NULL;
    memcpy(file, input.data, input.len);
    memcpy(file, "PRINDEX\n", 8);
    put(file + 12, NUMBER, 4);
    put(file + 16, EPOCH, 8);
    put(file + 32, body_len, 8);
    put(file + 60, crc32c(0, span_of(file, 60)), 4);
    for (size_t i = 0; i < blocks; i++) {
        uint8_t seed[12];
        put(seed, EPOCH, 8);
        put(seed + 8, i, 4);
        struct span body = span_of(file + INDEX_HEADER_BYTES, body_len);
        uint32_t crc = crc32c(crc32c(0, span_of(seed, sizeof seed)),
                              span_sub(body, i * INDEX_BLOCK_BYTES, INDEX_BLOCK_BYTES));
        put(file + input.len + 4 * i, crc, 4);
    }
    *len_out = input.len + 4 * blocks;
    return file;
}

static void walk(const struct index *x, size_t somewhere)
{
    struct index_entry e;
    uint32_t count = 0;
    uint64_t sum = 0;
    for (size_t at = 0, before = 0; index_next(x, &at, &e); before = at) {
        struct index_entry again;
        check(index_at(x, before, &again) && again.payload.data == e.payload.data);
        for (size_t i = 0; i < e.payload.len; i++)
            sum += e.payload.data[i];
        count++;
    }
    check(count == index_entry_count(x));
    for (uint32_t i = 0; i < index_damage_count(x); i++)
        sum += index_damage(x, i).from;
    if (index_at(x, somewhere, &e) && e.payload.len > 0)
        sum += e.payload.data[e.payload.len - 1];
    check(sum != 1 || count <= index_entry_count(x)); /* so that the reading is not left out */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct index *x;
    size_t len = size;
    uint8_t *file;
    if (size > INDEX_HEADER_BYTES && data[0] == 0) {
        file = sealed(span_of(data, size), &len);
    } else {
        file = malloc(size + 1);
        if (file != NULL && size > 0)
            memcpy(file, data, size);
    }
    if (file == NULL || index_decode(file, len, NUMBER, EPOCH, &x) != FAULT_NONE)
        return 0;
    walk(x, size > 1 ? (size_t)data[1] * 9 : 0);
    index_free(x);
    return 0;
}
