/* Runs every conversation of tests/dialog/client with deliver/smtp_client: whole, in pieces, and
 * broken off at every byte. The format stands in tests/dialog/README.md. */
#include "expect.h"

#include <glob.h>

#include "base/buffer.h"
#include "deliver/smtp_client.h"

#define EVENTS_MAX       2000
#define RECIPIENTS_MAX   1200
#define SCRIPT_BYTES_MAX (512 * 1024)
#define PIECE_MAX        50

static const struct client_limits limits = {1, 2, 3, 4, 5, 6, 7, 8};

struct event {
    char kind;
    struct span text;
    int line;
};

struct script {
    const char *path;
    struct buffer bytes; /* of all texts */
    struct event events[EVENTS_MAX];
    size_t count;
};

struct transaction {
    struct client_recipient recipients[RECIPIENTS_MAX];
    uint32_t count;
    struct span reverse_path;
    uint64_t content_bytes;
    bool is_8bitmime, needs_utf8, likes_chunks;
    enum notify_return ret;
    struct span envid;
    enum downgrade_verdict verdict;
};

/* One way through a script. */
struct run {
    const struct script *script;
    struct client *client;
    struct transaction transaction;
    struct buffer output;  /* of the client, not yet expected */
    struct buffer results; /* a line for each recipient of the last RESULT, not yet expected */
    struct buffer all;     /* all results of all transactions */
    bool content_wanted, closed, idle;
    bool under_way, is_lmtp;
    uint32_t begun, over, contents;
    const struct event *at;
};

/* Scripts ----------------------------------------------------------------------------------- */

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

static void script_line(struct script *s, const char *line, int number)
{
    if (line[0] == '#' || line[0] == '\0')
        return;
    if (strchr("SCTDROQLXIN", line[0]) == NULL || strchr(":~", line[1]) == NULL)
        fail_msg("%s:%d: what is: %s", s->path, number, line);
    size_t from = s->bytes.len;
    put_escaped(&s->bytes, line[2] == ' ' ? line + 3 : line + 2);
    if (line[0] == 'S' && line[1] == ':')
        assert_true(buffer_put(&s->bytes, SPAN("\r\n")));
    size_t len = s->bytes.len - from;
    struct event *last = s->count > 0 ? &s->events[s->count - 1] : NULL;
    if (line[0] == 'S' && last != NULL && last->kind == 'S') {
        last->text.len += len; /* one block, so that it can be given whole */
        return;
    }
    assert_true(s->count < EVENTS_MAX);
    /* The bytes may still move: until the end only lengths are right. */
    s->events[s->count++] = (struct event){line[0], {NULL, len}, number};
}

static void script_read(struct script *s, const char *path)
{
    static char line[8192];
    s->path = path;
    s->count = 0;
    buffer_init(&s->bytes, SCRIPT_BYTES_MAX);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (int number = 1; fgets(line, sizeof line, f) != NULL; number++) {
        line[strcspn(line, "\n")] = '\0';
        script_line(s, line, number);
    }
    fclose(f);
    const uint8_t *at = s->bytes.data;
    for (size_t i = 0; i < s->count; i++) {
        s->events[i].text.data = at;
        at += s->events[i].text.len;
    }
}

/* What came out, as the scripts write it ---------------------------------------------------- */

static void put_result(struct buffer *out, const struct client_result *r)
{
    static const char *const verdicts[] = {"undecided", "taken", "delivered", "deferred", "failed"};
    static const char *const phases[] = {
#define CLIENT_PHASE(name, text) #name,
#include "deliver/smtp_phase.def"
#undef CLIENT_PHASE
    };
    char status[STATUS_TEXT_MAX + 1];
    status_format(r->status, status);
    assert_true(buffer_printf(out, "%s %s", verdicts[r->verdict], phases[r->phase]));
    if (r->fault != FAULT_NONE)
        assert_true(buffer_printf(out, " %s", fault_name(r->fault)));
    if (r->code != 0) {
        assert_true(buffer_printf(out, " %03d ", r->code));
        assert_true(buffer_put(out, r->text));
    }
    assert_true(buffer_printf(out, " [%s]\n", status));
}

static void put_outcome(struct buffer *out, struct client *c)
{
    const struct client_outcome *o = client_outcome(c);
    if (client_is_usable(c)) {
        assert_true(buffer_put_text(out, "usable\n"));
        assert_false(o->is_host_trouble || o->is_stale || o->in_doubt);
        assert_int_equal(o->trouble.verdict, CLIENT_UNDECIDED);
        return;
    }
    assert_true(buffer_printf(out, "ended%s%s%s ", o->is_host_trouble ? " host" : "",
                              o->is_stale ? " stale" : "", o->in_doubt ? " doubt" : ""));
    put_result(out, &o->trouble);
}

