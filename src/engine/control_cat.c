/*
 * control_cat: a stored message, for who asks to see it; see control_inside.h.
 *
 * Rows {"base64":"..."} of the header fields that we have put before it, and of its content: from
 * memory, or block by block from its file, as fast as the client reads.
 */
#include "base/encode.h"
#include "engine/control_inside.h"

#define PIECE_BYTES (48u * 1024)

static bool put_piece(struct buffer *out, struct span piece)
{
    return buffer_put_text(out, "{\"base64\":\"") && encode_base64(out, piece) &&
           buffer_put_text(out, "\"}\n");
}

static void put(struct connection *c, struct span piece)
{
    if (put_piece(&c->output, piece))
        control_connection_send(c);
    else
        control_connection_free(c);
}

static void read_on(struct connection *c)
{
    control_await(c);
    content_send(c->control->actor, &c->content, CONTENT_READ);
}

static void on_read(struct connection *c)
{
    if (c->content.fault != FAULT_NONE)
        control_connection_finish(c, CONTROL_FAILED, fault_text(c->content.fault));
    else if (c->content.bytes.len == 0)
        control_connection_finish(c, CONTROL_OK, "");
    else
        put(c, c->content.bytes);
}

static void on_fetched(struct connection *c)
{
    struct fetch *f = &c->fetches[0].fetch;
    if (f->fault == FAULT_NOT_FOUND) {
        control_connection_finish(c, CONTROL_NOT_FOUND, "no such message in the queue");
        return;
    }
    if (f->fault != FAULT_NONE) {
        control_connection_finish(c, CONTROL_FAILED, fault_text(f->fault));
        return;
    }
    c->mail = f->mail;
    f->mail = NULL;
    if (c->mail->envelope.content_in_file)
        content_init(&c->content, c->control->engine->spool, c->mail->id);
    put(c, c->mail->envelope.prefix);
}

void control_cat_answered(struct connection *c, struct letter *letter)
{
    if (letter->type == LETTER_FETCH)
        on_fetched(c);
    else
        on_read(c);
}

void control_cat_go_on(struct connection *c)
{
    const struct envelope *e = &c->mail->envelope;
    struct span piece = span_sub(e->content, c->catted, PIECE_BYTES);
    if (e->content_in_file) {
        read_on(c);
    } else if (piece.len == 0) {
        control_connection_finish(c, CONTROL_OK, "");
    } else {
        c->catted += piece.len;
        put(c, piece);
    }
}
