#include "agent/directory.h"

#include <pwd.h>

#include "agent/kind.h"
#include "agent/template.h"
#include "mail/address.h"
#include "route/recipient.h"

/* Who is meant: of the users file, or, in a domain without one, whoever is written to. */
struct addressee {
    const struct domain_settings *domain;
    const struct table_user *user; /* NULL: there is no users file */
    struct span name;              /* in lower case, without subaddress */
};

void directory_init(struct directory *d, const struct settings *settings)
{
    *d = (struct directory){
        .settings = settings, .is_root = identity_is_root(), .own = identity_own()};
    if (settings->agent_user == NULL)
        return;
    const struct passwd *found = getpwnam(settings->agent_user);
    d->has_mail_user = found != NULL && found->pw_uid != 0 && found->pw_gid != 0;
    if (d->has_mail_user)
        d->mail_user = (struct identity){(uint32_t)found->pw_uid, (uint32_t)found->pw_gid};
}

static struct span in_lower_case(struct arena *arena, struct span text)
{
    uint8_t *copy = arena_alloc(arena, text.len + 1);
    if (copy == NULL)
        return (struct span){NULL, 0};
    for (size_t i = 0; i < text.len; i++)
        copy[i] = byte_lower(text.data[i]);
    return span_of(copy, text.len);
}

static struct span without_subaddress(const struct domain_settings *domain, struct span local)
{
    if (domain->subaddress == '\0')
        return local;
    size_t at = span_find_byte(local, (uint8_t)domain->subaddress, 0);
    return at == 0 ? local : span_sub(local, 0, at);
}

static enum fault find_addressee(const struct directory *d, struct span path, struct arena *arena,
                                 struct addressee *out)
{
    struct address address;
    enum fault fault = address_parse(path, ADDRESS_UTF8_OK, arena, &address);
    if (fault != FAULT_NONE)
        return fault == FAULT_NO_MEMORY ? fault : FAULT_NO_USER;
    out->domain = settings_domain(d->settings, address.domain);
    if (out->domain == NULL)
        return FAULT_NO_DESTINATION; /* it was ours when the mail was accepted */
    if (out->domain->users == NULL && out->domain->users_file != NULL)
        return FAULT_NO_TABLE;
    if (out->domain->users != NULL) {
        out->user = recipient_user(out->domain, address.local);
        if (out->user == NULL)
            return FAULT_NO_USER;
        out->name = out->user->name;
        return FAULT_NONE;
    }
    out->user = NULL;
    out->name = in_lower_case(arena, without_subaddress(out->domain, address.local));
    return out->name.data == NULL ? FAULT_NO_MEMORY : FAULT_NONE;
}

static enum fault find_identity(const struct directory *d, const struct addressee *a,
                                struct identity *who_out)
{
    if (!d->is_root)
        *who_out = d->own;
    else if (a->user != NULL && a->user->has_ids)
        *who_out = (struct identity){a->user->uid, a->user->gid};
    else if (d->has_mail_user)
        *who_out = d->mail_user;
    else
        return FAULT_NO_MAIL_USER;
    return FAULT_NONE;
}

/* A template that is wrong was told when the configuration was read. */
static enum fault fill(const struct delivery_target *target, const struct template_values *v,
                       struct arena *arena, struct message_put *put)
{
    enum fault fault = FAULT_NO_DESTINATION;
    struct span text = target->text == NULL ? SPAN("") : span_text(target->text);
    if (target->kind == DELIVERY_DISCARD) {
        put->kind = AGENT_DISCARD;
        return FAULT_NONE;
    }
    if (target->kind == DELIVERY_MAILDIR) {
        put->kind = AGENT_MAILDIR;
        fault = template_path(text, v, arena, &put->path, &put->base_bytes);
        if (fault == FAULT_DENIED)
            fault = FAULT_NO_USER; /* no such mailbox can be */
    } else if (target->kind == DELIVERY_PIPE) {
        put->kind = AGENT_COMMAND;
        fault = template_arguments(text, v, arena, &put->arguments);
    }
    return fault == FAULT_SYNTAX ? FAULT_NO_DESTINATION : fault;
}

enum fault directory_find(struct directory *d, const struct message_deliver *m, struct arena *arena,
                          struct message_put *put, struct identity *who_out)
{
    struct addressee a;
    enum fault fault = find_addressee(d, m->address, arena, &a);
    if (fault != FAULT_NONE)
        return fault;
    if (a.domain->deliver_count == 0)
        return FAULT_NO_DESTINATION;
    fault = find_identity(d, &a, who_out);
    struct template_values v = {
        .user = a.name,
        .domain = span_text(a.domain->name),
        .sender = put->sender,
        .home = a.user != NULL ? a.user->home : (struct span){NULL, 0},
    };
    put->user = a.name;
    put->home = v.home;
    put->quota_bytes = a.user != NULL ? a.user->quota_bytes : 0;
    put->time_ms = d->settings->agent_command_time_ms;
    if (fault == FAULT_NONE || a.domain->deliver[0].kind == DELIVERY_DISCARD)
        fault = fill(&a.domain->deliver[0], &v, arena, put);
    return fault;
}
