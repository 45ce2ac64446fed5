#include "expect.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tls/stream.h"

/* A certificate of its own for `name`, and its key, as files of the test's folder. */
struct made {
    char certificate[64], key[64];
};

static void write_pem(const char *path, X509 *x, EVP_PKEY *key)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(x != NULL ? PEM_write_X509(f, x)
                               : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL),
                     1);
    fclose(f);
}

static struct made make_certificate(const char *folder, const char *name)
{
    struct made m;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    assert_non_null(key);
    assert_non_null(x);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    (void)snprintf(m.certificate, sizeof m.certificate, "%s/%s.pem", folder, name);
    (void)snprintf(m.key, sizeof m.key, "%s/%s.key", folder, name);
    write_pem(m.certificate, x, NULL);
    write_pem(m.key, NULL, key);
    X509_free(x);
    EVP_PKEY_free(key);
    return m;
}

struct pair {
    struct tls_context *server_context, *client_context;
    struct tls_stream *server, *client;
    size_t piece; /* bytes of the wire are handed over in pieces of this size */
    struct buffer at_server, at_client;
};

static struct made certificates[2];
static uint8_t ticket_keys[TLS_TICKET_KEY_BYTES];

static int make_files(void **state)
{
    static char folder[] = "/tmp/postrider-tls-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(folder));
    certificates[0] = make_certificate(folder, "one.test");
    certificates[1] = make_certificate(folder, "two.test");
    return 0;
}

static struct tls_context *make_server(void)
{
    struct tls_certificate files[] = {{certificates[0].certificate, certificates[0].key},
                                      {certificates[1].certificate, certificates[1].key}};
    struct tls_context *c;
    struct buffer why;
    buffer_init(&why, 1024);
    assert_int_equal(tls_server_new(files, 2, ticket_keys, &why, &c), FAULT_NONE);
    buffer_fini(&why);
    return c;
}

static void open_pair(struct pair *p, const char *name, size_t piece)
{
    *p = (struct pair){.piece = piece};
    p->server_context = make_server();
    assert_int_equal(tls_client_new(&p->client_context), FAULT_NONE);
    p->server = tls_stream_accept(p->server_context);
    p->client = tls_stream_connect(p->client_context, name);
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
    struct tls_certificate crossed = {certificates[0].certificate, certificates[1].key};
    struct tls_certificate missing = {"/nowhere/at/all.pem", certificates[0].key};
    struct tls_certificate swapped = {certificates[0].key, certificates[0].certificate};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_of_the_wire),
        cmocka_unit_test(plain_bytes_are_no_handshake),
        cmocka_unit_test(damaged_records),
        cmocka_unit_test(the_certificate_that_was_asked_for),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(output_is_bounded),
    };
    return cmocka_run_group_tests(tests, make_files, NULL);
}
