/*
 * check: whether options that are right by themselves agree with each other.
 *
 * Pure. Of src/config alone.
 */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/parser.h"

/* Reports what does not agree, at the one of the options that stands in the file. */
void check_settings(const struct settings *s, const struct parser *p, struct report *report);
/* The same within the last block of this kind, whose name stands at `place`. */
void check_block(const struct settings *s, enum block_id id, struct place place,
                 struct report *report);

#endif
