#include "agent/process.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/directory.h"
#include "agent/hand.h"
#include "engine/rehearsal.h"
#include "os/descriptor.h"

#define BEAT_MS INT64_C(1000)

struct process {
    struct world *world;
    const struct agent_process *options;
    struct settings *settings;
    struct span bundle;
    struct loop *loop;
    struct log *log;
    struct directory directory;
    struct agent *agent;
    struct descriptor *signals_watch;
    int signals;
    struct timer beat;
    bool is_over, is_stopping;
    int64_t stop_us;
};

/* Hands: the real ones. ------------------------------------------------------------------------
 */

_Noreturn static void run_hand(struct process *p, struct identity who, int channel, pid_t parent)
{
    const struct hand_process hand = {
        .as = who,
        .channel = channel,
        .hostname = p->settings->hostname,
        .parent = parent,
    };
    _exit(hand_process(p->world, &hand));
}

static enum fault start_hand(void *context, struct identity who, struct ipc_channel *c,
                             int64_t *pid_out)
{
    struct process *p = context;
    int ends[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return fault_of_errno(errno);
    pid_t pid = fork();
    if (pid == 0)
        run_hand(p, who, ends[1], parent);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return FAULT_NO_MEMORY;
    }
    enum fault fault = channel_open(c, p->loop, ends[0]);
    if (fault != FAULT_NONE)
        (void)kill(pid, SIGKILL);
    *pid_out = pid;
    return fault;
}

/* One that cannot be killed at once, for its disk hangs, is reaped when it is dead. A pid that was
   reaped is not killed: it may be somebody else's by now. */
static void kill_hand(void *context, int64_t pid)
{
    (void)context;
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        (void)kill((pid_t)pid, SIGKILL);
}

/* Signals and time. --------------------------------------------------------------------------- */

static void begin_stop(struct process *p)
{
    if (p->is_stopping)
        return;
    p->is_stopping = true;
    p->stop_us = loop_mono_us(p->loop) + AGENT_STOP_MS * INT64_C(1000);
    agent_stop(p->agent);
}

static void on_signal(void *context, unsigned ready)
{
    struct process *p = context;
    struct signalfd_siginfo info;
    (void)ready;
    while (read(p->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            begin_stop(p);
        while (info.ssi_signo == SIGCHLD && waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
}

static void on_beat(void *context)
{
    struct process *p = context;
    ssize_t n = write(p->options->heart, "", 1);
    (void)n; /* a full pipe holds beats enough */
    if (timer_set(p->loop, &p->beat, loop_mono_us(p->loop) + BEAT_MS * 1000) != FAULT_NONE)
        p->is_over = true; /* it would be killed for silence */
}

static bool take_signals(struct process *p)
{
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGHUP); /* what a terminal sends is the supervisor's business */
    if (sigprocmask(SIG_BLOCK, &watched, NULL) != 0)
        return false;
    p->signals = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
    return p->signals >= 0 && descriptor_watch(p->loop, p->signals, DESCRIPTOR_READABLE, on_signal,
                                               p, &p->signals_watch) == FAULT_NONE;
}

/* Life. -------------------------------------------------------------------------------------- */

static enum fault find(void *context, const struct message_deliver *m, struct arena *arena,
                       struct message_put *put, struct identity *who_out)
{
    struct process *p = context;
    return directory_find(&p->directory, m, arena, put, who_out);
}

/* What root may do beyond becoming users and ending their processes is not needed here: reading and
   writing everybody's files, above all. */
static bool drop_powers(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    if (!identity_is_root())
        return true;
    data[0].permitted = data[0].effective = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;
    return syscall(SYS_capset, &header, data) == 0;
}

static enum fault begin(struct process *p)
{
    const struct settings *s = p->settings;
    const struct agent_house house = {p, find, start_hand, kill_hand};
    p->log = log_new(log_file_sink(p->options->log_file), s->log_format, s->log_level);
    if (p->log == NULL)
        return FAULT_NO_MEMORY;
    enum fault fault = loop_new(p->world, &p->loop);
    if (fault != FAULT_NONE)
        return fault;
    timer_init(&p->beat, on_beat, p);
    fault = timer_set(p->loop, &p->beat, 0);
    if (fault == FAULT_NONE && !take_signals(p))
        fault = FAULT_UNKNOWN;
    directory_init(&p->directory, s);
    if (fault == FAULT_NONE && !drop_powers())
        fault = FAULT_DENIED;
    if (fault == FAULT_NONE)
        fault = agent_new(p->loop, &house, p->log, &p->agent);
    if (fault == FAULT_NONE)
        fault = agent_listen(p->agent, p->options->door);
    log_set_time(p->log, loop_wall_ms(p->loop));
    LOG(p->log, EVENT_AGENT_STARTED, log_i64("pid", getpid()));
    return fault;
}

static void run(struct process *p)
{
    while (!p->is_over) {
        log_flush(p->log);
        loop_poll(p->loop, true);
        if (p->is_stopping && (agent_is_idle(p->agent) || loop_mono_us(p->loop) >= p->stop_us))
            p->is_over = true;
    }
}

static void on_tick(void *context)
{
    struct process *p = context;
    log_set_time(p->log, loop_wall_ms(p->loop));
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Sockets of clients and servers and what else the supervisor has are none of ours. */
static void keep_only(const struct agent_process *o)
{
    int kept[] = {STDERR_FILENO, o->bundle, o->door, o->log_file->descriptor, o->heart};
    size_t count = sizeof kept / sizeof kept[0];
    qsort(kept, count, sizeof kept[0], by_number);
    for (size_t i = 0; i < count; i++) {
        unsigned from = (unsigned)kept[i] + 1;
        unsigned to = i + 1 < count ? (unsigned)kept[i + 1] : UINT32_MAX;
        if (to > from)
            (void)close_range(from, to == UINT32_MAX ? to : to - 1, 0);
    }
}

static void end(struct process *p)
{
    agent_free(p->agent);
    if (p->signals_watch != NULL)
        descriptor_unwatch(p->signals_watch);
    if (p->signals >= 0)
        close(p->signals);
    if (p->loop != NULL) {
        timer_cancel(p->loop, &p->beat);
        loop_free(p->loop);
    }
    log_free(p->log);
    settings_release(p->settings);
    if (p->bundle.data != NULL)
        (void)munmap((void *)(uintptr_t)p->bundle.data, p->bundle.len);
}

int agent_process(struct world *w, const struct agent_process *options)
{
    struct process p = {.world = w, .options = options, .signals = -1};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != options->parent)
        return EX_OSERR;
    keep_only(options);
    p.settings = rehearsal_settings(options->bundle, options->path, &p.bundle);
    enum fault fault = p.settings == NULL ? FAULT_SYNTAX : begin(&p);
    if (fault == FAULT_NONE) {
        loop_on_tick(p.loop, on_tick, &p);
        run(&p);
    } else {
        fprintf(stderr, "postrider: the process for local deliveries: %s\n", fault_text(fault));
    }
    end(&p);
    return fault == FAULT_NONE ? EX_OK : EX_OSERR;
}
