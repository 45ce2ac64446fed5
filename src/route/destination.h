/*
 * destination: where mail for a domain goes, as far as the configuration says it.
 *
 * Our own domains by their `deliver`, all others by `relay to`, else by DNS. Pure; any thread.
 */
#ifndef ROUTE_DESTINATION_H
#define ROUTE_DESTINATION_H

#include "config/settings.h"

enum destination_kind {
    DESTINATION_MX,    /* DNS has to be asked */
    DESTINATION_HOSTS, /* to the first of `targets` that takes it */
    DESTINATION_LOCAL, /* the agent delivers it: maildir, pipe, discard */
    DESTINATION_NONE   /* a domain of ours that says nothing: mail waits */
};

struct mail_destination {
    enum destination_kind kind;
    const struct delivery_target *targets; /* of HOSTS, all by SMTP or all by LMTP; of LOCAL, one.
                                              The settings' */
    uint32_t target_count;
    enum tls_demand tls;                  /* never UNSAID */
    const struct domain_settings *domain; /* when it is one of ours, else NULL */
};

/* `domain`: a name in any case, or an address literal. */
struct mail_destination destination_find(const struct settings *settings, struct span domain);

#endif
