/* Delivery status notifications, read back by fuzz/dsn_check.h. */
#include "mail/dsn.h"

#include "expect.h"
#include "fuzz/dsn_check.h"
#include "mail/header.h"

static const struct id own_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const struct id original_id = {{9, 9, 9}};

static struct buffer out;
static struct dsn_recipient recipients[1000];

static int begin(void **state)
{
    (void)state;
    memset(recipients, 0, sizeof recipients);
    buffer_init(&out, 8 << 20);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    buffer_fini(&out);
    return 0;
}

static struct dsn a_dsn(size_t count)
{
    for (size_t i = 0; i < count; i++)
        recipients[i] = (struct dsn_recipient){.address = SPAN("user@b.example"),
                                               .action = DSN_FAILED,
                                               .status = {5, 1, 1},
                                               .remote_mta = SPAN("mx.b.example"),
                                               .diagnostic = SPAN("550 5.1.1 no such user"),
                                               .diagnostic_is_reply = true,
                                               .last_attempt_ms = 1764000009000};
    return (struct dsn){.id = own_id,
                        .reporting_mta = SPAN("out.example"),
                        .to = SPAN("sender@a.example"),
                        .now_ms = 1764000010000,
                        .original_id = original_id,
                        .arrival_ms = 1764000000000,
                        .recipients = recipients,
                        .recipient_count = count,
                        .original = SPAN("Subject: hello\r\nTo: user@b.example\r\n\r\nbody\r\n")};
}

static struct dsn_parts format(const struct dsn *d)
{
    buffer_reset(&out);
    assert_true(dsn_format(&out, d));
    return dsn_check(buffer_span(&out), d);
}

static void expect_has(struct span where, const char *text)
{
    if (dsn_has(where, text))
        return;
    print_error("missing: %s\nin: %.*s\n", text, SPAN_PRINT(where));
    fail();
}

static void expect_lacks(struct span where, const char *text)
{
    assert_false(dsn_has(where, text));
}

static void writes_a_whole_notification(void **state)
{
    (void)state;
    struct dsn d = a_dsn(1);
    (void)format(&d);
    expect_span(buffer_span(&out),
                SPAN("From: Mail Delivery System <MAILER-DAEMON@out.example>\r\n"
                     "To: <sender@a.example>\r\n"
                     "Subject: Undelivered mail: your message could not be delivered\r\n"
                     "Date: Mon, 24 Nov 2025 16:00:10 +0000\r\n"
                     "Message-ID: <01081G81860W40J2GB1G6GW3RG@out.example>\r\n"
                     "Auto-Submitted: auto-replied\r\n"
                     "MIME-Version: 1.0\r\n"
                     "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                     "\tboundary=\"=_01081G81860W40J2GB1G6GW3RG\"\r\n"
                     "Content-Transfer-Encoding: 7bit\r\n"
                     "\r\n"
                     "This is a message in MIME format.\r\n"
                     "\r\n"
                     "--=_01081G81860W40J2GB1G6GW3RG\r\n"
                     "Content-Description: Notification\r\n"
                     "Content-Type: text/plain; charset=us-ascii\r\n"
                     "\r\n"
                     "This report comes from the mail server at\r\n"
                     "  out.example\r\n"
                     "where your message has the id 09144G00000000000000000000.\r\n"
                     "\r\n"
                     "Your message could not be delivered to:\r\n"
                     "\r\n"
                     "  <user@b.example>\r\n"
                     "      mx.b.example answered:\r\n"
                     "      550 5.1.1 no such user\r\n"
                     "\r\n"
                     "--=_01081G81860W40J2GB1G6GW3RG\r\n"
                     "Content-Description: Delivery report\r\n"
                     "Content-Type: message/delivery-status\r\n"
                     "\r\n"
                     "Reporting-MTA: dns; out.example\r\n"
                     "Arrival-Date: Mon, 24 Nov 2025 16:00:00 +0000\r\n"
                     "\r\n"
                     "Final-Recipient: rfc822; user@b.example\r\n"
                     "Action: failed\r\n"
                     "Status: 5.1.1\r\n"
                     "Remote-MTA: dns; mx.b.example\r\n"
                     "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
                     "Last-Attempt-Date: Mon, 24 Nov 2025 16:00:09 +0000\r\n"
                     "\r\n"
                     "--=_01081G81860W40J2GB1G6GW3RG\r\n"
                     "Content-Description: Header of the message\r\n"
                     "Content-Type: text/rfc822-headers\r\n"
                     "Content-Transfer-Encoding: 7bit\r\n"
                     "\r\n"
                     "Subject: hello\r\n"
                     "To: user@b.example\r\n"
                     "\r\n"
                     "--=_01081G81860W40J2GB1G6GW3RG--\r\n"));
}

