/*
 * destination: see destination.h.
 */
#include "route/destination.h"

#include "base/check.h"

static struct mail_destination of_others(const struct settings *s)
{
    bool is_relayed = s->relay_to_count > 0;
    return (struct mail_destination){
        .kind = is_relayed ? DESTINATION_HOSTS : DESTINATION_MX,
        .hop_count = s->relay_to_count,
        .tls = is_relayed ? s->relay_tls : s->deliver_tls,
        .settings = s,
    };
}

static enum destination_kind kind_of(const struct domain_settings *d)
{
    if (d->deliver_count == 0)
        return DESTINATION_NONE;
    switch (d->deliver[0].kind) {
    case DELIVERY_MAILDIR:
    case DELIVERY_PIPE:
    case DELIVERY_DISCARD:
        return DESTINATION_LOCAL;
    case DELIVERY_LMTP:
    case DELIVERY_SMTP:
        break;
    }
    return DESTINATION_HOSTS;
}

struct mail_destination destination_find(const struct settings *settings, struct span domain)
{
    const struct domain_settings *own = settings_domain(settings, domain);
    if (own == NULL)
        return of_others(settings);
    enum destination_kind kind = kind_of(own);
    return (struct mail_destination){
        .kind = kind,
        .hop_count = kind == DESTINATION_HOSTS ? own->deliver_count : 0,
        .tls = own->tls,
        .domain = own,
        .settings = settings,
    };
}

struct next_hop destination_hop(const struct mail_destination *d, uint32_t index)
{
    check(index < d->hop_count);
    return d->domain == NULL ? d->settings->relay_to[index] : d->domain->deliver[index].hop;
}
