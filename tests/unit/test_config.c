#include "tests/unit/expect.h"

#include "config/config.h"
#include "config/schema.h"

#define TEXT_MAX (8u * 1024 * 1024)

/* FAULT_NONE and the settings, or the errors in `errors_out` (initialised here). */
static enum fault parse(struct span text, struct buffer *errors_out, struct settings **s_out)
{
    buffer_init(errors_out, TEXT_MAX);
    *s_out = NULL;
    enum fault fault = config_parse(text, "f", errors_out, s_out);
    assert_int_equal(fault == FAULT_NONE, *s_out != NULL);
    assert_int_equal(fault == FAULT_NONE, errors_out->len == 0);
    return fault;
}

static struct settings *good(struct span text)
{
    struct buffer errors;
    struct settings *s = NULL;
    if (parse(text, &errors, &s) != FAULT_NONE)
        print_span("refused", buffer_span(&errors));
    assert_non_null(s);
    buffer_fini(&errors);
    return s;
}

static void expect_errors_at(struct span text, struct span expected, const char *file, int line)
{
    struct buffer errors;
    struct settings *s = NULL;
    enum fault fault = parse(text, &errors, &s);
    settings_release(s);
    expect_span_at(buffer_span(&errors), expected, file, line);
    assert_int_equal(fault, FAULT_SYNTAX);
    buffer_fini(&errors);
}

#define expect_errors(text, expected) expect_errors_at((text), SPAN(expected), __FILE__, __LINE__)

/* A file of the source tree, whole; freed by the caller. */
static struct span read_source(const char *name)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", SOURCE_ROOT, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *data = malloc(TEXT_MAX);
    assert_non_null(data);
    size_t len = fread(data, 1, TEXT_MAX, file);
    fclose(file);
    return span_of(data, len);
}

static void reads_every_option(void **state)
{
    (void)state;
    struct span text = read_source("fuzz/corpus/config/whole");
    struct settings *s = good(text);
    char shown[ENDPOINT_TEXT_MAX];
    assert_string_equal(s->hostname, "mx1.example.org");
    assert_string_equal(s->control, "/run/post rider/con\"trol\\");
    assert_string_equal(s->control_group, "adm");
    assert_string_equal(s->user, "mail");
    assert_string_equal(s->log_file, "/var/log/postrider.log");
    assert_int_equal(s->workers, 4);
    assert_int_equal(settings_listener_count(s), 4);
    struct endpoint at;
    assert_int_equal(settings_listener(s, 1, &at)->kind, LISTEN_SMTP);
    expect_span(endpoint_format(at, shown), SPAN("[::]:25"));
    assert_int_equal(settings_listener(s, 3, &at)->kind, LISTEN_SMTP);
    expect_span(endpoint_format(at, shown), SPAN("[2001:db8::1]:25"));
    assert_int_equal(s->relay_from_count, 3);
    assert_int_equal(s->relay_from[1].prefix_bits, 128);
    assert_int_equal(s->relay_from[2].prefix_bits, 32);
    assert_int_equal(s->relay_to_count, 1);
    expect_span(s->relay_to[0].hop.host, SPAN("::1"));
    assert_int_equal(s->relay_to[0].hop.port, 2626);
    expect_span(endpoint_format(s->dns_server, shown), SPAN("127.0.0.1:53"));
    assert_int_equal(s->dns_timeout_ms, 10000);
    assert_int_equal(s->deliver_port, 26);
    expect_span(endpoint_format(s->deliver_source_ipv6, shown), SPAN("[2001:db8::2]:0"));
    assert_int_equal(s->deliver_quit_timeout_ms, 1500);
    assert_int_equal(s->message_bytes_max, 10 * 1024 * 1024);
    assert_int_equal(s->queue_lifetime_ms, 2 * 24 * 3600 * 1000);
    assert_int_equal(s->spool_bytes_max, 1024 * 1024 * 1024);
    assert_int_equal(s->log_format, LOG_JSON);
    assert_int_equal(s->log_level, LOG_DEBUG);
    settings_release(s);
    free((void *)(uintptr_t)text.data);
}

static void accepts(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "hostname a",
        "hostname mx.test\n",
        "  hostname\tmx.test  # the name\r\n\r\n# end",
        "hostname \"mx.test\"",
        "hostname mx.test\nrelay { }",
        "hostname mx.test\nrelay {\n}\n",
        "hostname mx.test\nlisten smtp { bind 127.0.0.1:1 }\nlisten smtp { bind 127.0.0.1:2 }",
        "hostname mx.test\nrelay { from 127.0.0.0/8  to smtp:127.0.0.1:2626 }\n",
        "hostname mx.test\nrelay { to smtp:next_hop from ::/1\nfrom 10.0.0.0/8 }\n",
        "hostname mx.test\nspool /tmp/a#b\ncontrol \"/tmp/ #\"",
        "hostname mx.test\nspool /tmp/{domain}/\xc3\xa4",
        "hostname mx.test\ndeliver { idle 0s source ::1 }",
        "workers 64\nhostname mx.test",
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        settings_release(good(span_text(rows[i])));
}

