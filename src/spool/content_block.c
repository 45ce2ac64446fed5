#include "spool/content_block.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/cursor.h"

/* Header: length u32, last u8, zero u8 × 3, zero u32, crc u32. */
enum { AT_LAST = 4, AT_CRC = 12 };

void content_name(struct id id, char name_out[CONTENT_NAME_MAX])
{
    char text[ID_TEXT_LEN + 1];
    id_format(id, text);
    int len = snprintf(name_out, CONTENT_NAME_MAX, "%s.msg", text);
    check(len > 0 && len < CONTENT_NAME_MAX);
}

/* The last block may be empty, but is there. */
uint64_t content_file_bytes(uint64_t content_bytes)
{
    uint64_t blocks = content_bytes / CONTENT_BLOCK_BYTES + 1;
    return content_bytes + blocks * CONTENT_HEADER_BYTES;
}

static void put_u32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t block_crc(struct id id, uint64_t number, const uint8_t *header, struct span bytes)
{
    uint8_t seed[sizeof id.bytes + 8];
    memcpy(seed, id.bytes, sizeof id.bytes);
    put_u32(seed + sizeof id.bytes, (uint32_t)number);
    put_u32(seed + sizeof id.bytes + 4, (uint32_t)(number >> 32));
    uint32_t crc = crc32c(crc32c(0, span_of(seed, sizeof seed)), span_of(header, AT_CRC));
    return crc32c(crc, bytes);
}

void content_block_encode(struct id id, uint64_t number, struct span bytes, bool last,
                          uint8_t header_out[CONTENT_HEADER_BYTES])
{
    check(bytes.len == CONTENT_BLOCK_BYTES || (last && bytes.len < CONTENT_BLOCK_BYTES));
    memset(header_out, 0, CONTENT_HEADER_BYTES);
    put_u32(header_out, (uint32_t)bytes.len);
    header_out[AT_LAST] = last ? 1 : 0;
    put_u32(header_out + AT_CRC, block_crc(id, number, header_out, bytes));
}

enum fault content_block_decode(struct id id, uint64_t number, struct span bytes,
                                struct span *bytes_out, bool *last_out)
{
    struct cursor c = cursor_over(bytes);
    uint32_t len = cursor_u32(&c);
    bool last = cursor_u8(&c) != 0;
    (void)cursor_bytes(&c, 7);
    uint32_t crc = cursor_u32(&c);
    struct span content = cursor_bytes(&c, len);
    bool fits = len == CONTENT_BLOCK_BYTES || (last && len < CONTENT_BLOCK_BYTES);
    if (!cursor_ok(&c) || !fits || (last && !cursor_at_end(&c)))
        return FAULT_DAMAGED;
    if (crc != block_crc(id, number, bytes.data, content))
        return FAULT_DAMAGED;
    *bytes_out = content;
    *last_out = last;
    return FAULT_NONE;
}
