#include "receive/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "receive/session_inside.h"

#define LMTP_REPLY_MAX      100 /* the longest to content */
#define REFUSED_COMMAND_MAX 256 /* of a refused line, for the log */

/* moves[from] has a bit for every state that may follow. */
#define BIT(state) (1u << SESSION_##state)
static const uint16_t moves[] = {
    [SESSION_CONNECTED] = BIT(READY) | BIT(CHUNK) | BIT(SECURING) | BIT(CLOSING),
    [SESSION_READY] = BIT(READY) | BIT(MAIL) | BIT(CHUNK) | BIT(SECURING) | BIT(CLOSING),
    [SESSION_MAIL] = BIT(READY) | BIT(RESOLVING) | BIT(CHUNK) | BIT(CLOSING),
    [SESSION_RESOLVING] = BIT(MAIL) | BIT(RECIPIENTS) | BIT(CLOSING),
    [SESSION_RECIPIENTS] = BIT(READY) | BIT(RESOLVING) | BIT(DATA) | BIT(CHUNK) | BIT(CLOSING),
    [SESSION_DATA] = BIT(READY) | BIT(COMMITTING) | BIT(CLOSING),
    [SESSION_CHUNK] =
        BIT(CONNECTED) | BIT(READY) | BIT(BETWEEN_CHUNKS) | BIT(COMMITTING) | BIT(CLOSING),
    [SESSION_BETWEEN_CHUNKS] = BIT(READY) | BIT(CHUNK) | BIT(CLOSING),
    [SESSION_COMMITTING] = BIT(READY) | BIT(CLOSING),
    [SESSION_SECURING] = BIT(CONNECTED) | BIT(CLOSING),
    [SESSION_CLOSING] = BIT(CLOSING),
};

void session_enter(struct session *s, enum session_state next)
{
    check((moves[s->state] & (1u << next)) != 0);
    s->state = next;
}

struct session *session_new(const struct session_limits *limits, const char *hostname)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->limits = limits;
    s->message_bytes_max = limits->message_bytes_max;
    s->hostname = hostname;
    s->last = &s->first;
    buffer_init(&s->line, COMMAND_LINE_MAX);
    buffer_init(&s->output, SESSION_OUTPUT_MAX + COMMAND_LINE_MAX);
    buffer_init(&s->helo, COMMAND_LINE_MAX);
    buffer_init(&s->refused_command, REFUSED_COMMAND_MAX);
    arena_init(&s->envelope, SESSION_ENVELOPE_BYTES_MAX);
    return s;
}

void session_free(struct session *s)
{
    if (s == NULL)
        return;
    buffer_fini(&s->line);
    buffer_fini(&s->output);
    buffer_fini(&s->helo);
    buffer_fini(&s->refused_command);
    arena_fini(&s->envelope);
    free(s);
}

/* Replies: one writer, so that a full output is noticed in one place. -----------------------------
 */

void session_must_fit(struct session *s, bool fits)
{
    if (!fits)
        session_enter(s, SESSION_CLOSING);
}

void session_reply(struct session *s, int code, const char *enhanced, const char *text)
{
    bool fits = buffer_printf(&s->output, "%d %s %s\r\n", code, enhanced, text);
    session_must_fit(s, fits);
}

/* A line that cannot be noted for want of memory is refused all the same. */
void session_note_refused(struct session *s, int code, const char *enhanced, const char *text)
{
    s->tells_refused = true;
    s->refused = (struct session_refused){.reply = {code, enhanced, text},
                                          .is_message = s->state == SESSION_DATA ||
                                                        s->state == SESSION_CHUNK};
    buffer_reset(&s->refused_command);
    (void)buffer_put(&s->refused_command, span_sub(s->current, 0, REFUSED_COMMAND_MAX));
}

void session_end(struct session *s, enum fault fault)
{
    if (s->state == SESSION_CLOSING)
        return;
    session_reply(s, 421, fault_enhanced(fault), fault_text(fault));
    session_enter(s, SESSION_CLOSING);
}

static void count_error(struct session *s)
{
    if (++s->errors <= s->limits->errors_max || s->state == SESSION_CLOSING)
        return;
    session_reply(s, 421, "4.7.0", "too many errors");
    session_enter(s, SESSION_CLOSING);
}

void session_refuse(struct session *s, int code, const char *enhanced, const char *text)
{
    session_note_refused(s, code, enhanced, text);
    session_reply(s, code, enhanced, text);
    count_error(s);
}