/* What the end-to-end tests and the bench write. */
static void reads_the_configurations_of_the_tests(void **state)
{
    (void)state;
    struct settings *s = good(SPAN("hostname mx.test\nspool /tmp/x/spool\ncontrol /tmp/x/control\n"
                                   "listen smtp { bind 127.0.0.1:41234 }\n"
                                   "relay { from 127.0.0.0/8  to smtp:127.0.0.1:2626 }\n"
                                   "dns { server 127.0.0.1:5353 }\ndeliver { port 2525 }\n"));
    expect_span(s->relay_to[0].hop.host, SPAN("127.0.0.1"));
    assert_int_equal(s->dns_server.port, 5353);
    settings_release(s);
}

static void listens_in_several_ways(void **state)
{
    (void)state;
    struct settings *s = good(SPAN("hostname mx.test\n"
                                   "listen smtp { bind 0.0.0.0:25 [::]:25 }\n"
                                   "listen submissions { bind 0.0.0.0:465 }\n"
                                   "listen lmtp { bind 127.0.0.1:24 proxy-from 10.0.0.0/8 }\n"
                                   "listen submission { bind 0.0.0.0:587 }\n"
                                   "tls { certificate /c key /k }\n"
                                   "tls { certificate /c2 key /k2 }\n"));
    static const enum listen_kind kinds[] = {LISTEN_SMTP, LISTEN_SMTP, LISTEN_SUBMISSIONS,
                                             LISTEN_LMTP, LISTEN_SUBMISSION};
    static const uint16_t ports[] = {25, 25, 465, 24, 587};
    struct endpoint at;
    assert_int_equal(settings_listener_count(s), ROWS(kinds));
    for (uint32_t i = 0; i < ROWS(kinds); i++) {
        const struct listen_settings *block = settings_listener(s, i, &at);
        assert_int_equal(block->kind, kinds[i]);
        assert_int_equal(at.port, ports[i]);
        assert_int_equal(block->proxy_from_count, kinds[i] == LISTEN_LMTP ? 1 : 0);
    }
    assert_int_equal(s->certificates_count, 2);
    assert_string_equal(s->certificates[0]->certificate, "/c");
    assert_string_equal(s->certificates[1]->key, "/k2");
    settings_release(s);
}

static void listens_at_so_many_addresses(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, TEXT_MAX);
    buffer_put_text(&text, "hostname mx.test\n");
    for (unsigned i = 0; i < CONFIG_LISTENERS_MAX; i++)
        assert_true(buffer_printf(&text, "listen smtp { bind 127.0.0.1:%u }\n", 1000 + i));
    settings_release(good(buffer_span(&text)));
    buffer_put_text(&text, "listen smtp { bind 127.0.0.1:99 }\n");
    expect_errors(buffer_span(&text),
                  "f:66:20: '127.0.0.1:99': there are 64 addresses in the blocks before already\n"
                  "    listen smtp { bind 127.0.0.1:99 }\n"
                  "                       ^\n");
    buffer_fini(&text);
}

static void shows_where_and_why(void **state)
{
    (void)state;
    expect_errors(SPAN("hostnam mx.test\n"),
                  "f:1:1: unknown option 'hostnam'; did you mean 'hostname'?\n"
                  "    hostnam mx.test\n"
                  "    ^\n");
    expect_errors(SPAN("hostnam a.test\nlisten smtp { bnd 127.0.0.1:1 }\nrelay { from nowhere }\n"),
                  "f:1:1: unknown option 'hostnam'; did you mean 'hostname'?\n"
                  "    hostnam a.test\n"
                  "    ^\n"
                  "f:2:15: unknown option 'bnd' in listen; did you mean 'bind'?\n"
                  "    listen smtp { bnd 127.0.0.1:1 }\n"
                  "                  ^\n"
                  "f:3:14: 'nowhere': expected an address range such as 192.0.2.0/24 or "
                  "2001:db8::/32\n"
                  "    relay { from nowhere }\n"
                  "                 ^\n");
    expect_errors(SPAN(""),
                  "f:1:1: 'hostname' is missing: expected a host name such as mx1.example.org\n");
    expect_errors(SPAN("workers 1\n\n"),
                  "f:3:1: 'hostname' is missing: expected a host name such as mx1.example.org\n");
    expect_errors(SPAN("hostname mx.test\n\tspool\t\xc3\xa4 \n"),
                  "f:2:8: '\xc3\xa4': expected a path that begins with /\n"
                  "    \tspool\t\xc3\xa4 \n"
                  "    \t     \t^\n");
    expect_errors(SPAN("hostname \xc3\xa4 \x1b[0m\n"),
                  "f:1:10: '\xc3\xa4': expected a host name such as mx1.example.org\n"
                  "    hostname \xc3\xa4 ?[0m\n"
                  "             ^\n"
                  "f:1:13: a control character\n"
                  "    hostname \xc3\xa4 ?[0m\n"
                  "               ^\n");
    expect_errors(SPAN("hostname mx.test\nlisten smtp {\n  bind 1.2.3.4:25\nrelay { }\n"),
                  "f:2:13: the block is not closed: '}' is missing\n"
                  "    listen smtp {\n"
                  "                ^\n");
    expect_errors(SPAN("hostname mx.test\ndeliver { port 25 conections 20 port 26 }\n"),
                  "f:2:19: unknown option 'conections' in deliver; did you mean 'connections'?\n"
                  "    deliver { port 25 conections 20 port 26 }\n"
                  "                      ^\n"
                  "f:2:33: 'port' stands here a second time; the first is in line 2\n"
                  "    deliver { port 25 conections 20 port 26 }\n"
                  "                                    ^\n");
}

