/*
 * proxy: the header of the PROXY protocol, versions 1 and 2, by which a load balancer says for whom
 * it has connected.
 *
 * It stands before everything else on a connection, TLS included. Strict: what is no header, or
 * says an address that it does not have, is refused; nothing is guessed. Type-length-values of
 * version 2 are passed over (their checksum too: the balancer is trusted, or it would not be
 * asked). Pure; owns nothing; any thread. "The PROXY protocol, versions 1 & 2", of 2020.
 */
#ifndef SMTP_PROXY_H
#define SMTP_PROXY_H

#include "base/span.h"
#include "os/socket.h"

#define PROXY_V1_MAX 107 /* with CRLF */
#define PROXY_V2_MAX \
    2048 /* of ours, type-length-values included; they come with some hundred bytes */

enum proxy_progress {
    PROXY_MORE, /* the bytes are the beginning of a header */
    PROXY_DONE,
    PROXY_FAULT
};

struct proxy_header {
    bool is_relayed;        /* false: LOCAL, UNKNOWN or another family: it speaks for itself */
    struct endpoint client; /* when is_relayed */
};

/* Reads all bytes that have come so far, at most PROXY_V2_MAX of them are of use. DONE: *used_out
   of them were the header. */
enum proxy_progress proxy_read(struct span bytes, size_t *used_out,
                               struct proxy_header *header_out);

#endif
