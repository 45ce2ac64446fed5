#include "agent/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "agent/source.h"

#define ENVIRONMENT_MAX 8
#define STRAYS_MAX      1000 /* left processes killed after one command */
#define DESCRIPTORS_MAX 1024 /* of the program */

/* A program under way. */
struct command {
    pid_t pid;
    int pidfd;
    int input, output; /* our ends; -1: closed */
    struct source source;
    struct buffer waiting; /* converted, to be written */
    bool is_cr, is_read;   /* of the source */
    enum fault fault;      /* of the source: the program must not take it for a whole message */
    uint8_t said[COMMAND_OUTPUT_MAX];
    size_t said_len;
    int64_t term_ms, kill_ms;
    bool is_late;
};

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What it is given. ------------------------------------------------------------------------------
 */

/* NUL after each, as the message has them. */
static bool split_arguments(struct span text, char *copy, char *argv[COMMAND_ARGUMENTS_MAX + 1])
{
    size_t count = 0;
    if (text.len == 0 || text.data[text.len - 1] != '\0' || text.data[0] != '/')
        return false;
    memcpy(copy, text.data, text.len);
    for (size_t at = 0; at < text.len; at += strlen(copy + at) + 1) {
        if (count == COMMAND_ARGUMENTS_MAX)
            return false;
        argv[count++] = copy + at;
    }
    argv[count] = NULL;
    return true;
}

static bool set(char **environment, size_t *count, const char *name, struct span value)
{
    if (span_find_byte(value, '\0', 0) != value.len || *count == ENVIRONMENT_MAX)
        return false;
    size_t len = strlen(name);
    char *text = malloc(len + value.len + 2);
    if (text == NULL)
        return false;
    memcpy(text, name, len);
    text[len] = '=';
    if (value.len > 0)
        memcpy(text + len + 1, value.data, value.len);
    text[len + 1 + value.len] = '\0';
    environment[(*count)++] = text;
    return true;
}

static bool make_environment(const struct message_put *put, char *out[ENVIRONMENT_MAX + 1])
{
    size_t count = 0;
    struct span home = put->home.len > 0 ? put->home : SPAN("/");
    bool ok =
        set(out, &count, "PATH", SPAN("/usr/local/bin:/usr/bin:/bin")) &&
        set(out, &count, "HOME", home) && set(out, &count, "USER", put->user) &&
        set(out, &count, "LOGNAME", put->user) && set(out, &count, "SHELL", SPAN("/bin/sh")) &&
        set(out, &count, "SENDER", put->sender) && set(out, &count, "RECIPIENT", put->address);
    out[count] = NULL;
    return ok;
}

/* In the new process. ------------------------------------------------------------------------ */

static void limit(__rlimit_resource_t what, rlim_t most)
{
    struct rlimit r;
    if (getrlimit(what, &r) == 0) {
        r.rlim_max = r.rlim_max < most ? r.rlim_max : most;
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(what, &r);
    }
}

/* `failed` closes when the program runs; else it says why it does not. */
_Noreturn static void become(char **argv, char **environment, const char *home, const int std[3],
                             int failed)
{
    sigset_t none;
    sigemptyset(&none);
    (void)setpgid(0, 0);
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, DESCRIPTORS_MAX);
    bool ok = dup2(std[0], 0) == 0 && dup2(std[1], 1) == 1 && dup2(std[2], 2) == 2 &&
              dup2(failed, 3) == 3 && fcntl(3, F_SETFD, FD_CLOEXEC) == 0 &&
              close_range(4, UINT32_MAX, 0) == 0;
    if (ok && chdir(home) != 0)
        ok = chdir("/") == 0;
    if (ok)
        execve(argv[0], argv, environment);
    int error = errno;
    ssize_t n = write(3, &error, sizeof error);
    (void)n;
    _exit(EX_OSERR);
}

/* Starting. ---------------------------------------------------------------------------------- */

static int above_standard(int descriptor)
{
    if (descriptor < 0 || descriptor > 3)
        return descriptor;
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 4);
    close(descriptor);
    return moved;
}

/* Both ends out of the way of 0 to 3. */
static bool make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    ends[0] = above_standard(ends[0]);
    ends[1] = above_standard(ends[1]);
    return ends[0] >= 0 && ends[1] >= 0;
}