/* Running ----------------------------------------------------------------------------------- */

static void take_results(struct run *r)
{
    assert_true(r->under_way);
    r->under_way = false;
    r->over++;
    buffer_reset(&r->results);
    for (uint32_t i = 0; i < r->transaction.count; i++) {
        const struct client_result *result = &r->transaction.recipients[i].result;
        assert_true(result->verdict >= CLIENT_DELIVERED);
        assert_int_equal(result->status.class, result->verdict == CLIENT_DELIVERED  ? 2
                                               : result->verdict == CLIENT_DEFERRED ? 4
                                                                                    : 5);
        put_result(&r->results, result);
    }
    assert_true(buffer_put(&r->all, buffer_span(&r->results)));
}

static void pump(struct run *r, struct span input)
{
    r->idle = false;
    while (!r->closed) {
        size_t used;
        uint64_t progress = client_progress(r->client);
        enum client_phase phase = client_phase(r->client);
        enum client_want want = client_step(r->client, input, &used);
        struct buffer *out = client_output(r->client);
        if (phase != client_phase(r->client))
            assert_true(progress != client_progress(r->client));
        assert_true(out->len <= CLIENT_OUTPUT_MAX);
        assert_true(buffer_put(&r->output, buffer_span(out)));
        buffer_consume(out, out->len);
        input = span_skip(input, used);
        switch (want) {
        case CLIENT_WANT_CONTENT:
            assert_false(r->content_wanted);
            r->content_wanted = true;
            r->contents++;
            break;
        case CLIENT_WANT_RESULT:
            take_results(r);
            break;
        case CLIENT_WANT_JUDGEMENT:
            client_judge(r->client, r->transaction.verdict, 300);
            break;
        case CLIENT_WANT_TLS:
            input = SPAN("");
            client_secured(r->client);
            break;
        case CLIENT_WANT_CLOSE:
            r->closed = true;
            break;
        case CLIENT_WANT_IDLE:
        case CLIENT_WANT_INPUT:
            if (input.len > 0)
                break;
            r->idle = want == CLIENT_WANT_IDLE;
            assert_true(r->under_way || want == CLIENT_WANT_IDLE || r->begun == r->over);
            return;
        }
    }
}

/* "c@d|SUCCESS,DELAY|rfc822;c@d": path, what is told of it, ORCPT. */
static void add_recipient(struct client_recipient *r, struct span word)
{
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    struct span notify, one;
    word = span_split(word, '|', &r->path);
    r->orcpt = span_split(word, '|', &notify);
    while (notify.len > 0) {
        notify = span_split(notify, ',', &one);
        for (int i = 0; i < 4; i++)
            if (span_equal(one, span_text(names[i])))
                r->notify = (uint8_t)(r->notify | 1 << i);
    }
}

/* "a@b c@d *3": the reverse-path (<> is empty), then recipients; *N makes N of the last one. Before
   them "bytes=N", "8bit", "chunks", "convertible", "inconvertible", "utf8", "ret=", "envid=", and
   (before the greeting) "tls", "must", "lmtp". */
