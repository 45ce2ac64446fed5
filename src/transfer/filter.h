/*
 * filter: which messages of the queue an operator means.
 *
 *   expression = term *( "or" term )
 *   term       = factor *( "and" factor )
 *   factor     = "not" factor / "(" expression ")" / field operator value
 *   operator   = "=" / "!=" / "<" / "<=" / ">" / ">=" / "~" / "!~"
 *   value      = word / DQUOTE text DQUOTE (\" and \\ in it)
 *
 *   site=example.net and last ~ "4.7" and age > 2h
 *
 * A message is meant when all that is said is true of one of its recipients that wait. Texts
 * compare without case; a site also equals each of its hosts and the domains these are in; ~ is a
 * pattern (base/pattern.h). Facts may be unknown where a filter is
 * asked first (the queue has no addresses in memory): then the answer may be MAYBE, and it is asked
 * again by who knows them. Immutable once made; pure; any thread. The fields are the rows of
 * filter.def.
 */
#ifndef TRANSFER_FILTER_H
#define TRANSFER_FILTER_H

#include "base/fault.h"
#include "base/span.h"

#define FILTER_TEXT_MAX  1024
#define FILTER_TESTS_MAX 32 /* comparisons */
#define FILTER_DEPTH_MAX 16 /* parentheses and nots */

enum filter_field {
#define FIELD(NAME, name, type, manual) FILTER_##NAME,
#include "transfer/filter.def"
#undef FIELD
    FILTER_FIELDS
};

/* Of one recipient and its message. A text that is not known has data NULL; a number is always
   known. */
struct filter_facts {
    struct span texts[FILTER_FIELDS];
    uint64_t numbers[FILTER_FIELDS]; /* bytes, ms */
};

enum filter_answer { FILTER_NO, FILTER_MAYBE, FILTER_YES };

struct filter;

struct filter_error {
    size_t at;             /* byte of the text */
    const char *why;       /* a constant */
    const char *suggested; /* the field that was most likely meant, or NULL */
};

/* SYNTAX: *error_out says what is wrong. NO_MEMORY. */
must_use enum fault filter_parse(struct span text, struct filter **filter_out,
                                 struct filter_error *error_out);
void filter_free(struct filter *f);

enum filter_answer filter_ask(const struct filter *f, const struct filter_facts *facts);
/* It asks for this field. */
bool filter_uses(const struct filter *f, enum filter_field field);

const char *filter_field_name(enum filter_field field);

#endif
