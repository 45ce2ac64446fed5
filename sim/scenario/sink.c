/*
 * sink: see sink.h.
 */
#include "sim/scenario/sink.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/scenario/inspect.h"
#include "sim/scenario/wire.h"

#define SMTP_PORT      25
#define PATIENCE_US    (120 * SIM_SECOND)
#define DELAY_US_MAX   (40 * SIM_SECOND)
#define RECIPIENTS_MAX 64
#define CONTENT_MAX    (4u * 1024 * 1024)

struct sink {
    const struct town *town;
    uint32_t host;
    struct ledger *ledger;
    struct random random;
    struct world *life;
    struct loop *loop;
    struct thread *thread;
    struct socket *listener;
    enum sink_mode mode;
    uint32_t troubles;
    struct list conversations;
    uint32_t count;
};

enum phase {
    PHASE_GREETING,
    PHASE_HELLO,
    PHASE_MAIL,
    PHASE_RCPT,
    PHASE_DATA,
    PHASE_DOT,
    PHASE_REST
};

struct conversation {
    struct list node;
    struct sink *sink;
    struct wire *wire;
    struct timer timer; /* a reply that comes late */
    struct buffer late;
    bool is_late, is_mute, is_over;
    bool has_mail, is_content;
    size_t chunk_bytes;               /* of a BDAT: still to come */
    bool offers_dsn, offers_8bitmime; /* in the last reply to EHLO */
    char reverse_path[LEDGER_ADDRESS_MAX];
    struct buffer mail_line; /* the whole command */
    char recipients[RECIPIENTS_MAX][LEDGER_ADDRESS_MAX];
    uint32_t recipient_count;
    struct buffer content;
    struct handover *handover; /* said 250, and nothing has come since */
};

enum trouble {
    TROUBLE_NONE,
    TROUBLE_LATER,   /* 4xx */
    TROUBLE_NEVER,   /* 5xx */
    TROUBLE_CLOSING, /* 421 */
    TROUBLE_GARBAGE,
    TROUBLE_CLOSE,
    TROUBLE_RESET,
    TROUBLE_CUT, /* in the middle of the reply */
    TROUBLE_NOTHING,
    TROUBLE_LATE,
    TROUBLES
};

static void proceed(struct conversation *c);

/* Replies. ---------------------------------------------------------------------------------------
 */

static enum trouble draw_trouble(struct sink *s)
{
    if (s->mode == SINK_MUTE)
        return TROUBLE_NOTHING;
    if (s->mode < SINK_SULKY || !random_chance(&s->random, s->troubles))
        return TROUBLE_NONE;
    enum trouble t = (enum trouble)(1 + random_below(&s->random, TROUBLES - 1));
    return t == TROUBLE_NEVER && s->mode != SINK_HARSH ? TROUBLE_LATER : t;
}

static void on_late(void *context)
{
    struct conversation *c = context;
    c->is_late = false;
    wire_put(c->wire, buffer_span(&c->late));
    buffer_reset(&c->late);
    proceed(c);
}

static void reply_late(struct conversation *c, const char *text)
{
    struct sink *s = c->sink;
    int64_t at_us = loop_mono_us(s->loop) + random_between(&s->random, 0, DELAY_US_MAX);
    (void)buffer_put_text(&c->late, text);
    c->is_late = true;
    enum fault fault = timer_set(s->loop, &c->timer, at_us);
    check(fault == FAULT_NONE);
}

static void reply_cut(struct conversation *c, const char *text)
{
    struct random *r = &c->sink->random;
    struct span all = span_text(text);
    wire_put(c->wire, span_sub(all, 0, (size_t)random_below(r, all.len)));
    wire_vanish(c->wire, random_chance(r, 500000) ? VANISH_CLOSE : VANISH_RESET);
    c->is_over = true;
}

static void reply_garbage(struct conversation *c)
{
    static const char *const garbage[] = {"\r\n",         "hello\r\n",     "25\r\n",
                                          "999 what\r\n", "250-more\r\nx", "-\n"};
    struct random *r = &c->sink->random;
    wire_put_text(c->wire, garbage[random_below(r, sizeof garbage / sizeof garbage[0])]);
}

