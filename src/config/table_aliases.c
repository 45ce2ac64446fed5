/*
 * table_aliases: the lines of an aliases file; see table.h.
 *
 * An entry begins in the first column with its name and a colon; lines that begin with a blank go
 * on with its addresses. After an error the rest of the entry is not looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "config/network.h"
#include "config/table_inside.h"

#define LOCAL_MAX 64 /* RFC 5321 4.5.3.1.1; as written, quotes included */

struct entry {
    bool is_open;     /* there is one to be gone on with */
    bool needs_comma; /* an address stands before */
    struct span name; /* kept */
    struct place place;
    struct span *targets; /* malloc'ed, for all entries */
    uint32_t count, capacity;
};

/* An address of the file, or a name, in its parts. */
struct parts {
    struct span local;  /* as written; empty: "@domain" */
    struct span domain; /* empty: none */
    bool has_domain;
    bool is_quoted;
};

static bool complain(struct table_reader *r, struct span word, size_t at, const char *what)
{
    struct span shown = report_word(word);
    report_error(&r->report, table_place(r, at), "'%.*s': %s", SPAN_PRINT(shown), what);
    return false;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* Bytes of the word at `at`: to a blank or `stop`, outside of quotes. */
static size_t word_len(struct span line, size_t at, uint8_t stop)
{
    bool is_quoted = false;
    size_t i = at;
    for (; i < line.len; i++) {
        uint8_t byte = line.data[i];
        if (is_quoted && byte == '\\' && i + 1 < line.len)
            i++;
        else if (byte == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && (byte == stop || is_blank(byte)))
            break;
    }
    return i - at;
}

/* Addresses --------------------------------------------------------------------------------------
 */

/* Bytes of the quoted string that `word` begins with, 0: it is not closed. */
static size_t quoted_len(struct span word)
{
    for (size_t i = 1; i < word.len; i++) {
        if (word.data[i] == '\\')
            i++;
        else if (word.data[i] == '"')
            return i + 1;
    }
    return 0;
}

static const char *split(struct span word, struct parts *p)
{
    *p = (struct parts){.is_quoted = word.len > 0 && word.data[0] == '"'};
    size_t local = p->is_quoted ? quoted_len(word) : span_find_byte(word, '@', 0);
    if (p->is_quoted && local == 0)
        return "the quote is not closed";
    p->local = span_sub(word, 0, local);
    struct span rest = span_skip(word, local);
    p->has_domain = rest.len > 0 && rest.data[0] == '@';
    if (rest.len > 0 && !p->has_domain)
        return "after the quoted part there must be an @";
    p->domain = span_skip(rest, 1);
    if (p->local.len > LOCAL_MAX)
        return "before the @ there are at most 64 bytes (RFC 5321 4.5.3.1.1)";
    if (p->has_domain && !network_is_host_name(p->domain, true))
        return "after the @ there must be a domain such as example.org";
    if (p->local.len > 0 && !p->is_quoted && !table_is_dot_string(p->local))
        return "this is no address";
    return NULL;
}

/* The local part without quotes and backslashes. */
static struct span unquoted(struct span local, uint8_t text_out[LOCAL_MAX])
{
    size_t len = 0;
    for (size_t i = 1; i + 1 < local.len; i++) {
        if (local.data[i] == '\\')
            i++;
        text_out[len++] = local.data[i];
    }
    return span_of(text_out, len);
}

/* What other programs take in such files, and this one does not. */
static const char *refuse_other(struct span word)
{
    struct span bare = word.len > 0 && word.data[0] == '"' ? span_skip(word, 1) : word;
    if (bare.len > 0 && bare.data[0] == '|')
        return "commands are not run from aliases; a domain's `deliver pipe:` does that";
    if (bare.len > 0 && bare.data[0] == '/')
        return "mail is not written to files; a domain's `deliver maildir:` does that";
    if (span_starts_with_nocase(bare, SPAN(":include:")))
        return "other files are not included";
    if (bare.len > 0 && bare.data[0] == '\\')
        return "a name needs no backslash; an alias may name itself";
    return NULL;
}

/* Entries ----------------------------------------------------------------------------------------
 */

static bool keep_target(struct table_reader *r, struct entry *e, struct span word)
{
    if (e->count == e->capacity) {
        uint32_t capacity = e->capacity == 0 ? 16 : e->capacity * 2;
        struct span *larger = realloc(e->targets, capacity * sizeof *larger);
        if (larger == NULL) {
            r->fault = FAULT_NO_MEMORY;
            return false;
        }
        e->targets = larger;
        e->capacity = capacity;
    }
    struct span copy = arena_copy(&r->table->memory, word);
    if (copy.data == NULL) {
        r->fault = FAULT_NO_MEMORY;
        return false;
    }
    e->targets[e->count++] = copy;
    return true;
}

static bool take_target(struct table_reader *r, struct entry *e, struct span word, size_t at)
{
    struct parts p;
    const char *wrong = refuse_other(word);
    if (wrong == NULL)
        wrong = split(word, &p);
    if (wrong == NULL && p.local.len == 0)
        wrong = "the name before the @ is missing";
    if (wrong == NULL && e->count == TABLE_TARGETS_MAX)
        wrong = "an alias has at most 10000 addresses";
    return wrong == NULL ? keep_target(r, e, word) : complain(r, word, at, wrong);
}

/* Addresses with commas between them; false: one was wrong. */
static bool take_targets(struct table_reader *r, struct entry *e, struct span line, size_t at)
{
    while (at < line.len) {
        if (is_blank(line.data[at])) {
            at++;
        } else if (line.data[at] == '#') {
            return true;
        } else if (line.data[at] == ',') {
            if (!e->needs_comma)
                return complain(r, SPAN(","), at, "there is no address before it");
            e->needs_comma = false;
            at++;
        } else {
            size_t len = word_len(line, at, ',');
            struct span word = span_sub(line, at, len);
            if (e->needs_comma)
                return complain(r, word, at, "a comma is missing before it");
            if (!take_target(r, e, word, at))
                return false;
            e->needs_comma = true;
            at += len;
        }
    }
    return true;
}

/* "name", "name@domain" or "@domain", as it is looked up. */
static bool take_name(struct table_reader *r, struct entry *e, struct span word)
{
    struct parts p;
    uint8_t text[LOCAL_MAX], key[TABLE_NAME_MAX];
    const char *wrong = word.len == 0 ? "the name is missing" : split(word, &p);
    if (wrong != NULL)
        return complain(r, word, 0, wrong);
    struct span local = p.is_quoted ? unquoted(p.local, text) : p.local;
    if (!p.has_domain && (local.len == 0 || span_find_byte(local, '@', 0) < local.len))
        return complain(r, word, 0, "a name without a domain must not be empty or have an @ in it");
    memcpy(key, local.data, local.len);
    size_t len = local.len;
    if (p.has_domain) {
        key[len++] = '@';
        memcpy(key + len, p.domain.data, p.domain.len);
        len += p.domain.len;
    }
    e->name = table_name(r, span_of(key, len));
    return e->name.data != NULL;
}

static void begin_entry(struct table_reader *r, struct entry *e, struct span line)
{
    size_t len = word_len(line, 0, ':'), at = len;
    e->place = table_place(r, 0);
    e->count = 0;
    e->needs_comma = false;
    e->is_open = false;
    while (at < line.len && is_blank(line.data[at]))
        at++;
    if (at == line.len || line.data[at] != ':')
        (void)complain(r, span_sub(line, 0, len), at, "a colon is missing behind the name");
    else if (take_name(r, e, span_sub(line, 0, len)))
        e->is_open = take_targets(r, e, line, at + 1);
}

static void end_entry(struct table_reader *r, struct entry *e)
{
    struct table *t = r->table;
    if (!e->is_open || r->fault != FAULT_NONE)
        return;
    e->is_open = false;
    if (e->count == 0) {
        struct span shown = report_word(e->name);
        report_error(&r->report, e->place, "'%.*s' has no address", SPAN_PRINT(shown));
        return;
    }
    struct span *targets = arena_alloc(&t->memory, e->count * sizeof *targets);
    if (targets == NULL) {
        r->fault = FAULT_NO_MEMORY;
        return;
    }
    memcpy(targets, e->targets, e->count * sizeof *targets);
    void *rows = t->aliases;
    struct table_alias *row = table_grow(r, &rows, sizeof *row, e->place);
    t->aliases = rows;
    if (row != NULL)
        *row = (struct table_alias){e->name, targets, e->count};
}

void table_read_aliases(struct table_reader *r)
{
    struct entry e = {.is_open = false};
    struct span line;
    bool is_bad, is_skipping = false;
    while (table_line(r, &line, &is_bad)) {
        if (is_bad) {
            e.is_open = false;
            is_skipping = true;
        } else if (table_is_rest(line)) {
            continue;
        } else if (!is_blank(line.data[0])) {
            end_entry(r, &e);
            begin_entry(r, &e, line);
            is_skipping = !e.is_open;
        } else if (e.is_open) {
            e.is_open = take_targets(r, &e, line, 0);
            is_skipping = !e.is_open;
        } else if (!is_skipping) {
            report_error(&r->report, r->place,
                         "the line begins with a blank, but there is nothing to go on with");
            is_skipping = true;
        }
    }
    end_entry(r, &e);
    free(e.targets);
}

/* Loops ------------------------------------------------------------------------------------------
 */

/* Of a search in depth. */
struct search {
    struct table_reader *reader;
    uint8_t *marks;  /* of each row */
    uint32_t *path;  /* rows */
    uint32_t *nexts; /* of each of the path: its next target */
    uint32_t depth;
};

enum mark { UNSEEN, ON_PATH, SEEN };

/* The row that a target without a domain leads to, or count. One that names itself is no loop: it
   means the user. */
static uint32_t row_of(const struct table *t, uint32_t from, struct span target)
{
    bool is_plain = target.data[0] != '"' && span_find_byte(target, '@', 0) == target.len;
    const struct table_alias *row = is_plain ? table_find_alias(t, target) : NULL;
    return row == NULL || row == &t->aliases[from] ? t->count : (uint32_t)(row - t->aliases);
}

static void push(struct search *s, uint32_t row)
{
    s->marks[row] = ON_PATH;
    s->path[s->depth] = row;
    s->nexts[s->depth++] = 0;
}

static void search_from(struct search *s, uint32_t begin)
{
    const struct table *t = s->reader->table;
    push(s, begin);
    while (s->depth > 0) {
        uint32_t row = s->path[s->depth - 1], next = s->nexts[s->depth - 1]++;
        if (next == t->aliases[row].target_count) {
            s->marks[row] = SEEN;
            s->depth--;
            continue;
        }
        uint32_t to = row_of(t, row, t->aliases[row].targets[next]);
        if (to == t->count || s->marks[to] == SEEN)
            continue;
        if (s->marks[to] == UNSEEN) {
            push(s, to);
            continue;
        }
        struct span name = report_word(t->aliases[to].name);
        report_error(&s->reader->report, s->reader->places[row], "this leads back to '%.*s'",
                     SPAN_PRINT(name));
    }
}

void table_find_loops(struct table_reader *r)
{
    uint32_t count = r->table->count;
    struct search s = {.reader = r,
                       .marks = calloc(count + 1, 1),
                       .path = calloc(count + 1, sizeof *s.path),
                       .nexts = calloc(count + 1, sizeof *s.nexts)};
    if (s.marks == NULL || s.path == NULL || s.nexts == NULL)
        r->fault = FAULT_NO_MEMORY;
    for (uint32_t i = 0; i < count && r->fault == FAULT_NONE; i++)
        if (s.marks[i] == UNSEEN)
            search_from(&s, i);
    free(s.marks);
    free(s.path);
    free(s.nexts);
}
