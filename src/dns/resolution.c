/*
 * resolution: see resolution.h.
 */
#include "dns/resolution.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dns/name.h"
#include "mail/domain.h"
#include "route/destination.h"

struct resolution_host {
    uint16_t preference;
    uint16_t port;
    bool is_address;  /* it was named by its address: nothing is asked */
    bool is_in_doubt; /* a lookup has failed */
    bool is_unknown;  /* there is no such name */
    uint8_t name_len;
    uint8_t name[DOMAIN_MAX];
    uint8_t ipv4_count, ipv6_count, address_count;
    uint32_t ttl_s;      /* of the addresses */
    uint32_t none_ttl_s; /* of what does not exist */
    struct endpoint ipv4[RESOLVER_ADDRESSES_MAX];
    struct endpoint ipv6[RESOLVER_ADDRESSES_MAX];
    struct endpoint addresses[RESOLVER_ADDRESSES_MAX]; /* of both, in the order to be tried */
};

static void enter(struct resolution *r, enum resolution_state next)
{
    static const uint8_t allowed[] = {
        [RESOLUTION_NEW] =
            1 << RESOLUTION_EXCHANGES | 1 << RESOLUTION_ADDRESSES | 1 << RESOLUTION_CONCLUDED,
        [RESOLUTION_EXCHANGES] = 1 << RESOLUTION_ADDRESSES | 1 << RESOLUTION_CONCLUDED,
        [RESOLUTION_ADDRESSES] = 1 << RESOLUTION_CONCLUDED,
        [RESOLUTION_CONCLUDED] = 0,
    };
    check((allowed[r->state] & 1u << next) != 0);
    r->state = next;
    r->open_count = resolution_question_count(r);
}

static int64_t bound_ttl(uint32_t ttl_s, int64_t most_ms)
{
    int64_t ttl_ms = (int64_t)ttl_s * 1000;
    if (ttl_ms < RESOLVER_TTL_MIN_MS)
        return RESOLVER_TTL_MIN_MS;
    return ttl_ms < most_ms ? ttl_ms : most_ms;
}

/* ttl_s: how long the DNS lets us keep what the fault rests on. */
static void fail(struct resolution *r, enum fault fault, uint32_t ttl_s)
{
    enter(r, RESOLUTION_CONCLUDED);
    r->fault = fault;
    if (fault == FAULT_NO_MEMORY)
        r->ttl_ms = 0;
    else if (fault == FAULT_DNS_TEMPORARY)
        r->ttl_ms = RESOLVER_TTL_DOUBT_MS;
    else
        r->ttl_ms = bound_ttl(ttl_s, RESOLVER_TTL_FAULT_MAX_MS);
}

static struct span host_name(const struct resolution_host *host)
{
    return span_of(host->name, host->name_len);
}

/* A host that may be connected to: not "this network", no group, no address that needs an interface
   next to it. Linux would take 0.0.0.0 and :: for itself. */
