/*
 * lookup: the real DNS, by libunbound on our loop; see dns/lookup.h.
 *
 * Owns the context and a pending for each question, which outlives a cancelled lookup until
 * libunbound has called back. What was learnt of libunbound 1.17: a cached answer calls back from
 * inside ub_resolve_event; a bogus one comes with code 0 and the data; a context that is deleted
 * calls back for all that is under way; its event context belongs to the thread of its first
 * question.
 */
#include "dns/lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <unbound.h>

#include "base/check.h"
#include "dns/unbound/event_base.h"
#include "mail/domain.h"

#define CLASS_INTERNET     1
#define RCODE_NO_NAME      3
#define LOCAL_SERVER       "127.0.0.1"
#define SERVER_TEXT_MAX    64
#define NAME_TEXT_MAX      (DOMAIN_MAX + 2)
#define SECURITY_IS_BOGUS  1
#define SECURITY_IS_SECURE 2

struct lookups {
    struct event_loop events;
    struct ub_ctx *context;
};

struct pending {
    struct lookup *lookup; /* NULL once it is cancelled */
};

/* Names and values of unbound.conf(5). A library's own defaults are for a program that asks little.
 */
static const struct {
    const char *name, *value;
} options[] = {
    {"do-not-query-localhost:", "no"}, /* a server on this machine is a usual configuration */
    {"num-queries-per-thread:", "1024"},
    {"outgoing-range:", "256"}, /* sockets at once; questions beyond wait inside */
    {"outgoing-num-tcp:", "32"},
    {"msg-cache-size:", "16m"},
    {"rrset-cache-size:", "32m"},
    {"cache-max-ttl:", "3600"},
    {"cache-max-negative-ttl:", "300"},
    {"infra-keep-probing:", "yes"}, /* a server that was away is found again at once */
    /* libunbound would answer these itself (RFC 6761 6); whether they exist is the server's word.
     */
    {"local-zone:", "test. transparent"},
    {"local-zone:", "invalid. transparent"},
};

static bool set_options(struct ub_ctx *context)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (ub_ctx_set_option(context, options[i].name, options[i].value) != 0)
            return false;
    /* What it would print belongs to no log of ours. */
    return ub_ctx_debugout(context, NULL) == 0 && ub_ctx_debuglevel(context, 0) == 0;
}

/* Without resolv.conf, or one that names none, the server is on this machine (resolv.conf(5)). */
static bool set_server(struct ub_ctx *context, struct endpoint server)
{
    char ip[ENDPOINT_TEXT_MAX];
    char text[SERVER_TEXT_MAX];
    if (server.family == 0)
        return ub_ctx_resolvconf(context, NULL) == 0 || ub_ctx_set_fwd(context, LOCAL_SERVER) == 0;
    (void)endpoint_format_ip(server, ip);
    snprintf(text, sizeof text, "%s@%u", ip, server.port != 0 ? (unsigned)server.port : 53);
    return ub_ctx_set_fwd(context, text) == 0;
}

enum fault lookups_new(struct world *w, struct loop *l, struct endpoint server,
                       struct lookups **lookups_out)
{
    (void)w;
    struct lookups *made = calloc(1, sizeof *made);
    if (made == NULL)
        return FAULT_NO_MEMORY;
    event_loop_init(&made->events, l);
    made->context = ub_ctx_create_ub_event(&made->events.base);
    if (made->context == NULL || !set_options(made->context) ||
        !set_server(made->context, server)) {
        lookups_free(made);
        return FAULT_NO_MEMORY;
    }
    *lookups_out = made;
    return FAULT_NONE;
}

void lookups_free(struct lookups *l)
{
    if (l == NULL)
        return;
    ub_ctx_delete(l->context);
    free(l);
}

static void on_resolved(void *context, int rcode, void *packet, int packet_len, int security,
                        char *why_bogus, int was_rate_limited)
{
    struct pending *p = context;
    struct lookup *lookup = p->lookup;
    struct span bytes = {NULL, 0};
    enum lookup_trust trust = LOOKUP_INSECURE;
    enum fault fault = FAULT_NONE;
    (void)was_rate_limited;
    free(p);
    if (lookup == NULL)
        return;
    if (security == SECURITY_IS_BOGUS || why_bogus != NULL)
        trust = LOOKUP_BOGUS;
    else if (security == SECURITY_IS_SECURE)
        trust = LOOKUP_SECURE;
    if (rcode == RCODE_NO_NAME)
        fault = FAULT_DNS_NO_DOMAIN;
    else if (rcode != 0 || packet == NULL || packet_len <= 0)
        fault = FAULT_DNS_TEMPORARY;
    else
        bytes = span_of(packet, (size_t)packet_len);
    lookup->work = NULL;
    lookup->on_answer(lookup->context, fault, bytes, trust);
}

enum fault lookup_start(struct lookups *l, struct lookup *lookup, struct span name,
                        enum answer_type type)
{
    char text[NAME_TEXT_MAX];
    struct pending *p = calloc(1, sizeof *p);
    if (p == NULL)
        return FAULT_NO_MEMORY;
    snprintf(text, sizeof text, "%.*s.", SPAN_PRINT(name));
    p->lookup = lookup;
    lookup->work = p;
    if (ub_resolve_event(l->context, text, (int)type, CLASS_INTERNET, p, on_resolved, NULL) == 0)
        return FAULT_NONE;
    free(p);
    return FAULT_NO_MEMORY;
}

void lookup_cancel(struct lookups *l, struct lookup *lookup)
{
    struct pending *p = lookup->work;
    (void)l;
    check(p != NULL);
    p->lookup = NULL;
    lookup->work = NULL;
}
