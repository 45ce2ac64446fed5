/*
 * advice: what a configuration allows that nobody will have meant (config_advice in config.h).
 */
#include <stdio.h>

#include "config/config.h"
#include "config/table.h"

#define POSTMASTER SPAN("postmaster")

static bool has_alias(const struct table *aliases, const struct domain_settings *d)
{
    char whole[TABLE_NAME_MAX + 1];
    if (aliases == NULL)
        return false;
    int len = snprintf(whole, sizeof whole, "postmaster@%s", d->name);
    return table_find_alias(aliases, POSTMASTER) != NULL ||
           table_find_alias(aliases, span_of(whole, (size_t)len)) != NULL;
}

/* Somebody gets the mail of the domain's postmaster (RFC 5321 4.5.1). */
static bool has_postmaster(const struct settings *s, const struct domain_settings *d)
{
    bool has_all_users = d->users_file == NULL && d->deliver_count > 0;
    return has_all_users || d->postmaster != NULL || s->postmaster != NULL ||
           (d->users != NULL && table_find_user(d->users, POSTMASTER) != NULL) ||
           has_alias(d->aliases, d) || has_alias(s->aliases, d);
}

/* The agent has to become somebody for each of its users, and for some it is not said whom. */
static bool lacks_identity(const struct settings *s, const struct domain_settings *d)
{
    bool is_local = d->deliver_count > 0 &&
                    (d->deliver[0].kind == DELIVERY_MAILDIR || d->deliver[0].kind == DELIVERY_PIPE);
    return is_local && s->agent_user == NULL && (d->users == NULL || !table_all_have_ids(d->users));
}

bool config_advice(const struct settings *s, struct buffer *out)
{
    bool fits = true;
    for (uint32_t i = 0; fits && i < s->domains_count; i++) {
        const struct domain_settings *d = s->domains[i];
        if (!has_postmaster(s, d))
            fits = buffer_printf(out,
                                 "domain %s: mail for postmaster, which every domain must take, "
                                 "goes to nobody and will be held; name a user or an alias "
                                 "'postmaster', or say 'postmaster ADDRESS'\n",
                                 d->name);
        if (fits && lacks_identity(s, d))
            fits = buffer_printf(out,
                                 "domain %s: some users have no uid, and there is no 'agent { user "
                                 "NAME }': a server that is started as root cannot deliver to "
                                 "them, and their mail will wait\n",
                                 d->name);
    }
    return fits;
}