static void begin(struct run *r, struct span text)
{
    struct transaction *t = &r->transaction;
    uint64_t times;
    *t = (struct transaction){.content_bytes = 100};
    bool has_reverse_path = false;
    struct client_manner manner = {.is_lmtp = false};
    while (text.len > 0) {
        struct span word;
        text = span_split(text, ' ', &word);
        if (span_equal(word, SPAN("tls"))) {
            manner.wishes_tls = true;
        } else if (span_equal(word, SPAN("must"))) {
            manner.needs_tls = true;
        } else if (span_equal(word, SPAN("lmtp"))) {
            manner.is_lmtp = true;
        } else if (span_equal(word, SPAN("8bit"))) {
            t->is_8bitmime = true;
        } else if (span_equal(word, SPAN("chunks"))) {
            t->likes_chunks = true;
        } else if (span_equal(word, SPAN("convertible"))) {
            t->verdict = DOWNGRADE_POSSIBLE;
        } else if (span_equal(word, SPAN("inconvertible"))) {
            t->verdict = DOWNGRADE_IMPOSSIBLE;
        } else if (span_equal(word, SPAN("utf8"))) {
            t->needs_utf8 = true;
        } else if (span_equal(word, SPAN("ret=FULL"))) {
            t->ret = RETURN_FULL;
        } else if (span_equal(word, SPAN("ret=HDRS"))) {
            t->ret = RETURN_HEADERS;
        } else if (span_starts_with(word, SPAN("envid="))) {
            t->envid = span_skip(word, 6);
        } else if (span_starts_with(word, SPAN("bytes="))) {
            assert_true(span_parse_u64(span_skip(word, 6), UINT64_MAX, &t->content_bytes));
        } else if (!has_reverse_path) {
            t->reverse_path = span_equal(word, SPAN("<>")) ? SPAN("") : word;
            has_reverse_path = true;
        } else if (word.len > 1 && word.data[0] == '*') {
            assert_true(span_parse_u64(span_skip(word, 1), RECIPIENTS_MAX, &times));
            for (; times > 1; times--, t->count++)
                t->recipients[t->count].path = t->recipients[t->count - 1].path;
        } else {
            add_recipient(&t->recipients[t->count++], word);
        }
    }
    struct client_transaction transaction = {
        .reverse_path = t->reverse_path,
        .recipients = t->recipients,
        .recipient_count = t->count,
        .content_bytes = t->content_bytes,
        .is_8bitmime = t->is_8bitmime,
        .needs_utf8 = t->needs_utf8,
        .likes_chunks = t->likes_chunks,
        .ret = t->ret,
        .envid = t->envid,
    };
    r->under_way = true;
    r->begun++;
    if (client_phase(r->client) == CLIENT_GREETING)
        client_speak(r->client, manner);
    r->is_lmtp = r->is_lmtp || manner.is_lmtp;
    client_begin(r->client, &transaction);
    pump(r, SPAN(""));
    r->closed = false; /* CLOSE comes again */
    pump(r, SPAN(""));
}

static void expect_line(struct run *r, struct buffer *from, struct span expected)
{
    struct span got = buffer_span(from);
    size_t end = span_find_byte(got, '\n', 0);
    got = span_sub(got, 0, end);
    if (got.len > 0 && got.data[got.len - 1] == '\r')
        got.len--;
    if (!span_equal(got, expected))
        print_error("%s:%d:\n", r->script->path, r->at->line);
    expect_span(got, expected);
    buffer_consume(from, end < from->len ? end + 1 : from->len);
}

static enum fault fault_named(struct span name)
{
    for (int f = 1; f < FAULT_COUNT; f++) {
        if (span_equal(name, span_text(fault_name((enum fault)f))))
            return (enum fault)f;
    }
    fail_msg("no such fault");
    return FAULT_UNKNOWN;
}

static void expect_outcome(struct run *r, struct span expected)
{
    struct buffer line;
    buffer_init(&line, 8192);
    put_outcome(&line, r->client);
    expect_line(r, &line, expected);
    buffer_fini(&line);
}

static void expect_state(struct run *r, bool is)
{
    if (!is)
        fail_msg("%s:%d: it is not so", r->script->path, r->at->line);
}

/* A new connection; the script left nothing unsaid about the one before. */
static void renew(struct run *r)
{
    expect_line(r, &r->output, SPAN(""));
    expect_line(r, &r->results, SPAN(""));
    expect_state(r, r->begun == r->over);
    client_free(r->client);
    r->client = client_new(&limits, "me.example");
    assert_non_null(r->client);
    r->content_wanted = r->closed = r->idle = false;
    r->begun = r->over = r->contents = 0;
}

/* `strict`: what the script expects must come; else only the peer's and the owner's part is
   played. */
static void play(struct run *r, const struct event *e, size_t piece, bool strict)
{
    r->at = e;
    switch (e->kind) {
    case 'S':
        for (struct span rest = e->text; rest.len > 0; rest = span_skip(rest, piece))
            pump(r, span_sub(rest, 0, piece));
        break;
    case 'T':
        begin(r, e->text);
        break;
    case 'D':
        if (strict)
            expect_state(r, r->content_wanted);
        r->content_wanted = false;
        if (span_equal(e->text, SPAN("end")) && client_content_end(r->client) && strict)
            assert_int_equal(client_phase(r->client), CLIENT_DOT);
        break;
    case 'N':
        if (!strict) {
            buffer_reset(&r->output);
            buffer_reset(&r->results);
        }
        renew(r);
        break;
    case 'Q':
        client_quit(r->client);
        pump(r, SPAN(""));
        break;
    case 'L':
        client_lost(r->client, fault_named(e->text));
        pump(r, SPAN(""));
        break;
    case 'C':
        if (strict)
            expect_line(r, &r->output, e->text);
        break;
    case 'R':
        if (strict)
            expect_line(r, &r->results, e->text);
        break;
    case 'O':
        if (strict)
            expect_outcome(r, e->text);
        break;
    case 'I':
        if (strict)
            expect_state(r, r->idle && !r->closed);
        break;
    case 'X':
        if (strict)
            expect_state(r, r->closed);
        break;
    default:
        fail();
    }
}

