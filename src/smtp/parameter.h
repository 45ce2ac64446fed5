/*
 * parameter: what may follow the address of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152),
 * SMTPUTF8 (RFC 6531), RET, ENVID, NOTIFY and ORCPT (RFC 3461 4).
 *
 * Strict: a parameter that is not known, stands twice, lacks its value or has one too many is
 * refused, since a client must not believe that we do what we cannot do (RFC 5321 4.1.1.11). The
 * values of ENVID and ORCPT are checked and kept as they came, in xtext. Pure.
 */
#ifndef SMTP_PARAMETER_H
#define SMTP_PARAMETER_H

#include "smtp/command.h"

#define PARAMETER_ENVID_MAX 100 /* of the value as it came (RFC 3461 4.4) */
#define PARAMETER_ORCPT_MAX 500 /* of the whole value (RFC 3461 4.2) */

/* " NAME=value NAME": `text` begins behind the >, and is empty when there is none. The verb, MAIL
 * or RCPT, stands in the command. False: *refusal_out says why. */
must_use bool parameter_parse(struct span text, struct command *command,
                              struct refusal *refusal_out);

#endif
