/*
 * table: who there is, from a file of users or of aliases: loaded once, never changed, counted.
 *
 * Users, one a line: `name[:password-hash[:uid:gid:home[:quota]]]`. Aliases: `name: address,
 * address, ...`, a longer list going on in lines that begin with a blank; `name@domain` and
 * `@domain` are names too. `#` begins a comment, at the beginning of a word. A name is matched
 * without regard to ASCII case. Every error of a file is told at once, with file, line and column.
 *
 * Owns its rows; holds no password hash: those are for the process that checks passwords. Reads no
 * file itself. A loaded table may be read from any thread. Of other back ends only this interface
 * will be seen.
 */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "base/buffer.h"
#include "base/fault.h"
#include "config/files.h"

#define TABLE_BYTES_MAX   (256u * 1024 * 1024)
#define TABLE_ROWS_MAX    4000000u
#define TABLE_LINE_MAX    (64u * 1024) /* bytes; an alias may take several lines */
#define TABLE_TARGETS_MAX 10000u       /* addresses of one alias */
#define TABLE_NAME_MAX    320u         /* bytes of a name: local part, @ and domain */
#define TABLE_HOME_MAX    1000u        /* bytes of a user's home */

enum table_kind { TABLE_USERS, TABLE_ALIASES };

struct table_user {
    struct span name;     /* in lower case */
    struct span home;     /* absolute; empty: not said */
    bool has_password;    /* a hash stands in the file */
    bool has_ids;         /* uid and gid are said */
    uint32_t uid, gid;    /* never 0 */
    uint64_t quota_bytes; /* 0: none */
};

struct table_alias {
    struct span name; /* in lower case: "name", "name@domain" or "@domain" */
    /* Each "local@domain", or "local" for one of the same domain; in the order of the file. */
    const struct span *targets;
    uint32_t target_count; /* at least 1 */
};

struct table;

/*
 * The errors of the file go to errors_out, as config_parse has them; *table_out is set only on
 * FAULT_NONE. SYNTAX (rows, or the file's mode), NO_MEMORY.
 */
must_use enum fault table_load(enum table_kind kind, const struct config_file *file,
                               const char *file_name, struct buffer *errors_out,
                               struct table **table_out);
struct table *table_retain(struct table *t);
void table_release(struct table *t); /* NULL is let be */

/* `name` in any case. NULL: there is none. Only of a table of that kind. */
const struct table_user *table_find_user(const struct table *t, struct span name);
const struct table_alias *table_find_alias(const struct table *t, struct span name);
/* All users of the table have a uid and a gid. */
bool table_all_have_ids(const struct table *t);
uint32_t table_row_count(const struct table *t);

#endif
