/*
 * lookup: the simulated DNS; see sim/lookup.h and dns/lookup.h.
 */
#include "sim/lookup.h"

#include <stdlib.h>
#include <string.h>

#include "dns/lookup.h"
#include "mail/domain.h"
#include "sim/inside.h"
#include "sim/packet.h"

#define ALIASES_MAX   12
#define GARBAGE_BYTES 64

struct sim_record {
    struct list node;
    char *name, *target; /* target: of an alias or MX */
    uint16_t type;       /* 0: only says that the name exists */
    uint16_t preference;
    uint32_t ttl_s;
    struct endpoint address;
};

struct troubled {
    struct list node;
    char *name;
    uint16_t type;
    enum sim_dns_trouble trouble;
};

struct dns {
    struct sim_dns_options options;
    struct list records, troubled;
    uint64_t lookups;
};

struct lookups {
    struct world *world;
    struct loop *loop;
    uint32_t count; /* under way */
};

struct pending {
    struct lookups *lookups;
    struct lookup *lookup;
    struct timer timer;
    char *name;
    uint16_t type;
    enum sim_dns_trouble trouble;
};

static struct dns *dns_of(struct sim *s)
{
    if (s->dns != NULL)
        return s->dns;
    s->dns = calloc(1, sizeof *s->dns);
    check(s->dns != NULL);
    list_init(&s->dns->records);
    list_init(&s->dns->troubled);
    s->dns->options = (struct sim_dns_options){
        .ttl_s = 300,
        .negative_ttl_s = 60,
        .delay_us_max = 100000,
        .at_once = 100000,
    };
    return s->dns;
}

static char *copy(const char *text)
{
    char *made = text == NULL ? NULL : strdup(text);
    check(text == NULL || made != NULL);
    return made;
}

static void free_record(struct sim_record *r)
{
    list_remove(&r->node);
    free(r->name);
    free(r->target);
    free(r);
}

void dns_free(struct sim *s)
{
    struct dns *d = s->dns;
    if (d == NULL)
        return;
    while (!list_empty(&d->records))
        free_record(container_of(d->records.next, struct sim_record, node));
    for (struct list *node; (node = list_take_first(&d->troubled)) != NULL;) {
        struct troubled *t = container_of(node, struct troubled, node);
        free(t->name);
        free(t);
    }
    free(d);
    s->dns = NULL;
}

struct sim_dns_options *sim_dns_options(struct sim *s)
{
    return &dns_of(s)->options;
}

uint64_t sim_dns_lookups(struct sim *s)
{
    return dns_of(s)->lookups;
}

/* Zero half of the time, so that troubles also come alone. */
static uint32_t some(struct random *r, uint32_t most)
{
    return random_chance(r, 500000) ? (uint32_t)random_below(r, most) : 0;
}

void sim_dns_rough(struct sim *s)
{
    struct sim_dns_options *o = sim_dns_options(s);
    struct random *r = &s->random;
    o->ttl_s = (uint32_t)random_between(r, 0, 7200);
    o->negative_ttl_s = (uint32_t)random_between(r, 0, 3600);
    o->delay_us_max = random_between(r, 1, SIM_SECOND);
    o->at_once = some(r, 1000000);
    o->late = some(r, 50000);
    o->late_us_max = 120 * SIM_SECOND;
    o->server_failed = some(r, 100000);
    o->no_packet = some(r, 50000);
    o->silent = some(r, 50000);
    o->garbage = some(r, 100000);
    o->truncated = some(r, 50000);
    o->bogus = some(r, 50000);
}

/* Records -----------------------------------------------------------------------------------------
 */

static struct sim_record *put(struct sim *s, const char *name, uint16_t type, const char *target)
{
    struct dns *d = dns_of(s);
    struct sim_record *r = calloc(1, sizeof *r);
    check(r != NULL);
    r->name = copy(name);
    r->target = copy(target);
    r->type = type;
    r->ttl_s = d->options.ttl_s;
    list_append(&d->records, &r->node);
    return r;
}

void sim_dns_mx(struct sim *s, const char *name, uint16_t preference, const char *host)
{
    put(s, name, ANSWER_MX, host)->preference = preference;
}

void sim_dns_address(struct sim *s, const char *name, const char *ip)
{
    uint8_t bytes[16];
    bool is_ipv4 = literal_parse_ipv4(span_text(ip), bytes);
    check(is_ipv4 || literal_parse_ipv6(span_text(ip), bytes));
    struct sim_record *r = put(s, name, is_ipv4 ? ANSWER_A : ANSWER_AAAA, NULL);
    r->address.family = is_ipv4 ? 4 : 6;
    memcpy(r->address.ip, bytes, is_ipv4 ? 4 : 16);
}

void sim_dns_alias(struct sim *s, const char *name, const char *target)
{
    (void)put(s, name, ANSWER_CNAME, target);
}

