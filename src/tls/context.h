/*
 * context: what TLS connections of one kind share: certificates with their keys, versions, ciphers,
 * ticket keys. Immutable and counted once made; one for each worker, since OpenSSL takes locks in
 * it, all with the same ticket keys, so that a client may resume at any worker.
 *
 * TLS 1.2 and 1.3 (RFC 8996). Servers choose the certificate by the name the client asks for (RFC
 * 6066 3); the first is for all others. Private keys are loaded here now; tls/remote_key will take
 * their place when a process of its own keeps them.
 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include "base/buffer.h"
#include "base/fault.h"

#define TLS_CERTIFICATES_MAX 1024
#define TLS_TICKET_KEY_BYTES 80

struct tls_context;

struct tls_certificate {
    const char *certificate; /* path of a PEM file: the certificate, then the chain */
    const char *key;         /* path of a PEM file */
    /* What stands in them, for who cannot open them; data NULL: they are read. */
    struct span certificate_text, key_text;
};

/*
 * ticket_keys: TLS_TICKET_KEY_BYTES random bytes, the same for all workers. Faults: SYNTAX (a file
 * is not what it should be, or key and certificate do not belong together), NOT_FOUND, DENIED,
 * NO_MEMORY; why_out says which file and why, for people.
 */
must_use enum fault tls_server_new(const struct tls_certificate *certificates, size_t count,
                                   const uint8_t *ticket_keys, struct buffer *why_out,
                                   struct tls_context **context_out);
/*
 * For deliveries. Any certificate will do for the handshake (RFC 7435); each is held against the
 * authorities of authorities_file (PEM), or, when it is NULL, those of the system, and
 * tls_stream_is_verified tells. Faults and why_out as above; NULL: nobody reads it.
 */
must_use enum fault tls_client_new(const char *authorities_file, struct buffer *why_out,
                                   struct tls_context **context_out);
void tls_context_free(struct tls_context *c);

#endif