struct bad {
    const char *text; /* behind "hostname mx.test\n" */
    const char *said; /* the first error begins so */
};

static const struct bad bads[] = {
    {"hostname mx2.test", "f:2:1: 'hostname' stands here a second time; the first is in line 1"},
    {"spool", "f:2:1: 'spool' needs a value"},
    {"spool /a /b", "f:2:10: 'spool' takes 1 value"},
    {"spool a", "f:2:7: 'a': expected a path"},
    {"spool \"\"", "f:2:7: '': expected a path"},
    {"\"spool\" /a", "f:2:1: expected an option"},
    {"workers 65", "f:2:9: '65' is out of range: 'workers' is from 0 to 64"},
    {"workers -1", "f:2:9: '-1': expected a number"},
    {"workers 1K", "f:2:9: '1K': expected a number"},
    {"workers 99999999999999999999999", "f:2:9: '99999999999999999999999': expected a number"},
    {"listen", "f:2:7: expected smtp, submission, submissions or lmtp after 'listen'"},
    {"listen smtp", "f:2:12: expected '{'"},
    {"listen smtp\n{ bind 1.2.3.4:5 }", "f:2:12: expected '{'"},
    {"listen pop3 { bind 1.2.3.4:25 }",
     "f:2:8: 'pop3': expected smtp, submission, submissions or lmtp"},
    {"listen { bind 1.2.3.4:25 }", "f:2:8: expected smtp, submission"},
    {"listen smtp { }", "f:2:1: 'listen' needs 'bind'"},
    {"listen smtp { bind }", "f:2:15: 'bind' needs a value"},
    {"listen smtp { bind 127.0.0.1:99999 }", "f:2:20: '127.0.0.1:99999': expected"},
    {"listen smtp { bind 127.0.0.1:0 }", "f:2:20: '127.0.0.1:0': expected"},
    {"listen smtp { bind 127.0.0.1 }", "f:2:20: '127.0.0.1': the port is missing"},
    {"listen smtp { bind [::1] }", "f:2:20: '[::1]': the port is missing"},
    {"listen smtp { bind ::1 }", "f:2:20: '::1': expected"},
    {"listen smtp { bind localhost:25 }", "f:2:20: 'localhost:25': expected"},
    {"listen smtp { bind [::ffff:1.2.3.4]:25 }", "f:2:20: '[::ffff:1.2.3.4]:25': write it as"},
    {"listen smtp { bind 1.2.3.4:5 1.2.3.4:5 }", "f:2:30: '1.2.3.4:5': this is bound already"},
    {"listen smtp { bind 1.2.3.4:5 }\nlisten lmtp { bind 1.2.3.4:5 }",
     "f:3:20: '1.2.3.4:5': this is bound already"},
    {"listen smtp smtp { bind 1.2.3.4:5 }", "f:2:13: expected '{' after 'listen' on its line"},
    {"listen smtp { bind 1.2.3.4:5 proxy-from 0.0.0.0/0 }",
     "f:2:41: '0.0.0.0/0': a range of all addresses would let everybody in"},
    {"listen submissions { bind 1.2.3.4:5 }",
     "f:2:1: 'listen submissions' needs a certificate: a block 'tls'"},
    {"tls { certificate /c key /k }\ntls { certificate /d }", "f:3:1: 'tls' needs 'key'"},
    {"listen smtp { bind 127.0.0.1:25", "f:2:13: the block is not closed"},
    {"listen smtp {bind 127.0.0.1:25 }", "f:2:13: a brace needs blanks around it"},
    {"listen smtp { bind 127.0.0.1:25}", "f:2:20: a brace needs blanks around it"},
    {"relay { } }", "f:2:11: expected the end of the line"},
    {"relay { } dns { }", "f:2:11: expected the end of the line"},
    {"relay { }\nrelay { from 1.2.3.4 }", "f:3:1: 'relay' stands here a second time"},
    {"relay { { } }", "f:2:9: blocks cannot stand in 'relay'"},
    {"relay { \"from\" 1.2.3.4 }", "f:2:9: expected an option"},
    {"relay { from 300.0.0.0/8 }", "f:2:14: '300.0.0.0/8': expected an address range"},
    {"relay { from 10.0.0.0/33 }", "f:2:14: '10.0.0.0/33': after the /"},
    {"relay { from 10.0.0.0/ }", "f:2:14: '10.0.0.0/': after the /"},
    {"relay { from ::1/129 }", "f:2:14: '::1/129': after the /"},
    {"relay { from [::1]/128 }", "f:2:14: '[::1]/128': expected"},
    {"relay { from 0.0.0.0/0 }", "f:2:14: '0.0.0.0/0': a range of all addresses"},
    {"relay { from ::/0 }", "f:2:14: '::/0': a range of all addresses"},
    {"relay { from 10.0.0.1/8 }", "f:2:14: '10.0.0.1/8': the address has bits set"},
    {"relay { from ::ffff:10.0.0.0/104 }", "f:2:14: '::ffff:10.0.0.0/104': write it as"},
    {"relay { from 1.2.3.4 too smtp:a }", "f:2:22: 'too': expected an address range such as "
                                          "192.0.2.0/24 or 2001:db8::/32; or is it 'to'?"},
    {"relay { from to smtp:a }", "f:2:9: 'from' needs a value"},
    {"relay { to smtp:a to lmtp:/b }", "f:2:22: 'lmtp:/b': a socket stands"},
    {"relay { to \"smtp:a\" \"b\" }", "f:2:21: 'b': expected smtp:HOST"},
    {"relay { to discard }", "f:2:12: 'discard': expected smtp:HOST"},
    {"relay { to smtp:a lmtp:b:24 }", "f:2:19: 'lmtp:b:24': several hosts are all of"},
    {"relay { tls yes }", "f:2:13: 'yes': expected may, must or never"},
    {"relay { to a }", "f:2:12: 'a': expected smtp:HOST"},
    {"relay { to smtp: }", "f:2:12: 'smtp:': expected smtp:HOST"},
    {"relay { to smtp:a:0 }", "f:2:12: 'smtp:a:0': expected smtp:HOST"},
    {"relay { to smtp:a: }", "f:2:12: 'smtp:a:': expected smtp:HOST"},
    {"relay { to smtp:::1 }", "f:2:12: 'smtp:::1': expected smtp:HOST"},
    {"relay { to smtp:[::1 }", "f:2:12: 'smtp:[::1': expected"},
    {"relay { to smtp:300.1.1.1 }", "f:2:12: 'smtp:300.1.1.1': expected smtp:HOST"},
    {"relay { to lmtp:a }", "f:2:12: 'lmtp:a': expected smtp:HOST"},
    {"relay { to lmtp:a:25 }", "f:2:12: 'lmtp:a:25': LMTP must not use port 25"},
    {"relay { to lmtp:[::1] }", "f:2:12: 'lmtp:[::1]': the port is missing"},
    {"relay { to lmtp:run/x }", "f:2:12: 'lmtp:run/x': expected smtp:HOST"},
    {"relay { to smtp:/run/x }", "f:2:12: 'smtp:/run/x': expected smtp:HOST"},
    {"deliver { tls always }", "f:2:15: 'always': expected may, must or never"},
    {"deliver { tls-ca ca.pem }", "f:2:18: 'ca.pem': expected a path"},
    {"relay { port 25 }", "f:2:9: unknown option 'port' in relay; it belongs in 'deliver { }'"},
    {"relay { spool /a }", "f:2:9: 'spool' stands outside of blocks"},
    {"port 25", "f:2:1: unknown option 'port'; it belongs in 'deliver { }'"},
    {"relais { from 1.2.3.4 }", "f:2:1: unknown option 'relais'; did you mean 'relay'?"},
    {"zebra { from 1.2.3.4\n}\n", "f:2:1: unknown option 'zebra'\n"},
    {"dns { server a.test }", "f:2:14: 'a.test': expected an address"},
    {"dns { server 127.0.0.1:53 127.0.0.2:53 }", "f:2:27: unknown option '127.0.0.2:53' in dns"},
    {"dns { timeout 30 }", "f:2:15: '30': expected a duration"},
    {"dns { timeout 5M }", "f:2:15: '5M': expected a duration"},
    {"dns { timeout 6m }", "f:2:15: '6m' is out of range: 'timeout' is from 1s to 5m"},
    {"deliver { port 0 }", "f:2:16: '0' is out of range"},
    {"deliver { source 1.2.3.4:25 }", "f:2:18: '1.2.3.4:25': expected an address"},
    {"deliver { source 1.2.3.4 1.2.3.5 }", "f:2:26: '1.2.3.5': there is an address of this"},
    {"deliver { source ::1 1.2.3.4 ::2 }", "f:2:30: unknown option '::2'"},
    {"limits { message 50m }", "f:2:18: '50m': expected a size"},
    {"limits { message 99999999999999T }", "f:2:18: '99999999999999T': expected a size"},
    {"queue { retry-first 2h  retry-max 1h }", "f:2:25: 'retry-first' is longer than 'retry-max'"},
    {"queue { retry-first 2h }", "f:2:9: 'retry-first' is longer than 'retry-max'"},
    {"limits { memory 32M }", "f:2:10: 'queue fresh-memory' is larger than 'limits memory'"},
    {"disk { segment 16385K }", "f:2:8: 'segment' must be in whole M"},
    {"disk { size 1 }", "f:2:8: 'size' has no room for 8 segments"},
    {"domain { }", "f:2:8: expected a domain such as example.org after 'domain'"},
    {"domain a..b { }", "f:2:8: 'a..b': expected a domain"},
    {"domain a.test", "f:2:14: expected '{' after 'domain'"},
    {"domain a.test b.test { }", "f:2:15: expected '{' after 'domain'"},
    {"domain a.test { }\ndomain b.test { }\ndomain A.Test { }",
     "f:4:8: there is another 'domain a.test', in line"},
    {"domain a.test { NAME b.test }", "f:2:17: unknown option 'NAME' in domain"},
    {"domain a.test { usrs file:/a }", "f:2:17: unknown option 'usrs' in domain; did you mean"},
    {"domain a.test { users /a }", "f:2:23: '/a': expected file:PATH"},
    {"domain a.test { users file:a }", "f:2:23: 'file:a': expected file:PATH"},
    {"domain a.test { users file:/a users file:/b }", "f:2:31: 'users' stands here a second time"},
    {"domain a.test { subaddress ++ }", "f:2:28: '++': expected one of"},
    {"domain a.test { subaddress @ }", "f:2:28: '@': expected one of"},
    {"domain a.test { subaddress a }", "f:2:28: 'a': expected one of"},
    {"domain a.test { catch-all a }", "f:2:27: 'a': expected an address"},
    {"domain a.test { catch-all <a@b> }", "f:2:27: '<a@b>': expected an address"},
    {"domain a.test { postmaster \"\" }", "f:2:28: '': expected an address"},
    {"domain a.test { deliver mbox:/a }", "f:2:25: 'mbox:/a': expected maildir:TEMPLATE"},
    {"domain a.test { deliver maildir:{user} }", "f:2:25: 'maildir:{user}': the template of a"},
    {"domain a.test { deliver maildir:/a/b }", "f:2:25: 'maildir:/a/b': without {user} all"},
    {"domain a.test { deliver maildir:/{domain} }", "f:2:25: 'maildir:/{domain}': without {user}"},
    {"domain a.test { deliver maildir:/a/{usr} }", "f:2:25: 'maildir:/a/{usr}': the template may"},
    {"domain a.test { deliver maildir:/{user}/../b }", "f:2:25: 'maildir:/{user}/../b': the"},
    {"domain a.test { deliver maildir:/{user}/.. }", "f:2:25: 'maildir:/{user}/..': the"},
    {"domain a.test { deliver maildir:/m/{user} }",
     "f:2:1: 'domain a.test' needs 'users': without, strangers could"},
    {"domain a.test { users file:/u }",
     "f:2:1: 'domain a.test' has 'users', but no 'deliver' for their mail"},
    {"domain a.test { deliver pipe:cat }", "f:2:25: 'pipe:cat': the path of a program"},
    {"domain a.test { deliver smtp:/run/x }", "f:2:25: 'smtp:/run/x': expected smtp:HOST"},
    {"domain a.test { deliver lmtp:a }", "f:2:25: 'lmtp:a': "},
    {"domain a.test { deliver smtp:a lmtp:/b }", "f:2:32: 'lmtp:/b': a socket stands"},
    {"domain a.test { deliver smtp:a discard }", "f:2:32: 'discard': this stands alone"},
    {"domain a.test { deliver discard discard }", "f:2:33: 'discard': this stands alone"},
    {"domain a.test { tls no }", "f:2:21: 'no': expected may, must or never"},
    {"postmaster root", "f:2:12: 'root': expected an address"},
    {"user 0", "f:2:6: '0': expected the name of a user or group"},
    {"user \"\"", "f:2:6: '': expected the name of a user or group"},
    {"user ro:ot", "f:2:6: 'ro:ot': expected the name of a user or group"},
    {"control-group -x", "f:2:15: '-x': expected the name of a user or group"},
    {"log { file log }", "f:2:12: 'log': expected a path that begins with /"},
    {"log { format xml }", "f:2:14: 'xml': expected text or json"},
    {"log { level warn }", "f:2:13: 'warn': expected error, warning, notice, info or debug"},
    {"{", "f:2:1: a block begins with its name"},
    {"}", "f:2:1: this '}' closes nothing"},
    {"spool \"/a", "f:2:7: the string is not closed"},
    {"spool \"/a\"b", "f:2:11: a blank is missing"},
    {"spool \"/\\n\"", "f:2:9: after \\ only"},
    {"spool /a\"b\"", "f:2:9: a quote inside a word"},
    {"spool /\x01", "f:2:8: a control character"},
    {"spool /\x7f", "f:2:8: a control character"},
    {"spool /\xc2\x85", "f:2:8: a control character"},
    {"spool /\xc2 a", "f:2:8: this is not UTF-8"},
    {"spool \"/\xff\"", "f:2:9: this is not UTF-8"},
    {"# \x1b", "f:2:3: a control character"},
    {"spool /a\r", "f:2:9: a control character"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bads); i++) {
        char text[200];
        struct buffer errors;
        struct settings *s = NULL;
        snprintf(text, sizeof text, "hostname mx.test\n%s", bads[i].text);
        enum fault fault = parse(span_text(text), &errors, &s);
        if (fault != FAULT_SYNTAX ||
            !span_starts_with(buffer_span(&errors), span_text(bads[i].said))) {
            print_error("for: %s\nexpected: %s\n", bads[i].text, bads[i].said);
            print_span("got", buffer_span(&errors));
            fail();
        }
        settings_release(s);
        buffer_fini(&errors);
    }
    expect_errors(SPAN("\0\1\2\n"),
                  "f:1:1: a NUL byte; this is no text\n"
                  "    ???\n"
                  "    ^\n"
                  "f:2:1: 'hostname' is missing: expected a host name such as mx1.example.org\n");
    expect_errors(SPAN("\xef\xbb\xbfhostname mx.test\nhostname mx.test\n"),
                  "f:1:1: a byte order mark; save the file without it\n"
                  "    ???hostname mx.test\n"
                  "    ^\n");
}

