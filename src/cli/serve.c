/*
 * serve: runs the server.
 */
#include <stdio.h>
#include <sysexits.h>

#include "cli/cli.h"
#include "supervisor/supervisor.h"

int cli_serve(struct cli *c)
{
    int code;
    if (c->argument_count > 0)
        return cli_usage(c, "serve takes no more words");
    const struct settings *settings = cli_settings(c, &code);
    if (settings == NULL)
        return code;
    if (settings->listener_count == 0) {
        fprintf(stderr, "postrider: %s has no 'listen smtp' block: there is nothing to serve\n",
                c->config);
        code = EX_CONFIG;
    } else {
        code = supervisor_run(c->world, settings);
    }
    settings_release(settings);
    return code;
}
