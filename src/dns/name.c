/*
 * name: see name.h.
 */
#include "dns/name.h"

#include <string.h>

#define POINTER   0xc0
#define JUMPS_MAX 127 /* one for each label that fits into a name */

static bool add_label(struct name *name, struct span label)
{
    if (label.len > DOMAIN_LABEL_MAX || name->len + label.len + 1 > NAME_WIRE_MAX)
        return false;
    name->bytes[name->len++] = (uint8_t)label.len;
    for (size_t i = 0; i < label.len; i++)
        name->bytes[name->len++] = byte_lower(label.data[i]);
    return true;
}

bool name_parse(struct span text, struct name *name_out)
{
    name_out->len = 0;
    bool more = text.len > 0;
    while (more) {
        struct span label;
        more = span_find_byte(text, '.', 0) < text.len;
        text = span_split(text, '.', &label);
        if (label.len == 0 || !add_label(name_out, label))
            return false;
    }
    return add_label(name_out, (struct span){NULL, 0});
}

/* Each jump must go before the place where the run of labels that it ends began: jumps can then not
   loop. Their number has a limit, so that a packet of nothing but jumps costs no time. */
bool name_decode(struct span packet, size_t *at, struct name *name_out)
{
    size_t run = *at;
    size_t here = *at;
    int jumps = 0;
    name_out->len = 0;
    for (;;) {
        if (here >= packet.len)
            return false;
        uint8_t length = packet.data[here];
        if ((length & POINTER) == POINTER) {
            if (packet.len - here < 2)
                return false;
            size_t to = (size_t)(length & ~POINTER) << 8 | packet.data[here + 1];
            if (to >= run || jumps == JUMPS_MAX)
                return false;
            if (jumps++ == 0)
                *at = here + 2;
            run = here = to;
            continue;
        }
        /* The two other high forms were never used (RFC 6891 5). */
        if ((length & POINTER) != 0 || packet.len - here - 1 < length)
            return false;
        if (!add_label(name_out, span_sub(packet, here + 1, length)))
            return false;
        here += 1 + (size_t)length;
        if (length == 0)
            break;
    }
    if (jumps == 0)
        *at = here;
    return true;
}

bool name_equal(const struct name *a, const struct name *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool name_format_host(const struct name *name, uint8_t text_out[DOMAIN_MAX], size_t *len_out)
{
    size_t len = 0;
    for (size_t at = 0; name->bytes[at] != 0; at += 1 + (size_t)name->bytes[at]) {
        const uint8_t *label = name->bytes + at;
        /* A dot within a label would look like the end of one. */
        if (memchr(label + 1, '.', label[0]) != NULL)
            return false;
        if (len > 0)
            text_out[len++] = '.';
        memcpy(text_out + len, label + 1, label[0]);
        len += label[0];
    }
    *len_out = len;
    return domain_check(span_of(text_out, len), 0) == FAULT_NONE;
}
