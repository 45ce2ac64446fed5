/*
 * verbs: what each command does to a session; see session.h.
 */
#include "base/check.h"
#include "receive/session_inside.h"

static void refuse_fault(struct session *s, enum fault fault)
{
    session_refuse(s, fault_smtp_code(fault), fault_enhanced(fault), fault_text(fault));
}

static bool out_of_order(struct session *s, const char *text)
{
    session_refuse(s, 503, "5.5.1", text);
    return false;
}

static const char *hello_missing(const struct session *s)
{
    return s->speaks_lmtp ? "LHLO comes first" : "EHLO or HELO comes first";
}

static bool may_begin(struct session *s)
{
    if (s->state == SESSION_CONNECTED)
        return out_of_order(s, hello_missing(s));
    if (s->state != SESSION_READY)
        return out_of_order(s, "a transaction is under way; RSET ends it");
    return true;
}

static bool is_ascii(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] >= 0x80)
            return false;
    return true;
}

/* One text for one address: without a source route, which is ignored (RFC 5321 appendix C), and
 * with quotes only where they are needed (4.1.2). */
static enum fault normalise(struct session *s, const struct address *a, struct span *path)
{
    struct buffer text;
    bool is_plain = path->len == 0 || (path->data[0] != '@' && path->data[0] != '"');
    if (is_plain)
        return FAULT_NONE;
    buffer_init(&text, 2 * ADDRESS_MAX);
    bool fits = address_format(&text, a);
    *path = fits ? arena_copy(&s->envelope, buffer_span(&text)) : (struct span){NULL, 0};
    buffer_fini(&text);
    return path->data == NULL ? FAULT_NO_MEMORY : FAULT_NONE;
}

/* True when the path is a good address, kept in the envelope; *path_out is its text there. */
static bool take_address(struct session *s, struct span path, unsigned flags,
                         struct address *address_out, struct span *path_out)
{
    if (s->smtputf8)
        flags |= ADDRESS_UTF8_OK;
    *path_out = arena_copy(&s->envelope, path);
    enum fault fault = s->envelope.full
                           ? FAULT_NO_MEMORY
                           : address_parse(*path_out, flags, &s->envelope, address_out);
    if (fault == FAULT_NONE)
        fault = normalise(s, address_out, path_out);
    if (fault == FAULT_NONE)
        return true;
    if (fault_is_temporary(fault))
        session_refuse(s, 452, "4.3.1", "the envelope is too large");
    else if (fault == FAULT_TOO_LONG)
        session_refuse(s, 501, "5.1.3", "the address is too long");
    else if (!s->smtputf8 && !is_ascii(path)) /* RFC 6531 3.5 */
        session_refuse(s, s->state == SESSION_READY ? 550 : 553, "5.6.7",
                       "an address beyond ASCII needs SMTPUTF8");
    else
        session_refuse(s, 501, s->state == SESSION_READY ? "5.1.7" : "5.1.3",
                       "this is no mail address");
    return false;
}

static void on_mail(struct session *s, const struct command *c)
{
    if (!may_begin(s))
        return;
    if (c->has_size && c->size > s->limits->message_bytes_max) {
        session_refuse(s, 552, "5.3.4", "the message is larger than is taken here");
        return;
    }
    if (s->mail_fault != FAULT_NONE) {
        refuse_fault(s, s->mail_fault);
        return;
    }
    struct address address;
    session_forget_envelope(s);
    s->smtputf8 = c->smtputf8;
    if (!take_address(s, c->argument, ADDRESS_EMPTY_OK, &address, &s->reverse_path)) {
        session_forget_envelope(s);
        return;
    }
    s->ret = c->ret;
    s->envid = arena_copy(&s->envelope, c->envid);
    s->declared_bytes = c->has_size ? c->size : 0;
    s->body_8bit = c->body == BODY_8BITMIME;
    s->idle_commands = 0;
    session_enter(s, SESSION_MAIL);
    session_reply(s, 250, "2.1.0", "sender ok");
}

