/*
 * serve: runs the server.
 */
#include "cli/cli.h"
#include "supervisor/supervisor.h"

int cli_serve(struct cli *c)
{
    if (c->argument_count > 0)
        return cli_usage(c, "serve takes no more words");
    return supervisor_run(c->world, c->config);
}
