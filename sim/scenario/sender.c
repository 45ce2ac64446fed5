/*
 * sender: see sender.h.
 */
#include "sim/scenario/sender.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define EXPECTED_MAX   4096
#define AGAIN_US_LEAST (2 * SIM_SECOND)
#define AGAIN_US_MOST  (8 * SIM_SECOND)
#define PATIENCE_US    (40 * SIM_SECOND)

struct sender {
    struct machine *machine;
    struct world *life;
    struct loop *loop;
    struct thread *thread;
    struct ledger *ledger;
    struct endpoint server;
    struct list sessions;
    bool is_calm;
};

enum command {
    COMMAND_GREETING,
    COMMAND_HELLO,
    COMMAND_MAIL,
    COMMAND_RCPT,
    COMMAND_DATA,
    COMMAND_CHUNK,
    COMMAND_CONTENT, /* the dot, or the last chunk */
    COMMAND_RSET,
    COMMAND_QUIT
};

/* What comes next to be said. */
enum stage {
    STAGE_HELLO,
    STAGE_NEXT, /* message, or QUIT */
    STAGE_RCPT,
    STAGE_DATA,
    STAGE_AFTER_354,
    STAGE_CHUNKS,
    STAGE_QUIT,
    STAGE_SILENT
};

struct expected {
    enum command command;
    uint32_t message; /* in session.parcels */
    uint32_t addressee;
};

struct session {
    struct list node;
    struct sender *sender;
    struct sender_style style;
    struct timer timer; /* when it begins */
    struct wire *wire;
    enum stage stage;
    uint32_t parcels[SENDER_MESSAGES_MAX];
    uint64_t end_at[SENDER_MESSAGES_MAX]; /* bytes put, with the message's end; 0: not yet */
    uint32_t count, message, addressee;
    size_t chunk_at;
    bool is_aborting;
    uint32_t taken, refused; /* of the present message's RCPTs */
    int mail_code;
    struct expected expected[EXPECTED_MAX];
    uint32_t expected_first, expected_count;
};

static void proceed(struct session *s);

static struct parcel *parcel_of(const struct session *s, uint32_t message)
{
    check(message < s->count);
    return &s->sender->ledger->parcels[s->parcels[message]];
}

static bool is_answered(const struct session *s)
{
    return s->expected_count == 0;
}

static void expect(struct session *s, enum command command)
{
    check(s->expected_count < EXPECTED_MAX);
    uint32_t at = (s->expected_first + s->expected_count++) % EXPECTED_MAX;
    s->expected[at] = (struct expected){command, s->message, s->addressee};
}

/* Ends. ------------------------------------------------------------------------------------------
 */

static void session_free(struct session *s)
{
    timer_cancel(s->sender->loop, &s->timer);
    wire_free(s->wire);
    list_remove(&s->node);
    free(s);
}

/* What has left may have arrived. What has not is tried again. */
static void session_end(struct session *s)
{
    struct sender *sender = s->sender;
    uint32_t again[SENDER_MESSAGES_MAX], count = 0;
    uint64_t sent = s->wire == NULL ? 0 : wire_sent_bytes(s->wire);
    for (uint32_t i = 0; i < s->count; i++) {
        struct parcel *p = parcel_of(s, i);
        if (s->end_at[i] > 0 && sent >= s->end_at[i])
            p->is_whole_sent = p->is_settled = true;
        if (p->is_stranger) /* no use */
            p->is_settled = true;
        if (!p->is_settled)
            again[count++] = p->number;
    }
    if (count > 0) {
        struct sender_style style = s->style;
        struct random *r = sim_random(sender->ledger->sim);
        if (random_chance(r, 500000))
            style.habits.vanish_at = 0;
        sender_plan(sender, random_between(r, AGAIN_US_LEAST, AGAIN_US_MOST), &style, again, count);
    }
    session_free(s);
}

static void on_gone(void *context)
{
    session_end(context);
}

/* Replies. ---------------------------------------------------------------------------------------
 */

static void on_rcpt_reply(struct session *s, const struct expected *e, int code)
{
    struct parcel *p = parcel_of(s, e->message);
    struct addressee *a = &p->addressees[e->addressee];
    a->rcpt_code = code;
    if (code / 100 == 2 && p->is_stranger && !a->is_ours)
        ledger_break(s->sender->ledger, "a stranger may relay to %s", a->address);
    if (code / 100 == 2 && a->is_unknown)
        ledger_break(s->sender->ledger, "%s is nobody, and was accepted", a->address);
    if (code == 550 && a->is_ours && !a->is_unknown)
        ledger_break(s->sender->ledger, "%s is there, and was refused", a->address);
    if (e->message == s->message) {
        s->taken += code / 100 == 2;
        s->refused += code / 100 == 5;
    }
}

