/*
 * destination: see destination.h.
 */
#include "route/destination.h"

static enum destination_kind kind_of(const struct delivery_target *target)
{
    switch (target->kind) {
    case DELIVERY_LMTP:
    case DELIVERY_SMTP:
        return DESTINATION_HOSTS;
    case DELIVERY_MAILDIR:
    case DELIVERY_PIPE:
    case DELIVERY_DISCARD:
        break;
    }
    return DESTINATION_LOCAL;
}

struct mail_destination destination_find(const struct settings *settings, struct span domain)
{
    const struct domain_settings *own = settings_domain(settings, domain);
    struct mail_destination d = {.domain = own,
                                 .targets = own == NULL ? settings->relay_to : own->deliver,
                                 .target_count =
                                     own == NULL ? settings->relay_to_count : own->deliver_count,
                                 .tls = own == NULL ? settings->relay_tls : own->tls};
    if (d.tls == TLS_DEMAND_UNSAID || (own == NULL && d.target_count == 0))
        d.tls = settings->deliver_tls;
    if (d.target_count > 0)
        d.kind = kind_of(&d.targets[0]);
    else
        d.kind = own == NULL ? DESTINATION_MX : DESTINATION_NONE;
    return d;
}
