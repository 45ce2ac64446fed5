/*
 * name: domain names in the form of DNS packets (RFC 1035 3.1, 4.1.4).
 *
 * A struct name is uncompressed, in lower case and ends with the root's zero; any byte may stand in
 * a label. Compression is followed strictly backwards, so that it always ends. Pure, any thread.
 */
#ifndef DNS_NAME_H
#define DNS_NAME_H

#include "base/span.h"
#include "mail/domain.h"

#define NAME_WIRE_MAX 255

struct name {
    uint8_t len; /* at least 1: the root */
    uint8_t bytes[NAME_WIRE_MAX];
};

/* "example.org", or the empty text for the root; no final dot. False: an empty label, one over
   DOMAIN_LABEL_MAX, or all over NAME_WIRE_MAX. */
__attribute__((warn_unused_result)) bool name_parse(struct span text, struct name *name_out);

/* The name at packet[*at]; *at moves behind it. False: damaged; then both are undefined. */
__attribute__((warn_unused_result)) bool name_decode(struct span packet, size_t *at,
                                                     struct name *name_out);

bool name_equal(const struct name *a, const struct name *b);

/* The text of a name that a host may have. False: domain_check refuses it, as it does the root. */
__attribute__((warn_unused_result)) bool name_format_host(const struct name *name,
                                                          uint8_t text_out[DOMAIN_MAX],
                                                          size_t *len_out);

#endif
