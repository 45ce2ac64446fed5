/*
 * config: the commands about the configuration, and what every other command reads of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "cli/cli.h"
#include "config/config.h"

#define TEXT_MAX (4u * 1024 * 1024) /* of errors or of a configuration shown */

struct file {
    uint8_t *bytes; /* malloc'ed */
    size_t len;
    uint32_t mode;
};

/* The whole file, but of a longer one no more than `most` bytes and one, so that it can be told.
   False: errno says why not. */
static bool read_whole(const char *path, size_t most, struct file *file_out)
{
    struct stat status;
    FILE *f = fopen(path, "re");
    *file_out = (struct file){NULL, 0, 0};
    if (f == NULL)
        return false;
    bool ok = fstat(fileno(f), &status) == 0;
    if (ok && S_ISREG(status.st_mode) && (uint64_t)status.st_size < most)
        most = (size_t)status.st_size;
    file_out->bytes = ok ? malloc(most + 1) : NULL;
    if (file_out->bytes != NULL)
        file_out->len = fread(file_out->bytes, 1, most + 1, f);
    ok = file_out->bytes != NULL && ferror(f) == 0;
    int error = errno;
    (void)fclose(f);
    if (!ok)
        free(file_out->bytes);
    file_out->mode = status.st_mode & 0777;
    errno = error;
    return ok;
}

/* malloc'ed, or NULL after saying why not. */
static uint8_t *read_file(const char *path, size_t *len_out)
{
    struct file file;
    if (!read_whole(path, CONFIG_BYTES_MAX, &file)) {
        fprintf(stderr, "postrider: cannot read the configuration %s: %s\n", path, strerror(errno));
        return NULL;
    }
    *len_out = file.len;
    return file.bytes;
}

struct settings *cli_settings(const struct cli *c, int *code_out)
{
    size_t len = 0;
    uint8_t *text = read_file(c->config, &len);
    *code_out = EX_CONFIG;
    if (text == NULL)
        return NULL;
    struct buffer errors;
    struct settings *settings = NULL;
    buffer_init(&errors, TEXT_MAX);
    enum fault fault = config_parse(span_of(text, len), c->config, &errors, &settings);
    if (fault != FAULT_NONE) {
        fprintf(stderr, "%.*s", SPAN_PRINT(buffer_span(&errors)));
        if (errors.len == 0)
            fprintf(stderr, "postrider: %s: %s\n", c->config, fault_text(fault));
        settings = NULL;
    }
    buffer_fini(&errors);
    free(text);
    return settings;
}

bool cli_control(const struct cli *c, struct buffer *out)
{
    size_t len = 0;
    uint8_t *text = read_file(c->config, &len);
    bool ok = text != NULL && config_control(span_of(text, len), out) && buffer_put_u8(out, 0);
    free(text);
    return ok;
}

/* Of config_files: one file at a time. */
static enum fault read_table(void *context, const char *path, size_t bytes_max,
                             struct config_file *file_out)
{
    struct file *file = context;
    free(file->bytes);
    if (!read_whole(path, bytes_max, file)) {
        file->bytes = NULL;
        return errno == ENOENT || errno == ENOTDIR ? FAULT_NOT_FOUND
               : errno == EACCES                   ? FAULT_DENIED
                                                   : FAULT_DISK_ERROR;
    }
    *file_out = (struct config_file){span_of(file->bytes, file->len), file->mode};
    return file->len > bytes_max ? FAULT_TOO_BIG : FAULT_NONE;
}

/* The files that the settings name; an exit code, after saying what is wrong. */
static int check_tables(struct settings *settings)
{
    struct buffer errors;
    struct file file = {NULL, 0, 0};
    struct config_files files = {.read = read_table, .context = &file};
    buffer_init(&errors, TEXT_MAX);
    enum fault fault = config_load_tables(settings, &files, &errors);
    fprintf(stderr, "%.*s", SPAN_PRINT(buffer_span(&errors)));
    if (fault == FAULT_NO_MEMORY)
        fprintf(stderr, "postrider: %s\n", fault_text(fault));
    buffer_fini(&errors);
    free(file.bytes);
    return fault == FAULT_NONE ? EX_OK : EX_CONFIG;
}

static void advise(const struct settings *settings)
{
    struct buffer text;
    buffer_init(&text, TEXT_MAX);
    (void)config_advice(settings, &text);
    for (struct span rest = buffer_span(&text), line; rest.len > 0;) {
        rest = span_split(rest, '\n', &line);
        fprintf(stderr, "warning: %.*s\n", SPAN_PRINT(line));
    }
    buffer_fini(&text);
}

int cli_config_check(struct cli *c)
{
    int code;
    if (c->argument_count > 0)
        return cli_usage(c, "config check takes no more words");
    struct settings *settings = cli_settings(c, &code);
    if (settings == NULL)
        return code;
    code = check_tables(settings);
    if (code == EX_OK) {
        printf("%s: ok\n", c->config);
        advise(settings);
    }
    settings_release(settings);
    return code;
}

static int print(const struct buffer *text, bool is_whole)
{
    if (!is_whole) {
        fprintf(stderr, "postrider: out of memory\n");
        return EX_OSERR;
    }
    return fwrite(text->data, 1, text->len, stdout) == text->len ? EX_OK : EX_IOERR;
}

int cli_config_show(struct cli *c)
{
    int code;
    if (c->argument_count > 0)
        return cli_usage(c, "config show takes no more words");
    const struct settings *settings = cli_settings(c, &code);
    if (settings == NULL)
        return code;
    struct buffer out;
    buffer_init(&out, TEXT_MAX);
    bool is_whole = config_show(settings, c->all, &out);
    code = print(&out, is_whole);
    buffer_fini(&out);
    settings_release(settings);
    return code;
}

int cli_config_sample(struct cli *c)
{
    struct buffer out;
    if (c->argument_count > 0)
        return cli_usage(c, "config sample takes no more words");
    buffer_init(&out, TEXT_MAX);
    bool is_whole = config_sample(&out);
    int code = print(&out, is_whole);
    buffer_fini(&out);
    return code;
}

int cli_config_manual(struct cli *c)
{
    struct buffer out;
    if (c->argument_count > 0)
        return cli_usage(c, "config manual takes no more words");
    buffer_init(&out, TEXT_MAX);
    bool is_whole = config_reference(&out);
    int code = print(&out, is_whole);
    buffer_fini(&out);
    return code;
}