static bool is_usable(struct endpoint address)
{
    static const uint8_t none[16] = {0};
    const uint8_t *ip = address.ip;
    if (address.family == 4)
        return ip[0] != 0 && ip[0] < 224;
    return memcmp(ip, none, sizeof none) != 0 && ip[0] != 0xff &&
           !(ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
}

static bool is_ours(const struct resolution *r, struct endpoint address)
{
    for (size_t i = 0; i < r->settings->own_count; i++) {
        struct endpoint own = r->settings->own[i];
        own.port = address.port;
        if (endpoint_equal(own, address))
            return true;
    }
    return false;
}

static void see_self(struct resolution *r, uint16_t preference)
{
    if (!r->is_self_seen || preference < r->self_preference)
        r->self_preference = preference;
    r->is_self_seen = true;
}

/* RFC 5321 5.1: who is no better than we are would send it back to us. */
static bool is_left(const struct resolution *r, uint16_t preference)
{
    return !r->is_self_seen || preference < r->self_preference;
}

/* RFC 5321 4.1.3: an address instead of a name; where a host is named, without brackets. */
static bool parse_address(struct span name, bool is_host, struct endpoint *address_out)
{
    struct literal literal;
    bool is_ipv4;
    if (name.len > 0 && name.data[0] == '[') {
        if (literal_parse(name, &literal) != FAULT_NONE || literal.kind == LITERAL_GENERAL)
            return false;
        is_ipv4 = literal.kind == LITERAL_IPV4;
    } else {
        is_ipv4 = is_host && literal_parse_ipv4(name, literal.bytes);
        if (!is_ipv4 && !(is_host && literal_parse_ipv6(name, literal.bytes)))
            return false;
    }
    *address_out = answer_endpoint(span_of(literal.bytes, is_ipv4 ? 4 : 16));
    return true;
}

static struct route *make_route(const struct resolution *r, const struct route_host *hosts,
                                uint32_t count)
{
    return route_new_by(r->transport, r->tls, hosts, count);
}

static void conclude_with(struct resolution *r, struct route *route)
{
    r->route = route;
    if (route == NULL) {
        fail(r, FAULT_NO_MEMORY, 0);
        return;
    }
    enter(r, RESOLUTION_CONCLUDED);
    r->ttl_ms = RESOLVER_TTL_MAX_MS;
}

static void go_to_address(struct resolution *r, struct endpoint address)
{
    struct route_host host = {.address_count = 1, .addresses = &address};
    address.port = r->settings->port;
    if (!is_usable(address)) {
        fail(r, FAULT_DNS_NO_ADDRESS, UINT32_MAX);
    } else if (is_ours(r, address)) {
        fail(r, FAULT_MAIL_LOOP, UINT32_MAX);
    } else {
        conclude_with(r, make_route(r, &host, 1));
    }
}

static void add_host(struct resolution *r, struct span name, uint16_t preference)
{
    struct resolution_host *host = &r->hosts[r->host_count++];
    host->preference = preference;
    host->port = r->settings->port;
    host->ttl_s = host->none_ttl_s = ANSWER_TTL_MAX_S;
    host->name_len = (uint8_t)name.len;
    if (name.len > 0)
        memcpy(host->name, name.data, name.len);
}

/* The name itself is the only host: implicit MX. */
static void ask_for_itself(struct resolution *r)
{
    r->hosts = calloc(1, sizeof *r->hosts);
    if (r->hosts == NULL) {
        fail(r, FAULT_NO_MEMORY, 0);
        return;
    }
    add_host(r, r->name, 0);
    enter(r, RESOLUTION_ADDRESSES);
}

void resolution_fini(struct resolution *r)
{
    route_release(r->route);
    free(r->hosts);
    r->route = NULL;
    r->hosts = NULL;
}

/* Hosts that addresses are asked of. */
static uint32_t count_names(const struct resolution *r)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->host_count; i++)
        count += r->hosts[i].is_address ? 0 : 1;
    return count;
}

/* The one of this number. */
static struct resolution_host *asked_host(const struct resolution *r, uint32_t number)
{
    uint32_t i = 0;
    check(number < count_names(r));
    while (r->hosts[i].is_address || number-- > 0)
        i++;
    return &r->hosts[i];
}

uint32_t resolution_question_count(const struct resolution *r)
{
    switch (r->state) {
    case RESOLUTION_EXCHANGES:
        return 1;
    case RESOLUTION_ADDRESSES:
        return 2 * count_names(r);
    case RESOLUTION_NEW:
    case RESOLUTION_CONCLUDED:
        break;
    }
    return 0;
}

struct resolution_question resolution_question(const struct resolution *r, uint32_t index)
{
    check(index < resolution_question_count(r));
    if (r->state == RESOLUTION_EXCHANGES)
        return (struct resolution_question){r->name, ANSWER_MX};
    return (struct resolution_question){host_name(asked_host(r, index / 2)),
                                        index % 2 == 0 ? ANSWER_A : ANSWER_AAAA};
}

