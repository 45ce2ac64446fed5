/*
 * pattern: a small regular expression, without groups and alternatives, that always takes time in
 * proportion to its own length times the text's.
 *
 *   pattern = ["^"] *( atom ["*" / "+" / "?"] ) ["$"]
 *   atom    = "." / "[" ["^"] 1*( byte / byte "-" byte ) "]" / "\" byte / byte
 *
 * Matches anywhere in the text unless it is anchored; letters of ASCII match in either case. All
 * states are followed at once, one bit each, so nothing a pattern or text says makes it slow. A
 * value; pure; any thread.
 */
#ifndef BASE_PATTERN_H
#define BASE_PATTERN_H

#include "base/span.h"

#define PATTERN_ATOMS_MAX 60

struct pattern {
    uint64_t of_byte[256]; /* the atoms that take this byte */
    uint64_t optional;     /* atoms with * or ? */
    uint64_t repeated;     /* atoms with * or + */
    uint32_t atom_count;
    bool at_start, at_end;
};

/* False: *at_out is the byte of `text` at which it is wrong, *why_out says what. */
bool pattern_parse(struct span text, struct pattern *pattern_out, size_t *at_out,
                   const char **why_out);
bool pattern_matches(const struct pattern *p, struct span text);

#endif
