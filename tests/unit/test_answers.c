#include "expect.h"

#include "dns/answers.h"
#include "sim/packet.h"

#define GOOD (PACKET_RESPONSE | 0x0180)

static struct packet packet;
static struct answer answer;

static struct endpoint ip(const char *text)
{
    struct endpoint e = {0};
    assert_true(endpoint_parse(span_text(text), &e));
    e.port = 0;
    return e;
}

static void begin(uint16_t flags, const char *name, uint16_t type)
{
    packet_begin(&packet, 7, flags, span_text(name), type);
}

static enum fault parse(const char *name, enum answer_type type)
{
    return answer_parse(packet_span(&packet), span_text(name), type, &answer);
}

/* The last byte before an address sanitizer's red zone. */
static enum fault parse_copy(struct span bytes, const char *name, enum answer_type type)
{
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    enum fault fault = answer_parse(span_of(copy, bytes.len), span_text(name), type, &answer);
    free(copy);
    return fault;
}

static void exchanges(void **state)
{
    (void)state;
    for (int compress = 0; compress < 2; compress++) {
        packet.compress = compress != 0;
        begin(GOOD, "example.org", ANSWER_MX);
        packet_mx(&packet, SPAN("example.org"), 600, 10, SPAN("mx1.example.org"));
        packet_mx(&packet, SPAN("EXAMPLE.org"), 300, 20, SPAN("MX2.Example.ORG"));
        packet_mx(&packet, SPAN("example.org"), 900, 5, SPAN("mx.example.net"));
        packet_mx(&packet, SPAN("other.org"), 1, 1, SPAN("stray.example.net"));
        packet_address(&packet, SPAN("example.org"), 2, ip("192.0.2.1:0"));
        packet_soa(&packet, SPAN("org"), 3, 3);
        assert_int_equal(parse("Example.org", ANSWER_MX), FAULT_NONE);
        assert_int_equal(answer.count, 3);
        assert_int_equal(answer.ttl_s, 300);
        expect_span(answer_host(&answer.records[0]), SPAN("mx1.example.org"));
        expect_span(answer_host(&answer.records[1]), SPAN("mx2.example.org"));
        expect_span(answer_host(&answer.records[2]), SPAN("mx.example.net"));
        assert_int_equal(answer.records[2].preference, 5);
    }
    packet.compress = false;
}

static void null_exchange(void **state)
{
    (void)state;
    begin(GOOD, "null.test", ANSWER_MX);
    packet_mx(&packet, SPAN("null.test"), 60, 0, SPAN(""));
    assert_int_equal(parse("null.test", ANSWER_MX), FAULT_NONE);
    assert_int_equal(answer.count, 1);
    assert_true(answer.records[0].is_root);
    assert_int_equal(answer.records[0].host_len, 0);
}

static void hosts_that_are_none(void **state)
{
    (void)state;
    begin(GOOD, "a.test", ANSWER_MX);
    packet_mx(&packet, SPAN("a.test"), 60, 1, SPAN("-bad.test"));
    packet_mx(&packet, SPAN("a.test"), 60, 1, SPAN("with blank.test"));
    packet_mx(&packet, SPAN("a.test"), 60, 1, SPAN("fine_1.test"));
    assert_int_equal(parse("a.test", ANSWER_MX), FAULT_NONE);
    assert_int_equal(answer.count, 3);
    assert_int_equal(answer.records[0].host_len, 0);
    assert_int_equal(answer.records[1].host_len, 0);
    assert_false(answer.records[1].is_root);
    expect_span(answer_host(&answer.records[2]), SPAN("fine_1.test"));
}

static void addresses(void **state)
{
    (void)state;
    begin(GOOD, "h.test", ANSWER_A);
    packet_address(&packet, SPAN("h.test"), 60, ip("192.0.2.1:0"));
    packet_address(&packet, SPAN("h.test"), 60, ip("[2001:db8::1]:0"));
    packet_address(&packet, SPAN("h.test"), 60, ip("192.0.2.2:0"));
    assert_int_equal(parse("h.test", ANSWER_A), FAULT_NONE);
    assert_int_equal(answer.count, 2);
    assert_true(endpoint_equal(answer.records[0].address, ip("192.0.2.1:0")));
    assert_true(endpoint_equal(answer.records[1].address, ip("192.0.2.2:0")));

    begin(GOOD, "h.test", ANSWER_AAAA);
    packet_address(&packet, SPAN("h.test"), 60, ip("[2001:db8::1]:0"));
    packet_address(&packet, SPAN("h.test"), 60, ip("[::ffff:127.0.0.1]:0"));
    assert_int_equal(parse("h.test", ANSWER_AAAA), FAULT_NONE);
    assert_int_equal(answer.count, 2);
    assert_true(endpoint_equal(answer.records[0].address, ip("[2001:db8::1]:0")));
    assert_true(endpoint_equal(answer.records[1].address, ip("127.0.0.1:0")));
}

