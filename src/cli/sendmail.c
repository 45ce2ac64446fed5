#include "cli/sendmail.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/encode.h"
#include "cli/client.h"
#include "cli/submit.h"
#include "mail/address.h"
#include "mail/compose.h"
#include "mail/drop_file.h"

#define ARENA_MAX  (64u * 1024 * 1024)
#define NAME_MAX_B 256

enum mode { MODE_SEND, MODE_SMTP, MODE_QUEUE, MODE_CHECK, MODE_FLUSH, MODE_ALIASES, MODE_SERVE };

/* One call. */
struct call {
    struct cli *cli;
    enum mode mode;
    const char *sender, *name, *notify, *ret, *envid;
    bool takes_recipients, ignores_dots, is_verbose;
    char **recipients;
    int recipient_count;
    struct settings *settings;
    struct arena arena;
    struct span *list; /* recipients, with domains */
    uint32_t count;
    struct span own; /* the caller's address */
    char full_name[NAME_MAX_B];
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

bool sendmail_is_name(const char *path)
{
    const char *name = base_name(path);
    return strcmp(name, "sendmail") == 0 || strcmp(name, "mailq") == 0 ||
           strcmp(name, "newaliases") == 0;
}

static int wrong(const char *what, const char *value)
{
    fprintf(stderr, "sendmail: %s%s%s\n", what, value == NULL ? "" : ": ",
            value == NULL ? "" : value);
    return EX_USAGE;
}

/* Options -------------------------------------------------------------------------------------- */

static int take_mode(struct call *c, const char *value)
{
    static const struct {
        char letter;
        enum mode mode;
    } modes[] = {{'m', MODE_SEND},    {'s', MODE_SMTP},  {'p', MODE_QUEUE}, {'v', MODE_CHECK},
                 {'i', MODE_ALIASES}, {'d', MODE_SERVE}, {'D', MODE_SERVE}};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (value[0] == modes[i].letter) {
            c->mode = modes[i].mode;
            return EX_OK;
        }
    }
    return wrong("there is no mode of that letter", value);
}

/* -o with what follows it: of the old options two matter. */
static void take_old(struct call *c, const char *value)
{
    if (value[0] == 'i')
        c->ignores_dots = true;
    else if (value[0] == 't' && value[1] == '\0')
        c->takes_recipients = true;
}

static int take_option(struct call *c, char letter, const char *value)
{
    switch (letter) {
    case 'b':
        return take_mode(c, value);
    case 'C':
        c->cli->config = value;
        return EX_OK;
    case 'F':
        c->name = value;
        return EX_OK;
    case 'f':
    case 'r':
        c->sender = value;
        return EX_OK;
    case 'N':
        c->notify = value;
        return EX_OK;
    case 'R':
        c->ret = value;
        return EX_OK;
    case 'V':
        c->envid = value;
        return EX_OK;
    case 'o':
        take_old(c, value);
        return EX_OK;
    case 'i':
        c->ignores_dots = true;
        return EX_OK;
    case 't':
        c->takes_recipients = true;
        return EX_OK;
    case 'I':
        c->mode = MODE_ALIASES;
        return EX_OK;
    case 'v':
        c->is_verbose = true;
        return EX_OK;
    default:
        return EX_OK; /* -A -B -G -L -O -U -X -c -e -h -m -n -p -x: of no meaning here */
    }
}

/* -q, -q15m, -qI..., -qR..., -qS...: the queue is run; never a word of its own follows. */
static bool is_flush(const char *word)
{
    return word[1] == 'q';
}

/* Options with values, as in "sendmail -f a@b" and "sendmail -fa@b"; *at is left at the first word
   that is none. */
