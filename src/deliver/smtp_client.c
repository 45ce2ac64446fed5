/*
 * smtp_client: see smtp_client.h.
 */
#include "deliver/smtp_client.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "mail/address.h"
#include "smtp/reply.h"

#define COMMAND_MAX 512 /* RFC 5321 4.5.3.1.4; the longest of ours is MAIL with about 330 bytes */

/*
 * The commands of a transaction are steps: RSET, MAIL, a RCPT for each recipient, DATA. `put` is
 * the next one to be written, `awaited` the oldest without a reply; put >= awaited, and both
 * leave out recipients that were decided at the beginning.
 */
#define STEP_RSET 0u
#define STEP_MAIL 1u
#define STEP_RCPT 2u

struct client {
    const struct client_limits *limits;
    const char *hostname;
    enum client_phase phase;
    uint64_t progress;
    struct reply_reader replies;
    struct buffer output;
    struct extensions extensions;
    bool is_esmtp;
    bool wishes_tls, is_secure;
    bool is_open; /* the server holds a transaction that RSET or a final dot has to end */
    uint32_t transactions;

    bool has_transaction; /* from client_begin until RESULT was given */
    bool result_ready;
    bool content_wanted; /* CONTENT is still to be given */
    bool lone_dot;       /* DOT: nobody was taken, the content is empty */
    struct client_transaction transaction;
    uint32_t put, awaited;
    uint32_t taken;             /* RCPTs with a 2xx */
    uint32_t answers;           /* replies that brought this transaction forward */
    struct client_result whole; /* for everybody who has nothing of his own, once decided */
    struct buffer whole_text;
    struct arena texts; /* of RCPT replies */
    struct span last_text;

    struct client_outcome outcome;
    struct buffer trouble_text;
};

/* moves[from] has a bit for every phase that may follow. */
#define BIT(phase) (1u << CLIENT_##phase)
static const uint16_t moves[] = {
    [CLIENT_GREETING] = BIT(EHLO) | BIT(QUIT) | BIT(CLOSED),
    [CLIENT_EHLO] = BIT(HELO) | BIT(STARTTLS) | BIT(IDLE) | BIT(QUIT) | BIT(CLOSED),
    [CLIENT_HELO] = BIT(IDLE) | BIT(QUIT) | BIT(CLOSED),
    [CLIENT_STARTTLS] = BIT(SECURING) | BIT(IDLE) | BIT(CLOSED),
    [CLIENT_SECURING] = BIT(EHLO) | BIT(CLOSED),
    [CLIENT_IDLE] = BIT(RSET) | BIT(MAIL) | BIT(QUIT) | BIT(CLOSED),
    [CLIENT_RSET] = BIT(MAIL) | BIT(CLOSED),
    [CLIENT_MAIL] = BIT(RCPT) | BIT(IDLE) | BIT(CLOSED),
    [CLIENT_RCPT] = BIT(RCPT) | BIT(DATA) | BIT(IDLE) | BIT(CLOSED),
    [CLIENT_DATA] = BIT(CONTENT) | BIT(DOT) | BIT(IDLE) | BIT(CLOSED),
    [CLIENT_CONTENT] = BIT(DOT) | BIT(CLOSED),
    [CLIENT_DOT] = BIT(IDLE) | BIT(CLOSED),
    [CLIENT_QUIT] = BIT(CLOSED),
    [CLIENT_CLOSED] = 0,
};

static void client_enter(struct client *c, enum client_phase next)
{
    check((moves[c->phase] & (1u << next)) != 0);
    c->phase = next;
    c->progress++;
}

struct client *client_new(const struct client_limits *limits, const char *hostname)
{
    struct client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->limits = limits;
    c->hostname = hostname;
    c->phase = CLIENT_GREETING;
    reply_reader_init(&c->replies);
    buffer_init(&c->output, CLIENT_OUTPUT_MAX);
    buffer_init(&c->whole_text, REPLY_TEXT_MAX);
    buffer_init(&c->trouble_text, REPLY_TEXT_MAX);
    arena_init(&c->texts, CLIENT_TEXT_BYTES_MAX);
    return c;
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    reply_reader_fini(&c->replies);
    buffer_fini(&c->output);
    buffer_fini(&c->whole_text);
    buffer_fini(&c->trouble_text);
    arena_fini(&c->texts);
    free(c);
}

/* Results ----------------------------------------------------------------------------------- */

