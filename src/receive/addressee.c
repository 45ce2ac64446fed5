/*
 * addressee: see addressee.h.
 */
#include "receive/addressee.h"

#include <string.h>

#include "mail/domain.h"
#include "route/recipient.h"

static bool is_literal_of(const struct address *a, struct endpoint local)
{
    struct literal l;
    if (!a->literal || literal_parse(a->domain, &l) != FAULT_NONE)
        return false;
    if (l.kind == LITERAL_IPV4)
        return local.family == 4 && memcmp(l.bytes, local.ip, 4) == 0;
    return l.kind == LITERAL_IPV6 && local.family == 6 && memcmp(l.bytes, local.ip, 16) == 0;
}

/* The text of an address; its data is NULL when there is no memory. */
static struct span path_of(const struct address *a, struct arena *arena)
{
    struct buffer text;
    struct span path = {NULL, 0};
    buffer_init(&text, 2 * ADDRESS_MAX);
    if (address_format(&text, a))
        path = arena_copy(arena, buffer_span(&text));
    buffer_fini(&text);
    return path;
}

/* As recipient_resolve, for one who wrote our own address in place of a domain. */
static enum fault resolve_here(const struct settings *settings, const struct address *asked,
                               const struct recipient_client *client, struct arena *arena,
                               struct recipient_result *result_out)
{
    struct address a = *asked;
    a.domain = span_text(settings->domains[0]->name);
    a.literal = false;
    enum fault fault = recipient_resolve(settings, &a, client, arena, result_out);
    if (fault != FAULT_NONE || result_out->path_count > 0)
        return fault;
    struct span *path = arena_alloc(arena, sizeof *path);
    if (path == NULL)
        return FAULT_NO_MEMORY;
    *path = path_of(&a, arena);
    *result_out = (struct recipient_result){path, 1};
    return path->data == NULL ? FAULT_NO_MEMORY : FAULT_NONE;
}

/* What the domain says of the size; of the address as it was asked for. */
static enum fault limit_content(struct session *s, const struct settings *settings, bool is_here)
{
    const struct domain_settings *d =
        is_here ? settings->domains[0]
                : settings_domain(settings, session_asked(s)->address.domain);
    if (d == NULL || d->message_bytes_max == 0)
        return FAULT_NONE;
    return session_limit_content(s, d->message_bytes_max);
}

void addressee_resolve(struct session *s, const struct settings *settings, struct endpoint local,
                       bool may_relay)
{
    if (settings == NULL) {
        session_recipient_resolved(s, may_relay ? FAULT_NONE : FAULT_RELAYING, NULL, 0);
        return;
    }
    const struct address *a = &session_asked(s)->address;
    struct recipient_client client = {.may_relay = may_relay};
    struct recipient_result result = {NULL, 0};
    struct arena arena;
    arena_init(&arena, ADDRESSEE_MEMORY_MAX);
    bool is_here = settings->domains_count > 0 && is_literal_of(a, local);
    enum fault fault = is_here ? resolve_here(settings, a, &client, &arena, &result)
                               : recipient_resolve(settings, a, &client, &arena, &result);
    if (fault == FAULT_NONE)
        fault = limit_content(s, settings, is_here);
    session_recipient_resolved(s, fault, result.paths, result.path_count);
    arena_fini(&arena);
}
