/*
 * wire: see wire.h.
 */
#include "sim/scenario/wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BYTES_MAX (8u * 1024 * 1024)

struct wire {
    struct loop *loop;
    struct socket *socket;
    struct wire_habits habits;
    const struct wire_events *events;
    void *context;
    struct buffer in, out, sending;
    size_t out_used;  /* of `out`, sent already */
    size_t line_used; /* of `in`, by the line given last */
    uint64_t put, sent;
    bool is_connected, is_sending, is_mute;
    bool closes_when_sent, vanishes_when_sent;
    struct timer pump;    /* sends, or ends */
    struct timer silence; /* gives up */
};

static void set(struct wire *w, struct timer *t, int64_t after_us)
{
    enum fault fault = timer_set(w->loop, t, loop_mono_us(w->loop) + after_us);
    check(fault == FAULT_NONE);
}

static void hear(struct wire *w)
{
    if (w->habits.silence_us_max > 0)
        set(w, &w->silence, w->habits.silence_us_max);
}

static void close_socket(struct wire *w)
{
    if (w->socket != NULL)
        socket_close(w->socket);
    w->socket = NULL;
    timer_cancel(w->loop, &w->pump);
    timer_cancel(w->loop, &w->silence);
}

static void end(struct wire *w)
{
    close_socket(w);
    w->events->on_gone(w->context);
}

static void vanish(struct wire *w)
{
    switch (w->habits.vanish) {
    case VANISH_MUTE: /* until somebody's patience ends */
        w->is_mute = true;
        socket_read_pause(w->socket, true);
        return;
    case VANISH_RESET:
        sim_socket_reset(w->socket);
        break;
    case VANISH_HALF:
        sim_socket_shut(w->socket);
        w->is_mute = true;
        return;
    case VANISH_CLOSE:
    case VANISH_KINDS:
        break;
    }
    end(w);
}

static void send_piece(struct wire *w, size_t n)
{
    buffer_reset(&w->sending);
    (void)buffer_put(&w->sending, span_of(w->out.data + w->out_used, n));
    w->out_used += n;
    w->sent += n;
    if (w->out_used == w->out.len) {
        buffer_reset(&w->out);
        w->out_used = 0;
    }
    struct span part = buffer_span(&w->sending);
    w->is_sending = socket_send(w->socket, &part, 1) == SEND_LATER;
    if (!w->is_sending)
        set(w, &w->pump, w->out.len > 0 ? w->habits.pause_us : 0);
}

static void on_pump(void *context)
{
    struct wire *w = context;
    if (!w->is_connected || w->is_sending || w->is_mute)
        return;
    if (w->habits.vanish_at > 0 && w->sent >= w->habits.vanish_at) {
        vanish(w);
        return;
    }
    size_t n = w->out.len - w->out_used;
    if (w->habits.piece_bytes_max > 0 && n > w->habits.piece_bytes_max)
        n = w->habits.piece_bytes_max;
    if (w->habits.vanish_at > 0 && n > w->habits.vanish_at - w->sent)
        n = (size_t)(w->habits.vanish_at - w->sent);
    if (n > 0)
        send_piece(w, n);
    else if (w->vanishes_when_sent)
        vanish(w);
    else if (w->closes_when_sent)
        end(w);
}

static void on_sent(void *context)
{
    struct wire *w = context;
    w->is_sending = false;
    set(w, &w->pump, w->habits.pause_us);
}

static void on_bytes(void *context, struct span bytes)
{
    struct wire *w = context;
    hear(w);
    bool fits = buffer_put(&w->in, bytes);
    if (!fits)
        end(w);
    else
        w->events->on_input(w->context);
}

/* What was said before the end has been given. */
static void on_end(void *context, enum fault fault)
{
    (void)fault;
    end(context);
}

static void on_connect(void *context, enum fault fault)
{
    struct wire *w = context;
    if (fault != FAULT_NONE) {
        end(w);
        return;
    }
    w->is_connected = true;
    set(w, &w->pump, 0);
}

static void on_silence(void *context)
{
    end(context);
}

static const struct socket_events socket_events = {
    .on_connect = on_connect, .on_bytes = on_bytes, .on_sent = on_sent, .on_end = on_end};

static struct wire *wire_new(struct loop *l, const struct wire_habits *habits,
                             const struct wire_events *events, void *context)
{
    struct wire *w = calloc(1, sizeof *w);
    check(w != NULL);
    w->loop = l;
    w->habits = *habits;
    w->events = events;
    w->context = context;
    buffer_init(&w->in, BYTES_MAX);
    buffer_init(&w->out, BYTES_MAX);
    buffer_init(&w->sending, BYTES_MAX);
    timer_init(&w->pump, on_pump, w);
    timer_init(&w->silence, on_silence, w);
    return w;
}

struct wire *wire_connect(struct loop *l, struct endpoint to, struct endpoint source,
                          const struct wire_habits *habits, const struct wire_events *events,
                          void *context)
{
    struct wire *w = wire_new(l, habits, events, context);
    if (socket_connect(l, to, source, &socket_events, w, &w->socket) != FAULT_NONE) {
        wire_free(w);
        return NULL;
    }
    hear(w);
    return w;
}

struct wire *wire_adopt(struct loop *l, struct socket *socket, const struct wire_habits *habits,
                        const struct wire_events *events, void *context)
{
    struct wire *w = wire_new(l, habits, events, context);
    w->socket = socket;
    w->is_connected = true;
    socket_adopt(socket, &socket_events, w);
    hear(w);
    return w;
}

void wire_free(struct wire *w)
{
    if (w == NULL)
        return;
    close_socket(w);
    buffer_fini(&w->in);
    buffer_fini(&w->out);
    buffer_fini(&w->sending);
    free(w);
}

void wire_put(struct wire *w, struct span bytes)
{
    if (w->socket == NULL)
        return;
    bool fits = buffer_put(&w->out, bytes);
    check(fits);
    w->put += bytes.len;
    if (!heap_contains(&w->pump.node))
        set(w, &w->pump, 0);
}

void wire_put_text(struct wire *w, const char *text)
{
    wire_put(w, span_text(text));
}

struct buffer *wire_input(struct wire *w)
{
    buffer_consume(&w->in, w->line_used);
    w->line_used = 0;
    return &w->in;
}

bool wire_line(struct wire *w, struct span *line_out)
{
    struct span in = buffer_span(wire_input(w));
    size_t end_at = span_find_byte(in, '\n', 0);
    if (end_at == in.len)
        return false;
    w->line_used = end_at + 1;
    if (end_at > 0 && in.data[end_at - 1] == '\r')
        end_at--;
    *line_out = span_sub(in, 0, end_at);
    return true;
}

uint64_t wire_put_bytes(const struct wire *w)
{
    return w->put;
}

uint64_t wire_sent_bytes(const struct wire *w)
{
    return w->sent;
}

void wire_hurry(struct wire *w)
{
    w->habits.piece_bytes_max = 0;
    w->habits.pause_us = 0;
}

void wire_close_when_sent(struct wire *w)
{
    w->closes_when_sent = true;
    if (w->socket != NULL && !heap_contains(&w->pump.node))
        set(w, &w->pump, 0);
}

void wire_vanish(struct wire *w, enum vanish how)
{
    w->habits.vanish = how;
    w->vanishes_when_sent = true;
    if (w->socket != NULL && !heap_contains(&w->pump.node))
        set(w, &w->pump, 0);
}

struct endpoint wire_peer(const struct wire *w)
{
    return socket_peer(w->socket);
}
