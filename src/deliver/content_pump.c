/*
 * content_pump: the content on its way out, after the 354: header prefix, content with dots doubled
 * (RFC 5321 4.5.2), the final dot. Inline content goes as it lies in the mail object, without a
 * copy; content in a file block by block, each verified before its first byte leaves.
 */
#include "deliver/connection.h"
#include "smtp/content.h"

static const struct span dot = {(const uint8_t *)".", 1};
static const struct span final_dot = {(const uint8_t *)".\r\n", 3};

void outgoing_begin(struct connection *c)
{
    const struct envelope *e = &c->mail->envelope;
    c->out = (struct outgoing){.line_start = true, .is_active = true};
    if (!e->content_in_file) {
        c->out.rest = e->content;
        c->out.is_all_read = true;
    }
}

bool outgoing_is_done(const struct connection *c)
{
    return c->out.is_dot_sent && !c->is_sending;
}

/* Fills parts with what comes next, the last two places left for the final dot. */
static size_t gather(struct connection *c, struct span *parts)
{
    const struct envelope *e = &c->mail->envelope;
    struct outgoing *o = &c->out;
    size_t count = 0;
    if (!o->is_prefix_sent) {
        parts[count++] = e->prefix;
        o->is_prefix_sent = true;
    }
    while (o->rest.len > 0 && count + 3 < SOCKET_PARTS_MAX) {
        if (!e->has_dot_lines) {
            parts[count++] = o->rest;
            o->rest.len = 0;
            break;
        }
        bool stuff;
        struct span run = content_stuff(&o->rest, &o->line_start, &stuff);
        if (stuff)
            parts[count++] = dot;
        parts[count++] = run;
    }
    return count;
}

static void read_block(struct connection *c)
{
    struct deliverer *d = c->deliverer;
    if (!c->has_content)
        content_init(&c->reading.content, d->spool, c->mail->id);
    c->has_content = true;
    c->is_job_out = true;
    content_send(d->worker, &c->reading.content, CONTENT_READ);
}

/* Until the socket says later, a block has to be read, or all is sent. The SENDING record is
   written by then (connection.c calls this only after it). */
void outgoing_continue(struct connection *c)
{
    struct outgoing *o = &c->out;
    while (o->is_active && !o->is_dot_sent && !c->is_sending && !c->is_job_out) {
        struct span parts[SOCKET_PARTS_MAX];
        size_t count = gather(c, parts);
        uint64_t bytes = 0;
        if (count == 0 && !o->is_all_read) {
            read_block(c);
            return;
        }
        if (o->rest.len == 0 && o->is_all_read) {
            if (!client_content_end(c->client)) {
                o->is_active = false;
                return;
            }
            parts[count++] = final_dot;
            o->is_dot_sent = true;
        }
        for (size_t i = 0; i < count; i++)
            bytes += parts[i].len;
        deliverer_count(&c->deliverer->counters.bytes, (int64_t)bytes);
        c->is_sending = socket_send(c->socket, parts, count) == SEND_LATER;
    }
}