void session_greet(struct session *s)
{
    bool fits = buffer_printf(&s->output, "220 %s %s postrider\r\n", s->hostname,
                              s->speaks_lmtp ? "LMTP" : "ESMTP");
    session_must_fit(s, fits);
}

void session_turn_away(struct session *s, const char *text)
{
    session_reply(s, 554, "5.5.1", text);
    session_enter(s, SESSION_CLOSING);
}

/* Transactions
 * -------------------------------------------------------------------------------------- */

static bool in_transaction(const struct session *s)
{
    return s->state != SESSION_CONNECTED && s->state != SESSION_READY;
}

void session_forget_envelope(struct session *s)
{
    arena_reset(&s->envelope);
    s->reverse_path = s->envid = (struct span){NULL, 0};
    s->ret = RETURN_UNSAID;
    s->smtputf8 = s->body_8bit = false;
    s->first = NULL;
    s->last = &s->first;
    s->recipient_count = s->rcpt_count = 0;
    s->content_fault = FAULT_NONE;
    s->declared_bytes = 0;
    s->message_bytes_max = s->limits->message_bytes_max;
    content_reader_init(&s->content, true);
}

/* Back to READY; what was kept of the content is to be forgotten. */
void session_reset(struct session *s)
{
    if (in_transaction(s))
        s->abandon = true;
    if (s->state != SESSION_CONNECTED)
        session_enter(s, SESSION_READY);
}

/* Lines: only CRLF ends one. A line that comes whole is parsed where it lies.
 * ----------------------- */

static void end_line(struct session *s, struct span tail)
{
    struct span line = tail;
    if (s->line.len > 0) {
        bool fits = buffer_put(&s->line, tail);
        line = buffer_span(&s->line);
        if (!fits)
            s->skip_line = true;
    }
    if (s->skip_line || line.len > COMMAND_LINE_MAX) {
        session_refuse(s, 500, "5.5.6", "the line is too long");
    } else {
        session_command(s, span_sub(line, 0, line.len - 2));
        s->current = (struct span){NULL, 0};
    }
    s->skip_line = false;
    buffer_free_memory(&s->line);
}

/* Index behind the next CRLF, or 0. The CR may have come with the input before. */
static size_t find_crlf(const struct session *s, struct span input)
{
    bool cr_before = s->line.len > 0 && s->line.data[s->line.len - 1] == '\r';
    for (size_t lf = 0; (lf = span_find_byte(input, '\n', lf)) < input.len; lf++) {
        if (lf > 0 ? input.data[lf - 1] == '\r' : cr_before)
            return lf + 1;
    }
    return 0;
}

static size_t take_line(struct session *s, struct span input)
{
    size_t end = find_crlf(s, input);
    if (end > 0) {
        end_line(s, span_sub(input, 0, end));
        return end;
    }
    if (s->skip_line || !buffer_put(&s->line, input)) {
        /* Too long: only whether the last byte is a CR still counts. */
        uint8_t last = input.data[input.len - 1];
        s->skip_line = true;
        buffer_reset(&s->line);
        bool fits = buffer_put_u8(&s->line, last);
        session_must_fit(s, fits);
    }
    return input.len;
}

/* Content
 * ------------------------------------------------------------------------------------------- */

/* RFC 2033 4.2: the content is answered once for each recipient that was taken. */
static uint32_t content_replies(const struct session *s)
{
    return s->speaks_lmtp ? s->rcpt_count : 1;
}

static void refuse_message(struct session *s, int code, const char *enhanced, const char *text)
{
    session_note_refused(s, code, enhanced, text);
    uint32_t replies = content_replies(s);
    session_reset(s);
    for (uint32_t i = 0; i < replies; i++)
        session_reply(s, code, enhanced, text);
    count_error(s);
}

static void finish_message(struct session *s)
{
    const struct content_facts *f = &s->content.facts;
    enum fault fault = s->content_fault;
    if (fault != FAULT_NONE)
        refuse_message(s, fault_smtp_code(fault), fault_enhanced(fault), fault_text(fault));
    else if (f->nul)
        refuse_message(s, 554, "5.6.0", "the message contains a NUL");
    else if (f->bare_cr || f->bare_lf)
        refuse_message(s, 554, "5.6.0",
                       "the message contains a CR or LF that is no part of a CRLF");
    else
        session_enter(s, SESSION_COMMITTING);
}

