/*
 * extension: what a server offers in its reply to EHLO (RFC 5321 4.1.1.1).
 *
 * Pure; any thread. Keywords in any case; unknown ones and lines that make no sense are no offer.
 * A keyword that stands twice is the same offer; the later SIZE counts.
 */
#ifndef SMTP_EXTENSION_H
#define SMTP_EXTENSION_H

#include "base/span.h"

struct extensions {
#define EXTENSION(keyword, field) bool field;
#include "smtp/extension.def"
#undef EXTENSION
    uint64_t size_max; /* of SIZE; 0: no fixed limit, or none said (RFC 1870 4) */
};

/* Adds what one line of the reply offers; `line` is without code and line end. The first line is
   the server's name and must not be given. */
void extension_parse(struct extensions *e, struct span line);

#endif