static void writes_every_field(void **state)
{
    (void)state;
    struct dsn d = a_dsn(3);
    d.envelope_id = SPAN("QQ314159");
    recipients[0].original = SPAN("rfc822;alias@a.example");
    recipients[1].action = DSN_DELAYED;
    recipients[1].status = (struct status){4, 4, 1};
    recipients[1].will_retry_until_ms = 1764400000000;
    recipients[1].diagnostic = SPAN("connection refused");
    recipients[1].diagnostic_is_reply = false;
    recipients[1].remote_mta = (struct span){NULL, 0};
    recipients[2].action = DSN_RELAYED;
    recipients[2].will_retry_until_ms = 1764400000000; /* means nothing here */
    recipients[2].diagnostic = (struct span){NULL, 0};
    struct dsn_parts p = format(&d);
    expect_has(p.body[1], "Original-Envelope-Id: QQ314159\r\nReporting-MTA: dns; out.example\r\n");
    expect_has(p.body[1], "Original-Recipient: rfc822;alias@a.example\r\nFinal-Recipient: rfc822;");
    expect_has(p.body[1], "Action: delayed\r\nStatus: 4.4.1\r\n"
                          "Diagnostic-Code: X-Postrider; connection refused\r\n");
    expect_has(p.body[1], "Will-Retry-Until: Sat, 29 Nov 2025 07:06:40 +0000\r\n");
    expect_has(p.body[1], "Action: relayed\r\n");
    expect_has(p.body[0],
               "Your message is late and still being tried (do not send it again), for:");
    expect_has(p.body[0], "      connection refused\r\n");
    size_t first = span_find(p.body[1], SPAN("Will-Retry-Until"), 0);
    assert_int_equal(span_find(p.body[1], SPAN("Will-Retry-Until"), first + 1), p.body[1].len);
}

static void names_the_worst_in_the_subject(void **state)
{
    (void)state;
    static const struct {
        enum dsn_action actions[2];
        const char *subject;
    } rows[] = {{{DSN_DELIVERED, DSN_FAILED}, "Subject: Undelivered mail"},
                {{DSN_DELAYED, DSN_RELAYED}, "Subject: Delayed mail"},
                {{DSN_EXPANDED, DSN_DELIVERED}, "Subject: Delivery report"}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct dsn d = a_dsn(2);
        recipients[0].action = rows[i].actions[0];
        recipients[1].action = rows[i].actions[1];
        expect_has(format(&d).header, rows[i].subject);
    }
}

/* Whatever it is, in whatever field, it stays in its place (dsn_check aborts otherwise). */
static void is_not_broken_by_hostile_values(void **state)
{
    (void)state;
    static char long_word[3000], long_words[3000];
    memset(long_word, 'x', sizeof long_word);
    for (size_t i = 0; i < sizeof long_words; i++)
        long_words[i] = i % 5 == 4 ? ' ' : 'w';
    const struct span values[] = {
        SPAN(""),
        SPAN(" "),
        SPAN("\t \r\n "),
        SPAN("a@b\r\nBcc: everybody@b.example"),
        SPAN("a@b\nX: y"),
        SPAN("a@b\rX: y"),
        SPAN("x\r\n\r\n--=_01081G81860W40J2GB1G6GW3RG\r\nContent-Type: text/html\r\n\r\n<b>"),
        SPAN("--=_01081G81860W40J2GB1G6GW3RG--"),
        SPAN("\r\n--=_01081G81860W40J2GB1G6GW3RG--\r\n"),
        SPAN("\r\n.\r\nQUIT\r\n"),
        SPAN("\0\0\0"),
        SPAN("\x7f\x1b[31mred\x9b"),
        SPAN("J\xc3\xb6rg@b.example"),
        SPAN("\xff\xfe\xfd"),
        SPAN("<>><<\"\\\"(((("),
        SPAN("rfc822;a@b\r\nAction: delivered"),
        SPAN(";x"),
        SPAN("x;"),
        SPAN("t y p e;x"),
        span_of(long_word, sizeof long_word),
        span_of(long_words, sizeof long_words),
    };
    for (size_t i = 0; i < ROWS(values); i++) {
        for (int field = 0; field < 9; field++) {
            struct dsn d = a_dsn(2);
            struct span *places[] = {&recipients[0].address,
                                     &recipients[0].original,
                                     &recipients[1].remote_mta,
                                     &recipients[1].diagnostic,
                                     &recipients[0].diagnostic,
                                     &d.to,
                                     &d.envelope_id,
                                     &d.reporting_mta,
                                     &d.original};
            *places[field] = values[i];
            recipients[0].diagnostic_is_reply = i % 2 == 0;
            d.returns_all = i % 3 == 0;
            d.is_international = (i + (size_t)field) % 2 == 0;
            if (field == 7 && i < 3)
                continue; /* our own name is not empty */
            if (field == 0 && i < 3)
                continue; /* nor is an address */
            struct dsn_parts p = format(&d);
            expect_lacks(p.header, "\r\nBcc:");
            expect_lacks(p.body[1], "\r\nAction: delivered");
        }
    }
}

