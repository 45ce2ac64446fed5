/*
 * smtp_envelope: how a transaction's envelope is put to this server: MAIL and RCPT with the
 * parameters of what it offers, and what is refused here in place of the server (RFC 1870 5, 6531
 * 3.5), which would only say the same.
 */
#include "deliver/smtp_client_inside.h"
#include "mail/address.h"
#include "mail/idn.h"

#define ENVID_MAX 100 /* RFC 3461 4.4 */
#define ORCPT_MAX 500 /* RFC 3461 4.2 */

/* What would end or split a command line must never come out of an envelope, however it got
   there. */
bool smtp_envelope_is_sendable(struct span path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] < ' ' || path.data[i] == 127)
            return false;
    }
    return path.len <= ADDRESS_MAX;
}

/* In place of the server's answer to MAIL or RCPT. */
struct client_result smtp_envelope_refuse(enum fault fault)
{
    return client_result_of_fault(
        CLIENT_MAIL, fault == FAULT_NO_MEMORY ? CLIENT_DEFERRED : CLIENT_FAILED, fault);
}

static bool is_too_big(const struct client *c)
{
    const struct extensions *e = &c->extensions;
    return e->size && e->size_max > 0 && c->transaction.content_bytes > e->size_max;
}

/* Judging ------------------------------------------------------------------------------------ */

static bool is_waiting(const struct client_recipient *r)
{
    return r->result.verdict == CLIENT_UNDECIDED;
}

/* Somebody or something in it is not ASCII. */
static bool is_international(const struct client *c)
{
    const struct client_transaction *t = &c->transaction;
    if (t->needs_utf8 || !idn_is_ascii(t->reverse_path))
        return true;
    for (uint32_t i = 0; i < t->recipient_count; i++)
        if (is_waiting(&t->recipients[i]) && !idn_is_ascii(t->recipients[i].path))
            return true;
    return false;
}

/* For a server without SMTPUTF8: who cannot be written in ASCII has failed. */
static void translate(struct client *c)
{
    struct client_transaction *t = &c->transaction;
    enum fault fault =
        t->needs_utf8 ? FAULT_NO_UTF8
                      : idn_address_to_ascii(&c->texts, t->reverse_path, &c->ascii_reverse_path);
    if (fault != FAULT_NONE)
        transaction_decide_whole(c, smtp_envelope_refuse(fault));
    for (uint32_t i = 0; i < t->recipient_count && fault == FAULT_NONE; i++) {
        struct client_recipient *r = &t->recipients[i];
        if (!is_waiting(r))
            continue;
        enum fault own = idn_address_to_ascii(&c->texts, r->path, &r->ascii_path);
        if (own != FAULT_NONE)
            r->result = smtp_envelope_refuse(own);
    }
}

void smtp_envelope_judge(struct client *c)
{
    c->says_utf8 = false;
    if (is_too_big(c)) {
        transaction_decide_whole(c, smtp_envelope_refuse(FAULT_TOO_BIG));
        return;
    }
    if (!smtp_envelope_is_sendable(c->transaction.reverse_path)) {
        transaction_decide_whole(c, smtp_envelope_refuse(FAULT_SYNTAX));
        return;
    }
    bool is_needed = is_international(c);
    c->says_utf8 = is_needed && c->extensions.smtputf8;
    if (!c->says_utf8)
        translate(c);
}

/* Commands ----------------------------------------------------------------------------------- */

/* As xtext has it (RFC 3461 4): printable, nothing that ends a word. It came over SMTP and was
   looked at there; what has got into it since is left out with it. */
static bool is_word(struct span text, size_t max)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] == 127)
            return false;
    return text.len > 0 && text.len <= max;
}

static void put_path(struct client *c, const char *verb, struct span path)
{
    (void)buffer_put_text(&c->output, verb);
    (void)buffer_put(&c->output, path);
    (void)buffer_put_text(&c->output, ">");
}

static void put_word(struct client *c, const char *keyword, struct span word)
{
    (void)buffer_put_text(&c->output, keyword);
    (void)buffer_put(&c->output, word);
}

static void put_mail_dsn(struct client *c)
{
    const struct client_transaction *t = &c->transaction;
    if (t->ret == RETURN_FULL)
        (void)buffer_put_text(&c->output, " RET=FULL");
    if (t->ret == RETURN_HEADERS)
        (void)buffer_put_text(&c->output, " RET=HDRS");
    if (is_word(t->envid, ENVID_MAX) && idn_is_ascii(t->envid))
        put_word(c, " ENVID=", t->envid);
}

void smtp_envelope_put_mail(struct client *c)
{
    const struct client_transaction *t = &c->transaction;
    put_path(c, "MAIL FROM:<", c->says_utf8 ? t->reverse_path : c->ascii_reverse_path);
    if (c->extensions.size)
        (void)buffer_printf(&c->output, " SIZE=%llu", (unsigned long long)t->content_bytes);
    if (c->extensions.eight_bit_mime && t->is_8bitmime)
        (void)buffer_put_text(&c->output, " BODY=8BITMIME");
    if (c->says_utf8)
        (void)buffer_put_text(&c->output, " SMTPUTF8");
    if (c->extensions.dsn)
        put_mail_dsn(c);
    (void)buffer_put_text(&c->output, "\r\n");
}

static void put_notify(struct client *c, uint8_t notify)
{
    static const struct {
        enum notify bit;
        const char *name;
    } names[] = {{NOTIFY_SUCCESS, "SUCCESS"}, {NOTIFY_FAILURE, "FAILURE"}, {NOTIFY_DELAY, "DELAY"}};
    const char *before = " NOTIFY=";
    if ((notify & NOTIFY_NEVER) != 0) {
        (void)buffer_put_text(&c->output, " NOTIFY=NEVER");
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((notify & names[i].bit) == 0)
            continue;
        (void)buffer_printf(&c->output, "%s%s", before, names[i].name);
        before = ",";
    }
}

/* An ORCPT of type utf-8 may hold what is not ASCII where SMTPUTF8 is said (RFC 6533 3). */
static void put_rcpt_dsn(struct client *c, const struct client_recipient *r)
{
    put_notify(c, r->notify);
    if (is_word(r->orcpt, ORCPT_MAX) && (c->says_utf8 || idn_is_ascii(r->orcpt)))
        put_word(c, " ORCPT=", r->orcpt);
}

void smtp_envelope_put_rcpt(struct client *c, const struct client_recipient *r)
{
    put_path(c, "RCPT TO:<", c->says_utf8 ? r->path : r->ascii_path);
    if (c->extensions.dsn)
        put_rcpt_dsn(c, r);
    (void)buffer_put_text(&c->output, "\r\n");
}
