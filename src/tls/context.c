#include "tls/context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "tls/context_inside.h"

/* Forward secrecy and AEAD alone in TLS 1.2, as RFC 9325 4.2 asks for; those of 1.3 are all good.
 */
#define CIPHERS                                                  \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"

#define WHY_BYTES_MAX 1024

static bool configure(SSL_CTX *ssl)
{
    SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* The end of a chain is what the peer needs least: no memory is kept for what is not sent. */
    return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, CIPHERS) == 1 && SSL_CTX_set1_groups_list(ssl, GROUPS) == 1;
}

static void say(struct buffer *why, const char *path, const char *what)
{
    char text[256] = "";
    unsigned long error = ERR_peek_last_error();
    if (error != 0)
        ERR_error_string_n(error, text, sizeof text);
    (void)!buffer_printf(why, "%s: %s%s%s", path, what, text[0] == '\0' ? "" : ": ", text);
    ERR_clear_error();
}

static enum fault check_file(const char *path, struct buffer *why)
{
    if (access(path, R_OK) == 0)
        return FAULT_NONE;
    enum fault fault = errno == ENOENT ? FAULT_NOT_FOUND : FAULT_DENIED;
    (void)!buffer_printf(why, "%s: %s", path, strerror(errno));
    return fault;
}

/* The certificate and the chain above it, as SSL_CTX_use_certificate_chain_file reads them. */
static bool use_chain_text(SSL_CTX *ssl, struct span text)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    X509 *leaf = bio == NULL ? NULL : PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    X509 *above;
    bool ok = leaf != NULL && SSL_CTX_use_certificate(ssl, leaf) == 1 &&
              SSL_CTX_clear_chain_certs(ssl) == 1;
    while (ok && (above = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        ok = SSL_CTX_add0_chain_cert(ssl, above) == 1;
        if (!ok)
            X509_free(above);
    }
    if (ok)
        ERR_clear_error(); /* of the end of the text */
    X509_free(leaf);
    BIO_free(bio);
    return ok;
}

static int refuse_passphrase(char *out, int size, int is_writing, void *context)
{
    (void)out, (void)size, (void)is_writing, (void)context;
    return -1;
}

static bool use_key_text(SSL_CTX *ssl, struct span text)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    EVP_PKEY *key =
        bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
    bool ok = key != NULL && SSL_CTX_use_PrivateKey(ssl, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok;
}

static bool use_chain(SSL_CTX *ssl, const struct tls_certificate *from)
{
    if (from->certificate_text.data != NULL)
        return use_chain_text(ssl, from->certificate_text);
    return SSL_CTX_use_certificate_chain_file(ssl, from->certificate) == 1;
}

static bool use_key(SSL_CTX *ssl, const struct tls_certificate *from)
{
    if (from->key_text.data != NULL)
        return use_key_text(ssl, from->key_text);
    return SSL_CTX_use_PrivateKey_file(ssl, from->key, SSL_FILETYPE_PEM) == 1;
}

static enum fault load(SSL_CTX *ssl, const struct tls_certificate *from, struct buffer *why)
{
    enum fault fault = FAULT_NONE;
    if (from->certificate_text.data == NULL)
        fault = check_file(from->certificate, why);
    if (fault == FAULT_NONE && from->key_text.data == NULL)
        fault = check_file(from->key, why);
    if (fault != FAULT_NONE)
        return fault;
    if (!use_chain(ssl, from))
        return say(why, from->certificate, "no certificate in PEM"), FAULT_SYNTAX;
    if (!use_key(ssl, from))
        return say(why, from->key, "no private key in PEM that belongs to the certificate"),
               FAULT_SYNTAX;
    if (SSL_CTX_check_private_key(ssl) != 1)
        return say(why, from->key, "the key does not belong to the certificate"), FAULT_SYNTAX;
    return FAULT_NONE;
}

/* The certificate that names the host the client asks for (RFC 6066 3); without one the first
   serves: a client that checks names will see for itself. */
