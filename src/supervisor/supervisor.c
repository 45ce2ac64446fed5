#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "engine/process.h"
#include "supervisor/children.h"
#include "supervisor/doors.h"
#include "supervisor/log_file.h"

struct supervisor {
    struct world *world;
    const struct settings *settings;
    struct doors doors;
    struct log_file log_file;
    struct log *log;
    int signals; /* signalfd */
    struct children children;
};

static int run_engine(void *context, int heart, pid_t parent)
{
    struct supervisor *s = context;
    close(s->signals);
    struct engine_process p = {
        .settings = s->settings,
        .listeners = s->doors.listeners,
        .listener_count = s->doors.listener_count,
        .control = s->doors.control,
        .own = s->doors.own,
        .own_count = s->doors.own_count,
        .log_sink = log_file_sink(&s->log_file),
        .heart = heart,
        .parent = parent,
    };
    return engine_process(s->world, &p);
}

/* Every child, in the order in which they start. */
static const struct child_role roles[] = {
    {"engine", run_engine},
};

static void on_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            children_reap(&s->children, NULL);
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            children_stop(&s->children, s->children.is_stopping); /* the second time at once */
    }
}

static int watch(struct supervisor *s)
{
    while (!children_are_gone(&s->children)) {
        struct pollfd ready[1 + CHILDREN_MAX] = {{.fd = s->signals, .events = POLLIN}};
        children_tend(&s->children);
        children_poll(&s->children, ready + 1);
        int n = poll(ready, 1 + s->children.count, children_wait_ms(&s->children));
        if (n > 0)
            children_on_ready(&s->children, ready + 1);
        if (n > 0 && ready[0].revents != 0)
            on_signals(s);
    }
    return s->children.code;
}

/* A session costs a descriptor: as many as the system lets us have. */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool take_signals(struct supervisor *s)
{
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &watched, NULL) != 0)
        return false;
    s->signals = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
    return s->signals >= 0;
}

int supervisor_run(struct world *w, const struct settings *settings)
{
    struct supervisor s = {.world = w, .settings = settings, .log_file = {STDERR_FILENO}};
    int code = doors_open(&s.doors, settings);
    if (code != 0)
        return code;
    raise_limits();
    s.log = log_new(log_file_sink(&s.log_file), settings->log_format, settings->log_level);
    children_init(&s.children, roles, sizeof roles / sizeof roles[0], &s, s.log);
    if (take_signals(&s)) {
        code = watch(&s);
        close(s.signals);
    } else {
        fprintf(stderr, "postrider: cannot watch for signals: %s\n", strerror(errno));
        code = EX_OSERR;
    }
    log_free(s.log);
    doors_close(&s.doors, settings);
    return code;
}
