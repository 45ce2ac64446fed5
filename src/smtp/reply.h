/*
 * reply: reads a server's replies, as a client must (RFC 5321 4.2, 4.2.1).
 *
 * Pure and incremental: any split of the same bytes gives the same result. A line is three digits,
 * then a blank (the last line), a "-" (more lines follow) or nothing at all ("550", RFC 5321 4.2),
 * then text of any bytes. LF ends a line, with or without a CR before it: nothing that is smuggled
 * into a reply can do more harm than the server itself. What begins otherwise is a PROTOCOL
 * fault: with commands pipelined nobody could say any more which reply belongs to which.
 *
 * Lines of one reply with different codes: the last line's code counts, as in Postfix. It is the
 * only one that every client, one that just looks for the end included, has seen.
 *
 * Owns the line that has come in part and the text; holds no memory while there is neither.
 * Bounded: of a line REPLY_LINE_MAX bytes are kept, of a reply REPLY_TEXT_MAX bytes of text; an
 * endless line or reply is a PROTOCOL fault. Text is kept as bytes, NULs and 8-bit too, without
 * blanks and CRs at a line's end; whoever shows it escapes it. One thread at a time.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include "base/buffer.h"
#include "base/fault.h"

#define REPLY_LINE_MAX       2048  /* kept of a line, code included; RFC 5321 4.5.3.1.5 says 512 */
#define REPLY_LINE_BYTES_MAX 65536 /* a line that goes on beyond it is a fault */
#define REPLY_LINES_MAX      100   /* of one reply; one more is a fault */
#define REPLY_TEXT_MAX       1024  /* kept of the text of a reply */

struct reply {
    int code;         /* 0 to 999: what it may be here is for the client to judge */
    struct span line; /* the text of this line */
    struct span text; /* the text of all lines so far, joined by a blank, cut at REPLY_TEXT_MAX */
    bool is_first;    /* the first line of its reply */
    bool is_final;    /* the last line: code and text are those of the whole reply */
};

enum reply_progress {
    REPLY_MORE, /* all input is used up; more is needed for a line */
    REPLY_LINE, /* a line has come: *reply_out is set */
    REPLY_FAULT /* PROTOCOL or NO_MEMORY: see reply_reader_fault. Final */
};

struct reply_reader {
    struct buffer line; /* the part of a line that has come, cut at REPLY_LINE_MAX */
    size_t line_bytes;  /* how long that part really is */
    struct buffer text;
    uint32_t lines; /* of the present reply */
    bool ended;     /* the last line given was final: the next begins a reply */
    enum fault fault;
};

void reply_reader_init(struct reply_reader *r);
void reply_reader_fini(struct reply_reader *r);

/*
 * Takes input up to the end of the next line; *used_out bytes are used up. Call again with the
 * rest. The spans of *reply_out live until the next call and as long as `input`.
 */
must_use enum reply_progress reply_read(struct reply_reader *r, struct span input, size_t *used_out,
                                        struct reply *reply_out);

enum fault reply_reader_fault(const struct reply_reader *r); /* FAULT_NONE: so far none */

#endif
