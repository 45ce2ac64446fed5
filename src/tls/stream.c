#include "tls/stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tls/context_inside.h"

struct tls_stream {
    SSL *ssl;
    enum tls_state state;
    struct buffer output;
    char trouble[160];
    uint8_t *plain; /* TLS_PLAIN_MAX; NULL while there is nothing to read */
};

static void stream_enter(struct tls_stream *s, enum tls_state next)
{
    static const uint8_t moves[] = {
        [TLS_HANDSHAKING] = 1 << TLS_OPEN | 1 << TLS_CLOSED | 1 << TLS_FAILED,
        [TLS_OPEN] = 1 << TLS_CLOSED | 1 << TLS_FAILED,
        [TLS_CLOSED] = 1 << TLS_FAILED,
        [TLS_FAILED] = 0,
    };
    check((moves[s->state] & (1u << next)) != 0);
    s->state = next;
}

static void fail(struct tls_stream *s)
{
    unsigned long error = ERR_peek_error();
    const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);
    (void)snprintf(s->trouble, sizeof s->trouble, "%s", reason == NULL ? "TLS failed" : reason);
    if (s->state != TLS_FAILED)
        stream_enter(s, TLS_FAILED);
    ERR_clear_error();
}

static struct tls_stream *make(struct tls_context *c)
{
    struct tls_stream *s = calloc(1, sizeof *s);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    if (s != NULL)
        s->ssl = SSL_new(c->contexts[0]);
    if (s == NULL || s->ssl == NULL || in == NULL || out == NULL) {
        BIO_free(in);
        BIO_free(out);
        tls_stream_free(s);
        return NULL;
    }
    /* "No more now" and not "the end": the owner knows when the wire has ended. */
    BIO_set_mem_eof_return(in, -1);
    BIO_set_mem_eof_return(out, -1);
    SSL_set_bio(s->ssl, in, out);
    buffer_init(&s->output, TLS_OUTPUT_MAX);
    return s;
}

struct tls_stream *tls_stream_accept(struct tls_context *c)
{
    struct tls_stream *s = make(c);
    if (s != NULL)
        SSL_set_accept_state(s->ssl);
    return s;
}

/* Moves what OpenSSL has written to where the owner takes it. */
static void take_output(struct tls_stream *s)
{
    BIO *out = SSL_get_wbio(s->ssl);
    char *bytes;
    long len = BIO_get_mem_data(out, &bytes);
    if (len <= 0)
        return;
    if (!buffer_put(&s->output, span_of(bytes, (size_t)len)))
        fail(s);
    (void)BIO_reset(out);
}

static void shake(struct tls_stream *s)
{
    ERR_clear_error();
    int result = SSL_do_handshake(s->ssl);
    int why = SSL_get_error(s->ssl, result);
    if (result == 1)
        stream_enter(s, TLS_OPEN);
    else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        fail(s);
    take_output(s); /* an alert, too */
}

struct tls_stream *tls_stream_connect(struct tls_context *c, const char *name, int64_t wall_ms)
{
    struct tls_stream *s = make(c);
    if (s == NULL)
        return NULL;
    X509_VERIFY_PARAM_set_time(SSL_get0_param(s->ssl), (time_t)(wall_ms / 1000));
    SSL_set_connect_state(s->ssl);
    if (name != NULL && SSL_set_tlsext_host_name(s->ssl, name) != 1) {
        tls_stream_free(s);
        return NULL;
    }
    shake(s);
    return s;
}

void tls_stream_free(struct tls_stream *s)
{
    if (s == NULL)
        return;
    SSL_free(s->ssl);
    buffer_fini(&s->output);
    free(s->plain);
    free(s);
}

bool tls_stream_feed(struct tls_stream *s, struct span wire)
{
    if (s->state == TLS_FAILED || s->state == TLS_CLOSED)
        return s->state == TLS_CLOSED; /* what follows a close_notify is not looked at */
    check(wire.len <= INT32_MAX);
    int put = wire.len == 0 ? 0 : BIO_write(SSL_get_rbio(s->ssl), wire.data, (int)wire.len);
    if ((size_t)put == wire.len)
        return true;
    fail(s);
    return false;
}

