#include "ipc/message.h"

#include "base/cursor.h"

/* What the table says of each message. */
static const struct {
    const char *name;
    enum message_side from, to;
    bool has_enclosure;
} rows[] = {
#define NOTHING                                 false
#define CONTENT                                 true
#define MESSAGE(NAME, name, from, to, enclosed) {#name, SIDE_##from, SIDE_##to, enclosed},
#define BYTE(field)
#define NUMBER(field)
#define SIZE(field)
#define ID(field)
#define TEXT(field, most)
#define END(name)
#include "ipc/message.def"
#undef NOTHING
#undef CONTENT
#undef MESSAGE
#undef BYTE
#undef NUMBER
#undef SIZE
#undef ID
#undef TEXT
#undef END
};

bool message_is_permitted(enum message_type type, enum message_side from, enum message_side to,
                          bool has_enclosure)
{
    return (unsigned)type < MESSAGE_TYPES && rows[type].from == from && rows[type].to == to &&
           rows[type].has_enclosure == has_enclosure;
}

const char *message_name(enum message_type type)
{
    check((unsigned)type < MESSAGE_TYPES);
    return rows[type].name;
}

static bool put_text(struct buffer *out, struct span text, size_t most)
{
    return text.len <= most && buffer_put_u16(out, (uint16_t)text.len) && buffer_put(out, text);
}

/* One function a message, which puts its fields in the order of their rows. */
#define MESSAGE(NAME, name, from, to, enclosed)                                   \
    static bool encode_##name(const struct message_##name *m, struct buffer *out) \
    {                                                                             \
        return true
#define BYTE(field)       &&buffer_put_u8(out, m->field)
#define NUMBER(field)     &&buffer_put_u32(out, m->field)
#define SIZE(field)       &&buffer_put_u64(out, m->field)
#define ID(field)         &&buffer_put(out, id_span(&m->field))
#define TEXT(field, most) &&put_text(out, m->field, most)
#define END(name) \
    ;             \
    }
#include "ipc/message.def"
#undef MESSAGE
#undef BYTE
#undef NUMBER
#undef SIZE
#undef ID
#undef TEXT
#undef END

static struct id take_id(struct cursor *c)
{
    struct id id = {{0}};
    struct span bytes = cursor_bytes(c, sizeof id.bytes);
    if (bytes.len == sizeof id.bytes)
        memcpy(id.bytes, bytes.data, bytes.len);
    return id;
}

static struct span take_text(struct cursor *c, size_t most)
{
    size_t len = cursor_u16(c);
    if (len > most)
        cursor_fail(c);
    return cursor_bytes(c, len);
}

/* And one which takes them. */
#define MESSAGE(NAME, name, from, to, enclosed)                             \
    static void decode_##name(struct cursor *c, struct message_##name *out) \
    {
#define BYTE(field)       out->field = cursor_u8(c);
#define NUMBER(field)     out->field = cursor_u32(c);
#define SIZE(field)       out->field = cursor_u64(c);
#define ID(field)         out->field = take_id(c);
#define TEXT(field, most) out->field = take_text(c, most);
#define END(name)         }
#include "ipc/message.def"
#undef MESSAGE
#undef BYTE
#undef NUMBER
#undef SIZE
#undef ID
#undef TEXT
#undef END

#define BYTE(field)
#define NUMBER(field)
#define SIZE(field)
#define ID(field)
#define TEXT(field, most)
#define END(name)

bool message_encode(const struct ipc_message *m, struct buffer *out)
{
    check((unsigned)m->type < MESSAGE_TYPES);
    if (!buffer_put_u16(out, (uint16_t)m->type))
        return false;
    switch (m->type) {
#define MESSAGE(NAME, name, from, to, enclosed) \
    case MESSAGE_TYPE_##NAME:                   \
        return encode_##name(&m->name, out);
#include "ipc/message.def"
#undef MESSAGE
    case MESSAGE_TYPES:
        break;
    }
    return false;
}

enum fault message_decode(struct span bytes, struct ipc_message *message_out)
{
    struct cursor c = cursor_over(bytes);
    uint16_t type = cursor_u16(&c);
    if (!cursor_ok(&c) || bytes.len > MESSAGE_BYTES_MAX || type >= MESSAGE_TYPES)
        return FAULT_PROTOCOL;
    message_out->type = (enum message_type)type;
    switch (message_out->type) {
#define MESSAGE(NAME, name, from, to, enclosed) \
    case MESSAGE_TYPE_##NAME:                   \
        decode_##name(&c, &message_out->name);  \
        break;
#include "ipc/message.def"
#undef MESSAGE
    case MESSAGE_TYPES:
        break;
    }
    return cursor_at_end(&c) ? FAULT_NONE : FAULT_PROTOCOL;
}