/* One mistake, one error: what follows from it is not reported. */
static void one_mistake_is_one_error(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "listen smtp { bind 127.0.0.1:25\nrelay { from 1.2.3.4 }\n",
        "listen smtp { bind \"127.0.0.1:25 }\nrelay { from 1.2.3.4 }\n",
        "listen smtp { bnd 127.0.0.1:25 [::]:25 }\n",
        "listn smtp {\n bind 127.0.0.1:25\n}\n",
        "listen smtps {\n bind 127.0.0.1:25\n}\n",
        "listen { bind 127.0.0.1:25\n}\n",
        "relay { fron 1.2.3.4 5.6.7.8  to smtp:a }\n",
        "relay { zebra { from x } to smtp:a }\n",
        "relay { }\nrelay { from x y z { a } }\n",
        "spool \x01\n",
        "spool /a b c d e\n",
        "relay { from 1.2.3.4 ot smtp:a }\n",
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        char text[200];
        struct buffer errors;
        struct settings *s = NULL;
        snprintf(text, sizeof text, "hostname mx.test\n%s", rows[i]);
        assert_int_equal(parse(span_text(text), &errors, &s), FAULT_SYNTAX);
        size_t count = 0;
        struct span all = buffer_span(&errors);
        for (size_t at = 0; (at = span_find(all, SPAN("f:"), at)) < all.len; at++)
            if (at == 0 || all.data[at - 1] == '\n')
                count++;
        if (count != 1)
            print_span(rows[i], all);
        assert_int_equal(count, 1);
        buffer_fini(&errors);
    }
}

