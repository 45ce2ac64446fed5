/*
 * sample: config_sample (config.h): the schema as a file to begin with.
 *
 * What it says of an option is its row of option.def. Pure; any thread.
 */
#include <stdio.h>

#include "config/config.h"
#include "config/schema.h"
#include "config/value.h"

#define WIDTH 88

/* What a server needs to be one: of the blocks that cannot stand without a value these have one. */
static const struct {
    enum option_id id;
    const char *value;
} examples[] = {
    {OPTION_HOSTNAME, "mx1.example.org"},
    {OPTION_LISTEN_KIND, "smtp"},
    {OPTION_LISTEN_BIND, "0.0.0.0:25 [::]:25"},
    {OPTION_RELAY_FROM, "127.0.0.0/8 ::1/128"},
};

static const char *example_of(enum option_id id)
{
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        if (examples[i].id == id)
            return examples[i].value;
    return schema_option(id)->value;
}

/* Lines of whole words, each behind `begin`. */
static bool put_comment(struct buffer *out, const char *begin, const char *text)
{
    struct span rest = span_text(text);
    bool fits = true;
    while (fits && rest.len > 0) {
        size_t len = rest.len;
        if (len > WIDTH) {
            len = WIDTH;
            while (len > 1 && rest.data[len] != ' ')
                len--;
        }
        fits = buffer_printf(out, "%s# %.*s\n", begin, SPAN_PRINT(span_sub(rest, 0, len)));
        rest = span_skip(rest, len);
        if (rest.len > 0 && rest.data[0] == ' ')
            rest = span_skip(rest, 1);
    }
    return fits;
}

/* A block is a comment, all of it, when something that it needs has no value. */
static bool can_stand(enum block_id block)
{
    for (enum option_id id = 0; id < OPTION_COUNT; id++) {
        const struct option *o = schema_option(id);
        if (o->block == block && o->need != OPTION_OPTIONAL && example_of(id) == NULL)
            return false;
    }
    return true;
}

static bool put_option(struct buffer *out, enum option_id id, bool stands)
{
    const struct option *o = schema_option(id);
    const char *begin = o->block == BLOCK_TOP ? "" : stands ? "    " : "#   ";
    const char *value = example_of(id);
    if (!put_comment(out, begin, o->manual))
        return false;
    if (value == NULL) {
        char text[WIDTH * 3];
        (void)snprintf(text, sizeof text, "%s: %s", o->name, value_expected(o->type));
        return put_comment(out, begin, text);
    }
    return buffer_printf(out, "%s%s %s\n", begin, o->name, value);
}

static bool put_block(struct buffer *out, enum block_id block)
{
    const struct block *b = schema_block(block);
    bool stands = can_stand(block), is_first = block != BLOCK_TOP;
    bool fits = true;
    enum option_id argument = schema_argument(block);
    const char *word = argument == OPTION_COUNT ? NULL
                       : stands                 ? example_of(argument)
                                                : schema_option(argument)->name;
    if (block != BLOCK_TOP)
        fits = buffer_put_u8(out, '\n') && put_comment(out, "", b->manual) &&
               buffer_printf(out, "%s%s%s%s {\n", stands ? "" : "# ", b->name,
                             word == NULL ? "" : " ", word == NULL ? "" : word);
    for (enum option_id id = 0; fits && id < OPTION_COUNT; id++) {
        if (schema_option(id)->block != block || schema_is_argument(id))
            continue;
        fits = (is_first || buffer_put_text(out, stands ? "\n" : "#\n")) &&
               put_option(out, id, stands);
        is_first = false;
    }
    return fits && (block == BLOCK_TOP || buffer_printf(out, "%s}\n", stands ? "" : "# "));
}

bool config_sample(struct buffer *out)
{
    bool fits = put_comment(
        out, "",
        "The configuration of postrider, with every option and its default. What needs to be "
        "changed first is the hostname. See postrider.conf(5); 'postrider config check' looks at "
        "this file, 'postrider reload' brings it in force.");
    for (enum block_id block = 0; fits && block < BLOCK_COUNT; block++)
        fits = put_block(out, block);
    return fits;
}