/* Short memory costs the text, nothing more. */
static struct span keep(struct buffer *b, struct span text)
{
    buffer_reset(b);
    (void)buffer_put(b, text);
    return buffer_span(b);
}

static void decide_whole(struct client *c, struct client_result r)
{
    if (client_result_is_final(&c->whole))
        return;
    r.text = keep(&c->whole_text, r.text);
    c->whole = r;
}

/* Most servers refuse a thousand recipients with one and the same text. */
static struct span keep_rcpt_text(struct client *c, struct span text)
{
    if (!span_equal(text, c->last_text)) {
        struct span copy = arena_copy(&c->texts, text);
        if (copy.data == NULL)
            return (struct span){NULL, 0};
        c->last_text = copy;
    }
    return c->last_text;
}

static void finish(struct client *c)
{
    check(c->has_transaction && !c->result_ready);
    for (uint32_t i = 0; i < c->transaction.recipient_count; i++) {
        struct client_result *r = &c->transaction.recipients[i].result;
        if (client_result_is_final(r))
            continue;
        check(client_result_is_final(&c->whole));
        *r = c->whole;
    }
    c->result_ready = true;
}

/* The end of the connection ------------------------------------------------------------ */

/* Others are ours: they prove nothing about the host. */
static bool is_of_host(enum fault fault)
{
    return fault == FAULT_NONE || fault == FAULT_PROTOCOL || fault == FAULT_TIMEOUT ||
           fault == FAULT_CONNECTION_LOST || fault == FAULT_UNREACHABLE ||
           fault == FAULT_CONNECT_TIMEOUT || fault == FAULT_CONNECT_REFUSED;
}

/* No further transaction here; the one under way is over. `next` is QUIT or CLOSED. */
static void end_connection(struct client *c, struct client_result why, enum client_phase next)
{
    bool under_way = c->has_transaction && !c->result_ready;
    bool ready = c->phase >= CLIENT_IDLE; /* phases are in the order of a conversation */
    why.text = keep(&c->trouble_text, why.text);
    c->outcome.trouble = why;
    c->outcome.is_stale =
        under_way && ready && c->transactions > 1 && c->answers == 0 && is_of_host(why.fault);
    c->outcome.is_host_trouble =
        is_of_host(why.fault) && (under_way || !ready) && !c->outcome.is_stale;
    c->outcome.in_doubt =
        under_way && c->phase == CLIENT_DOT && !c->lone_dot && why.fault != FAULT_NONE;
    client_enter(c, next);
    if (next == CLIENT_CLOSED)
        buffer_free_memory(&c->output);
    if (!under_way)
        return;
    decide_whole(c, why);
    finish(c);
}

static void close_by_fault(struct client *c, enum fault fault)
{
    end_connection(c, client_result_of_fault(c->phase, CLIENT_DEFERRED, fault), CLIENT_CLOSED);
}

static void close_by_nonsense(struct client *c, const struct reply *reply)
{
    end_connection(c, client_result_of_nonsense(c->phase, reply), CLIENT_CLOSED);
}

/* RFC 5321 3.1: the greeting (or EHLO) was refused; QUIT is all that may follow. */
static void refused_by_host(struct client *c, const struct reply *reply)
{
    struct client_result why = client_result_deferred(client_result_of_reply(c->phase, reply));
    (void)buffer_put_text(&c->output, "QUIT\r\n");
    end_connection(c, why, CLIENT_QUIT);
}

void client_lost(struct client *c, enum fault fault)
{
    check(fault != FAULT_NONE);
    if (c->phase == CLIENT_QUIT)
        client_enter(c, CLIENT_CLOSED);
    else if (c->phase != CLIENT_CLOSED)
        close_by_fault(c, fault);
}

void client_quit(struct client *c)
{
    check(!c->has_transaction);
    if (c->phase == CLIENT_IDLE) {
        (void)buffer_put_text(&c->output, "QUIT\r\n");
        client_enter(c, CLIENT_QUIT);
    } else if (c->phase != CLIENT_QUIT && c->phase != CLIENT_CLOSED) {
        client_enter(c, CLIENT_CLOSED);
    }
}

/* Commands of a transaction ------------------------------------------------------------ */

static uint32_t step_data(const struct client *c)
{
    return STEP_RCPT + c->transaction.recipient_count;
}

static uint32_t step_after(const struct client *c, uint32_t step)
{
    step++;
    while (step >= STEP_RCPT && step < step_data(c) &&
           c->transaction.recipients[step - STEP_RCPT].result.verdict != CLIENT_UNDECIDED)
        step++;
    return step;
}

