/* A block of a content file: whatever lies there, no byte of it is believed unless all of it is. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "spool/content_block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct id message = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* The first byte says what is done: the rest is a block as found, or bytes to make one of, which
 * then comes back, and does not when a bit of it is another one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest, got;
    bool last;
    if (size < 4)
        return 0;
    rest = span_skip(span_of(data, size), 4);
    if (data[0] == 0) {
        enum fault fault = content_block_decode(message, data[1], rest, &got, &last);
        check(fault == FAULT_NONE || fault == FAULT_DAMAGED);
        return 0;
    }
    rest = span_sub(rest, 0, CONTENT_BLOCK_BYTES);
    size_t len = CONTENT_HEADER_BYTES + rest.len;
    uint8_t *block = malloc(len);
    if (block == NULL)
        return 0;
    content_block_encode(message, data[1], rest, true, block);
    if (rest.len > 0)
        memcpy(block + CONTENT_HEADER_BYTES, rest.data, rest.len);
    struct span whole = span_of(block, len);
    check(content_block_decode(message, data[1], whole, &got, &last) == FAULT_NONE);
    check(last && span_equal(got, rest));
    size_t bit = ((size_t)data[2] << 8 | data[3]) % (len * 8);
    block[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    check(content_block_decode(message, data[1], whole, &got, &last) == FAULT_DAMAGED);
    free(block);
    return 0;
}
