/*
 * context_inside: OpenSSL's side of a context, for stream.c; nobody else includes it.
 */
#ifndef TLS_CONTEXT_INSIDE_H
#define TLS_CONTEXT_INSIDE_H

#include <openssl/ssl.h>

#include "tls/context.h"

/* The context of the certificate at [0] is the one that streams begin with. */
struct tls_context {
    SSL_CTX **contexts;
    X509 **leaves; /* of the contexts; not owned */
    size_t count;
};

#endif
