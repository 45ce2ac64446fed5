#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/process.h"
#include "engine/loading.h"
#include "engine/process.h"
#include "ipc/handover.h"
#include "os/clock.h"
#include "os/log_file.h"
#include "os/privilege.h"
#include "os/service_manager.h"
#include "os/signals.h"
#include "supervisor/children.h"
#include "supervisor/doors.h"

struct supervisor {
    struct world *world;
    const char *path; /* of the configuration */
    bool is_root;
    struct rehearsal_result start; /* of the configuration that it was started with */
    struct rehearsal_result now;   /* of the one in force */
    int bundle;                    /* the one in force */
    struct doors doors;
    struct log_file log_file;
    struct log *log;
    int signals;   /* signalfd */
    int engine[2]; /* ipc/handover.h: our end and the engine's; -1: none */
    int agent[2];  /* a door (os/packet.h): the engine's side and the agent's; it outlives both */
    struct children children;
    bool is_ready;           /* the service manager knows it */
    int64_t watchdog_ms;     /* between two signs of life to the service manager; 0: none */
    int64_t sign_of_life_ms; /* the next is due then */
};

/* The children --------------------------------------------------------------------------------- */

static int run_engine(void *context, int heart, pid_t parent)
{
    struct supervisor *s = context;
    close(s->signals);
    close(s->engine[0]);
    close(s->agent[1]);
    struct engine_process p = {
        .path = s->path,
        .bundle = s->bundle,
        .spool = s->start.spool,
        .uid = s->is_root ? s->start.uid : 0,
        .gid = s->start.gid,
        .groups = s->start.groups,
        .group_count = s->start.group_count,
        .has_control_group = s->start.has_control_group,
        .control_gid = s->start.control_gid,
        .listeners = s->doors.listeners,
        .listener_count = s->doors.count,
        .control = s->doors.control,
        .agent_door = s->agent[0],
        .log_file = &s->log_file,
        .heart = heart,
        .supervisor = s->engine[1],
        .parent = parent,
    };
    return engine_process(s->world, &p);
}

/* A pair for each: what lay in the last one is nobody's any more. */
static bool prepare_engine(void *context)
{
    struct supervisor *s = context;
    for (int i = 0; i < 2; i++)
        if (s->engine[i] >= 0)
            close(s->engine[i]);
    s->engine[0] = s->engine[1] = -1;
    return handover_pair(s->engine);
}

static int run_agent(void *context, int heart, pid_t parent)
{
    struct supervisor *s = context;
    struct agent_process p = {
        .path = s->path,
        .bundle = s->bundle,
        .door = s->agent[1],
        .log_file = &s->log_file,
        .heart = heart,
        .parent = parent,
    };
    return agent_process(s->world, &p);
}

/* Every child, in the order in which they start. */
static const struct child_role roles[] = {
    {"agent", NULL, run_agent, RENEWED_BY_START},
    {"engine", prepare_engine, run_engine, RENEWED_BY_MESSAGE},
};

/* Reloading ------------------------------------------------------------------------------------ */

/* Made when it is missing: rotated away, it is another. False: it stays where it is; errno. */
static bool open_log(struct supervisor *s)
{
    if (!s->now.has_log_file)
        return true;
    int file = log_file_append_to(s->now.log_file, s->start.uid, s->start.gid);
    if (file >= 0)
        log_file_replace(&s->log_file, file);
    return file >= 0;
}

static void tell_engine(struct supervisor *s, enum handover_kind kind, const struct buffer *text)
{
    int descriptors[HANDOVER_DESCRIPTORS_MAX];
    size_t count = 0;
    uint8_t has_log = s->now.has_log_file;
    struct span parts[] = {span_of(&has_log, 1), buffer_span(text)};
    descriptors[count++] = s->bundle;
    if (has_log)
        descriptors[count++] = s->log_file.descriptor;
    for (uint32_t i = 0; i < s->doors.count; i++)
        descriptors[count++] = s->doors.listeners[i];
    if (s->engine[0] >= 0)
        (void)handover_send(s->engine[0], kind, parts, 2, descriptors, count);
}

/* A session costs a descriptor. */
static void raise_limits(struct supervisor *s)
{
    uint64_t wanted = s->now.descriptors, allowed = privilege_descriptors(wanted);
    if (allowed < wanted)
        LOG(s->log, EVENT_LIMIT_LOW, log_text("limit", "descriptors"), log_u64("wanted", wanted),
            log_u64("allowed", allowed));
}

/* Takes it on; false: a listening socket could not be opened, and nothing has changed. */
static bool take_on(struct supervisor *s, int bundle, const struct rehearsal_result *wanted,
                    struct buffer *text)
{
    if (doors_renew(&s->doors, wanted, text) != 0)
        return false;
    close(s->bundle);
    s->bundle = bundle;
    s->now = *wanted;
    raise_limits(s); /* what the engine that runs may open stays what it was */
    return true;
}

