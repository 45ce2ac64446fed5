/* Both machines of ours, joined back to back: what deliver/smtp_client says is what receive/session
 * understands, with the bytes cut at any place. */
#include "expect.h"

#include "base/buffer.h"
#include "deliver/smtp_client.h"
#include "receive/session.h"

#define RECIPIENTS_MAX 300
#define BYTES_MAX      (1 << 20)
#define PIECE_MAX      40

static const struct client_limits client_limits = {1, 1, 1, 1, 1, 1, 1, 1};

struct pair {
    struct session_limits limits;
    struct session *session;
    struct client *client;
    struct buffer to_server, to_client; /* on their way */
    struct buffer content, kept;        /* of the message under way; of the last one committed */
    struct client_recipient recipients[RECIPIENTS_MAX];
    struct span mail;
    uint32_t kept_recipients;
    uint8_t committed;
    bool may_relay;
    bool result, closed;
};

static void pair_init(struct pair *p, bool may_relay)
{
    *p = (struct pair){.limits = {100000, 200, 500, 100}};
    p->session = session_new(&p->limits, "mx.example");
    p->may_relay = may_relay;
    p->client = client_new(&client_limits, "me.example");
    assert_non_null(p->session);
    assert_non_null(p->client);
    buffer_init(&p->to_server, BYTES_MAX);
    buffer_init(&p->to_client, BYTES_MAX);
    buffer_init(&p->content, BYTES_MAX);
    buffer_init(&p->kept, BYTES_MAX);
    session_greet(p->session);
}

static void pair_fini(struct pair *p)
{
    session_free(p->session);
    client_free(p->client);
    buffer_fini(&p->to_server);
    buffer_fini(&p->to_client);
    buffer_fini(&p->content);
    buffer_fini(&p->kept);
}

static void move(struct buffer *from, struct buffer *to)
{
    assert_true(buffer_put(to, buffer_span(from)));
    buffer_consume(from, from->len);
}

static void commit(struct pair *p)
{
    struct id id = {{0}};
    id.bytes[15] = ++p->committed;
    buffer_reset(&p->kept);
    move(&p->content, &p->kept);
    (void)session_recipients(p->session, &p->kept_recipients);
    session_committed(p->session, FAULT_NONE, id);
}

static void serve(struct pair *p, struct span input)
{
    enum session_want want;
    do {
        size_t used;
        struct span run;
        want = session_step(p->session, input, &used, &run);
        input = span_skip(input, used);
        move(session_output(p->session), &p->to_client);
        if (want == SESSION_WANT_KEEP)
            assert_true(buffer_put(&p->content, run));
        if (want == SESSION_WANT_RECIPIENT)
            session_recipient_resolved(p->session, p->may_relay ? FAULT_NONE : FAULT_RELAYING, NULL,
                                       0);
        if (want == SESSION_WANT_COMMIT)
            commit(p);
        if (want == SESSION_WANT_ABANDON)
            buffer_reset(&p->content);
        p->closed = want == SESSION_WANT_CLOSE;
    } while (!p->closed && (input.len > 0 || want != SESSION_WANT_INPUT));
}

static void send_content(struct pair *p)
{
    bool line_start = true;
    for (struct span rest = p->mail; rest.len > 0;) {
        bool stuff;
        struct span run = content_stuff(&rest, &line_start, &stuff);
        if (stuff)
            assert_true(buffer_put_text(&p->to_server, "."));
        assert_true(buffer_put(&p->to_server, run));
    }
    assert_true(client_content_end(p->client));
    assert_true(buffer_put_text(&p->to_server, ".\r\n"));
}

static void listen_to(struct pair *p, struct span input)
{
    enum client_want want;
    do {
        size_t used;
        want = client_step(p->client, input, &used);
        input = span_skip(input, used);
        move(client_output(p->client), &p->to_server);
        if (want == CLIENT_WANT_CONTENT)
            send_content(p);
        if (want == CLIENT_WANT_RESULT)
            p->result = true;
        p->closed |= want == CLIENT_WANT_CLOSE;
    } while (!p->closed &&
             (input.len > 0 || want == CLIENT_WANT_CONTENT || want == CLIENT_WANT_RESULT));
}

/* At most `piece` bytes, out of the way before they are read: reading may bring more. */
static struct span take(struct buffer *from, size_t piece, uint8_t *copy)
{
    size_t len = from->len < piece ? from->len : piece;
    if (len > 0)
        memcpy(copy, from->data, len);
    buffer_consume(from, len);
    return span_of(copy, len);
}

