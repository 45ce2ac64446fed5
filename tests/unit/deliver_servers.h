/*
 * deliver_servers: SMTP servers that misbehave as told, and keep a ledger of what they took.
 */
#ifndef TESTS_UNIT_DELIVER_SERVERS_H
#define TESTS_UNIT_DELIVER_SERVERS_H

#include "deliver_scene.h"

static void session_end(struct session *s)
{
    link_close(&s->link);
    timer_cancel(house.loop, &s->timer);
    buffer_fini(&s->in);
    buffer_fini(&s->out);
    buffer_fini(&s->sending);
    buffer_fini(&s->content);
    list_remove(&s->node);
    free(s);
}

static void session_timer(struct session *s, int64_t us)
{
    assert_int_equal(timer_set(house.loop, &s->timer, loop_mono_us(house.loop) + us), FAULT_NONE);
}

/* From now on TLS; or what a bad server does then. */
static void session_secure(struct session *s)
{
    const struct manner *m = &s->host->manner;
    s->is_tls_next = false;
    if (m->is_mute_in_handshake) {
        link_read_pause(&s->link, true);
        s->is_silent = true;
        return;
    }
    if (m->breaks_handshake) {
        s->is_junk_next = true;
        return;
    }
    struct tls_stream *stream = tls_stream_accept(house.tls);
    assert_non_null(stream);
    buffer_reset(&s->in);
    link_start_tls(&s->link, stream, (struct span){NULL, 0});
}

/* True: the session is gone. */
static bool session_flush(struct session *s)
{
    if (s->is_sending || (s->host->manner.is_slow && s->after == 0 && chance(500000)))
        return false;
    if (s->out.len > 0) {
        struct buffer sent = s->sending;
        s->sending = s->out;
        s->out = sent;
        buffer_reset(&s->out);
        struct span part = buffer_span(&s->sending);
        s->is_sending = link_send(&s->link, &part, 1) == SEND_LATER;
    }
    if (s->is_sending)
        return false;
    if (s->is_tls_next)
        session_secure(s);
    if (s->after == 0)
        return false;
    if (s->after == '$') {
        tls_stream_close(s->link.stream);
        struct span goodbye = buffer_span(tls_stream_output(s->link.stream));
        (void)socket_send(s->link.socket, &goodbye, 1);
        buffer_reset(tls_stream_output(s->link.stream));
        s->after = '~';
    }
    if (s->after == '~') {
        s->is_silent = true;
        link_read_pause(&s->link, true);
        return false;
    }
    if (s->after == '#')
        sim_socket_reset(s->link.socket);
    session_end(s);
    return true;
}

static bool says(struct session *s, enum moment when, const char *normal)
{
    const struct misdeed *bad = &s->host->manner.at[when];
    const char *text = normal;
    if (bad->text != NULL && (bad->times == 0 || s->host->done[when] < bad->times)) {
        s->host->done[when]++;
        text = bad->text;
    }
    size_t len = strlen(text);
    char last = len == 0 ? 0 : text[len - 1];
    if (last == '!' || last == '#' || last == '~' || last == '$') {
        s->after = last;
        len--;
    }
    assert_true(buffer_put(&s->out, span_of(text, len)));
    return text == normal;
}

static uint32_t message_number(struct span content)
{
    unsigned number = UINT32_MAX;
    char line[64] = {0};
    struct span second = span_skip(content, 16);
    memcpy(line, second.data, second.len < 63 ? second.len : 63);
    if (sscanf(line, "Message: %u\r\n", &number) != 1 || number >= house.message_count)
        fail_msg("a server got what nobody sent");
    return number;
}

static struct span expected_at(const struct session *s, const struct message *m)
{
    return s->is_7bit && m->converted.len > 0 ? buffer_span(&m->converted) : m->content;
}

/* For these recipients the content is taken, or not. */
static void take(struct session *s, struct message *m, const char *recipients, uint32_t count,
                 bool is_good)
{
    struct span content = buffer_span(&s->content);
    assert_true(house.ledger_count < LEDGER_MAX);
    struct ledger_entry *e = &house.ledger[house.ledger_count++];
    size_t before = s->out.len;
    if (is_good)
        assert_true(buffer_put_text(&s->out, "250 2.0.0 taken\r\n"));
    else
        (void)says(s, AT_DOT, "250 2.0.0 taken\r\n");
    *e = (struct ledger_entry){.host = (uint32_t)(s->host - house.hosts),
                               .message = (uint32_t)(m - house.messages),
                               .is_yes = !s->has_refused && s->out.len > before &&
                                         s->out.data[before] == '2',
                               .is_whole = span_equal(content, expected_at(s, m)),
                               .recipients = strdup(recipients)};
    assert_true(e->is_whole); /* a part of a message must not be ended by a dot */
    m->taken += e->is_yes ? count : 0;
}

/* RFC 2033 4.2: a reply for each. */
static void take_singly(struct session *s, struct message *m)
{
    struct span rest = span_text(s->recipients);
    for (uint32_t i = 0; rest.len > 0 && s->after == 0; i++) {
        struct span path;
        char one[300];
        rest = span_split(rest, ' ', &path);
        snprintf(one, sizeof one, "%.*s ", SPAN_PRINT(path));
        take(s, m, one, 1, i < s->host->manner.good_dots);
    }
}

