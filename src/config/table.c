/*
 * table: see table.h.
 */
#include "config/table.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "config/table_inside.h"

#define MEMORY_MAX   ((size_t)2 * 1024 * 1024 * 1024)
#define WRITE_OTHERS 022u
#define ROWS_FIRST   64u

/* Both kinds of rows begin with their name. */
static struct span key_of(const void *row)
{
    return *(const struct span *)row;
}

/* Lines ------------------------------------------------------------------------------------------
 */

struct place table_place(const struct table_reader *r, size_t index)
{
    struct place place = r->place;
    place.column += (uint32_t)index;
    return place;
}

bool table_is_rest(struct span rest)
{
    rest = span_trim(rest);
    return rest.len == 0 || rest.data[0] == '#';
}

/* True when all characters may stand in a file of text; else it says which may not. */
static bool check_characters(struct table_reader *r, struct span line)
{
    for (size_t at = 0; at < line.len;) {
        size_t len = lexer_character(line, at);
        if (len == 0) {
            report_error(&r->report, table_place(r, at),
                         "a control character, or this is not UTF-8");
            return false;
        }
        at += len;
    }
    return true;
}

bool table_line(struct table_reader *r, struct span *line_out, bool *is_bad_out)
{
    if (r->at >= r->text.len || r->fault != FAULT_NONE)
        return false;
    size_t end = span_find_byte(r->text, '\n', r->at);
    struct span line = span_sub(r->text, r->at, end - r->at);
    r->place = (struct place){r->place.line + 1, 1, r->at};
    r->at = end + 1;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    *is_bad_out = true;
    *line_out = line;
    if (line.len > TABLE_LINE_MAX)
        report_error(&r->report, r->place, "the line is longer than %u bytes", TABLE_LINE_MAX);
    else
        *is_bad_out = !check_characters(r, line);
    return true;
}

/* Rows -------------------------------------------------------------------------------------------
 */

static bool resize(void **list, size_t count)
{
    void *larger = realloc(*list, count);
    if (larger != NULL)
        *list = larger;
    return larger != NULL;
}

void *table_grow(struct table_reader *r, void **rows, size_t size, struct place place)
{
    struct table *t = r->table;
    if (t->count == TABLE_ROWS_MAX) {
        report_error(&r->report, place, "there are more than %u rows", TABLE_ROWS_MAX);
        r->at = r->text.len;
        return NULL;
    }
    if (t->count == r->capacity) {
        uint32_t capacity = r->capacity == 0 ? ROWS_FIRST : r->capacity * 2;
        void *places = r->places;
        bool fits = resize(&places, capacity * sizeof *r->places);
        r->places = places;
        if (!fits || !resize(rows, capacity * size)) {
            r->fault = FAULT_NO_MEMORY;
            return NULL;
        }
        r->capacity = capacity;
    }
    void *row = (uint8_t *)*rows + (size_t)t->count * size;
    memset(row, 0, size);
    r->places[t->count++] = place;
    return row;
}

struct span table_name(struct table_reader *r, struct span name)
{
    uint8_t *copy = arena_alloc(&r->table->memory, name.len == 0 ? 1 : name.len);
    if (copy == NULL) {
        r->fault = FAULT_NO_MEMORY;
        return (struct span){NULL, 0};
    }
    for (size_t i = 0; i < name.len; i++)
        copy[i] = byte_lower(name.data[i]);
    return span_of(copy, name.len);
}

static bool is_atext(uint8_t byte)
{
    if (byte >= 0x80 || (byte >= '0' && byte <= '9'))
        return true;
    uint8_t lower = byte_lower(byte);
    return (lower >= 'a' && lower <= 'z') ||
           (byte != 0 && strchr("!#$%&'*+-/=?^_`{|}~", byte) != NULL);
}

bool table_is_dot_string(struct span text)
{
    bool after_dot = true;
    for (size_t i = 0; i < text.len; i++) {
        bool is_dot = text.data[i] == '.';
        if (is_dot ? after_dot : !is_atext(text.data[i]))
            return false;
        after_dot = is_dot;
    }
    return !after_dot;
}