/* Says the text, or what the trouble makes of it. */
static void reply(struct conversation *c, enum trouble trouble, const char *text)
{
    switch (trouble) {
    case TROUBLE_NONE:
        wire_put_text(c->wire, text);
        break;
    case TROUBLE_LATER:
        wire_put_text(c->wire, "451 4.3.0 not now\r\n");
        break;
    case TROUBLE_NEVER:
        wire_put_text(c->wire, "554 5.3.0 never\r\n");
        break;
    case TROUBLE_CLOSING:
        wire_put_text(c->wire, "421 4.3.2 closing\r\n");
        wire_close_when_sent(c->wire);
        c->is_over = true;
        break;
    case TROUBLE_GARBAGE:
        reply_garbage(c);
        break;
    case TROUBLE_CLOSE:
        wire_vanish(c->wire, VANISH_CLOSE);
        c->is_over = true;
        break;
    case TROUBLE_RESET:
        wire_vanish(c->wire, VANISH_RESET);
        c->is_over = true;
        break;
    case TROUBLE_CUT:
        reply_cut(c, text);
        break;
    case TROUBLE_NOTHING:
        c->is_mute = true;
        break;
    case TROUBLE_LATE:
        reply_late(c, text);
        break;
    case TROUBLES:
        break;
    }
}

/* Is the normal reply, or something that may be read as it, on its way? */
static bool is_said(enum trouble t)
{
    return t == TROUBLE_NONE || t == TROUBLE_LATE;
}

/* Transactions. ----------------------------------------------------------------------------------
 */

static void reset(struct conversation *c)
{
    c->has_mail = false;
    c->recipient_count = 0;
    buffer_reset(&c->content);
}

/* "MAIL FROM:<path> …" */
static bool take_path(struct span line, char path_out[LEDGER_ADDRESS_MAX])
{
    size_t from = span_find_byte(line, '<', 0) + 1;
    size_t to = span_find_byte(line, '>', 0);
    if (to >= line.len || from > to || to - from >= LEDGER_ADDRESS_MAX)
        return false;
    memcpy(path_out, line.data + from, to - from);
    path_out[to - from] = '\0';
    return true;
}

static void refuse_all(struct conversation *c)
{
    for (uint32_t i = 0; i < c->recipient_count; i++)
        inspect_refused(c->sink->ledger, c->recipients[i]);
}

static void on_hello(struct conversation *c, bool is_ehlo)
{
    struct sink *s = c->sink;
    const struct host *h = &s->town->hosts[s->host];
    struct buffer text;
    buffer_init(&text, 1024);
    reset(c);
    if (!is_ehlo)
        (void)buffer_put_text(&text, "250 hello\r\n");
    else if (!h->knows_ehlo)
        (void)buffer_put_text(&text, "502 5.5.1 what\r\n");
    else
        (void)buffer_printf(
            &text, "250-%s\r\n%s%s%s%s%s250 HELP\r\n", h->name, h->has_dsn ? "250-DSN\r\n" : "",
            h->has_pipelining ? "250-PIPELINING\r\n" : "",
            h->has_chunking ? "250-CHUNKING\r\n" : "", h->has_size ? "250-SIZE 10000000\r\n" : "",
            h->has_8bitmime ? "250-8BITMIME\r\n" : "");
    (void)buffer_put_u8(&text, '\0');
    enum trouble t = draw_trouble(s);
    bool is_offered = is_ehlo && h->knows_ehlo && is_said(t);
    c->offers_dsn = is_offered && h->has_dsn;
    c->offers_8bitmime = is_offered && h->has_8bitmime;
    reply(c, t, (const char *)text.data);
    buffer_fini(&text);
}

/* Does the line have what its sender has asked for, when we can do that, and else nothing of it
   (RFC 3461 5.2.1, 5.2.2)? */
static void check_wishes(struct conversation *c, struct span line, struct buffer *wishes)
{
    struct sink *s = c->sink;
    struct span asked = buffer_span(wishes);
    bool has = span_find(line, asked, 0) < line.len || asked.len == 0;
    bool any = false;
    static const char *const names[] = {" RET=", " ENVID=", " NOTIFY=", " ORCPT="};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        any = any || span_find(line, span_text(names[i]), 0) < line.len;
    if (c->offers_dsn ? !has || any != (asked.len > 0) : any)
        ledger_break(s->ledger, "a server was told \"%.*s\", the client had said \"%.*s\"",
                     SPAN_PRINT(line), SPAN_PRINT(asked));
    buffer_fini(wishes);
}

