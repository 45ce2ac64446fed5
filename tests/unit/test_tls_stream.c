#include "expect.h"

#include "tls/stream.h"
#include "tls_files.h"

struct pair {
    struct tls_context *server_context, *client_context;
    struct tls_stream *server, *client;
    size_t piece; /* bytes of the wire are handed over in pieces of this size */
    struct buffer at_server, at_client;
};

static void open_pair(struct pair *p, const char *name, size_t piece)
{
    *p = (struct pair){.piece = piece};
    p->server_context = tls_files_server();
    p->client_context = tls_files_client();
    p->server = tls_stream_accept(p->server_context);
    p->client = tls_stream_connect(p->client_context, name, 1000);
    buffer_init(&p->at_server, 4 << 20);
    buffer_init(&p->at_client, 4 << 20);
}

static void close_pair(struct pair *p)
{
    tls_stream_free(p->server);
    tls_stream_free(p->client);
    tls_context_free(p->server_context);
    tls_context_free(p->client_context);
    buffer_fini(&p->at_server);
    buffer_fini(&p->at_client);
}

static void read_all(struct tls_stream *s, struct buffer *to)
{
    for (struct span plain; (plain = tls_stream_read(s)).len > 0;)
        assert_true(buffer_put(to, plain));
}

/* One direction; true: something moved. */
static bool carry(struct tls_stream *from, struct tls_stream *to, struct buffer *plain,
                  size_t piece)
{
    struct buffer *wire = tls_stream_output(from);
    bool moved = wire->len > 0;
    while (wire->len > 0) {
        size_t n = wire->len < piece ? wire->len : piece;
        (void)tls_stream_feed(to, span_of(wire->data, n));
        buffer_consume(wire, n);
        read_all(to, plain);
    }
    return moved;
}

static void talk(struct pair *p)
{
    bool moved = true;
    while (moved) {
        moved = carry(p->client, p->server, &p->at_server, p->piece);
        moved |= carry(p->server, p->client, &p->at_client, p->piece);
    }
}

static void every_split_of_the_wire(void **state)
{
    (void)state;
    uint8_t content[70000];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 31 >> 3);
    static const size_t pieces[] = {1, 2, 3, 5, 17, 1000, 65536};
    for (size_t i = 0; i < ROWS(pieces); i++) {
        struct pair p;
        open_pair(&p, NULL, pieces[i]);
        talk(&p);
        assert_int_equal(tls_stream_state(p.server), TLS_OPEN);
        assert_int_equal(tls_stream_state(p.client), TLS_OPEN);
        assert_string_equal(tls_stream_version(p.server), "TLSv1.3");
        assert_true(tls_stream_write(p.client, SPAN("EHLO client.test\r\n")));
        assert_true(tls_stream_write(p.server, span_of(content, sizeof content)));
        talk(&p);
        expect_span(buffer_span(&p.at_server), SPAN("EHLO client.test\r\n"));
        expect_span(buffer_span(&p.at_client), span_of(content, sizeof content));
        tls_stream_close(p.client);
        talk(&p);
        assert_int_equal(tls_stream_state(p.server), TLS_CLOSED);
        close_pair(&p);
    }
}

static void plain_bytes_are_no_handshake(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p, NULL, 65536);
    assert_false(tls_stream_write(p.server, SPAN("220 too early\r\n")));
    assert_true(tls_stream_feed(p.server, SPAN("EHLO client.test\r\n")));
    read_all(p.server, &p.at_server);
    assert_int_equal(tls_stream_state(p.server), TLS_FAILED);
    assert_int_equal(p.at_server.len, 0);
    assert_true(tls_stream_trouble(p.server)[0] != '\0');
    assert_false(tls_stream_write(p.server, SPAN("x")));
    assert_false(tls_stream_feed(p.server, SPAN("x")));
    close_pair(&p);
}

/* A flipped bit anywhere in a record: nothing of it comes out. */
static void damaged_records(void **state)
{
    (void)state;
    for (size_t at = 0; at < 39; at++) {
        struct pair p;
        open_pair(&p, NULL, 65536);
        talk(&p);
        assert_true(tls_stream_write(p.client, SPAN("NOOP damaged\r\n")));
        struct buffer *wire = tls_stream_output(p.client);
        if (at < wire->len)
            wire->data[at] ^= 0x40;
        (void)carry(p.client, p.server, &p.at_server, 65536);
        bool is_beyond = at >= 36; /* 5 + 14 + 1 + 16 bytes */
        if (!is_beyond)
            assert_int_equal(p.at_server.len, 0);
        close_pair(&p);
    }
}

static void the_certificate_that_was_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *given;
    } rows[] = {{"one.test", "one.test"},
                {"two.test", "two.test"},
                {"TWO.test", "two.test"},
                {"other.test", "one.test"},
                {NULL, "one.test"}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct pair p;
        char name[TLS_NAME_MAX];
        open_pair(&p, rows[i].asked, 100);
        talk(&p);
        assert_int_equal(tls_stream_state(p.client), TLS_OPEN);
        assert_true(tls_stream_peer_name(p.client, name));
        assert_string_equal(name, rows[i].given);
        close_pair(&p);
    }
}