static void on_read_failed(struct tls_stream *s, int result)
{
    int why = SSL_get_error(s->ssl, result);
    if (why == SSL_ERROR_ZERO_RETURN)
        stream_enter(s, TLS_CLOSED);
    else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        fail(s);
}

struct span tls_stream_read(struct tls_stream *s)
{
    struct span none = {NULL, 0};
    if (s->state == TLS_HANDSHAKING)
        shake(s);
    if (s->state != TLS_OPEN)
        return none;
    if (s->plain == NULL && (s->plain = malloc(TLS_PLAIN_MAX)) == NULL) {
        fail(s);
        return none;
    }
    ERR_clear_error();
    int got = SSL_read(s->ssl, s->plain, TLS_PLAIN_MAX);
    if (got <= 0)
        on_read_failed(s, got);
    take_output(s); /* key updates are answered */
    if (got > 0)
        return span_of(s->plain, (size_t)got);
    free(s->plain); /* an idle stream holds no buffer */
    s->plain = NULL;
    return none;
}

bool tls_stream_write(struct tls_stream *s, struct span plain)
{
    /* What encryption adds to each record is far below a sixteenth. */
    size_t room = s->output.max - s->output.len;
    if (s->state != TLS_OPEN || plain.len + plain.len / 16 + TLS_PLAIN_MAX > room)
        return false;
    while (plain.len > 0) {
        int ask = plain.len < TLS_PLAIN_MAX ? (int)plain.len : (int)TLS_PLAIN_MAX;
        ERR_clear_error();
        int put = SSL_write(s->ssl, plain.data, ask);
        take_output(s);
        if (put <= 0) {
            fail(s);
            return false;
        }
        plain = span_skip(plain, (size_t)put);
    }
    return s->state == TLS_OPEN;
}

void tls_stream_close(struct tls_stream *s)
{
    if (s->state != TLS_OPEN && s->state != TLS_CLOSED)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(s->ssl);
    take_output(s);
    ERR_clear_error();
}

struct buffer *tls_stream_output(struct tls_stream *s)
{
    return &s->output;
}

enum tls_state tls_stream_state(const struct tls_stream *s)
{
    return s->state;
}

const char *tls_stream_trouble(const struct tls_stream *s)
{
    return s->trouble;
}

const char *tls_stream_version(const struct tls_stream *s)
{
    return SSL_get_version(s->ssl);
}

const char *tls_stream_cipher(const struct tls_stream *s)
{
    return SSL_get_cipher_name(s->ssl);
}

static bool is_for(X509 *peer, struct span name)
{
    const unsigned flags =
        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    char text[TLS_NAME_MAX];
    if (name.len == 0 || name.len >= sizeof text)
        return false;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    return X509_check_host(peer, text, name.len, flags, NULL) == 1 ||
           X509_check_ip_asc(peer, text, flags) == 1;
}

bool tls_stream_is_verified(const struct tls_stream *s, struct span name, const char **why_out)
{
    X509 *peer = SSL_get0_peer_certificate(s->ssl);
    long result = SSL_get_verify_result(s->ssl);
    const char *why = NULL;
    if (peer == NULL)
        why = "no certificate";
    else if (result != X509_V_OK)
        why = X509_verify_cert_error_string(result);
    else if (!is_for(peer, name))
        why = "the certificate is for another name";
    ERR_clear_error();
    if (why_out != NULL)
        *why_out = why;
    return why == NULL;
}

bool tls_stream_is_resumed(const struct tls_stream *s)
{
    return SSL_session_reused(s->ssl) == 1;
}

bool tls_stream_peer_name(const struct tls_stream *s, char name_out[TLS_NAME_MAX])
{
    const X509 *peer = SSL_get0_peer_certificate(s->ssl);
    if (peer == NULL)
        return false;
    X509_NAME *subject = X509_get_subject_name(peer);
    return X509_NAME_get_text_by_NID(subject, NID_commonName, name_out, TLS_NAME_MAX) > 0;
}