static int read_options(struct call *c, int argc, char **argv, int *at)
{
    static const char with_value[] = "ABCDFLNORVXbdefhopr", without[] = "GIUcimntvx";
    int code = EX_OK;
    for (; *at < argc && code == EX_OK; ++*at) {
        const char *word = argv[*at];
        if (strcmp(word, "--") == 0) {
            ++*at;
            break;
        }
        if (strcmp(word, "--config") == 0 && *at + 1 < argc) {
            c->cli->config = argv[++*at];
            continue;
        }
        if (word[0] != '-' || word[1] == '\0')
            break;
        if (is_flush(word)) {
            c->mode = MODE_FLUSH;
            continue;
        }
        /* Letters without a value may stand together: -ti. */
        size_t k = 1;
        while (code == EX_OK && word[k] != '\0' && strchr(without, word[k]) != NULL)
            code = take_option(c, word[k++], "");
        if (code != EX_OK || word[k] == '\0')
            continue;
        if (strchr(with_value, word[k]) == NULL)
            return wrong("there is no such option", word);
        const char *value = word + k + 1;
        if (value[0] == '\0') {
            if (*at + 1 == argc)
                return wrong("the option needs a value", word);
            value = argv[++*at];
        }
        code = take_option(c, word[k], value);
    }
    return code;
}

/* Who calls ------------------------------------------------------------------------------------ */

static const char *user_name(const struct passwd *p)
{
    return p == NULL ? "nobody" : p->pw_name;
}

static bool find_caller(struct call *c)
{
    const struct passwd *p = getpwuid(getuid());
    const char *name = c->name;
    if (name == NULL)
        name = getenv("NAME");
    if (name == NULL && p != NULL && p->pw_gecos != NULL)
        name = p->pw_gecos;
    size_t len = name == NULL ? 0 : c->name != NULL ? strlen(name) : strcspn(name, ",");
    (void)snprintf(c->full_name, sizeof c->full_name, "%.*s", (int)(len < 200 ? len : 200),
                   name == NULL ? "" : name);
    c->own = arena_printf(&c->arena, "%s@%s", user_name(p), c->settings->hostname);
    return c->own.data != NULL;
}

/* The address as it goes into the envelope, or empty: *ok says whether it is one. */
static struct span path_of(struct call *c, const char *text, bool *ok)
{
    struct span path = span_trim(span_text(text));
    struct address a;
    if (path.len >= 2 && path.data[0] == '<' && path.data[path.len - 1] == '>')
        path = span_sub(path, 1, path.len - 2);
    if (path.len > 0 && span_find_byte(path, '@', 0) == path.len)
        path = arena_printf(&c->arena, "%.*s@%s", SPAN_PRINT(path), c->settings->hostname);
    *ok = address_parse(path, ADDRESS_EMPTY_OK | ADDRESS_UTF8_OK, &c->arena, &a) == FAULT_NONE;
    return path;
}

/* Sending -------------------------------------------------------------------------------------- */

static bool read_input(struct buffer *in)
{
    uint8_t bytes[65536];
    size_t n;
    while ((n = fread(bytes, 1, sizeof bytes, stdin)) > 0)
        if (!buffer_put(in, span_of(bytes, n)))
            return false;
    return ferror(stdin) == 0;
}

static int add_recipients(struct call *c)
{
    for (int i = 0; i < c->recipient_count; i++) {
        enum fault fault =
            compose_addresses(span_text(c->recipients[i]), span_text(c->settings->hostname),
                              &c->arena, &c->list, &c->count);
        if (fault == FAULT_LIMIT)
            return wrong("there are too many recipients", NULL);
        if (fault != FAULT_NONE)
            return EX_OSERR;
    }
    return EX_OK;
}

/* Each once, in their order: To and Cc often name the same. */
static bool is_repeated(const struct call *c, uint32_t i)
{
    bool is_one = false;
    for (uint32_t k = 0; k < i && !is_one; k++)
        is_one = span_equal_nocase(c->list[k], c->list[i]);
    return is_one;
}

