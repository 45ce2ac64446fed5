/*
 * smtp_client: see smtp_client.h. The connection's half; the transaction's is smtp_transaction.c.
 */
#include "deliver/smtp_client.h"

#include <stdlib.h>

#include "deliver/smtp_client_inside.h"

/* moves[from] has a bit for every phase that may follow. */
#define BIT(phase) (1u << CLIENT_##phase)
static const uint16_t moves[] = {
    [CLIENT_GREETING] = BIT(EHLO) | BIT(QUIT) | BIT(CLOSED),
    [CLIENT_EHLO] = BIT(HELO) | BIT(STARTTLS) | BIT(IDLE) | BIT(QUIT) | BIT(CLOSED),
    [CLIENT_HELO] = BIT(IDLE) | BIT(QUIT) | BIT(CLOSED),
    [CLIENT_STARTTLS] = BIT(SECURING) | BIT(IDLE) | BIT(QUIT) | BIT(CLOSED),
    [CLIENT_SECURING] = BIT(EHLO) | BIT(CLOSED),
    [CLIENT_IDLE] = BIT(RSET) | BIT(MAIL) | BIT(QUIT) | BIT(CLOSED),
    [CLIENT_RSET] = BIT(MAIL) | BIT(CLOSED),
    [CLIENT_MAIL] = BIT(RCPT) | BIT(IDLE) | BIT(CLOSED),
    [CLIENT_RCPT] = BIT(RCPT) | BIT(DATA) | BIT(CONTENT) | BIT(IDLE) | BIT(CLOSED),
    [CLIENT_DATA] = BIT(CONTENT) | BIT(DOT) | BIT(IDLE) | BIT(CLOSED),
    [CLIENT_CONTENT] = BIT(DOT) | BIT(CLOSED),
    [CLIENT_DOT] = BIT(IDLE) | BIT(CLOSED),
    [CLIENT_QUIT] = BIT(CLOSED),
    [CLIENT_CLOSED] = 0,
};

void client_enter(struct client *c, enum client_phase next)
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

/* The end of the connection ------------------------------------------------------------ */

/* Short memory costs the text, nothing more. */
struct span client_keep_text(struct buffer *b, struct span text)
{
    buffer_reset(b);
    (void)buffer_put(b, text);
    return buffer_span(b);
}

/* Others are ours: they prove nothing about the host. */
bool client_is_fault_of_host(enum fault fault)
{
    return fault == FAULT_NONE || fault == FAULT_PROTOCOL || fault == FAULT_TIMEOUT ||
           fault == FAULT_CONNECTION_LOST || fault == FAULT_UNREACHABLE ||
           fault == FAULT_CONNECT_TIMEOUT || fault == FAULT_CONNECT_REFUSED ||
           fault == FAULT_NO_TLS || fault == FAULT_TLS_FAILED || fault == FAULT_UNVERIFIED;
}

/* No further transaction here; the one under way is over. `next` is QUIT or CLOSED. */
void client_end(struct client *c, struct client_result why, enum client_phase next)
{
    bool under_way = c->has_transaction && !c->result_ready;
    bool ready = c->phase >= CLIENT_IDLE; /* phases are in the order of a conversation */
    why.text = client_keep_text(&c->trouble_text, why.text);
    c->outcome.trouble = why;
    c->outcome.is_stale = under_way && ready && c->transactions > 1 && c->answers == 0 &&
                          client_is_fault_of_host(why.fault);
    c->outcome.is_host_trouble =
        client_is_fault_of_host(why.fault) && (under_way || !ready) && !c->outcome.is_stale;
    c->outcome.in_doubt =
        under_way && c->phase == CLIENT_DOT && !c->lone_dot && why.fault != FAULT_NONE;
    client_enter(c, next);
    if (next == CLIENT_CLOSED)
        buffer_free_memory(&c->output);
    if (!under_way)
        return;
    transaction_decide_whole(c, why);
    transaction_finish(c);
}

static void close_by_fault(struct client *c, enum fault fault)
{
    client_end(c, client_result_of_fault(c->phase, CLIENT_DEFERRED, fault), CLIENT_CLOSED);
}

void client_end_by_nonsense(struct client *c, const struct reply *reply)
{
    client_end(c, client_result_of_nonsense(c->phase, reply), CLIENT_CLOSED);
}

