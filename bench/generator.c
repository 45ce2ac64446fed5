/*
 * postrider-generator: sends mail to one server as fast as it answers, or at a fixed rate, and
 * measures the answers. One thread, one epoll; see load.h and client.h.
 *
 * Exit status: 0 when every message got an answer, 1 when connections or messages were lost or the
 * run stalled, 2 when the command line was wrong.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "clock.h"
#include "load.h"

static const char usage[] =
    "usage: postrider-generator --connect HOST:PORT [options]\n"
    "\n"
    "what is sent\n"
    "  --messages N                 messages in all (default 1000, or unlimited with --seconds)\n"
    "  --seconds S                  begin no message after S seconds\n"
    "  --size BYTES                 content of each, header included (default 4096)\n"
    "  --recipients N               recipients of each (default 1)\n"
    "  --recipient-domain PATTERN   \"{}\" is 0 to --domains - 1 (default recipient.example)\n"
    "  --domains N                  default 1\n"
    "  --from PATTERN               \"{}\" is 0 to --senders - 1 (default bench@sender.example)\n"
    "  --senders N                  default 1\n"
    "  --run NAME                   beginning of every id in X-Bench-Id (default: unique)\n"
    "  --helo NAME                  default generator.example\n"
    "\n"
    "how\n"
    "  --sessions N                 connections at a time (default 50)\n"
    "  --messages-per-connection N  0: no limit (default)\n"
    "  --rate N                     messages a second, open loop (default: closed loop)\n"
    "  --pipelining on|off          default on\n"
    "  --chunking                   BDAT instead of DATA where it is offered\n"
    "  --together                   begin, and start the clock, when all sessions are open\n"
    "  --persist                    connect again after a loss, with short back-off\n"
    "  --idle                       open the sessions and send nothing for --seconds\n"
    "  --stall S                    give up after S seconds without an answer (default 60)\n"
    "\n"
    "what is told\n"
    "  --ids FILE                   append the id of each message that was answered 250\n"
    "  --ids-with-recipients        one line for each accepted recipient: id, blank, address\n"
    "  --json                       the result as one JSON object\n"
    "  --help                       this text\n";

enum option_id {
    OPT_CONNECT = 1000,
    OPT_MESSAGES,
    OPT_SECONDS,
    OPT_SIZE,
    OPT_RECIPIENTS,
    OPT_RECIPIENT_DOMAIN,
    OPT_DOMAINS,
    OPT_FROM,
    OPT_SENDERS,
    OPT_RUN,
    OPT_HELO,
    OPT_SESSIONS,
    OPT_MESSAGES_PER_CONNECTION,
    OPT_RATE,
    OPT_PIPELINING,
    OPT_CHUNKING,
    OPT_TOGETHER,
    OPT_PERSIST,
    OPT_IDLE,
    OPT_STALL,
    OPT_IDS,
    OPT_IDS_WITH_RECIPIENTS,
    OPT_JSON,
    OPT_HELP,
};

static const struct option long_options[] = {
    {"connect", required_argument, NULL, OPT_CONNECT},
    {"messages", required_argument, NULL, OPT_MESSAGES},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"size", required_argument, NULL, OPT_SIZE},
    {"recipients", required_argument, NULL, OPT_RECIPIENTS},
    {"recipient-domain", required_argument, NULL, OPT_RECIPIENT_DOMAIN},
    {"domains", required_argument, NULL, OPT_DOMAINS},
    {"from", required_argument, NULL, OPT_FROM},
    {"senders", required_argument, NULL, OPT_SENDERS},
    {"run", required_argument, NULL, OPT_RUN},
    {"helo", required_argument, NULL, OPT_HELO},
    {"sessions", required_argument, NULL, OPT_SESSIONS},
    {"messages-per-connection", required_argument, NULL, OPT_MESSAGES_PER_CONNECTION},
    {"rate", required_argument, NULL, OPT_RATE},
    {"pipelining", required_argument, NULL, OPT_PIPELINING},
    {"chunking", no_argument, NULL, OPT_CHUNKING},
    {"together", no_argument, NULL, OPT_TOGETHER},
    {"persist", no_argument, NULL, OPT_PERSIST},
    {"idle", no_argument, NULL, OPT_IDLE},
    {"stall", required_argument, NULL, OPT_STALL},
    {"ids", required_argument, NULL, OPT_IDS},
    {"ids-with-recipients", no_argument, NULL, OPT_IDS_WITH_RECIPIENTS},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

struct command_line {
    struct load_options load;
    bool json;
    bool connect_given;
    bool messages_given;
};

static bool parse_switch(const char *option, const char *text)
{
    if (strcmp(text, "on") == 0)
        return true;
    if (strcmp(text, "off") != 0)
        die("%s: \"%s\" is neither on nor off", option, text);
    return false;
}

static void help(void)
{
    fputs(usage, stdout);
    exit(0);
}

static void set_option(struct command_line *line, enum option_id option, const char *name,
                       const char *value)
{
    struct load_options *load = &line->load;

    switch (option) {
    case OPT_CONNECT:
        line->connect_given = net_parse(value, &load->server);
        if (!line->connect_given)
            die("%s: \"%s\" is not an address and port", name, value);
        break;
    case OPT_MESSAGES:
        load->messages = parse_number(name, value, 1, UINT64_MAX / 2);
        line->messages_given = true;
        break;
    case OPT_SECONDS:
        load->seconds = parse_fraction(name, value, 0.001, 1e6);
        break;
    case OPT_SIZE:
        load->size = parse_number(name, value, 1, UINT64_C(1) << 32);
        break;
    case OPT_RECIPIENTS:
        load->recipients = (unsigned)parse_number(name, value, 1, 100000);
        break;
    case OPT_RECIPIENT_DOMAIN:
        load->recipient_domain = value;
        break;
    case OPT_DOMAINS:
        load->domains = (unsigned)parse_number(name, value, 1, 100000000);
        break;
    case OPT_FROM:
        load->from = value;
        break;
    case OPT_SENDERS:
        load->senders = (unsigned)parse_number(name, value, 1, 100000000);
        break;
    case OPT_RUN:
        load->run = value;
        break;
    case OPT_HELO:
        load->helo = value;
        break;
    case OPT_SESSIONS:
        load->sessions = (unsigned)parse_number(name, value, 1, 100000);
        break;
    case OPT_MESSAGES_PER_CONNECTION:
        load->messages_per_connection = parse_number(name, value, 0, UINT64_MAX);
        break;
    case OPT_RATE:
        load->rate = parse_fraction(name, value, 0.001, 1e7);
        break;
    case OPT_PIPELINING:
        load->pipelining = parse_switch(name, value);
        break;
    case OPT_CHUNKING:
        load->chunking = true;
        break;
    case OPT_TOGETHER:
        load->together = true;
        break;
    case OPT_PERSIST:
        load->persist = true;
        break;
    case OPT_IDLE:
        load->idle = true;
        break;
    case OPT_STALL:
        load->stall_seconds = parse_fraction(name, value, 0.1, 1e6);
        break;
    case OPT_IDS:
        load->ids_path = value;
        break;
    case OPT_IDS_WITH_RECIPIENTS:
        load->ids_with_recipients = true;
        break;
    case OPT_JSON:
        line->json = true;
        break;
    case OPT_HELP:
        help();
        break;
    }
}

static void parse_command_line(int argc, char **argv, struct command_line *line)
{
    int index = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (option == '?')
            exit(2);
        set_option(line, (enum option_id)option, long_options[index].name, optarg);
    }
    if (optind < argc)
        die("\"%s\" is not an option; see --help", argv[optind]);
    if (!line->connect_given)
        die("--connect is missing; see --help");
    if (line->load.together && (line->load.idle || line->load.persist))
        die("--together goes with neither --idle nor --persist");
    if (line->load.idle && line->load.seconds <= 0)
        die("--idle needs --seconds");
    if (!line->messages_given && line->load.seconds <= 0)
        line->load.messages = 1000;
}

/* ---- the report ---- */