static const char *notify_words(const char *text, struct buffer *out)
{
    static const char *const words[] = {"never", "success", "failure", "delay"};
    struct span rest = span_text(text);
    size_t count = 0;
    while (rest.len > 0) {
        struct span word;
        bool is_known = false;
        rest = span_split(rest, ',', &word);
        for (size_t i = 0; i < 4; i++)
            is_known = is_known || span_equal_nocase(span_trim(word), span_text(words[i]));
        if (!is_known)
            return "-N takes never, or success, failure and delay with commas between";
        if ((count++ > 0 && !buffer_put_u8(out, ',')) || !buffer_put(out, span_trim(word)))
            return "out of memory";
    }
    return count == 0 ? "-N needs a value" : NULL;
}

static int put_envelope(struct call *c, struct buffer *out)
{
    bool ok = true;
    struct buffer notify, envid;
    struct span sender = c->own;
    if (c->sender != NULL)
        sender = path_of(c, c->sender, &ok);
    if (!ok)
        return wrong("the sender is no address", c->sender);
    buffer_init(&notify, 100);
    buffer_init(&envid, 300);
    const char *why = c->notify == NULL ? NULL : notify_words(c->notify, &notify);
    bool is_hdrs = c->ret != NULL && strcasecmp(c->ret, "hdrs") == 0;
    if (why == NULL && c->ret != NULL && !is_hdrs && strcasecmp(c->ret, "full") != 0)
        why = "-R takes full or hdrs";
    if (why == NULL && c->envid != NULL && !encode_xtext(&envid, span_text(c->envid)))
        why = "the envelope id is too long";
    ok = why == NULL && drop_begin(out) && drop_put(out, DROP_SENDER, sender) &&
         (c->ret == NULL || drop_put(out, DROP_RETURN, is_hdrs ? SPAN("HDRS") : SPAN("FULL"))) &&
         (envid.len == 0 || drop_put(out, DROP_ENVID, buffer_span(&envid)));
    for (uint32_t i = 0; ok && i < c->count; i++) {
        if (is_repeated(c, i))
            continue;
        ok = drop_put(out, DROP_RECIPIENT, c->list[i]) &&
             (notify.len == 0 || drop_put(out, DROP_NOTIFY, buffer_span(&notify)));
    }
    buffer_fini(&notify);
    buffer_fini(&envid);
    if (why != NULL)
        return wrong(why, NULL);
    return ok ? EX_OK : wrong("an address is too long or holds control characters", NULL);
}

static int check_recipients(struct call *c)
{
    if (c->count == 0)
        return wrong("no recipient is named", c->takes_recipients ? NULL : "see -t");
    for (uint32_t i = 0; i < c->count; i++) {
        struct address a;
        if (address_parse(c->list[i], ADDRESS_UTF8_OK, &c->arena, &a) == FAULT_NONE)
            continue;
        fprintf(stderr, "sendmail: this is no address: %.*s\n", SPAN_PRINT(c->list[i]));
        return EX_DATAERR;
    }
    return EX_OK;
}

static int compose_all(struct call *c, struct span input, struct buffer *content)
{
    struct timespec now;
    struct span *found;
    uint32_t found_count;
    struct compose_options o = {.from = c->own,
                                .name = span_text(c->full_name),
                                .hostname = span_text(c->settings->hostname),
                                .takes_recipients = c->takes_recipients,
                                .dot_ends = !c->ignores_dots};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    o.wall_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (getrandom(o.id.bytes, sizeof o.id.bytes, 0) != (ssize_t)sizeof o.id.bytes)
        return EX_OSERR;
    bool ok = true;
    if (c->sender != NULL) {
        struct span sender = path_of(c, c->sender, &ok);
        o.from = ok && sender.len > 0 ? sender : o.from;
    }
    enum fault fault = compose(input, &o, &c->arena, content, &found, &found_count);
    if (fault == FAULT_LIMIT)
        return wrong("there are too many recipients", NULL);
    if (fault != FAULT_NONE)
        return EX_OSERR;
    c->list = found;
    c->count = found_count;
    return add_recipients(c);
}

