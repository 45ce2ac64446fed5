/*
 * postrider-sink: a mail server that takes everything, or misbehaves as told, and counts what it
 * got. One thread, one epoll; see receiver.h.
 *
 * SIGUSR1 writes the statistics to --stats; SIGINT and SIGTERM write them and end the program.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arguments.h"
#include "clock.h"
#include "net.h"
#include "receiver.h"

#define EVENTS_PER_TURN 512

static const char usage[] =
    "usage: postrider-sink --listen HOST:PORT [options]\n"
    "\n"
    "what is kept\n"
    "  --ids FILE             append the X-Bench-Id of each message before it is answered 250\n"
    "  --ids-with-recipients  one line for each recipient: id, blank, address\n"
    "  --save DIR             each message as DIR/000001.eml, its envelope as DIR/000001.json\n"
    "  --stats FILE           write counts as JSON on SIGUSR1 and at the end (default: output)\n"
    "\n"
    "how it behaves\n"
    "  --hostname NAME        default sink.example\n"
    "  --size-max BYTES       default 104857600\n"
    "  --without LIST         leave out: ehlo,pipelining,size,8bitmime,enhancedstatuscodes,\n"
    "                         chunking\n"
    "  --delay-ms N           wait before answering at --delay-at\n"
    "  --delay-at PHASE       connect, mail, rcpt, data or dot (default dot)\n"
    "  --tempfail PERCENT     of the messages get 4xx, at RCPT or at the dot\n"
    "  --reject PERCENT       of the messages get 5xx, at RCPT or at the dot\n"
    "  --drop PERCENT         of the messages lose their connection at a random moment\n"
    "  --seed N               of those draws (default 1)\n"
    "  --help                 this text\n";

enum option_id {
    OPT_LISTEN = 1000,
    OPT_IDS,
    OPT_IDS_WITH_RECIPIENTS,
    OPT_SAVE,
    OPT_STATS,
    OPT_HOSTNAME,
    OPT_SIZE_MAX,
    OPT_WITHOUT,
    OPT_DELAY_MS,
    OPT_DELAY_AT,
    OPT_TEMPFAIL,
    OPT_REJECT,
    OPT_DROP,
    OPT_SEED,
    OPT_HELP,
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"ids", required_argument, NULL, OPT_IDS},
    {"ids-with-recipients", no_argument, NULL, OPT_IDS_WITH_RECIPIENTS},
    {"save", required_argument, NULL, OPT_SAVE},
    {"stats", required_argument, NULL, OPT_STATS},
    {"hostname", required_argument, NULL, OPT_HOSTNAME},
    {"size-max", required_argument, NULL, OPT_SIZE_MAX},
    {"without", required_argument, NULL, OPT_WITHOUT},
    {"delay-ms", required_argument, NULL, OPT_DELAY_MS},
    {"delay-at", required_argument, NULL, OPT_DELAY_AT},
    {"tempfail", required_argument, NULL, OPT_TEMPFAIL},
    {"reject", required_argument, NULL, OPT_REJECT},
    {"drop", required_argument, NULL, OPT_DROP},
    {"seed", required_argument, NULL, OPT_SEED},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

struct command_line {
    struct endpoint listen;
    bool listen_given;
    const char *ids_path;
    const char *save_path;
    const char *stats_path;
    enum phase delay_at;
};

static enum phase parse_phase(const char *name, const char *text)
{
    static const char *const phases[] = {"", "connect", "mail", "rcpt", "data", "dot"};

    for (unsigned i = PHASE_CONNECT; i <= PHASE_DOT; i++)
        if (strcmp(text, phases[i]) == 0)
            return (enum phase)i;
    die("%s: \"%s\" is not connect, mail, rcpt, data or dot", name, text);
}

static unsigned parse_without(const char *name, const char *text)
{
    static const char *const extensions[] = {"ehlo",     "pipelining",          "size",
                                             "8bitmime", "enhancedstatuscodes", "chunking"};
    unsigned bits = 0;

    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        unsigned i = 0;

        while (i < 6 &&
               (strlen(extensions[i]) != length || strncmp(extensions[i], text, length) != 0))
            i++;
        if (i == 6)
            die("%s: \"%.*s\" cannot be left out", name, (int)length, text);
        bits |= 1U << i;
        text += length + (text[length] == ',');
    }
    return bits;
}

static double parse_percent(const char *name, const char *text)
{
    return parse_fraction(name, text, 0, 100);
}

static void set_option(struct command_line *line, struct sink *sink, enum option_id option,
                       const char *name, const char *value)
{
    switch (option) {
    case OPT_LISTEN:
        line->listen_given = net_parse(value, &line->listen);
        if (!line->listen_given)
            die("%s: \"%s\" is not an address and port", name, value);
        break;
    case OPT_IDS:
        line->ids_path = value;
        break;
    case OPT_IDS_WITH_RECIPIENTS:
        sink->options.ids_with_recipients = true;
        break;
    case OPT_SAVE:
        line->save_path = value;
        break;
    case OPT_STATS:
        line->stats_path = value;
        break;
    case OPT_HOSTNAME:
        sink->options.hostname = value;
        break;
    case OPT_SIZE_MAX:
        sink->options.size_max = parse_number(name, value, 1, UINT64_C(1) << 40);
        break;
    case OPT_WITHOUT:
        sink->options.without = parse_without(name, value);
        break;
    case OPT_DELAY_MS:
        sink->options.delay_ns = parse_number(name, value, 0, 86400000) * NS_PER_MS;
        break;
    case OPT_DELAY_AT:
        line->delay_at = parse_phase(name, value);
        break;
    case OPT_TEMPFAIL:
        sink->trouble.tempfail_percent = parse_percent(name, value);
        break;
    case OPT_REJECT:
        sink->trouble.reject_percent = parse_percent(name, value);
        break;
    case OPT_DROP:
        sink->trouble.drop_percent = parse_percent(name, value);
        break;
    case OPT_SEED:
        sink->trouble.random = parse_number(name, value, 0, UINT64_MAX);
        break;
    case OPT_HELP:
        fputs(usage, stdout);
        exit(0);
    }
}

static void parse_command_line(int argc, char **argv, struct command_line *line, struct sink *sink)
{
    int index = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (option == '?')
            exit(2);
        set_option(line, sink, (enum option_id)option, long_options[index].name, optarg);
    }
    if (optind < argc)
        die("\"%s\" is not an option; see --help", argv[optind]);
    if (!line->listen_given)
        die("--listen is missing; see --help");
    if (sink->options.delay_ns > 0)
        sink->options.delay_phase = line->delay_at;
}

/* ---- statistics ---- */