struct figures {
    double seconds;
    double rate;
    double cpu_seconds;
    double cpu_per_1000;
};

static struct figures figures_of(const struct load_result *result)
{
    struct figures figures = {.cpu_seconds = clock_cpu_seconds()};

    if (result->last_reply_ns > result->first_send_ns && result->first_send_ns > 0)
        figures.seconds = (double)(result->last_reply_ns - result->first_send_ns) / NS_PER_S;
    if (figures.seconds > 0)
        figures.rate = (double)result->accepted / figures.seconds;
    if (result->accepted > 0)
        figures.cpu_per_1000 = figures.cpu_seconds * 1000 / (double)result->accepted;
    return figures;
}

static double percentile_us(const struct histogram *histogram, double fraction)
{
    return (double)histogram_at(histogram, fraction) / 1000;
}

static void print_json_latency(const char *name, const struct histogram *histogram)
{
    printf("\"%s\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p99.9\":%.1f,\"max\":%.1f}", name,
           percentile_us(histogram, 0.5), percentile_us(histogram, 0.9),
           percentile_us(histogram, 0.99), percentile_us(histogram, 0.999),
           (double)histogram->max / 1000);
}

static void print_json(const struct load_result *result)
{
    struct figures figures = figures_of(result);

#define COUNT(name) printf("\"" #name "\":%llu,", (unsigned long long)result->name)
    putchar('{');
    COUNT(accepted);
    COUNT(refused_4xx);
    COUNT(refused_5xx);
    COUNT(recipients_refused);
    COUNT(lost_before_dot);
    COUNT(lost_after_dot);
    COUNT(connections);
    COUNT(connect_failures);
    COUNT(connections_lost);
    COUNT(bytes);
    COUNT(first_send_ns);
    COUNT(last_reply_ns);
#undef COUNT
    printf("\"stalled\":%s,\"seconds\":%.6f,\"rate\":%.2f,\"cpu_seconds\":%.6f,"
           "\"cpu_per_1000\":%.6f,",
           result->stalled ? "true" : "false", figures.seconds, figures.rate, figures.cpu_seconds,
           figures.cpu_per_1000);
    print_json_latency("latency_us", &result->latency_ns);
    putchar(',');
    print_json_latency("since_due_us", &result->due_ns);
    puts("}");
}