static void reload(struct supervisor *s)
{
    struct rehearsal_result wanted;
    struct buffer text;
    service_manager_tell_reloading();
    log_set_time(s->log, clock_wall_ms());
    buffer_init(&text, HANDOVER_TEXT_MAX);
    int bundle = loading_run(s->path, s->is_root, s->bundle, &wanted, &text);
    bool is_good = bundle >= 0 && take_on(s, bundle, &wanted, &text);
    if (bundle >= 0 && !is_good)
        close(bundle);
    (void)open_log(s);
    if (!is_good)
        LOG(s->log, EVENT_CONFIG_REFUSED, log_span("why", buffer_span(&text)));
    log_flush(s->log);
    tell_engine(s, is_good ? HANDOVER_GENERATION : HANDOVER_REFUSED, &text);
    children_renew(&s->children); /* for the log's sake also when nothing else is new */
    buffer_fini(&text);
    service_manager_tell(is_good ? "READY=1\nSTATUS=serving; reloaded\n"
                                 : "READY=1\nSTATUS=serving; the last reload was refused\n");
}

/* The engine asks for one thing only; whatever comes is that. */
static void on_engine(struct supervisor *s)
{
    static uint8_t bytes[HANDOVER_BYTES_MAX];
    int unwanted[HANDOVER_DESCRIPTORS_MAX];
    size_t len, count;
    enum handover_kind kind = handover_receive(s->engine[0], 0, bytes, &len, unwanted, &count);
    for (size_t i = 0; i < count; i++)
        close(unwanted[i]);
    if (kind == HANDOVER_WANTED && !s->children.is_stopping)
        reload(s);
}

/* Watching ------------------------------------------------------------------------------------- */

static void stop(struct supervisor *s)
{
    service_manager_tell("STOPPING=1\nSTATUS=finishing what is under way\n");
    children_stop(&s->children, s->children.is_stopping); /* the second time at once */
}

static void on_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            children_reap(&s->children);
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            stop(s);
        else if (info.ssi_signo == SIGHUP && !s->children.is_stopping)
            reload(s);
    }
}

static void tell_service_manager(struct supervisor *s)
{
    if (s->children.is_stopping || !children_are_well(&s->children))
        return;
    if (!s->is_ready)
        service_manager_tell("READY=1\nSTATUS=serving\n");
    s->is_ready = true;
    int64_t now = clock_mono_ms();
    if (s->watchdog_ms == 0 || now < s->sign_of_life_ms)
        return;
    service_manager_tell("WATCHDOG=1\n");
    s->sign_of_life_ms = now + s->watchdog_ms;
}

static int watch(struct supervisor *s)
{
    while (!children_are_gone(&s->children)) {
        children_tend(&s->children);
        struct pollfd ready[2 + CHILDREN_MAX] = {{.fd = s->signals, .events = POLLIN},
                                                 {.fd = s->engine[0], .events = POLLIN}};
        children_poll(&s->children, ready + 2);
        int n = poll(ready, 2 + s->children.count, children_wait_ms(&s->children));
        if (n > 0) {
            children_on_ready(&s->children, ready + 2);
            if (ready[1].revents != 0 && ready[1].fd == s->engine[0])
                on_engine(s);
            if (ready[0].revents != 0)
                on_signals(s);
        }
        tell_service_manager(s);
    }
    return s->children.code;
}

/* Beginning ------------------------------------------------------------------------------------ */

static int begin(struct supervisor *s, struct buffer *text)
{
    s->bundle = loading_run(s->path, s->is_root, -1, &s->start, text);
    if (s->bundle < 0)
        return EX_CONFIG;
    s->now = s->start;
    int code = doors_open(&s->doors, &s->start, text);
    if (code != 0)
        return code;
    if (!open_log(s)) {
        (void)!buffer_printf(text, "postrider: cannot open the log %s: %s\n", s->start.log_file,
                             strerror(errno));
        return EX_CANTCREAT;
    }
    static const int watched[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
    int kind = SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC;
    s->signals = signals_open(watched, sizeof watched / sizeof watched[0]);
    if (s->signals < 0 || socketpair(AF_UNIX, kind, 0, s->agent) != 0) {
        (void)!buffer_printf(text, "postrider: cannot watch for signals: %s\n", strerror(errno));
        return EX_OSERR;
    }
    return 0;
}

int supervisor_run(struct world *w, const char *path)
{
    struct supervisor s = {.world = w,
                           .path = path,
                           .is_root = geteuid() == 0,
                           .bundle = -1,
                           .doors = {.control = -1},
                           .signals = -1,
                           .engine = {-1, -1},
                           .agent = {-1, -1},
                           .watchdog_ms = service_manager_watchdog_ms()};
    struct buffer text;
    buffer_init(&text, HANDOVER_TEXT_MAX);
    int code = log_file_open(&s.log_file) ? begin(&s, &text) : EX_OSERR;
    fprintf(stderr, "%.*s", SPAN_PRINT(buffer_span(&text)));
    buffer_fini(&text);
    if (code == 0) {
        s.log = log_new(log_file_sink(&s.log_file), s.start.log_format, s.start.log_level);
        log_set_time(s.log, clock_wall_ms());
        raise_limits(&s);
        log_flush(s.log);
        children_init(&s.children, roles, sizeof roles / sizeof roles[0], &s, s.log);
        code = watch(&s);
        log_free(s.log);
    }
    doors_close(&s.doors);
    return code;
}
