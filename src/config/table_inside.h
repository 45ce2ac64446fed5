/*
 * table_inside: what the parts of table.c share: the table being made, and the lines of its file.
 */
#ifndef CONFIG_TABLE_INSIDE_H
#define CONFIG_TABLE_INSIDE_H

#include "base/arena.h"
#include "base/map.h"
#include "config/report.h"
#include "config/table.h"

struct table {
    _Atomic uint32_t references;
    enum table_kind kind;
    struct arena memory; /* names, homes, addresses */
    struct map rows;     /* by name */
    union {
        struct table_user *users;
        struct table_alias *aliases;
    };
    uint32_t count;
};

/* Reads a file line by line. */
struct table_reader {
    struct table *table;
    struct report report;
    struct span text;
    size_t at;            /* of the line that comes */
    struct place place;   /* of the line at hand: its first byte */
    struct place *places; /* of each row's name, while the file is read */
    uint32_t capacity;    /* of rows and places */
    enum fault fault;     /* NO_MEMORY: nothing more is read */
};

/* The next line, without its end; *is_bad_out: it was reported and is not to be looked at. False:
   there is none. */
bool table_line(struct table_reader *r, struct span *line_out, bool *is_bad_out);
/* Where the byte of this index in the line at hand stands. */
struct place table_place(const struct table_reader *r, size_t index);
/* Nothing of the line is left but a comment. */
bool table_is_rest(struct span rest);

/* Room for one more row of `size` bytes behind `*rows`, zeroed; NULL: no memory, or too many. */
void *table_grow(struct table_reader *r, void **rows, size_t size, struct place place);
/* The name in lower case, kept; data NULL: no memory. */
struct span table_name(struct table_reader *r, struct span name);

/* A local part without quotes may be this (RFC 5321 4.1.2, 6531 3.3). */
bool table_is_dot_string(struct span text);

void table_read_users(struct table_reader *r, uint32_t mode);
void table_read_aliases(struct table_reader *r);
/* Aliases of one file that lead back to themselves. */
void table_find_loops(struct table_reader *r);

#endif