static void aliases(void **state)
{
    (void)state;
    begin(GOOD, "a.test", ANSWER_A);
    packet_address(&packet, SPAN("a.test"), 5, ip("192.0.2.66:0")); /* an alias has nothing else */
    packet_alias(&packet, SPAN("b.test"), 40, SPAN("c.other"));
    packet_address(&packet, SPAN("c.other"), 60, ip("192.0.2.1:0"));
    packet_alias(&packet, SPAN("a.test"), 50, SPAN("B.test"));
    packet_address(&packet, SPAN("b.test"), 5, ip("192.0.2.67:0"));
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_NONE);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.ttl_s, 40);
    assert_true(endpoint_equal(answer.records[0].address, ip("192.0.2.1:0")));
}

static void chain(int aliases_in_chain)
{
    char from[32] = "a0.test";
    begin(GOOD, from, ANSWER_A);
    for (int i = 0; i < aliases_in_chain; i++) {
        char to[32];
        snprintf(to, sizeof to, "a%d.test", i + 1);
        packet_alias(&packet, span_text(from), 60, span_text(to));
        memcpy(from, to, sizeof from);
    }
    packet_address(&packet, span_text(from), 60, ip("192.0.2.1:0"));
}

static void chains_of_aliases_end(void **state)
{
    (void)state;
    chain(ANSWER_ALIASES_MAX);
    assert_int_equal(parse("a0.test", ANSWER_A), FAULT_NONE);
    assert_int_equal(answer.count, 1);
    chain(ANSWER_ALIASES_MAX + 1);
    assert_int_equal(parse("a0.test", ANSWER_A), FAULT_PROTOCOL);

    begin(GOOD, "a.test", ANSWER_A);
    packet_alias(&packet, SPAN("a.test"), 60, SPAN("b.test"));
    packet_alias(&packet, SPAN("b.test"), 60, SPAN("a.test"));
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_PROTOCOL);
    begin(GOOD, "a.test", ANSWER_A);
    packet_alias(&packet, SPAN("a.test"), 60, SPAN("a.test"));
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_PROTOCOL);
}

static void nothing_there(void **state)
{
    (void)state;
    begin(GOOD, "a.test", ANSWER_MX);
    packet_soa(&packet, SPAN("test"), 600, 90);
    assert_int_equal(parse("a.test", ANSWER_MX), FAULT_NONE);
    assert_int_equal(answer.count, 0);
    assert_int_equal(answer.ttl_s, 90);

    begin(GOOD | PACKET_NO_NAME, "a.test", ANSWER_MX);
    packet_soa(&packet, SPAN("test"), 60, 90);
    assert_int_equal(parse("a.test", ANSWER_MX), FAULT_DNS_NO_DOMAIN);
    assert_int_equal(answer.ttl_s, 60);

    begin(GOOD | PACKET_NO_NAME, "a.test", ANSWER_MX); /* what the alias stands for */
    packet_alias(&packet, SPAN("a.test"), 30, SPAN("gone.test"));
    packet_soa(&packet, SPAN("test"), 60, 90);
    assert_int_equal(parse("a.test", ANSWER_MX), FAULT_DNS_NO_DOMAIN);
    assert_int_equal(answer.ttl_s, 30);

    begin(GOOD, "a.test", ANSWER_MX); /* RFC 2308 2.2: without SOA nothing is kept */
    assert_int_equal(parse("a.test", ANSWER_MX), FAULT_NONE);
    assert_int_equal(answer.count, 0);
    assert_int_equal(answer.ttl_s, 0);

    begin(GOOD | PACKET_NO_NAME, "a.test", ANSWER_A); /* says both: not believed */
    packet_address(&packet, SPAN("a.test"), 60, ip("192.0.2.1:0"));
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_DNS_NO_DOMAIN);
    assert_int_equal(answer.count, 0);
}

