/*
 * config: from the text of a configuration to settings, and back.
 *
 * Owns nothing; pure: reads no file and asks no DNS; any thread. The caller reads the file, never
 * more than CONFIG_BYTES_MAX + 1 bytes of it. The language is drawn in docs/CONFIGURATION.md; the
 * options are the rows of option.def, from which the parser, the defaults, config_show and the
 * manual are made, so that they cannot disagree.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/buffer.h"
#include "base/fault.h"
#include "config/files.h"
#include "config/settings.h"

#define CONFIG_BYTES_MAX        (1024u * 1024)
#define CONFIG_WORD_BYTES_MAX   4096u
#define CONFIG_WORDS_MAX        100000u /* of one file */
#define CONFIG_LIST_MAX         10000u  /* values of one option */
#define CONFIG_LISTENERS_MAX    64u
#define CONFIG_CERTIFICATES_MAX 256u
#define CONFIG_ERRORS_MAX       50u /* those beyond are counted, not shown */

/*
 * Every error of `text` at once in errors_out, each with file:line:column, the line itself and a
 * caret; there are none when FAULT_NONE is answered, and only then *settings_out is set (one
 * reference). Columns count bytes, from 1. SYNTAX: the text has errors. NO_MEMORY: nothing can be
 * said about it. errors_out that is full keeps what fits.
 */
must_use enum fault config_parse(struct span text, const char *file_name, struct buffer *errors_out,
                                 struct settings **settings_out);

/* What `text` says of the option 'control', or its default, also when other things in it are wrong:
   a server that runs is still to be reached. False: `out` is full. */
bool config_control(struct span text, struct buffer *out);

/*
 * Reads the files of users and aliases that the settings name, into settings that are not yet
 * shared. SYNTAX: a file cannot be read or has errors; errors_out has all of them, as above. Then,
 * and after NO_MEMORY, the settings are of no use.
 */
must_use enum fault config_load_tables(struct settings *s, const struct config_files *files,
                                       struct buffer *errors_out);

/* Sentences, one a line, about what settings with their tables allow that nobody will have meant;
   nothing when all is well. False: `out` is full. */
bool config_advice(const struct settings *s, struct buffer *out);

/* Text that config_parse reads as the same settings: the options that differ from their defaults,
   or all. False: `out` is full. */
bool config_show(const struct settings *s, bool all, struct buffer *out);

/* A file to begin with: every option with its default and its manual, as comments where it is unset
   or where a block cannot stand without a value. It can be read, and serves. False: `out` is full.
 */
bool config_sample(struct buffer *out);

/* The options that differ, one a line, with a warning where the change needs another start of the
   server. False: `out` is full. */
bool config_changes(const struct settings *before, const struct settings *after,
                    struct buffer *out);

/* The manual of all blocks and options, as Markdown. False: `out` is full. */
bool config_reference(struct buffer *out);

#endif
