#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define VERSION "0.1.0"

struct command_row {
    const char *first, *second;
    int (*run)(struct cli *c);
    const char *arguments, *help;
};

static const struct command_row rows[] = {
#define COMMAND(first, second, function, arguments, help) \
    {first, second, cli_##function, arguments, help},
#include "cli/command.def"
#undef COMMAND
};

#define ROWS (sizeof rows / sizeof rows[0])

static void print_row(FILE *to, const struct command_row *r)
{
    char call[192];
    (void)snprintf(call, sizeof call, "%s%s%s %s", r->first, r->second[0] == '\0' ? "" : " ",
                   r->second, r->arguments);
    fprintf(to, "  %-36s  %s\n", call, r->help);
}

static int help(FILE *to)
{
    fprintf(to, "postrider, a mail transfer agent\n\n"
                "usage: postrider COMMAND [--config FILE]\n\n");
    for (size_t i = 0; i < ROWS; i++)
        print_row(to, &rows[i]);
    fprintf(to, "\n  --config FILE   the configuration (default " CLI_CONFIG_DEFAULT ")\n"
                "  --json          one JSON object a line, for programs\n"
                "  --help          this, or of one command\n"
                "  --version\n");
    return to == stdout ? EX_OK : EX_USAGE;
}

int cli_usage(const struct cli *c, const char *wrong)
{
    fprintf(stderr, "postrider: %s\n", wrong);
    for (size_t i = 0; i < ROWS; i++) {
        const char *second = c->second == NULL ? "" : c->second;
        if (strcmp(rows[i].first, c->first) == 0 && strcmp(rows[i].second, second) == 0)
            print_row(stderr, &rows[i]);
    }
    return EX_USAGE;
}

static const struct command_row *find(const char *first, const char *second)
{
    for (size_t i = 0; i < ROWS; i++) {
        bool has_second = rows[i].second[0] != '\0';
        if (strcmp(rows[i].first, first) == 0 &&
            (!has_second || (second != NULL && strcmp(rows[i].second, second) == 0)))
            return &rows[i];
    }
    return NULL;
}

static int unknown(const char *first, const char *second)
{
    bool is_family = false;
    for (size_t i = 0; i < ROWS; i++)
        is_family |= strcmp(rows[i].first, first) == 0;
    if (!is_family) {
        fprintf(stderr, "postrider: there is no command '%s'; see postrider --help\n", first);
        return EX_USAGE;
    }
    if (second == NULL)
        fprintf(stderr, "postrider: '%s' needs one more word:\n", first);
    else
        fprintf(stderr, "postrider: there is no command '%s %s', but:\n", first, second);
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].first, first) == 0)
            print_row(stderr, &rows[i]);
    return EX_USAGE;
}

/* Options may stand anywhere. *words gets what is no option. -1: go on, else the exit code. */
static int read_options(struct cli *c, int argc, char **argv, const char **words, int *word_count)
{
    bool wants_help = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char **value = NULL;
        if (strcmp(word, "--config") == 0 || strcmp(word, "-c") == 0)
            value = &c->config;
        else if (strcmp(word, "--limit") == 0)
            value = &c->limit;
        else if (strcmp(word, "--where") == 0)
            value = &c->where;
        else if (strcmp(word, "--to") == 0)
            value = &c->to;
        else if (strcmp(word, "--from") == 0)
            value = &c->from;
        else if (strcmp(word, "--header") == 0)
            value = &c->header;
        else if (strcmp(word, "--body") == 0)
            value = &c->body;
        else if (strcmp(word, "--file") == 0)
            value = &c->file;
        else if (strcmp(word, "--server") == 0)
            value = &c->server;
        else if (strcmp(word, "--json") == 0)
            c->json = true;
        else if (strcmp(word, "--brief") == 0)
            c->brief = true;
        else if (strcmp(word, "--yes") == 0 || strcmp(word, "-y") == 0)
            c->yes = true;
        else if (strcmp(word, "--all") == 0)
            c->all = true;
        else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            wants_help = true;
        else if (strcmp(word, "--version") == 0)
            return printf("postrider " VERSION "\n") < 0 ? EX_IOERR : EX_OK;
        else if (word[0] == '-' && word[1] != '\0')
            return fprintf(stderr, "postrider: there is no option '%s'\n", word), EX_USAGE;
        else if (*word_count < CLI_ARGUMENTS_MAX)
            words[(*word_count)++] = word;
        else
            return fprintf(stderr, "postrider: too many words\n"), EX_USAGE;
        if (value != NULL && ++i == argc)
            return fprintf(stderr, "postrider: %s needs a value\n", word), EX_USAGE;
        if (value != NULL)
            *value = argv[i];
    }
    if (!wants_help)
        return -1;
    const struct command_row *r =
        *word_count == 0 ? NULL : find(words[0], *word_count > 1 ? words[1] : NULL);
    if (r == NULL)
        return help(stdout);
    print_row(stdout, r);
    return EX_OK;
}

int cli_main(struct world *w, int argc, char **argv)
{
    struct cli c = {.world = w, .config = CLI_CONFIG_DEFAULT};
    const char *words[CLI_ARGUMENTS_MAX];
    int word_count = 0;
    int code = read_options(&c, argc, argv, words, &word_count);
    if (code >= 0)
        return code;
    if (word_count == 0)
        return help(stderr);
    const char *second = word_count > 1 ? words[1] : NULL;
    const struct command_row *r = find(words[0], second);
    if (r == NULL)
        return unknown(words[0], second);
    c.first = r->first;
    c.second = r->second;
    int used = r->second[0] == '\0' ? 1 : 2;
    for (int i = used; i < word_count; i++)
        c.arguments[c.argument_count++] = words[i];
    code = r->run(&c);
    if (fflush(stdout) != 0 && code == EX_OK)
        code = EX_IOERR;
    return code;
}