static void run(struct pair *p, size_t piece)
{
    static uint8_t copy[BYTES_MAX];
    listen_to(p, SPAN(""));
    serve(p, SPAN(""));
    while (!p->closed && (p->to_server.len > 0 || p->to_client.len > 0)) {
        serve(p, take(&p->to_server, piece, copy));
        listen_to(p, take(&p->to_client, piece, copy));
    }
}

static void transact(struct pair *p, struct span mail, uint32_t count, size_t piece)
{
    for (uint32_t i = 0; i < count; i++)
        p->recipients[i].path = i % 3 == 1 ? SPAN("\"a > b\"@d.example") : SPAN("c@d.example");
    struct client_transaction t = {.reverse_path = SPAN("a@b.example"),
                                   .recipients = p->recipients,
                                   .recipient_count = count,
                                   .content_bytes = mail.len,
                                   .is_8bitmime = true};
    p->mail = mail;
    p->result = false;
    client_begin(p->client, &t);
    run(p, piece);
    assert_true(p->result);
}

static void expect_results(const struct pair *p, uint32_t from, uint32_t to,
                           enum client_verdict verdict, int code)
{
    for (uint32_t i = from; i < to; i++) {
        assert_int_equal(p->recipients[i].result.verdict, verdict);
        assert_int_equal(p->recipients[i].result.code, code);
    }
}

static const char mail[] = "Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n\r\n\xc3\xa9\r\na.\r\n.\r\n";

static void mail_arrives_as_it_was(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= PIECE_MAX; piece++) {
        struct pair p;
        pair_init(&p, true);
        for (uint32_t count = 1; count <= 4; count++) {
            transact(&p, span_text(mail), count, piece);
            expect_results(&p, 0, count, CLIENT_DELIVERED, 250);
            expect_span(buffer_span(&p.kept), span_text(mail));
            assert_int_equal(p.kept_recipients, count);
            assert_int_equal(p.committed, count);
        }
        transact(&p, SPAN(""), 1, piece);
        expect_results(&p, 0, 1, CLIENT_DELIVERED, 250);
        assert_int_equal(p.kept.len, 0);
        assert_true(client_is_usable(p.client));
        client_quit(p.client);
        run(&p, piece);
        assert_true(p.closed);
        pair_fini(&p);
    }
}

static void refusals_come_back_and_the_connection_goes_on(void **state)
{
    (void)state;
    static uint8_t big[100001];
    memset(big, 'x', sizeof big);
    for (size_t piece = 1; piece <= PIECE_MAX; piece += 3) {
        struct pair p;
        pair_init(&p, true);
        /* more recipients than are taken: the rest may come again */
        transact(&p, span_text(mail), RECIPIENTS_MAX, piece);
        expect_results(&p, 0, 200, CLIENT_DELIVERED, 250);
        expect_results(&p, 200, RECIPIENTS_MAX, CLIENT_DEFERRED, 452);
        assert_int_equal(p.kept_recipients, 200);
        /* by the server */
        transact(&p, SPAN("a\nb\r\n"), 2, piece);
        expect_results(&p, 0, 2, CLIENT_FAILED, 554);
        /* known beforehand */
        transact(&p, span_of(big, sizeof big), 2, piece);
        expect_results(&p, 0, 2, CLIENT_FAILED, 0);
        assert_int_equal(p.recipients[0].result.fault, FAULT_TOO_BIG);
        assert_int_equal(p.committed, 1);
        transact(&p, span_text(mail), 1, piece);
        expect_results(&p, 0, 1, CLIENT_DELIVERED, 250);
        assert_int_equal(p.committed, 2);
        pair_fini(&p);
    }
}

static void strangers_are_refused_again_and_again(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= PIECE_MAX; piece++) {
        struct pair p;
        pair_init(&p, false);
        for (int i = 0; i < 5; i++) {
            transact(&p, span_text(mail), 3, piece);
            expect_results(&p, 0, 3, CLIENT_FAILED, 550);
            assert_true(client_is_usable(p.client));
        }
        assert_int_equal(p.committed, 0);
        pair_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_arrives_as_it_was),
        cmocka_unit_test(refusals_come_back_and_the_connection_goes_on),
        cmocka_unit_test(strangers_are_refused_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
