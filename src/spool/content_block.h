/*
 * content_block: the bytes of a content file: blocks, each with a header (content.h).
 *
 * Pure. A block's CRC covers the message's id, the block's number, its header and its bytes, so
 * that a block of another message or from another place is seen. All blocks but the last are full;
 * the last says that it is, and may be empty, so that a file that ends early is seen. docs/SPOOL.md
 * draws the layout.
 */
#ifndef SPOOL_CONTENT_BLOCK_H
#define SPOOL_CONTENT_BLOCK_H

#include "spool/content.h"

/* The header of a block of at most CONTENT_BLOCK_BYTES (checked; exactly that many unless last). */
void content_block_encode(struct id id, uint64_t number, struct span bytes, bool last,
                          uint8_t header_out[CONTENT_HEADER_BYTES]);

/*
 * Reads the block at the start of `bytes`, which is all that the file has from there on or at least
 * CONTENT_HEADER_BYTES + CONTENT_BLOCK_BYTES + 1 of it. DAMAGED: it is not block `number` of this
 * message, is cut short, or is the last and has something behind it; nothing is set then.
 */
must_use enum fault content_block_decode(struct id id, uint64_t number, struct span bytes,
                                         struct span *bytes_out, bool *last_out);

#endif
