#include "engine/process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "tls/context.h"

#define STOP_POLL_MS 20
#define MMAP_BYTES   (512 * 1024)
#define TRIM_BYTES   (1024 * 1024)
#define WHY_MAX      1024 /* of what is wrong with a certificate */

static void on_beat(void *context)
{
    const struct engine_process *p = context;
    /* A full pipe holds beats enough. */
    ssize_t n = write(p->heart, "", 1);
    (void)n;
}

static int exit_code_of(enum fault fault)
{
    if (fault == FAULT_DISK_LOCKED || fault == FAULT_ADDRESS_IN_USE)
        return EX_UNAVAILABLE;
    if (fault == FAULT_DENIED)
        return EX_NOPERM;
    if (fault == FAULT_NOT_FOUND || fault == FAULT_UNREACHABLE || fault == FAULT_SYNTAX)
        return EX_CONFIG;
    return EX_OSERR;
}

static int sorry(const struct settings *settings, enum fault fault, const char *part,
                 struct span more)
{
    if (more.len > 0) {
        fprintf(stderr, "postrider: %s: %.*s\n", part, SPAN_PRINT(more));
        return EX_CONFIG;
    }
    bool is_spool = strcmp(part, "spool") == 0;
    const char *why = fault_text(fault);
    if (is_spool && fault == FAULT_UNREACHABLE)
        why = "it lies on a network file system, where a sync promises too little";
    else if (is_spool && fault == FAULT_SYNTAX)
        why = "it was written by a later version";
    fprintf(stderr, "postrider: %s%s%s: %s\n", part, is_spool ? " " : "",
            is_spool ? settings->spool : "", why);
    return exit_code_of(fault);
}

static void wait_for_signal(const sigset_t *ends)
{
    int number;
    while (sigwait(ends, &number) == EINTR) {
    }
}

/* True when all actors have ended; false when the time is over. */
static bool wait_for_end(const struct engine *e)
{
    struct timespec pause = {0, STOP_POLL_MS * 1000000L};
    for (int waited = 0; waited < ENGINE_STOP_LIMIT_MS; waited += STOP_POLL_MS) {
        if (engine_is_stopped(e))
            return true;
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

/*
 * glibc raises both thresholds by itself once something large was freed, and keeps what is freed
 * from then on: after a start with a million queued messages 509 MB stayed resident, of which 221
 * were in use. Fixed, large tables come from the kernel and go back to it. The first is above the
 * largest content kept in memory, so that no message costs a system call.
 */
static void give_memory_back(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
}

/* What a terminal that goes away sends (SIGHUP) is the supervisor's business. */
static void take_signals(sigset_t *ends_out)
{
    sigset_t blocked;
    sigemptyset(ends_out);
    sigaddset(ends_out, SIGTERM);
    sigaddset(ends_out, SIGINT);
    blocked = *ends_out;
    sigaddset(&blocked, SIGHUP);
    (void)sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/* The engine never outlives its supervisor, nor one that died before this was said. */
static bool follow_parent(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

/* Until it is asked to end. */
static int run(struct engine *e, const sigset_t *ends)
{
    enum fault fault = engine_start(e);
    if (fault != FAULT_NONE) {
        fprintf(stderr, "postrider: cannot start threads: %s\n", fault_text(fault));
        _exit(EX_OSERR); /* some may run: nothing may be taken from under them */
    }
    wait_for_signal(ends);
    engine_stop(e);
    if (!wait_for_end(e))
        _exit(EX_OK);
    engine_join(e);
    engine_free(e);
    return EX_OK;
}

int engine_process(struct world *w, struct engine_process *p)
{
    sigset_t ends;
    give_memory_back();
    take_signals(&ends);
    if (!follow_parent(p->parent))
        return EX_OSERR;

    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint8_t ticket_keys[TLS_TICKET_KEY_BYTES];
    struct buffer why;
    buffer_init(&why, WHY_MAX);
    struct engine_options options = {
        .source = {.settings = p->settings,
                   .listeners = p->listeners,
                   .listener_count = p->listener_count,
                   .own = p->own,
                   .own_count = p->own_count},
        .control = p->control,
        .processors = processors > 0 ? (uint32_t)processors : 1,
        .ticket_keys = ticket_keys,
        .why = &why,
        .log_sink = p->log_sink,
        .on_beat = on_beat,
        .context = p,
    };
    if (getrandom(&options.secret, sizeof options.secret, 0) != sizeof options.secret ||
        getrandom(ticket_keys, sizeof ticket_keys, 0) != sizeof ticket_keys)
        return EX_OSERR;
    struct engine *e;
    const char *part;
    enum fault fault = engine_new(w, &options, &e, &part);
    int code =
        fault == FAULT_NONE ? run(e, &ends) : sorry(p->settings, fault, part, buffer_span(&why));
    buffer_fini(&why);
    return code;
}
