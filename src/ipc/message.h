/*
 * message: the messages between processes as structs, and as bytes. All from one table,
 * message.def.
 *
 * Owns nothing: the texts of a decoded message lie in the bytes it was decoded from. Pure, any
 * thread. Numbers are little-endian, a text is its length in two bytes and then itself. Both sides
 * are of one build, so there are no versions; that does not mean that a byte is believed.
 */
#ifndef IPC_MESSAGE_H
#define IPC_MESSAGE_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/id.h"

#define MESSAGE_BYTES_MAX (16u * 1024)

/* The processes that speak with each other this way. */
enum message_side { SIDE_ENGINE, SIDE_AGENT, SIDE_HAND };

/* How a delivery has ended. */
enum message_end { MESSAGE_DELIVERED, MESSAGE_DEFERRED, MESSAGE_FAILED };

enum message_type {
#define MESSAGE(NAME, name, from, to, enclosed) MESSAGE_TYPE_##NAME,
#define BYTE(field)
#define NUMBER(field)
#define SIZE(field)
#define ID(field)
#define TEXT(field, most)
#define END(name)
#include "ipc/message.def"
#undef MESSAGE
#undef BYTE
#undef NUMBER
#undef SIZE
#undef ID
#undef TEXT
    MESSAGE_TYPES
};

#define MESSAGE(NAME, name, from, to, enclosed) struct message_##name {
#define BYTE(field)                             uint8_t field;
#define NUMBER(field)                           uint32_t field;
#define SIZE(field)                             uint64_t field;
#define ID(field)                               struct id field;
#define TEXT(field, most)                       struct span field;
#undef END
#define END(name) \
    }             \
    ;
#include "ipc/message.def"
#undef MESSAGE
#undef BYTE
#undef NUMBER
#undef SIZE
#undef ID
#undef TEXT
#undef END

struct ipc_message {
    enum message_type type;
    union {
#define MESSAGE(NAME, name, from, to, enclosed) struct message_##name name;
#define BYTE(field)
#define NUMBER(field)
#define SIZE(field)
#define ID(field)
#define TEXT(field, most)
#define END(name)
#include "ipc/message.def"
#undef MESSAGE
#undef BYTE
#undef NUMBER
#undef SIZE
#undef ID
#undef TEXT
#undef END
    };
};

/* False: a text is longer than its row allows, or `out` is full; then `out` may hold a part. */
must_use bool message_encode(const struct ipc_message *m, struct buffer *out);
/* PROTOCOL: it is no message, whole and with nothing behind it. */
must_use enum fault message_decode(struct span bytes, struct ipc_message *message_out);

/* May `from` send it to `to`, with something enclosed or not? */
bool message_is_permitted(enum message_type type, enum message_side from, enum message_side to,
                          bool has_enclosure);
const char *message_name(enum message_type type);

#endif
