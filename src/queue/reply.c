/*
 * reply: see reply.h.
 */
#include "queue/reply.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "spool/state.h"

#define REMOTE_MAX 255

/* The key of the map is all from `fault` on. */
struct reply {
    uint32_t references;
    uint32_t stamp; /* the numbering in which `number` was given */
    uint16_t number;
    uint16_t text_len;
    uint8_t fault;
    uint8_t remote_len;
    uint8_t bytes[]; /* remote, text */
};

#define KEY_OFFSET offsetof(struct reply, fault)

static size_t size_of(const struct reply *reply)
{
    return sizeof *reply + reply->remote_len + reply->text_len;
}

static struct span key_of(const void *object)
{
    const struct reply *r = object;
    return span_of((const uint8_t *)r + KEY_OFFSET,
                   offsetof(struct reply, bytes) - KEY_OFFSET + r->remote_len + r->text_len);
}

void replies_init(struct replies *r, uint64_t secret)
{
    map_init(&r->map, key_of, secret);
    r->bytes = 0;
    r->stamp = 0;
}

void replies_fini(struct replies *r)
{
    check(r->map.count == 0 && r->bytes == 0);
    map_fini(&r->map);
}

struct reply *reply_get(struct replies *r, struct span text, struct span remote, enum fault fault)
{
    check((unsigned)fault < FAULT_COUNT);
    bool is_full = r->bytes >= REPLIES_BYTES_MAX;
    text = span_sub(text, 0, is_full ? REPLY_SHORT_BYTES : STATE_REPLY_BYTES_MAX);
    remote = is_full ? (struct span){0} : span_sub(remote, 0, REMOTE_MAX);
    struct reply *fresh = malloc(sizeof *fresh + remote.len + text.len);
    if (fresh == NULL)
        return NULL;
    *fresh = (struct reply){.references = 1,
                            .fault = (uint8_t)fault,
                            .remote_len = (uint8_t)remote.len,
                            .text_len = (uint16_t)text.len};
    if (remote.len > 0)
        memcpy(fresh->bytes, remote.data, remote.len);
    if (text.len > 0)
        memcpy(fresh->bytes + remote.len, text.data, text.len);
    struct reply *known = map_get(&r->map, key_of(fresh));
    if (known == NULL && map_put(&r->map, fresh)) {
        r->bytes += size_of(fresh);
        return fresh;
    }
    free(fresh);
    return reply_retain(known);
}

struct reply *reply_with_fault(struct replies *r, const struct reply *last, enum fault fault)
{
    if (last == NULL)
        return reply_get(r, span_text(fault_text(fault)), (struct span){0}, fault);
    return reply_get(r, reply_text(last), reply_remote(last), fault);
}

struct reply *reply_retain(struct reply *reply)
{
    if (reply != NULL)
        reply->references++;
    return reply;
}

void reply_release(struct replies *r, struct reply *reply)
{
    if (reply == NULL)
        return;
    check(reply->references > 0);
    if (--reply->references > 0)
        return;
    (void)map_remove(&r->map, key_of(reply));
    r->bytes -= size_of(reply);
    free(reply);
}

struct span reply_text(const struct reply *reply)
{
    if (reply == NULL)
        return (struct span){0};
    return span_of(reply->bytes + reply->remote_len, reply->text_len);
}

struct span reply_remote(const struct reply *reply)
{
    return reply == NULL ? (struct span){0} : span_of(reply->bytes, reply->remote_len);
}

enum fault reply_fault(const struct reply *reply)
{
    return reply == NULL ? FAULT_NONE : (enum fault)reply->fault;
}

/* Our own texts are words; a reply begins with its code (RFC 5321 4.2). */
bool reply_is_remote(const struct reply *reply)
{
    uint64_t code;
    return span_parse_u64(span_sub(reply_text(reply), 0, 3), 999, &code) && code >= 200;
}

void replies_number_from_zero(struct replies *r)
{
    r->stamp++;
}

uint16_t reply_number(struct replies *r, struct reply *reply, uint16_t next)
{
    if (reply->stamp != r->stamp) {
        reply->stamp = r->stamp;
        reply->number = next;
    }
    return reply->number;
}
