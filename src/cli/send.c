/*
 * send: sends one test message over SMTP and shows what is said, to see how a server answers.
 *
 * A plain client: no TLS, no authentication, no second try. The message is a short one of its own,
 * --body, or a file; what is missing in it is added (mail/compose.h).
 */
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/submit.h"
#include "mail/compose.h"
#include "smtp/content.h"

#define MESSAGE_MAX (64u * 1024 * 1024)
#define WAIT_S      60

struct dialog {
    FILE *in, *out;
    int code; /* of the last reply */
};

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "postrider: %s%s%s\n", what, why == NULL ? "" : ": ", why == NULL ? "" : why);
    return EX_UNAVAILABLE;
}

/* "HOST", "HOST:PORT", "[IPv6]:PORT". */
static int connect_to(const char *server)
{
    char host[256];
    const char *port = "25", *colon = strrchr(server, ':'), *bracket = strchr(server, ']');
    if (colon != NULL && (bracket == NULL ? strchr(server, ':') == colon : colon > bracket))
        port = colon + 1;
    else
        colon = NULL;
    size_t len = colon == NULL ? strlen(server) : (size_t)(colon - server);
    bool has_brackets = len >= 2 && server[0] == '[';
    (void)snprintf(host, sizeof host, "%.*s", (int)(has_brackets ? len - 2 : len),
                   server + has_brackets);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
    int error = getaddrinfo(host, port, &hints, &list);
    if (error != 0)
        return fail(server, gai_strerror(error)), -1;
    int s = -1;
    for (a = list; a != NULL && s < 0; a = a->ai_next) {
        s = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (s >= 0 && connect(s, a->ai_addr, a->ai_addrlen) != 0) {
            close(s);
            s = -1;
        }
    }
    freeaddrinfo(list);
    if (s < 0)
        fail(server, strerror(errno));
    return s;
}

/* Shown without what a terminal would obey. */
static void show(const char *who, struct span line)
{
    printf("%s", who);
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] != '\r' && line.data[i] != '\n')
            putchar(line.data[i] >= 32 && line.data[i] < 127 ? line.data[i] : '?');
    putchar('\n');
}

/* A whole reply; false when none came. */
static bool read_reply(struct dialog *d)
{
    char line[2100];
    do {
        if (fgets(line, sizeof line, d->in) == NULL)
            return fail("the server has ended the connection, or is silent", NULL), false;
        show("S: ", span_text(line));
        d->code = atoi(line);
    } while (strlen(line) > 3 && line[3] == '-');
    return true;
}

__attribute__((format(printf, 2, 3))) static bool say(struct dialog *d, const char *format, ...)
{
    char line[2048];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (len < 0 || len >= (int)sizeof line || strpbrk(line, "\r\n") != NULL)
        return fail("an address holds what no command may hold", NULL), false;
    show("C: ", span_text(line));
    return fprintf(d->out, "%s\r\n", line) > 0 && fflush(d->out) == 0 && read_reply(d);
}

/* With dots before dots, and the last one. */
static bool send_content(struct dialog *d, struct span content)
{
    bool line_start = true, ok = true;
    while (ok && content.len > 0) {
        bool stuff;
        struct span run = content_stuff(&content, &line_start, &stuff);
        ok = (!stuff || fputc('.', d->out) != EOF) &&
             fwrite(run.data, 1, run.len, d->out) == run.len;
    }
    printf("C: (%s)\n", ok ? "the message" : "cut off");
    return ok && fputs(".\r\n", d->out) >= 0 && fflush(d->out) == 0 && read_reply(d);
}

static bool talk(struct dialog *d, const struct cli *c, const char *hostname, struct span content)
{
    int taken = 0;
    bool ok = read_reply(d) && d->code == 220 && say(d, "EHLO %s", hostname) && d->code == 250 &&
              say(d, "MAIL FROM:<%s>", c->from) && d->code == 250;
    if (ok && c->to != NULL)
        ok = say(d, "RCPT TO:<%s>", c->to);
    taken += ok && c->to != NULL && d->code / 100 == 2;
    for (int i = 0; ok && i < c->argument_count; i++) {
        ok = say(d, "RCPT TO:<%s>", c->arguments[i]);
        taken += ok && d->code / 100 == 2;
    }
    ok = ok && taken > 0 && say(d, "DATA") && d->code == 354 && send_content(d, content) &&
         d->code == 250;
    bool is_sent = ok;
    (void)say(d, "QUIT");
    return is_sent;
}