static void end_too_big(struct session *s)
{
    session_note_refused(s, 421, fault_enhanced(FAULT_TOO_BIG), fault_text(FAULT_TOO_BIG));
    session_end(s, FAULT_TOO_BIG);
}

/* Beyond the size limit nothing is kept any more; at twice the limit the client is not listened to
 * any longer. */
static enum session_want hand_on(struct session *s, struct span run, struct span *run_out)
{
    uint64_t bytes = s->content.facts.bytes;
    if (bytes > s->message_bytes_max && s->content_fault == FAULT_NONE)
        s->content_fault = FAULT_TOO_BIG;
    if (bytes / 2 > s->limits->message_bytes_max)
        end_too_big(s);
    if (run.len == 0 || s->content_fault != FAULT_NONE)
        return SESSION_WANT_INPUT;
    *run_out = run;
    return SESSION_WANT_KEEP;
}

static bool lacks_crlf(const struct session *s)
{
    return s->chunk_last && s->chunk_refusal.code == 0 && s->content.facts.last_line_open;
}

/* The CRLF that the last line of a BDAT message lacks. A CR before it is seen to be a bare one. */
static enum session_want close_last_line(struct session *s, struct span *run_out)
{
    struct span run;
    size_t used = content_read(&s->content, SPAN("\r\n"), &run);
    check(used == 2);
    return hand_on(s, run, run_out);
}

static enum session_want take_data(struct session *s, struct span input, size_t *used_out,
                                   struct span *run_out)
{
    struct span run;
    *used_out = content_read(&s->content, input, &run);
    return hand_on(s, run, run_out);
}

static void end_chunk(struct session *s)
{
    if (s->chunk_refusal.code != 0) {
        struct refusal no = s->chunk_refusal;
        bool hello = s->helo.len > 0;
        if (hello)
            session_reset(s);
        else
            session_enter(s, SESSION_CONNECTED);
        session_refuse(s, no.code, no.enhanced, no.text);
    } else if (s->chunk_last) {
        finish_message(s);
    } else {
        session_enter(s, SESSION_BETWEEN_CHUNKS);
        session_reply(s, 250, "2.0.0", "chunk received");
    }
}

static enum session_want take_chunk(struct session *s, struct span input, size_t *used_out,
                                    struct span *run_out)
{
    struct span run =
        span_sub(input, 0, s->chunk_left < input.len ? (size_t)s->chunk_left : input.len);
    *used_out = run.len;
    if (s->chunk_refusal.code == 0) {
        *used_out = content_read(&s->content, run, &run);
    } else {
        /* Counted, so that a refused chunk cannot go on for ever either. */
        s->content.facts.bytes += run.len;
        if (s->content.facts.bytes / 2 > s->limits->message_bytes_max)
            end_too_big(s);
        run.len = 0;
    }
    s->chunk_left -= *used_out;
    return hand_on(s, run, run_out);
}

/* One move. True: something is wanted, or no move is possible without more input. */
static bool step_once(struct session *s, struct span input, size_t *used_out, struct span *run_out,
                      enum session_want *want_out)
{
    *used_out = 0;
    *want_out = SESSION_WANT_INPUT;
    if (s->tells_refused) {
        s->tells_refused = false;
        *want_out = SESSION_WANT_LOG;
        return true;
    }
    buffer_free_memory(&s->refused_command);
    if (s->abandon) {
        s->abandon = false;
        session_forget_envelope(s);
        *want_out = SESSION_WANT_ABANDON;
        return true;
    }
    switch (s->state) {
    case SESSION_CLOSING:
        *want_out = SESSION_WANT_CLOSE;
        return true;
    case SESSION_RESOLVING:
        *want_out = SESSION_WANT_RECIPIENT;
        return true;
    case SESSION_COMMITTING:
        *want_out = SESSION_WANT_COMMIT;
        return true;
    case SESSION_SECURING:
        *want_out = SESSION_WANT_TLS;
        return true;
    case SESSION_DATA:
        if (content_ended(&s->content)) {
            finish_message(s);
            return false;
        }
        if (input.len == 0)
            return true;
        *want_out = take_data(s, input, used_out, run_out);
        return *want_out != SESSION_WANT_INPUT;
    case SESSION_CHUNK:
        if (s->chunk_left == 0 && lacks_crlf(s)) {
            *want_out = close_last_line(s, run_out);
            return *want_out != SESSION_WANT_INPUT;
        }
        if (s->chunk_left == 0) {
            end_chunk(s);
            return false;
        }
        if (input.len == 0)
            return true;
        *want_out = take_chunk(s, input, used_out, run_out);
        return *want_out != SESSION_WANT_INPUT;
    case SESSION_CONNECTED:
    case SESSION_READY:
    case SESSION_MAIL:
    case SESSION_RECIPIENTS:
    case SESSION_BETWEEN_CHUNKS:
        if (input.len == 0 || s->output.len > SESSION_OUTPUT_MAX - 1024)
            return true;
        *used_out = take_line(s, input);
        return false;
    }
    check(false);
    return true;
}

