/*
 * queue: the commands about the messages that wait.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/calendar.h"
#include "base/encode.h"
#include "cli/client.h"

#define TEXT_MAX 4096

/* Addresses and replies come from strangers: nothing of them may reach a terminal as it is. */
static void print_safe(const char *text)
{
    struct buffer b;
    buffer_init(&b, 4 * TEXT_MAX);
    (void)encode_escaped(&b, span_sub(span_text(text), 0, TEXT_MAX));
    printf("%.*s", SPAN_PRINT(buffer_span(&b)));
    buffer_fini(&b);
}

static void print_when(long long wall_ms)
{
    char text[CALENDAR_ISO_LEN + 1];
    calendar_format_iso(wall_ms, text);
    printf("%.19sZ", text);
}

static void on_json(struct cli *c, const char *line, json_t *row)
{
    (void)c;
    (void)row;
    puts(line);
}

/* ID STATE BYTES ARRIVAL <sender> -> <recipient> ... last reply */
static void print_listed(struct cli *c, const char *line, json_t *row)
{
    (void)c;
    (void)line;
    printf("%s %-8s %9lld ", row_text(row, "id"), row_text(row, "state"), row_number(row, "bytes"));
    print_when(row_number(row, "arrival_ms"));
    printf(" <");
    print_safe(row_text(row, "sender"));
    printf("> ->");
    size_t i;
    json_t *recipient;
    const json_t *recipients = json_object_get(row, "recipients");
    size_t shown = 3;
    json_array_foreach(recipients, i, recipient)
    {
        if (i == shown)
            break;
        printf(" <");
        print_safe(json_string_value(recipient));
        printf(">");
    }
    if (json_array_size(recipients) > shown)
        printf(" and %zu more", json_array_size(recipients) - shown);
    if (row_number(row, "attempts") > 0) {
        printf("; attempt %lld, next ", row_number(row, "attempts") + 1);
        print_when(row_number(row, "due_ms"));
        printf(": ");
        print_safe(row_text(row, "reply"));
    }
    printf("\n");
}

static void print_if_any(const char *before, const char *value, const char *after)
{
    if (value[0] == '\0')
        return;
    printf("%s", before);
    print_safe(value);
    printf("%s", after);
}

static void print_shown(struct cli *c, const char *line, json_t *row)
{
    (void)c;
    (void)line;
    printf("id        %s\nstate     %s\narrival   ", row_text(row, "id"), row_text(row, "state"));
    print_when(row_number(row, "arrival_ms"));
    printf("\nbytes     %lld\nclient    ", row_number(row, "bytes"));
    print_safe(row_text(row, "client"));
    printf(" (");
    print_safe(row_text(row, "helo"));
    printf(")\nsender    <");
    print_safe(row_text(row, "sender"));
    printf(">\n");
    print_if_any("ret       ", row_text(row, "ret"), "\n");
    print_if_any("envid     ", row_text(row, "envid"), "\n");
    if (json_is_true(json_object_get(row, "smtputf8")))
        printf("smtputf8  yes\n");
    size_t i;
    json_t *r;
    json_array_foreach(json_object_get(row, "standing"), i, r)
    {
        printf("recipient <");
        print_safe(row_text(r, "recipient"));
        printf("> %s, %lld attempts", row_text(r, "state"), row_number(r, "attempts"));
        if (strcmp(row_text(r, "state"), "waiting") == 0) {
            printf(", next ");
            print_when(row_number(r, "due_ms"));
        }
        if (row_text(r, "reply")[0] != '\0') {
            printf(": ");
            print_safe(row_text(r, "reply"));
        }
        printf("\n");
        print_if_any("  for     <", row_text(r, "original"), ">\n");
        print_if_any("  orcpt   ", row_text(r, "orcpt"), "\n");
        print_if_any("  notify  ", row_text(r, "notify"), "\n");
    }
}

static void print_members(struct cli *c, const char *line, json_t *row)
{
    const char *key;
    json_t *value;
    (void)c;
    (void)line;
    json_object_foreach(json_object_get(row, "queue"), key, value)
        printf("%-12s %lld\n", key, (long long)json_integer_value(value));
}

static void print_changed(struct cli *c, const char *line, json_t *row)
{
    (void)line;
    long long n = row_number(row, "changed");
    printf("%s: %lld message%s\n", c->second, n, n == 1 ? "" : "s");
}

int cli_queue_list(struct cli *c)
{
    if (c->argument_count > 0)
        return cli_usage(c, "queue list takes no more words");
    const char *words[] = {"queue", "list", "--limit", c->limit};
    return client_ask(c, words, c->limit == NULL ? 2 : 4, c->json ? on_json : print_listed);
}

int cli_queue_count(struct cli *c)
{
    if (c->argument_count > 0)
        return cli_usage(c, "queue count takes no more words");
    return client_ask(c, (const char *[]){"queue", "count"}, 2, c->json ? on_json : print_members);
}

int cli_queue_show(struct cli *c)
{
    if (c->argument_count != 1)
        return cli_usage(c, "queue show takes one message id");
    const char *words[] = {"queue", "show", c->arguments[0]};
    return client_ask(c, words, 3, c->json ? on_json : print_shown);
}

int cli_queue_change(struct cli *c)
{
    if (c->argument_count != (c->all ? 0 : 1))
        return cli_usage(c, "name one message, or --all");
    const char *words[] = {"queue", c->second, c->all ? "--all" : c->arguments[0]};
    return client_ask(c, words, 3, c->json ? on_json : print_changed);
}
