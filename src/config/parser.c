/*
 * parser: see parser.h.
 */
#include "config/parser.h"

#include "base/check.h"
#include "config/check.h"
#include "config/value.h"

#define WHY_MAX          400
#define NAMES_MEMORY_MAX (8u * 1024 * 1024)

/* Tokens */

static void stop(struct parser *p)
{
    p->lexer.at = p->lexer.text.len;
    p->token.kind = TOKEN_END;
    p->block_damaged = true;
    p->line_damaged = true;
}

static bool is_word(const struct parser *p)
{
    return p->token.kind == TOKEN_WORD || p->token.kind == TOKEN_STRING;
}

/* To the next token that is none of the lexer's faults: those are reported here. */
static void advance(struct parser *p)
{
    if (p->fault != FAULT_NONE) {
        stop(p);
        return;
    }
    p->at_line_start = p->token.kind == TOKEN_NEWLINE;
    if (p->at_line_start)
        p->line_damaged = false;
    p->token = lexer_next(&p->lexer);
    while (p->token.kind == TOKEN_BAD) {
        report_error(p->report, p->token.place, "%s", p->token.fault);
        p->line_damaged = true;
        p->block_damaged = true;
        p->token = lexer_next(&p->lexer);
    }
    if (is_word(p) && ++p->words > CONFIG_WORDS_MAX) {
        report_error(p->report, p->token.place, "there are more than %u words", CONFIG_WORDS_MAX);
        stop(p);
    }
}

/* From a { past its }, or to the end. */
static void skip_braces(struct parser *p)
{
    size_t depth = 0;
    check(p->token.kind == TOKEN_OPEN);
    do {
        if (p->token.kind == TOKEN_OPEN)
            depth++;
        else if (p->token.kind == TOKEN_CLOSE)
            depth--;
        advance(p);
    } while (depth > 0 && p->token.kind != TOKEN_END);
}

/* To the end of the line, past blocks that begin on it. */
static void skip_line(struct parser *p)
{
    while (p->token.kind != TOKEN_NEWLINE && p->token.kind != TOKEN_END) {
        if (p->token.kind == TOKEN_OPEN)
            skip_braces(p);
        else
            advance(p);
    }
}

static bool is_option(const struct parser *p, enum block_id block)
{
    return p->token.kind == TOKEN_WORD && schema_find_option(block, p->token.text) != OPTION_COUNT;
}

static bool is_value(const struct parser *p, enum block_id block)
{
    return is_word(p) && (block == BLOCK_TOP || !is_option(p, block));
}

static void skip_values(struct parser *p, enum block_id block)
{
    while (is_value(p, block) || p->token.kind == TOKEN_OPEN) {
        if (p->token.kind == TOKEN_OPEN)
            skip_braces(p);
        else
            advance(p);
    }
}

/* Options */

/* A word that is no option of `block`. The one that was meant is not missed later. */
static void report_unknown(struct parser *p, enum block_id block)
{
    struct span word = report_word(p->token.text);
    enum option_id meant = OPTION_COUNT;
    const char *near = schema_suggest(block, p->token.text, &meant);
    enum block_id home = schema_home(p->token.text);
    const char *name = schema_block(block)->name;
    const char *in = block == BLOCK_TOP ? "" : " in ";
    if (meant != OPTION_COUNT)
        p->excused[meant] = true;
    if (near != NULL)
        report_error(p->report, p->token.place, "unknown option '%.*s'%s%s; did you mean '%s'?",
                     SPAN_PRINT(word), in, name, near);
    else if (home == BLOCK_TOP)
        report_error(p->report, p->token.place, "'%.*s' stands outside of blocks",
                     SPAN_PRINT(word));
    else if (home != BLOCK_COUNT)
        report_error(p->report, p->token.place, "unknown option '%.*s'%s%s; it belongs in '%s { }'",
                     SPAN_PRINT(word), in, name, schema_block(home)->name);
    else
        report_error(p->report, p->token.place, "unknown option '%.*s'%s%s", SPAN_PRINT(word), in,
                     name);
}

/* The word is a value or an error. False: it may be a misspelled option, and then what follows it
   is no value of this one. */
static bool take_value(struct parser *p, enum option_id id)
{
    enum block_id block = schema_option(id)->block;
    struct buffer why;
    buffer_init(&why, WHY_MAX);
    bool go_on = true;
    enum fault fault = value_set(p->settings, id, p->token.text, &why);
    if (fault == FAULT_SYNTAX) {
        enum option_id meant = OPTION_COUNT;
        const char *near = NULL;
        if (block != BLOCK_TOP && p->token.kind == TOKEN_WORD)
            near = schema_suggest(block, p->token.text, &meant);
        report_error(p->report, p->token.place, near == NULL ? "%.*s" : "%.*s; or is it '%s'?",
                     SPAN_PRINT(buffer_span(&why)), near);
        go_on = near == NULL;
    } else if (fault != FAULT_NONE) {
        p->fault = fault;
    }
    buffer_fini(&why);
    p->values[id]++;
    return go_on;
}

