/*
 * answers: see answers.h.
 */
#include "dns/answers.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "dns/name.h"

#define HEADER_BYTES   12
#define CLASS_INTERNET 1

#define FLAG_RESPONSE  0x8000
#define FLAG_OPCODE    0x7800
#define FLAG_TRUNCATED 0x0200
#define FLAG_RCODE     0x000f

enum { RCODE_NONE = 0, RCODE_NO_NAME = 3 };

struct header {
    uint16_t flags, questions, answers, authorities;
};

struct record {
    struct name owner;
    uint16_t type, class;
    uint32_t ttl_s;
    size_t data_at; /* in the packet, since names in the data may point out of it */
    size_t data_len;
};

struct span answer_host(const struct answer_record *record)
{
    return span_of(record->host, record->host_len);
}

struct endpoint answer_endpoint(struct span ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    check(ip.len == 4 || ip.len == 16);
    if (ip.len == 16 && memcmp(ip.data, mapped, sizeof mapped) == 0)
        ip = span_skip(ip, sizeof mapped);
    struct endpoint e = {.family = ip.len == 4 ? 4 : 6};
    memcpy(e.ip, ip.data, ip.len);
    return e;
}

static struct header read_header(struct cursor *c)
{
    struct header h = {0};
    (void)cursor_u16_be(c); /* the id is the asker's business */
    h.flags = cursor_u16_be(c);
    h.questions = cursor_u16_be(c);
    h.answers = cursor_u16_be(c);
    h.authorities = cursor_u16_be(c);
    (void)cursor_u16_be(c);
    return h;
}

static bool is_question(struct span packet, size_t *at, const struct name *name,
                        enum answer_type type)
{
    struct name asked;
    if (!name_decode(packet, at, &asked) || !name_equal(&asked, name))
        return false;
    struct cursor c = cursor_over(span_skip(packet, *at));
    uint16_t asked_type = cursor_u16_be(&c);
    uint16_t asked_class = cursor_u16_be(&c);
    *at += 4;
    return cursor_ok(&c) && asked_type == type && asked_class == CLASS_INTERNET;
}

static bool read_record(struct span packet, size_t *at, struct record *record)
{
    if (!name_decode(packet, at, &record->owner))
        return false;
    struct cursor c = cursor_over(span_skip(packet, *at));
    record->type = cursor_u16_be(&c);
    record->class = cursor_u16_be(&c);
    record->ttl_s = cursor_u32_be(&c);
    record->data_len = cursor_u16_be(&c);
    record->data_at = packet.len - c.rest.len;
    (void)cursor_bytes(&c, record->data_len);
    *at = packet.len - c.rest.len;
    /* RFC 2181 8: with the highest bit set it is zero. */
    if (record->ttl_s > INT32_MAX)
        record->ttl_s = 0;
    return cursor_ok(&c);
}

static bool is_of(const struct record *r, const struct name *owner, uint16_t type)
{
    return r->type == type && r->class == CLASS_INTERNET && name_equal(&r->owner, owner);
}

/* The record's data are one name and nothing else, from `at` on. */
static bool read_data_name(struct span packet, const struct record *r, size_t at, struct name *name)
{
    return name_decode(packet, &at, name) && at == r->data_at + r->data_len;
}

static void shorten_ttl(struct answer *answer, uint32_t ttl_s)
{
    if (ttl_s < answer->ttl_s)
        answer->ttl_s = ttl_s;
}

/* One alias of `name`, which then becomes what it stands for; *found_out tells. False: damaged. */
static bool follow_alias(struct span packet, size_t at, uint16_t count, struct name *name,
                         struct answer *answer, bool *found_out)
{
    *found_out = false;
    for (uint16_t i = 0; i < count; i++) {
        struct record r;
        if (!read_record(packet, &at, &r))
            return false;
        if (!is_of(&r, name, ANSWER_CNAME))
            continue;
        shorten_ttl(answer, r.ttl_s);
        *found_out = true;
        return read_data_name(packet, &r, r.data_at, name);
    }
    return true;
}

static enum fault follow_aliases(struct span packet, size_t at, uint16_t count, struct name *name,
                                 struct answer *answer)
{
    for (int i = 0; i <= ANSWER_ALIASES_MAX; i++) {
        bool found;
        if (!follow_alias(packet, at, count, name, answer, &found))
            return FAULT_PROTOCOL;
        if (!found)
            return FAULT_NONE;
    }
    return FAULT_PROTOCOL;
}

static bool read_address(struct span data, enum answer_type type, struct endpoint *address_out)
{
    if (data.len != (type == ANSWER_A ? 4u : 16u))
        return false;
    *address_out = answer_endpoint(data);
    return true;
}

