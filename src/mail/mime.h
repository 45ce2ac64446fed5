/*
 * mime: walks the structure of a message (RFC 2045, 2046) line by line, without keeping any of it.
 *
 * Says of each line what it is: header, body, boundary. It is strict: where readers may disagree
 * about what a message means (two Content-Type fields, a boundary that cannot be read, a line in a
 * header that is no field, too deep), the entity is OPAQUE: its body is bytes and nothing more.
 * Bounded: MIME_DEPTH_MAX levels, lines in pieces of at most MIME_LINE_MAX, of a field
 * MIME_FIELD_MAX are looked at. Owns nothing; pure; one thread at a time.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "base/span.h"

#define MIME_DEPTH_MAX    32
#define MIME_BOUNDARY_MAX 200 /* RFC 2046 5.1.1 says 70; longer ones are seen */
#define MIME_FIELD_MAX    4096

/* What a piece of a line is a part of. */
enum mime_place {
    MIME_HEADER,
    MIME_HEADER_END, /* the empty line; `ended` says of what */
    MIME_BODY,       /* of an entity that is no container */
    MIME_OUTSIDE,    /* before the first and behind the last boundary of a multipart */
    MIME_BOUNDARY
};

enum mime_kind { MIME_LEAF, MIME_MULTIPART, MIME_MESSAGE, MIME_OPAQUE };

enum mime_encoding {
    MIME_7BIT, /* or not said */
    MIME_8BIT,
    MIME_BINARY,
    MIME_QUOTED_PRINTABLE,
    MIME_BASE64,
    MIME_OTHER
};

struct mime_entity {
    uint32_t number; /* from 0, the message itself, in the order of their headers */
    enum mime_kind kind;
    enum mime_encoding encoding;
    bool is_sealed; /* within a multipart/signed or multipart/encrypted: not to be changed */
    bool has_type, has_version;
};

struct mime_level {
    uint8_t boundary[MIME_BOUNDARY_MAX];
    uint8_t boundary_len;
    bool is_digest, is_sealed;
};

struct mime {
    struct mime_entity entity; /* the present one; its kind is known behind its header */
    struct mime_entity ended;  /* after MIME_HEADER_END: the one whose header that was */
    struct mime_level levels[MIME_DEPTH_MAX];
    uint32_t depth, nesting; /* levels; messages in messages */
    enum mime_place place;   /* of the next line: HEADER, BODY or OUTSIDE */
    bool is_ambiguous, has_encoding, is_field_long;
    bool is_digest, has_parameters;
    struct mime_level next; /* of the multipart whose header this is */
    uint8_t field[MIME_FIELD_MAX];
    uint32_t field_len;
};

void mime_init(struct mime *m);
/* The next piece of a line, its end included if it is there; is_begin: of a new line. A boundary
   and an empty line are known only when they come whole. */
enum mime_place mime_line(struct mime *m, struct span piece, bool is_begin);

#endif
