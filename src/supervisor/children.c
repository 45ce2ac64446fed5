#include "supervisor/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "os/clock.h"

static void close_heart(struct child *c)
{
    if (c->heart >= 0)
        close(c->heart);
    c->heart = -1;
}

void children_init(struct children *c, const struct child_role *roles, uint32_t count,
                   void *context, struct log *log)
{
    check(count > 0 && count <= CHILDREN_MAX);
    *c = (struct children){.count = count, .context = context, .log = log};
    for (uint32_t i = 0; i < count; i++)
        c->all[i] = (struct child){.role = &roles[i], .heart = -1, .start_ms = clock_mono_ms()};
}

/* Starting ------------------------------------------------------------------------------------- */

/* In the child: nothing of its siblings. */
static int run(struct children *all, struct child *c, int heart, pid_t parent)
{
    for (uint32_t i = 0; i < all->count; i++)
        close_heart(&all->all[i]);
    return c->role->run(all->context, heart, parent);
}

static void start(struct children *all, struct child *c)
{
    int heart[2];
    c->start_ms = clock_mono_ms() + RESTART_DELAY_MS_MAX; /* should it fail */
    if (c->role->prepare != NULL && !c->role->prepare(all->context))
        return;
    if (pipe2(heart, O_CLOEXEC | O_NONBLOCK) != 0)
        return;
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(heart[0]);
        exit(run(all, c, heart[1], parent));
    }
    close(heart[1]);
    if (pid < 0) {
        close(heart[0]);
        return;
    }
    c->heart = heart[0];
    c->pid = pid;
    c->has_beaten = c->is_renewed = false;
    c->start_ms = c->kill_ms = 0;
    c->begun_ms = c->beat_ms = clock_mono_ms();
}

/* Ending --------------------------------------------------------------------------------------- */

static void log_death(struct log *l, const struct child *c, int status, int64_t delay)
{
    log_set_time(l, clock_wall_ms());
    LOG(l, EVENT_CHILD_DIED, log_text("process", c->role->name), log_i64("pid", c->pid),
        log_i64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
        log_i64("exit", WIFEXITED(status) ? WEXITSTATUS(status) : 0), log_i64("delay_ms", delay));
    if (c->restart.deaths > 3)
        LOG(l, EVENT_CRASH_LOOP, log_text("process", c->role->name),
            log_u64("deaths", c->restart.deaths));
    log_flush(l);
}

/* The last that still runs is asked to end, those before it when it has. */
static void stop_next(struct children *all)
{
    for (uint32_t i = all->count; i-- > 0;) {
        struct child *c = &all->all[i];
        if (c->pid == 0)
            continue;
        if (c->kill_ms == 0) {
            c->kill_ms = clock_mono_ms() + SUPERVISOR_STOP_MS;
            (void)kill(c->pid, SIGTERM);
        }
        return;
    }
}

static void on_death(struct children *all, struct child *c, int status)
{
    close_heart(c);
    if (all->is_stopping) {
        if (WIFEXITED(status) && all->code == 0)
            all->code = WEXITSTATUS(status);
        c->pid = 0;
        stop_next(all);
        return;
    }
    if (c->is_renewed) {
        c->pid = 0;
        c->start_ms = clock_mono_ms();
        return;
    }
    if (WIFEXITED(status) && !c->has_ever_beaten) {
        all->code = WEXITSTATUS(status);
        c->pid = 0;
        children_stop(all, false);
        return;
    }
    int64_t delay = restart_after_death(&c->restart, c->has_beaten, clock_mono_ms() - c->begun_ms);
    log_death(all->log, c, status, delay);
    c->pid = 0;
    c->start_ms = clock_mono_ms() + delay;
}

void children_renew(struct children *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        struct child *c = &all->all[i];
        if (c->role->renewal != RENEWED_BY_START || c->pid == 0 || c->is_renewed)
            continue;
        c->is_renewed = true;
        c->kill_ms = clock_mono_ms() + SUPERVISOR_STOP_MS;
        (void)kill(c->pid, SIGTERM);
    }
}

void children_reap(struct children *all)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (uint32_t i = 0; i < all->count; i++)
            if (all->all[i].pid == pid)
                on_death(all, &all->all[i], status);
    }
}

void children_stop(struct children *all, bool at_once)
{
    all->is_stopping = true;
    if (!at_once)
        stop_next(all);
    for (uint32_t i = 0; at_once && i < all->count; i++)
        if (all->all[i].pid != 0)
            (void)kill(all->all[i].pid, SIGKILL);
}

bool children_are_gone(const struct children *all)
{
    for (uint32_t i = 0; i < all->count; i++)
        if (all->all[i].pid != 0)
            return false;
    return all->is_stopping;
}

/* Watching ------------------------------------------------------------------------------------- */

bool children_are_well(const struct children *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const struct child *c = &all->all[i];
        if (c->pid != 0 &&
            (!c->has_beaten || clock_mono_ms() - c->beat_ms >= SUPERVISOR_HANG_MS / 2))
            return false;
    }
    return true;
}

void children_poll(const struct children *all, struct pollfd ready_out[CHILDREN_MAX])
{
    for (uint32_t i = 0; i < all->count; i++)
        ready_out[i] = (struct pollfd){.fd = all->all[i].heart, .events = POLLIN};
}

static void on_beat(struct child *c)
{
    char beats[64];
    ssize_t n = read(c->heart, beats, sizeof beats);
    if (n > 0) {
        c->beat_ms = clock_mono_ms();
        c->has_beaten = c->has_ever_beaten = true;
    } else if (n == 0) {
        close_heart(c); /* it is dying; SIGCHLD tells */
    }
}

void children_on_ready(struct children *all, const struct pollfd ready[CHILDREN_MAX])
{
    for (uint32_t i = 0; i < all->count; i++)
        if (ready[i].revents != 0 && all->all[i].heart == ready[i].fd)
            on_beat(&all->all[i]);
}

void children_tend(struct children *all)
{
    int64_t now = clock_mono_ms();
    for (uint32_t i = 0; i < all->count; i++) {
        struct child *c = &all->all[i];
        if (c->pid == 0 && !all->is_stopping && c->start_ms != 0 && now >= c->start_ms)
            start(all, c);
        bool hangs = now - c->beat_ms >= SUPERVISOR_HANG_MS;
        bool is_late = c->kill_ms != 0 && now >= c->kill_ms;
        if (c->pid != 0 && (hangs || is_late))
            (void)kill(c->pid, SIGKILL);
    }
}

int children_wait_ms(const struct children *all)
{
    int64_t wait = 1000;
    for (uint32_t i = 0; i < all->count; i++) {
        const struct child *c = &all->all[i];
        if (c->pid != 0 || c->start_ms == 0 || all->is_stopping)
            continue;
        int64_t left = c->start_ms - clock_mono_ms();
        wait = left < 0 ? 0 : left < wait ? left : wait;
    }
    return (int)wait;
}