/* Each block is a record with defaults of its own. */
static void reads_domains(void **state)
{
    (void)state;
    struct settings *s = good(SPAN("hostname mx.test\npostmaster root@a.test\n"
                                   "domain A.Test {\n"
                                   "    users file:/u aliases file:/al\n"
                                   "    deliver maildir:/m/{domain}/{user}\n"
                                   "    catch-all x@b.test subaddress \"\" tls must\n"
                                   "}\n"
                                   "domain b.test { deliver smtp:c smtp:[::1]:26 }\n"
                                   "domain c.test { }\n"));
    assert_int_equal(s->domains_count, 3);
    const struct domain_settings *d = settings_domain(s, SPAN("a.TEST"));
    assert_ptr_equal(d, s->domains[0]);
    assert_string_equal(d->name, "a.test");
    assert_string_equal(d->users_file, "/u");
    assert_int_equal(d->deliver_count, 1);
    assert_int_equal(d->deliver[0].kind, DELIVERY_MAILDIR);
    assert_string_equal(d->deliver[0].text, "/m/{domain}/{user}");
    assert_int_equal(d->subaddress, 0);
    assert_int_equal(d->tls, TLS_DEMAND_MUST);
    d = settings_domain(s, SPAN("b.test"));
    assert_int_equal(d->deliver_count, 2);
    expect_span(d->deliver[1].hop.host, SPAN("::1"));
    assert_int_equal(d->deliver[1].hop.port, 26);
    assert_int_equal(d->subaddress, '+');
    assert_null(d->users_file);
    assert_int_equal(d->tls, TLS_DEMAND_UNSAID);
    assert_int_equal(settings_domain(s, SPAN("c.test"))->deliver_count, 0);
    assert_null(settings_domain(s, SPAN("d.test")));
    assert_null(settings_domain(s, SPAN("")));
    assert_string_equal(s->postmaster, "root@a.test");
    settings_release(s);
}

