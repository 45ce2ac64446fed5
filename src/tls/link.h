/*
 * link: a connection that may be in clear or under TLS, with the same call-backs for both.
 *
 * Joins a socket to a TLS stream. In clear it is the socket itself: no copy, no buffer. Under TLS
 * bytes to send are encrypted at once into the stream's output, so they need not stay; bytes
 * received are decrypted a record at a time. As with sockets, no call-back comes from inside link_*
 * calls, and none after link_close. The value is embedded in its owner; it owns the socket and the
 * stream.
 *
 * link_start_tls drops nothing: an owner that has input left over from before the handshake must
 * drop it itself (CVE-2011-0411, CVE-2021-38371). After close_notify the connection is at its end
 * whatever follows; an end without it is CONNECTION_LOST, since it may be cut (CVE-2026-45185).
 */
#ifndef TLS_LINK_H
#define TLS_LINK_H

#include "os/socket.h"
#include "tls/stream.h"

struct link_events {
    void (*on_connect)(void *context, enum fault fault); /* of link_connect alone */
    void (*on_bytes)(void *context, struct span bytes);
    void (*on_sent)(void *context);
    /* The handshake is over: NONE, or why not (PROTOCOL; then only link_close remains). */
    void (*on_secure)(void *context, enum fault fault);
    void (*on_end)(void *context, enum fault fault);
};

struct link {
    struct loop *loop;
    struct socket *socket;
    struct tls_stream *stream; /* NULL: in clear */
    const struct link_events *events;
    void *context;
    struct buffer sending; /* wire bytes of which the kernel has a part */
    struct timer again;    /* plain bytes wait inside the stream */
    bool is_paused, is_secure, is_ended;
    bool has_failed;       /* something could not be encrypted: on_end follows */
    bool is_owner_sending; /* the owner is to be told on_sent */
    bool *
        gone; /* set by link_close, for a call-back in the middle of which the owner freed itself */
};

/* Adopts an accepted connection. */
void link_adopt(struct link *w, struct loop *l, struct socket *s, const struct link_events *events,
                void *context);
/* Begins to connect; on_connect tells, and link_close follows a fault. */
must_use enum fault link_connect(struct link *w, struct loop *l, struct endpoint to,
                                 struct endpoint source, const struct link_events *events,
                                 void *context);
/* The same to a Unix socket. */
must_use enum fault link_connect_path(struct link *w, struct loop *l, struct span path,
                                      const struct link_events *events, void *context);
bool link_is_open(const struct link *w); /* there is a socket */

/* From now on TLS. Takes the stream. Nothing may be being sent. `early` are bytes of the peer's
   handshake that the owner has read in clear, behind what else stood before it (a PROXY header);
   after STARTTLS there are none. */
void link_start_tls(struct link *w, struct tls_stream *stream, struct span early);
bool link_is_secure(const struct link *w); /* the handshake is over */

/* As socket_send; under TLS the parts need not stay after the call. */
enum send link_send(struct link *w, const struct span *parts, size_t count);
void link_read_pause(struct link *w, bool pause);
/* Says close_notify when it can at once; then as socket_close. No-op when nothing is open. */
void link_close(struct link *w);

#endif
