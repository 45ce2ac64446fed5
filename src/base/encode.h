/*
 * encode: text forms of bytes: base64 (RFC 4648 4), hexadecimal, JSON strings (RFC 8259 7), escaped
 * log text, xtext (RFC 3461 4).
 * All or nothing: on false `out` is as it was (but marked full when that was the reason). Pure, any
 * thread.
 */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/buffer.h"

bool encode_base64(struct buffer *out, struct span in);
/* Strict: padding required, no blanks, and one form for one value. */
__attribute__((warn_unused_result)) bool decode_base64(struct buffer *out, struct span in);
bool encode_hex(struct buffer *out, struct span in);

/* A JSON string with its quotes. Bytes that are not valid UTF-8 come out as \u00XX of each byte,
   so that nothing is lost and the JSON is valid. */
bool encode_json_string(struct buffer *out, struct span in);

/* Printable ASCII as it is; backslash, double quote and all other bytes as \xNN: safe in a
   terminal and on one line. */
bool encode_escaped(struct buffer *out, struct span in);

bool encode_xtext(struct buffer *out, struct span in);
/* Hexadecimal digits of either case, since some peers send lower case; all else is refused. */
__attribute__((warn_unused_result)) bool decode_xtext(struct buffer *out, struct span in);

/* Length of the valid UTF-8 sequence (RFC 3629) at the start of `s`, or 0. */
size_t utf8_sequence(struct span s);
bool utf8_valid(struct span s);

#endif
