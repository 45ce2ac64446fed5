/*
 * socket: TCP and Unix stream sockets of one loop; ask, and be told later.
 *
 * A socket belongs to its loop's thread. It owns its descriptor and nothing else that outlives a
 * call: bytes received lie in a buffer of the loop (SOCKET_READ_BYTES) that is valid only during
 * on_bytes, so that an idle connection holds no buffer; bytes to send stay the caller's until they
 * are sent. No call-back comes from inside socket_* calls: always from loop_poll. After
 * socket_close none comes at all.
 */
#ifndef OS_SOCKET_H
#define OS_SOCKET_H

#include "base/span.h"
#include "os/loop.h"

#define SOCKET_READ_BYTES (64 * 1024)
#define SOCKET_PARTS_MAX  64
#define SOCKET_PATH_MAX   107 /* unix(7) */

/* IPv4, IPv6 or neither. A value. */
struct endpoint {
    uint8_t family; /* 4, 6, or 0 for a Unix socket or none */
    uint8_t ip[16]; /* IPv4 in the first four; an IPv4-mapped IPv6 peer is given as IPv4 */
    uint16_t port;
};

#define ENDPOINT_TEXT_MAX 56
/* "127.0.0.1:25", "[::1]:25"; false for anything else. */
bool endpoint_parse(struct span text, struct endpoint *endpoint_out);
/* "127.0.0.1", "::1": an address alone, without brackets; the port is 0. */
bool endpoint_parse_ip(struct span text, struct endpoint *endpoint_out);
struct span endpoint_format(struct endpoint e, char text_out[ENDPOINT_TEXT_MAX]);
/* Without the port and brackets. */
struct span endpoint_format_ip(struct endpoint e, char text_out[ENDPOINT_TEXT_MAX]);
bool endpoint_equal(struct endpoint a, struct endpoint b);

struct socket;

struct socket_events {
    /* A listening socket has a new connection; the callee owns it and must socket_adopt or
     * socket_close it. */
    void (*on_accept)(void *context, struct socket *connection, struct endpoint peer);
    /* May be NULL. A listening socket can take nobody, for want of descriptors or memory: it rests
     * and tries again by itself; clients wait with the kernel. */
    void (*on_starved)(void *context, enum fault fault);
    /* The connection asked for stands, or why not; after a fault only socket_close remains. */
    void (*on_connect)(void *context, enum fault fault);
    /* Bytes have come; take or copy all of them now. */
    void (*on_bytes)(void *context, struct span bytes);
    /* All parts of the last socket_send are with the kernel; it was answered SEND_LATER. */
    void (*on_sent)(void *context);
    /* Nothing more will come: FAULT_NONE for an orderly end, else what broke. Only once; only
     * socket_close remains (or, after FAULT_NONE, sending). */
    void (*on_end)(void *context, enum fault fault);
};

/* Listens on a descriptor that is already bound and listening (inherited from the supervisor);
 * shared by several loops: each connection goes to one of them. The caller keeps the descriptor:
 * the socket has a duplicate. */
must_use enum fault socket_listen_on(struct loop *l, int descriptor,
                                     const struct socket_events *events, void *context,
                                     struct socket **socket_out);
/* Binds and listens by itself; only where no supervisor does (tests, the simulator). Port 0: any,
 * see socket_local. */
must_use enum fault socket_listen(struct loop *l, struct endpoint at,
                                  const struct socket_events *events, void *context,
                                  struct socket **socket_out);
/* While paused a listener accepts nobody (the kernel queues). */
void socket_listen_pause(struct socket *s, bool pause);

/* Begins to connect; on_connect tells. source.family 0: any local address. No time limit of its
 * own: the caller sets a timer. */
must_use enum fault socket_connect(struct loop *l, struct endpoint to, struct endpoint source,
                                   const struct socket_events *events, void *context,
                                   struct socket **socket_out);
/* The same to a Unix stream socket; the peer's family is 0. A path that is empty, has a NUL or is
 * longer than SOCKET_PATH_MAX is UNREACHABLE. */
must_use enum fault socket_connect_path(struct loop *l, struct span path,
                                        const struct socket_events *events, void *context,
                                        struct socket **socket_out);
void socket_adopt(struct socket *s, const struct socket_events *events, void *context);

/* Back-pressure: a paused socket reads nothing and gives no on_bytes, nor on_end, but for a break
 * that cuts off an unfinished send. */
void socket_read_pause(struct socket *s, bool pause);

enum send { SEND_DONE, SEND_LATER };
/*
 * Sends the parts in order (at most SOCKET_PARTS_MAX). SEND_DONE: all went to the kernel now.
 * SEND_LATER: the parts' bytes (not the array) must stay as they are until on_sent, and no other
 * socket_send may be made before. A broken connection is told by on_end, never here (the answer is
 * then SEND_DONE). Only on a connected socket. After an orderly on_end a break is not told any
 * more: on_sent then ends an unfinished send.
 */
enum send socket_send(struct socket *s, const struct span *parts, size_t count);

/* Who is at the other end of a Unix socket, as it was when it connected. False: unknown. */
bool socket_peer_user(const struct socket *s, uint32_t *uid_out);
/* It is in this group, as its own or one of its others. */
bool socket_peer_is_in(const struct socket *s, uint32_t gid);
/* Ends at once; bytes of an unfinished send may be lost, those of a finished one are still
 * delivered by the kernel. Frees. */
void socket_close(struct socket *s);
/* Have bytes come that nobody has read yet? Asks the kernel. */
bool socket_has_input(const struct socket *s);
struct endpoint socket_peer(const struct socket *s);
struct endpoint socket_local(const struct socket *s);

#endif
