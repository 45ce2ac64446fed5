/*
 * downgrade: a message with 8-bit bytes for a server without 8BITMIME (RFC 6152 3): the bodies that
 * have some become quoted-printable or base64, whichever is shorter.
 *
 * Two passes over the same bytes: the survey decides for each entity, and whether it can be done at
 * all; the second writes. It cannot: raw 8-bit bytes in a header or outside of all parts, in what
 * is signed or encrypted (multipart/signed: RFC 1847 2.1), in an entity whose type or encoding
 * cannot be read or is encoded already, or in more than DOWNGRADE_ENTITIES_MAX entities. A message
 * that is not MIME becomes text/plain of unknown-8bit (RFC 1428).
 *
 * Incremental: any split of the same bytes gives the same result. Bounded: about 20 KiB whatever
 * the message, a line in pieces of DOWNGRADE_LINE_MAX. Pure; one thread at a time.
 */
#ifndef MAIL_DOWNGRADE_H
#define MAIL_DOWNGRADE_H

#include "base/buffer.h"

#define DOWNGRADE_ENTITIES_MAX 2000
#define DOWNGRADE_LINE_MAX     2048
#define DOWNGRADE_GROWTH_MAX   4 /* output is at most so many times the input, and a little more: */
#define DOWNGRADE_EXTRA_MAX    (16u * 1024)

enum downgrade_verdict {
    DOWNGRADE_NEEDLESS, /* all bytes have 7 bits */
    DOWNGRADE_POSSIBLE,
    DOWNGRADE_IMPOSSIBLE
};

struct downgrade;

struct downgrade *downgrade_new(void); /* NULL: no memory */
void downgrade_free(struct downgrade *d);

/* The first pass: all of the content in pieces, then the verdict. */
void downgrade_survey(struct downgrade *d, struct span piece);
enum downgrade_verdict downgrade_conclude(struct downgrade *d);
/* After it: about how long the result will be (RFC 1870 3 asks for no more). */
uint64_t downgrade_bytes(const struct downgrade *d);

/* The second pass, after POSSIBLE, as often as it is begun: the same pieces or others. False: `out`
   is full. */
void downgrade_begin(struct downgrade *d);
bool downgrade_put(struct downgrade *d, struct span piece, struct buffer *out);
bool downgrade_end(struct downgrade *d, struct buffer *out);

#endif