/* The values after an option's name; how many there are. */
static size_t take_values(struct parser *p, enum option_id id)
{
    const struct option *o = schema_option(id);
    size_t max = schema_values_max(id);
    size_t count = 0;
    while (is_value(p, o->block)) {
        count++;
        if (p->values[id] >= max) {
            /* In a block an unquoted word too many may as well be a misspelled option. */
            if (p->token.kind == TOKEN_WORD && o->block != BLOCK_TOP && !schema_is_list(id))
                break;
            report_error(p->report, p->token.place, "'%s' takes %s%zu value%s", o->name,
                         max == 1 ? "" : "at most ", max, max == 1 ? "" : "s");
            skip_values(p, o->block);
            break;
        }
        bool go_on = take_value(p, id);
        advance(p);
        if (!go_on)
            skip_values(p, o->block);
    }
    return count;
}

static void parse_option(struct parser *p, enum option_id id)
{
    const struct option *o = schema_option(id);
    struct place place = p->token.place;
    struct place *first = &p->options[id];
    advance(p);
    if (first->line > 0 && !schema_is_list(id)) {
        report_error(p->report, place, "'%s' stands here a second time; the first is in line %u",
                     o->name, first->line);
        skip_values(p, o->block);
        return;
    }
    if (first->line == 0)
        *first = place;
    if (take_values(p, id) == 0 && !p->line_damaged)
        report_error(p->report, place, "'%s' needs a value: expected %s", o->name,
                     value_expected(o->type));
}

/* Blocks */

static struct span key_of(const void *named)
{
    return ((const struct named_block *)named)->key;
}

/* Another block of the kind must not have the same argument. */
static void note_name(struct parser *p, enum option_id id, struct place place)
{
    const struct block *b = schema_block(schema_option(id)->block);
    uint32_t count = value_record_count(p->settings, schema_option(id)->block);
    const void *record = value_record(p->settings, schema_option(id)->block, count - 1);
    struct buffer key;
    buffer_init(&key, CONFIG_WORD_BYTES_MAX);
    struct named_block *named = arena_alloc(&p->memory, sizeof *named);
    bool fits =
        named != NULL && buffer_printf(&key, "%s ", b->name) && value_put(record, id, 0, &key);
    struct named_block *other = fits ? map_get(&p->names, buffer_span(&key)) : NULL;
    if (other != NULL) {
        struct span shown = report_word(buffer_span(&key));
        report_error(p->report, place, "there is another '%.*s', in line %u", SPAN_PRINT(shown),
                     other->line);
    } else if (fits) {
        *named = (struct named_block){arena_copy(&p->memory, buffer_span(&key)), place.line};
        fits = named->key.data != NULL && map_put(&p->names, named);
    }
    if (!fits)
        p->fault = FAULT_NO_MEMORY;
    buffer_fini(&key);
}

/* The word that is the value of an option. */
static bool take_argument(struct parser *p, enum option_id id)
{
    const struct option *o = schema_option(id);
    struct place place = p->token.place;
    const char *name = schema_block(o->block)->name;
    if (!is_word(p)) {
        if (!p->line_damaged)
            report_error(p->report, place, "expected %s after '%s'", value_expected(o->type), name);
        return false;
    }
    uint32_t errors = p->report->errors;
    p->values[id] = 0;
    (void)take_value(p, id);
    if (errors == p->report->errors && p->fault == FAULT_NONE && o->need == OPTION_UNIQUE)
        note_name(p, id, place);
    advance(p);
    return errors == p->report->errors;
}

/* The name's argument and the {; false: there is no block to be read. */
static bool open_block(struct parser *p, enum block_id id)
{
    enum option_id argument = schema_argument(id);
    advance(p);
    bool is_right = argument == OPTION_COUNT || take_argument(p, argument);
    if (p->token.kind == TOKEN_OPEN)
        return true;
    if (is_right && !p->line_damaged)
        report_error(p->report, p->token.place, "expected '{' after '%s' on its line",
                     schema_block(id)->name);
    return false;
}

/* A block with records has a new one. */
static void begin_record(struct parser *p, enum block_id id)
{
    if (value_record_count(p->settings, id) >= CONFIG_LIST_MAX) {
        report_error(p->report, p->token.place, "there are more than %u blocks '%s'",
                     CONFIG_LIST_MAX, schema_block(id)->name);
        stop(p);
        return;
    }
    enum fault fault = value_add_record(p->settings, id);
    if (fault != FAULT_NONE)
        p->fault = fault;
    for (enum option_id option = 0; option < OPTION_COUNT; option++)
        if (schema_option(option)->block == id)
            p->values[option] = 0;
}

/* A word at the beginning of a line that names something outside: the } before it is missing. */
static bool is_outside(const struct parser *p)
{
    return p->at_line_start && p->token.kind == TOKEN_WORD &&
           (is_option(p, BLOCK_TOP) || schema_find_block(p->token.text) != BLOCK_COUNT);
}