static void expect_round_trip(const struct settings *s, bool all)
{
    struct buffer shown, again;
    buffer_init(&shown, TEXT_MAX);
    buffer_init(&again, TEXT_MAX);
    assert_true(config_show(s, all, &shown));
    struct settings *other = good(buffer_span(&shown));
    assert_true(config_show(other, all, &again));
    expect_span(buffer_span(&again), buffer_span(&shown));
    /* What was left out is a default in both. */
    buffer_reset(&shown);
    buffer_reset(&again);
    assert_true(config_show(s, true, &shown) && config_show(other, true, &again));
    expect_span(buffer_span(&again), buffer_span(&shown));
    settings_release(other);
    buffer_fini(&shown);
    buffer_fini(&again);
}

static void what_is_shown_can_be_read(void **state)
{
    (void)state;
    struct span text = read_source("fuzz/corpus/config/whole");
    struct settings *whole = good(text), *none = settings_default("mx.test");
    for (int all = 0; all < 2; all++) {
        expect_round_trip(whole, all);
        expect_round_trip(none, all);
    }
    struct buffer shown;
    buffer_init(&shown, TEXT_MAX);
    assert_true(config_show(none, false, &shown));
    expect_span(buffer_span(&shown), SPAN("hostname mx.test\n"));
    buffer_reset(&shown);
    struct settings *some = good(SPAN("log { level info }\nhostname mx.test\nspool \"/a b\"\n"
                                      "relay { from ::1 to smtp:x }\nqueue { retry-max 70m }\n"));
    assert_true(config_show(some, false, &shown));
    expect_span(buffer_span(&shown), SPAN("hostname mx.test\nspool \"/a b\"\n"
                                          "relay {\n    from ::1/128\n    to smtp:x:25\n}\n"
                                          "log {\n    level info\n}\n"));
    struct buffer small;
    for (size_t max = 0; max < shown.len; max++) {
        buffer_init(&small, max);
        assert_false(config_show(some, false, &small));
        buffer_fini(&small);
    }
    settings_release(some);
    settings_release(whole);
    settings_release(none);
    buffer_fini(&shown);
    free((void *)(uintptr_t)text.data);
}

static void accept_or_refuse(const uint8_t *data, size_t len)
{
    struct buffer errors;
    struct settings *s = NULL;
    uint8_t *exact = malloc(len > 0 ? len : 1); /* ASan sees a byte too many */
    assert_non_null(exact);
    memcpy(exact, data, len);
    enum fault fault = parse(span_of(exact, len), &errors, &s);
    assert_true(fault == FAULT_NONE || fault == FAULT_SYNTAX);
    settings_release(s);
    buffer_fini(&errors);
    free(exact);
}

