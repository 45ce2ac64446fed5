/*
 * The server's protocol machine: any bytes, in pieces of any size, give the same replies and the
 * same content, and it never stops making progress.
 */
#include "base/check.h"
#include "receive/session.h"

#define OUTPUT_MAX (16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct session_limits limits = {2000, 5, 20, 20};

/* By its first letter: refused, an alias of three, or itself. */
static void resolve(struct session *s)
{
    const struct span three[] = {SPAN("a@b"), SPAN("c@d"), SPAN("e@f")};
    struct span local = session_asked(s)->address.local;
    uint8_t first = local.len == 0 ? 0 : local.data[0];
    if (first == 'r')
        session_recipient_resolved(s, FAULT_RELAYING, NULL, 0);
    else
        session_recipient_resolved(s, FAULT_NONE, three, first == 't' ? 3 : 0);
}

static bool on_want(struct session *s, enum session_want want, struct span run, struct buffer *out)
{
    struct id id = {{1}};
    if (want == SESSION_WANT_KEEP)
        check(run.len > 0);
    if (want == SESSION_WANT_LOG)
        check(session_refused(s).reply.code >= 400);
    if (want == SESSION_WANT_RECIPIENT)
        resolve(s);
    if (want == SESSION_WANT_COMMIT)
        session_committed(s, FAULT_NONE, id);
    struct buffer *replies = session_output(s);
    check(buffer_put(out, buffer_span(replies)));
    buffer_consume(replies, replies->len);
    return want != SESSION_WANT_CLOSE;
}

static void run_in_pieces(struct span input, size_t piece, struct buffer *out)
{
    struct session *s = session_new(&limits, "mx.example");
    if (s == NULL)
        return;
    bool open = true;
    session_greet(s);
    for (; open && input.len > 0; input = span_skip(input, piece)) {
        struct span rest = span_sub(input, 0, piece);
        for (enum session_want want = SESSION_WANT_ABANDON;
             open && (rest.len > 0 || want != SESSION_WANT_INPUT);) {
            size_t used;
            struct span run;
            want = session_step(s, rest, &used, &run);
            open = on_want(s, want, run, out);
            rest = span_skip(rest, used);
        }
    }
    session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole, split;
    if (size < 2)
        return 0;
    buffer_init(&whole, OUTPUT_MAX);
    buffer_init(&split, OUTPUT_MAX);
    run_in_pieces(span_of(data + 1, size - 1), size, &whole);
    run_in_pieces(span_of(data + 1, size - 1), 1 + data[0] % 64, &split);
    check(span_equal(buffer_span(&whole), buffer_span(&split)));
    buffer_fini(&whole);
    buffer_fini(&split);
    return 0;
}
