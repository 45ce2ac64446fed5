#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "arguments.h"
#include "client.h"
#include "clock.h"
#include "idlog.h"

#define EVENTS_PER_TURN       512
#define BACKOFF_FIRST_NS      (10 * NS_PER_MS)
#define BACKOFF_DOUBLINGS_MAX 6 /* 640 ms */
#define NEVER                 UINT64_MAX

struct load {
    const struct load_options *options;
    struct load_result *result;
    struct message message;
    struct idlog *ids;
    int epoll_fd;
    int signal_fd;
    struct client **clients;
    struct client *parked;  /* connected, waiting for a message to fall due */
    struct client *waiting; /* without a connection, to connect when the time has come */
    unsigned live;          /* sessions that are not over */
    unsigned ready;         /* of them parked before the run has begun */
    bool begun;             /* messages may be sent */
    uint64_t numbers_given;
    uint64_t budget; /* messages that may still be given out */
    uint64_t start_ns;
    uint64_t turn_ns;
    uint64_t deadline_ns;
    uint64_t progress_ns;
    unsigned signals;
};

const struct load_options *load_options(const struct load *load)
{
    return load->options;
}

const struct message *load_message(const struct load *load)
{
    return &load->message;
}

struct load_result *load_counts(struct load *load)
{
    return load->result;
}

int load_epoll(const struct load *load)
{
    return load->epoll_fd;
}

uint64_t load_turn_ns(const struct load *load)
{
    return load->turn_ns;
}

/* ---- who may send ---- */

static bool is_over(const struct load *load)
{
    return load->budget == 0 || load->signals > 0 || load->turn_ns >= load->deadline_ns;
}

/* When the next message falls due; in a closed loop at once. */
static uint64_t next_due_ns(const struct load *load)
{
    if (load->options->idle || !load->begun)
        return NEVER;
    if (load->options->rate <= 0)
        return 0;
    return load->start_ns +
           (uint64_t)((double)load->numbers_given / load->options->rate * (double)NS_PER_S);
}

static void push(struct client **list, struct client *client)
{
    client_link(client)->next = *list;
    *list = client;
}

static struct client *pop(struct client **list)
{
    struct client *client = *list;

    *list = client_link(client)->next;
    return client;
}

enum take load_take(struct load *load, struct client *client, struct ticket *ticket_out)
{
    uint64_t due_ns = next_due_ns(load);

    if (is_over(load))
        return TAKE_NEVER;
    if (due_ns > load->turn_ns) {
        load->ready += !load->begun;
        push(&load->parked, client);
        return TAKE_LATER;
    }
    load->budget--;
    ticket_out->number = load->numbers_given++;
    ticket_out->due_ns = due_ns;
    return TAKE_NOW;
}

/* ---- what became of it ---- */

void load_note_id(struct load *load, const char *id, size_t id_length, const char *recipient)
{
    idlog_add(load->ids, id, id_length, recipient);
}

void load_on_answer(struct load *load, const struct ticket *ticket, unsigned code,
                    uint64_t dot_sent_ns)
{
    struct load_result *result = load->result;

    load->progress_ns = result->last_reply_ns = load->turn_ns;
    if (code / 100 == 5)
        result->refused_5xx++;
    else if (code / 100 != 2)
        result->refused_4xx++;
    if (code / 100 != 2)
        return;
    result->accepted++;
    result->bytes += load->options->size;
    /* A reply that came in the very turn in which the dot was sent carries the older time. */
    histogram_add(&result->latency_ns,
                  load->turn_ns > dot_sent_ns ? load->turn_ns - dot_sent_ns : 0);
    if (ticket->due_ns != 0)
        histogram_add(&result->due_ns, load->turn_ns - ticket->due_ns);
}

void load_on_message_lost(struct load *load, bool after_dot)
{
    if (after_dot)
        load->result->lost_after_dot++;
    else
        load->result->lost_before_dot++;
    load->budget++;
}

void load_on_disconnect(struct load *load, struct client *client, bool lost)
{
    struct client_link *link = client_link(client);

    link->reconnect_at_ns = 0;
    if (lost && load->options->persist) {
        unsigned doublings =
            link->failures < BACKOFF_DOUBLINGS_MAX ? link->failures : BACKOFF_DOUBLINGS_MAX;

        link->failures++;
        link->reconnect_at_ns = load->turn_ns + (BACKOFF_FIRST_NS << doublings);
    } else if (lost) {
        load->live--;
        return;
    }
    push(&load->waiting, client);
}

/* ---- the turn of the loop ---- */

