/*
 * status: what the running server has done, and what it cost.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/client.h"

/* Of all actors together. */
struct costs {
    long long letters, wakeups, calls, turns;
};

static struct costs sum_actors(const json_t *engine)
{
    struct costs sum = {0};
    size_t i;
    json_t *actor;
    json_array_foreach(json_object_get(engine, "actors"), i, actor)
    {
        sum.letters += row_number(actor, "letters_sent");
        sum.wakeups += row_number(actor, "wakeups");
        sum.calls += row_number(actor, "system_calls");
        sum.turns += row_number(actor, "turns");
    }
    return sum;
}

static void print_block(const char *title, const json_t *block)
{
    const char *key;
    json_t *value;
    printf("%s\n", title);
    json_object_foreach((json_t *)(uintptr_t)block, key, value)
    {
        if (json_is_integer(value))
            printf("  %-20s %lld\n", key, (long long)json_integer_value(value));
        else if (json_is_boolean(value))
            printf("  %-20s %s\n", key, json_is_true(value) ? "yes" : "no");
    }
}

static void print_cost(const char *what, long long n, long long messages)
{
    printf("  %-20s %lld", what, n);
    if (messages > 0)
        printf(" (%.2f a message)", (double)n / (double)messages);
    printf("\n");
}

static void print_status(struct cli *c, const char *line, json_t *row)
{
    (void)c;
    (void)line;
    const json_t *engine = json_object_get(row, "engine");
    const json_t *receive = json_object_get(engine, "receive");
    const json_t *spool = json_object_get(engine, "spool");
    long long messages = row_number(receive, "messages");
    printf("%s, %lld workers\n", row_text(engine, "hostname"), row_number(engine, "workers"));
    print_block("receive", receive);
    print_block("queue", json_object_get(row, "queue"));
    print_block("deliver", json_object_get(engine, "deliver"));
    print_block("spool", spool);
    struct costs costs = sum_actors(engine);
    printf("cost\n");
    print_cost("letters", costs.letters, messages);
    print_cost("wake-ups", costs.wakeups, messages);
    print_cost("system calls", costs.calls, messages);
    print_cost("syncs", row_number(spool, "syncs"), messages);
    print_cost("copies", row_number(receive, "copies") + row_number(spool, "copies"), messages);
}

static void print_json(struct cli *c, const char *line, json_t *row)
{
    (void)c;
    (void)row;
    puts(line);
}

int cli_status(struct cli *c)
{
    if (c->argument_count > 0)
        return cli_usage(c, "status takes no more words");
    return client_ask(c, (const char *[]){"status"}, 1, c->json ? print_json : print_status);
}
