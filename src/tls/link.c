#include "tls/link.h"

#include "base/check.h"

/* Call-backs of the owner, which may close and free the wire: false then, and nothing of it may be
   touched any more. Only the innermost one that is under way is marked, so the marks are chained by
   the stack: an inner call-back hands its news on to the outer one. */
#define CALL(w, call)             \
    do {                          \
        bool gone_ = false;       \
        bool *outer_ = (w)->gone; \
        (w)->gone = &gone_;       \
        call;                     \
        if (gone_) {              \
            if (outer_ != NULL)   \
                *outer_ = true;   \
            return false;         \
        }                         \
        (w)->gone = outer_;       \
    } while (0)

static bool tell_bytes(struct link *w, struct span bytes)
{
    CALL(w, w->events->on_bytes(w->context, bytes));
    return true;
}

static bool tell_secure(struct link *w, enum fault fault)
{
    CALL(w, w->events->on_secure(w->context, fault));
    return true;
}

static bool tell_sent(struct link *w)
{
    if (!w->is_owner_sending)
        return true;
    w->is_owner_sending = false;
    CALL(w, w->events->on_sent(w->context));
    return true;
}

static bool tell_end(struct link *w, enum fault fault)
{
    if (w->is_ended)
        return true;
    w->is_ended = true;
    w->is_owner_sending = false;
    CALL(w, w->events->on_end(w->context, fault));
    return true;
}

/* What the stream has written goes out, unless an earlier piece is still under way. True: all of it
   is with the kernel. */
static bool flush(struct link *w)
{
    struct buffer *out = tls_stream_output(w->stream);
    if (w->sending.len > 0)
        return false;
    if (out->len == 0)
        return true;
    struct span part = buffer_span(out);
    if (socket_send(w->socket, &part, 1) == SEND_LATER) {
        w->sending = buffer_take(out);
        return false;
    }
    buffer_free_memory(out);
    return true;
}

static void read_again(struct link *w)
{
    /* Without memory for a timer the next bytes of the peer, or the owner's time limit, go on. */
    (void)!timer_set(w->loop, &w->again, loop_mono_us(w->loop));
}

/* The handshake's end, told once. False: the wire is gone. */
static bool look_at_handshake(struct link *w)
{
    enum tls_state state = tls_stream_state(w->stream);
    if (w->is_secure || state == TLS_HANDSHAKING)
        return true;
    if (state == TLS_OPEN) {
        w->is_secure = true;
        return tell_secure(w, FAULT_NONE);
    }
    w->is_ended = true;
    return tell_secure(w, FAULT_PROTOCOL);
}

/* Plain bytes to the owner, as far as it takes them. False: the wire is gone. */
static bool read_stream(struct link *w)
{
    while (!w->is_paused && !w->is_ended) {
        struct span plain = tls_stream_read(w->stream);
        (void)flush(w);
        if (!look_at_handshake(w))
            return false;
        if (plain.len == 0)
            break;
        if (!tell_bytes(w, plain))
            return false;
    }
    enum tls_state state = tls_stream_state(w->stream);
    if (w->is_paused || w->is_ended)
        return true;
    if (state == TLS_CLOSED)
        return tell_end(w, FAULT_NONE);
    return state == TLS_FAILED ? tell_end(w, FAULT_PROTOCOL) : true;
}

static void on_again(void *context)
{
    struct link *w = context;
    if (w->has_failed)
        (void)tell_end(w, FAULT_NO_MEMORY);
    else if (w->stream != NULL && !w->is_paused)
        (void)read_stream(w);
}

static void on_bytes(void *context, struct span bytes)
{
    struct link *w = context;
    if (w->is_ended)
        return;
    if (w->stream == NULL) {
        w->events->on_bytes(w->context, bytes);
        return;
    }
    (void)tls_stream_feed(w->stream, bytes);
    (void)read_stream(w);
}

