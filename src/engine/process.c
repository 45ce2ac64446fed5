#include "engine/process.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "config/bundle.h"
#include "engine/rehearsal.h"
#include "ipc/handover.h"
#include "os/interface.h"
#include "os/privilege.h"
#include "tls/context.h"

#define STOP_POLL_MS 20
#define MMAP_BYTES   (512 * 1024)
#define TRIM_BYTES   (1024 * 1024)
#define WHY_MAX      1024 /* of what is wrong with a certificate */
#define OWN_MAX      256  /* addresses of ours */

/* What a generation was made of; it ends with it. */
struct handed {
    struct span map; /* the bundle */
    struct settings *settings;
    int listeners[CONFIG_LISTENERS_MAX];
    uint32_t listener_count;
    bool has_descriptors;         /* the listeners are its own */
    struct endpoint own[OWN_MAX]; /* where we listen: an MX with one of these is us */
    size_t own_count;
};

/* The context of the main thread. */
struct process {
    struct engine_process *given;
    struct engine *engine;
    int signals; /* signalfd */
};

static void on_beat(void *context)
{
    const struct process *m = context;
    /* A full pipe holds beats enough. */
    ssize_t n = write(m->given->heart, "", 1);
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

static int sorry(const char *spool, enum fault fault, const char *part, struct span more)
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
    else if (is_spool && fault == FAULT_DENIED)
        why = "the server's user may not use it; do the folders above it let it pass?";
    fprintf(stderr, "postrider: %s%s%s: %s\n", part, is_spool ? " " : "", is_spool ? spool : "",
            why);
    return exit_code_of(fault);
}

/* Generations ---------------------------------------------------------------------------------- */

/* What nobody listens on any more is closed then, whoever still goes by this generation. */
static void close_listeners(void *context)
{
    struct handed *h = context;
    for (uint32_t i = 0; h->has_descriptors && i < h->listener_count; i++)
        close(h->listeners[i]);
    h->has_descriptors = false;
}

static void end_handed(void *context)
{
    struct handed *h = context;
    close_listeners(h);
    if (h->map.data != NULL)
        (void)munmap((void *)(uintptr_t)h->map.data, h->map.len);
    settings_release(h->settings);
    free(h);
}

static bool is_any(struct endpoint e)
{
    static const uint8_t zeros[16] = {0};
    return memcmp(e.ip, zeros, sizeof zeros) == 0;
}

static void find_own(struct handed *h)
{
    uint32_t count = settings_listener_count(h->settings);
    for (uint32_t i = 0; i < count && h->own_count < OWN_MAX; i++) {
        struct endpoint e;
        (void)settings_listener(h->settings, i, &e);
        e.port = 0;
        if (is_any(e))
            h->own_count +=
                interface_addresses(e.family, h->own + h->own_count, OWN_MAX - h->own_count);
        else
            h->own[h->own_count++] = e;
    }
}

static struct span find_file(void *context, const char *path)
{
    const struct handed *h = context;
    struct bundle_file file = {.text = {NULL, 0}};
    (void)bundle_find(h->map, span_text(path), &file);
    return file.text;
}

/* The bundle may be closed afterwards. NULL: it was said why. */
static struct handed *unpack(const struct engine_process *p, int bundle, const int *listeners,
                             uint32_t count)
{
    struct handed *h = calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->settings = rehearsal_settings(bundle, p->path, &h->map);
    if (h->settings == NULL || count != settings_listener_count(h->settings) ||
        count > CONFIG_LISTENERS_MAX) {
        end_handed(h);
        return NULL;
    }
    h->settings->spool = p->spool;
    h->listener_count = count;
    memcpy(h->listeners, listeners, count * sizeof(int));
    find_own(h);
    return h;
}

static struct generation_source source_of(struct handed *h)
{
    return (struct generation_source){
        .settings = h->settings,
        .listeners = h->listeners,
        .listener_count = h->listener_count,
        .own = h->own,
        .own_count = h->own_count,
        .find_file = find_file,
        .on_taken = close_listeners,
        .on_end = end_handed,
        .context = h,
    };
}

/* Descriptors: the bundle, then the listeners. False: it is not taken on, `why` says why; then the
   listeners are still the caller's. */
static bool take_generation(struct process *m, const int *descriptors, size_t count,
                            struct buffer *why)
{
    struct handed *h = unpack(m->given, descriptors[0], descriptors + 1, (uint32_t)(count - 1));
    if (h == NULL) {
        (void)!buffer_put_text(why, "the engine cannot read the new configuration");
        return false;
    }
    struct generation_source source = source_of(h);
    h->has_descriptors = true;
    if (engine_reload(m->engine, &source, why) == FAULT_NONE)
        return true;
    if (why->len == 0)
        (void)!buffer_put_text(why, "out of memory");
    h->has_descriptors = false;
    end_handed(h);
    return false;
}