static enum client_phase phase_of_step(const struct client *c, uint32_t step)
{
    check(step <= step_data(c));
    if (step == STEP_RSET)
        return CLIENT_RSET;
    if (step == STEP_MAIL)
        return CLIENT_MAIL;
    return step < step_data(c) ? CLIENT_RCPT : CLIENT_DATA;
}

/* A failing put leaves the output marked as full: client_step sees it. */
static void put_path(struct client *c, const char *verb, struct span path)
{
    (void)buffer_put_text(&c->output, verb);
    (void)buffer_put(&c->output, path);
    (void)buffer_put_text(&c->output, ">");
}

static void put_mail(struct client *c)
{
    const struct client_transaction *t = &c->transaction;
    put_path(c, "MAIL FROM:<", t->reverse_path);
    if (c->extensions.size)
        (void)buffer_printf(&c->output, " SIZE=%llu", (unsigned long long)t->content_bytes);
    if (c->extensions.eight_bit_mime && t->is_8bitmime)
        (void)buffer_put_text(&c->output, " BODY=8BITMIME");
    (void)buffer_put_text(&c->output, "\r\n");
}

static void put_step(struct client *c, uint32_t step)
{
    if (step == STEP_RSET) {
        (void)buffer_put_text(&c->output, "RSET\r\n");
    } else if (step == STEP_MAIL) {
        put_mail(c);
    } else if (step < step_data(c)) {
        put_path(c, "RCPT TO:<", c->transaction.recipients[step - STEP_RCPT].path);
        (void)buffer_put_text(&c->output, "\r\n");
    } else {
        (void)buffer_put_text(&c->output, "DATA\r\n");
    }
}

/* RFC 2920 3.1: all in one go when the server has said PIPELINING; DATA ends such a group. */
static bool may_put(const struct client *c)
{
    if (c->put > step_data(c) || client_result_is_final(&c->whole))
        return false;
    if (!c->extensions.pipelining && c->put != c->awaited)
        return false;
    return c->output.len + COMMAND_MAX <= CLIENT_OUTPUT_MAX && !c->output.full;
}

static void put_commands(struct client *c)
{
    while (may_put(c)) {
        put_step(c, c->put);
        c->put = step_after(c, c->put);
    }
}

/* The oldest command has its reply. The transaction is over when no other is under way and there
 * is nobody left to send to. */
static void advance(struct client *c)
{
    c->answers++;
    c->awaited = step_after(c, c->awaited);
    bool nobody_left =
        client_result_is_final(&c->whole) || (c->awaited == step_data(c) && c->taken == 0);
    if (c->awaited == c->put && nobody_left) {
        client_enter(c, CLIENT_IDLE);
        finish(c);
        return;
    }
    put_commands(c);
    client_enter(c, phase_of_step(c, c->awaited));
}

/* What would end or split a command line must never come out of an envelope, however it got
   there. */
static bool is_sendable(struct span path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] < ' ' || path.data[i] == 127)
            return false;
    }
    return path.len <= ADDRESS_MAX;
}

/* In place of the server's answer to MAIL or RCPT. */
static struct client_result refused_by_us(enum fault fault)
{
    return client_result_of_fault(CLIENT_MAIL, CLIENT_FAILED, fault);
}

static bool is_too_big(const struct client *c)
{
    const struct extensions *e = &c->extensions;
    return e->size && e->size_max > 0 && c->transaction.content_bytes > e->size_max;
}

/* In IDLE. Refuses by itself what the server would refuse (RFC 1870 5). */
static void start(struct client *c)
{
    if (is_too_big(c))
        decide_whole(c, refused_by_us(FAULT_TOO_BIG));
    else if (!is_sendable(c->transaction.reverse_path))
        decide_whole(c, refused_by_us(FAULT_SYNTAX));
    bool nobody_left = step_after(c, STEP_MAIL) == step_data(c);
    if (nobody_left || client_result_is_final(&c->whole)) {
        finish(c);
        return;
    }
    c->put = c->awaited = c->is_open ? STEP_RSET : STEP_MAIL;
    put_commands(c);
    client_enter(c, phase_of_step(c, c->awaited));
}

