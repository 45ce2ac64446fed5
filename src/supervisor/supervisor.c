#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/process.h"
#include "supervisor/doors.h"
#include "supervisor/log_file.h"

struct supervisor {
    struct world *world;
    const struct settings *settings;
    struct doors doors;
    struct log_file log_file;
    struct log *log;
    int signals;          /* signalfd */
    int heart;            /* the child's beats, or -1 */
    pid_t child;          /* 0: none */
    bool has_beaten;      /* this child has */
    bool has_ever_beaten; /* some child has */
    bool is_stopping;
    uint32_t deaths;                              /* in a row, without a beat */
    uint32_t deaths_well;                         /* in a row, soon after the first beat */
    int64_t begun_ms, beat_ms, start_ms, kill_ms; /* monotonic; 0: not set */
};

#define WELL_AFTER_MS 10000

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void close_heart(struct supervisor *s)
{
    if (s->heart >= 0)
        close(s->heart);
    s->heart = -1;
}

static int run_engine(struct supervisor *s, int heart, pid_t parent)
{
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

static void start_child(struct supervisor *s)
{
    int heart[2];
    s->start_ms = 0;
    if (pipe2(heart, O_CLOEXEC | O_NONBLOCK) != 0) {
        s->start_ms = now_ms() + SUPERVISOR_DELAY_MS_MAX;
        return;
    }
    fflush(NULL);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        close(heart[0]);
        close(s->signals);
        exit(run_engine(s, heart[1], parent));
    }
    close(heart[1]);
    if (child < 0) {
        close(heart[0]);
        s->start_ms = now_ms() + SUPERVISOR_DELAY_MS_MAX;
        return;
    }
    s->heart = heart[0];
    s->child = child;
    s->has_beaten = false;
    s->begun_ms = s->beat_ms = now_ms();
}

/* The crash-loop rule; see the header. */
static int64_t delay_ms(const struct supervisor *s)
{
    uint32_t n = s->has_beaten ? s->deaths_well : s->deaths;
    int64_t most = s->has_beaten ? SUPERVISOR_DELAY_WELL_MS_MAX : SUPERVISOR_DELAY_MS_MAX;
    int64_t delay = 0;
    if (n > 1)
        delay = SUPERVISOR_DELAY_FIRST_MS * (INT64_C(1) << (n < 20 ? n - 2 : 18));
    return delay < most ? delay : most;
}

static void count_death(struct supervisor *s)
{
    if (!s->has_beaten) {
        s->deaths++;
        return;
    }
    s->deaths = 0;
    s->deaths_well = now_ms() - s->begun_ms < WELL_AFTER_MS ? s->deaths_well + 1 : 1;
}

static void log_death(struct supervisor *s, int status, int64_t delay)
{
    log_set_time(s->log, wall_ms());
    LOG(s->log, EVENT_CHILD_DIED, log_text("process", "engine"), log_i64("pid", s->child),
        log_i64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
        log_i64("exit", WIFEXITED(status) ? WEXITSTATUS(status) : 0), log_i64("delay_ms", delay));
    if (s->deaths > 3)
        LOG(s->log, EVENT_CRASH_LOOP, log_text("process", "engine"), log_u64("deaths", s->deaths));
    log_flush(s->log);
}

/* True: the supervisor goes on; false: it ends with *code_out. */
static bool on_death(struct supervisor *s, int status, int *code_out)
{
    close_heart(s);
    bool is_exit = WIFEXITED(status) && !s->has_ever_beaten;
    if (s->is_stopping || is_exit) {
        *code_out = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        s->child = 0;
        return false;
    }
    count_death(s);
    int64_t delay = delay_ms(s);
    log_death(s, status, delay);
    s->child = 0;
    s->start_ms = now_ms() + delay;
    return true;
}

static bool reap(struct supervisor *s, int *code_out)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == s->child && !on_death(s, status, code_out))
            return false;
    return true;
}

static bool begin_stop(struct supervisor *s)
{
    s->is_stopping = true;
    if (s->child == 0)
        return false;
    if (s->kill_ms == 0)
        s->kill_ms = now_ms() + SUPERVISOR_STOP_MS;
    (void)kill(s->child, SIGTERM);
    return true;
}

static bool on_signal(struct supervisor *s, int *code_out)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        bool goes_on = true;
        if (info.ssi_signo == SIGCHLD)
            goes_on = reap(s, code_out);
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            goes_on = begin_stop(s);
        if (!goes_on)
            return false;
    }
    return true;
}

static void on_beat(struct supervisor *s)
{
    char beats[64];
    ssize_t n = read(s->heart, beats, sizeof beats);
    if (n > 0) {
        s->beat_ms = now_ms();
        s->has_beaten = s->has_ever_beaten = true;
    } else if (n == 0) {
        close_heart(s); /* it is dying; SIGCHLD tells */
    }
}

static void on_time(struct supervisor *s)
{
    int64_t now = now_ms();
    if (s->child == 0 && s->start_ms != 0 && now >= s->start_ms)
        start_child(s);
    if (s->child == 0)
        return;
    bool hangs = now - s->beat_ms >= SUPERVISOR_HANG_MS;
    bool is_late = s->kill_ms != 0 && now >= s->kill_ms;
    if (hangs || is_late)
        (void)kill(s->child, SIGKILL);
}

static int next_wait_ms(const struct supervisor *s)
{
    int64_t wait = 1000;
    if (s->child == 0 && s->start_ms != 0) {
        int64_t left = s->start_ms - now_ms();
        wait = left < 0 ? 0 : left < wait ? left : wait;
    }
    return (int)wait;
}

static int watch(struct supervisor *s)
{
    int code = 0;
    for (;;) {
        struct pollfd ready[2] = {{.fd = s->signals, .events = POLLIN},
                                  {.fd = s->heart, .events = POLLIN}};
        int n = poll(ready, 2, next_wait_ms(s));
        if (n > 0 && s->heart >= 0 && ready[1].revents != 0)
            on_beat(s);
        if (n > 0 && ready[0].revents != 0 && !on_signal(s, &code))
            return code;
        on_time(s);
    }
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
    struct supervisor s = {
        .world = w, .settings = settings, .heart = -1, .log_file = {STDERR_FILENO}};
    int code = doors_open(&s.doors, settings);
    if (code != 0)
        return code;
    raise_limits();
    s.log = log_new(log_file_sink(&s.log_file), settings->log_format, settings->log_level);
    if (take_signals(&s)) {
        start_child(&s);
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