static int send_message(struct call *c)
{
    struct buffer input, content, envelope;
    uint64_t most = c->settings->message_bytes_max;
    buffer_init(&input, most);
    buffer_init(&content, 2 * most + 65536);
    buffer_init(&envelope, ARENA_MAX);
    int code = EX_OK;
    if (!read_input(&input)) {
        fprintf(stderr, "sendmail: %s\n",
                input.full ? "the message is bigger than the server takes"
                           : "the message cannot be read");
        code = input.full ? EX_UNAVAILABLE : EX_IOERR;
    }
    if (code == EX_OK)
        code = compose_all(c, buffer_span(&input), &content);
    if (code == EX_OK)
        code = check_recipients(c);
    if (code == EX_OK && content.len > most) {
        fprintf(stderr, "sendmail: the message is bigger than the server takes\n");
        code = EX_UNAVAILABLE;
    }
    if (code == EX_OK)
        code = put_envelope(c, &envelope);
    if (code == EX_OK)
        code = submit_drop(c->settings->drop, buffer_span(&envelope), buffer_span(&content),
                           c->is_verbose);
    buffer_fini(&input);
    buffer_fini(&content);
    buffer_fini(&envelope);
    return code;
}

/* The other modes ------------------------------------------------------------------------------ */

static int check_addresses(struct call *c)
{
    int code = add_recipients(c);
    if (code == EX_OK)
        code = check_recipients(c);
    for (uint32_t i = 0; code == EX_OK && i < c->count; i++)
        printf("%.*s: an address\n", SPAN_PRINT(c->list[i]));
    return code;
}

static int call_cli(struct call *c, int (*function)(struct cli *), const char *first,
                    const char *second)
{
    c->cli->first = first;
    c->cli->second = second;
    c->cli->argument_count = 0;
    return function(c->cli);
}

static int with_settings(struct call *c)
{
    int code = EX_CONFIG;
    c->settings = cli_settings(c->cli, &code);
    if (c->settings == NULL)
        return code;
    arena_init(&c->arena, ARENA_MAX);
    if (!find_caller(c))
        code = EX_OSERR;
    else if (c->mode == MODE_SMTP)
        code = submit_smtp(c->settings);
    else if (c->mode == MODE_CHECK)
        code = check_addresses(c);
    else
        code = send_message(c);
    arena_fini(&c->arena);
    settings_release(c->settings);
    return code;
}

int sendmail_main(struct world *w, int argc, char **argv)
{
    struct cli cli = {.world = w, .config = CLI_CONFIG_DEFAULT};
    struct call c = {.cli = &cli};
    const char *name = argc > 0 ? base_name(argv[0]) : "sendmail";
    int at = 1;
    if (strcmp(name, "mailq") == 0)
        c.mode = MODE_QUEUE;
    if (strcmp(name, "newaliases") == 0)
        c.mode = MODE_ALIASES;
    int code = read_options(&c, argc, argv, &at);
    if (code != EX_OK)
        return code;
    c.recipients = argv + at;
    c.recipient_count = argc - at;
    switch (c.mode) {
    case MODE_QUEUE:
        code = call_cli(&c, cli_queue_list, "queue", "list");
        break;
    case MODE_FLUSH:
        cli.all = true;
        code = call_cli(&c, cli_queue_change, "queue", "retry");
        break;
    case MODE_ALIASES:
        code = call_cli(&c, cli_reload, "reload", "");
        break;
    case MODE_SERVE:
        code = wrong("the server is started with 'postrider serve'", NULL);
        break;
    case MODE_SEND:
    case MODE_SMTP:
    case MODE_CHECK:
        code = with_settings(&c);
        break;
    }
    if (fflush(stdout) != 0 && code == EX_OK)
        code = EX_IOERR;
    return code;
}

int cli_sendmail(struct cli *c)
{
    return cli_usage(c, "sendmail takes its own options");
}