/* On a connection that has ended meanwhile. */
static void finish_at_once(struct client *c)
{
    struct client_result why = c->outcome.trouble;
    if (!client_result_is_final(&why))
        why = client_result_of_fault(c->phase, CLIENT_DEFERRED, FAULT_CONNECTION_LOST);
    decide_whole(c, client_result_deferred(why));
    c->outcome.is_stale = !c->outcome.is_host_trouble && is_of_host(why.fault);
    c->outcome.in_doubt = false;
    finish(c);
}

static void forget_transaction(struct client *c)
{
    c->put = c->awaited = STEP_MAIL;
    c->taken = c->answers = 0;
    c->lone_dot = c->content_wanted = false;
    c->whole = (struct client_result){.verdict = CLIENT_UNDECIDED};
    buffer_reset(&c->whole_text);
    arena_reset(&c->texts);
    c->last_text = (struct span){NULL, 0};
}

void client_begin(struct client *c, const struct client_transaction *t)
{
    check(!c->has_transaction && t->recipient_count > 0 && t->recipient_count < UINT32_MAX / 2);
    forget_transaction(c);
    c->transaction = *t;
    c->has_transaction = true;
    c->transactions++;
    for (uint32_t i = 0; i < t->recipient_count; i++) {
        struct client_recipient *r = &t->recipients[i];
        r->result = is_sendable(r->path) ? (struct client_result){.verdict = CLIENT_UNDECIDED}
                                         : refused_by_us(FAULT_SYNTAX);
    }
    if (c->phase == CLIENT_QUIT || c->phase == CLIENT_CLOSED) {
        finish_at_once(c);
        return;
    }
    c->outcome = (struct client_outcome){.trouble = {.verdict = CLIENT_UNDECIDED}};
    if (c->phase == CLIENT_IDLE)
        start(c);
}

/* Replies ------------------------------------------------------------------------------------- */

static void on_greeting(struct client *c, const struct reply *reply)
{
    int class = reply->code / 100;
    if (class == 2) {
        (void)buffer_printf(&c->output, "EHLO %s\r\n", c->hostname);
        client_enter(c, CLIENT_EHLO);
    } else if (class == 4 || class == 5) {
        refused_by_host(c, reply);
    } else {
        close_by_nonsense(c, reply);
    }
}

static void on_hello(struct client *c, const struct reply *reply)
{
    int class = reply->code / 100;
    bool was_ehlo = c->phase == CLIENT_EHLO;
    if (class != 2)
        c->extensions = (struct extensions){.size_max = 0};
    if (class == 2 && was_ehlo && c->wishes_tls && c->extensions.starttls && !c->is_secure) {
        (void)buffer_put_text(&c->output, "STARTTLS\r\n");
        client_enter(c, CLIENT_STARTTLS);
    } else if (class == 2) {
        c->is_esmtp = was_ehlo;
        client_enter(c, CLIENT_IDLE);
        if (c->has_transaction)
            start(c);
    } else if (class == 5 && was_ehlo) {
        /* RFC 5321 3.2: a server of RFC 821. */
        (void)buffer_printf(&c->output, "HELO %s\r\n", c->hostname);
        client_enter(c, CLIENT_HELO);
    } else if (class == 4 || class == 5) {
        refused_by_host(c, reply);
    } else {
        close_by_nonsense(c, reply);
    }
}

static void on_starttls(struct client *c, const struct reply *reply)
{
    int class = reply->code / 100;
    if (reply->code == 220) {
        client_enter(c, CLIENT_SECURING);
    } else if (class == 4 || class == 5) {
        c->is_esmtp = true;
        client_enter(c, CLIENT_IDLE);
        if (c->has_transaction)
            start(c);
    } else {
        close_by_nonsense(c, reply);
    }
}

static void on_rset(struct client *c, const struct reply *reply)
{
    if (reply->code / 100 != 2) {
        close_by_nonsense(c, reply);
        return;
    }
    c->is_open = false;
    advance(c);
}

static void on_mail(struct client *c, const struct reply *reply)
{
    struct client_result r = client_result_of_reply(c->phase, reply);
    if (r.fault != FAULT_NONE) {
        close_by_nonsense(c, reply);
        return;
    }
    if (r.verdict == CLIENT_DELIVERED)
        c->is_open = true;
    else
        decide_whole(c, r);
    advance(c);
}