/* Now it is known which parcel it is. */
static void check_parcel_wishes(struct conversation *c, struct span line, const struct parcel *p,
                                const struct addressee *a)
{
    struct buffer wishes;
    buffer_init(&wishes, 256);
    ledger_put_mail_wishes(p, &wishes);
    check_wishes(c, buffer_span(&c->mail_line), &wishes);
    buffer_init(&wishes, 256);
    ledger_put_rcpt_wishes(p, a, &wishes);
    check_wishes(c, line, &wishes);
}

static void on_mail(struct conversation *c, struct span line)
{
    struct sink *s = c->sink;
    enum trouble t = draw_trouble(s);
    reset(c);
    if (!take_path(line, c->reverse_path)) {
        ledger_break(s->ledger, "a server was told \"%.*s\"", SPAN_PRINT(line));
        return;
    }
    buffer_reset(&c->mail_line);
    check(buffer_put(&c->mail_line, line));
    if (t == TROUBLE_NEVER && !inspect_refused_sender(s->ledger, c->reverse_path))
        t = TROUBLE_LATER;
    c->has_mail = is_said(t);
    reply(c, t, "250 2.1.0 ok\r\n");
}

static void on_rcpt(struct conversation *c, struct span line)
{
    struct sink *s = c->sink;
    enum trouble t = draw_trouble(s);
    struct parcel *p;
    struct addressee *a;
    if (!c->has_mail || c->recipient_count == RECIPIENTS_MAX) {
        reply(c, t, c->has_mail ? "452 4.5.3 too many\r\n" : "503 5.5.1 MAIL first\r\n");
        return;
    }
    char *path = c->recipients[c->recipient_count];
    if (!take_path(line, path)) {
        ledger_break(s->ledger, "a server was told \"%.*s\"", SPAN_PRINT(line));
        return;
    }
    if (ledger_find(s->ledger, span_text(path), &p, &a)) {
        check_parcel_wishes(c, line, p, a);
        enum opinion o = town_of_addressee(s->town, p, (uint32_t)(a - p->addressees));
        if (o == OPINION_NEVER && is_said(t)) {
            inspect_refused(s->ledger, path);
            reply(c, t, "550 5.1.1 unknown\r\n");
            return;
        }
        if (o == OPINION_LATER && is_said(t))
            t = TROUBLE_LATER;
    }
    if (t == TROUBLE_NEVER)
        inspect_refused(s->ledger, path);
    c->recipient_count += is_said(t);
    reply(c, t, "250 2.1.5 ok\r\n");
}

static void on_data(struct conversation *c)
{
    enum trouble t = draw_trouble(c->sink);
    if (c->recipient_count == 0) {
        reply(c, t, "503 5.5.1 RCPT first\r\n");
        return;
    }
    if (t == TROUBLE_NEVER)
        refuse_all(c);
    c->is_content = is_said(t);
    reply(c, t, "354 go on\r\n");
}

/* "BDAT n LAST", for recipients that were taken and by who was told that it may. */
static void on_bdat(struct conversation *c, struct span line)
{
    const struct host *h = &c->sink->town->hosts[c->sink->host];
    struct span number, last = span_split(span_skip(line, 5), ' ', &number);
    uint64_t bytes = 0;
    if (!h->has_chunking || !h->knows_ehlo || c->recipient_count == 0 ||
        !span_equal(last, SPAN("LAST")) || !span_parse_u64(number, CONTENT_MAX, &bytes))
        ledger_break(c->sink->ledger, "a server was told \"%.*s\"", SPAN_PRINT(line));
    c->chunk_bytes = (size_t)bytes;
}

static struct inspection inspection_of(const struct conversation *c)
{
    struct inspection i = {.town = c->sink->town,
                           .ledger = c->sink->ledger,
                           .host = c->sink->host,
                           .reverse_path = c->reverse_path,
                           .recipients = c->recipients,
                           .recipient_count = c->recipient_count,
                           .content = buffer_span(&c->content),
                           .is_7bit = !c->offers_8bitmime};
    return i;
}

