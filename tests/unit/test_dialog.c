/* Runs every conversation of tests/dialog with receive/session. The format stands in
 * tests/dialog/README.md. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "receive/session.h"

#define SCRIPT_BYTES_MAX (256 * 1024)
#define PIECE_MAX        50

struct script {
    struct session_limits limits;
    bool relay;
    bool tls, lmtp;
    struct buffer client, server, kept;
};

struct run {
    struct session *session;
    struct buffer server, content, kept;
    uint8_t committed;
    bool may_relay;
    bool closed;
};

static unsigned hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static void put_escaped(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        uint8_t byte = (uint8_t)*text;
        if (byte == '\\') {
            text++;
            byte = *text == 'r' ? '\r' : *text == 'n' ? '\n' : *text == '0' ? 0 : (uint8_t)*text;
            if (*text == 'x') {
                byte = (uint8_t)(hex(text[1]) * 16 + hex(text[2]));
                text += 2;
            }
        }
        assert_true(buffer_put_u8(out, byte));
    }
}

static void set(struct script *s, const char *line)
{
    char name[32], value[32];
    assert_int_equal(sscanf(line, "set %31s %31s", name, value), 2);
    uint32_t number = (uint32_t)strtoul(value, NULL, 10);
    if (strcmp(name, "recipients") == 0)
        s->limits.recipients_max = number;
    else if (strcmp(name, "errors") == 0)
        s->limits.errors_max = number;
    else if (strcmp(name, "idle") == 0)
        s->limits.idle_commands_max = number;
    else if (strcmp(name, "size") == 0)
        s->limits.message_bytes_max = number;
    else if (strcmp(name, "relay") == 0)
        s->relay = strcmp(value, "yes") == 0;
    else if (strcmp(name, "lmtp") == 0)
        s->lmtp = strcmp(value, "yes") == 0;
    else if (strcmp(name, "tls") == 0)
        s->tls = strcmp(value, "yes") == 0;
    else
        fail_msg("no such setting: %s", name);
}

static void script_line(struct script *s, const char *line)
{
    struct buffer *out = line[0] == 'C' ? &s->client : line[0] == 'S' ? &s->server : &s->kept;
    if (line[0] == '#' || line[0] == '\0')
        return;
    if (strncmp(line, "set ", 4) == 0) {
        set(s, line);
        return;
    }
    if (strchr("CSK", line[0]) == NULL || strchr(":~", line[1]) == NULL || line[2] != ' ')
        fail_msg("what is: %s", line);
    put_escaped(out, line + 3);
    if (line[1] == ':')
        assert_true(buffer_put(out, SPAN("\r\n")));
}

static void script_read(struct script *s, const char *path)
{
    static char line[8192];
    *s = (struct script){.limits = {1000, 100, 50, 100}, .relay = true};
    buffer_init(&s->client, SCRIPT_BYTES_MAX);
    buffer_init(&s->server, SCRIPT_BYTES_MAX);
    buffer_init(&s->kept, SCRIPT_BYTES_MAX);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        script_line(s, line);
    }
    fclose(f);
}

static void script_fini(struct script *s)
{
    buffer_fini(&s->client);
    buffer_fini(&s->server);
    buffer_fini(&s->kept);
}

static void take_output(struct run *r)
{
    struct buffer *out = session_output(r->session);
    assert_true(buffer_put(&r->server, buffer_span(out)));
    buffer_consume(out, out->len);
}

/* Domains: d.example and all others are relayed to; lists@ours.example is two people, nobody@ is
 * not there. */
static void resolve(struct run *r)
{
    const struct address *a = &session_asked(r->session)->address;
    const struct span people[] = {SPAN("one@ours.example"), SPAN("two@ours.example")};
    bool is_ours = span_equal(a->domain, SPAN("ours.example"));
    if (is_ours && span_equal(a->local, SPAN("nobody")))
        session_recipient_resolved(r->session, FAULT_NOT_FOUND, NULL, 0);
    else if (is_ours && span_equal(a->local, SPAN("list")))
        session_recipient_resolved(r->session, FAULT_NONE, people, 2);
    else if (is_ours || r->may_relay)
        session_recipient_resolved(r->session, FAULT_NONE, NULL, 0);
    else
        session_recipient_resolved(r->session, FAULT_RELAYING, NULL, 0);
}

static void on_want(struct run *r, enum session_want want, struct span kept)
{
    struct id id = {{0}};
    switch (want) {
    case SESSION_WANT_INPUT:
    case SESSION_WANT_LOG:
        break;
    case SESSION_WANT_RECIPIENT:
        resolve(r);
        break;
    case SESSION_WANT_KEEP:
        assert_true(buffer_put(&r->content, kept));
        break;
    case SESSION_WANT_COMMIT:
        id.bytes[15] = ++r->committed;
        assert_true(buffer_put(&r->kept, buffer_span(&r->content)));
        buffer_reset(&r->content);
        session_committed(r->session, FAULT_NONE, id);
        break;
    case SESSION_WANT_TLS:
        session_secured(r->session);
        break;
    case SESSION_WANT_ABANDON:
        buffer_reset(&r->content);
        break;
    case SESSION_WANT_CLOSE:
        r->closed = true;
        break;
    }
}

static void give(struct run *r, struct span input)
{
    while (!r->closed) {
        size_t used;
        struct span kept;
        enum session_want want = session_step(r->session, input, &used, &kept);
        on_want(r, want, kept);
        take_output(r);
        input = span_skip(input, used);
        if (want == SESSION_WANT_INPUT && input.len == 0)
            return;
    }
}

static void expect_same(const char *path, size_t piece, struct span expected, struct span got)
{
    if (span_equal(expected, got))
        return;
    fail_msg("%s in pieces of %zu:\n--- expected\n%.*s--- got\n%.*s", path, piece,
             SPAN_PRINT(expected), SPAN_PRINT(got));
}

static void run_script(const struct script *s, const char *path, size_t piece)
{
    struct run r = {.session = session_new(&s->limits, "mx.example"), .may_relay = s->relay};
    assert_non_null(r.session);
    buffer_init(&r.server, SCRIPT_BYTES_MAX);
    buffer_init(&r.content, SCRIPT_BYTES_MAX);
    buffer_init(&r.kept, SCRIPT_BYTES_MAX);
    if (s->lmtp)
        session_speak_lmtp(r.session);
    if (s->tls)
        session_offer_tls(r.session);
    session_greet(r.session);
    for (struct span rest = buffer_span(&s->client); rest.len > 0 && !r.closed;
         rest = span_skip(rest, piece))
        give(&r, span_sub(rest, 0, piece));
    expect_same(path, piece, buffer_span(&s->server), buffer_span(&r.server));
    expect_same(path, piece, buffer_span(&s->kept), buffer_span(&r.kept));
    session_free(r.session);
    buffer_fini(&r.server);
    buffer_fini(&r.content);
    buffer_fini(&r.kept);
}

static void every_dialog_runs_as_written_however_it_is_split(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(SOURCE_ROOT "/tests/dialog/*.txt", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct script s;
        script_read(&s, found.gl_pathv[i]);
        run_script(&s, found.gl_pathv[i], SCRIPT_BYTES_MAX);
        for (size_t piece = 1; piece <= PIECE_MAX; piece++)
            run_script(&s, found.gl_pathv[i], piece);
        script_fini(&s);
    }
    print_message("%zu dialogs\n", found.gl_pathc);
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dialog_runs_as_written_however_it_is_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
