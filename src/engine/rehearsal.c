#include "engine/rehearsal.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/bundle.h"
#include "ipc/handover.h"
#include "tls/context.h"

#define NOBODY           65534
#define DESCRIPTORS_REST 4096 /* connections to others, files of the spool */

struct stage {
    const struct rehearsal *rehearsal;
    struct span map;
    struct buffer text; /* for people */
    struct settings *settings;
    struct rehearsal_result result;
};

static struct span map_bundle(int bundle)
{
    struct stat status;
    struct span none = {NULL, 0};
    if (fstat(bundle, &status) != 0 || status.st_size <= 0)
        return none;
    void *at = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, bundle, 0);
    return at == MAP_FAILED ? none : span_of(at, (size_t)status.st_size);
}

static void unmap(struct span map)
{
    if (map.data != NULL)
        (void)munmap((void *)(uintptr_t)map.data, map.len);
}

/* The parent adds it to the bundle; 0, or errno. */
static int fetch(struct stage *s, const char *path, struct bundle_file *file_out)
{
    static uint8_t bytes[HANDOVER_BYTES_MAX];
    int descriptors[HANDOVER_DESCRIPTORS_MAX], error = EIO;
    size_t len, count;
    struct span part = span_text(path);
    if (s->map.data != NULL && bundle_find(s->map, part, file_out))
        return 0;
    if (!handover_send(s->rehearsal->parent, HANDOVER_OPEN, &part, 1, NULL, 0))
        return errno;
    if (handover_receive(s->rehearsal->parent, -1, bytes, &len, descriptors, &count) !=
            HANDOVER_OPENED ||
        len != sizeof error)
        return EIO;
    memcpy(&error, bytes, sizeof error);
    if (error != 0)
        return error;
    unmap(s->map);
    s->map = map_bundle(s->rehearsal->bundle);
    return bundle_find(s->map, part, file_out) ? 0 : EIO;
}

/* Of users and aliases: as config_files.read. */
static enum fault fault_of(int error)
{
    if (error == ENOENT || error == ENOTDIR)
        return FAULT_NOT_FOUND;
    if (error == EFBIG)
        return FAULT_TOO_BIG;
    return error == EACCES || error == EPERM ? FAULT_DENIED : FAULT_DISK_ERROR;
}

static enum fault take(const struct bundle_file *from, size_t bytes_max,
                       struct config_file *file_out)
{
    if (from->text.len > bytes_max)
        return FAULT_TOO_BIG;
    *file_out = (struct config_file){.text = from->text, .mode = from->mode & 0777};
    return FAULT_NONE;
}

static enum fault read_by_parent(void *context, const char *path, size_t bytes_max,
                                 struct config_file *file_out)
{
    struct bundle_file file = {.mode = 0};
    int error = fetch(context, path, &file);
    return error == 0 ? take(&file, bytes_max, file_out) : fault_of(error);
}

static enum fault read_bundled(void *context, const char *path, size_t bytes_max,
                               struct config_file *file_out)
{
    const struct span *bundle = context;
    struct bundle_file file;
    if (!bundle_find(*bundle, span_text(path), &file))
        return FAULT_NOT_FOUND;
    return take(&file, bytes_max, file_out);
}

/* What the options name -------------------------------------------------------------------------
 */

static bool complain(struct stage *s, const char *option, const char *name, const char *what)
{
    (void)!buffer_printf(&s->text, "%s: %s %s: %s\n", s->rehearsal->path, option, name, what);
    return false;
}

/* Such as the one that may read the drop folder's files (docs/DROP.md). */
static bool find_groups(struct stage *s)
{
    struct rehearsal_result *r = &s->result;
    gid_t all[PRIVILEGE_GROUPS_MAX + 1];
    int count = PRIVILEGE_GROUPS_MAX + 1;
    if (getgrouplist(s->settings->user, r->gid, all, &count) < 0)
        return complain(s, "user", s->settings->user, "it is in too many groups");
    for (int i = 0; i < count && r->group_count < PRIVILEGE_GROUPS_MAX; i++)
        if (all[i] != r->gid)
            r->groups[r->group_count++] = all[i];
    return true;
}

static bool find_user(struct stage *s)
{
    struct rehearsal_result *r = &s->result;
    r->uid = getuid();
    r->gid = getgid();
    (void)snprintf(r->user, sizeof r->user, "%s", s->settings->user);
    if (!s->rehearsal->is_root)
        return true;
    const struct passwd *user = getpwnam(s->settings->user);
    if (user == NULL)
        return complain(s, "user", s->settings->user,
                        "there is no such user; 'useradd --system' makes one");
    r->uid = user->pw_uid;
    r->gid = user->pw_gid;
    return find_groups(s);
}