static void bad_files(void **state)
{
    (void)state;
    struct tls_certificate crossed = {.certificate = certificates[0].certificate,
                                      .key = certificates[1].key};
    struct tls_certificate missing = {.certificate = "/nowhere/at/all.pem",
                                      .key = certificates[0].key};
    struct tls_certificate swapped = {.certificate = certificates[0].key,
                                      .key = certificates[0].certificate};
    struct tls_context *c;
    struct buffer why;
    buffer_init(&why, 4096);
    assert_int_equal(tls_server_new(&crossed, 1, ticket_keys, &why, &c), FAULT_SYNTAX);
    assert_true(why.len > 0);
    assert_int_equal(tls_server_new(&missing, 1, ticket_keys, &why, &c), FAULT_NOT_FOUND);
    assert_int_equal(tls_server_new(&swapped, 1, ticket_keys, &why, &c), FAULT_SYNTAX);
    buffer_fini(&why);
}

/* The owner that does not take its wire bytes is told, and nothing grows without limit. */
static void output_is_bounded(void **state)
{
    (void)state;
    struct pair p;
    uint8_t block[16384] = {0};
    open_pair(&p, NULL, 65536);
    talk(&p);
    size_t written = 0;
    while (tls_stream_write(p.server, span_of(block, sizeof block)))
        written += sizeof block;
    assert_true(written > TLS_OUTPUT_MAX / 2 && written < TLS_OUTPUT_MAX);
    assert_int_equal(tls_stream_state(p.server), TLS_OPEN);
    talk(&p);
    assert_int_equal(p.at_client.len, written);
    assert_true(tls_stream_write(p.server, SPAN("goes on")));
    close_pair(&p);
}

static int make_files(void **state)
{
    (void)state;
    tls_files_make();
    return 0;
}

/* Of a handshake with the server's first certificate, at this time, with these authorities. */
static void expect_verified(const char *authorities, int64_t wall_ms, struct span name,
                            const char *why_not)
{
    struct pair p;
    const char *why;
    open_pair(&p, NULL, 1000);
    tls_stream_free(p.client);
    if (authorities != NULL) {
        tls_context_free(p.client_context);
        assert_int_equal(tls_client_new(authorities, NULL, &p.client_context), FAULT_NONE);
    }
    p.client = tls_stream_connect(p.client_context, NULL, wall_ms);
    assert_false(tls_stream_is_verified(p.client, name, NULL)); /* not yet */
    talk(&p);
    assert_int_equal(tls_stream_state(p.client), TLS_OPEN); /* in any case */
    assert_true(tls_stream_is_verified(p.client, name, &why) == (why_not == NULL));
    if (why_not == NULL)
        assert_null(why);
    else
        assert_non_null(strstr(why, why_not));
    close_pair(&p);
}

static void verified_or_why_not(void **state)
{
    (void)state;
    const char *one = certificates[0].certificate;
    static char longest[TLS_NAME_MAX + 1];
    memset(longest, 'a', sizeof longest);
    expect_verified(one, 1000, SPAN("one.test"), NULL);
    expect_verified(one, 1000, SPAN("ONE.test"), NULL);
    expect_verified(one, 1000, SPAN("10.0.1.1"), NULL);
    expect_verified(one, 1000, SPAN("10.0.1.2"), "another name");
    expect_verified(one, 1000, SPAN("two.test"), "another name");
    expect_verified(one, 1000, SPAN("mx.one.test"), "another name");
    expect_verified(one, 1000, SPAN("test"), "another name");
    expect_verified(one, 1000, SPAN(""), "another name");
    expect_verified(one, 1000, SPAN("one.test\0.two.test"), "another name");
    expect_verified(one, 1000, span_of(longest, sizeof longest), "another name");
    expect_verified(one, INT64_C(4200000000000), SPAN("one.test"), "expired");
    expect_verified(certificates[1].certificate, 1000, SPAN("one.test"), "self");
    expect_verified(NULL, 1000, SPAN("one.test"), "self");
}

static void bad_authorities(void **state)
{
    (void)state;
    struct tls_context *c;
    struct buffer why;
    buffer_init(&why, 1024);
    assert_int_equal(tls_client_new("/nowhere/ca.pem", &why, &c), FAULT_NOT_FOUND);
    assert_true(span_starts_with(buffer_span(&why), SPAN("/nowhere/ca.pem: ")));
    buffer_reset(&why);
    assert_int_equal(tls_client_new(certificates[0].key, &why, &c), FAULT_SYNTAX);
    assert_true(span_starts_with(buffer_span(&why), span_text(certificates[0].key)));
    assert_int_equal(tls_client_new("/dev/null", NULL, &c), FAULT_SYNTAX);
    buffer_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_of_the_wire),
        cmocka_unit_test(plain_bytes_are_no_handshake),
        cmocka_unit_test(damaged_records),
        cmocka_unit_test(the_certificate_that_was_asked_for),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(output_is_bounded),
        cmocka_unit_test(verified_or_why_not),
        cmocka_unit_test(bad_authorities),
    };
    return cmocka_run_group_tests(tests, make_files, NULL);
}
