/*
 * The client's protocol machine: whatever a server sends, in pieces of any size, lost at any byte,
 * each recipient gets exactly one result, the same for every split; DELIVERED needs a final dot and
 * a 2xx behind it.
 *
 * The first bytes of an input: size of the pieces; recipients, 8-bit, a bad path, TLS, LMTP; where
 * the connection is lost; how many bytes come between 354 and the final dot. The rest is what the
 * server says.
 */
#include "base/buffer.h"
#include "base/check.h"
#include "deliver/smtp_client.h"

#define OUTPUT_MAX       (16 * 1024 * 1024)
#define OPTIONS          4
#define RECIPIENTS_MAX   8
#define TRANSACTIONS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct client_limits limits = {1, 1, 1, 1, 1, 1, 1, 1};

struct play {
    struct client *client;
    struct client_recipient recipients[RECIPIENTS_MAX];
    uint32_t count, begun;
    bool under_way, dot_sent, is_8bit, has_bad_path;
    size_t at, lost_at, dot_delay, dot_at; /* of the server's bytes; SIZE_MAX: never */
    struct buffer *results;
};

static void begin(struct play *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        p->recipients[i].path = i % 3 == 1 ? SPAN("c@d\xc3\xbc.example") : SPAN("c@d.example");
        p->recipients[i].orcpt = SPAN("rfc822;c@d.example");
        p->recipients[i].notify = (uint8_t)i;
    }
    if (p->has_bad_path)
        p->recipients[p->count / 2].path = SPAN("c@d.example>\r\nRCPT TO:<e@f.example");
    struct client_transaction t = {
        .reverse_path = SPAN("a@b.example"),
        .recipients = p->recipients,
        .recipient_count = p->count,
        .content_bytes = 1000,
        .is_8bitmime = p->is_8bit,
        .likes_chunks = p->begun % 2 == 0,
        .ret = RETURN_FULL,
        .envid = SPAN("QQ314159"),
    };
    p->under_way = true;
    p->dot_sent = false;
    p->dot_at = SIZE_MAX;
    p->begun++;
    client_begin(p->client, &t);
}

static void check_result(const struct play *p, const struct client_result *r)
{
    check(r->phase != CLIENT_QUIT && r->code >= 0 && r->code <= 999);
    switch (r->verdict) {
    case CLIENT_DELIVERED:
        check(p->dot_sent && r->phase == CLIENT_DOT && r->fault == FAULT_NONE);
        check(r->code / 100 == 2 && r->status.class == 2);
        break;
    case CLIENT_DEFERRED:
        check(r->status.class == 4 && (r->fault != FAULT_NONE || r->code >= 400));
        break;
    case CLIENT_FAILED:
        check(r->status.class == 5);
        check(r->code / 100 == 5 || r->fault == FAULT_SYNTAX || r->fault == FAULT_TOO_BIG ||
              r->fault == FAULT_NO_UTF8 || r->fault == FAULT_NO_8BIT);
        break;
    case CLIENT_UNDECIDED:
    case CLIENT_TAKEN:
        check(false);
    }
}

static void take_results(struct play *p)
{
    const struct client_outcome *o = client_outcome(p->client);
    check(p->under_way);
    p->under_way = false;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct client_result *r = &p->recipients[i].result;
        check_result(p, r);
        check(buffer_printf(p->results, "%d %d %d %d ", r->verdict, r->phase, r->fault, r->code));
        check(buffer_put(p->results, r->text));
    }
    check(!o->in_doubt || p->dot_sent);
    check(client_is_usable(p->client) == (o->trouble.verdict == CLIENT_UNDECIDED));
    check(buffer_printf(p->results, "\n%d%d%d %d %d %d\n", o->is_host_trouble, o->is_stale,
                        o->in_doubt, o->trouble.phase, o->trouble.fault, o->trouble.code));
}

static void take_output(struct play *p)
{
    struct buffer *out = client_output(p->client);
    check(out->len <= CLIENT_OUTPUT_MAX);
    check(out->len == 0 || (out->len > 2 && out->data[out->len - 1] == '\n'));
    buffer_consume(out, out->len);
}

/* Up to the end of `input`, or to 354: play goes on from p->at. False: the connection is closed. */
static bool give(struct play *p, struct span input)
{
    for (;;) {
        size_t used;
        enum client_want want = client_step(p->client, input, &used);
        input = span_skip(input, used);
        p->at += used;
        take_output(p);
        switch (want) {
        case CLIENT_WANT_CLOSE:
            return false;
        case CLIENT_WANT_CONTENT:
            p->dot_at = p->at + p->dot_delay;
            return true;
        case CLIENT_WANT_JUDGEMENT:
            client_judge(p->client, (enum downgrade_verdict)(p->count % 3), 3000);
            break;
        case CLIENT_WANT_TLS:
            client_secured(p->client); /* what follows came under TLS */
            break;
        case CLIENT_WANT_RESULT:
            take_results(p);
            if (p->begun < TRANSACTIONS_MAX)
                begin(p);
            else
                client_quit(p->client);
            break;
        case CLIENT_WANT_IDLE:
        case CLIENT_WANT_INPUT:
            if (input.len == 0)
                return true;
            break;
        }
    }
}

/* Up to the next place where something happens, at most `piece`. */
static struct span next_piece(const struct play *p, struct span server, size_t piece)
{
    size_t end = server.len;
    if (p->lost_at >= p->at && p->lost_at < end)
        end = p->lost_at;
    if (p->dot_at > p->at && p->dot_at < end)
        end = p->dot_at;
    return span_sub(server, p->at, end - p->at < piece ? end - p->at : piece);
}

static void play(struct play *p, struct span server, size_t piece)
{
    begin(p);
    bool open = give(p, SPAN(""));
    while (open && p->at < server.len && p->at != p->lost_at) {
        open = give(p, next_piece(p, server, piece));
        if (open && p->at == p->dot_at && !p->dot_sent)
            p->dot_sent = client_content_end(p->client);
    }
    client_lost(p->client, FAULT_CONNECTION_LOST);
    while (give(p, SPAN("")))
        ;
    check(!p->under_way);
    check(client_phase(p->client) == CLIENT_CLOSED);
}

static void run_in_pieces(const uint8_t *data, size_t size, size_t piece, struct buffer *results)
{
    struct play p = {.client = client_new(&limits, "me.example"), .results = results};
    if (p.client == NULL)
        return;
    p.count = 1 + data[1] % RECIPIENTS_MAX;
    p.is_8bit = (data[1] & 8) != 0;
    p.has_bad_path = (data[1] & 16) != 0;
    client_speak(p.client, (struct client_manner){.wishes_tls = (data[1] & 32) != 0,
                                                  .is_lmtp = (data[1] & 64) != 0,
                                                  .needs_tls = (data[1] & 128) != 0});
    p.lost_at = data[2] == 255 ? SIZE_MAX : (size_t)data[2] * 4;
    p.dot_delay = data[3];
    p.dot_at = SIZE_MAX;
    play(&p, span_of(data + OPTIONS, size - OPTIONS), piece);
    client_free(p.client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole, split;
    if (size < OPTIONS)
        return 0;
    buffer_init(&whole, OUTPUT_MAX);
    buffer_init(&split, OUTPUT_MAX);
    run_in_pieces(data, size, 1, &whole);
    run_in_pieces(data, size, 1 + data[0] % 64, &split);
    check(span_equal(buffer_span(&whole), buffer_span(&split)));
    buffer_fini(&whole);
    buffer_fini(&split);
    return 0;
}