/* Exchanges --------------------------------------------------------------------------------------
 */

/* A host, and not an address that stands where a host should: real zones have such. */
static bool is_host_name(struct span name)
{
    uint8_t bytes[4];
    return name.len > 0 && !literal_parse_ipv4(name, bytes);
}

/* The lower preference first, then by name; also where a record's own order would say otherwise. */
static int by_preference(const void *a, const void *b)
{
    const struct answer_record *x = a;
    const struct answer_record *y = b;
    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return span_compare(answer_host(x), answer_host(y));
}

static bool has_host(const struct resolution *r, struct span name)
{
    for (uint32_t i = 0; i < r->host_count; i++)
        if (span_equal(host_name(&r->hosts[i]), name))
            return true;
    return false;
}

static void take_exchanges(struct resolution *r, struct answer *answer)
{
    r->hosts = calloc(RESOLVER_HOSTS_MAX, sizeof *r->hosts);
    if (r->hosts == NULL) {
        fail(r, FAULT_NO_MEMORY, 0);
        return;
    }
    qsort(answer->records, answer->count, sizeof answer->records[0], by_preference);
    for (uint32_t i = 0; i < answer->count; i++)
        if (domain_equal(answer_host(&answer->records[i]), span_text(r->settings->hostname)))
            see_self(r, answer->records[i].preference);
    for (uint32_t i = 0; i < answer->count && r->host_count < RESOLVER_HOSTS_MAX; i++) {
        struct span name = answer_host(&answer->records[i]);
        uint16_t preference = answer->records[i].preference;
        if (is_host_name(name) && !has_host(r, name) && is_left(r, preference))
            add_host(r, name, preference);
    }
    if (r->host_count > 0)
        enter(r, RESOLUTION_ADDRESSES);
    else
        fail(r, r->is_self_seen ? FAULT_MAIL_LOOP : FAULT_DNS_NO_ADDRESS, answer->ttl_s);
}

static void answer_exchanges(struct resolution *r, enum fault fault, struct span packet)
{
    struct answer answer = {0};
    if (fault == FAULT_NONE)
        fault = answer_parse(packet, r->name, ANSWER_MX, &answer);
    if (fault != FAULT_NONE) {
        bool is_sure = fault == FAULT_DNS_NO_DOMAIN || fault == FAULT_NO_MEMORY;
        fail(r, is_sure ? fault : FAULT_DNS_TEMPORARY, answer.ttl_s);
        return;
    }
    r->ttl_s = answer.ttl_s;
    if (answer.count == 0)
        ask_for_itself(r);
    else if (answer.count == 1 && answer.records[0].is_root && answer.records[0].preference == 0)
        fail(r, FAULT_NULL_MX, answer.ttl_s);
    else
        take_exchanges(r, &answer);
}

/* Addresses --------------------------------------------------------------------------------------
 */

static void take_address(struct resolution_host *host, struct endpoint address)
{
    struct endpoint *addresses = address.family == 4 ? host->ipv4 : host->ipv6;
    uint8_t *count = address.family == 4 ? &host->ipv4_count : &host->ipv6_count;
    address.port = host->port;
    if (*count == RESOLVER_ADDRESSES_MAX || !is_usable(address))
        return;
    for (uint8_t i = 0; i < *count; i++)
        if (endpoint_equal(addresses[i], address))
            return;
    addresses[(*count)++] = address;
}

static void answer_addresses(struct resolution *r, uint32_t index, enum fault fault,
                             struct span packet)
{
    struct resolution_host *host = asked_host(r, index / 2);
    struct answer answer = {0};
    if (fault == FAULT_NONE)
        fault =
            answer_parse(packet, host_name(host), index % 2 == 0 ? ANSWER_A : ANSWER_AAAA, &answer);
    if (fault != FAULT_NONE && fault != FAULT_DNS_NO_DOMAIN) {
        host->is_in_doubt = true;
        return;
    }
    host->is_unknown = host->is_unknown || fault == FAULT_DNS_NO_DOMAIN;
    uint32_t *ttl_s = answer.count > 0 ? &host->ttl_s : &host->none_ttl_s;
    if (answer.ttl_s < *ttl_s)
        *ttl_s = answer.ttl_s;
    for (uint32_t i = 0; i < answer.count; i++)
        take_address(host, answer.records[i].address);
}