/* Whether it is kept is decided before anybody is told. */
static void on_content_end(struct conversation *c)
{
    struct sink *s = c->sink;
    enum trouble t = draw_trouble(s);
    struct inspection i = inspection_of(c);
    enum opinion o = inspect(&i);
    bool is_kept = is_said(t) || (t >= TROUBLE_GARBAGE && random_chance(&s->random, 500000));
    if (o != OPINION_TAKES && (is_kept || is_said(t))) {
        is_kept = false;
        t = o == OPINION_NEVER ? TROUBLE_NEVER : TROUBLE_LATER;
    }
    if (t == TROUBLE_NEVER)
        refuse_all(c);
    struct handover *h = is_kept ? inspect_take(&i) : NULL;
    reply(c, t, "250 2.0.0 taken\r\n");
    c->handover = is_said(t) ? h : NULL;
    reset(c);
}

/* Input. -----------------------------------------------------------------------------------------
 */

/* The lines of the content that have come, without the dots that were added. */
static void take_content(struct conversation *c)
{
    struct buffer *in = wire_input(c->wire);
    struct span all = buffer_span(in);
    size_t at = 0;
    while (c->is_content) {
        size_t stop = span_find_byte(all, '\n', at);
        if (stop == all.len)
            break;
        struct span line = span_sub(all, at, stop + 1 - at);
        at = stop + 1;
        if (span_equal(line, SPAN(".\r\n")))
            c->is_content = false;
        else if (!buffer_put(&c->content, span_skip(line, line.data[0] == '.')))
            check(false);
    }
    buffer_consume(in, at);
    if (!c->is_content)
        on_content_end(c);
}

static void take_chunk(struct conversation *c)
{
    struct buffer *in = wire_input(c->wire);
    struct span part = span_sub(buffer_span(in), 0, c->chunk_bytes);
    if (!buffer_put(&c->content, part))
        check(false);
    c->chunk_bytes -= part.len;
    buffer_consume(in, part.len);
    if (c->chunk_bytes == 0)
        on_content_end(c);
}

static void on_line(struct conversation *c, struct span line)
{
    struct sink *s = c->sink;
    if (span_starts_with_nocase(line, SPAN("EHLO ")) ||
        span_starts_with_nocase(line, SPAN("HELO "))) {
        on_hello(c, byte_lower(line.data[0]) == 'e');
    } else if (span_starts_with_nocase(line, SPAN("MAIL FROM:<"))) {
        on_mail(c, line);
    } else if (span_starts_with_nocase(line, SPAN("RCPT TO:<"))) {
        on_rcpt(c, line);
    } else if (span_equal_nocase(line, SPAN("DATA"))) {
        on_data(c);
    } else if (span_starts_with_nocase(line, SPAN("BDAT "))) {
        on_bdat(c, line);
    } else if (span_equal_nocase(line, SPAN("RSET"))) {
        reset(c);
        reply(c, draw_trouble(s), "250 2.0.0 ok\r\n");
    } else if (span_equal_nocase(line, SPAN("QUIT"))) {
        wire_put_text(c->wire, "221 2.0.0 bye\r\n");
        wire_close_when_sent(c->wire);
        c->is_over = true;
    } else {
        ledger_break(s->ledger, "a server was told \"%.*s\"", SPAN_PRINT(line));
    }
}

static bool is_waiting(const struct conversation *c)
{
    return c->is_late || c->is_mute || c->is_over;
}

static void proceed(struct conversation *c)
{
    struct span line;
    while (!is_waiting(c)) {
        if (c->chunk_bytes > 0) {
            take_chunk(c);
            if (c->chunk_bytes > 0)
                return;
        } else if (c->is_content) {
            take_content(c);
            if (c->is_content)
                return;
        } else if (wire_line(c->wire, &line)) {
            on_line(c, line);
        } else {
            return;
        }
    }
}