static void *row_at(const struct table *t, uint32_t i)
{
    return t->kind == TABLE_USERS ? (void *)&t->users[i] : (void *)&t->aliases[i];
}

/* All rows into the map; a name that stands twice is an error. */
static void index_rows(struct table_reader *r)
{
    struct table *t = r->table;
    for (uint32_t i = 0; i < t->count && r->fault == FAULT_NONE; i++) {
        void *row = row_at(t, i);
        struct span name = key_of(row);
        const uint8_t *before = map_get(&t->rows, name);
        if (before != NULL) {
            size_t size = t->kind == TABLE_USERS ? sizeof *t->users : sizeof *t->aliases;
            size_t first = (size_t)(before - (const uint8_t *)row_at(t, 0)) / size;
            struct span shown = report_word(name);
            report_error(&r->report, r->places[i],
                         "'%.*s' stands here a second time; the first is in line %u",
                         SPAN_PRINT(shown), r->places[first].line);
        } else if (!map_put(&t->rows, row)) {
            r->fault = FAULT_NO_MEMORY;
        }
    }
}

/* The whole --------------------------------------------------------------------------------------
 */

static struct table *table_new(enum table_kind kind)
{
    struct table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->references = 1;
    t->kind = kind;
    arena_init(&t->memory, MEMORY_MAX);
    map_init(&t->rows, key_of, 0); /* names are not put into it by strangers */
    return t;
}

static void read_all(struct table_reader *r, const struct config_file *file)
{
    struct place begin = {1, 1, 0};
    if (file->text.len > TABLE_BYTES_MAX) {
        report_error(&r->report, begin, "the file is larger than %u bytes", TABLE_BYTES_MAX);
        return;
    }
    if ((file->mode & WRITE_OTHERS) != 0)
        report_error(&r->report, begin,
                     "the file can be written by its group or by others; chmod go-w it first");
    if (r->table->kind == TABLE_USERS)
        table_read_users(r, file->mode);
    else
        table_read_aliases(r);
    if (r->fault == FAULT_NONE)
        index_rows(r);
    if (r->fault == FAULT_NONE && r->table->kind == TABLE_ALIASES && r->report.errors == 0)
        table_find_loops(r);
}

enum fault table_load(enum table_kind kind, const struct config_file *file, const char *file_name,
                      struct buffer *errors_out, struct table **table_out)
{
    struct table_reader r = {.table = table_new(kind), .text = file->text};
    if (r.table == NULL)
        return FAULT_NO_MEMORY;
    report_init(&r.report, file->text, file_name, errors_out);
    read_all(&r, file);
    free(r.places);
    if (!report_end(&r.report) && r.fault == FAULT_NONE)
        r.fault = FAULT_SYNTAX;
    if (r.fault == FAULT_NONE)
        *table_out = r.table;
    else
        table_release(r.table);
    return r.fault;
}

struct table *table_retain(struct table *t)
{
    uint32_t before = atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
    check(before > 0 && before < UINT32_MAX);
    return t;
}

void table_release(struct table *t)
{
    if (t == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel);
    check(before > 0);
    if (before > 1)
        return;
    map_fini(&t->rows);
    arena_fini(&t->memory);
    free(t->kind == TABLE_USERS ? (void *)t->users : (void *)t->aliases);
    free(t);
}

static const void *find(const struct table *t, struct span name)
{
    uint8_t lower[TABLE_NAME_MAX];
    if (name.len > sizeof lower)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = byte_lower(name.data[i]);
    return map_get(&t->rows, span_of(lower, name.len));
}

const struct table_user *table_find_user(const struct table *t, struct span name)
{
    check(t->kind == TABLE_USERS);
    return find(t, name);
}

const struct table_alias *table_find_alias(const struct table *t, struct span name)
{
    check(t->kind == TABLE_ALIASES);
    return find(t, name);
}

bool table_all_have_ids(const struct table *t)
{
    check(t->kind == TABLE_USERS);
    for (uint32_t i = 0; i < t->count; i++)
        if (!t->users[i].has_ids)
            return false;
    return true;
}

uint32_t table_row_count(const struct table *t)
{
    return t->count;
}