static void times_to_live(void **state)
{
    (void)state;
    static const uint32_t rows[][2] = {
        {0, 0},
        {1, 1},
        {ANSWER_TTL_MAX_S, ANSWER_TTL_MAX_S},
        {ANSWER_TTL_MAX_S + 1, ANSWER_TTL_MAX_S},
        {0x7fffffff, ANSWER_TTL_MAX_S},
        {0x80000000, 0},
        {0xffffffff, 0},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        begin(GOOD, "a.test", ANSWER_A);
        packet_address(&packet, SPAN("a.test"), rows[i][0], ip("192.0.2.1:0"));
        assert_int_equal(parse("a.test", ANSWER_A), FAULT_NONE);
        assert_int_equal(answer.ttl_s, rows[i][1]);
    }
}

static void servers_that_fail(void **state)
{
    (void)state;
    for (uint16_t rcode = 1; rcode < 16; rcode++) {
        if (rcode == PACKET_NO_NAME)
            continue;
        begin((uint16_t)(GOOD | rcode), "a.test", ANSWER_A);
        packet_address(&packet, SPAN("a.test"), 60, ip("192.0.2.1:0"));
        assert_int_equal(parse("a.test", ANSWER_A), FAULT_DNS_TEMPORARY);
        assert_int_equal(answer.count, 0);
    }
    begin(GOOD | PACKET_TRUNCATED, "a.test", ANSWER_A);
    packet_address(&packet, SPAN("a.test"), 60, ip("192.0.2.1:0"));
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_DNS_TEMPORARY);
    begin(GOOD | PACKET_TRUNCATED | PACKET_NO_NAME, "a.test", ANSWER_A);
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_DNS_TEMPORARY);
}

static void answers_to_something_else(void **state)
{
    (void)state;
    struct span name = SPAN("a.test");
    begin(GOOD, "b.test", ANSWER_A);
    packet_address(&packet, name, 60, ip("192.0.2.1:0"));
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_PROTOCOL);
    begin(GOOD, "a.test", ANSWER_AAAA);
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_PROTOCOL);
    begin(GOOD, "a.test", ANSWER_A);
    packet.bytes[packet.len - 1] = 3; /* class CHAOS */
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_PROTOCOL);
    begin(0x0100, "a.test", ANSWER_A); /* a question */
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_PROTOCOL);
    begin(GOOD | 0x2800, "a.test", ANSWER_A); /* an update */
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_PROTOCOL);
    for (uint8_t questions = 0; questions < 4; questions++) {
        begin(GOOD, "a.test", ANSWER_A);
        packet.bytes[5] = questions;
        assert_int_equal(parse("a.test", ANSWER_A), questions == 1 ? FAULT_NONE : FAULT_PROTOCOL);
    }
    begin(GOOD, "a.test", ANSWER_A);
    assert_int_equal(parse("a..test", ANSWER_A), FAULT_PROTOCOL);
    begin(GOOD, "a.test", ANSWER_A);
    packet_address(&packet, name, 60, ip("192.0.2.1:0"));
    packet.bytes[packet.len - 11] = 3; /* the record's class */
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_NONE);
    assert_int_equal(answer.count, 0);
}

static void data_of_a_wrong_size(void **state)
{
    (void)state;
    static const struct {
        enum answer_type type;
        struct span data;
    } rows[] = {
        {ANSWER_A, SPAN("")},
        {ANSWER_A, SPAN("\1\2\3")},
        {ANSWER_A, SPAN("\1\2\3\4\5")},
        {ANSWER_A, SPAN("\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3\4")},
        {ANSWER_AAAA, SPAN("\1\2\3\4")},
        {ANSWER_AAAA, SPAN("\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3\4\5")},
        {ANSWER_MX, SPAN("")},
        {ANSWER_MX, SPAN("\0")},
        {ANSWER_MX, SPAN("\0\1")},
        {ANSWER_MX, SPAN("\0\1\1a")},
        {ANSWER_MX, SPAN("\0\1\1a\0x")},
        {ANSWER_MX, SPAN("\0\1\xc0")},
        {ANSWER_MX, SPAN("\0\1\xc0\xff")},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        for (int more = 0; more < 2; more++) {
            begin(GOOD, "a.test", (uint16_t)rows[i].type);
            packet_record(&packet, PACKET_ANSWER, SPAN("a.test"), (uint16_t)rows[i].type, 60);
            packet_bytes(&packet, rows[i].data);
            packet_end(&packet);
            if (more != 0) /* bytes follow that belong to somebody else */
                packet_soa(&packet, SPAN("test"), 60, 60);
            assert_int_equal(parse("a.test", rows[i].type), FAULT_PROTOCOL);
            assert_int_equal(answer.count, 0);
        }
    }
}

