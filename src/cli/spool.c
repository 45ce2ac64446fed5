/*
 * spool: the commands that read a spool's files, with or without a server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/cli.h"
#include "spool/examine.h"

/* The spool's folder: an argument, or that of the configuration; malloc'ed, NULL after saying why.
 */
static char *find_folder(const struct cli *c, int argument, int *code_out)
{
    if (c->argument_count > argument)
        return strdup(c->arguments[argument]);
    const struct settings *settings = cli_settings(c, code_out);
    char *folder = settings == NULL ? NULL : strdup(settings->spool);
    settings_release(settings);
    return folder;
}

static int code_of(enum fault fault)
{
    switch ((int)fault) {
    case FAULT_NONE:
        return EX_OK;
    case FAULT_NOT_FOUND:
        return EX_NOINPUT;
    case FAULT_DENIED:
        return EX_NOPERM;
    case FAULT_DISK_LOCKED:
        return EX_UNAVAILABLE;
    case FAULT_DAMAGED:
        return EX_DATAERR;
    default:
        return EX_IOERR;
    }
}

int cli_spool_verify(struct cli *c)
{
    int code = EX_OSERR;
    bool is_clean = false;
    if (c->argument_count > 1)
        return cli_usage(c, "spool verify takes one folder");
    char *folder = find_folder(c, 0, &code);
    if (folder == NULL)
        return code;
    enum fault fault =
        examine_verify(c->world, folder, c->json ? EXAMINE_JSON : EXAMINE_TEXT, stdout, &is_clean);
    free(folder);
    return fault == FAULT_NONE && !is_clean ? EX_DATAERR : code_of(fault);
}

int cli_spool_dump(struct cli *c)
{
    int code = EX_OSERR;
    if (c->argument_count > 1)
        return cli_usage(c, "spool dump takes one folder");
    char *folder = find_folder(c, 0, &code);
    if (folder == NULL)
        return code;
    enum fault fault =
        examine_dump(c->world, folder, c->json ? EXAMINE_JSON : EXAMINE_TEXT, stdout);
    free(folder);
    return code_of(fault);
}

int cli_spool_export(struct cli *c)
{
    int code = EX_OSERR;
    if (c->argument_count < 1 || c->argument_count > 2)
        return cli_usage(c, "spool export takes the folder to write to");
    char *folder = find_folder(c, 1, &code);
    if (folder == NULL)
        return code;
    enum fault fault = examine_export(c->world, folder, c->arguments[0], stdout);
    free(folder);
    return code_of(fault);
}