static void shut(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

/* 0, or why the program does not run. */
static int start(struct command *c, char **argv, char **environment, const char *home)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, failed[2] = {-1, -1};
    int error = 0;
    if (make_pipe(in) && make_pipe(out) && make_pipe(failed)) {
        c->pid = fork();
        if (c->pid == 0)
            become(argv, environment, home, (const int[3]){in[0], out[1], out[1]}, failed[1]);
    }
    if (c->pid <= 0)
        error = errno;
    shut(&in[0]);
    shut(&out[1]);
    shut(&failed[1]);
    if (error == 0)
        (void)setpgid(c->pid, c->pid); /* whichever of us is first */
    if (error == 0 && read(failed[0], &error, sizeof error) != (ssize_t)sizeof error)
        error = 0;
    shut(&failed[0]);
    c->input = in[1];
    c->output = out[0];
    c->pidfd = c->pid > 0 ? pidfd_open(c->pid, 0) : -1;
    if (error == 0 && c->pidfd < 0)
        error = errno;
    if (error == 0 &&
        (fcntl(c->input, F_SETFL, O_NONBLOCK) != 0 || fcntl(c->output, F_SETFL, O_NONBLOCK) != 0))
        error = errno;
    return error;
}

/* Running. ----------------------------------------------------------------------------------- */

static bool put_run(void *context, struct span run)
{
    return buffer_put(context, run);
}

/* The next piece of the message, with its lines ended by LF. */
static void refill(struct command *c)
{
    struct span piece;
    buffer_reset(&c->waiting);
    c->fault = source_next(&c->source, &piece);
    if (c->fault == FAULT_NONE && !lines_convert(piece, &c->is_cr, put_run, &c->waiting))
        c->fault = FAULT_NO_MEMORY;
    if (c->fault == FAULT_NONE && piece.len == 0) {
        c->is_read = true;
        if (c->is_cr && !buffer_put_u8(&c->waiting, '\r'))
            c->fault = FAULT_NO_MEMORY;
    }
}

/* A program need not read all of it: what counts is how it ends. */
static void feed(struct command *c)
{
    if (c->fault == FAULT_NONE && c->waiting.len == 0 && !c->is_read)
        refill(c);
    if (c->fault != FAULT_NONE) {
        (void)kill(-c->pid, SIGKILL); /* before it sees an end of file */
        return;
    }
    if (c->waiting.len > 0) {
        ssize_t n = write(c->input, c->waiting.data, c->waiting.len);
        if (n > 0)
            buffer_consume(&c->waiting, (size_t)n);
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
            shut(&c->input);
    }
    if (c->waiting.len == 0 && c->is_read)
        shut(&c->input);
}

static void hear(struct command *c)
{
    uint8_t bytes[4096];
    ssize_t n = read(c->output, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        shut(&c->output);
        return;
    }
    size_t room = COMMAND_OUTPUT_MAX - c->said_len;
    size_t taken = (size_t)n < room ? (size_t)n : room;
    memcpy(c->said + c->said_len, bytes, taken);
    c->said_len += taken;
}

static int wait_ms(struct command *c)
{
    int64_t now = now_ms();
    if (now >= c->term_ms && !c->is_late) {
        c->is_late = true;
        c->kill_ms = now + COMMAND_GRACE_MS;
        (void)kill(-c->pid, SIGTERM);
    }
    if (c->is_late && now >= c->kill_ms)
        (void)kill(-c->pid, SIGKILL);
    int64_t left = (c->is_late ? c->kill_ms : c->term_ms) - now;
    return left < 10 ? 10 : left > 1000 ? 1000 : (int)left;
}

static bool has_ended(struct command *c, int *status_out)
{
    return waitpid(c->pid, status_out, WNOHANG) == c->pid;
}

/* Until the program has ended, whatever those do that it has started. */
static int run(struct command *c)
{
    int status;
    while (!has_ended(c, &status)) {
        struct pollfd ready[] = {{.fd = c->pidfd, .events = POLLIN},
                                 {.fd = c->input, .events = POLLOUT},
                                 {.fd = c->output, .events = POLLIN}};
        if (poll(ready, 3, wait_ms(c)) <= 0)
            continue;
        if (c->input >= 0 && ready[1].revents != 0)
            feed(c);
        if (c->output >= 0 && ready[2].revents != 0)
            hear(c);
    }
    while (c->output >= 0 && c->said_len < COMMAND_OUTPUT_MAX) {
        size_t before = c->said_len;
        hear(c);
        if (c->said_len == before)
            break;
    }
    return status;
}

/* What it has left running, in its group or out of it: orphans come to us (a subreaper). */
static void kill_strays(pid_t group)
{
    char path[64];
    (void)kill(-group, SIGKILL);
    (void)snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    for (int killed = 0; killed < STRAYS_MAX;) {
        int stray;
        FILE *f = fopen(path, "re");
        bool is_one = f != NULL && fscanf(f, "%d", &stray) == 1;
        if (f != NULL)
            fclose(f);
        if (!is_one)
            return;
        (void)kill(stray, SIGKILL);
        if (waitpid(stray, NULL, 0) != stray)
            return;
        killed++;
    }
}