static void run_init(struct run *r, const struct script *s)
{
    *r = (struct run){.script = s, .client = client_new(&limits, "me.example")};
    assert_non_null(r->client);
    buffer_init(&r->output, SCRIPT_BYTES_MAX);
    buffer_init(&r->results, SCRIPT_BYTES_MAX);
    buffer_init(&r->all, SCRIPT_BYTES_MAX);
}

static void run_fini(struct run *r)
{
    client_free(r->client);
    buffer_fini(&r->output);
    buffer_fini(&r->results);
    buffer_fini(&r->all);
}

static struct run run; /* large */

static void run_whole(const struct script *s, size_t piece, struct buffer *all_out)
{
    run_init(&run, s);
    for (size_t i = 0; i < s->count; i++)
        play(&run, &s->events[i], piece, true);
    expect_line(&run, &run.output, SPAN(""));
    expect_line(&run, &run.results, SPAN(""));
    assert_int_equal(run.begun, run.over);
    if (all_out != NULL)
        assert_true(buffer_put(all_out, buffer_span(&run.all)));
    run_fini(&run);
}

/* Result lines of a run that was broken off, beside those of the whole run: each is the same, or
   says DEFERRED; and what was not over when the connection broke is not DELIVERED, but for LMTP,
   where each recipient is over when it has its reply. */
static void expect_no_better(struct span whole, struct span broken, size_t safe, bool is_lmtp)
{
    for (size_t at = 0; broken.len > 0;) {
        struct span expected, got;
        size_t before = broken.len;
        whole = span_split(whole, '\n', &expected);
        broken = span_split(broken, '\n', &got);
        if (at < safe || !span_starts_with(got, SPAN("deferred"))) {
            expect_span(got, expected);
            assert_true(at < safe || is_lmtp || span_starts_with(got, SPAN("failed")));
        }
        at += before - broken.len;
    }
}

static void run_broken(const struct script *s, size_t event, size_t byte, struct span whole)
{
    run_init(&run, s);
    for (size_t i = 0; i < event; i++)
        play(&run, &s->events[i], SCRIPT_BYTES_MAX, false);
    if (s->events[event].kind == 'S')
        pump(&run, span_sub(s->events[event].text, 0, byte));
    size_t safe = run.all.len;
    bool was_dot = client_phase(run.client) == CLIENT_DOT, under_way = run.under_way;
    client_lost(run.client, FAULT_CONNECTION_LOST);
    pump(&run, SPAN(""));
    assert_true(run.closed);
    assert_false(run.under_way);
    assert_int_equal(run.begun, run.over);
    assert_int_equal(client_output(run.client)->len, 0);
    assert_false(client_content_end(run.client));
    if (client_outcome(run.client)->in_doubt)
        assert_true(run.contents > 0);
    if (was_dot && under_way && run.contents == run.begun)
        assert_true(client_outcome(run.client)->in_doubt);
    /* What the script would have sent after it is deferred at once. */
    for (size_t i = event; i < s->count; i++) {
        if (s->events[i].kind == 'T') {
            begin(&run, s->events[i].text);
            assert_int_equal(run.begun, run.over);
        }
    }
    expect_no_better(whole, buffer_span(&run.all), safe, run.is_lmtp);
    run_fini(&run);
}

static void break_everywhere(const struct script *s, struct span whole)
{
    for (size_t i = 0; i < s->count; i++) {
        size_t bytes = s->events[i].kind == 'S' ? s->events[i].text.len : 0;
        for (size_t byte = 0; byte <= bytes; byte++)
            run_broken(s, i, byte, whole);
    }
}

static struct script script; /* large */

static void every_dialog_however_it_is_split_and_wherever_it_breaks(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(SOURCE_ROOT "/tests/dialog/client/*.txt", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct buffer all;
        buffer_init(&all, SCRIPT_BYTES_MAX);
        script_read(&script, found.gl_pathv[i]);
        run_whole(&script, SCRIPT_BYTES_MAX, &all);
        for (size_t piece = 1; piece <= PIECE_MAX; piece++)
            run_whole(&script, piece, NULL);
        break_everywhere(&script, buffer_span(&all));
        buffer_fini(&script.bytes);
        buffer_fini(&all);
    }
    print_message("%zu dialogs\n", found.gl_pathc);
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dialog_however_it_is_split_and_wherever_it_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