static void on_sent(void *context)
{
    struct link *w = context;
    if (w->stream != NULL) {
        buffer_fini(&w->sending);
        if (!flush(w))
            return;
    }
    (void)tell_sent(w);
}

/* Under TLS the end of the wire is no end of the conversation that anybody vouches for. */
static void on_end(void *context, enum fault fault)
{
    struct link *w = context;
    bool is_cut = w->stream != NULL && fault == FAULT_NONE;
    if (w->stream != NULL && !w->is_secure && !w->is_ended) {
        w->is_ended = true;
        (void)tell_secure(w, fault == FAULT_NONE ? FAULT_CONNECTION_LOST : fault);
        return;
    }
    (void)tell_end(w, is_cut ? FAULT_CONNECTION_LOST : fault);
}

static void on_connect(void *context, enum fault fault)
{
    struct link *w = context;
    w->events->on_connect(w->context, fault);
}

static const struct socket_events socket_events = {
    .on_connect = on_connect, .on_bytes = on_bytes, .on_sent = on_sent, .on_end = on_end};

static void begin(struct link *w, struct loop *l, const struct link_events *events, void *context)
{
    *w = (struct link){.loop = l, .events = events, .context = context};
    timer_init(&w->again, on_again, w);
}

void link_adopt(struct link *w, struct loop *l, struct socket *s, const struct link_events *events,
                void *context)
{
    begin(w, l, events, context);
    w->socket = s;
    socket_adopt(s, &socket_events, w);
}

enum fault link_connect(struct link *w, struct loop *l, struct endpoint to, struct endpoint source,
                        const struct link_events *events, void *context)
{
    begin(w, l, events, context);
    return socket_connect(l, to, source, &socket_events, w, &w->socket);
}

enum fault link_connect_path(struct link *w, struct loop *l, struct span path,
                             const struct link_events *events, void *context)
{
    begin(w, l, events, context);
    return socket_connect_path(l, path, &socket_events, w, &w->socket);
}

bool link_is_open(const struct link *w)
{
    return w->socket != NULL;
}

void link_start_tls(struct link *w, struct tls_stream *stream, struct span early)
{
    check(w->stream == NULL && !w->is_owner_sending);
    w->stream = stream;
    (void)flush(w); /* a client speaks first */
    if (early.len > 0) {
        (void)tls_stream_feed(stream, early);
        read_again(w);
    }
}

bool link_is_secure(const struct link *w)
{
    return w->is_secure;
}

/* What cannot be encrypted (no memory, or more than the owner may send at once) is told as a loss.
 */
enum send link_send(struct link *w, const struct span *parts, size_t count)
{
    check(!w->is_owner_sending);
    if (w->stream == NULL) {
        enum send sent = socket_send(w->socket, parts, count);
        w->is_owner_sending = sent == SEND_LATER;
        return sent;
    }
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0 && !tls_stream_write(w->stream, parts[i])) {
            w->has_failed = true;
            read_again(w);
            return SEND_DONE;
        }
    }
    w->is_owner_sending = !flush(w);
    return w->is_owner_sending ? SEND_LATER : SEND_DONE;
}

void link_read_pause(struct link *w, bool pause)
{
    bool was_paused = w->is_paused;
    w->is_paused = pause;
    socket_read_pause(w->socket, pause);
    if (w->stream != NULL && was_paused && !pause)
        read_again(w);
}

void link_close(struct link *w)
{
    if (w->socket == NULL)
        return;
    if (w->stream != NULL && w->sending.len == 0) {
        tls_stream_close(w->stream);
        (void)flush(w);
    }
    timer_cancel(w->loop, &w->again);
    socket_close(w->socket);
    w->socket = NULL;
    tls_stream_free(w->stream);
    w->stream = NULL;
    buffer_fini(&w->sending);
    if (w->gone != NULL)
        *w->gone = true;
    w->gone = NULL;
}