static void on_rcpt(struct session *s, const struct command *c)
{
    if (s->state != SESSION_MAIL && s->state != SESSION_RECIPIENTS) {
        (void)out_of_order(s, "MAIL comes first");
        return;
    }
    if (s->rcpt_count >= s->limits->recipients_max) {
        session_refuse(s, 452, "4.5.3", "too many recipients");
        return;
    }
    if (s->mail_fault != FAULT_NONE) {
        refuse_fault(s, s->mail_fault);
        return;
    }
    if (!s->smtputf8 && !is_ascii(c->orcpt)) { /* RFC 6533 3 */
        session_refuse(s, 501, "5.5.4", "an ORCPT beyond ASCII needs SMTPUTF8");
        return;
    }
    struct session_recipient *r = arena_alloc(&s->envelope, sizeof *r);
    if (r == NULL) {
        session_refuse(s, 452, "4.3.1", "the envelope is too large");
        return;
    }
    *r = (struct session_recipient){.notify = 0};
    if (!take_address(s, c->argument, ADDRESS_POSTMASTER_OK, &r->address, &r->path))
        return;
    r->notify = c->notify;
    r->orcpt = arena_copy(&s->envelope, c->orcpt);
    if (s->envelope.full) {
        session_refuse(s, 452, "4.3.1", "the envelope is too large");
        return;
    }
    s->asked = r;
    session_enter(s, SESSION_RESOLVING);
}

const struct session_recipient *session_asked(const struct session *s)
{
    check(s->state == SESSION_RESOLVING);
    return s->asked;
}

static void append_recipient(struct session *s, struct session_recipient *r)
{
    r->next = NULL;
    *s->last = r;
    s->last = &r->next;
    s->recipient_count++;
}

/* RFC 3461 5.2.7.3: of a list that is expanded here its sender hears of the expansion, when he has
 * asked for success, and of the members' own success no more. A single other address is an alias
 * (5.2.7.2): all that was asked for is asked for it. */
static uint8_t notify_of_member(uint8_t notify)
{
    uint8_t rest = notify & (uint8_t)~NOTIFY_SUCCESS;
    return notify != 0 && rest == 0 ? NOTIFY_NEVER : rest;
}

/* One recipient for each of the paths. False: no room. */
static bool append_finals(struct session *s, const struct span *paths, uint32_t count)
{
    bool is_told = count > 1 && (s->asked->notify & NOTIFY_SUCCESS) != 0;
    struct session_recipient *made = arena_alloc(&s->envelope, count * sizeof *made);
    for (uint32_t i = 0; made != NULL && i < count; i++) {
        made[i] = *s->asked;
        if (is_told)
            made[i].notify = notify_of_member(s->asked->notify);
        if (span_equal(paths[i], s->asked->path))
            continue;
        made[i].original = s->asked->path;
        made[i].path = arena_copy(&s->envelope, paths[i]);
    }
    if (s->envelope.full)
        return false;
    for (uint32_t i = 0; i < count; i++)
        append_recipient(s, &made[i]);
    if (is_told) {
        s->asked->notify |= NOTIFY_EXPANDED;
        append_recipient(s, s->asked);
    }
    return true;
}

/* The line itself is gone by now. */
static void refuse_asked(struct session *s, enum fault fault)
{
    refuse_fault(s, fault);
    buffer_reset(&s->refused_command);
    (void)buffer_printf(&s->refused_command, "RCPT TO:<%.*s>", SPAN_PRINT(s->asked->path));
}

enum fault session_limit_content(struct session *s, uint64_t message_bytes_max)
{
    check(s->state == SESSION_RESOLVING);
    if (s->declared_bytes > message_bytes_max)
        return FAULT_TOO_BIG;
    if (message_bytes_max < s->message_bytes_max)
        s->message_bytes_max = message_bytes_max;
    return FAULT_NONE;
}