static void print_latency(const char *name, const struct histogram *histogram)
{
    printf("%s: p50 %.0f  p90 %.0f  p99 %.0f  p99.9 %.0f  max %.0f us\n", name,
           percentile_us(histogram, 0.5), percentile_us(histogram, 0.9),
           percentile_us(histogram, 0.99), percentile_us(histogram, 0.999),
           (double)histogram->max / 1000);
}

static void print_text(const struct load_result *result)
{
    struct figures figures = figures_of(result);

    printf("accepted %llu in %.2f s: %.0f messages/s\n", (unsigned long long)result->accepted,
           figures.seconds, figures.rate);
    print_latency("final dot to reply", &result->latency_ns);
    if (result->due_ns.total > 0)
        print_latency("due to reply", &result->due_ns);
    printf("CPU: %.3f s, %.4f s per 1,000 messages\n", figures.cpu_seconds, figures.cpu_per_1000);
    printf("refused: %llu with 4xx, %llu with 5xx; recipients %llu\n",
           (unsigned long long)result->refused_4xx, (unsigned long long)result->refused_5xx,
           (unsigned long long)result->recipients_refused);
    printf("connections: %llu, lost %llu, failed %llu; messages lost before the dot %llu, after it "
           "%llu\n",
           (unsigned long long)result->connections, (unsigned long long)result->connections_lost,
           (unsigned long long)result->connect_failures,
           (unsigned long long)result->lost_before_dot, (unsigned long long)result->lost_after_dot);
    if (result->stalled)
        puts("stalled: the server stopped answering");
}

int main(int argc, char **argv)
{
    struct command_line line = {.load = {.sessions = 50,
                                         .size = 4096,
                                         .recipients = 1,
                                         .domains = 1,
                                         .senders = 1,
                                         .stall_seconds = 60,
                                         .recipient_domain = "recipient.example",
                                         .from = "bench@sender.example",
                                         .helo = "generator.example",
                                         .pipelining = true}};
    static struct load_result result; /* 30 KB of histograms */
    char run[MESSAGE_RUN_MAX];

    snprintf(run, sizeof run, "%llx-%x", (unsigned long long)time(NULL), (unsigned)getpid());
    line.load.run = run;
    parse_command_line(argc, argv, &line);
    net_raise_limit();
    load_run(&line.load, &result);
    if (line.json)
        print_json(&result);
    else
        print_text(&result);
    return result.stalled || result.connections_lost + result.connect_failures > 0 ? 1 : 0;
}