/* What is to be sent as its author would write it. */
static bool write_input(const struct cli *c, struct buffer *in)
{
    uint8_t bytes[65536];
    size_t n;
    if (c->file != NULL) {
        FILE *f = fopen(c->file, "re");
        bool ok = f != NULL;
        while (ok && (n = fread(bytes, 1, sizeof bytes, f)) > 0)
            ok = buffer_put(in, span_of(bytes, n));
        if (f == NULL)
            fail(c->file, strerror(errno));
        else
            (void)fclose(f);
        return ok;
    }
    bool has_subject = c->header != NULL && strncasecmp(c->header, "subject:", 8) == 0;
    return (c->header == NULL || buffer_printf(in, "%s\n", c->header)) &&
           (has_subject || buffer_put_text(in, "Subject: a test\n")) &&
           buffer_printf(in, "To: %s\n\n%s\n", c->to != NULL ? c->to : c->arguments[0],
                         c->body != NULL ? c->body : "A test message.");
}

static int prepare(const struct cli *c, const char *hostname, struct buffer *content)
{
    struct buffer in;
    struct arena arena;
    struct timespec now;
    struct span *none;
    uint32_t count;
    struct compose_options o = {.from = span_text(c->from), .hostname = span_text(hostname)};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    o.wall_ms = (int64_t)now.tv_sec * 1000;
    if (getrandom(o.id.bytes, sizeof o.id.bytes, 0) != (ssize_t)sizeof o.id.bytes)
        return EX_OSERR;
    buffer_init(&in, MESSAGE_MAX);
    arena_init(&arena, 1024 * 1024);
    int code = write_input(c, &in) ? EX_OK : EX_NOINPUT;
    if (code == EX_OK &&
        compose(buffer_span(&in), &o, &arena, content, &none, &count) != FAULT_NONE)
        code = EX_OSERR;
    arena_fini(&arena);
    buffer_fini(&in);
    return code;
}

static int run(struct cli *c, const char *hostname, int s)
{
    struct timeval wait = {.tv_sec = WAIT_S};
    struct buffer content;
    (void)setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    struct dialog d = {.in = fdopen(dup(s), "re"), .out = fdopen(s, "we")};
    buffer_init(&content, 3 * (size_t)MESSAGE_MAX);
    int code = d.in == NULL || d.out == NULL ? EX_OSERR : prepare(c, hostname, &content);
    if (code == EX_OK && !talk(&d, c, hostname, buffer_span(&content)))
        code = d.code / 100 == 5 ? EX_UNAVAILABLE : EX_TEMPFAIL;
    buffer_fini(&content);
    if (d.in != NULL)
        (void)fclose(d.in);
    if (d.out != NULL)
        (void)fclose(d.out);
    return code;
}

int cli_send(struct cli *c)
{
    char hostname[256] = "localhost";
    char from[300];
    if (c->to == NULL && c->argument_count == 0)
        return cli_usage(c, "name a recipient");
    (void)gethostname(hostname, sizeof hostname - 1);
    int s, code = EX_CONFIG;
    if (c->server != NULL) {
        s = connect_to(c->server);
    } else {
        struct settings *settings = cli_settings(c, &code);
        if (settings == NULL)
            return code;
        (void)snprintf(hostname, sizeof hostname, "%s", settings->hostname);
        s = submit_connect(settings);
        if (s < 0)
            fail("the server cannot be reached", strerror(errno));
        settings_release(settings);
    }
    if (s < 0)
        return EX_UNAVAILABLE;
    if (c->from == NULL) {
        (void)snprintf(from, sizeof from, "postmaster@%s", hostname);
        c->from = from;
    }
    return run(c, hostname, s);
}