static void any_damage_has_an_answer(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0, '\n', '\r', ' ', '"', '\\', '{', '}', '#', 'x', 0xc2, 0xff};
    struct span text = read_source("fuzz/corpus/config/whole");
    uint8_t *copy = malloc(text.len);
    assert_non_null(copy);
    for (size_t cut = 0; cut <= text.len; cut++)
        accept_or_refuse(text.data, cut);
    for (size_t i = 0; i < text.len; i++)
        for (size_t j = 0; j < sizeof bytes; j++) {
            memcpy(copy, text.data, text.len);
            copy[i] = bytes[j];
            accept_or_refuse(copy, text.len);
        }
    free(copy);
    free((void *)(uintptr_t)text.data);
}

/* `count` times `piece` between the two others. */
static void repeat(struct buffer *b, const char *before, const char *piece, size_t count,
                   const char *after)
{
    buffer_init(b, TEXT_MAX);
    bool fits = buffer_put_text(b, before);
    for (size_t i = 0; i < count; i++)
        fits = fits && buffer_put_text(b, piece);
    assert_true(fits && buffer_put_text(b, after));
}

static void expect_limit(const char *before, const char *piece, size_t count, const char *after,
                         const char *refused)
{
    for (size_t more = 0; more < 2; more++) {
        struct buffer text, errors;
        struct settings *s = NULL;
        repeat(&text, before, piece, count + more, after);
        enum fault fault = parse(buffer_span(&text), &errors, &s);
        assert_int_equal(fault, more == 0 ? FAULT_NONE : FAULT_SYNTAX);
        if (more == 1 && span_find(buffer_span(&errors), span_text(refused), 0) == errors.len)
            print_span(refused, span_sub(buffer_span(&errors), 0, 300));
        assert_true(more == 0 ||
                    span_find(buffer_span(&errors), span_text(refused), 0) < errors.len);
        settings_release(s);
        buffer_fini(&text);
        buffer_fini(&errors);
    }
}

static void limits_hold_at_their_edge(void **state)
{
    (void)state;
    expect_limit("hostname ", "a", 63, ".test", "expected a host name");
    expect_limit("hostname a", ".a", 126, "", "expected a host name"); /* 253 and 255 bytes */
    expect_limit("hostname a\nspool /", "a", 999, "", "the path is too long: at most 1000");
    expect_limit("hostname a\ncontrol /", "a", 106, "", "the path is too long: at most 107");
    expect_limit("hostname a\nuser ", "a", 32, "", "expected the name of a user");
    expect_limit("hostname a\nrelay { from ", "1.2.3.4 ", CONFIG_LIST_MAX, "}",
                 "'from' takes at most 10000 values");
    expect_limit("hostname a #", " ", CONFIG_BYTES_MAX - 12, "", "the file is larger than");
    expect_limit("hostname a\nrelay {", "\nfrom 1.2.3.4", CONFIG_LIST_MAX, "\n}", "at most 10000");
}

