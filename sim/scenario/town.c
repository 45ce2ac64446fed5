/*
 * town: see town.h.
 */
#include "sim/scenario/town.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/lookup.h"

#define SMTP_PORT 25

static struct endpoint address(const char *text)
{
    struct endpoint e = {0};
    bool ok = endpoint_parse_ip(span_text(text), &e);
    check(ok);
    e.port = SMTP_PORT;
    return e;
}

static void draw_host(struct town *t, struct sim *s, uint32_t number, struct random *r)
{
    struct host *h = &t->hosts[number];
    char text[32];
    (void)snprintf(h->name, sizeof h->name, "h%u.test", number);
    (void)snprintf(text, sizeof text, "10.0.2.%u", number + 1);
    h->addresses[h->address_count++] = address(text);
    h->machine = machine_new(s, h->name, h->addresses[0]);
    sim_dns_address(s, h->name, text);
    if (random_chance(r, 400000)) {
        (void)snprintf(text, sizeof text, "2001:db8:2::%u", number + 1);
        h->addresses[h->address_count++] = address(text);
        machine_address(h->machine, h->addresses[1]);
        sim_dns_address(s, h->name, text);
    }
    h->has_pipelining = random_chance(r, 700000);
    h->has_size = random_chance(r, 700000);
    h->has_8bitmime = random_chance(r, 800000);
    h->knows_ehlo = random_chance(r, 900000);
    struct random own = *r; /* what else is drawn does not depend on it */
    h->has_dsn = random_chance(&own, 500000);
    h->has_chunking = random_chance(&own, 500000);
}

static void draw_mx(struct town *t, struct sim *s, struct place *d, struct random *r)
{
    uint32_t count = 1 + (uint32_t)random_below(r, t->host_count < 3 ? t->host_count : 3);
    while (count > 0) {
        uint32_t host = (uint32_t)random_below(r, t->host_count);
        if ((d->hosts & 1u << host) != 0)
            continue;
        d->hosts |= 1u << host;
        sim_dns_mx(s, d->name, (uint16_t)(10 * random_below(r, 3)), t->hosts[host].name);
        count--;
    }
}

static void draw_domain(struct town *t, struct sim *s, uint32_t number, struct random *r)
{
    struct place *d = &t->domains[number];
    char text[ENDPOINT_TEXT_MAX + 1];
    (void)snprintf(d->name, sizeof d->name, "d%u.test", number);
    uint64_t drawn = random_below(r, 100);
    if (number < TOWN_HOMES || drawn < 70) {
        draw_mx(t, s, d, r);
    } else if (drawn < 85) {
        d->kind = DOMAIN_IMPLICIT;
        uint32_t host = (uint32_t)random_below(r, t->host_count);
        d->hosts = 1u << host;
        struct span ip = endpoint_format_ip(t->hosts[host].addresses[0], text);
        text[ip.len] = '\0';
        sim_dns_address(s, d->name, text);
    } else if (drawn < 93) {
        d->kind = DOMAIN_MISSING;
    } else {
        d->kind = DOMAIN_REFUSING;
        sim_dns_mx(s, d->name, 0, "");
    }
}

void town_draw(struct town *t, struct sim *s, uint64_t seed, struct random *r)
{
    memset(t, 0, sizeof *t);
    t->seed = seed;
    t->host_count = 2 + (uint32_t)random_below(r, TOWN_HOSTS_MAX - 1);
    t->domain_count = TOWN_HOMES + 1 + (uint32_t)random_below(r, TOWN_DOMAINS_MAX - TOWN_HOMES);
    t->has_next_hop = random_chance(r, 150000);
    for (uint32_t i = 0; i < t->host_count; i++)
        draw_host(t, s, i, r);
    for (uint32_t i = 0; i < t->domain_count; i++)
        draw_domain(t, s, i, r);
    struct random own = *r; /* what else is drawn does not depend on it */
    for (uint32_t i = TOWN_HOMES; i < t->domain_count; i++)
        if (random_chance(&own, 300000))
            t->domains[i] = (struct place){.kind = DOMAIN_OURS,
                                           .hosts = 1u << random_below(&own, t->host_count)};
    for (uint32_t i = 0; i < t->domain_count; i++)
        (void)snprintf(t->domains[i].name, sizeof t->domains[i].name, "d%u.test", i);
}

bool town_leads_to(const struct town *t, uint32_t domain, uint32_t host)
{
    if (t->has_next_hop && t->domains[domain].kind != DOMAIN_OURS)
        return host == 0;
    return (t->domains[domain].hosts & 1u << host) != 0;
}

/* The same for every life of every machine: drawn from the seed and the names alone. */
static uint64_t lot(const struct town *t, uint64_t a, uint64_t b)
{
    struct random r;
    random_init(&r, t->seed * 1000003 + a * 1009 + b);
    return random_below(&r, 1000);
}

enum opinion town_of_addressee(const struct town *t, const struct parcel *p, uint32_t addressee)
{
    uint64_t drawn = lot(t, p->number, 10 + addressee);
    if (p->number >= t->last_first)
        return OPINION_TAKES;
    if (drawn < 60)
        return OPINION_NEVER;
    return drawn < 90 ? OPINION_LATER : OPINION_TAKES;
}

enum opinion town_of_content(const struct town *t, const struct parcel *p)
{
    uint64_t drawn = lot(t, p->number, 1);
    if (p->number >= t->last_first)
        return OPINION_TAKES;
    if (drawn < 30)
        return OPINION_NEVER;
    return drawn < 50 ? OPINION_LATER : OPINION_TAKES;
}