static void print_counts(FILE *file, const struct sink_counts *counts)
{
    double seconds = (double)(counts->last_ns - counts->first_ns) / NS_PER_S;

#define COUNT(name) fprintf(file, "\"" #name "\":%llu,", (unsigned long long)counts->name)
    fputc('{', file);
    COUNT(messages);
    COUNT(recipients);
    COUNT(bytes);
    COUNT(connections);
    COUNT(open);
    COUNT(duplicates);
    COUNT(without_id);
    COUNT(tempfailed);
    COUNT(rejected);
    COUNT(dropped);
    COUNT(dropped_after_dot);
    COUNT(first_ns);
    COUNT(last_ns);
#undef COUNT
    fprintf(file, "\"seconds\":%.6f,\"rate\":%.2f,\"cpu_seconds\":%.6f}\n", seconds,
            seconds > 0 ? (double)counts->messages / seconds : 0, clock_cpu_seconds());
}

/* Nothing but an ordinary file may be replaced: not a device, which root could. */
static bool is_replaceable(const char *path)
{
    struct stat found;

    return lstat(path, &found) != 0 || S_ISREG(found.st_mode);
}

/* Written beside and renamed, so that a reader never sees half of it. */
static void write_stats(const char *path, const struct sink_counts *counts)
{
    char new_path[PATH_MAX];
    FILE *file;

    if (path == NULL) {
        print_counts(stdout, counts);
        fflush(stdout);
        return;
    }
    if (!is_replaceable(path))
        die("--stats: %s is no ordinary file", path);
    if (snprintf(new_path, sizeof new_path, "%s.new", path) >= (int)sizeof new_path)
        die("--stats: the path is too long");
    file = fopen(new_path, "we");
    if (file == NULL)
        die("%s: %s", new_path, strerror(errno));
    print_counts(file, counts);
    if (fclose(file) != 0 || rename(new_path, path) != 0)
        die("%s: %s", path, strerror(errno));
}

