/*
 * cli: the command line: finds the command (command.def), reads its options, runs it.
 *
 * What people read goes to standard output as text, or as JSON lines with --json; what is wrong
 * goes to standard error in one sentence. Exit codes are those of sysexits(3).
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/buffer.h"
#include "config/settings.h"
#include "os/world.h"

#define CLI_CONFIG_DEFAULT "/etc/postrider/postrider.conf"
#define CLI_ARGUMENTS_MAX  8

/* One call of the program. */
struct cli {
    struct world *world;
    const char *config; /* --config */
    const char *first;  /* the command's words */
    const char *second;
    const char *limit;                                /* --limit */
    const char *where;                                /* --where */
    const char *to;                                   /* --to */
    const char *from, *header, *body, *file, *server; /* of `send` */
    bool json, all, yes, brief;
    long long counted; /* before a question */
    bool has_progress; /* a line of it stands on the terminal */
    const char *arguments[CLI_ARGUMENTS_MAX];
    int argument_count;
};

int cli_main(struct world *w, int argc, char **argv);

/* The commands; each answers the exit code. */
#define COMMAND(first, second, function, arguments, help) int cli_##function(struct cli *c);
#include "cli/command.def"
#undef COMMAND

/* Shared by commands: the settings of c->config, or NULL after every error was said; *code_out is
   then the exit code. */
struct settings *cli_settings(const struct cli *c, int *code_out);
/* The path of the control socket, ended by NUL, also when the configuration has errors. False: it
   was said why not. */
bool cli_control(const struct cli *c, struct buffer *out);
/* Says how the command is used; EX_USAGE. */
int cli_usage(const struct cli *c, const char *wrong);

#endif