/* The final dot has come. */
static void on_dot(struct session *s)
{
    struct span content = buffer_span(&s->content);
    s->is_in_data = false;
    if (s->recipient_count == 0 && content.len == 0) { /* the way out when nobody was taken */
        assert_false(s->host->manner.is_lmtp);
        (void)says(s, AT_DOT, "554 5.5.1 nobody\r\n");
        return;
    }
    struct message *m = &house.messages[message_number(content)];
    assert_true(m->sendings > 0); /* the record was written before (docs/SPOOL.md) */
    if (s->host->manner.is_lmtp)
        take_singly(s, m);
    else
        take(s, m, s->recipients, s->recipient_count, false);
    s->recipient_count = 0;
    s->recipients[0] = 0;
    buffer_reset(&s->content);
    s->host->transactions++;
}

static void on_content_line(struct session *s, struct span line)
{
    if (span_equal(line, SPAN(".\r\n"))) {
        on_dot(s);
        return;
    }
    if (line.data[0] == '.')
        line = span_skip(line, 1);
    assert_true(buffer_put(&s->content, line));
    const struct manner *m = &s->host->manner;
    bool is_time = m->at[AT_CONTENT].text != NULL && s->content.len >= m->mid_data;
    if (is_time && !says(s, AT_CONTENT, ""))
        s->has_refused = true;
}

static void on_rcpt(struct session *s, struct span path)
{
    char reply[64] = "250 2.1.5 ok\r\n";
    if (path.len > 4 && path.data[1] >= '2' && path.data[1] <= '5' && path.data[2] <= '9')
        snprintf(reply, sizeof reply, "%.3s 0.0.0 as asked\r\n", (const char *)path.data + 1);
    size_t before = s->out.len;
    (void)says(s, AT_RCPT, reply);
    if (s->out.len == before || s->out.data[before] != '2')
        return;
    size_t used = strlen(s->recipients);
    if (used + path.len + 2 < sizeof s->recipients)
        snprintf(s->recipients + used, sizeof s->recipients - used, "%.*s ", SPAN_PRINT(path));
    s->recipient_count++;
}

static void on_data(struct session *s)
{
    size_t before = s->out.len;
    (void)says(s, AT_DATA,
               s->recipient_count > 0 ? "354 go ahead\r\n" : "554 5.5.1 no recipients\r\n");
    struct span said = span_skip(buffer_span(&s->out), before);
    s->is_in_data = span_starts_with(said, SPAN("3"));
    s->has_refused = span_find(said, SPAN("552"), 0) < said.len; /* already */
    buffer_reset(&s->content);
}

/* RFC 3030: the whole message in one chunk. */
static void on_bdat(struct session *s, struct span text)
{
    unsigned long long bytes;
    char line[64], last[8] = "";
    assert_true(s->host->manner.offers_chunks && s->recipient_count > 0 && text.len < sizeof line);
    snprintf(line, sizeof line, "%.*s", SPAN_PRINT(text));
    assert_int_equal(sscanf(line, "BDAT %llu %7s", &bytes, last), 2);
    assert_string_equal(last, "LAST");
    s->host->chunks++;
    s->chunk_bytes = bytes;
    s->is_in_chunk = true;
    s->has_refused = false;
    buffer_reset(&s->content);
}

/* Gives what is not of the chunk. */
static struct span take_chunk(struct session *s, struct span bytes)
{
    struct span part = span_sub(bytes, 0, s->chunk_bytes);
    assert_true(buffer_put(&s->content, part));
    s->chunk_bytes -= part.len;
    const struct manner *m = &s->host->manner;
    bool is_time = m->at[AT_CONTENT].text != NULL && s->content.len >= m->mid_data;
    if (is_time && !s->has_refused && !says(s, AT_CONTENT, ""))
        s->has_refused = true;
    if (s->chunk_bytes == 0 && s->after == 0) {
        s->is_in_chunk = false;
        on_dot(s);
    }
    return span_skip(bytes, part.len);
}

static const char *offer_of(const struct session *s)
{
    const struct manner *m = &s->host->manner;
    if (m->offers_tls && s->link.stream == NULL)
        return "250-here\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n";
    if (m->offers_chunks)
        return "250-here\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n";
    return m->has_no_pipelining ? "250-here\r\n250 SIZE\r\n"
                                : "250-here\r\n250-PIPELINING\r\n250 8BITMIME\r\n";
}

