/*
 * smtp_transaction: a transaction of the client's machine (smtp_client.h): its commands, the
 * replies to them and the results.
 */
#include "deliver/smtp_client_inside.h"

/*
 * The commands of a transaction are steps: RSET, MAIL, a RCPT for each recipient, DATA. `put` is
 * the next one to be written, `awaited` the oldest without a reply; put >= awaited, and both
 * leave out recipients that were decided at the beginning.
 */
#define STEP_RSET 0u
#define STEP_MAIL 1u
#define STEP_RCPT 2u

/* Results ----------------------------------------------------------------------------------- */

void transaction_decide_whole(struct client *c, struct client_result r)
{
    if (client_result_is_final(&c->whole))
        return;
    r.text = client_keep_text(&c->whole_text, r.text);
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

void transaction_finish(struct client *c)
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
static void put_step(struct client *c, uint32_t step)
{
    if (step == STEP_RSET) {
        (void)buffer_put_text(&c->output, "RSET\r\n");
    } else if (step == STEP_MAIL) {
        smtp_envelope_put_mail(c);
    } else if (step < step_data(c)) {
        smtp_envelope_put_rcpt(c, &c->transaction.recipients[step - STEP_RCPT]);
    } else {
        (void)buffer_put_text(&c->output, "DATA\r\n");
    }
}

/* RFC 2920 3.1: all in one go when the server has said PIPELINING; DATA ends such a group. */
static bool may_put(const struct client *c)
{
    uint32_t last = c->is_chunked ? step_data(c) - 1 : step_data(c);
    if (c->put > last || client_result_is_final(&c->whole))
        return false;
    if (!c->extensions.pipelining && c->put != c->awaited)
        return false;
    return c->output.len + COMMAND_MAX <= CLIENT_OUTPUT_MAX && !c->output.full;
}

void transaction_put_commands(struct client *c)
{
    while (may_put(c)) {
        put_step(c, c->put);
        c->put = step_after(c, c->put);
    }
}

/* Not before all replies to RCPT are here: what is sent could be delivered from then on, and
   whoever was refused would have cost the bytes. */
static void begin_chunk(struct client *c)
{
    (void)buffer_printf(&c->output, "BDAT %llu LAST\r\n",
                        (unsigned long long)c->transaction.content_bytes);
    c->content_wanted = true;
    client_enter(c, CLIENT_CONTENT);
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
        transaction_finish(c);
        return;
    }
    if (c->is_chunked && c->awaited == step_data(c)) {
        begin_chunk(c);
        return;
    }
    transaction_put_commands(c);
    client_enter(c, phase_of_step(c, c->awaited));
}

/* In IDLE. Refuses by itself what the server would refuse (RFC 1870 5). What 8-bit content is to a
   server that does not take it is asked first. */
void transaction_start(struct client *c)
{
    if (!c->extensions.eight_bit_mime && !c->is_judged) {
        c->judgement_wanted = true;
        return;
    }
    smtp_envelope_judge(c);
    bool nobody_left = step_after(c, STEP_MAIL) == step_data(c);
    if (nobody_left || client_result_is_final(&c->whole)) {
        transaction_finish(c);
        return;
    }
    c->is_chunked = c->transaction.likes_chunks && c->extensions.chunking && !c->is_downgraded;
    c->put = c->awaited = c->is_open ? STEP_RSET : STEP_MAIL;
    transaction_put_commands(c);
    client_enter(c, phase_of_step(c, c->awaited));
}

void client_judge(struct client *c, enum downgrade_verdict verdict, uint64_t content_bytes)
{
    check(c->judgement_wanted && c->phase == CLIENT_IDLE);
    c->judgement_wanted = false;
    c->is_judged = true;
    c->is_downgraded = verdict == DOWNGRADE_POSSIBLE;
    if (verdict == DOWNGRADE_IMPOSSIBLE)
        transaction_decide_whole(c, smtp_envelope_refuse(FAULT_NO_8BIT));
    if (c->is_downgraded)
        c->transaction.content_bytes = content_bytes;
    transaction_start(c);
}

bool client_is_downgraded(const struct client *c)
{
    return c->is_downgraded;
}

bool client_is_chunked(const struct client *c)
{
    return c->is_chunked;
}

/* On a connection that has ended meanwhile. */
static void finish_at_once(struct client *c)
{
    struct client_result why = c->outcome.trouble;
    if (!client_result_is_final(&why))
        why = client_result_of_fault(c->phase, CLIENT_DEFERRED, FAULT_CONNECTION_LOST);
    transaction_decide_whole(c, client_result_deferred(why));
    c->outcome.is_stale = !c->outcome.is_host_trouble && client_is_fault_of_host(why.fault);
    c->outcome.in_doubt = false;
    transaction_finish(c);
}

static void forget_transaction(struct client *c)
{
    c->put = c->awaited = STEP_MAIL;
    c->taken = c->answers = c->confirmed = 0;
    c->lone_dot = c->content_wanted = false;
    c->judgement_wanted = c->is_judged = c->is_downgraded = c->is_chunked = false;
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
        r->result = smtp_envelope_is_sendable(r->path)
                        ? (struct client_result){.verdict = CLIENT_UNDECIDED}
                        : smtp_envelope_refuse(FAULT_SYNTAX);
    }
    if (c->phase == CLIENT_QUIT || c->phase == CLIENT_CLOSED) {
        finish_at_once(c);
        return;
    }
    c->outcome = (struct client_outcome){.trouble = {.verdict = CLIENT_UNDECIDED}};
    if (c->phase == CLIENT_IDLE)
        transaction_start(c);
}