static int choose(SSL *ssl, int *alert, void *context)
{
    const struct tls_context *c = context;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    for (size_t i = 0; name != NULL && i < c->count; i++) {
        if (X509_check_host(c->leaves[i], name, strlen(name), 0, NULL) != 1)
            continue;
        (void)SSL_set_SSL_CTX(ssl, c->contexts[i]);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static enum fault add_server(struct tls_context *c, const struct tls_certificate *from,
                             const uint8_t *ticket_keys, struct buffer *why)
{
    static const unsigned char session_context[] = "postrider";
    uint8_t keys[TLS_TICKET_KEY_BYTES];
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    if (ssl == NULL)
        return FAULT_NO_MEMORY;
    c->contexts[c->count++] = ssl;
    memcpy(keys, ticket_keys, sizeof keys);
    bool ok = configure(ssl) && SSL_CTX_set_tlsext_ticket_keys(ssl, keys, sizeof keys) == 1 &&
              SSL_CTX_set_session_id_context(ssl, session_context, sizeof session_context) == 1;
    OPENSSL_cleanse(keys, sizeof keys);
    if (!ok)
        return FAULT_NO_MEMORY;
    /* Tickets do it for all workers; a cache would hold memory and a lock. */
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    enum fault fault = load(ssl, from, why);
    if (fault == FAULT_NONE)
        c->leaves[c->count - 1] = SSL_CTX_get0_certificate(ssl);
    return fault;
}

static struct tls_context *make(size_t count)
{
    struct tls_context *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->contexts = calloc(count, sizeof *c->contexts);
    c->leaves = calloc(count, sizeof *c->leaves);
    if (c->contexts != NULL && c->leaves != NULL)
        return c;
    tls_context_free(c);
    return NULL;
}

enum fault tls_server_new(const struct tls_certificate *certificates, size_t count,
                          const uint8_t *ticket_keys, struct buffer *why_out,
                          struct tls_context **context_out)
{
    check(count > 0 && count <= TLS_CERTIFICATES_MAX);
    struct tls_context *c = make(count);
    enum fault fault = c == NULL ? FAULT_NO_MEMORY : FAULT_NONE;
    for (size_t i = 0; i < count && fault == FAULT_NONE; i++)
        fault = add_server(c, &certificates[i], ticket_keys, why_out);
    if (fault != FAULT_NONE) {
        tls_context_free(c);
        return fault;
    }
    (void)SSL_CTX_set_tlsext_servername_callback(c->contexts[0], choose);
    (void)SSL_CTX_set_tlsext_servername_arg(c->contexts[0], c);
    *context_out = c;
    return FAULT_NONE;
}

/* Those of the system are looked up one by one when they are needed; there may be none. */
static enum fault trust(SSL_CTX *ssl, const char *authorities_file, struct buffer *why)
{
    if (authorities_file == NULL) {
        (void)SSL_CTX_set_default_verify_paths(ssl);
        ERR_clear_error();
        return FAULT_NONE;
    }
    enum fault fault = check_file(authorities_file, why);
    if (fault != FAULT_NONE || SSL_CTX_load_verify_file(ssl, authorities_file) == 1)
        return fault;
    say(why, authorities_file, "no certificates in PEM");
    return FAULT_SYNTAX;
}

enum fault tls_client_new(const char *authorities_file, struct buffer *why_out,
                          struct tls_context **context_out)
{
    struct buffer unread;
    struct tls_context *c = make(1);
    if (c == NULL)
        return FAULT_NO_MEMORY;
    buffer_init(&unread, WHY_BYTES_MAX);
    c->contexts[0] = SSL_CTX_new(TLS_client_method());
    c->count = c->contexts[0] != NULL;
    enum fault fault = c->count == 0 || !configure(c->contexts[0]) ? FAULT_NO_MEMORY : FAULT_NONE;
    if (fault == FAULT_NONE)
        fault = trust(c->contexts[0], authorities_file, why_out == NULL ? &unread : why_out);
    buffer_fini(&unread);
    if (fault != FAULT_NONE) {
        tls_context_free(c);
        return fault;
    }
    /* The chain is looked at and the result kept; what follows from it is the delivery's to say. */
    SSL_CTX_set_verify(c->contexts[0], SSL_VERIFY_NONE, NULL);
    (void)SSL_CTX_set_session_cache_mode(c->contexts[0], SSL_SESS_CACHE_OFF);
    *context_out = c;
    return FAULT_NONE;
}

void tls_context_free(struct tls_context *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        SSL_CTX_free(c->contexts[i]);
    free(c->contexts);
    free(c->leaves);
    free(c);
}