/* "250 2.0.0 accepted as ID" */
static void take_id(struct parcel *p, struct span line)
{
    size_t at = line.len;
    while (at > 0 && line.data[at - 1] != ' ')
        at--;
    struct span id = span_skip(line, at);
    if (id.len < sizeof p->id)
        memcpy(p->id, id.data, id.len);
}

static void on_content_reply(struct session *s, const struct expected *e, int code,
                             struct span line)
{
    struct ledger *l = s->sender->ledger;
    struct parcel *p = parcel_of(s, e->message);
    p->is_whole_sent = true;
    p->is_settled = true;
    p->content_code = code;
    if (code / 100 != 2)
        return;
    p->accepted_us = sim_now_us(l->sim);
    take_id(p, line);
    ledger_trace(l, "client: parcel %u is accepted as %s", p->number, p->id);
    bool any = false;
    for (uint32_t i = 0; i < p->said_count; i++)
        any = any || p->addressees[i].rcpt_code / 100 == 2;
    if (!any)
        ledger_break(l, "parcel %u was answered 250 without a recipient", p->number);
}

/* It, or all its recipients, were refused for good: it is over with this one. */
static void give_up_message(struct session *s)
{
    struct parcel *p = parcel_of(s, s->message);
    bool all = s->mail_code / 100 == 2 && s->refused == p->said_count;
    if (all || s->mail_code / 100 == 5)
        p->is_settled = true;
}

static void next_message(struct session *s)
{
    s->message++;
    s->stage = STAGE_NEXT;
}

/* A whole message is behind us. */
static void message_is_put(struct session *s)
{
    s->end_at[s->message] = wire_put_bytes(s->wire);
    next_message(s);
    if (!s->style.vanishes_at_dot)
        return;
    struct random *r = sim_random(s->sender->ledger->sim);
    wire_vanish(s->wire, random_chance(r, 500000) ? VANISH_CLOSE : VANISH_RESET);
    s->stage = STAGE_SILENT;
}

static void on_data_reply(struct session *s, int code)
{
    if (s->stage != STAGE_AFTER_354)
        return;
    if (code == 354)
        return; /* proceed goes on */
    give_up_message(s);
    next_message(s);
}

/* False: the session is over. */
static bool on_reply(struct session *s, int code, struct span line)
{
    if (code == 421 || s->expected_count == 0)
        return false;
    struct expected e = s->expected[s->expected_first];
    s->expected_first = (s->expected_first + 1) % EXPECTED_MAX;
    s->expected_count--;
    switch (e.command) {
    case COMMAND_GREETING:
    case COMMAND_HELLO:
        return code / 100 == 2;
    case COMMAND_MAIL:
        if (e.message == s->message)
            s->mail_code = code;
        return true;
    case COMMAND_RCPT:
        on_rcpt_reply(s, &e, code);
        return true;
    case COMMAND_DATA:
        on_data_reply(s, code);
        return true;
    case COMMAND_CHUNK:
        return code / 100 != 4 || s->style.is_pipelined;
    case COMMAND_CONTENT:
        on_content_reply(s, &e, code, line);
        return true;
    case COMMAND_RSET:
        return true;
    case COMMAND_QUIT:
        return false;
    }
    return false;
}

static void on_input(void *context)
{
    struct session *s = context;
    struct span line;
    while (wire_line(s->wire, &line)) {
        uint64_t code;
        if (line.len < 3 || !span_parse_u64(span_sub(line, 0, 3), 999, &code)) {
            ledger_break(s->sender->ledger, "the engine's reply is none: \"%.*s\"",
                         SPAN_PRINT(line));
            session_end(s);
            return;
        }
        if (line.len > 3 && line.data[3] == '-')
            continue;
        if (!on_reply(s, (int)code, line)) {
            session_end(s);
            return;
        }
    }
    proceed(s);
}

static const struct wire_events wire_events = {.on_input = on_input, .on_gone = on_gone};

/* Commands. --------------------------------------------------------------------------------------
 */

__attribute__((format(printf, 3, 4))) static void say(struct session *s, enum command command,
                                                      const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    check(len > 0 && (size_t)len < sizeof line);
    expect(s, command);
    wire_put_text(s->wire, line);
}

