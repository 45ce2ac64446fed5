/*
 * domain: domain names and address literals as SMTP writes them.
 *
 * RFC 5321 4.1.2 and 4.1.3, RFC 1035 2.3.4 (lengths). Names have no final dot. Case is ASCII only.
 * It asks no DNS and does not say whether a name exists. Owns nothing; pure; any thread.
 */
#ifndef MAIL_DOMAIN_H
#define MAIL_DOMAIN_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/span.h"

#define DOMAIN_MAX       255
#define DOMAIN_LABEL_MAX 63

enum domain_flags {
    DOMAIN_STRICT = 1, /* no underscore: without it one may stand wherever a digit may */
    DOMAIN_UTF8 = 2,   /* labels may hold UTF-8 (RFC 6531 3.3, U-labels); not checked further */
};

/*
 * Labels of letters, digits and inner hyphens, parted by single dots; one label is enough.
 * Underscores are accepted unless DOMAIN_STRICT: real hosts have them, and mail to those would
 * otherwise be lost. flags: of enum domain_flags.
 * SYNTAX: not a name, or empty. TOO_LONG: a label over DOMAIN_LABEL_MAX or all over DOMAIN_MAX.
 */
must_use enum fault domain_check(struct span text, unsigned flags);

bool domain_equal(struct span a, struct span b);

/* `domain` is `parent` itself or a name below it. */
bool domain_is_within(struct span domain, struct span parent);

/* The name in lower case: itself when it is so already, else a copy; data NULL when the arena is
   full. */
struct span domain_lower(struct arena *a, struct span domain);

enum literal_kind { LITERAL_IPV4, LITERAL_IPV6, LITERAL_GENERAL };

struct literal {
    enum literal_kind kind;
    uint8_t bytes[16];   /* network order: 4 for IPv4, 16 for IPv6, unused for the general form */
    struct span tag;     /* of the general form, into the text */
    struct span content; /* the same */
};

/*
 * "[192.0.2.1]", "[IPv6:2001:db8::1]" or "[tag:content]", brackets included. As the grammar of RFC
 * 5321 4.1.3 has it, "::" stands for at least two groups, and numbers are decimal whatever zeros
 * lead. SYNTAX or TOO_LONG (over DOMAIN_MAX); then *out is undefined.
 */
must_use enum fault literal_parse(struct span text, struct literal *literal_out);

/* The bare numbers: "192.0.2.1" gives 4 bytes, "2001:db8::1" (no tag) 16. */
must_use bool literal_parse_ipv4(struct span text, uint8_t bytes_out[4]);
must_use bool literal_parse_ipv6(struct span text, uint8_t bytes_out[16]);

#endif