/* What it means. ----------------------------------------------------------------------------- */

static struct agent_result result_of_status(int status, struct span said)
{
    static const struct {
        int status;
        enum message_end end;
        const char *code, *text;
    } rows[] = {
        {EX_OK, MESSAGE_DELIVERED, "250 2.0.0", "the command has taken it"},
        {EX_USAGE, MESSAGE_FAILED, "554 5.3.0", "command line usage error"},
        {EX_DATAERR, MESSAGE_FAILED, "554 5.6.0", "data format error"},
        {EX_NOINPUT, MESSAGE_FAILED, "554 5.3.0", "cannot open input"},
        {EX_NOUSER, MESSAGE_FAILED, "550 5.1.1", "user unknown"},
        {EX_NOHOST, MESSAGE_FAILED, "550 5.1.2", "host name unknown"},
        {EX_UNAVAILABLE, MESSAGE_FAILED, "554 5.3.0", "service unavailable"},
        {EX_SOFTWARE, MESSAGE_FAILED, "554 5.3.0", "internal software error"},
        {EX_OSERR, MESSAGE_DEFERRED, "451 4.3.0", "system resource problem"},
        {EX_OSFILE, MESSAGE_FAILED, "554 5.3.0", "critical system file missing"},
        {EX_CANTCREAT, MESSAGE_FAILED, "554 5.2.0", "cannot create output file"},
        {EX_IOERR, MESSAGE_DEFERRED, "451 4.3.0", "input/output error"},
        {EX_TEMPFAIL, MESSAGE_DEFERRED, "451 4.3.0", "temporary failure"},
        {EX_PROTOCOL, MESSAGE_FAILED, "554 5.5.0", "remote error in protocol"},
        {EX_NOPERM, MESSAGE_FAILED, "554 5.7.0", "permission denied"},
        {EX_CONFIG, MESSAGE_FAILED, "554 5.3.5", "configuration error"},
    };
    for (size_t i = 0; WIFEXITED(status) && i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == WEXITSTATUS(status))
            return result_of(rows[i].end, rows[i].code, rows[i].text, said);
    char text[64];
    if (WIFSIGNALED(status))
        (void)snprintf(text, sizeof text, "the command was ended by signal %d", WTERMSIG(status));
    else
        (void)snprintf(text, sizeof text, "the command ended with status %d", WEXITSTATUS(status));
    return result_of(MESSAGE_DEFERRED, "451 4.3.0", text, said);
}

static struct agent_result run_and_tell(struct command *c, char **argv, char **environment,
                                        const char *home)
{
    int error = start(c, argv, environment, home);
    if (error != 0) {
        if (c->pid > 0) {
            (void)kill(c->pid, SIGKILL);
            (void)waitpid(c->pid, NULL, 0);
        }
        return result_of(MESSAGE_DEFERRED, "451 4.3.0", "the command cannot be run",
                         span_text(strerror(error)));
    }
    int status = run(c);
    kill_strays(c->pid);
    if (c->fault != FAULT_NONE)
        return result_of_fault(c->fault);
    struct span said = span_trim(span_of(c->said, c->said_len));
    if (c->is_late)
        return result_of(MESSAGE_DEFERRED, "451 4.3.0", "the command took too long", said);
    return result_of_status(status, said);
}

struct agent_result command_run(const struct message_put *put, const struct enclosure *enclosed)
{
    struct command c = {.pidfd = -1, .input = -1, .output = -1};
    char copy[2048], home[1024] = "/";
    char *argv[COMMAND_ARGUMENTS_MAX + 1], *environment[ENVIRONMENT_MAX + 1] = {NULL};
    struct agent_result r = result_of_fault(FAULT_NO_MEMORY);
    enum fault fault = source_open(&c.source, put, enclosed);
    if (fault != FAULT_NONE)
        return result_of_fault(fault);
    buffer_init(&c.waiting, 2 * SOURCE_HEAD_MAX + (128u << 10));
    c.term_ms = now_ms() + put->time_ms;
    if (put->home.len > 0 && put->home.len < sizeof home) {
        memcpy(home, put->home.data, put->home.len);
        home[put->home.len] = '\0';
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (put->arguments.len > sizeof copy || !split_arguments(put->arguments, copy, argv))
        r = result_of_fault(FAULT_PROTOCOL);
    else if (make_environment(put, environment))
        r = run_and_tell(&c, argv, environment, home);
    for (size_t i = 0; environment[i] != NULL; i++)
        free(environment[i]);
    shut(&c.input);
    shut(&c.output);
    shut(&c.pidfd);
    buffer_fini(&c.waiting);
    source_close(&c.source);
    return r;
}
