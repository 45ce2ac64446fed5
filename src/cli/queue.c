/*
 * queue: the commands about the messages that wait.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/calendar.h"
#include "base/encode.h"
#include "cli/client.h"
#include "ipc/control.h"
#include "transfer/filter.h"

#define TEXT_MAX  4096
#define PIECE_MAX (256u * 1024) /* of a message, in one row */

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
    printf(" ");
    if (json_object_get(row, "sender") == NULL) { /* --brief, or the spool could not read it */
        print_safe(row_text(row, "domain"));
    } else {
        printf("<");
        print_safe(row_text(row, "sender"));
        printf("> ->");
    }
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

static void print_matched(struct cli *c, const char *line, json_t *row)
{
    const json_t *m = json_object_get(row, "matched");
    if (m == NULL)
        print_members(c, line, row);
    else
        printf("messages     %lld\nrecipients   %lld\nbytes        %lld\n",
               row_number(m, "messages"), row_number(m, "recipients"), row_number(m, "bytes"));
}

static void print_group(struct cli *c, const char *line, json_t *row)
{
    (void)c;
    (void)line;
    printf("%9lld messages %9lld recipients %13lld bytes  ", row_number(row, "messages"),
           row_number(row, "recipients"), row_number(row, "bytes"));
    const char *group = row_text(row, "group");
    print_safe(group[0] == '\0' ? "(none)" : group);
    printf("\n");
}

static void print_site(struct cli *c, const char *line, json_t *row)
{
    (void)c;
    (void)line;
    print_safe(row_text(row, "site"));
    printf("\n  %s, window %lld, active %lld, connections %lld, ready %lld, waiting %lld, "
           "delivered %lld (%lld a minute)\n",
           row_text(row, "state"), row_number(row, "window"), row_number(row, "active"),
           row_number(row, "connections"), row_number(row, "ready"), row_number(row, "waiting"),
           row_number(row, "delivered"), row_number(row, "per_minute"));
    if (row_text(row, "fault")[0] != '\0')
        printf("  last fault: %s", row_text(row, "fault"));
    if (row_number(row, "until_ms") > 0) {
        printf("; tried again at ");
        print_when(row_number(row, "until_ms"));
    }
    if (row_text(row, "fault")[0] != '\0')
        printf("\n");
}

/* A line on the terminal that is written over, and the sum at the end. */
static void print_changed(struct cli *c, const char *line, json_t *row)
{
    const json_t *progress = json_object_get(row, "progress");
    bool shows = isatty(STDERR_FILENO) == 1;
    if (progress != NULL) {
        c->has_progress = c->has_progress || shows;
        if (shows)
            fprintf(stderr, "\r%s: %lld ...", c->second, row_number(row, "progress"));
        return;
    }
    if (c->has_progress)
        fprintf(stderr, "\r\033[K");
    if (c->json) {
        puts(line);
        return;
    }
    long long n = row_number(row, "changed");
    printf("%s: %lld message%s\n", c->second, n, n == 1 ? "" : "s");
}

static void print_piece(struct cli *c, const char *line, json_t *row)
{
    struct buffer bytes;
    (void)c;
    (void)line;
    buffer_init(&bytes, PIECE_MAX);
    if (decode_base64(&bytes, span_text(row_text(row, "base64"))))
        (void)fwrite(bytes.data, 1, bytes.len, stdout);
    buffer_fini(&bytes);
}

/* What is wrong with the filter, below its text. */
static int complain(struct span text, const struct filter_error *e)
{
    fprintf(stderr, "postrider: --where, column %zu: %s", e->at + 1, e->why);
    if (e->suggested != NULL)
        fprintf(stderr, "; did you mean '%s'?", e->suggested);
    fprintf(stderr, "\n    %.*s\n    %*s^\n", SPAN_PRINT(text), (int)e->at, "");
    return EX_USAGE;
}

/* The words of a request as they are put together. */
struct words {
    const char *words[CONTROL_WORDS_MAX];
    size_t count;
};

static void add(struct words *w, const char *word, const char *value)
{
    w->words[w->count++] = word;
    if (value != NULL)
        w->words[w->count++] = value;
}

/* "queue COMMAND", its filter (which is read here first, to say what is wrong) and its limit. */
static int begin(struct cli *c, struct words *w)
{
    struct filter *f;
    struct filter_error e;
    *w = (struct words){.count = 0};
    add(w, "queue", c->second);
    if (c->limit != NULL)
        add(w, "--limit", c->limit);
    if (c->brief)
        add(w, "--brief", NULL);
    if (c->where == NULL)
        return EX_OK;
    enum fault fault = filter_parse(span_text(c->where), &f, &e);
    if (fault == FAULT_SYNTAX)
        return complain(span_text(c->where), &e);
    if (fault != FAULT_NONE)
        return EX_OSERR;
    filter_free(f);
    add(w, "--where", c->where);
    return EX_OK;
}

static int ask(struct cli *c, int argument_count,
               void (*print)(struct cli *c, const char *line, json_t *row))
{
    struct words w;
    if (c->argument_count != argument_count)
        return cli_usage(c, argument_count == 0 ? "this takes no more words" : "a word is missing");
    int code = begin(c, &w);
    for (int i = 0; i < argument_count; i++)
        add(&w, c->arguments[i], NULL);
    return code != EX_OK ? code : client_ask(c, w.words, w.count, c->json ? on_json : print);
}

int cli_queue_list(struct cli *c)
{
    return ask(c, 0, print_listed);
}

int cli_queue_count(struct cli *c)
{
    return ask(c, 0, print_matched);
}

int cli_queue_sites(struct cli *c)
{
    return ask(c, 0, print_site);
}

int cli_queue_group(struct cli *c)
{
    return ask(c, 2, print_group);
}

int cli_queue_show(struct cli *c)
{
    return ask(c, 1, print_shown);
}

int cli_queue_cat(struct cli *c)
{
    return ask(c, 1, print_piece);
}

static void keep_count(struct cli *c, const char *line, json_t *row)
{
    (void)line;
    c->counted =
        row_number(json_object_get(row, c->where != NULL ? "matched" : "queue"), "messages");
}

/* Before many are changed from a terminal: how many they are, and whether that is meant. */
static int confirm(struct cli *c)
{
    char answer[16] = "";
    if (c->yes || isatty(STDIN_FILENO) != 1 || strcmp(c->second, "retry") == 0)
        return EX_OK;
    const char *words[] = {"queue", "count", "--where", c->where};
    int code = client_ask(c, words, c->where == NULL ? 2 : 4, keep_count);
    if (code != EX_OK)
        return code;
    fprintf(stderr, "%s %lld message%s? (y/n) ", c->second, c->counted, c->counted == 1 ? "" : "s");
    if (fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y'))
        return EX_OK;
    fprintf(stderr, "nothing was changed\n");
    return EX_TEMPFAIL;
}

int cli_queue_change(struct cli *c)
{
    struct words w;
    if ((c->where != NULL) + c->all + c->argument_count != 1)
        return cli_usage(c, "name one message, or --where FILTER, or --all");
    int code = begin(c, &w);
    if (code == EX_OK && c->argument_count == 0)
        code = confirm(c);
    if (code != EX_OK)
        return code;
    if (c->argument_count > 0)
        add(&w, c->arguments[0], NULL);
    if (c->all)
        add(&w, "--all", NULL);
    return client_ask(c, w.words, w.count, print_changed);
}
