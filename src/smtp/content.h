/*
 * content: the message data of DATA and BDAT: where it ends, and what it is made of.
 *
 * Pure and incremental: any split of the same bytes gives the same result. Bytes are handed on as
 * spans of the input, without a copy. Only CRLF ends a line, and only CRLF "." CRLF ends the data
 * (RFC 5321 4.1.1.4, 2.3.8). A bare CR, a bare LF or a NUL never ends anything: it is noted, the
 * data is read up to its real end, and the session then refuses the message (SMTP smuggling:
 * CVE-2023-51764, CVE-2023-51765, CVE-2023-51766). Owns nothing.
 */
#ifndef SMTP_CONTENT_H
#define SMTP_CONTENT_H

#include "base/span.h"

/* What was seen so far. */
struct content_facts {
    uint64_t bytes; /* of the content, after un-dotting */
    bool bare_cr;
    bool bare_lf;
    bool nul;
    bool has_8bit;
    bool has_dot_lines;  /* a line of the content begins with a dot */
    bool last_line_open; /* the content so far does not end with CRLF */
};

/* Where the next byte stands; named for what came before it. */
enum content_at {
    CONTENT_LINE_START,
    CONTENT_IN_LINE,
    CONTENT_AFTER_CR,
    CONTENT_AFTER_DOT,
    CONTENT_AFTER_DOT_CR,
    CONTENT_ENDED
};

struct content_reader {
    enum content_at at;
    bool dotted; /* DATA: lines are dot-stuffed and a lone dot ends; BDAT: neither (RFC 3030) */
    struct content_facts facts;
};

void content_reader_init(struct content_reader *r, bool dotted);

/*
 * Takes the next stretch of `input`: *run_out is content to be kept (maybe empty), the result is
 * how many bytes of the input are used up by it. Call again with the rest until the input is empty
 * or content_ended(). Progress is made on every call with a non-empty input.
 */
size_t content_read(struct content_reader *r, struct span input, struct span *run_out);
bool content_ended(const struct content_reader
                       *r); /* the final dot was read; never for BDAT, whose end is its count */

/*
 * For sending by DATA: takes the next stretch of content from *rest. The result is to be sent;
 * *stuff_out says that a "." goes before it (RFC 5321 4.5.2). `line_start`: true at first, then
 * carried from call to call. Accepted content holds no bare LF, so each LF ends a line and the
 * content may be cut anywhere. Content without dot lines is one stretch.
 */
struct span content_stuff(struct span *rest, bool *line_start, bool *stuff_out);

#endif