/* ---- the loop ---- */

static void watch(int epoll_fd, int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, *fd, &event) != 0)
        die("epoll: %s", strerror(errno));
}

static int open_signals(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        die("signalfd: %s", strerror(errno));
    return fd;
}

static void accept_all(struct sink *sink, int listen_fd)
{
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            net_no_delay(fd);
            receiver_open(sink, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            die("accept: %s", strerror(errno));
        }
    }
}

/* Answers SIGUSR1; true: it was one of those that end the program. */
static bool on_signal(int signal_fd, const char *stats_path, const struct sink_counts *counts)
{
    struct signalfd_siginfo info;

    while (read(signal_fd, &info, sizeof info) == sizeof info) {
        write_stats(stats_path, counts);
        if (info.ssi_signo != SIGUSR1)
            return true;
    }
    return false;
}

static int wait_for_events(struct sink *sink, struct epoll_event *events)
{
    uint64_t resume_ns = receiver_resume_at_ns(sink);
    uint64_t now_ns = clock_now_ns();
    uint64_t wait_ns = resume_ns > now_ns ? resume_ns - now_ns : 0;
    struct timespec wait = {(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
    int count = epoll_pwait2(sink->epoll_fd, events, EVENTS_PER_TURN,
                             resume_ns == UINT64_MAX ? NULL : &wait, NULL);

    if (count < 0 && errno != EINTR)
        die("epoll: %s", strerror(errno));
    sink->turn_ns = clock_now_ns();
    return count;
}

static void serve(struct sink *sink, int listen_fd, const char *stats_path)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int signal_fd = open_signals();
    bool over = false;

    watch(sink->epoll_fd, &listen_fd);
    watch(sink->epoll_fd, &signal_fd);
    while (!over) {
        int count = wait_for_events(sink, events);
        bool signalled = false;

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &listen_fd)
                accept_all(sink, listen_fd);
            else if (events[i].data.ptr == &signal_fd)
                signalled = true;
            else
                receiver_on_event(events[i].data.ptr, events[i].events);
        }
        receiver_resume(sink);
        idlog_flush(sink->ids);
        receiver_flush(sink);
        if (signalled)
            over = on_signal(signal_fd, stats_path, &sink->counts);
    }
    close(signal_fd);
}

int main(int argc, char **argv)
{
    struct command_line line = {.delay_at = PHASE_DOT};
    struct sink sink = {.options = {.hostname = "sink.example", .size_max = 104857600},
                        .trouble = {.random = 1}};
    int listen_fd;

    parse_command_line(argc, argv, &line, &sink);
    net_raise_limit();
    sink.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (sink.epoll_fd < 0)
        die("epoll: %s", strerror(errno));
    sink.ids = idlog_open(line.ids_path);
    sink.store = store_open(line.save_path);
    sink.turn_ns = clock_now_ns();
    listen_fd = net_listen(&line.listen);
    serve(&sink, listen_fd, line.stats_path);
    close(listen_fd);
    close(sink.epoll_fd);
    idlog_close(sink.ids);
    idset_fini(&sink.seen);
    store_close(sink.store);
    return 0;
}