static bool read_exchange(struct span packet, const struct record *r, struct answer_record *out)
{
    struct cursor c = cursor_over(span_sub(packet, r->data_at, r->data_len));
    struct name host;
    size_t len = 0;
    out->preference = cursor_u16_be(&c);
    if (!cursor_ok(&c) || !read_data_name(packet, r, r->data_at + 2, &host))
        return false;
    out->is_root = host.len == 1;
    if (!name_format_host(&host, out->host, &len))
        len = 0;
    out->host_len = (uint8_t)len;
    return true;
}

/* Where the next record goes: behind the others, over a worse MX, or nowhere (NULL). */
static struct answer_record *place_for(struct answer *answer, const struct answer_record *record)
{
    if (answer->count < ANSWER_RECORDS_MAX)
        return &answer->records[answer->count++];
    struct answer_record *worst = &answer->records[0];
    for (uint32_t i = 1; i < answer->count; i++)
        if (answer->records[i].preference > worst->preference)
            worst = &answer->records[i];
    return record->preference < worst->preference ? worst : NULL;
}

static enum fault gather(struct span packet, size_t *at, uint16_t count, const struct name *name,
                         enum answer_type type, struct answer *answer)
{
    for (uint16_t i = 0; i < count; i++) {
        struct record r;
        if (!read_record(packet, at, &r))
            return FAULT_PROTOCOL;
        if (!is_of(&r, name, (uint16_t)type))
            continue;
        struct answer_record record = {0};
        bool good = type == ANSWER_MX ? read_exchange(packet, &r, &record)
                                      : read_address(span_sub(packet, r.data_at, r.data_len), type,
                                                     &record.address);
        if (!good)
            return FAULT_PROTOCOL;
        shorten_ttl(answer, r.ttl_s);
        struct answer_record *place = place_for(answer, &record);
        if (place != NULL)
            *place = record;
    }
    return FAULT_NONE;
}

/* RFC 2308 5: what does not exist may be kept for the smaller of the SOA's own time to live and its
   last field. */
static enum fault read_negative_ttl(struct span packet, size_t at, uint16_t count,
                                    struct answer *answer)
{
    for (uint16_t i = 0; i < count; i++) {
        struct record r;
        struct name skipped;
        if (!read_record(packet, &at, &r))
            return FAULT_PROTOCOL;
        if (r.type != ANSWER_SOA || r.class != CLASS_INTERNET)
            continue;
        size_t numbers = r.data_at;
        if (!name_decode(packet, &numbers, &skipped) || !name_decode(packet, &numbers, &skipped) ||
            numbers + 20 != r.data_at + r.data_len)
            return FAULT_PROTOCOL;
        struct cursor c = cursor_over(span_sub(packet, numbers + 16, 4));
        shorten_ttl(answer, r.ttl_s);
        shorten_ttl(answer, cursor_u32_be(&c));
        return FAULT_NONE;
    }
    answer->ttl_s = 0;
    return FAULT_NONE;
}

enum fault answer_parse(struct span packet, struct span name, enum answer_type type,
                        struct answer *answer_out)
{
    check(type == ANSWER_A || type == ANSWER_AAAA || type == ANSWER_MX);
    struct name asked;
    struct cursor c = cursor_over(packet);
    struct header h = read_header(&c);
    size_t at = HEADER_BYTES;
    answer_out->count = 0;
    answer_out->ttl_s = ANSWER_TTL_MAX_S;
    if (!name_parse(name, &asked) || !cursor_ok(&c))
        return FAULT_PROTOCOL;
    if ((h.flags & FLAG_RESPONSE) == 0 || (h.flags & FLAG_OPCODE) != 0)
        return FAULT_PROTOCOL;
    unsigned rcode = h.flags & FLAG_RCODE;
    if ((h.flags & FLAG_TRUNCATED) != 0 || (rcode != RCODE_NONE && rcode != RCODE_NO_NAME))
        return FAULT_DNS_TEMPORARY;
    if (h.questions != 1 || !is_question(packet, &at, &asked, type))
        return FAULT_PROTOCOL;

    enum fault fault = follow_aliases(packet, at, h.answers, &asked, answer_out);
    if (fault == FAULT_NONE)
        fault = gather(packet, &at, h.answers, &asked, type, answer_out);
    if (fault == FAULT_NONE && (rcode == RCODE_NO_NAME || answer_out->count == 0))
        fault = read_negative_ttl(packet, at, h.authorities, answer_out);
    if (fault != FAULT_NONE)
        answer_out->count = 0;
    else if (rcode == RCODE_NO_NAME) {
        answer_out->count = 0;
        fault = FAULT_DNS_NO_DOMAIN;
    }
    return fault;
}