static void on_handover(struct process *m)
{
    static uint8_t bytes[HANDOVER_BYTES_MAX];
    int descriptors[HANDOVER_DESCRIPTORS_MAX];
    size_t len, count;
    enum handover_kind kind =
        handover_receive(m->given->supervisor, 0, bytes, &len, descriptors, &count);
    size_t skip = len > 0 && bytes[0] != 0 && count >= 2 ? 1 : 0;
    bool is_kept = false;
    struct buffer why;
    buffer_init(&why, WHY_MAX);
    if (skip > 0) {
        log_file_replace(m->given->log_file, descriptors[1]);
        descriptors[1] = descriptors[0]; /* the bundle again stands before the listeners */
    }
    if (kind == HANDOVER_GENERATION && count > skip)
        is_kept = take_generation(m, descriptors + skip, count - skip, &why);
    struct span text = len > 0 ? span_of(bytes + 1, len - 1) : (struct span){NULL, 0};
    if (kind != 0)
        engine_reload_ended(m->engine, is_kept, why.len > 0 ? buffer_span(&why) : text);
    for (size_t i = skip; i < count; i++)
        if (!is_kept || i == skip)
            close(descriptors[i]);
    buffer_fini(&why);
}

/* An operator asks for a reload; on the control actor's thread. */
static void on_reload_wanted(void *context)
{
    const struct process *m = context;
    (void)handover_send(m->given->supervisor, HANDOVER_WANTED, NULL, 0, NULL, 0);
}

/* Ending --------------------------------------------------------------------------------------- */

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
static bool take_signals(struct process *m)
{
    sigset_t ends, blocked;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    blocked = ends;
    sigaddset(&blocked, SIGHUP);
    (void)sigprocmask(SIG_SETMASK, &blocked, NULL);
    m->signals = signalfd(-1, &ends, SFD_CLOEXEC);
    return m->signals >= 0;
}

/* The engine never outlives its supervisor, nor one that died before this was said. After a change
   of user, which makes the kernel forget it (prctl(2)). */
static bool follow_parent(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

/* False: it was said why. */
static bool become_user(const struct engine_process *p)
{
    const char *wrong = NULL;
    if (p->uid != 0)
        wrong = privilege_drop(p->uid, p->gid, p->groups, p->group_count);
    else if (!privilege_gain_none())
        wrong = "cannot give up gaining privileges";
    if (wrong != NULL)
        fprintf(stderr, "postrider: %s (user %u): %s\n", wrong, p->uid, strerror(errno));
    return wrong == NULL;
}

/* Until it is asked to end. */
static void watch(struct process *m)
{
    for (;;) {
        struct pollfd ready[] = {{.fd = m->signals, .events = POLLIN},
                                 {.fd = m->given->supervisor, .events = POLLIN}};
        if (poll(ready, 2, -1) < 0)
            continue;
        if (ready[0].revents != 0)
            return;
        if (ready[1].revents != 0)
            on_handover(m);
    }
}

static int run(struct process *m)
{
    struct engine *e = m->engine;
    enum fault fault = engine_start(e);
    if (fault != FAULT_NONE) {
        fprintf(stderr, "postrider: cannot start threads: %s\n", fault_text(fault));
        _exit(EX_OSERR); /* some may run: nothing may be taken from under them */
    }
    watch(m);
    engine_stop(e);
    if (!wait_for_end(e))
        _exit(EX_OK);
    engine_join(e);
    engine_free(e);
    return EX_OK;
}

static int make_and_run(struct world *w, struct process *m, struct handed *h)
{
    const struct engine_process *p = m->given;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint8_t ticket_keys[TLS_TICKET_KEY_BYTES];
    struct buffer why;
    buffer_init(&why, WHY_MAX);
    struct engine_options options = {
        .source = source_of(h),
        .control = p->control,
        .operators = {.uid = p->uid != 0 ? p->uid : geteuid(),
                      .has_group = p->has_control_group,
                      .gid = p->control_gid},
        .agent_door = p->agent_door,
        .processors = processors > 0 ? (uint32_t)processors : 1,
        .ticket_keys = ticket_keys,
        .why = &why,
        .log_sink = log_file_sink(p->log_file),
        .on_beat = on_beat,
        .on_reload_wanted = on_reload_wanted,
        .context = m,
    };
    if (getrandom(&options.secret, sizeof options.secret, 0) != sizeof options.secret ||
        getrandom(ticket_keys, sizeof ticket_keys, 0) != sizeof ticket_keys)
        return EX_OSERR;
    const char *part;
    enum fault fault = engine_new(w, &options, &m->engine, &part);
    int code = fault == FAULT_NONE ? run(m) : sorry(p->spool, fault, part, buffer_span(&why));
    buffer_fini(&why);
    return code;
}

int engine_process(struct world *w, struct engine_process *p)
{
    struct process m = {.given = p};
    give_memory_back();
    if (!take_signals(&m) || !become_user(p) || !follow_parent(p->parent))
        return EX_OSERR;
    struct handed *h = unpack(p, p->bundle, p->listeners, p->listener_count);
    if (h == NULL)
        return EX_CONFIG;
    h->has_descriptors = true;
    return make_and_run(w, &m, h);
}
