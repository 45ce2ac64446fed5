/*
 * reply: the last words about a recipient, kept once each however many recipients share them.
 *
 * A reply is what a remote host said, or a fault of ours with its text; immutable and counted.
 * Owned by struct replies. Texts come from peers: each is cut to STATE_REPLY_BYTES_MAX, and once
 * all together pass REPLIES_BYTES_MAX new ones are cut to REPLY_SHORT_BYTES, so that servers that
 * put a unique number into each reply do not fill the memory. The queue's thread only.
 */
#ifndef QUEUE_REPLY_H
#define QUEUE_REPLY_H

#include "base/fault.h"
#include "base/map.h"

#define REPLIES_BYTES_MAX (64u * 1024 * 1024)
#define REPLY_SHORT_BYTES 32

struct reply;

struct replies {
    struct map map;
    size_t bytes;
    uint32_t stamp; /* of the last numbering */
};

void replies_init(struct replies *r, uint64_t secret);
void replies_fini(struct replies *r); /* all have been released */
/* `fault` is NONE for a remote's reply. `remote` may be empty. NULL: no memory. Counted. */
struct reply *reply_get(struct replies *r, struct span text, struct span remote, enum fault fault);
/* The same words under another fault (EXPIRED), or words of ours when `last` is NULL. */
struct reply *reply_with_fault(struct replies *r, const struct reply *last, enum fault fault);
struct reply *reply_retain(struct reply *reply);            /* NULL is passed through */
void reply_release(struct replies *r, struct reply *reply); /* no-op for NULL */

struct span reply_text(const struct reply *reply);   /* empty for NULL */
struct span reply_remote(const struct reply *reply); /* empty for NULL */
enum fault reply_fault(const struct reply *reply);
bool reply_is_remote(const struct reply *reply); /* the text is a reply of SMTP, code first */

/* Numbering, for the table of texts in a state record: begins anew. */
void replies_number_from_zero(struct replies *r);
/* The number that the reply got since; `next` when it had none, which it then gets. */
uint16_t reply_number(struct replies *r, struct reply *reply, uint16_t next);

#endif