/* IPv6 and IPv4 by turns, so that the second address tried takes another way (RFC 8305 4). */
static void order_addresses(struct resolution_host *host)
{
    uint8_t ipv6 = 0;
    uint8_t ipv4 = 0;
    while (host->address_count < RESOLVER_ADDRESSES_MAX) {
        if (ipv6 < host->ipv6_count)
            host->addresses[host->address_count++] = host->ipv6[ipv6++];
        if (ipv4 < host->ipv4_count && host->address_count < RESOLVER_ADDRESSES_MAX)
            host->addresses[host->address_count++] = host->ipv4[ipv4++];
        if (ipv6 == host->ipv6_count && ipv4 == host->ipv4_count)
            break;
    }
}

/* A configured next hop may be on this machine; any other way to ourselves is a loop. */
static void look_for_self(struct resolution *r, const struct resolution_host *host)
{
    if (r->is_configured)
        return;
    for (uint8_t i = 0; i < host->ipv4_count; i++)
        if (is_ours(r, host->ipv4[i]))
            see_self(r, host->preference);
    for (uint8_t i = 0; i < host->ipv6_count; i++)
        if (is_ours(r, host->ipv6[i]))
            see_self(r, host->preference);
}

static void shorten(uint32_t *ttl_s, uint32_t other_s)
{
    if (other_s < *ttl_s)
        *ttl_s = other_s;
}

/* What is known of the hosts that are left. */
struct summary {
    uint32_t count; /* hosts with an address */
    bool is_in_doubt, is_unknown;
    uint32_t ttl_s, none_ttl_s;
    struct route_host hosts[RESOLVER_HOSTS_MAX];
};

static void sum_up(const struct resolution *r, struct summary *sum)
{
    sum->count = 0;
    sum->is_in_doubt = sum->is_unknown = false;
    sum->ttl_s = sum->none_ttl_s = r->ttl_s;
    for (uint32_t i = 0; i < r->host_count; i++) {
        const struct resolution_host *host = &r->hosts[i];
        if (!is_left(r, host->preference))
            continue;
        /* Of a host with one family the other may be missing, and be the only way for us. */
        sum->is_in_doubt = sum->is_in_doubt || host->is_in_doubt;
        if (host->address_count > 0) {
            sum->hosts[sum->count++] = (struct route_host){host_name(host), host->preference,
                                                           host->address_count, host->addresses};
            shorten(&sum->ttl_s, host->ttl_s);
        } else {
            sum->is_unknown = sum->is_unknown || host->is_unknown;
            shorten(&sum->none_ttl_s, host->none_ttl_s);
        }
    }
}

static void conclude(struct resolution *r)
{
    struct summary sum;
    for (uint32_t i = 0; i < r->host_count; i++) {
        look_for_self(r, &r->hosts[i]);
        order_addresses(&r->hosts[i]);
    }
    sum_up(r, &sum);
    if (sum.count > 0) {
        r->route = make_route(r, sum.hosts, sum.count);
        if (r->route == NULL) {
            fail(r, FAULT_NO_MEMORY, 0);
            return;
        }
        enter(r, RESOLUTION_CONCLUDED);
        /* A host or address that could not be found is missing: it is soon looked for again. */
        r->ttl_ms =
            bound_ttl(sum.ttl_s, sum.is_in_doubt ? RESOLVER_TTL_DOUBT_MS : RESOLVER_TTL_MAX_MS);
    } else if (sum.is_in_doubt) {
        fail(r, FAULT_DNS_TEMPORARY, 0);
    } else if (r->is_self_seen) {
        fail(r, FAULT_MAIL_LOOP, sum.none_ttl_s);
    } else {
        fail(r, r->is_configured && sum.is_unknown ? FAULT_DNS_NO_DOMAIN : FAULT_DNS_NO_ADDRESS,
             sum.none_ttl_s);
    }
}