enum session_want session_step(struct session *s, struct span input, size_t *used_out,
                               struct span *run_out)
{
    enum session_want want;
    *used_out = 0;
    *run_out = (struct span){NULL, 0};
    for (bool wanted = false; !wanted;) {
        size_t used;
        wanted = step_once(s, span_skip(input, *used_out), &used, run_out, &want);
        *used_out += used;
    }
    return want;
}

void session_committed(struct session *s, enum fault fault, struct id id)
{
    check(s->state == SESSION_COMMITTING);
    char text[ID_TEXT_LEN + 1];
    uint32_t replies = content_replies(s);
    session_enter(s, SESSION_READY); /* the content is the owner's: nothing to abandon */
    session_forget_envelope(s);
    id_format(id, text);
    for (uint32_t i = 0; i < replies; i++) {
        if (fault != FAULT_NONE)
            session_reply(s, fault_smtp_code(fault), fault_enhanced(fault), fault_text(fault));
        else
            session_must_fit(s, buffer_printf(&s->output, "250 2.0.0 accepted as %s\r\n", text));
    }
    if (fault != FAULT_NONE)
        count_error(s);
}

void session_speak_lmtp(struct session *s)
{
    s->speaks_lmtp = true;
    s->output.max += (size_t)s->limits->recipients_max * LMTP_REPLY_MAX;
}

void session_offer_tls(struct session *s)
{
    s->offers_tls = true;
}

/* A line that had begun in clear is among what is forgotten (CVE-2011-0411). */
void session_secured(struct session *s)
{
    check(s->state == SESSION_SECURING || s->state == SESSION_CONNECTED);
    if (s->state == SESSION_SECURING)
        session_enter(s, SESSION_CONNECTED);
    s->is_secure = true;
    s->esmtp = false;
    s->skip_line = false;
    buffer_free_memory(&s->line);
    buffer_free_memory(&s->helo);
    session_forget_envelope(s);
}

bool session_is_secure(const struct session *s)
{
    return s->is_secure;
}

void session_refuse_mail(struct session *s, enum fault fault)
{
    s->mail_fault = fault;
}

void session_content_fault(struct session *s, enum fault fault)
{
    if (s->content_fault == FAULT_NONE)
        s->content_fault = fault;
}

struct buffer *session_output(struct session *s)
{
    return &s->output;
}

enum session_state session_state(const struct session *s)
{
    return s->state;
}

struct session_refused session_refused(const struct session *s)
{
    struct session_refused refused = s->refused;
    refused.command = buffer_span(&s->refused_command);
    return refused;
}

size_t session_memory_bytes(const struct session *s)
{
    return s->envelope.used + s->line.capacity + s->output.capacity;
}

struct span session_reverse_path(const struct session *s)
{
    return s->reverse_path;
}

const struct session_recipient *session_recipients(const struct session *s, uint32_t *count_out)
{
    *count_out = s->recipient_count;
    return s->first;
}

uint64_t session_declared_bytes(const struct session *s)
{
    return s->declared_bytes;
}

const struct content_facts *session_facts(const struct session *s)
{
    return &s->content.facts;
}

struct span session_helo(const struct session *s)
{
    return buffer_span(&s->helo);
}

bool session_is_esmtp(const struct session *s)
{
    return s->esmtp;
}

bool session_is_lmtp(const struct session *s)
{
    return s->speaks_lmtp;
}

bool session_is_8bitmime(const struct session *s)
{
    return s->body_8bit;
}

bool session_is_smtputf8(const struct session *s)
{
    return s->smtputf8;
}

enum notify_return session_return(const struct session *s)
{
    return s->ret;
}

struct span session_envid(const struct session *s)
{
    return s->envid;
}
