#include "spool/record.h"

#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"

/* Layout: length u32, payload crc u32, version u32, type u8, zero u8 × 3, id 16, zero u32, header
 * crc u32. */
enum { AT_LENGTH = 0, AT_PAYLOAD_CRC = 4, AT_VERSION = 8, AT_TYPE = 12, AT_ID = 16, AT_CRC = 36 };

static void put_u32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t header_crc(const uint8_t *header, uint64_t epoch)
{
    uint8_t seed[8];
    for (int i = 0; i < 8; i++)
        seed[i] = (uint8_t)(epoch >> (8 * i));
    return crc32c(crc32c(0, span_of(seed, sizeof seed)), span_of(header, AT_CRC));
}

static bool type_is_known(uint8_t type)
{
    return type >= RECORD_ACCEPTED && type <= RECORD_GROUP;
}

void record_encode_header(uint8_t header_out[RECORD_HEADER_BYTES], uint64_t epoch,
                          enum record_type type, struct id id, uint32_t version,
                          uint32_t payload_len, uint32_t payload_crc)
{
    check(payload_len <= RECORD_PAYLOAD_MAX);
    check(type_is_known((uint8_t)type));
    memset(header_out, 0, RECORD_HEADER_BYTES);
    put_u32(header_out + AT_LENGTH, payload_len);
    put_u32(header_out + AT_PAYLOAD_CRC, payload_crc);
    put_u32(header_out + AT_VERSION, version);
    header_out[AT_TYPE] = (uint8_t)type;
    memcpy(header_out + AT_ID, id.bytes, sizeof id.bytes);
    put_u32(header_out + AT_CRC, header_crc(header_out, epoch));
}

enum fault record_decode(struct span bytes, uint64_t epoch, struct record *record_out,
                         size_t *used_out)
{
    if (bytes.len < RECORD_HEADER_BYTES)
        return FAULT_DAMAGED;
    struct cursor c = cursor_over(bytes);
    uint32_t payload_len = cursor_u32(&c);
    uint32_t payload_crc = cursor_u32(&c);
    uint32_t version = cursor_u32(&c);
    uint8_t type = cursor_u8(&c);
    (void)cursor_bytes(&c, 3);
    struct span id = cursor_bytes(&c, sizeof(struct id));
    (void)cursor_u32(&c);
    if (cursor_u32(&c) != header_crc(bytes.data, epoch))
        return FAULT_DAMAGED;
    if (!type_is_known(type) || payload_len > RECORD_PAYLOAD_MAX)
        return FAULT_DAMAGED;
    struct span payload = cursor_bytes(&c, payload_len);
    if (!cursor_ok(&c))
        return FAULT_DAMAGED;
#ifdef PLANTED_BUG_TORN_TAIL
    payload_crc = crc32c(0, payload); /* the header passes, and the rest is taken for good */
#endif
    if (crc32c(0, payload) != payload_crc)
        return FAULT_DAMAGED;

    record_out->type = (enum record_type)type;
    record_out->version = version;
    memcpy(record_out->id.bytes, id.data, sizeof record_out->id.bytes);
    record_out->payload = payload;
    *used_out = RECORD_HEADER_BYTES + (size_t)payload_len;
    return FAULT_NONE;
}

/* A member: length u32, version u32, type u8, zero u8 × 3, id 16, payload. The group's own CRCs
 * cover it. */
bool group_put(struct buffer *payload, enum record_type type, struct id id, uint32_t version,
               struct span member_payload)
{
    check(type != RECORD_GROUP);
    uint8_t *member = NULL;
    if (member_payload.len <= RECORD_PAYLOAD_MAX) {
        member = buffer_reserve(payload, GROUP_MEMBER_HEADER_BYTES + member_payload.len);
    }
    if (member == NULL)
        return false;
    memset(member, 0, GROUP_MEMBER_HEADER_BYTES);
    put_u32(member, (uint32_t)member_payload.len);
    put_u32(member + 4, version);
    member[8] = (uint8_t)type;
    memcpy(member + 12, id.bytes, sizeof id.bytes);
    if (member_payload.len > 0) {
        memcpy(member + GROUP_MEMBER_HEADER_BYTES, member_payload.data, member_payload.len);
    }
    buffer_commit(payload, GROUP_MEMBER_HEADER_BYTES + member_payload.len);
    return true;
}

bool group_next(struct cursor *payload, struct record *member_out)
{
    if (!cursor_ok(payload) || cursor_at_end(payload))
        return false;
    uint32_t len = cursor_u32(payload);
    uint32_t version = cursor_u32(payload);
    uint8_t type = cursor_u8(payload);
    (void)cursor_bytes(payload, 3);
    struct span id = cursor_bytes(payload, sizeof(struct id));
    struct span member = cursor_bytes(payload, len);
    if (!type_is_known(type) || type == RECORD_GROUP)
        cursor_fail(payload);
    if (!cursor_ok(payload))
        return false;
    member_out->type = (enum record_type)type;
    member_out->version = version;
    memcpy(member_out->id.bytes, id.data, sizeof member_out->id.bytes);
    member_out->payload = member;
    return true;
}
