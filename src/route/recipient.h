/*
 * recipient: who is meant by the address of a RCPT, and whether the client may write to him (RFC
 * 5321 3.6.2, 4.5.1, RFC 5233 for subaddresses).
 *
 * The domain is one of ours (a `domain` block), or the client must be permitted to relay. In a
 * domain of ours, in this order: an alias of `name@domain`, one of `name`; a user; the same for the
 * name before the separator of subaddresses; `postmaster`, which every domain has; an alias of
 * `@domain`, or `catch-all`. A domain without `users` has every user. What an alias gives is looked
 * up again, so that aliases may lead to aliases, and each final address comes once. Local parts are
 * compared without regard to ASCII case, and domains too.
 *
 * Pure, synchronous: tables are in memory. Any thread.
 */
#ifndef ROUTE_RECIPIENT_H
#define ROUTE_RECIPIENT_H

#include "config/settings.h"
#include "mail/address.h"

#define RECIPIENT_DEPTH_MAX     20    /* aliases that lead to aliases */
#define RECIPIENT_ADDRESSES_MAX 10000 /* that one address may stand for */

/* What is known of who asks. */
struct recipient_client {
    bool may_relay; /* it may write to other domains */
};

struct recipient_result {
    /* Where the mail is to go: paths without brackets, in the arena or in the settings. None
       (count 0): to the address itself, as it was said. */
    const struct span *paths;
    uint32_t path_count;
};

/*
 * NONE and *result_out; or why not: NO_USER (550 5.1.1), RELAYING (550 5.7.1), ALIAS_LOOP (550
 * 5.4.6), ALIAS_LIMIT and NO_MEMORY (451, 452), NO_TABLE (451: a table that is named was not
 * loaded). `address` as address_parse gives it.
 */
must_use enum fault recipient_resolve(const struct settings *settings,
                                      const struct address *address,
                                      const struct recipient_client *client, struct arena *arena,
                                      struct recipient_result *result_out);

/* The user of a domain of ours to whom mail for this local part (a final one) belongs, without its
   subaddress; NULL: there is none. For who delivers. */
const struct table_user *recipient_user(const struct domain_settings *domain, struct span local);

#endif
