/*
 * user_file: changes one row of a users file (config/table.h), and nothing else in it.
 *
 * Pure: text in, text out. Comments, order and what else stands in a row are kept.
 */
#ifndef CLI_USER_FILE_H
#define CLI_USER_FILE_H

#include "base/buffer.h"
#include "base/fault.h"

/* The next row that is one of a user: its name as it stands there. False: there is no more. Begins
   with *at 0. */
bool user_file_next(struct span text, size_t *at, struct span *name_out, struct span *line_out);

/* EXISTS; NO_MEMORY: `out` is full. `hash` may be empty: nobody can log in by it. */
must_use enum fault user_file_add(struct span text, struct span name, struct span hash,
                                  struct buffer *out);
/* NOT_FOUND, NO_MEMORY. */
must_use enum fault user_file_set(struct span text, struct span name, struct span hash,
                                  struct buffer *out);
must_use enum fault user_file_remove(struct span text, struct span name, struct buffer *out);

#endif
