/*
 * user: the commands about the users of a domain: they change its users file.
 *
 * The file is locked, read, changed and replaced: a new file with the old one's owner and mode is
 * written and synced under another name, then renamed, so that there is a whole one at any time.
 * What would come out is loaded first, as the server would. Passwords are hashed with yescrypt
 * (crypt(5)) and stand nowhere else.
 */
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/user_file.h"
#include "config/table.h"
#include "mail/address.h"

#define PASSWORD_MAX  512
#define ADDRESS_ARENA 4096
#define PATH_MAX_B    4096

/* One command. */
struct work {
    struct cli *cli;
    struct settings *settings;
    const struct domain_settings *domain;
    struct arena arena;
    struct span name; /* of the user */
    int file;         /* -1: there is none yet */
    struct stat status;
    struct buffer text, changed;
    char hash[CRYPT_OUTPUT_SIZE];
};

static int say(const char *what, const char *why)
{
    fprintf(stderr, "postrider: %s%s%s\n", what, why == NULL ? "" : ": ", why == NULL ? "" : why);
    return EX_DATAERR;
}

/* Passwords ------------------------------------------------------------------------------------ */

static bool read_line(char line[PASSWORD_MAX])
{
    if (fgets(line, PASSWORD_MAX, stdin) == NULL)
        return false;
    size_t len = strcspn(line, "\r\n");
    bool is_whole = line[len] != '\0' || feof(stdin) != 0;
    line[len] = '\0';
    return is_whole;
}

/* With nothing shown. */
static bool ask_line(const char *question, char line[PASSWORD_MAX])
{
    struct termios before, silent;
    if (isatty(STDIN_FILENO) != 1)
        return read_line(line);
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    fprintf(stderr, "%s", question);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    bool ok = read_line(line);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fprintf(stderr, "\n");
    return ok;
}

static int hash_password(struct work *w, const char *password)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data data;
    memset(&data, 0, sizeof data);
    if (crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof setting) == NULL ||
        crypt_rn(password, setting, &data, sizeof data) == NULL)
        return say("the password cannot be hashed", strerror(errno));
    (void)snprintf(w->hash, sizeof w->hash, "%s", data.output);
    explicit_bzero(&data, sizeof data);
    return EX_OK;
}

static int take_password(struct work *w)
{
    char first[PASSWORD_MAX] = "", second[PASSWORD_MAX] = "";
    int code = EX_OK;
    if (!ask_line("password: ", first) || first[0] == '\0')
        code = say("a password is wanted, on a line of standard input", NULL);
    else if (isatty(STDIN_FILENO) == 1 && !ask_line("again: ", second))
        code = EX_DATAERR;
    else if (isatty(STDIN_FILENO) == 1 && strcmp(first, second) != 0)
        code = say("these are two different passwords", NULL);
    if (code == EX_OK)
        code = hash_password(w, first);
    explicit_bzero(first, sizeof first);
    explicit_bzero(second, sizeof second);
    return code;
}

/* The file ------------------------------------------------------------------------------------- */

static bool read_all(struct work *w)
{
    uint8_t bytes[65536];
    ssize_t n;
    while ((n = read(w->file, bytes, sizeof bytes)) > 0)
        if (!buffer_put(&w->text, span_of(bytes, (size_t)n)))
            return false;
    return n == 0;
}

/* Opens and locks the one that has the name now: another command may have put a new one there while
   this one waited for the lock. */
static int open_file(struct work *w, bool may_be_new)
{
    const char *path = w->domain->users_file;
    struct stat now;
    for (;;) {
        w->file = open(path, O_RDONLY | O_CLOEXEC);
        if (w->file < 0 && errno == ENOENT && may_be_new)
            return EX_OK;
        if (w->file < 0)
            return say(path, strerror(errno)), EX_NOINPUT;
        if (flock(w->file, LOCK_EX) != 0 || fstat(w->file, &w->status) != 0)
            return say(path, strerror(errno)), EX_IOERR;
        if (stat(path, &now) == 0 && now.st_ino == w->status.st_ino)
            break;
        close(w->file);
    }
    return read_all(w) ? EX_OK : (say(path, "it cannot be read"), EX_IOERR);
}

static bool write_new(const struct work *w, int fd)
{
    struct span rest = buffer_span(&w->changed);
    while (rest.len > 0) {
        ssize_t n = write(fd, rest.data, rest.len);
        if (n <= 0 && errno != EINTR)
            return false;
        rest = span_skip(rest, n > 0 ? (size_t)n : 0);
    }
    if (w->file >= 0 && (fchown(fd, w->status.st_uid, w->status.st_gid) != 0 ||
                         fchmod(fd, w->status.st_mode & 07777) != 0))
        return false;
    return fsync(fd) == 0;
}

