/*
 * show: config_show and config_reference (config.h): what the schema and settings say, as text.
 *
 * Everything comes from the rows of option.def. A word is quoted when the parser would otherwise
 * read it as something else. Pure; any thread.
 */
#include "base/check.h"
#include "config/config.h"
#include "config/lexer.h"
#include "config/schema.h"
#include "config/value.h"

#define VALUE_MAX 8192

/* Quoted when it must be. */
static bool put_word(struct buffer *out, enum block_id block, struct span word)
{
    bool is_option = block != BLOCK_TOP && schema_find_option(block, word) != OPTION_COUNT;
    if (!is_option && !lexer_needs_quotes(word))
        return buffer_put(out, word);
    bool fits = buffer_put_u8(out, '"');
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] == '"' || word.data[i] == '\\')
            fits = fits && buffer_put_u8(out, '\\');
        fits = fits && buffer_put_u8(out, word.data[i]);
    }
    return fits && buffer_put_u8(out, '"');
}

static bool put_value(struct buffer *out, const void *record, enum option_id id, size_t index)
{
    struct buffer value;
    buffer_init(&value, VALUE_MAX);
    bool fits = value_put(record, id, index, &value) && buffer_put_u8(out, ' ') &&
                put_word(out, schema_option(id)->block, buffer_span(&value));
    buffer_fini(&value);
    return fits;
}

/* The option as it is written: a list one value a line, all others in one. */
static bool put_option(struct buffer *out, const void *record, enum option_id id)
{
    const struct option *o = schema_option(id);
    const char *indent = o->block == BLOCK_TOP ? "" : "    ";
    size_t count = value_count(record, id);
    if (count == 0)
        return buffer_printf(out, "%s# %s: not set\n", indent, o->name);
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        bool is_first = i == 0 || schema_is_list(id);
        bool is_last = i == count - 1 || schema_is_list(id);
        fits = fits && (!is_first || buffer_printf(out, "%s%s", indent, o->name)) &&
               put_value(out, record, id, i) && (!is_last || buffer_put_u8(out, '\n'));
    }
    return fits;
}

/* The option says the same in both, as the parser would read it. */
static bool is_same(const void *a, const void *b, enum option_id id)
{
    struct buffer x, y;
    size_t count = value_count(a, id);
    bool same = count == value_count(b, id);
    buffer_init(&x, VALUE_MAX);
    buffer_init(&y, VALUE_MAX);
    for (size_t i = 0; same && i < count; i++) {
        buffer_reset(&x);
        buffer_reset(&y);
        same = value_put(a, id, i, &x) && value_put(b, id, i, &y) &&
               span_equal(buffer_span(&x), buffer_span(&y));
    }
    buffer_fini(&x);
    buffer_fini(&y);
    return same;
}

/* The options of a block that are to be shown; none when the block could not stand without an
   option that is not set. */
static size_t choose(const void *record, const void *defaults, bool all, enum block_id block,
                     bool chosen_out[OPTION_COUNT])
{
    size_t count = 0;
    for (enum option_id id = 0; id < OPTION_COUNT; id++) {
        const struct option *o = schema_option(id);
        bool is_needed = o->need == OPTION_NEEDED;
        chosen_out[id] = o->block == block && !schema_is_argument(id) &&
                         (all || is_needed || !is_same(record, defaults, id));
        if (chosen_out[id] && is_needed && value_count(record, id) == 0)
            return 0;
        count += chosen_out[id] ? 1 : 0;
    }
    return count;
}

/* The line that a block begins with. */
static bool put_heading(struct buffer *out, const void *record, enum block_id block)
{
    const struct block *b = schema_block(block);
    enum option_id argument = schema_argument(block);
    if (block == BLOCK_TOP)
        return true;
    return buffer_put_text(out, b->name) &&
           (argument == OPTION_COUNT || put_value(out, record, argument, 0)) &&
           buffer_put_text(out, " {\n");
}

static bool put_block(struct buffer *out, const void *record, const void *defaults, bool all,
                      enum block_id block)
{
    bool chosen[OPTION_COUNT];
    size_t count = choose(record, defaults, all, block, chosen);
    if (count == 0 && !schema_block(block)->times.has_records)
        return true;
    bool fits = put_heading(out, record, block);
    for (enum option_id id = 0; fits && id < OPTION_COUNT; id++)
        if (schema_option(id)->block == block && chosen[id])
            fits = put_option(out, record, id);
    return fits && (block == BLOCK_TOP || buffer_put_text(out, "}\n"));
}

/* With one record of each kind, so that there is something to compare with. */
static struct settings *make_defaults(void)
{
    struct settings *s = settings_default("");
    for (enum block_id id = 0; s != NULL && id < BLOCK_COUNT; id++) {
        if (!schema_block(id)->times.has_records || value_add_record(s, id) == FAULT_NONE)
            continue;
        settings_release(s);
        s = NULL;
    }
    return s;
}