static void on_command(struct session *s, struct span line)
{
    struct span text = span_sub(line, 0, line.len - 2);
    assert_true(line.len >= 6 && line.data[line.len - 2] == '\r' && line.len <= 512);
    if (span_starts_with(text, s->host->manner.is_lmtp ? SPAN("LHLO ") : SPAN("EHLO "))) {
        const char *offer = offer_of(s);
        s->is_7bit = !says(s, AT_EHLO, offer) || strstr(offer, "8BITMIME") == NULL;
    } else if (span_equal(text, SPAN("STARTTLS"))) {
        assert_null(s->link.stream);
        s->is_tls_next =
            says(s, AT_STARTTLS, "220 go ahead\r\n") || s->host->manner.is_tls_after_misdeed;
    } else if (span_starts_with(text, SPAN("HELO "))) {
        (void)says(s, AT_HELO, "250 here\r\n");
    } else if (span_starts_with(text, SPAN("MAIL FROM:<sender@a.example>"))) {
        s->recipient_count = 0;
        s->recipients[0] = 0;
        s->host->mails++;
        s->host->mails_in_clear += s->link.stream == NULL;
        (void)says(s, AT_MAIL, "250 2.1.0 ok\r\n");
    } else if (span_starts_with(text, SPAN("RCPT TO:"))) {
        on_rcpt(s, span_skip(text, 8));
    } else if (span_equal(text, SPAN("DATA"))) {
        on_data(s);
    } else if (span_starts_with(text, SPAN("BDAT "))) {
        on_bdat(s, text);
    } else if (span_equal(text, SPAN("RSET"))) {
        s->host->resets++;
        (void)says(s, AT_RSET, "250 2.0.0 ok\r\n");
    } else {
        expect_span(text, SPAN("QUIT"));
        s->host->quits++;
        (void)says(s, AT_QUIT, "221 2.0.0 bye\r\n!");
    }
}

static void session_work(struct session *s)
{
    struct span rest = buffer_span(&s->in);
    while (rest.len > 0 && s->after == 0 && !s->is_silent && !s->is_tls_next) {
        if (s->is_in_chunk) {
            rest = take_chunk(s, rest);
            continue;
        }
        size_t end = span_find_byte(rest, '\n', 0);
        if (end == rest.len)
            break;
        struct span line = span_sub(rest, 0, end + 1);
        rest = span_skip(rest, end + 1);
        if (s->is_in_data)
            on_content_line(s, line);
        else
            on_command(s, line);
    }
    buffer_consume(&s->in, s->in.len - rest.len);
    const struct manner *m = &s->host->manner;
    if (!session_flush(s) && m->closes_idle_ms > 0 && !s->is_in_data)
        session_timer(s, m->closes_idle_ms * 1000);
}

static void session_dawdle(struct session *s)
{
    if (s->host->manner.is_slow)
        session_timer(s, 1 + (int64_t)below(300000));
}

static void on_session_time(void *context)
{
    struct session *s = context;
    if (!s->host->manner.is_slow) { /* it was idle for too long */
        session_end(s);
        return;
    }
    link_read_pause(&s->link, s->is_silent || chance(400000));
    session_dawdle(s);
    (void)session_flush(s);
}

static void on_session_bytes(void *context, struct span bytes)
{
    struct session *s = context;
    if (s->is_junk_next) {
        struct span junk = SPAN("this is no TLS\r\n");
        (void)link_send(&s->link, &junk, 1);
        s->is_silent = true;
        link_read_pause(&s->link, true);
        return;
    }
    assert_true(buffer_put(&s->in, bytes));
    if (s->host->manner.is_slow && chance(500000))
        link_read_pause(&s->link, true);
    session_work(s);
}

static void on_session_sent(void *context)
{
    struct session *s = context;
    s->is_sending = false;
    (void)session_flush(s);
}

static void on_session_end(void *context, enum fault fault)
{
    (void)fault;
    session_end(context);
}

static void on_session_secure(void *context, enum fault fault)
{
    struct session *s = context;
    s->host->secured += fault == FAULT_NONE;
    if (fault != FAULT_NONE)
        session_end(s);
}

static const struct link_events session_events = {.on_bytes = on_session_bytes,
                                                  .on_sent = on_session_sent,
                                                  .on_secure = on_session_secure,
                                                  .on_end = on_session_end};

static void on_accept(void *context, struct socket *connection, struct endpoint peer)
{
    struct host *h = context;
    struct session *s = calloc(1, sizeof *s);
    assert_int_equal(peer.ip[3], 1);
    assert_non_null(s);
    h->connections++;
    s->host = h;
    buffer_init(&s->in, 16 << 20);
    buffer_init(&s->out, 1 << 20);
    buffer_init(&s->sending, 1 << 20);
    buffer_init(&s->content, 16 << 20);
    timer_init(&s->timer, on_session_time, s);
    list_append(&house.sessions, &s->node);
    link_adopt(&s->link, house.loop, connection, &session_events, s);
    (void)says(s, AT_GREETING, "220 here\r\n");
    session_dawdle(s);
    (void)session_flush(s);
}

static const struct socket_events listener_events = {.on_accept = on_accept};

static bool servers_turn(void *context)
{
    (void)context;
    loop_poll(house.loop, true);
    return true;
}

static inline void host_listen(struct host *h)
{
    assert_int_equal(socket_listen(house.loop, h->at, &listener_events, h, &h->listener),
                     FAULT_NONE);
}

static inline void host_down(struct host *h)
{
    socket_close(h->listener);
    h->listener = NULL;
}

#endif