/* Behind a refused MAIL the replies are only counted. */
static void on_rcpt(struct client *c, const struct reply *reply)
{
    struct client_result r = client_result_of_reply(c->phase, reply);
    struct client_result *kept = &c->transaction.recipients[c->awaited - STEP_RCPT].result;
    if (r.fault != FAULT_NONE) {
        close_by_nonsense(c, reply);
        return;
    }
    if (r.verdict == CLIENT_DELIVERED) {
        c->is_open = true;
        c->taken++;
        r.verdict = CLIENT_TAKEN;
        r.text = (struct span){NULL, 0};
    }
    if (reply->code == 552) /* RFC 5321 4.5.3.1.10: too many recipients, as RFC 821 wrote it */
        r = client_result_deferred(r);
    if (!client_result_is_final(&c->whole)) {
        r.text = keep_rcpt_text(c, r.text);
        *kept = r;
    }
    advance(c);
}

static void on_data(struct client *c, const struct reply *reply)
{
    int class = reply->code / 100;
    if (class == 4 || class == 5) {
        if (c->taken > 0)
            decide_whole(c, client_result_of_reply(c->phase, reply));
        client_enter(c, CLIENT_IDLE);
        finish(c);
    } else if (class != 3) {
        close_by_nonsense(c, reply);
    } else if (c->taken == 0) {
        /* RFC 2920 3.1: DATA was under way when the last recipient was refused; an empty message to
           nobody is the way out. */
        (void)buffer_put_text(&c->output, ".\r\n");
        c->lone_dot = true;
        client_enter(c, CLIENT_DOT);
    } else if (client_result_is_final(&c->whole)) {
        /* MAIL refused, RCPT and DATA taken: a dot would deliver an empty message. */
        close_by_nonsense(c, reply);
    } else {
        c->content_wanted = true;
        client_enter(c, CLIENT_CONTENT);
    }
}

/* A server that has heard enough (552 in mid data): its word counts, but what it makes of the rest
   of the content cannot be known. A 2xx before the end is no promise. */
static void on_early_reply(struct client *c, const struct reply *reply)
{
    struct client_result r = client_result_of_reply(c->phase, reply);
    if (r.verdict == CLIENT_DELIVERED || r.fault != FAULT_NONE) {
        close_by_nonsense(c, reply);
        return;
    }
    decide_whole(c, r);
    end_connection(c, r, CLIENT_CLOSED);
    c->outcome.is_host_trouble = false;
}

static void on_dot(struct client *c, const struct reply *reply)
{
    struct client_result r = client_result_of_reply(c->phase, reply);
    if (r.fault != FAULT_NONE) {
        close_by_nonsense(c, reply);
        return;
    }
    if (!c->lone_dot)
        decide_whole(c, r);
    c->is_open = false; /* RFC 5321 4.1.1.4: whatever the reply */
    client_enter(c, CLIENT_IDLE);
    finish(c);
}

static void on_reply(struct client *c, const struct reply *reply)
{
    c->progress++;
    if (reply->code == 421 && c->phase != CLIENT_QUIT) { /* RFC 5321 3.8: to any command */
        end_connection(c, client_result_of_reply(c->phase, reply), CLIENT_CLOSED);
        return;
    }
    switch (c->phase) {
    case CLIENT_GREETING:
        on_greeting(c, reply);
        break;
    case CLIENT_EHLO:
    case CLIENT_HELO:
        on_hello(c, reply);
        break;
    case CLIENT_STARTTLS:
        on_starttls(c, reply);
        break;
    case CLIENT_RSET:
        on_rset(c, reply);
        break;
    case CLIENT_MAIL:
        on_mail(c, reply);
        break;
    case CLIENT_RCPT:
        on_rcpt(c, reply);
        break;
    case CLIENT_DATA:
        on_data(c, reply);
        break;
    case CLIENT_CONTENT:
        on_early_reply(c, reply);
        break;
    case CLIENT_DOT:
        on_dot(c, reply);
        break;
    case CLIENT_IDLE: /* nobody asked */
        close_by_nonsense(c, reply);
        break;
    case CLIENT_QUIT:
        client_enter(c, CLIENT_CLOSED);
        break;
    case CLIENT_SECURING: /* no input is read */
    case CLIENT_CLOSED:
        check(false);
        break;
    }
}

/* False: no whole line has come. */
static bool take_line(struct client *c, struct span input, size_t *used_out)
{
    struct reply reply;
    switch (reply_read(&c->replies, input, used_out, &reply)) {
    case REPLY_MORE:
        return false;
    case REPLY_FAULT:
        client_lost(c, reply_reader_fault(&c->replies));
        return true;
    case REPLY_LINE:
        break;
    }
    if (c->phase == CLIENT_EHLO && !reply.is_first)
        extension_parse(&c->extensions, reply.line);
    if (reply.is_final)
        on_reply(c, &reply);
    return true;
}