static void damaged_soa(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 30; cut++) {
        begin(GOOD, "a.test", ANSWER_A);
        packet_soa(&packet, SPAN("test"), 60, 60);
        packet.len -= cut;
        packet_end(&packet);
        assert_int_equal(parse("a.test", ANSWER_A), FAULT_PROTOCOL);
    }
}

/* At every length but the whole one it is damaged, and no byte behind the end is read. */
static void cut_anywhere(void **state)
{
    (void)state;
    begin(GOOD, "example.org", ANSWER_MX);
    packet_alias(&packet, SPAN("example.org"), 60, SPAN("example.net"));
    packet_mx(&packet, SPAN("example.net"), 60, 10, SPAN("mx.example.net"));
    for (size_t len = 0; len < packet.len; len++)
        assert_int_equal(parse_copy(span_of(packet.bytes, len), "example.org", ANSWER_MX),
                         FAULT_PROTOCOL);
    assert_int_equal(parse_copy(packet_span(&packet), "example.org", ANSWER_MX), FAULT_NONE);

    begin(GOOD | PACKET_NO_NAME, "example.org", ANSWER_MX);
    packet_soa(&packet, SPAN("org"), 60, 60);
    for (size_t len = 0; len < packet.len; len++)
        assert_int_equal(parse_copy(span_of(packet.bytes, len), "example.org", ANSWER_MX),
                         FAULT_PROTOCOL);
    assert_int_equal(parse_copy(packet_span(&packet), "example.org", ANSWER_MX),
                     FAULT_DNS_NO_DOMAIN);
}

static void counts_that_lie(void **state)
{
    (void)state;
    begin(GOOD, "a.test", ANSWER_A);
    packet_address(&packet, SPAN("a.test"), 60, ip("192.0.2.1:0"));
    packet.bytes[PACKET_ANSWER] = 0xff;
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_PROTOCOL);
    packet.bytes[PACKET_ANSWER] = 0;
    packet.bytes[PACKET_AUTHORITY] = 0xff; /* not needed, not looked at */
    assert_int_equal(parse("a.test", ANSWER_A), FAULT_NONE);
}

static void the_best_of_many(void **state)
{
    (void)state;
    for (uint16_t i = 0; i <= ANSWER_RECORDS_MAX; i++) {
        char name[16];
        if (i == 0)
            begin(GOOD, "a.test", ANSWER_MX);
        snprintf(name, sizeof name, "mx%u.test", (unsigned)i);
        packet_mx(&packet, SPAN("a.test"), 60, (uint16_t)(1000 - i), span_text(name));
    }
    assert_int_equal(parse("a.test", ANSWER_MX), FAULT_NONE);
    assert_int_equal(answer.count, ANSWER_RECORDS_MAX);
    for (uint32_t i = 0; i < answer.count; i++)
        assert_int_not_equal(answer.records[i].preference, 1000);
    packet.bytes[PACKET_ANSWER + 1] = ANSWER_RECORDS_MAX;
    assert_int_equal(parse("a.test", ANSWER_MX), FAULT_NONE);
    assert_int_equal(answer.count, ANSWER_RECORDS_MAX);
    assert_int_equal(answer.records[0].preference, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges),
        cmocka_unit_test(null_exchange),
        cmocka_unit_test(hosts_that_are_none),
        cmocka_unit_test(addresses),
        cmocka_unit_test(aliases),
        cmocka_unit_test(chains_of_aliases_end),
        cmocka_unit_test(nothing_there),
        cmocka_unit_test(times_to_live),
        cmocka_unit_test(servers_that_fail),
        cmocka_unit_test(answers_to_something_else),
        cmocka_unit_test(data_of_a_wrong_size),
        cmocka_unit_test(damaged_soa),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(counts_that_lie),
        cmocka_unit_test(the_best_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