bool config_show(const struct settings *s, bool all, struct buffer *out)
{
    struct settings *defaults = make_defaults();
    if (defaults == NULL)
        return false;
    bool fits = true;
    for (enum block_id block = 0; fits && block < BLOCK_COUNT; block++) {
        uint32_t count = value_record_count(s, block);
        for (uint32_t i = 0; fits && i < count; i++)
            fits = put_block(out, value_record(s, block, i), value_record(defaults, block, 0), all,
                             block);
    }
    settings_release(defaults);
    return fits;
}

/* The server was made with it: a reload leaves it as it is. */
static bool needs_start(enum option_id id)
{
    static const enum option_id all[] = {OPTION_SPOOL,    OPTION_CONTROL, OPTION_CONTROL_GROUP,
                                         OPTION_USER,     OPTION_WORKERS, OPTION_LOG_FORMAT,
                                         OPTION_LOG_LEVEL};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i] == id)
            return true;
    return schema_option(id)->block == BLOCK_DISK;
}

static bool put_change(struct buffer *out, const void *before, const void *after, enum option_id id)
{
    const struct option *o = schema_option(id);
    if (is_same(before, after, id))
        return true;
    return buffer_printf(out, "%s%s%s has changed%s\n", schema_block(o->block)->name,
                         o->block == BLOCK_TOP ? "" : " ", o->name,
                         needs_start(id) ? "; warning: only another start brings it in force" : "");
}

static bool records_are_same(const struct settings *before, const struct settings *after,
                             enum block_id block)
{
    uint32_t count = value_record_count(before, block);
    bool same = count == value_record_count(after, block);
    for (uint32_t i = 0; same && i < count; i++)
        for (enum option_id id = 0; same && id < OPTION_COUNT; id++)
            same = schema_option(id)->block != block ||
                   is_same(value_record(before, block, i), value_record(after, block, i), id);
    return same;
}

bool config_changes(const struct settings *before, const struct settings *after, struct buffer *out)
{
    bool fits = true;
    for (enum option_id id = 0; fits && id < OPTION_COUNT; id++)
        if (!schema_block(schema_option(id)->block)->times.has_records)
            fits = put_change(out, before, after, id);
    for (enum block_id id = 0; fits && id < BLOCK_COUNT; id++)
        if (schema_block(id)->times.has_records && !records_are_same(before, after, id))
            fits = buffer_printf(out, "%s has changed\n", schema_block(id)->name);
    return fits;
}

static bool put_limits(struct buffer *out, const struct option *o)
{
    switch (o->type) {
    case TYPE_NUMBER:
    case TYPE_PORT:
    case TYPE_DURATION:
    case TYPE_SIZE:
        return buffer_printf(out, ", from `%s` to `%s`", o->least, o->most);
    case TYPE_PATH:
    case TYPE_ACCOUNT:
        return buffer_printf(out, ", of at most %s bytes", o->most);
    case TYPE_DELIVER:
    case TYPE_NEXT_HOPS:
    case TYPE_ENDPOINTS:
    case TYPE_RANGES:
        return buffer_printf(out, ", at most %s", o->most);
    case TYPE_HOSTNAME:
    case TYPE_DOMAIN:
    case TYPE_TABLE:
    case TYPE_MAILBOX:
    case TYPE_SEPARATOR:
    case TYPE_LISTEN:
    case TYPE_ENDPOINT:
    case TYPE_SOURCES:
    case TYPE_TLS:
    case TYPE_LOG_FORMAT:
    case TYPE_LOG_LEVEL:
        break;
    }
    return true;
}

/* Of one option: a line of what it takes, and its manual text. */
static bool put_manual(struct buffer *out, const struct option *o)
{
    bool fits =
        buffer_printf(out, "\n**%s**: %s", o->name, value_expected(o->type)) && put_limits(out, o);
    if (o->value != NULL)
        fits = fits && buffer_printf(out, "; default `%s`", o->value);
    if (o->need != OPTION_OPTIONAL)
        fits = fits && buffer_put_text(out, "; required");
    return fits && buffer_printf(out, ".  \n%s\n", o->manual);
}

static bool put_block_manual(struct buffer *out, enum block_id block)
{
    const struct block *b = schema_block(block);
    enum option_id argument = schema_argument(block);
    const char *word = argument == OPTION_COUNT ? NULL : schema_option(argument)->name;
    if (block == BLOCK_TOP)
        return buffer_put_text(out, "\n### Outside of blocks\n");
    return buffer_printf(out, "\n### %s%s%s { }\n\n%s%s\n", b->name, word == NULL ? "" : " ",
                         word == NULL ? "" : word, b->manual,
                         b->times.has_records ? " There may be several such blocks." : "");
}

bool config_reference(struct buffer *out)
{
    bool fits = buffer_put_text(out, "## The options\n");
    for (enum block_id block = 0; fits && block < BLOCK_COUNT; block++) {
        fits = put_block_manual(out, block);
        for (enum option_id id = 0; fits && id < OPTION_COUNT; id++)
            if (schema_option(id)->block == block)
                fits = put_manual(out, schema_option(id));
    }
    return fits;
}