/* As whom mail is put into mailboxes: never root. */
static bool find_mail_user(struct stage *s)
{
    const char *name = s->settings->agent_user;
    if (name == NULL || !s->rehearsal->is_root)
        return true;
    const struct passwd *user = getpwnam(name);
    if (user == NULL)
        return complain(s, "agent user", name, "there is no such user");
    return (user->pw_uid != 0 && user->pw_gid != 0) ||
           complain(s, "agent user", name, "mailboxes are never written to as root");
}

static bool find_group(struct stage *s)
{
    const char *name = s->settings->control_group;
    if (name == NULL)
        return true;
    const struct group *group = getgrnam(name);
    if (group == NULL)
        return complain(s, "control-group", name, "there is no such group");
    s->result.has_control_group = true;
    s->result.control_gid = group->gr_gid;
    return true;
}

static bool fetch_certificate_file(struct stage *s, const char *option, const char *path)
{
    struct bundle_file file = {.mode = 0};
    int error = fetch(s, path, &file);
    return error == 0 || complain(s, option, path, strerror(error));
}

static struct span bundled(const struct stage *s, const char *path)
{
    struct bundle_file file = {.text = {NULL, 0}};
    (void)bundle_find(s->map, span_text(path), &file);
    return file.text;
}

/* All files first, since each may move the bundle. */
static bool fetch_certificates(struct stage *s)
{
    bool ok = true;
    for (uint32_t i = 0; i < s->settings->certificates_count; i++) {
        const struct tls_settings *t = s->settings->certificates[i];
        ok = fetch_certificate_file(s, "certificate", t->certificate) && ok;
        ok = fetch_certificate_file(s, "key", t->key) && ok;
    }
    return ok;
}

static bool check_certificate(struct stage *s, const struct tls_settings *t)
{
    static const uint8_t ticket_keys[TLS_TICKET_KEY_BYTES];
    struct tls_certificate own = {.certificate = t->certificate,
                                  .key = t->key,
                                  .certificate_text = bundled(s, t->certificate),
                                  .key_text = bundled(s, t->key)};
    struct tls_context *context = NULL;
    struct buffer why;
    buffer_init(&why, 1024);
    bool ok = tls_server_new(&own, 1, ticket_keys, &why, &context) == FAULT_NONE;
    if (!ok)
        (void)!buffer_printf(&s->text, "%s: tls: %.*s\n", s->rehearsal->path,
                             SPAN_PRINT(buffer_span(&why)));
    buffer_fini(&why);
    tls_context_free(context);
    return ok;
}

static bool check_certificates(struct stage *s)
{
    bool ok = fetch_certificates(s);
    for (uint32_t i = 0; ok && i < s->settings->certificates_count; i++)
        ok = check_certificate(s, s->settings->certificates[i]);
    return ok;
}

static bool check_tables(struct stage *s)
{
    struct config_files files = {.read = read_by_parent, .context = s};
    enum fault fault = config_load_tables(s->settings, &files, &s->text);
    if (fault == FAULT_NO_MEMORY)
        (void)!buffer_printf(&s->text, "%s: %s\n", s->rehearsal->path, fault_text(fault));
    return fault == FAULT_NONE;
}

static bool has_something_to_serve(struct stage *s)
{
    if (settings_listener_count(s->settings) > 0)
        return true;
    (void)!buffer_printf(&s->text, "%s has no block 'listen': there is nothing to serve\n",
                         s->rehearsal->path);
    return false;
}

static void tell_parent_what_to_open(struct stage *s)
{
    const struct settings *from = s->settings;
    struct rehearsal_result *r = &s->result;
    (void)snprintf(r->spool, sizeof r->spool, "%s", from->spool);
    (void)snprintf(r->control, sizeof r->control, "%s", from->control);
    r->has_log_file = from->log_file != NULL;
    if (r->has_log_file)
        (void)snprintf(r->log_file, sizeof r->log_file, "%s", from->log_file);
    r->log_format = from->log_format;
    r->log_level = from->log_level;
    r->descriptors = from->sessions_max + DESCRIPTORS_REST;
    r->listener_count = settings_listener_count(from);
    for (uint32_t i = 0; i < r->listener_count; i++)
        (void)settings_listener(from, i, &r->listeners[i]);
}

/* The whole ------------------------------------------------------------------------------------ */

