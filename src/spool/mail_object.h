/*
 * mail_object: an accepted message in memory, envelope and content (RFC 5321 2.3.1): immutable and
 * counted, so that receiver, queue and deliverer share one copy.
 *
 * Its `payload` is that of its ACCEPTED record, byte for byte: received bytes are copied once into
 * it and once into the log's batch. Content over the inline limit is not here but in a file
 * (content.h). A draft is a mail object being made: the envelope is encoded first, the content runs
 * are added behind it, and what is known only at the end (flags, length) is patched. A draft
 * belongs to one thread; a finished object to nobody: any thread retains, reads and releases.
 */
#ifndef SPOOL_MAIL_OBJECT_H
#define SPOOL_MAIL_OBJECT_H

#include "base/id.h"
#include "spool/envelope.h"

struct mail_object {
    _Atomic uint32_t references; /* of mail_retain and mail_release alone */
    struct id id;
    struct envelope envelope; /* spans point into `payload`, `recipients` into `arena` */
    struct span payload;
    uint32_t payload_crc;
    size_t memory_bytes; /* what it costs while it lives */
    struct arena arena;
    uint8_t *memory; /* behind `payload` */
};

/* NULL is passed through by both. */
struct mail_object *mail_retain(struct mail_object *m);
void mail_release(struct mail_object *m);

/*
 * A stored payload read back: takes `memory` (malloc'ed, freed by the object, also on a fault),
 * of which the payload is a part. DAMAGED, NO_MEMORY.
 */
must_use enum fault mail_of_payload(struct id id, uint8_t *memory, struct span payload,
                                    struct mail_object **mail_out);

struct mail_draft;

/*
 * Begins: e's content fields and flags are ignored. content_bytes_hint: what the client said
 * (SIZE=), or 0. inline_bytes_max (at most ENVELOPE_INLINE_MAX): more content than this does not
 * fit into the record. NULL: no memory.
 */
struct mail_draft *draft_new(struct id id, const struct envelope *e, uint64_t content_bytes_hint,
                             uint32_t inline_bytes_max);
void draft_free(struct mail_draft *d);
/* LIMIT: the content would pass inline_bytes_max; nothing was added. NO_MEMORY: the same. */
must_use enum fault draft_add(struct mail_draft *d, struct span run);
/* The content so far. */
struct span draft_content(const struct mail_draft *d);
/* The content has moved to a file: forgets it here; draft_add is not called any more. */
void draft_content_moved(struct mail_draft *d);
size_t draft_memory_bytes(const struct mail_draft *d);
/* content_bytes: of the whole content. Frees the draft, also on a fault (NO_MEMORY). */
must_use enum fault draft_finish(struct mail_draft *d, uint64_t content_bytes, bool body_8bitmime,
                                 bool has_dot_lines, struct mail_object **mail_out);

#endif
