/*
 * idn: internationalized domain names as ASCII (RFC 5890 A-labels, by IDNA2008 with the mappings of
 * UTS #46 that are not transitional), for servers that know no SMTPUTF8 (RFC 6531). By libidn2.
 * Pure but for memory of its own during the call; any thread.
 */
#ifndef MAIL_IDN_H
#define MAIL_IDN_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/span.h"

bool idn_is_ascii(struct span text);

/*
 * An address (without < and >) with its domain in A-labels, in the arena. FAULT_NO_UTF8: it has no
 * such form, since its local part is not ASCII, or its domain is no name; NO_MEMORY. One that is
 * ASCII is given as it is.
 */
must_use enum fault idn_address_to_ascii(struct arena *a, struct span address,
                                         struct span *ascii_out);
/* The same for a domain alone. */
must_use enum fault idn_domain_to_ascii(struct arena *a, struct span domain,
                                        struct span *ascii_out);

#endif