void session_recipient_resolved(struct session *s, enum fault fault, const struct span *paths,
                                uint32_t count)
{
    check(s->state == SESSION_RESOLVING);
    bool is_itself = count == 0 || (count == 1 && span_equal(paths[0], s->asked->path));
    if (fault == FAULT_NONE && is_itself)
        append_recipient(s, s->asked);
    else if (fault == FAULT_NONE && !append_finals(s, paths, count))
        fault = FAULT_NO_MEMORY;
    session_enter(s, s->first == NULL ? SESSION_MAIL : SESSION_RECIPIENTS);
    if (fault != FAULT_NONE) {
        refuse_asked(s, fault);
    } else {
        s->rcpt_count++;
        session_reply(s, 250, "2.1.5", "recipient ok");
    }
    s->asked = NULL;
}

static const struct refusal *no_recipients(const struct session *s)
{
    static const struct refusal smtp = {554, "5.5.1", "no valid recipients"};
    static const struct refusal lmtp = {503, "5.5.1", "no valid recipients"}; /* RFC 2033 4.2 */
    return s->speaks_lmtp ? &lmtp : &smtp;
}

static void on_data(struct session *s)
{
    if (s->state == SESSION_MAIL) {
        const struct refusal *no = no_recipients(s);
        session_refuse(s, no->code, no->enhanced, no->text);
        return;
    }
    if (s->state != SESSION_RECIPIENTS) {
        (void)out_of_order(s, "MAIL and RCPT come first");
        return;
    }
    content_reader_init(&s->content, true);
    session_enter(s, SESSION_DATA);
    bool fits = buffer_put_text(&s->output, "354 end data with <CR><LF>.<CR><LF>\r\n");
    session_must_fit(s, fits);
}

/* RFC 3030 2: a refused chunk is read all the same, and answered after its last octet. */
static void on_bdat(struct session *s, const struct command *c)
{
    s->chunk_refusal = (struct refusal){0, NULL, NULL};
    if (s->state != SESSION_BETWEEN_CHUNKS)
        content_reader_init(&s->content, false);
    if (s->state == SESSION_MAIL)
        s->chunk_refusal = *no_recipients(s);
    else if (s->state == SESSION_CONNECTED)
        s->chunk_refusal = (struct refusal){503, "5.5.1", hello_missing(s)};
    else if (s->state == SESSION_READY)
        s->chunk_refusal = (struct refusal){503, "5.5.1", "MAIL and RCPT come first"};
    s->chunk_left = c->size;
    s->chunk_last = c->last;
    session_enter(s, SESSION_CHUNK);
}

static void on_hello(struct session *s, const struct command *c)
{
    if (s->speaks_lmtp != (c->verb == COMMAND_LHLO)) { /* RFC 2033 4.1 */
        session_refuse(s, 500, "5.5.1", s->speaks_lmtp ? "this is LMTP: say LHLO" : "this is SMTP");
        return;
    }
    session_reset(s);
    buffer_reset(&s->helo);
    bool fits = buffer_put(&s->helo, c->argument);
    s->esmtp = c->verb != COMMAND_HELO;
    if (s->state == SESSION_CONNECTED)
        session_enter(s, SESSION_READY);
    if (s->esmtp) {
        fits &= buffer_printf(&s->output,
                              "250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n"
                              "250-ENHANCEDSTATUSCODES\r\n%s250-CHUNKING\r\n"
                              "250-DSN\r\n250 SMTPUTF8\r\n",
                              s->hostname, (unsigned long long)s->limits->message_bytes_max,
                              s->offers_tls && !s->is_secure ? "250-STARTTLS\r\n" : "");
    } else {
        fits &= buffer_printf(&s->output, "250 %s\r\n", s->hostname);
    }
    session_must_fit(s, fits);
}

