/*
 * drop_file: a message as a local program hands it over: envelope and content in one run of
 * records. docs/DROP.md draws it.
 *
 * postrider-drop checks the frame of the records and writes them to a file; whoever takes the file
 * in believes nothing of it. The reader takes bytes in any pieces and gives items: a text whole,
 * content as it comes. Any split of the same bytes gives the same texts and the same content. Pure.
 * Limits: a text of DROP_TEXT_MAX bytes, a record of DROP_RECORD_MAX, DROP_RECIPIENTS_MAX.
 */
#ifndef MAIL_DROP_FILE_H
#define MAIL_DROP_FILE_H

#include "base/buffer.h"
#include "base/fault.h"

#define DROP_MAGIC          "PRDROP1\n"
#define DROP_MAGIC_LEN      8
#define DROP_TEXT_MAX       1000u
#define DROP_RECORD_MAX     65536u
#define DROP_RECIPIENTS_MAX 10000u

/* The type of a record is its letter. They come in this order; those marked ? need not be there. */
enum drop_type {
    DROP_SENDER = 'F',    /* the reverse-path without brackets; may be empty */
    DROP_RETURN = 'T',    /* ? FULL or HDRS (RFC 3461 4.3) */
    DROP_ENVID = 'I',     /* ? in xtext (RFC 3461 4.4) */
    DROP_RECIPIENT = 'R', /* once or more: a forward-path without brackets */
    DROP_NOTIFY = 'N',    /* ? of the recipient before it: as RCPT says it (RFC 3461 4.1) */
    DROP_DATA = 'D',      /* ? any number: content, lines end with CRLF */
    DROP_END = 'E'        /* empty; nothing follows */
};

enum drop_step { DROP_MORE, DROP_ITEM, DROP_ENDED, DROP_BAD };

struct drop_item {
    enum drop_type type;
    struct span bytes; /* until the next call: in the reader, or of DATA in the input */
};

struct drop_reader {
    size_t magic; /* bytes of it that were seen */
    uint8_t header[5];
    size_t header_len;
    uint32_t left; /* of the record */
    uint8_t text[DROP_TEXT_MAX];
    size_t text_len;
    uint8_t last; /* type of the record before */
    uint32_t recipients;
    bool ended, bad;
};

void drop_reader_init(struct drop_reader *r);
/* Takes bytes from the front of *input. MORE: all were taken. ITEM: call again. ENDED: the end was
   read, and nothing may follow. BAD: it is none of ours, for good. */
enum drop_step drop_read(struct drop_reader *r, struct span *input, struct drop_item *item_out);

/* False: full, or the bytes are too long for a record of that type. */
must_use bool drop_begin(struct buffer *out);
must_use bool drop_put(struct buffer *out, enum drop_type type, struct span bytes);

#endif
