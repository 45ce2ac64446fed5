/*
 * value: the values of options: from a word into the settings, and from the settings to text.
 *
 * What is accepted depends on the option's type and limits in the schema alone; what value_put
 * writes is accepted and means the same. Durations are a number with ms, s, m, h or d; sizes a
 * number, or one with K, M, G or T (powers of 1024). Pure but for the settings; one thread. Of
 * src/config alone.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/buffer.h"
#include "base/fault.h"
#include "config/schema.h"
#include "config/settings.h"

/* Sets the option's field, or adds to its list; in a block with records, that of the newest one.
   SYNTAX: `why` says what was expected, and nothing
   is set. NO_MEMORY. Settings that are not yet shared. */
must_use enum fault value_set(struct settings *s, enum option_id id, struct span word,
                              struct buffer *why);

/* Each option that has one. NO_MEMORY. */
must_use enum fault value_set_defaults(struct settings *s, enum block_id block);

/* One more record of such a block, with its defaults. NO_MEMORY. */
must_use enum fault value_add_record(struct settings *s, enum block_id id);
/* What holds the options of a block: the settings alone, or each of its records. */
uint32_t value_record_count(const struct settings *s, enum block_id id);
void *value_record(const struct settings *s, enum block_id id, uint32_t index);

/* How many values the option has in a record of its block: 0 when it is unset. */
size_t value_count(const void *record, enum option_id id);
/* The value of this index, not quoted. False: `out` is full. */
bool value_put(const void *record, enum option_id id, size_t index, struct buffer *out);

/* What is expected of the type, for messages and the manual: "a duration such as 30s or 5m". */
const char *value_expected(enum option_type type);

#endif
