/*
 * extension: see extension.h.
 */
#include "smtp/extension.h"

/* Splits at the first blank. Old servers wrote "AUTH=LOGIN" for clients that were older still. */
static struct span split_keyword(struct span line, struct span *keyword_out)
{
    size_t end = 0;
    while (end < line.len && line.data[end] != ' ' && line.data[end] != '\t' &&
           line.data[end] != '=')
        end++;
    *keyword_out = span_sub(line, 0, end);
    return span_trim(span_skip(line, end + 1));
}

/* A number that cannot be read is no limit: the server will refuse what it does not want. */
static void parse_size(struct extensions *e, struct span argument)
{
    struct span number;
    (void)span_split(argument, ' ', &number);
    e->size_max = 0;
    (void)!span_parse_u64(number, UINT64_MAX, &e->size_max);
}

void extension_parse(struct extensions *e, struct span line)
{
    struct span keyword;
    struct span argument = split_keyword(span_trim(line), &keyword);
#define EXTENSION(name, field)                     \
    if (span_equal_nocase(keyword, SPAN(#name))) { \
        e->field = true;                           \
    }
#include "smtp/extension.def"
#undef EXTENSION
    if (span_equal_nocase(keyword, SPAN("SIZE")))
        parse_size(e, argument);
}
