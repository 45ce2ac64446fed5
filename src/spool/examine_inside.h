/*
 * examine_inside: what the files of examine.h share; nobody else includes it.
 */
#ifndef SPOOL_EXAMINE_INSIDE_H
#define SPOOL_EXAMINE_INSIDE_H

#include "spool/examine.h"
#include "spool/recover.h"

struct examined {
    struct world *world;
    struct disk *disk;
    struct recovery *recovery; /* looks only */
    const struct recovered_segment *segments;
    uint32_t segment_count;
    bool is_busy; /* a server has the lock */
    FILE *out;
    struct buffer text; /* of the text being printed */
    struct arena arena; /* of the record being looked at */
};

/* Opens the spool and reads its headers; with `lock`, DISK_LOCKED when a server uses it. A fault is
 * told on e->out. examine_close in any case. */
must_use enum fault examine_open(struct examined *e, struct world *w, const char *path, FILE *out,
                                 bool lock);
void examine_close(struct examined *e);
/* Passes a fault through, after telling it on e->out. */
must_use enum fault examine_tell(struct examined *e, const char *what, enum fault fault);
/* Scans and resolves all segments; a fault is told on e->out. */
must_use enum fault examine_recover(struct examined *e);

/* Prints bytes of a file, escaped for a terminal, or as a JSON string with its quotes. */
void examine_put_text(struct examined *e, FILE *to, struct span text);
void examine_put_json(struct examined *e, FILE *to, struct span text);
const char *examine_standing(enum recipient_standing standing);

#endif
