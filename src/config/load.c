/*
 * load: the tables that settings name (config_load_tables in config.h).
 *
 * A file that several domains name is read once. All errors of all files are told at once.
 */
#include "base/check.h"
#include "base/map.h"
#include "config/config.h"
#include "config/report.h"

/* A file that was read, or could not be. */
struct loaded {
    struct span path;
    struct table *table; /* a reference; NULL after an error */
};

struct loading {
    struct settings *settings;
    const struct config_files *files;
    struct buffer *errors;
    struct map loaded[2]; /* by enum table_kind */
    enum fault fault;     /* NONE or SYNTAX so far, or NO_MEMORY, and then no more is read */
};

static struct span path_of(const void *loaded)
{
    return ((const struct loaded *)loaded)->path;
}

static void read_table(struct loading *l, enum table_kind kind, struct loaded *to)
{
    const char *path = (const char *)to->path.data;
    struct config_file file = {.text = {NULL, 0}};
    enum fault fault = l->files->read(l->files->context, path, TABLE_BYTES_MAX, &file);
    if (fault == FAULT_NONE) {
        fault = table_load(kind, &file, path, l->errors, &to->table);
    } else if (fault != FAULT_NO_MEMORY) {
        const char *why = fault == FAULT_TOO_BIG ? "it is too large" : fault_text(fault);
        buffer_printf(l->errors, "%s: the file of %s cannot be read: %s\n", path,
                      kind == TABLE_USERS ? "users" : "aliases", why);
        fault = FAULT_SYNTAX;
    }
    if (fault != FAULT_NONE)
        l->fault = fault;
}

/* The table of this file, with a reference for the caller; NULL: none is named, or it has errors.
 */
static struct table *load(struct loading *l, enum table_kind kind, const char *path)
{
    if (path == NULL || l->fault == FAULT_NO_MEMORY)
        return NULL;
    struct loaded *known = map_get(&l->loaded[kind], span_text(path));
    if (known == NULL) {
        known = arena_alloc(&l->settings->memory, sizeof *known);
        if (known != NULL)
            known->path = span_text(path);
        if (known == NULL || !map_put(&l->loaded[kind], known)) {
            l->fault = FAULT_NO_MEMORY;
            return NULL;
        }
        read_table(l, kind, known);
    }
    return known->table == NULL ? NULL : table_retain(known->table);
}

static void end(struct map *loaded)
{
    size_t at = 0;
    for (struct loaded *l = map_next(loaded, &at); l != NULL; l = map_next(loaded, &at))
        table_release(l->table);
    map_fini(loaded);
}

enum fault config_load_tables(struct settings *s, const struct config_files *files,
                              struct buffer *errors_out)
{
    struct loading l = {.settings = s, .files = files, .errors = errors_out};
    check(s->aliases == NULL);
    map_init(&l.loaded[TABLE_USERS], path_of, 0);
    map_init(&l.loaded[TABLE_ALIASES], path_of, 0);
    s->aliases = load(&l, TABLE_ALIASES, s->aliases_file);
    for (uint32_t i = 0; i < s->domains_count; i++) {
        struct domain_settings *d = s->domains[i];
        d->users = load(&l, TABLE_USERS, d->users_file);
        d->aliases = load(&l, TABLE_ALIASES, d->aliases_file);
    }
    end(&l.loaded[TABLE_USERS]);
    end(&l.loaded[TABLE_ALIASES]);
    return l.fault;
}