static bool is_idle(enum command_verb verb)
{
    return verb != COMMAND_MAIL && verb != COMMAND_RCPT && verb != COMMAND_DATA &&
           verb != COMMAND_BDAT && verb != COMMAND_QUIT;
}

static void on_starttls(struct session *s)
{
    if (s->is_secure) {
        (void)out_of_order(s, "this connection is under TLS already");
    } else if (!s->offers_tls) {
        session_refuse(s, 502, "5.5.1", "STARTTLS is not offered");
    } else if (s->state != SESSION_CONNECTED && s->state != SESSION_READY) {
        (void)out_of_order(s, "a transaction is under way; RSET ends it");
    } else {
        session_reply(s, 220, "2.0.0", "ready for TLS");
        session_enter(s, SESSION_SECURING);
    }
}

static void on_help(struct session *s)
{
    const char *hello = s->speaks_lmtp ? "LHLO" : "EHLO HELO";
    const char *tls = s->offers_tls && !s->is_secure ? " STARTTLS" : "";
    session_must_fit(
        s, buffer_printf(&s->output,
                         "214-2.0.0 commands: %s MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT%s\r\n"
                         "214 2.0.0 this is postrider; questions go to the postmaster\r\n",
                         hello, tls));
}

/* Who is here is told to nobody: that is asked by those who gather addresses (RFC 5321 3.5.3, 7.3).
 */
static void on_vrfy(struct session *s, const struct command *c)
{
    if (!c->smtputf8 && !is_ascii(c->argument)) /* RFC 6531 3.7.4.2 */
        session_refuse(s, 553, "5.6.7", "a name beyond ASCII needs SMTPUTF8");
    else
        session_reply(s, 252, "2.5.0", "send mail, and see");
}

static void on_command(struct session *s, const struct command *c)
{
    if (is_idle(c->verb) && ++s->idle_commands > s->limits->idle_commands_max) {
        session_note_refused(s, 421, "4.7.0", "too many commands without mail");
        session_reply(s, 421, "4.7.0", "too many commands without mail");
        session_enter(s, SESSION_CLOSING);
        return;
    }
    switch (c->verb) {
    case COMMAND_EHLO:
    case COMMAND_HELO:
    case COMMAND_LHLO:
        on_hello(s, c);
        break;
    case COMMAND_MAIL:
        on_mail(s, c);
        break;
    case COMMAND_RCPT:
        on_rcpt(s, c);
        break;
    case COMMAND_DATA:
        on_data(s);
        break;
    case COMMAND_BDAT:
        on_bdat(s, c);
        break;
    case COMMAND_RSET:
        session_reset(s);
        session_reply(s, 250, "2.0.0", "reset");
        break;
    case COMMAND_NOOP:
        session_reply(s, 250, "2.0.0", "ok");
        break;
    case COMMAND_VRFY:
        on_vrfy(s, c);
        break;
    case COMMAND_EXPN:
        session_refuse(s, 502, "5.5.1", "lists are not shown here");
        break;
    case COMMAND_HELP:
        on_help(s);
        break;
    case COMMAND_STARTTLS:
        on_starttls(s);
        break;
    case COMMAND_QUIT:
        session_reply(s, 221, "2.0.0", "bye");
        session_enter(s, SESSION_CLOSING);
        break;
    }
}

void session_command(struct session *s, struct span line)
{
    struct command c;
    struct refusal no;
    bool between = s->state == SESSION_BETWEEN_CHUNKS;
    s->current = line;
    if (!command_parse(line, &c, &no)) {
        session_refuse(s, no.code, no.enhanced, no.text);
        return;
    }
    if (between && (c.verb == COMMAND_MAIL || c.verb == COMMAND_RCPT || c.verb == COMMAND_DATA)) {
        (void)out_of_order(s, "BDAT goes on, or RSET ends it");
        return;
    }
    on_command(s, &c);
}