/* RFC 5321 3.1: the greeting (or EHLO) was refused; QUIT is all that may follow. */
static void refused_by_host(struct client *c, const struct reply *reply)
{
    struct client_result why = client_result_deferred(client_result_of_reply(c->phase, reply));
    (void)buffer_put_text(&c->output, "QUIT\r\n");
    client_end(c, why, CLIENT_QUIT);
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

/* Replies ------------------------------------------------------------------------------------- */

static void say_hello(struct client *c)
{
    (void)buffer_printf(&c->output, "%s %s\r\n", c->manner.is_lmtp ? "LHLO" : "EHLO", c->hostname);
    client_enter(c, CLIENT_EHLO);
}

static void on_greeting(struct client *c, const struct reply *reply)
{
    int class = reply->code / 100;
    if (class == 2)
        say_hello(c);
    else if (class == 4 || class == 5)
        refused_by_host(c, reply);
    else
        client_end_by_nonsense(c, reply);
}

/* It will be no better: only QUIT is said in clear. */
static void refuse_without_tls(struct client *c, const struct reply *reply)
{
    struct client_result why = client_result_of_fault(c->phase, CLIENT_DEFERRED, FAULT_NO_TLS);
    if (reply->code / 100 != 2) {
        why.code = reply->code;
        why.text = reply->text;
    }
    (void)buffer_put_text(&c->output, "QUIT\r\n");
    client_end(c, why, CLIENT_QUIT);
}

static void become_idle(struct client *c)
{
    client_enter(c, CLIENT_IDLE);
    if (c->has_transaction)
        transaction_start(c);
}

static void on_welcome(struct client *c, const struct reply *reply)
{
    c->is_esmtp = c->phase == CLIENT_EHLO;
    if (c->manner.wishes_tls && c->extensions.starttls && !c->is_secure) {
        (void)buffer_put_text(&c->output, "STARTTLS\r\n");
        client_enter(c, CLIENT_STARTTLS);
    } else if (c->manner.needs_tls && !c->is_secure) {
        refuse_without_tls(c, reply);
    } else {
        become_idle(c);
    }
}

static void on_hello(struct client *c, const struct reply *reply)
{
    int class = reply->code / 100;
    if (class != 2)
        c->extensions = (struct extensions){.size_max = 0};
    if (class == 2) {
        on_welcome(c, reply);
    } else if (class == 5 && c->phase == CLIENT_EHLO && !c->manner.is_lmtp) {
        /* RFC 5321 3.2: a server of RFC 821. */
        (void)buffer_printf(&c->output, "HELO %s\r\n", c->hostname);
        client_enter(c, CLIENT_HELO);
    } else if (class == 4 || class == 5) {
        refused_by_host(c, reply);
    } else {
        client_end_by_nonsense(c, reply);
    }
}

static void on_starttls(struct client *c, const struct reply *reply)
{
    int class = reply->code / 100;
    if (reply->code == 220)
        client_enter(c, CLIENT_SECURING);
    else if (class != 4 && class != 5)
        client_end_by_nonsense(c, reply);
    else if (c->manner.needs_tls)
        refuse_without_tls(c, reply);
    else
        become_idle(c);
}

static void on_reply(struct client *c, const struct reply *reply)
{
    c->progress++;
    bool is_of_one = c->manner.is_lmtp && c->phase == CLIENT_DOT;
    if (reply->code == 421 && c->phase != CLIENT_QUIT && !is_of_one) {
        /* RFC 5321 3.8: to any command */
        client_end(c, client_result_of_reply(c->phase, reply), CLIENT_CLOSED);
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
    case CLIENT_MAIL:
    case CLIENT_RCPT:
    case CLIENT_DATA:
    case CLIENT_CONTENT:
    case CLIENT_DOT:
        transaction_on_reply(c, reply);
        break;
    case CLIENT_IDLE: /* nobody asked */
        client_end_by_nonsense(c, reply);
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
    if (c->judgement_wanted && c->phase == CLIENT_IDLE) {
        *want_out = CLIENT_WANT_JUDGEMENT;
        return true;
    }
    if (c->content_wanted && c->phase == CLIENT_CONTENT) {
        c->content_wanted = false;
        *want_out = CLIENT_WANT_CONTENT;
        return true;
    }
    *want_out = c->phase == CLIENT_IDLE ? CLIENT_WANT_IDLE : CLIENT_WANT_INPUT;
    if (!transaction_in_envelope(c) || c->put != c->awaited)
        return false;
    transaction_put_commands(c);
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
    if (!more && transaction_in_envelope(c))
        transaction_put_commands(c);
    return want;
}

void client_speak(struct client *c, struct client_manner manner)
{
    check(c->phase == CLIENT_GREETING);
    c->manner = manner;
    c->manner.wishes_tls = manner.wishes_tls || manner.needs_tls;
}

void client_secured(struct client *c)
{
    check(c->phase == CLIENT_SECURING);
    c->is_secure = true;
    c->extensions = (struct extensions){.size_max = 0};
    reply_reader_fini(&c->replies);
    reply_reader_init(&c->replies);
    say_hello(c);
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
    transaction_await_verdict(c);
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
