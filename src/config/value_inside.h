/*
 * value_inside: what value.c and value_mail.c share; nobody else includes it.
 */
#ifndef CONFIG_VALUE_INSIDE_H
#define CONFIG_VALUE_INSIDE_H

#include "config/value.h"

#define DELIVER_FORMS                                                           \
    "maildir:TEMPLATE, lmtp:HOST:PORT, lmtp:/PATH, smtp:HOST, smtp:HOST:PORT, " \
    "pipe:/PROGRAM or discard"

/* SYNTAX, after saying why not, with the word, as far as there is room; of a type: what is expected
   of it. */
enum fault value_refuse(struct buffer *why, struct span word, const char *text);
enum fault value_refuse_type(struct buffer *why, struct span word, enum option_type type);

enum fault value_set_text(struct settings *s, void *record, const struct option *o,
                          struct span word);
enum fault value_set_path(struct settings *s, void *record, const struct option *o,
                          struct span word, struct buffer *why);
/* Of an option that is a list. */
const void *value_list(const void *record, const struct option *o, uint32_t *count_out);
enum fault value_add_to_list(struct settings *s, void *record, const struct option *o,
                             const void *item, size_t size);

/* As value_set and value_put, of one type each. */
enum fault value_set_table(struct settings *s, void *record, const struct option *o,
                           struct span word, struct buffer *why);
enum fault value_set_mailbox(struct settings *s, void *record, const struct option *o,
                             struct span word, struct buffer *why);
enum fault value_set_separator(void *record, const struct option *o, struct span word,
                               struct buffer *why);
enum fault value_add_deliver(struct settings *s, void *record, const struct option *o,
                             struct span word, struct buffer *why);
bool value_put_separator(const void *record, const struct option *o, struct buffer *out);
bool value_put_deliver(struct buffer *out, const struct delivery_target *target);

#endif