static void leaves_out_what_has_no_type(void **state)
{
    (void)state;
    static const struct span bad[] = {SPAN(""),
                                      SPAN("a@b"),
                                      SPAN(";a@b"),
                                      SPAN("rfc 822;a@b"),
                                      SPAN("rfc822 ;a@b"),
                                      SPAN("rfc\r\n822;a@b"),
                                      SPAN("r:;x")};
    for (size_t i = 0; i < ROWS(bad); i++) {
        struct dsn d = a_dsn(1);
        recipients[0].original = bad[i];
        expect_lacks(format(&d).body[1], "Original-Recipient");
    }
}

/* A small generator of our own, so that a failure can be repeated. */
static uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static struct span random_bytes(uint32_t *seed, uint8_t *bytes, size_t max)
{
    static const char special[] =
        "\r\n\r\n :;<>=_-.\t\"@\0\x80\xff\r\n--=_01081G81860W40J2GB1G6GW3RG";
    size_t len = draw(seed) % (max + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = draw(seed) % 3 == 0 ? (uint8_t)draw(seed)
                                       : (uint8_t)special[draw(seed) % (sizeof special - 1)];
    return span_of(bytes, len);
}

static void is_not_broken_by_random_bytes(void **state)
{
    (void)state;
    static uint8_t bytes[7][20000];
    uint32_t seed = 1;
    for (int i = 0; i < 3000; i++) {
        struct dsn d = a_dsn(1 + draw(&seed) % 3);
        struct dsn_recipient *r = &recipients[0];
        r->address = random_bytes(&seed, bytes[0], 300);
        r->original = random_bytes(&seed, bytes[1], 700);
        r->remote_mta = random_bytes(&seed, bytes[2], 400);
        r->diagnostic = random_bytes(&seed, bytes[3], 2000);
        r->status =
            (struct status){(uint8_t)draw(&seed), (uint16_t)draw(&seed), (uint16_t)draw(&seed)};
        d.to = random_bytes(&seed, bytes[4], 300);
        d.envelope_id = random_bytes(&seed, bytes[5], 200);
        d.original = random_bytes(&seed, bytes[6], i % 10 == 0 ? 20000 : i % 10 < 5 ? 10 : 500);
        d.returns_all = i % 3 == 0;
        d.is_international = i % 4 == 0;
        d.is_to_postmaster = i % 5 == 0;
        (void)format(&d);
    }
}

static void returns_the_message_where_its_lines_allow_it(void **state)
{
    (void)state;
    static const struct {
        struct span original;
        bool is_whole, is_8bit;
    } rows[] = {
        {SPAN("Subject: x\r\n\r\nbody\r\n"), true, false},
        {SPAN("Subject: x\r\n\r\nno end"), true, false},
        {SPAN("Subject: x\r\n\r\n\xff\r\n"), true, true},
        {SPAN("Subject: x\r\n\r\nbare\n"), false, false},
        {SPAN("Subject: x\r\n\r\nbare\r"), false, false},
        {SPAN("Subject: x\r\n\r\nnul\0\r\n"), false, false},
        {SPAN("Subject: x\r\n\r\n--=_01081G81860W40J2GB1G6GW3RG\r\n"), false, false},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct dsn d = a_dsn(1);
        d.original = rows[i].original;
        d.returns_all = true;
        struct dsn_parts p = format(&d);
        assert_int_equal(dsn_has(p.part_header[2], "message/rfc822"), rows[i].is_whole);
        assert_int_equal(dsn_is_8bit(&d), rows[i].is_8bit);
        expect_has(p.body[2], "Subject: x\r\n");
    }
}

static void is_of_rfc_6533_when_international(void **state)
{
    (void)state;
    struct dsn d = a_dsn(2);
    d.is_international = true;
    d.to = SPAN("j\xc3\xb6rg@a.example");
    recipients[0].address = SPAN("\xe4\xbe\x8b@b.example");
    recipients[0].original = SPAN("utf-8;\xe4\xbe\x8b@a.example");
    recipients[0].diagnostic = SPAN("550 \xff \xc3\xb6");
    d.original = SPAN("Subject: \xc3\xb6\r\n\r\n\xc3\xb6\r\n");
    struct dsn_parts p = format(&d);
    expect_has(p.header, "To: <j\xc3\xb6rg@a.example>\r\n");
    expect_has(p.body[1], "Original-Recipient: utf-8;\xe4\xbe\x8b@a.example\r\n"
                          "Final-Recipient: utf-8; \xe4\xbe\x8b@b.example\r\n");
    expect_has(p.body[1], "Diagnostic-Code: smtp; 550 ? \xc3\xb6\r\n");
    expect_has(p.body[1], "Final-Recipient: rfc822; user@b.example\r\n");
    expect_has(p.part_header[2], "message/global-headers");
    d.returns_all = true;
    expect_has(format(&d).part_header[2], "Content-Type: message/global\r\n");
    d.returns_all = false;
    d.original = SPAN("Subject: \xff\r\n\r\n"); /* no UTF-8 */
    expect_has(format(&d).part_header[2], "text/rfc822-headers");
}

static void speaks_to_the_postmaster(void **state)
{
    (void)state;
    struct dsn d = a_dsn(1);
    d.is_to_postmaster = true;
    struct dsn_parts p = format(&d);
    expect_has(p.header, "Subject: Undelivered mail: a message without a sender");
    expect_has(p.body[0], "A message without a sender could not be delivered to:");
    expect_lacks(p.body[0], "our message");
}

static void returns_the_header_alone(void **state)
{
    (void)state;
    struct dsn d = a_dsn(1);
    struct dsn_parts p = format(&d);
    expect_span(p.body[2], SPAN("Subject: hello\r\nTo: user@b.example\r\n"));
    static const struct span headerless[] = {SPAN(""), SPAN("\r\nbody\r\n"), SPAN("no header\r\n"),
                                             SPAN(": x\r\n"), SPAN(" folded: first\r\n")};
    for (size_t i = 0; i < ROWS(headerless); i++) {
        d.original = headerless[i];
        assert_int_equal(format(&d).body[2].len, 0);
    }
    d.original = SPAN("Subject: no end");
    expect_span(format(&d).body[2], SPAN("Subject: no end\r\n"));
}

static void encodes_what_is_not_plain(void **state)
{
    (void)state;
    static const struct {
        struct span original;
        const char *body;
    } rows[] = {
        {SPAN("Subject: J\xc3\xb6rg\r\n"), "Subject: J=C3=B6rg\r\n"},
        {SPAN("Subject: a=b \xff\r\n"), "Subject: a=3Db =FF\r\n"},
        {SPAN("Subject: \x80 \r\n"), "Subject: =80=20\r\n"},
        {SPAN("Subject: a\tb\t\x80\r\n"), "Subject: a=09b=09=80\r\n"},
        {SPAN("Subject: a\nb\r\n"), "Subject: a=0Ab\r\n"},
        {SPAN("Subject: a\rb\r\n"), "Subject: a=0Db\r\n"},
        {SPAN("X: \x80"
              "2345678901234567890123456789012345678901234567890123456789012345678\r\n"),
         "X: =802345678901234567890123456789012345678901234567890123456789012345678\r\n"},
        {SPAN("X: \x80"
              "2345678901234567890123456789012345678901234567890123456789012345678901\x80\r\n"),
         "X: =80234567890123456789012345678901234567890123456789012345678901234567890=\r\n"
         "1=80\r\n"},
        {SPAN("Subject: \0\r\n"), "Subject: =00\r\n"},
        {SPAN("Subject: a\x7f\r\n"), "Subject: a=7F\r\n"},
        {SPAN("Content-Type: multipart/mixed; boundary=\"=_01081G81860W40J2GB1G6GW3RG\"\r\n"),
         "Content-Type: multipart/mixed; boundary=3D\"=3D_01081G81860W40J2GB1G6GW3RG\"\r\n"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct dsn d = a_dsn(1);
        d.original = rows[i].original;
        struct dsn_parts p = format(&d);
        expect_has(p.part_header[2], "quoted-printable");
        expect_span(p.body[2], span_text(rows[i].body));
    }
}

/* A header line of so many bytes, CRLF apart. */
static struct span a_line(char *memory, size_t len)
{
    memset(memory, 'x', len);
    memcpy(memory, "X-A: ", 5);
    memcpy(memory + len, "\r\n", 2);
    return span_of(memory, len + 2);
}

static void keeps_lines_that_smtp_carries(void **state)
{
    (void)state;
    static char memory[2000];
    struct dsn d = a_dsn(1);
    d.original = a_line(memory, 998);
    expect_lacks(format(&d).part_header[2], "quoted-printable");
    d.original = a_line(memory, 999);
    expect_has(format(&d).part_header[2], "quoted-printable");
}

static void returns_whole_fields_up_to_the_limit(void **state)
{
    (void)state;
    static char memory[2 * DSN_HEADER_MAX];
    size_t len = 0;
    for (size_t i = 0; i < 32; i++) /* 512 bytes each: 32 are the limit */
        len += a_line(memory + len, 510).len;
    assert_int_equal(len, DSN_HEADER_MAX);
    struct dsn d = a_dsn(1);
    d.original = span_of(memory, len);
    assert_int_equal(format(&d).body[2].len, DSN_HEADER_MAX);
    (void)a_line(memory + len - 512, 511); /* the last one a byte longer */
    d.original = span_of(memory, len + 1);
    assert_int_equal(format(&d).body[2].len, DSN_HEADER_MAX - 512);
    d.original = a_line(memory, DSN_HEADER_MAX - 1); /* one field alone too long */
    assert_int_equal(format(&d).body[2].len, 0);
}

static size_t count_bytes(struct span s, uint8_t byte)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += s.data[i] == byte;
    return count;
}

static void cuts_long_diagnostics(void **state)
{
    (void)state;
    static char text[3 * DSN_DIAGNOSTIC_MAX];
    for (int words = 0; words < 2; words++) {
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = words == 1 && i % 10 == 9 ? ' ' : '#';
        for (size_t extra = 0; extra < 3; extra++) {
            struct dsn d = a_dsn(1);
            recipients[0].diagnostic = span_of(text, DSN_DIAGNOSTIC_MAX - 1 + extra);
            struct dsn_parts p = format(&d);
            size_t given = DSN_DIAGNOSTIC_MAX - 1 + (extra > 0);
            size_t blanks = words == 1 ? given / 10 : 0;
            assert_int_equal(count_bytes(p.body[1], '#'), given - blanks);
            assert_int_equal(count_bytes(p.body[0], '#'), given - blanks);
        }
    }
}

static void lists_so_many_in_the_text(void **state)
{
    (void)state;
    struct dsn d = a_dsn(DSN_TEXT_RECIPIENTS_MAX);
    struct dsn_parts p = format(&d);
    assert_int_equal(count_bytes(p.body[0], '@'), DSN_TEXT_RECIPIENTS_MAX);
    expect_lacks(p.body[0], "and more");
    d = a_dsn(DSN_TEXT_RECIPIENTS_MAX + 1);
    recipients[0].action = DSN_DELAYED;
    p = format(&d);
    assert_int_equal(count_bytes(p.body[0], '@'), DSN_TEXT_RECIPIENTS_MAX);
    expect_has(p.body[0], "  and more, which the report that follows names.\r\n");
    assert_int_equal(count_bytes(p.body[1], '@'), DSN_TEXT_RECIPIENTS_MAX + 1);
    d = a_dsn(1000);
    (void)format(&d);
}

static void tells_when_it_does_not_fit(void **state)
{
    (void)state;
    struct dsn d = a_dsn(2);
    (void)format(&d);
    size_t need = out.len;
    for (size_t max = 0; max <= need; max++) {
        struct buffer small;
        buffer_init(&small, max);
        assert_int_equal(dsn_format(&small, &d), max == need);
        assert_true(small.len <= max);
        buffer_fini(&small);
    }
}

static void aborts_without_recipients(void)
{
    struct dsn d = a_dsn(0);
    (void)dsn_format(&out, &d);
}

static void wants_recipients(void **state)
{
    (void)state;
    expect_abort(aborts_without_recipients);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(writes_a_whole_notification),
        CASE(writes_every_field),
        CASE(names_the_worst_in_the_subject),
        CASE(is_not_broken_by_hostile_values),
        CASE(leaves_out_what_has_no_type),
        CASE(is_not_broken_by_random_bytes),
        CASE(returns_the_message_where_its_lines_allow_it),
        CASE(encodes_what_is_not_plain),
        CASE(is_of_rfc_6533_when_international),
        CASE(encodes_what_is_not_plain),
        CASE(speaks_to_the_postmaster),
        CASE(encodes_what_is_not_plain),
        CASE(returns_the_header_alone),
        CASE(encodes_what_is_not_plain),
        CASE(keeps_lines_that_smtp_carries),
        CASE(returns_whole_fields_up_to_the_limit),
        CASE(cuts_long_diagnostics),
        CASE(lists_so_many_in_the_text),
        CASE(tells_when_it_does_not_fit),
        CASE(wants_recipients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