static bool sync_folder(const char *path)
{
    char copy[PATH_MAX_B];
    (void)snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static int replace_file(const struct work *w)
{
    const char *path = w->domain->users_file;
    char other[PATH_MAX_B];
    int len = snprintf(other, sizeof other, "%s.XXXXXX", path);
    int fd = len < (int)sizeof other ? mkostemp(other, O_CLOEXEC) : -1;
    if (fd < 0)
        return say(path, strerror(errno)), EX_CANTCREAT;
    bool ok = write_new(w, fd) && rename(other, path) == 0;
    if (!ok) {
        say(path, strerror(errno));
        (void)unlink(other);
    }
    close(fd);
    if (ok && !sync_folder(path))
        return say(path, strerror(errno)), EX_IOERR;
    return ok ? EX_OK : EX_IOERR;
}

/* What has come out is what the server would take. */
static int check_table(const struct work *w)
{
    struct table *table;
    struct buffer errors;
    uint32_t mode = w->file >= 0 ? w->status.st_mode & 0777 : 0600;
    struct config_file file = {buffer_span(&w->changed), mode};
    buffer_init(&errors, 65536);
    enum fault fault = table_load(TABLE_USERS, &file, w->domain->users_file, &errors, &table);
    if (fault == FAULT_NONE)
        table_release(table);
    else
        fprintf(stderr, "%.*spostrider: nothing was changed\n", SPAN_PRINT(buffer_span(&errors)));
    buffer_fini(&errors);
    return fault == FAULT_NONE ? EX_OK : EX_DATAERR;
}

/* The commands --------------------------------------------------------------------------------- */

static int find_domain(struct work *w, struct span name)
{
    w->domain = settings_domain(w->settings, name);
    if (w->domain == NULL) {
        fprintf(stderr, "postrider: %.*s is no domain of this server\n", SPAN_PRINT(name));
        return EX_NOHOST;
    }
    if (w->domain->users_file != NULL)
        return EX_OK;
    fprintf(stderr, "postrider: the domain %s has no file of users\n", w->domain->name);
    return EX_CONFIG;
}

static int find_user(struct work *w)
{
    struct address a;
    enum fault fault = address_parse(span_text(w->cli->arguments[0]), 0, &w->arena, &a);
    if (fault != FAULT_NONE || a.domain.len == 0)
        return say("this is no address", w->cli->arguments[0]), EX_USAGE;
    w->name = a.local;
    return find_domain(w, a.domain);
}

static void tell_server(struct cli *c)
{
    if (client_is_there(c))
        (void)client_ask(c, (const char *[]){"reload"}, 1, NULL);
}

static int change(struct work *w)
{
    const char *verb = w->cli->second;
    struct span hash = span_text(w->hash);
    enum fault fault;
    if (strcmp(verb, "add") == 0)
        fault = user_file_add(buffer_span(&w->text), w->name, hash, &w->changed);
    else if (strcmp(verb, "passwd") == 0)
        fault = user_file_set(buffer_span(&w->text), w->name, hash, &w->changed);
    else
        fault = user_file_remove(buffer_span(&w->text), w->name, &w->changed);
    if (fault == FAULT_EXISTS)
        return say("there is already a user", w->cli->arguments[0]);
    if (fault == FAULT_NOT_FOUND)
        return say("there is no user", w->cli->arguments[0]), EX_NOUSER;
    if (fault != FAULT_NONE)
        return say(fault_text(fault), NULL), EX_OSERR;
    int code = check_table(w);
    return code == EX_OK ? replace_file(w) : code;
}

static int list(struct work *w)
{
    struct span name, line;
    for (size_t at = 0; user_file_next(buffer_span(&w->text), &at, &name, &line);)
        printf("%.*s@%s\n", SPAN_PRINT(name), w->domain->name);
    return EX_OK;
}

static int run(struct work *w)
{
    bool is_list = strcmp(w->cli->second, "list") == 0;
    bool is_add = strcmp(w->cli->second, "add") == 0;
    int code = is_list ? find_domain(w, span_text(w->cli->arguments[0])) : find_user(w);
    if (code == EX_OK && (is_add || strcmp(w->cli->second, "passwd") == 0))
        code = take_password(w);
    if (code == EX_OK)
        code = open_file(w, is_add);
    if (code == EX_OK)
        code = is_list ? list(w) : change(w);
    return code;
}

int cli_user(struct cli *c)
{
    struct work w = {.cli = c, .file = -1};
    int code;
    if (c->argument_count != 1)
        return cli_usage(c, "one address is wanted, or for 'list' one domain");
    w.settings = cli_settings(c, &code);
    if (w.settings == NULL)
        return code;
    arena_init(&w.arena, ADDRESS_ARENA);
    buffer_init(&w.text, TABLE_BYTES_MAX);
    buffer_init(&w.changed, TABLE_BYTES_MAX);
    code = run(&w);
    if (w.file >= 0)
        close(w.file);
    explicit_bzero(w.hash, sizeof w.hash);
    buffer_fini(&w.text);
    buffer_fini(&w.changed);
    arena_fini(&w.arena);
    settings_release(w.settings);
    if (code == EX_OK && strcmp(c->second, "list") != 0)
        tell_server(c);
    return code;
}