/* Whoever goes on has read the reply before. */
static void on_input(void *context)
{
    struct conversation *c = context;
    if (c->handover != NULL && !c->is_late)
        c->handover->confirmed_us = sim_now_us(c->sink->ledger->sim);
    if (!c->is_late)
        c->handover = NULL;
    proceed(c);
}

static void conversation_free(struct conversation *c)
{
    timer_cancel(c->sink->loop, &c->timer);
    wire_free(c->wire);
    buffer_fini(&c->late);
    buffer_fini(&c->content);
    buffer_fini(&c->mail_line);
    list_remove(&c->node);
    c->sink->count--;
    free(c);
}

static void on_gone(void *context)
{
    conversation_free(context);
}

static const struct wire_events wire_events = {.on_input = on_input, .on_gone = on_gone};

/* The machine. -----------------------------------------------------------------------------------
 */

static struct wire_habits draw_habits(struct sink *s)
{
    struct random *r = &s->random;
    struct wire_habits h = {.silence_us_max = PATIENCE_US};
    if (s->mode < SINK_SULKY)
        return h;
    if (random_chance(r, s->troubles / 2)) {
        h.vanish_at = 1 + random_below(r, 400);
        h.vanish = (enum vanish)random_below(r, VANISH_KINDS);
    }
    if (random_chance(r, 100000)) {
        h.piece_bytes_max = 1 + (size_t)random_below(r, 20);
        h.pause_us = random_between(r, 0, SIM_SECOND);
    }
    return h;
}

static void on_accept(void *context, struct socket *socket, struct endpoint peer)
{
    struct sink *s = context;
    (void)peer;
    struct conversation *c = calloc(1, sizeof *c);
    check(c != NULL);
    c->sink = s;
    buffer_init(&c->late, 4096);
    buffer_init(&c->content, CONTENT_MAX);
    buffer_init(&c->mail_line, 4096);
    timer_init(&c->timer, on_late, c);
    struct wire_habits habits = draw_habits(s);
    c->wire = wire_adopt(s->loop, socket, &habits, &wire_events, c);
    list_append(&s->conversations, &c->node);
    s->count++;
    reply(c, draw_trouble(s), "220 sink ready\r\n");
}

static const struct socket_events listener_events = {.on_accept = on_accept};

static void set_listening(struct sink *s, bool listens)
{
    if (listens && s->listener == NULL) {
        struct endpoint at = {.family = 4, .port = SMTP_PORT};
        enum fault fault = socket_listen(s->loop, at, &listener_events, s, &s->listener);
        check(fault == FAULT_NONE);
    } else if (!listens && s->listener != NULL) {
        socket_close(s->listener);
        s->listener = NULL;
    }
}

static bool turn(void *context)
{
    struct sink *s = context;
    loop_poll(s->loop, true);
    return true;
}

struct sink *sink_new(const struct town *t, uint32_t host, struct ledger *l, struct random *r)
{
    struct sink *s = calloc(1, sizeof *s);
    check(s != NULL);
    s->town = t;
    s->host = host;
    s->ledger = l;
    random_init(&s->random, random_next(r));
    list_init(&s->conversations);
    s->life = life_begin(t->hosts[host].machine);
    enum fault fault = loop_new(s->life, &s->loop);
    check(fault == FAULT_NONE);
    fault = thread_start(s->life, "sink", s->loop, turn, s, &s->thread);
    check(fault == FAULT_NONE);
    set_listening(s, true);
    return s;
}

void sink_free(struct sink *s)
{
    thread_join(s->thread);
    set_listening(s, false);
    list_each(node, &s->conversations)
        conversation_free(container_of(node, struct conversation, node));
    loop_free(s->loop);
    life_end(s->life);
    free(s);
}

/* Who has died has also dropped what it was doing; who is well again dawdles no more. */
void sink_enter(struct sink *s, enum sink_mode mode, uint32_t troubles)
{
    s->mode = mode;
    s->troubles = troubles;
    set_listening(s, mode != SINK_DEAD);
    list_each(node, &s->conversations)
    {
        struct conversation *c = container_of(node, struct conversation, node);
        if (mode == SINK_DEAD)
            conversation_free(c);
        else if (mode == SINK_WELL)
            wire_hurry(c->wire);
    }
}

uint32_t sink_connections(const struct sink *s)
{
    return s->count;
}