/* A transaction of which every recipient is refused is still open. */
static void leave_behind(struct session *s, const struct parcel *before)
{
    bool is_open = true;
    for (uint32_t i = 0; i < before->said_count; i++)
        is_open = is_open && (before->is_stranger || before->addressees[i].is_unknown);
    if (is_open)
        say(s, COMMAND_RSET, "RSET\r\n");
}

static void say_mail(struct session *s)
{
    struct parcel *p = parcel_of(s, s->message);
    if (s->message > 0)
        leave_behind(s, parcel_of(s, s->message - 1));
    s->taken = s->refused = 0;
    s->mail_code = 0;
    s->addressee = 0;
    s->chunk_at = 0;
    p->begun_us = sim_now_us(s->sender->ledger->sim);
    p->by_bdat = s->style.by_bdat;
    for (uint32_t i = 0; i < p->said_count; i++)
        p->addressees[i].rcpt_code = 0;
    struct buffer wishes;
    buffer_init(&wishes, 256);
    if (p->is_8bit && !s->style.says_helo)
        (void)buffer_put_text(&wishes, " BODY=8BITMIME");
    ledger_put_mail_wishes(p, &wishes);
    say(s, COMMAND_MAIL, "MAIL FROM:<%s>%.*s\r\n", p->sender, SPAN_PRINT(buffer_span(&wishes)));
    buffer_fini(&wishes);
    s->stage = STAGE_RCPT;
}

static void say_rcpt(struct session *s)
{
    struct parcel *p = parcel_of(s, s->message);
    const struct addressee *a = &p->addressees[s->addressee];
    struct buffer wishes;
    buffer_init(&wishes, 256);
    ledger_put_rcpt_wishes(p, a, &wishes);
    say(s, COMMAND_RCPT, "RCPT TO:<%s>%.*s\r\n", a->address, SPAN_PRINT(buffer_span(&wishes)));
    buffer_fini(&wishes);
    if (++s->addressee == p->said_count)
        s->stage = s->style.by_bdat ? STAGE_CHUNKS : STAGE_DATA;
}

/* Lines that begin with a dot get another one. */
static void put_dotted(struct wire *w, struct span content)
{
    struct buffer out;
    buffer_init(&out, 16u * 1024 * 1024);
    size_t from = 0;
    while (from < content.len) {
        size_t stop = span_find_byte(content, '\n', from);
        stop = stop < content.len ? stop + 1 : stop;
        if (content.data[from] == '.')
            (void)buffer_put_u8(&out, '.');
        (void)buffer_put(&out, span_sub(content, from, stop - from));
        from = stop;
    }
    wire_put(w, buffer_span(&out));
    buffer_fini(&out);
}

static void say_content(struct session *s)
{
    struct parcel *p = parcel_of(s, s->message);
    put_dotted(s->wire, buffer_span(&p->content));
    expect(s, COMMAND_CONTENT);
    wire_put_text(s->wire, ".\r\n");
    message_is_put(s);
}

static void say_abort(struct session *s)
{
    s->is_aborting = false;
    say(s, COMMAND_RSET, "RSET\r\n");
    s->stage = STAGE_NEXT;
}

static void say_chunk(struct session *s)
{
    struct parcel *p = parcel_of(s, s->message);
    char line[64];
    size_t left = p->content.len - s->chunk_at;
    size_t n = left < s->style.chunk_bytes ? left : s->style.chunk_bytes;
    bool is_last = n == left && !s->is_aborting;
    expect(s, is_last ? COMMAND_CONTENT : COMMAND_CHUNK);
    (void)snprintf(line, sizeof line, "BDAT %zu%s\r\n", n, is_last ? " LAST" : "");
    wire_put_text(s->wire, line);
    wire_put(s->wire, span_of(p->content.data + s->chunk_at, n));
    s->chunk_at += n;
    if (is_last) {
        message_is_put(s);
    } else if (s->is_aborting) {
        say_abort(s);
    }
}

static void say_next(struct session *s)
{
    while (s->message < s->count && parcel_of(s, s->message)->is_settled)
        s->message++;
    if (s->message == s->count) {
        s->stage = STAGE_QUIT;
        return;
    }
    s->is_aborting = s->style.aborts > 0;
    s->style.aborts -= s->is_aborting;
    say_mail(s);
}

static void say_quit(struct session *s)
{
    if (s->style.leaves_politely)
        say(s, COMMAND_QUIT, "QUIT\r\n");
    else
        wire_close_when_sent(s->wire);
    s->stage = STAGE_SILENT;
}

