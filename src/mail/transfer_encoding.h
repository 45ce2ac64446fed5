/*
 * transfer_encoding: quoted-printable and base64 as content-transfer-encodings (RFC 2045 6.7, 6.8),
 * written from a stream of lines that end with CRLF.
 *
 * Incremental: any split of the same bytes gives the same result. Lines of output have at most 76
 * characters and end with CRLF. Holds a few bytes; pure; one thread at a time. False: `out` is
 * full.
 */
#ifndef MAIL_TRANSFER_ENCODING_H
#define MAIL_TRANSFER_ENCODING_H

#include "base/buffer.h"

#define BASE64_LINE_BYTES 57 /* 76 characters */

/* Line ends stay line ends; a CR or LF alone is a byte like others. */
struct quoted_printable {
    uint32_t column;
    uint8_t blank; /* SP or HT that waits for what follows it, or 0 */
    bool has_cr;
};

bool quoted_printable_put(struct quoted_printable *q, struct span bytes, struct buffer *out);
/* Nothing follows. The output then ends with a line end. */
bool quoted_printable_end(struct quoted_printable *q, struct buffer *out);

struct base64_lines {
    uint8_t held[BASE64_LINE_BYTES];
    uint32_t held_len;
    uint8_t line_end; /* bytes of the last CRLF, which wait for what follows it */
};

bool base64_lines_put(struct base64_lines *b, struct span bytes, struct buffer *out);
/* Nothing follows; the last CRLF belongs to the bytes, or not (to a boundary: RFC 2046 5.1.1). */
bool base64_lines_end(struct base64_lines *b, bool takes_line_end, struct buffer *out);

#endif
