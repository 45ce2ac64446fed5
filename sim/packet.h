/*
 * packet: writes DNS answers as a name server does (RFC 1035 4.1), for the simulated one and for
 * tests. The program itself only reads them.
 *
 * A packet begins with its question; records follow in the order of their sections. Names are text
 * without final dot; the part that a name shares with the question's end is compressed when
 * `compress` is set. PACKET_MAX is checked: the writer is ours.
 */
#ifndef SIM_PACKET_H
#define SIM_PACKET_H

#include <string.h>

#include "base/check.h"
#include "base/span.h"
#include "dns/answers.h"

#define PACKET_MAX 32768

#define PACKET_RESPONSE      0x8000
#define PACKET_AUTHORITATIVE 0x0400
#define PACKET_TRUNCATED     0x0200
#define PACKET_NO_NAME       3
#define PACKET_SERVER_FAILED 2
#define PACKET_REFUSED       5

enum packet_section { PACKET_ANSWER = 6, PACKET_AUTHORITY = 8, PACKET_ADDITIONAL = 10 };

struct packet {
    bool compress;
    size_t len;
    size_t data_at; /* of the record that is being written */
    uint8_t bytes[PACKET_MAX];
};

static inline struct span packet_span(const struct packet *p)
{
    return span_of(p->bytes, p->len);
}

static inline void packet_bytes(struct packet *p, struct span s)
{
    check(s.len <= PACKET_MAX - p->len);
    if (s.len > 0)
        memcpy(p->bytes + p->len, s.data, s.len);
    p->len += s.len;
}

static inline void packet_u16(struct packet *p, uint16_t value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    packet_bytes(p, span_of(bytes, sizeof bytes));
}

static inline void packet_u32(struct packet *p, uint32_t value)
{
    packet_u16(p, (uint16_t)(value >> 16));
    packet_u16(p, (uint16_t)value);
}

/* Where the question's name has this very end, or 0. */
static inline size_t packet_find_end(const struct packet *p, struct span name)
{
    for (size_t at = 12; at < p->len && p->bytes[at] != 0; at += 1 + (size_t)p->bytes[at]) {
        struct span rest = name;
        size_t here = at;
        while (rest.len > 0) {
            struct span label;
            rest = span_split(rest, '.', &label);
            if (!span_equal(span_of(p->bytes + here + 1, p->bytes[here]), label))
                break;
            here += 1 + (size_t)p->bytes[here];
            if (rest.len == 0 && p->bytes[here] == 0)
                return at;
        }
    }
    return 0;
}

static inline void packet_name(struct packet *p, struct span name)
{
    while (name.len > 0) {
        struct span label;
        size_t before = p->compress ? packet_find_end(p, name) : 0;
        if (before > 0) {
            packet_u16(p, (uint16_t)(0xc000 | before));
            return;
        }
        name = span_split(name, '.', &label);
        uint8_t len = (uint8_t)label.len;
        check(label.len > 0 && label.len < 64);
        packet_bytes(p, span_of(&len, 1));
        packet_bytes(p, label);
    }
    packet_bytes(p, SPAN("\0"));
}

static inline void packet_begin(struct packet *p, uint16_t id, uint16_t flags, struct span name,
                                uint16_t type)
{
    bool compress = p->compress;
    p->len = 0;
    packet_u16(p, id);
    packet_u16(p, flags);
    packet_u16(p, 1);
    packet_bytes(p, SPAN("\0\0\0\0\0\0"));
    p->compress = false;
    packet_name(p, name);
    p->compress = compress;
    packet_u16(p, type);
    packet_u16(p, 1);
}

/* What is written up to packet_end is the record's data. */
static inline void packet_record(struct packet *p, enum packet_section section, struct span owner,
                                 uint16_t type, uint32_t ttl_s)
{
    uint16_t count = (uint16_t)(p->bytes[section] << 8 | p->bytes[section + 1]);
    count++;
    p->bytes[section] = (uint8_t)(count >> 8);
    p->bytes[section + 1] = (uint8_t)count;
    packet_name(p, owner);
    packet_u16(p, type);
    packet_u16(p, 1);
    packet_u32(p, ttl_s);
    packet_u16(p, 0);
    p->data_at = p->len;
}

static inline void packet_end(struct packet *p)
{
    size_t len = p->len - p->data_at;
    p->bytes[p->data_at - 2] = (uint8_t)(len >> 8);
    p->bytes[p->data_at - 1] = (uint8_t)len;
}

static inline void packet_alias(struct packet *p, struct span owner, uint32_t ttl_s,
                                struct span target)
{
    packet_record(p, PACKET_ANSWER, owner, ANSWER_CNAME, ttl_s);
    packet_name(p, target);
    packet_end(p);
}

static inline void packet_mx(struct packet *p, struct span owner, uint32_t ttl_s,
                             uint16_t preference, struct span host)
{
    packet_record(p, PACKET_ANSWER, owner, ANSWER_MX, ttl_s);
    packet_u16(p, preference);
    packet_name(p, host);
    packet_end(p);
}

static inline void packet_address(struct packet *p, struct span owner, uint32_t ttl_s,
                                  struct endpoint address)
{
    packet_record(p, PACKET_ANSWER, owner, address.family == 4 ? ANSWER_A : ANSWER_AAAA, ttl_s);
    packet_bytes(p, span_of(address.ip, address.family == 4 ? 4 : 16));
    packet_end(p);
}

static inline void packet_soa(struct packet *p, struct span zone, uint32_t ttl_s,
                              uint32_t negative_ttl_s)
{
    packet_record(p, PACKET_AUTHORITY, zone, ANSWER_SOA, ttl_s);
    packet_name(p, SPAN("ns.invalid"));
    packet_name(p, SPAN("admin.invalid"));
    for (int i = 0; i < 4; i++)
        packet_u32(p, 3600);
    packet_u32(p, negative_ttl_s);
    packet_end(p);
}

#endif