/* Before the content: is there anybody to send it to? */
static bool is_wanted(struct session *s)
{
    if (s->taken > 0)
        return true;
    give_up_message(s);
    s->is_aborting = false;
    say(s, COMMAND_RSET, "RSET\r\n");
    next_message(s);
    return false;
}

/* Says one thing; false: it has to wait. */
static bool say_something(struct session *s)
{
    bool may = is_answered(s) || s->style.is_pipelined;
    switch (s->stage) {
    case STAGE_HELLO:
        if (!is_answered(s))
            return false;
        say(s, COMMAND_HELLO, s->style.says_helo ? "HELO %s\r\n" : "EHLO %s\r\n", "client.test");
        s->stage = STAGE_NEXT;
        return true;
    case STAGE_NEXT:
        /* What EHLO says must be known before anything is pipelined. */
        if (!may ||
            (s->expected_count > 0 && s->expected[s->expected_first].command == COMMAND_HELLO))
            return false;
        say_next(s);
        return true;
    case STAGE_RCPT:
        if (!may)
            return false;
        if (is_answered(s) && s->mail_code / 100 != 2) {
            give_up_message(s);
            next_message(s);
        } else {
            say_rcpt(s);
        }
        return true;
    case STAGE_DATA:
        if (!may || (!s->style.is_pipelined && !is_wanted(s)))
            return may;
        if (s->is_aborting) {
            say_abort(s);
            return true;
        }
        say(s, COMMAND_DATA, "DATA\r\n");
        s->stage = STAGE_AFTER_354;
        return true;
    case STAGE_AFTER_354:
        if (!is_answered(s))
            return false;
        say_content(s);
        return true;
    case STAGE_CHUNKS:
        if (!may || (s->chunk_at == 0 && !s->style.is_pipelined && !is_wanted(s)))
            return may;
        say_chunk(s);
        return true;
    case STAGE_QUIT:
        if (!is_answered(s))
            return false;
        say_quit(s);
        return true;
    case STAGE_SILENT:
        return false;
    }
    return false;
}

static void proceed(struct session *s)
{
    while (say_something(s))
        ;
}

/* Beginning. -------------------------------------------------------------------------------------
 */

static void on_begin(void *context)
{
    struct session *s = context;
    struct sender *sender = s->sender;
    struct endpoint any = {0};
    if (sender->is_calm) {
        s->style.habits = (struct wire_habits){0};
        s->style.aborts = 0;
        s->style.vanishes_at_dot = false;
    }
    s->style.habits.silence_us_max = PATIENCE_US;
    s->wire = wire_connect(sender->loop, sender->server, any, &s->style.habits, &wire_events, s);
    if (s->wire == NULL) {
        session_end(s);
        return;
    }
    expect(s, COMMAND_GREETING);
}

void sender_plan(struct sender *s, int64_t after_us, const struct sender_style *style,
                 const uint32_t *parcels, uint32_t count)
{
    check(count > 0 && count <= SENDER_MESSAGES_MAX);
    struct session *session = calloc(1, sizeof *session);
    check(session != NULL);
    session->sender = s;
    session->style = *style;
    session->count = count;
    memcpy(session->parcels, parcels, count * sizeof *parcels);
    timer_init(&session->timer, on_begin, session);
    list_append(&s->sessions, &session->node);
    enum fault fault = timer_set(s->loop, &session->timer, loop_mono_us(s->loop) + after_us);
    check(fault == FAULT_NONE);
}

static bool turn(void *context)
{
    struct sender *s = context;
    loop_poll(s->loop, true);
    return true;
}

struct sender *sender_new(struct machine *m, struct ledger *l, struct endpoint server)
{
    struct sender *s = calloc(1, sizeof *s);
    check(s != NULL);
    s->machine = m;
    s->ledger = l;
    s->server = server;
    list_init(&s->sessions);
    s->life = life_begin(m);
    enum fault fault = loop_new(s->life, &s->loop);
    check(fault == FAULT_NONE);
    fault = thread_start(s->life, "sender", s->loop, turn, s, &s->thread);
    check(fault == FAULT_NONE);
    return s;
}

void sender_free(struct sender *s)
{
    thread_join(s->thread);
    list_each(node, &s->sessions) session_free(container_of(node, struct session, node));
    loop_free(s->loop);
    life_end(s->life);
    free(s);
}

bool sender_is_idle(const struct sender *s)
{
    return list_empty(&s->sessions);
}

void sender_calm(struct sender *s)
{
    s->is_calm = true;
}