/* Beginning ------------------------------------------------------------------------------------
 */

static enum route_tls tls_of(enum tls_demand demand)
{
    switch (demand) {
    case TLS_DEMAND_MUST:
        return ROUTE_TLS_MUST;
    case TLS_DEMAND_NEVER:
        return ROUTE_TLS_NEVER;
    case TLS_DEMAND_MAY:
    case TLS_DEMAND_UNSAID:
        break;
    }
    return ROUTE_TLS_MAY;
}

/* In the order of the configuration, which is that of their preference. */
static void add_target(struct resolution *r, const struct next_hop *hop)
{
    struct endpoint address;
    bool is_address = parse_address(hop->host, true, &address);
    struct resolution_host *host = &r->hosts[r->host_count];
    struct span name = is_address ? span_of(NULL, 0) : hop->host;
    if (name.len <= DOMAIN_MAX)
        add_host(r, name, (uint16_t)r->host_count);
    host->is_address = is_address;
    host->port = hop->port;
    if (is_address)
        take_address(host, address);
}

static void go_to_targets(struct resolution *r, const struct mail_destination *d)
{
    const struct next_hop *first = &d->targets[0].hop;
    r->is_configured = true;
    r->transport = d->targets[0].kind == DELIVERY_LMTP ? ROUTE_LMTP : ROUTE_SMTP;
    if (first->host.data[0] == '/') {
        conclude_with(r, route_new_to_path(r->transport, first->host));
        return;
    }
    r->hosts = calloc(d->target_count, sizeof *r->hosts);
    if (r->hosts == NULL) {
        fail(r, FAULT_NO_MEMORY, 0);
        return;
    }
    for (uint32_t i = 0; i < d->target_count && i < RESOLVER_HOSTS_MAX; i++)
        add_target(r, &d->targets[i].hop);
    enter(r, RESOLUTION_ADDRESSES);
    if (r->open_count == 0)
        conclude(r);
}

/* What the configuration says of the domain; false: the DNS is to be asked. */
static bool go_as_configured(struct resolution *r)
{
    struct mail_destination d = destination_find(r->settings->settings, r->name);
    r->tls = tls_of(d.tls);
    switch (d.kind) {
    case DESTINATION_MX:
        return false;
    case DESTINATION_HOSTS:
        go_to_targets(r, &d);
        break;
    case DESTINATION_LOCAL:
        conclude_with(r, route_new_to_path(ROUTE_LOCAL, span_text(d.domain->name)));
        break;
    case DESTINATION_NONE:
        fail(r, FAULT_NO_DESTINATION, UINT32_MAX);
        break;
    }
    return true;
}

static void go_by_dns(struct resolution *r)
{
    struct endpoint address;
    struct name wire;
    if (parse_address(r->name, false, &address))
        go_to_address(r, address);
    else if (domain_check(r->name, 0) != FAULT_NONE || !name_parse(r->name, &wire))
        fail(r, FAULT_DNS_NO_DOMAIN, UINT32_MAX);
    else
        enter(r, RESOLUTION_EXCHANGES);
}

void resolution_init(struct resolution *r, const struct resolver_settings *settings,
                     struct span name)
{
    *r = (struct resolution){.settings = settings, .name = name, .ttl_s = ANSWER_TTL_MAX_S};
    if (settings->settings == NULL || !go_as_configured(r))
        go_by_dns(r);
}

void resolution_answer(struct resolution *r, uint32_t index, enum fault fault, struct span packet)
{
    check(index < resolution_question_count(r) && r->open_count > 0);
    r->open_count--;
    if (r->state == RESOLUTION_EXCHANGES) {
        answer_exchanges(r, fault, packet);
    } else {
        answer_addresses(r, index, fault, packet);
        if (r->open_count == 0)
            conclude(r);
    }
}
