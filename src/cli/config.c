/*
 * config: the commands about the configuration, and what every other command reads of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/cli.h"
#include "config/config.h"

#define TEXT_MAX (4u * 1024 * 1024) /* of errors or of a configuration shown */

/* The whole file, malloc'ed, or NULL after saying why not. One byte more than may be is read, so
   that config_parse can tell. */
static uint8_t *read_file(const char *path, size_t *len_out)
{
    size_t most = (size_t)CONFIG_BYTES_MAX + 1;
    FILE *f = fopen(path, "re");
    uint8_t *bytes = f == NULL ? NULL : malloc(most);
    if (bytes != NULL)
        *len_out = fread(bytes, 1, most, f);
    if (bytes == NULL || ferror(f) != 0) {
        fprintf(stderr, "postrider: cannot read the configuration %s: %s\n", path, strerror(errno));
        free(bytes);
        bytes = NULL;
    }
    if (f != NULL)
        (void)fclose(f);
    return bytes;
}

const struct settings *cli_settings(const struct cli *c, int *code_out)
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

int cli_config_check(struct cli *c)
{
    int code;
    if (c->argument_count > 0)
        return cli_usage(c, "config check takes no more words");
    const struct settings *settings = cli_settings(c, &code);
    if (settings == NULL)
        return code;
    settings_release(settings);
    printf("%s: ok\n", c->config);
    return EX_OK;
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
