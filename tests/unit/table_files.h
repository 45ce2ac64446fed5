/*
 * table_files: settings out of texts: a configuration, and the files that it names.
 */
#ifndef TESTS_UNIT_TABLE_FILES_H
#define TESTS_UNIT_TABLE_FILES_H

#include "tests/unit/expect.h"

#include "config/config.h"

#define TABLE_FILES_ERRORS_MAX (64u * 1024)

struct table_file {
    const char *path, *text;
    uint32_t mode;
};

/* A list of them ends with a path NULL. The context of config_files.read. */
static inline enum fault table_files_read(void *context, const char *path, size_t bytes_max,
                                          struct config_file *file_out)
{
    for (const struct table_file *f = context; f->path != NULL; f++) {
        if (strcmp(f->path, path) != 0)
            continue;
        *file_out = (struct config_file){span_text(f->text), f->mode == 0 ? 0600 : f->mode};
        return file_out->text.len > bytes_max ? FAULT_TOO_BIG : FAULT_NONE;
    }
    return FAULT_NOT_FOUND;
}

/* The caller releases them; `errors` is initialised here. NULL: there are errors. */
static inline struct settings *table_files_try(const char *text, const struct table_file *files,
                                               struct buffer *errors)
{
    struct settings *s = NULL;
    struct config_files reader = {table_files_read, (void *)(uintptr_t)files};
    buffer_init(errors, TABLE_FILES_ERRORS_MAX);
    enum fault fault = config_parse(span_text(text), "f", errors, &s);
    if (fault == FAULT_NONE)
        fault = config_load_tables(s, &reader, errors);
    assert_int_equal(fault != FAULT_NONE, errors->len > 0);
    if (fault == FAULT_NONE)
        return s;
    settings_release(s);
    return NULL;
}

static inline struct settings *table_files_settings(const char *text,
                                                    const struct table_file *files)
{
    struct buffer errors;
    struct settings *s = table_files_try(text, files, &errors);
    if (s == NULL)
        print_span("refused", buffer_span(&errors));
    assert_non_null(s);
    buffer_fini(&errors);
    return s;
}

#endif
