/*
 * received: see received.h.
 */
#include "mail/received.h"

#include "mail/address.h"
#include "mail/date.h"
#include "mail/domain.h"

/* What host names and address literals are made of. No parenthesis: one could end our comment
   and begin a clause of its own. */
static bool is_host_byte(uint8_t byte)
{
    uint8_t lower = byte_lower(byte);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') || byte == '.' ||
           byte == '-' || byte == '_' || byte == ':' || byte == '[' || byte == ']';
}

static bool put_host(struct buffer *out, struct span host)
{
    bool done = true;
    host = span_sub(host, 0, DOMAIN_MAX);
    for (size_t i = 0; i < host.len; i++)
        done = done && buffer_put_u8(out, is_host_byte(host.data[i]) ? host.data[i] : '?');
    return done;
}

/* "from HELO (NAME [ADDRESS])" and a fold: what the client said, then what is known of it (RFC
   5321 4.4). */
static bool put_from(struct buffer *out, const struct received *r)
{
    if (r->peer_address.len == 0)
        return true;
    bool v6 = span_find_byte(r->peer_address, ':', 0) < r->peer_address.len;
    return buffer_put_text(out, "from ") &&
           put_host(out, r->helo.len > 0 ? r->helo : SPAN("unknown")) &&
           buffer_put_text(out, " (") && put_host(out, r->peer_name) &&
           buffer_put_text(out, r->peer_name.len > 0 ? " [" : "[") &&
           buffer_put_text(out, v6 ? "IPv6:" : "") && put_host(out, r->peer_address) &&
           buffer_put_text(out, "])\r\n\t");
}

/* Fit for the field as it is. One that is not (8-bit, cut, not made by address_format) is left
   out, since a changed address is another's. */
static bool is_recipient(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 32 || s.data[i] > 126)
            return false;
    }
    return s.len > 0 && s.len <= ADDRESS_MAX;
}

bool received_format(struct buffer *out, const struct received *r)
{
    char id[ID_TEXT_LEN + 1];
    char date[DATE_LEN + 1];
    size_t before = out->len;
    id_format(r->id, id);
    date_format(r->wall_ms, date);
    bool done = buffer_put_text(out, "Received: ") && put_from(out, r) &&
                buffer_put_text(out, "by ") && put_host(out, r->by) &&
                buffer_put_text(out, " with ") && put_host(out, r->with) &&
                buffer_put_text(out, " id ") && buffer_put_text(out, id);
    if (is_recipient(r->recipient))
        done = done && buffer_put_text(out, "\r\n\tfor <") && buffer_put(out, r->recipient) &&
               buffer_put_text(out, ">");
    done = done && buffer_put_text(out, ";\r\n\t") && buffer_put_text(out, date) &&
           buffer_put_text(out, "\r\n");
    if (!done)
        out->len = before;
    return done;
}
