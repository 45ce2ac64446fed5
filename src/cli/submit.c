#include "cli/submit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "mail/drop_file.h"

#define PROGRAM     "postrider-drop"
#define FOLDER      "/var/spool/postrider-drop" /* the one built into it, that its group is for */
#define PATH_MAX_B  4096
#define PIECE_BYTES 32768u

/* Beside this program's file, whatever it is called by. */
static bool find_program(char path[PATH_MAX_B])
{
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX_B - sizeof PROGRAM - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return false;
    strcpy(slash + 1, PROGRAM);
    return true;
}

static bool write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = span_skip(bytes, (size_t)n);
    }
    return true;
}

static bool write_records(int fd, struct span envelope, struct span content)
{
    struct buffer record;
    buffer_init(&record, DROP_RECORD_MAX + 16);
    bool ok = write_all(fd, envelope);
    while (ok && content.len > 0) {
        struct span piece = span_sub(content, 0, PIECE_BYTES);
        content = span_skip(content, piece.len);
        buffer_reset(&record);
        ok = drop_put(&record, DROP_DATA, piece) && write_all(fd, buffer_span(&record));
    }
    buffer_reset(&record);
    ok = ok && drop_put(&record, DROP_END, SPAN("")) && write_all(fd, buffer_span(&record));
    buffer_fini(&record);
    return ok;
}

/* In the child. */
static void become_drop(const char *program, const char *folder, int input, bool shows_id)
{
    const char *argv[] = {program, strcmp(folder, FOLDER) == 0 ? NULL : folder, NULL};
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (dup2(input, STDIN_FILENO) >= 0 &&
        (shows_id || nowhere < 0 || dup2(nowhere, STDOUT_FILENO) >= 0))
        (void)execv(program, (char *const *)(uintptr_t)argv);
    fprintf(stderr, "sendmail: %s: %s\n", program, strerror(errno));
    _exit(EX_UNAVAILABLE);
}

int submit_drop(const char *folder, struct span envelope, struct span content, bool shows_id)
{
    char program[PATH_MAX_B];
    int ends[2], status;
    if (!find_program(program) || pipe2(ends, O_CLOEXEC) != 0)
        return EX_OSERR;
    (void)fflush(stdout);
    (void)signal(SIGCHLD,
                 SIG_DFL); /* a caller may have it ignored, and then nobody could be waited for */
    pid_t child = fork();
    if (child == 0)
        become_drop(program, folder, ends[0], shows_id);
    close(ends[0]);
    bool ok = child > 0 && write_records(ends[1], envelope, content);
    close(ends[1]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (child < 0)
        return EX_OSERR;
    if (WIFEXITED(status) && (WEXITSTATUS(status) != 0 || ok))
        return WEXITSTATUS(status);
    fprintf(stderr, "sendmail: the message could not be handed over\n");
    return EX_TEMPFAIL;
}

/* An address of all interfaces is reached by loopback. */
static socklen_t address_of(struct endpoint e, struct sockaddr_storage *to)
{
    static const uint8_t any[16];
    memset(to, 0, sizeof *to);
    if (e.family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)to;
        in->sin_family = AF_INET;
        in->sin_port = htons(e.port);
        memcpy(&in->sin_addr, e.ip, 4);
        if (memcmp(e.ip, any, 4) == 0)
            in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(e.port);
    memcpy(&in6->sin6_addr, e.ip, 16);
    if (memcmp(e.ip, any, 16) == 0)
        in6->sin6_addr = in6addr_loopback;
    return sizeof *in6;
}

static int connect_to(struct endpoint e)
{
    struct sockaddr_storage to;
    socklen_t len = address_of(e, &to);
    int s = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s >= 0 && connect(s, (const struct sockaddr *)&to, len) != 0) {
        int error = errno;
        close(s);
        errno = error;
        return -1;
    }
    return s;
}

int submit_connect(const struct settings *s)
{
    int connected = -1;
    errno = ECONNREFUSED;
    for (uint32_t i = 0; i < settings_listener_count(s) && connected < 0; i++) {
        struct endpoint at;
        const struct listen_settings *l = settings_listener(s, i, &at);
        if (l->kind == LISTEN_SMTP && l->proxy_from_count == 0)
            connected = connect_to(at);
    }
    return connected;
}

/* Whoever ends first, what is under way the other way still comes. */
static int join(int s)
{
    struct pollfd both[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = s, .events = POLLIN}};
    uint8_t bytes[65536];
    while (both[1].fd >= 0) {
        if (poll(both, 2, -1) < 0 && errno != EINTR)
            return EX_OSERR;
        for (int i = 0; i < 2; i++) {
            if (both[i].fd < 0 || both[i].revents == 0)
                continue;
            ssize_t n = read(both[i].fd, bytes, sizeof bytes);
            if (n <= 0) {
                both[i].fd = -1;
                if (i == 0)
                    (void)shutdown(s, SHUT_WR);
            } else if (!write_all(i == 0 ? s : STDOUT_FILENO, span_of(bytes, (size_t)n))) {
                return EX_IOERR;
            }
        }
    }
    return EX_OK;
}

int submit_smtp(const struct settings *s)
{
    int connected = submit_connect(s);
    if (connected < 0) {
        printf("421 4.3.2 the server cannot be reached: %s\r\n", strerror(errno));
        return EX_UNAVAILABLE;
    }
    int code = join(connected);
    close(connected);
    return code;
}