void sim_dns_exists(struct sim *s, const char *name)
{
    (void)put(s, name, 0, NULL);
}

void sim_dns_remove(struct sim *s, const char *name)
{
    list_each(node, &dns_of(s)->records)
    {
        struct sim_record *r = container_of(node, struct sim_record, node);
        if (domain_equal(span_text(r->name), span_text(name)))
            free_record(r);
    }
}

void sim_dns_trouble(struct sim *s, const char *name, uint16_t type, enum sim_dns_trouble trouble)
{
    struct troubled *t = calloc(1, sizeof *t);
    check(t != NULL);
    t->name = copy(name);
    t->type = type;
    t->trouble = trouble;
    list_prepend(&dns_of(s)->troubled, &t->node); /* the newest word counts */
}

static const struct sim_record *find(const struct dns *d, struct span name, uint16_t type)
{
    list_each(node, &d->records)
    {
        const struct sim_record *r = container_of(node, struct sim_record, node);
        if (r->type == type && domain_equal(span_text(r->name), name))
            return r;
    }
    return NULL;
}

static bool exists(const struct dns *d, struct span name)
{
    list_each(node, &d->records)
    {
        const struct sim_record *r = container_of(node, struct sim_record, node);
        if (domain_is_within(span_text(r->name), name))
            return true;
    }
    return false;
}

/* Packets -----------------------------------------------------------------------------------------
 */

static void write_record(struct packet *p, const struct sim_record *r)
{
    struct span owner = span_text(r->name);
    if (r->type == ANSWER_MX)
        packet_mx(p, owner, r->ttl_s, r->preference, span_text(r->target));
    else
        packet_address(p, owner, r->ttl_s, r->address);
}

/* All records of the name and type, beginning with a drawn one. */
static bool write_records(struct packet *p, struct sim *s, struct span name, uint16_t type)
{
    struct dns *d = s->dns;
    uint64_t count = 0;
    uint64_t at = 0;
    list_each(node, &d->records)
    {
        const struct sim_record *r = container_of(node, struct sim_record, node);
        count += r->type == type && domain_equal(span_text(r->name), name);
    }
    if (count == 0)
        return false;
    uint64_t first = random_below(&s->random, count);
    for (int round = 0; round < 2; round++) {
        at = 0;
        list_each(node, &d->records)
        {
            const struct sim_record *r = container_of(node, struct sim_record, node);
            if (r->type != type || !domain_equal(span_text(r->name), name))
                continue;
            if ((at++ >= first) == (round == 0))
                write_record(p, r);
        }
    }
    return true;
}

static void write_answer(struct packet *p, struct sim *s, struct span name, uint16_t type)
{
    struct dns *d = dns_of(s);
    packet_begin(p, 0, PACKET_RESPONSE | 0x0180, name, type);
    const struct sim_record *alias;
    for (int i = 0; i < ALIASES_MAX && (alias = find(d, name, ANSWER_CNAME)) != NULL; i++) {
        packet_alias(p, name, alias->ttl_s, span_text(alias->target));
        name = span_text(alias->target);
    }
    if (write_records(p, s, name, type))
        return;
    packet_soa(p, SPAN(""), d->options.negative_ttl_s, d->options.negative_ttl_s);
    if (!exists(d, name))
        p->bytes[3] |= PACKET_NO_NAME;
}

/* What an attacker would like to be believed. */
static void write_forged(struct packet *p, struct span name, uint16_t type)
{
    struct endpoint address = {.family = type == ANSWER_AAAA ? 6 : 4, .ip = {203, 0, 113, 66}};
    packet_begin(p, 0, PACKET_RESPONSE | 0x0180, name, type);
    if (type == ANSWER_MX)
        packet_mx(p, name, 86400, 0, SPAN("mx.attacker.invalid"));
    else
        packet_address(p, name, 86400, address);
}

/* Bytes that are no answer to this question in any reading. */
static void spoil(struct packet *p, struct sim *s)
{
    struct random *r = &s->random;
    switch (random_below(r, 4)) {
    case 0: /* cut */
        p->len = random_below(r, p->len);
        break;
    case 1: /* noise; a question rather than an answer */
        p->len = random_below(r, GARBAGE_BYTES);
        random_bytes(r, p->bytes, p->len);
        p->bytes[2] &= 0x7f;
        break;
    case 2: /* the answer to another question */
        p->bytes[13] = p->bytes[13] == 'x' ? 'y' : 'x';
        break;
    default: /* more records than there are */
        p->bytes[PACKET_ANSWER] = (uint8_t)random_between(r, 1, 255);
        break;
    }
}

