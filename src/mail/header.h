/*
 * header: walks the header fields of a message as it came over SMTP.
 *
 * RFC 5322 2.2 and 3.6.8. Only CRLF ends a line; other control bytes are part of a value. Nothing
 * is trusted and nothing is refused: the header ends at the empty line, at the end of the data, or
 * at the first line that is no field (which then belongs to the body, and `malformed` says so).
 * Owns nothing; pure; any thread.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "base/buffer.h"
#include "base/span.h"

struct header {
    struct span rest; /* what has not been walked; the body once all fields are */
    bool ended;       /* sticky */
    bool malformed;   /* ended by a line that is neither field nor empty */
};

struct header_field {
    struct span name;  /* before the colon, blanks in front of it (RFC 5322 4.5) taken off */
    struct span value; /* after the colon, folding as it came, without the last CRLF */
    struct span whole; /* all of it, the last CRLF included if it is there */
};

struct header header_over(struct span message);

/* The next field; false when the header has ended. Then h->rest is the body, the empty line
   taken off. */
bool header_next(struct header *h, struct header_field *field_out);

/* The first field of that name (no case), or false. */
bool header_find(struct span message, struct span name, struct header_field *field_out);

/* Appends a value without its folds (RFC 5322 2.2.3: only the CRLFs go) and without blanks at
   both ends. False: full. */
bool header_unfold(struct buffer *out, struct span value);

/* Fields of that name in the whole header: of Received, the hops (RFC 5321 6.3). */
size_t header_count(struct span message, struct span name);

/*
 * The same walk over a message that comes in pieces, for the hop limit: holds no bytes, any split
 * counts alike.
 */
struct header_scan {
    uint32_t received; /* Received fields so far */
    uint8_t state;
    uint8_t name_len; /* of the current line, counted no further than it matters */
    bool name_matches;
    bool seen_field; /* so that a line that begins with a blank continues it */
    bool ended;      /* what follows is the body */
};

void header_scan_init(struct header_scan *s);
void header_scan_feed(struct header_scan *s, struct span piece);

#endif
