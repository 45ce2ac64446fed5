/*
 * postrider-drop: puts a message from standard input (docs/DROP.md) into the drop folder, from
 * where the server takes it when it runs, and prints its id.
 *
 * Set-gid: its group alone may write into the folder, whose mode is 0730; the owner of a file is
 * who called, and no other identity is believed. Whoever calls is an enemy: standard descriptors
 * may be closed, limits tiny, signals pending, input endless or malformed. It opens one folder,
 * creates one file, and takes nothing from the environment. A file has its name only once it is
 * whole and synced; what was begun and not ended keeps another name, which the server removes.
 * Needs libc and nothing else. Limit: DROP_BYTES_MAX.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#ifndef DROP_FOLDER
#define DROP_FOLDER "/var/spool/postrider-drop"
#endif

#define DROP_BYTES_MAX  (INT64_C(256) * 1024 * 1024)
#define DROP_RECORD_MAX 65536u /* of docs/DROP.md */
#define MAGIC           "PRDROP1\n"
#define MAGIC_LEN       8
#define HEADER_LEN      5
#define ID_LEN          26
#define NAME_MAX_BYTES  (ID_LEN + 5)

struct drop {
    int folder, file;
    int64_t bytes;
    char id[ID_LEN + 1];
    char name[NAME_MAX_BYTES]; /* while it is being written; empty: there is none */
};

static int fail(struct drop *d, int code, const char *what)
{
    if (d->name[0] != '\0')
        (void)unlinkat(d->folder, d->name, 0);
    fprintf(stderr, "postrider-drop: %s\n", what);
    return code;
}

static int fail_errno(struct drop *d, int code, const char *what)
{
    char text[256];
    (void)snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    return fail(d, code, text);
}

/* Descriptors 0 to 2 are open, whatever the caller closed: the file must not become one of them,
   or an error message would be written into it. */
static void open_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(EX_OSERR);
}

static void tame_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGALRM, SIGXFSZ,
                                  SIGXCPU, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU};
    struct rlimit core = {0, 0};
    sigset_t none;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        (void)signal(ignored[i], SIG_IGN);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setrlimit(RLIMIT_CORE, &core);
}

/* A UUIDv7 (RFC 9562 5.7) in Crockford's base 32, as all ids of the server are. */
static int make_id(char text[ID_LEN + 1])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t id[16];
    struct timespec now;
    if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id || clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    for (int i = 0; i < 6; i++)
        id[i] = (uint8_t)(ms >> (40 - 8 * i));
    id[6] = (uint8_t)(0x70 | (id[6] & 0x0f));
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
    /* 128 bits in 26 digits: two bits of zeros in front. */
    for (int i = 0; i < ID_LEN; i++) {
        unsigned value = 0;
        for (int bit = 5 * i - 2; bit < 5 * i + 3; bit++)
            value = value << 1 | (bit < 0 ? 0u : (unsigned)(id[bit / 8] >> (7 - bit % 8)) & 1u);
        text[i] = digits[value];
    }
    text[ID_LEN] = '\0';
    return 0;
}

/* A folder that others can write to is no drop folder. */
static int open_folder(struct drop *d, const char *path)
{
    struct stat s;
    d->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (d->folder < 0) /* it cannot be listed by who may only put something in */
        d->folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (d->folder < 0 || fstat(d->folder, &s) != 0)
        return -1;
    if ((s.st_mode & S_IWOTH) == 0)
        return 0;
    errno = EPERM;
    return -1;
}

/* The name of the file is durable with this. A folder that is opened to be passed through only
   cannot be synced by its descriptor: then the whole file system is, by the file's. */
static int sync_folder(const struct drop *d)
{
    if (fsync(d->folder) == 0)
        return 0;
    return errno == EBADF ? syncfs(d->file) : -1;
}

static int create(struct drop *d)
{
    for (int tries = 0; tries < 10; tries++) {
        if (make_id(d->id) != 0)
            return -1;
        (void)snprintf(d->name, sizeof d->name, "%s.new", d->id);
        d->file =
            openat(d->folder, d->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (d->file >= 0)
            return fchmod(d->file, 0640); /* whatever the umask is */
        if (errno != EEXIST)
            break;
    }
    d->name[0] = '\0';
    return -1;
}

static int write_all(int file, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(file, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Exactly `len` bytes; fewer at the end of the input. */
static ssize_t read_all(uint8_t *bytes, size_t len)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = read(STDIN_FILENO, bytes + got, len - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static uint32_t length_of(const uint8_t *header)
{
    return (uint32_t)header[1] | (uint32_t)header[2] << 8 | (uint32_t)header[3] << 16 |
           (uint32_t)header[4] << 24;
}

/* Record after record, up to the one that says that all of it came: who was cut off half way
   leaves nothing. 0, or the exit code. */
static int copy(struct drop *d)
{
    static uint8_t record[HEADER_LEN + DROP_RECORD_MAX];
    if (read_all(record, MAGIC_LEN) != MAGIC_LEN || memcmp(record, MAGIC, MAGIC_LEN) != 0)
        return fail(d, EX_DATAERR, "the input is no message for the drop folder");
    if (write_all(d->file, record, MAGIC_LEN) != 0)
        return fail_errno(d, EX_IOERR, "cannot write");
    for (;;) {
        if (read_all(record, HEADER_LEN) != HEADER_LEN)
            return fail(d, EX_DATAERR, "the input ends too soon");
        uint32_t len = length_of(record);
        if (strchr("FTIRNDE", record[0]) == NULL || record[0] == 0 || len > DROP_RECORD_MAX)
            return fail(d, EX_DATAERR, "the input is malformed");
        if (read_all(record + HEADER_LEN, len) != (ssize_t)len)
            return fail(d, EX_DATAERR, "the input ends too soon");
        d->bytes += HEADER_LEN + len;
        if (d->bytes > DROP_BYTES_MAX)
            return fail(d, EX_DATAERR, "the message is too big");
        if (write_all(d->file, record, HEADER_LEN + len) != 0)
            return fail_errno(d, EX_IOERR, "cannot write");
        if (record[0] == 'E')
            return len == 0 && read_all(record, 1) == 0
                       ? 0
                       : fail(d, EX_DATAERR, "the input goes on after its end");
    }
}

int main(int argc, char **argv)
{
    struct drop d = {.folder = -1, .file = -1};
    const char *path = DROP_FOLDER;
    open_standard();
    tame_signals();
    (void)clearenv();
    if (argc > 2)
        return fail(&d, EX_USAGE, "usage: postrider-drop [FOLDER]");
    if (argc == 2) {
        /* The group's rights are for the one folder that was built in. */
        if (setregid(getgid(), getgid()) != 0)
            return fail_errno(&d, EX_OSERR, "cannot give up the group");
        path = argv[1];
    }
    if (open_folder(&d, path) != 0)
        return fail_errno(&d, errno == EACCES || errno == EPERM ? EX_NOPERM : EX_UNAVAILABLE,
                          "cannot open the drop folder");
    if (create(&d) != 0)
        return fail_errno(&d, errno == EACCES ? EX_NOPERM : EX_CANTCREAT,
                          "cannot create a file in the drop folder");
    int code = copy(&d);
    if (code != 0)
        return code;
    if (fsync(d.file) != 0 || renameat(d.folder, d.name, d.folder, d.id) != 0)
        return fail_errno(&d, EX_IOERR, "cannot keep the message");
    d.name[0] = '\0';
    if (sync_folder(&d) != 0)
        return fail_errno(&d, EX_IOERR, "cannot keep the message for sure");
    printf("%s\n", d.id);
    return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
