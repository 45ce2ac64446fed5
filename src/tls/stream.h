/*
 * stream: one TLS connection, as a machine that does no I/O: bytes of the wire in and out, plain
 * bytes in and out. OpenSSL over memory BIOs.
 *
 * What came from the wire before the handshake stays outside: a stream is made empty, so nothing
 * that was injected in clear survives it (CVE-2011-0411), and an owner must have dropped all its
 * unread input. The peer's close_notify is the end of the connection; an end of the wire without it
 * is a truncation. An idle stream gives its buffers back (SSL_MODE_RELEASE_BUFFERS). Renegotiation
 * is refused, compression is off. One thread.
 *
 *   HANDSHAKING --> OPEN --> CLOSED (the peer's close_notify)      any --> FAILED
 */
#ifndef TLS_STREAM_H
#define TLS_STREAM_H

#include "tls/context.h"

#define TLS_OUTPUT_MAX (1024u * 1024) /* wire bytes not yet taken by the owner */
#define TLS_PLAIN_MAX  (16u * 1024)   /* of one record (RFC 8446 5.1) */

#define TLS_NAME_MAX 256

enum tls_state { TLS_HANDSHAKING, TLS_OPEN, TLS_CLOSED, TLS_FAILED };

struct tls_stream;

/* NULL: no memory. */
struct tls_stream *tls_stream_accept(struct tls_context *c);
/* name: of the host, for the server's choice of certificate; NULL-terminated, or NULL. wall_ms: the
   time at which the server's certificate must be valid to be called verified. */
struct tls_stream *tls_stream_connect(struct tls_context *c, const char *name, int64_t wall_ms);
void tls_stream_free(struct tls_stream *s);

/* Bytes of the wire; all are taken. False: no memory, the stream has FAILED. Then step. */
bool tls_stream_feed(struct tls_stream *s, struct span wire);
/* Goes on with the handshake, and gives the next plain bytes (empty: none now), valid until the
   next call. Call again until none come. */
struct span tls_stream_read(struct tls_stream *s);
/* Encrypts all of it into the output. False: output is full, or the stream is not OPEN; nothing of
   it was taken then, or the stream has FAILED. */
bool tls_stream_write(struct tls_stream *s, struct span plain);
void tls_stream_close(struct tls_stream *s); /* close_notify into the output */
/* Wire bytes to be sent; the owner consumes or takes them. After each call above. */
struct buffer *tls_stream_output(struct tls_stream *s);

enum tls_state tls_stream_state(const struct tls_stream *s);
const char *tls_stream_trouble(const struct tls_stream *s); /* of FAILED, for the log */
const char *tls_stream_version(const struct tls_stream *s); /* "TLSv1.3"; of OPEN and later */
const char *tls_stream_cipher(const struct tls_stream *s);
/* A client's, OPEN: an authority of the context vouches for the server's certificate, and it is for
   this name or (as text) address, by its subjectAltName alone (RFC 9525 2). False: why, if asked.
 */
bool tls_stream_is_verified(const struct tls_stream *s, struct span name, const char **why_out);
bool tls_stream_is_resumed(const struct tls_stream *s);
/* The common name in the peer's certificate, for the log and tests; it proves nothing. False: none.
 */
bool tls_stream_peer_name(const struct tls_stream *s, char name_out[TLS_NAME_MAX]);

#endif