static void parse_in_block(struct parser *p, enum block_id id)
{
    if (is_option(p, id)) {
        parse_option(p, schema_find_option(id, p->token.text));
    } else if (p->token.kind == TOKEN_WORD) {
        report_unknown(p, id);
        advance(p);
        skip_values(p, id);
    } else if (p->token.kind == TOKEN_STRING) {
        report_error(p->report, p->token.place, "expected an option; those are not quoted");
        advance(p);
        skip_values(p, id);
    } else if (p->token.kind == TOKEN_OPEN) {
        report_error(p->report, p->token.place, "blocks cannot stand in '%s'",
                     schema_block(id)->name);
        skip_braces(p);
    } else {
        check(p->token.kind == TOKEN_NEWLINE);
        advance(p);
    }
}

/* What every such block has to have, given what there was before it. */
static void require_in_block(struct parser *p, enum block_id id, struct place place,
                             const uint32_t before[OPTION_COUNT])
{
    for (enum option_id option = 0; option < OPTION_COUNT; option++) {
        const struct option *o = schema_option(option);
        if (o->block == id && o->need == OPTION_NEEDED && p->values[option] == before[option] &&
            p->options[option].line == 0 && !p->excused[option] && !p->block_damaged)
            report_error(p->report, place, "'%s' needs '%s'", schema_block(id)->name, o->name);
    }
}

/* At the block's name; false: its end was not found, and the line is not to be judged. */
static bool parse_block(struct parser *p, enum block_id id)
{
    const struct block *b = schema_block(id);
    struct place place = p->token.place;
    uint32_t before[OPTION_COUNT];
    if (p->blocks[id].line > 0 && !b->times.has_records) {
        report_error(p->report, place, "'%s' stands here a second time; the first is in line %u",
                     b->name, p->blocks[id].line);
        skip_line(p);
        return false;
    }
    p->blocks[id] = place;
    if (b->times.has_records)
        begin_record(p, id);
    for (enum option_id option = 0; option < OPTION_COUNT; option++) {
        before[option] = p->values[option];
        if (b->times.has_records && schema_option(option)->block == id)
            p->options[option] = (struct place){0};
    }
    if (!open_block(p, id)) {
        skip_line(p);
        return false;
    }
    struct place open = p->token.place;
    uint32_t errors = p->report->errors;
    p->block_damaged = false;
    advance(p);
    while (p->token.kind != TOKEN_CLOSE) {
        if (p->token.kind == TOKEN_END || (!is_option(p, id) && is_outside(p))) {
            if (!p->block_damaged)
                report_error(p->report, open, "the block is not closed: '}' is missing");
            return false;
        }
        parse_in_block(p, id);
    }
    require_in_block(p, id, place, before);
    if (errors == p->report->errors && p->fault == FAULT_NONE)
        check_block(p->settings, id, place, p->report);
    advance(p);
    return true;
}

/* Outside of blocks */

static void parse_statement(struct parser *p)
{
    enum option_id option = schema_find_option(BLOCK_TOP, p->token.text);
    enum block_id block = schema_find_block(p->token.text);
    bool judge = true;
    if (option != OPTION_COUNT) {
        parse_option(p, option);
    } else if (block != BLOCK_COUNT) {
        judge = parse_block(p, block);
    } else {
        report_unknown(p, BLOCK_TOP);
        skip_line(p);
    }
    if (!judge || p->token.kind == TOKEN_NEWLINE || p->token.kind == TOKEN_END)
        return;
    report_error(p->report, p->token.place, "expected the end of the line");
    skip_line(p);
}

static void parse_outside(struct parser *p)
{
    if (p->token.kind == TOKEN_WORD) {
        parse_statement(p);
    } else if (p->token.kind == TOKEN_STRING) {
        report_error(p->report, p->token.place, "expected an option; those are not quoted");
        skip_line(p);
    } else if (p->token.kind == TOKEN_OPEN) {
        report_error(p->report, p->token.place, "a block begins with its name on the same line");
        skip_line(p);
    } else if (p->token.kind == TOKEN_CLOSE) {
        report_error(p->report, p->token.place, "this '}' closes nothing");
        advance(p);
    } else {
        check(p->token.kind == TOKEN_NEWLINE);
        advance(p);
    }
}

enum fault parser_run(struct parser *p, struct span text, struct report *report,
                      struct settings *settings)
{
    *p = (struct parser){.report = report, .settings = settings};
    arena_init(&p->memory, NAMES_MEMORY_MAX);
    map_init(&p->names, key_of, 0);
    lexer_init(&p->lexer, text);
    p->token.kind = TOKEN_NEWLINE; /* what comes is the first of its line */
    advance(p);
    while (p->token.kind != TOKEN_END)
        parse_outside(p);
    for (enum option_id id = 0; id < OPTION_COUNT; id++) {
        const struct option *o = schema_option(id);
        if (o->block == BLOCK_TOP && o->need == OPTION_NEEDED && p->options[id].line == 0 &&
            !p->excused[id] && p->words <= CONFIG_WORDS_MAX)
            report_error(report, p->token.place, "'%s' is missing: expected %s", o->name,
                         value_expected(o->type));
    }
    map_fini(&p->names);
    arena_fini(&p->memory);
    return p->fault;
}