/* Steps ------------------------------------------------------------------------------------- */

static bool in_envelope(const struct client *c)
{
    return c->phase >= CLIENT_RSET && c->phase <= CLIENT_DATA;
}

/* Something that is wanted before any more input. A reply is not read before there was room to
 * write its command. */
static bool wants_first(struct client *c, enum client_want *want_out)
{
    if (c->result_ready) {
        c->result_ready = c->has_transaction = false;
        *want_out = CLIENT_WANT_RESULT;
        return true;
    }
    if (c->phase == CLIENT_CLOSED) {
        *want_out = CLIENT_WANT_CLOSE;
        return true;
    }
    if (c->phase == CLIENT_SECURING) {
        *want_out = CLIENT_WANT_TLS;
        return true;
    }
    if (c->content_wanted && c->phase == CLIENT_CONTENT) {
        c->content_wanted = false;
        *want_out = CLIENT_WANT_CONTENT;
        return true;
    }
    *want_out = c->phase == CLIENT_IDLE ? CLIENT_WANT_IDLE : CLIENT_WANT_INPUT;
    if (!in_envelope(c) || c->put != c->awaited)
        return false;
    put_commands(c);
    return c->put == c->awaited && !c->output.full;
}

enum client_want client_step(struct client *c, struct span input, size_t *used_out)
{
    enum client_want want;
    bool more = true;
    *used_out = 0;
    while (more && !wants_first(c, &want)) {
        size_t used = 0;
        if (c->output.full)
            client_lost(c, FAULT_NO_MEMORY);
        else
            more = take_line(c, span_skip(input, *used_out), &used);
        *used_out += used;
    }
    /* Only when all that came is read, so that a refused MAIL stops the next window. */
    if (!more && in_envelope(c))
        put_commands(c);
    return want;
}

void client_wish_tls(struct client *c)
{
    check(c->phase == CLIENT_GREETING);
    c->wishes_tls = true;
}

void client_secured(struct client *c)
{
    check(c->phase == CLIENT_SECURING);
    c->is_secure = true;
    c->extensions = (struct extensions){.size_max = 0};
    reply_reader_fini(&c->replies);
    reply_reader_init(&c->replies);
    (void)buffer_printf(&c->output, "EHLO %s\r\n", c->hostname);
    client_enter(c, CLIENT_EHLO);
}

bool client_is_secure(const struct client *c)
{
    return c->is_secure;
}

bool client_content_end(struct client *c)
{
    if (c->phase != CLIENT_CONTENT)
        return false;
    check(!c->content_wanted);
    client_enter(c, CLIENT_DOT);
    return true;
}

/* What the owner asks ------------------------------------------------------------ */

struct buffer *client_output(struct client *c)
{
    return &c->output;
}

enum client_phase client_phase(const struct client *c)
{
    return c->phase;
}

int64_t client_timeout_ms(const struct client *c)
{
    switch (c->phase) {
    case CLIENT_GREETING:
        return c->limits->greeting_timeout_ms;
    case CLIENT_EHLO:
    case CLIENT_HELO:
    case CLIENT_STARTTLS:
    case CLIENT_SECURING:
        return c->limits->ehlo_timeout_ms;
    case CLIENT_RSET:
    case CLIENT_MAIL:
        return c->limits->mail_timeout_ms;
    case CLIENT_RCPT:
        return c->limits->rcpt_timeout_ms;
    case CLIENT_DATA:
        return c->limits->data_timeout_ms;
    case CLIENT_CONTENT:
        return c->limits->block_timeout_ms;
    case CLIENT_DOT:
        return c->limits->dot_timeout_ms;
    case CLIENT_QUIT:
        return c->limits->quit_timeout_ms;
    case CLIENT_IDLE:
    case CLIENT_CLOSED:
        break;
    }
    return -1;
}

uint64_t client_progress(const struct client *c)
{
    return c->progress;
}

const struct client_outcome *client_outcome(const struct client *c)
{
    return &c->outcome;
}

bool client_is_usable(const struct client *c)
{
    return c->phase == CLIENT_IDLE;
}

const struct extensions *client_extensions(const struct client *c)
{
    return &c->extensions;
}

bool client_is_esmtp(const struct client *c)
{
    return c->is_esmtp;
}
