/*
 * reload: asks the running server to read its configuration again.
 */
#include <stdio.h>
#include <sysexits.h>

#include "cli/cli.h"
#include "cli/client.h"

/* What has changed, or every error as `config check` says them. */
static void on_row(struct cli *c, const char *line, json_t *row)
{
    const char *text = row_text(row, "text");
    if (c->json)
        printf("%s\n", line);
    else
        fprintf(stderr, "%s", text);
}

int cli_reload(struct cli *c)
{
    if (c->argument_count > 0)
        return cli_usage(c, "reload takes no more words");
    const char *words[] = {"reload"};
    int code = client_ask(c, words, 1, on_row);
    if (code == EX_OK && !c->json)
        printf("reloaded\n");
    return code;
}