static struct settings *parse(struct span bundle, const char *path, struct buffer *text)
{
    struct bundle_file file;
    struct settings *settings = NULL;
    if (!bundle_find(bundle, span_text(path), &file))
        return NULL;
    enum fault fault = config_parse(file.text, path, text, &settings);
    if (fault != FAULT_NONE && text->len == 0)
        (void)!buffer_printf(text, "%s: %s\n", path, fault_text(fault));
    return fault == FAULT_NONE ? settings : NULL;
}

/* Of files that both generations have, but for the configuration itself. */
static void compare_files(struct stage *s, struct span before)
{
    struct span rest = s->map;
    struct bundle_file file, old;
    while (bundle_next(&rest, &file)) {
        bool is_known = !span_equal(file.path, span_text(s->rehearsal->path)) &&
                        bundle_find(before, file.path, &old);
        if (is_known && !span_equal(old.text, file.text))
            (void)!buffer_printf(&s->text, "%.*s has changed\n", SPAN_PRINT(file.path));
    }
}

/* What is another than before, and what of it needs another start. */
static void compare(struct stage *s)
{
    struct span map = map_bundle(s->rehearsal->before);
    struct buffer unread;
    buffer_init(&unread, HANDOVER_TEXT_MAX);
    struct settings *before = parse(map, s->rehearsal->path, &unread);
    if (before != NULL && !config_changes(before, s->settings, &s->text))
        (void)!buffer_put_text(&s->text, "...\n");
    compare_files(s, map);
    settings_release(before);
    buffer_fini(&unread);
    unmap(map);
}

static void judge(struct stage *s)
{
    struct bundle_file file;
    int error = fetch(s, s->rehearsal->path, &file);
    if (error != 0) {
        (void)!buffer_printf(&s->text, "postrider: cannot read the configuration %s: %s\n",
                             s->rehearsal->path, strerror(error));
        return;
    }
    s->settings = parse(s->map, s->rehearsal->path, &s->text);
    if (s->settings == NULL)
        return;
    /* All of them, so that every error is named at once. */
    bool ok = has_something_to_serve(s);
    ok = find_user(s) && ok;
    ok = find_mail_user(s) && ok;
    ok = find_group(s) && ok;
    ok = check_certificates(s) && ok;
    ok = check_tables(s) && ok;
    if (!ok)
        return;
    tell_parent_what_to_open(s);
    if (s->rehearsal->before >= 0)
        compare(s);
    s->result.is_good = true;
}

/* Sockets above all: what it parses could be anybody's. */
static void close_others(const struct rehearsal *r)
{
    const int kept[] = {r->parent, r->bundle, r->before};
    unsigned from = STDERR_FILENO + 1;
    for (;;) {
        unsigned next = UINT_MAX;
        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
            if (kept[i] >= (int)from && (unsigned)kept[i] < next)
                next = (unsigned)kept[i];
        if (next > from)
            (void)close_range(from, next == UINT_MAX ? UINT_MAX : next - 1, 0);
        if (next == UINT_MAX)
            return;
        from = next + 1;
    }
}

int rehearsal_process(const struct rehearsal *r)
{
    struct rlimit none = {0, 0};
    close_others(r);
    struct stage s = {.rehearsal = r};
    (void)setrlimit(RLIMIT_CORE, &none); /* it holds keys */
    const char *wrong = r->is_root ? privilege_drop(NOBODY, NOBODY, NULL, 0) : NULL;
    if (wrong != NULL) {
        fprintf(stderr, "postrider: %s: %s\n", wrong, strerror(errno));
        return EX_OSERR;
    }
    buffer_init(&s.text, HANDOVER_TEXT_MAX);
    judge(&s);
    struct span parts[] = {span_of(&s.result, sizeof s.result), buffer_span(&s.text)};
    bool is_told = handover_send(r->parent, HANDOVER_RESULT, parts, 2, NULL, 0);
    settings_release(s.settings);
    buffer_fini(&s.text);
    unmap(s.map);
    return is_told ? EX_OK : EX_OSERR;
}

struct settings *rehearsal_settings(int bundle, const char *path, struct span *map_out)
{
    struct buffer text;
    *map_out = map_bundle(bundle);
    buffer_init(&text, HANDOVER_TEXT_MAX);
    struct settings *settings = map_out->data == NULL ? NULL : parse(*map_out, path, &text);
    struct config_files files = {.read = read_bundled, .context = map_out};
    if (settings != NULL && config_load_tables(settings, &files, &text) != FAULT_NONE) {
        settings_release(settings);
        settings = NULL;
    }
    if (settings == NULL)
        fprintf(stderr, "postrider: the configuration is lost: %.*s\n",
                SPAN_PRINT(buffer_span(&text)));
    buffer_fini(&text);
    return settings;
}