static void write_trouble(struct packet *p, struct sim *s, const struct pending *q)
{
    struct span name = span_text(q->name);
    write_answer(p, s, name, q->type);
    switch (q->trouble) {
    case SIM_DNS_SERVER_FAILED:
        packet_begin(p, 0, PACKET_RESPONSE | 0x0180 | PACKET_SERVER_FAILED, name, q->type);
        break;
    case SIM_DNS_REFUSED:
        packet_begin(p, 0, PACKET_RESPONSE | 0x0180 | PACKET_REFUSED, name, q->type);
        break;
    case SIM_DNS_GARBAGE:
        spoil(p, s);
        break;
    case SIM_DNS_TRUNCATED:
        p->bytes[2] |= PACKET_TRUNCATED >> 8;
        break;
    case SIM_DNS_BOGUS:
        write_forged(p, name, q->type);
        break;
    case SIM_DNS_GOOD:
    case SIM_DNS_NO_PACKET:
    case SIM_DNS_SILENT:
        break;
    }
}

/* The seam ----------------------------------------------------------------------------------------
 */

enum fault lookups_new(struct world *w, struct loop *l, struct endpoint server,
                       struct lookups **lookups_out)
{
    (void)server;
    struct lookups *made = calloc(1, sizeof *made);
    if (made == NULL)
        return FAULT_NO_MEMORY;
    made->world = w;
    made->loop = l;
    *lookups_out = made;
    return FAULT_NONE;
}

void lookups_free(struct lookups *l)
{
    check(l == NULL || l->count == 0);
    free(l);
}

static void drop(struct pending *q)
{
    timer_cancel(q->lookups->loop, &q->timer);
    q->lookups->count--;
    q->lookup->work = NULL;
    free(q->name);
    free(q);
}

static void tell(struct pending *q)
{
    struct sim *s = q->lookups->world->sim;
    struct lookup *lookup = q->lookup;
    bool has_packet = q->trouble != SIM_DNS_NO_PACKET;
    enum lookup_trust trust = q->trouble == SIM_DNS_BOGUS ? LOOKUP_BOGUS : LOOKUP_INSECURE;
    struct packet *p = calloc(1, sizeof *p);
    check(p != NULL);
    p->compress = random_chance(&s->random, 500000);
    if (has_packet)
        write_trouble(p, s, q);
    sim_note_bytes(s, NOTE_LOOKUP, packet_span(p));
    drop(q);
    lookup->on_answer(lookup->context, has_packet ? FAULT_NONE : FAULT_DNS_TEMPORARY,
                      packet_span(p), trust);
    free(p);
}

static void on_timer(void *context)
{
    tell(context);
}

static enum sim_dns_trouble draw_trouble(struct sim *s, struct span name, uint16_t type)
{
    struct dns *d = dns_of(s);
    const struct sim_dns_options *o = &d->options;
    list_each(node, &d->troubled)
    {
        const struct troubled *t = container_of(node, struct troubled, node);
        if ((t->type == SIM_DNS_ALL_TYPES || t->type == type) &&
            domain_equal(span_text(t->name), name))
            return t->trouble;
    }
    const struct {
        uint32_t chance;
        enum sim_dns_trouble trouble;
    } rows[] = {
        {o->server_failed, SIM_DNS_SERVER_FAILED},
        {o->no_packet, SIM_DNS_NO_PACKET},
        {o->silent, SIM_DNS_SILENT},
        {o->garbage, SIM_DNS_GARBAGE},
        {o->truncated, SIM_DNS_TRUNCATED},
        {o->bogus, SIM_DNS_BOGUS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (random_chance(&s->random, rows[i].chance))
            return rows[i].trouble;
    return SIM_DNS_GOOD;
}

enum fault lookup_start(struct lookups *l, struct lookup *lookup, struct span name,
                        enum answer_type type)
{
    struct sim *s = l->world->sim;
    struct dns *d = dns_of(s);
    struct pending *q = calloc(1, sizeof *q);
    check(domain_check(name, 0) == FAULT_NONE);
    if (q == NULL)
        return FAULT_NO_MEMORY;
    q->name = strndup((const char *)name.data, name.len);
    check(q->name != NULL);
    q->lookups = l;
    q->lookup = lookup;
    q->type = (uint16_t)type;
    q->trouble = draw_trouble(s, name, q->type);
    timer_init(&q->timer, on_timer, q);
    lookup->work = q;
    l->count++;
    d->lookups++;
    if (q->trouble == SIM_DNS_SILENT)
        return FAULT_NONE;
    if (random_chance(&s->random, d->options.at_once)) {
        tell(q);
        return FAULT_NONE;
    }
    bool is_late = random_chance(&s->random, d->options.late);
    int64_t delay_us =
        random_between(&s->random, 0, is_late ? d->options.late_us_max : d->options.delay_us_max);
    check(timer_set(l->loop, &q->timer, loop_mono_us(l->loop) + delay_us) == FAULT_NONE);
    return FAULT_NONE;
}

void lookup_cancel(struct lookups *l, struct lookup *lookup)
{
    struct pending *q = lookup->work;
    check(q != NULL && q->lookups == l);
    drop(q);
}
