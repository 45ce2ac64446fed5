/*
 * lookup: the DNS of the simulated world: records that every machine sees, and what goes wrong.
 *
 * sim/lookup.c implements dns/lookup.h. Answers are packets as a recursive server sends them, so
 * that the program's own parser runs: aliases followed, compression, order and delays from the
 * seed, NXDOMAIN or an empty answer with an SOA where there is nothing. No garbage can be taken for
 * another answer: it never makes a name vanish nor mail go astray.
 */
#ifndef SIM_LOOKUP_H
#define SIM_LOOKUP_H

#include "sim/world.h"

/* Names are copied; a name exists from its first record on, and so do those above it. */
void sim_dns_mx(struct sim *s, const char *name, uint16_t preference, const char *host);
void sim_dns_address(struct sim *s, const char *name,
                     const char *ip); /* "192.0.2.1", "2001:db8::1" */
void sim_dns_alias(struct sim *s, const char *name, const char *target);
void sim_dns_exists(struct sim *s, const char *name); /* without a record that anybody asks for */
void sim_dns_remove(struct sim *s, const char *name); /* its records */

enum sim_dns_trouble {
    SIM_DNS_GOOD,
    SIM_DNS_SERVER_FAILED, /* SERVFAIL */
    SIM_DNS_REFUSED,
    SIM_DNS_NO_PACKET, /* the library below gives up */
    SIM_DNS_SILENT,    /* never an answer */
    SIM_DNS_GARBAGE,   /* bytes that are no answer */
    SIM_DNS_TRUNCATED, /* TC set */
    SIM_DNS_BOGUS      /* a forged answer, and known to be */
};
/* From now on whatever is asked about the name; for all types, or `type` alone. */
void sim_dns_trouble(struct sim *s, const char *name, uint16_t type, enum sim_dns_trouble trouble);

#define SIM_DNS_ALL_TYPES 0

/* Chances are per million lookups. May be changed at any time. */
struct sim_dns_options {
    uint32_t ttl_s;          /* of records put from now on */
    uint32_t negative_ttl_s; /* of what does not exist */
    int64_t delay_us_max;
    uint32_t at_once; /* answered from inside lookup_start */
    uint32_t late;    /* the delay is up to late_us_max */
    int64_t late_us_max;
    uint32_t server_failed, no_packet, silent, garbage, truncated, bogus;
};
struct sim_dns_options *sim_dns_options(struct sim *s); /* calm to begin with: delays alone */
void sim_dns_rough(struct sim *s);                      /* drawn: some of everything */
uint64_t sim_dns_lookups(struct sim *s);                /* so far */

#endif
