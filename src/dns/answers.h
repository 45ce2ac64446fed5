/*
 * answers: what a DNS packet says to the question that was asked.
 *
 * RFC 1035 4.1 (packets), 2181 8 (time to live), 2308 (what does not exist), 3596 (AAAA), 7505
 * (null MX). Nothing in a packet is believed: a count may lie, names may loop, records may belong
 * to another question. Owns nothing, allocates nothing; pure; any thread.
 */
#ifndef DNS_ANSWERS_H
#define DNS_ANSWERS_H

#include "base/fault.h"
#include "base/span.h"
#include "mail/domain.h"
#include "os/socket.h"

#define ANSWER_RECORDS_MAX 64
#define ANSWER_ALIASES_MAX 12 /* CNAMEs one after the other */
#define ANSWER_TTL_MAX_S   (24 * 60 * 60)

enum answer_type {
    ANSWER_A = 1,
    ANSWER_CNAME = 5,
    ANSWER_SOA = 6,
    ANSWER_MX = 15,
    ANSWER_AAAA = 28,
};

struct answer_record {
    struct endpoint address; /* A, AAAA: by answer_endpoint */
    uint16_t preference;     /* MX, and the following */
    bool is_root;            /* the host is "." */
    uint8_t host_len;        /* 0 for the root and for a name that no host may have */
    uint8_t host[DOMAIN_MAX];
};

struct answer {
    uint32_t ttl_s; /* the smallest of what was used; 0 when the packet gives none */
    uint32_t count;
    struct answer_record records[ANSWER_RECORDS_MAX];
};

struct span answer_host(const struct answer_record *record);

/* Of 4 or 16 bytes, without a port; an IPv4-mapped address becomes IPv4 (RFC 4291 2.5.5.2), so that
   nobody is known by two. */
struct endpoint answer_endpoint(struct span ip);

/*
 * `name` and `type` (A, AAAA or MX) are what was asked. Aliases in the packet are followed. Of more
 * than ANSWER_RECORDS_MAX records the first are given, or those with the best preference.
 * NONE: the name exists; `count` is 0 when it has no such record. DNS_NO_DOMAIN. DNS_TEMPORARY: the
 * server has failed or the packet is cut. PROTOCOL: damaged, or not an answer to this question.
 * ttl_s is set after NONE and DNS_NO_DOMAIN.
 */
must_use enum fault answer_parse(struct span packet, struct span name, enum answer_type type,
                                 struct answer *answer_out);

#endif
