/*
 * parser: statements and blocks of a configuration, into settings.
 *
 *   file      = *( [statement] end-of-line )
 *   statement = option *value / block
 *   block     = name [argument] "{" *( option *value / end-of-line ) "}"
 *
 * Outside of blocks the values of an option end with the line. In a block they also end before a
 * word that is an option of that block, so that several may stand on one line; a quoted word is
 * always a value. Blocks do not nest, so there is no depth to bound.
 *
 * Goes on after each error at the next place that surely begins something: the next option of the
 * block, the next line, or the end of a block; what an error makes look wrong behind it is not
 * reported. Does no I/O; one thread. Of src/config alone.
 */
#ifndef CONFIG_PARSER_H
#define CONFIG_PARSER_H

#include "base/map.h"
#include "config/lexer.h"
#include "config/report.h"
#include "config/schema.h"

/* A block whose argument no other of its kind may have. */
struct named_block {
    struct span key; /* "domain example.org" */
    uint32_t line;
};

struct parser {
    struct lexer lexer;
    struct token token; /* the one to be looked at */
    bool at_line_start; /* it is the first of its line */
    bool line_damaged;  /* its line had a fault of the lexer: what is missing may be there */
    bool block_damaged; /* the same of its block */
    uint32_t words;
    struct report *report;
    struct settings *settings;          /* not yet shared */
    enum fault fault;                   /* NO_MEMORY: nothing more is read */
    struct place options[OPTION_COUNT]; /* where each stands first; line 0: nowhere */
    uint32_t values[OPTION_COUNT];      /* how many it has so far */
    bool excused[OPTION_COUNT];         /* a misspelled one was reported in its place */
    struct place blocks[BLOCK_COUNT];
    struct map names; /* of struct named_block */
    struct arena memory;
};

/* Reads all of `text` into `settings`; errors go to `report`. NO_MEMORY, else NONE. */
must_use enum fault parser_run(struct parser *p, struct span text, struct report *report,
                               struct settings *settings);

#endif