/* Replies ------------------------------------------------------------------------------------- */

static void on_rset(struct client *c, const struct reply *reply)
{
    if (reply->code / 100 != 2) {
        client_end_by_nonsense(c, reply);
        return;
    }
    c->is_open = false;
    advance(c);
}

static void on_mail(struct client *c, const struct reply *reply)
{
    struct client_result r = client_result_of_reply(c->phase, reply);
    if (r.fault != FAULT_NONE) {
        client_end_by_nonsense(c, reply);
        return;
    }
    if (r.verdict == CLIENT_DELIVERED)
        c->is_open = true;
    else
        transaction_decide_whole(c, r);
    advance(c);
}

/* Behind a refused MAIL the replies are only counted. */
static void on_rcpt(struct client *c, const struct reply *reply)
{
    struct client_result r = client_result_of_reply(c->phase, reply);
    struct client_result *kept = &c->transaction.recipients[c->awaited - STEP_RCPT].result;
    if (r.fault != FAULT_NONE) {
        client_end_by_nonsense(c, reply);
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
            transaction_decide_whole(c, client_result_of_reply(c->phase, reply));
        client_enter(c, CLIENT_IDLE);
        transaction_finish(c);
    } else if (class != 3) {
        client_end_by_nonsense(c, reply);
    } else if (c->taken == 0 && c->manner.is_lmtp) {
        /* RFC 2033 4.2: not after a 503 for want of recipients; nobody would answer a dot. */
        client_end_by_nonsense(c, reply);
    } else if (c->taken == 0) {
        /* RFC 2920 3.1: DATA was under way when the last recipient was refused; an empty message to
           nobody is the way out. */
        (void)buffer_put_text(&c->output, ".\r\n");
        c->lone_dot = true;
        client_enter(c, CLIENT_DOT);
    } else if (client_result_is_final(&c->whole)) {
        /* MAIL refused, RCPT and DATA taken: a dot would deliver an empty message. */
        client_end_by_nonsense(c, reply);
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
        client_end_by_nonsense(c, reply);
        return;
    }
    transaction_decide_whole(c, r);
    client_end(c, r, CLIENT_CLOSED);
    c->outcome.is_host_trouble = false;
}

static uint32_t next_taken(const struct client *c, uint32_t from)
{
    const struct client_transaction *t = &c->transaction;
    while (from < t->recipient_count && t->recipients[from].result.verdict != CLIENT_TAKEN)
        from++;
    return from;
}

void transaction_await_verdict(struct client *c)
{
    c->confirmed = next_taken(c, 0);
    client_enter(c, CLIENT_DOT);
}

/* After DATA the transaction is over whatever the reply (RFC 5321 4.1.1.4); after a BDAT that has
   failed only with RSET (RFC 3030 2). */
static void finish_in_idle(struct client *c, bool is_taken)
{
    c->is_open = c->is_chunked && !is_taken;
    client_enter(c, CLIENT_IDLE);
    transaction_finish(c);
}

/* RFC 2033 4.2: in the order of RCPT, one for each that was taken. A 421 is the reply for one; the
   server, which closes with it, has said nothing about the others. */
static void on_dot_of_one(struct client *c, const struct reply *reply)
{
    struct client_result r = client_result_of_reply(c->phase, reply);
    struct client_result *own = &c->transaction.recipients[c->confirmed].result;
    if (r.fault != FAULT_NONE) {
        client_end_by_nonsense(c, reply);
        return;
    }
    *own = r;
    own->text = keep_rcpt_text(c, r.text);
    c->confirmed = next_taken(c, c->confirmed + 1);
    bool is_last = c->confirmed == c->transaction.recipient_count;
    if (reply->code == 421 && is_last)
        client_end(c, r, CLIENT_CLOSED);
    else if (reply->code == 421)
        client_lost(c, FAULT_CONNECTION_LOST);
    else if (is_last)
        finish_in_idle(c, r.verdict == CLIENT_DELIVERED);
}

static void on_dot(struct client *c, const struct reply *reply)
{
    struct client_result r = client_result_of_reply(c->phase, reply);
    if (r.fault != FAULT_NONE) {
        client_end_by_nonsense(c, reply);
        return;
    }
    if (!c->lone_dot)
        transaction_decide_whole(c, r);
    finish_in_idle(c, r.verdict == CLIENT_DELIVERED);
}

void transaction_on_reply(struct client *c, const struct reply *reply)
{
    switch (c->phase) {
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
        if (c->manner.is_lmtp)
            on_dot_of_one(c, reply);
        else
            on_dot(c, reply);
        break;
    case CLIENT_GREETING:
    case CLIENT_EHLO:
    case CLIENT_HELO:
    case CLIENT_STARTTLS:
    case CLIENT_SECURING:
    case CLIENT_IDLE:
    case CLIENT_QUIT:
    case CLIENT_CLOSED:
        check(false);
        break;
    }
}

bool transaction_in_envelope(const struct client *c)
{
    return c->phase >= CLIENT_RSET && c->phase <= CLIENT_DATA;
}