static void set_clock(struct load *load)
{
    double seconds = load->options->seconds;

    load->start_ns = load->progress_ns = load->turn_ns;
    load->deadline_ns = seconds > 0 ? load->start_ns + (uint64_t)(seconds * NS_PER_S) : NEVER;
}

/* Sessions that ended before the beginning are not waited for. */
static void begin_together(struct load *load)
{
    if (load->begun || load->ready < load->live)
        return;
    load->begun = true;
    set_clock(load);
}

static void wake_parked(struct load *load)
{
    begin_together(load);
    while (load->parked != NULL && (is_over(load) || next_due_ns(load) <= load->turn_ns))
        client_wake(pop(&load->parked));
}

/* Connects those whose time has come; ends them all once there is nothing left to send. */
static void connect_waiting(struct load *load)
{
    struct client *list = load->waiting;

    load->waiting = NULL;
    while (list != NULL) {
        struct client *client = pop(&list);

        if (is_over(load))
            load->live--;
        else if (client_link(client)->reconnect_at_ns <= load->turn_ns)
            client_connect(client);
        else
            push(&load->waiting, client);
    }
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t stall_at_ns(const struct load *load)
{
    if (load->options->idle)
        return NEVER;
    return load->progress_ns + (uint64_t)(load->options->stall_seconds * (double)NS_PER_S);
}

/* The time at which the loop must turn again without any event. */
static uint64_t wake_at_ns(const struct load *load)
{
    uint64_t at = stall_at_ns(load);

    if (load->turn_ns < load->deadline_ns)
        at = earliest(at, load->deadline_ns);
    if (load->parked != NULL)
        at = earliest(at, next_due_ns(load));
    for (struct client *client = load->waiting; client != NULL; client = client_link(client)->next)
        at = earliest(at, client_link(client)->reconnect_at_ns);
    return at;
}

static void on_signal(struct load *load)
{
    struct signalfd_siginfo info;

    if (read(load->signal_fd, &info, sizeof info) == sizeof info)
        load->signals++;
}

static void turn(struct load *load)
{
    struct epoll_event events[EVENTS_PER_TURN];
    uint64_t wake_ns = wake_at_ns(load);
    uint64_t now_ns = clock_now_ns();
    uint64_t wait_ns = wake_ns > now_ns ? wake_ns - now_ns : 0;
    struct timespec wait = {(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
    int count = epoll_pwait2(load->epoll_fd, events, EVENTS_PER_TURN,
                             wake_ns == NEVER ? NULL : &wait, NULL);

    if (count < 0 && errno != EINTR)
        die("epoll: %s", strerror(errno));
    load->turn_ns = clock_now_ns();
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL)
            on_signal(load);
        else
            client_on_event(events[i].data.ptr, events[i].events);
    }
    wake_parked(load);
    connect_waiting(load);
    idlog_flush(load->ids);
}

/* ---- the run ---- */

/* The first SIGINT or SIGTERM ends the run as time does; the second ends it at once. */
static void watch_signals(struct load *load)
{
    struct epoll_event event = {.events = EPOLLIN};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    load->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (load->signal_fd < 0 ||
        epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, load->signal_fd, &event) != 0)
        die("signalfd: %s", strerror(errno));
}

static void begin(struct load *load)
{
    const struct load_options *options = load->options;

    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load->clients = calloc(options->sessions, sizeof(struct client *));
    if (load->epoll_fd < 0 || load->clients == NULL)
        die("cannot begin: %s", strerror(errno));
    watch_signals(load);
    message_init(&load->message, options->run, options->size);
    load->ids = idlog_open(options->ids_path);
    load->budget = options->messages == 0 ? UINT64_MAX / 2 : options->messages;
    load->turn_ns = clock_now_ns();
    set_clock(load);
    load->begun = !options->together;
    if (options->together)
        load->deadline_ns = NEVER;
    load->live = options->sessions;
    for (unsigned i = 0; i < options->sessions; i++) {
        load->clients[i] = client_new(load);
        push(&load->waiting, load->clients[i]);
    }
    connect_waiting(load);
}

static void end(struct load *load)
{
    for (unsigned i = 0; i < load->options->sessions; i++)
        client_free(load->clients[i]);
    free(load->clients);
    idlog_close(load->ids);
    message_fini(&load->message);
    close(load->signal_fd);
    close(load->epoll_fd);
}

void load_run(const struct load_options *options, struct load_result *result_out)
{
    struct load load = {.options = options, .result = result_out};

    memset(result_out, 0, sizeof *result_out);
    begin(&load);
    while (load.live > 0 && load.signals < 2) {
        turn(&load);
        if (load.turn_ns >= stall_at_ns(&load)) {
            result_out->stalled = true;
            break;
        }
    }
    end(&load);
}