static void words_are_bounded(void **state)
{
    (void)state;
    struct buffer text, errors;
    struct settings *s = NULL;
    static const struct {
        const char *before, *piece;
        size_t count;
        const char *after, *said;
    } rows[] = {
        {"hostname a\nspool /", "a", CONFIG_WORD_BYTES_MAX - 1, "", "the path is too long"},
        {"hostname a\nspool /", "a", CONFIG_WORD_BYTES_MAX, "", "the word is too long"},
        {"hostname a\nspool \"/", "a", CONFIG_WORD_BYTES_MAX - 1, "\"", "the path is too long"},
        {"hostname a\nspool \"/", "a", CONFIG_WORD_BYTES_MAX, "\"", "the string is too long"},
        {"hostname a\nspool \"/a", "\xc3\xa4", CONFIG_WORD_BYTES_MAX / 2 - 1, "\"", "too long"},
        {"hostname a\n", "x ", CONFIG_WORDS_MAX - 2, "", "unknown option 'x'"},
        {"hostname a\n", "x ", CONFIG_WORDS_MAX, "", "there are more than 100000 words"},
        {"", "x ", CONFIG_WORDS_MAX + 1, "", "there are more than 100000 words"},
        {"hostname a\n", "{ ", 400000, "", "a block begins with its name"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        repeat(&text, rows[i].before, rows[i].piece, rows[i].count, rows[i].after);
        assert_int_equal(parse(buffer_span(&text), &errors, &s), FAULT_SYNTAX);
        assert_true(span_find(buffer_span(&errors), span_text(rows[i].said), 0) < errors.len);
        assert_true(errors.len < 2000);
        buffer_fini(&text);
        buffer_fini(&errors);
    }
}

static void errors_are_bounded(void **state)
{
    (void)state;
    struct buffer text, errors;
    struct settings *s = NULL;
    repeat(&text, "hostname a\n", "x\n", CONFIG_ERRORS_MAX + 7, "");
    assert_int_equal(parse(buffer_span(&text), &errors, &s), FAULT_SYNTAX);
    struct span last = SPAN("f: 7 more errors\n");
    expect_span(span_skip(buffer_span(&errors), errors.len - last.len), last);
    buffer_fini(&errors);
    /* A buffer that is full keeps what fits. */
    buffer_init(&errors, 30);
    assert_int_equal(config_parse(buffer_span(&text), "f", &errors, &s), FAULT_SYNTAX);
    expect_span(buffer_span(&errors), SPAN("f:2:1: unknown option 'x'\n    "));
    buffer_fini(&errors);
    buffer_fini(&text);
    /* Of a long line only the place is shown. */
    repeat(&text, "hostname a\nspool ", "\t ", 5000, "x");
    assert_int_equal(parse(buffer_span(&text), &errors, &s), FAULT_SYNTAX);
    assert_true(errors.len < 600);
    buffer_fini(&errors);
    buffer_fini(&text);
}

static void says_what_has_changed(void **state)
{
    (void)state;
    struct buffer out;
    struct settings *one = good(SPAN("hostname a.test\nlisten smtp { bind 127.0.0.1:25 }\n"));
    struct settings *two = good(SPAN("hostname b.test\nspool /s\nlimits { errors 7 }\n"
                                     "listen smtp { bind 127.0.0.1:26 }\ndisk { reserve 5 }\n"));
    buffer_init(&out, TEXT_MAX);
    assert_true(config_changes(one, one, &out));
    assert_int_equal(out.len, 0);
    assert_true(config_changes(one, two, &out));
    expect_span(buffer_span(&out),
                SPAN("hostname has changed\n"
                     "spool has changed; warning: only another start brings it in force\n"
                     "limits errors has changed\n"
                     "disk reserve has changed; warning: only another start brings it in force\n"
                     "listen has changed\n"));
    struct buffer small;
    for (size_t max = 0; max < out.len; max++) {
        buffer_init(&small, max);
        assert_false(config_changes(one, two, &small));
        buffer_fini(&small);
    }
    buffer_fini(&out);
    settings_release(one);
    settings_release(two);
}

/* What it says are the defaults, but for what a server cannot do without. */
static void the_sample_is_a_configuration(void **state)
{
    (void)state;
    struct buffer sample, shown;
    buffer_init(&sample, TEXT_MAX);
    buffer_init(&shown, TEXT_MAX);
    assert_true(config_sample(&sample));
    struct settings *s = good(buffer_span(&sample));
    assert_true(config_show(s, false, &shown));
    expect_span(buffer_span(&shown),
                SPAN("hostname mx1.example.org\n"
                     "listen smtp {\n    bind 0.0.0.0:25\n    bind [::]:25\n}\n"
                     "relay {\n    from 127.0.0.0/8\n    from ::1/128\n}\n"));
    settings_release(s);
    buffer_fini(&sample);
    buffer_fini(&shown);
}

/* A client has to find the server also when the file is being edited. */
static void the_control_socket_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path;
    } rows[] = {
        {"hostname a\ncontrol /tmp/c\n", "/tmp/c"},
        {"hostnam\ncontrol /tmp/c\n{{{ x\n", "/tmp/c"},
        {"limits { errors none\ncontrol /tmp/c\n", "/tmp/c"},
        {"", "/run/postrider/control"},
        {"control none\n", "/run/postrider/control"},
        {"\x01\x02\x03", "/run/postrider/control"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer path;
        buffer_init(&path, 200);
        assert_true(config_control(span_text(rows[i].text), &path));
        expect_span(buffer_span(&path), span_text(rows[i].path));
        buffer_fini(&path);
    }
}

/* docs/CONFIGURATION.md ends with what the schema says. */
static void the_manual_is_current(void **state)
{
    (void)state;
    struct buffer reference;
    buffer_init(&reference, TEXT_MAX);
    assert_true(config_reference(&reference));
    struct span doc = read_source("docs/CONFIGURATION.md");
    size_t at = span_find(doc, SPAN("## The options\n"), 0);
    if (!span_equal(span_skip(doc, at), buffer_span(&reference))) {
        FILE *file = fopen("build-asan/CONFIGURATION.options.md", "wb");
        if (file != NULL) {
            fwrite(reference.data, 1, reference.len, file);
            fclose(file);
        }
        print_error("docs/CONFIGURATION.md: the options are not those of option.def; what they "
                    "should be is in build-asan/CONFIGURATION.options.md\n");
        fail();
    }
    buffer_fini(&reference);
    buffer_init(&reference, 100);
    assert_false(config_reference(&reference));
    buffer_fini(&reference);
    free((void *)(uintptr_t)doc.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_option),
        cmocka_unit_test(accepts),
        cmocka_unit_test(reads_the_configurations_of_the_tests),
        cmocka_unit_test(reads_domains),
        cmocka_unit_test(listens_in_several_ways),
        cmocka_unit_test(listens_at_so_many_addresses),
        cmocka_unit_test(shows_where_and_why),
        cmocka_unit_test(refuses),
        cmocka_unit_test(one_mistake_is_one_error),
        cmocka_unit_test(what_is_shown_can_be_read),
        cmocka_unit_test(any_damage_has_an_answer),
        cmocka_unit_test(limits_hold_at_their_edge),
        cmocka_unit_test(words_are_bounded),
        cmocka_unit_test(errors_are_bounded),
        cmocka_unit_test(says_what_has_changed),
        cmocka_unit_test(the_sample_is_a_configuration),
        cmocka_unit_test(the_control_socket_is_found),
        cmocka_unit_test(the_manual_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
