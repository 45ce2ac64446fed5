/* 8-bit messages made 7-bit: what is written, for every split; what is refused; what is left alone.
 */
#include "expect.h"

#include "mail/downgrade.h"

enum { OUTPUT_MAX = 1 << 20 };

static enum downgrade_verdict survey(struct downgrade *d, struct span content, size_t piece)
{
    for (struct span rest = content; rest.len > 0; rest = span_skip(rest, piece))
        downgrade_survey(d, span_sub(rest, 0, piece));
    return downgrade_conclude(d);
}

/* The result, for every split; twice from one survey. */
static void convert(struct span content, size_t piece, struct buffer *out)
{
    struct downgrade *d = downgrade_new();
    assert_non_null(d);
    assert_int_equal(survey(d, content, piece), DOWNGRADE_POSSIBLE);
    for (int i = 0; i < 2; i++) {
        buffer_reset(out);
        downgrade_begin(d);
        for (struct span rest = content; rest.len > 0; rest = span_skip(rest, piece))
            assert_true(downgrade_put(d, span_sub(rest, 0, piece), out));
        assert_true(downgrade_end(d, out));
    }
    assert_true(out->len <= content.len * DOWNGRADE_GROWTH_MAX + DOWNGRADE_EXTRA_MAX);
    assert_true(out->len <= downgrade_bytes(d));
    downgrade_free(d);
}

static void expect_result(const char *content, const char *expected)
{
    struct buffer out;
    buffer_init(&out, OUTPUT_MAX);
    for (size_t piece = 1; piece <= strlen(content); piece++) {
        convert(span_text(content), piece, &out);
        expect_span(buffer_span(&out), span_text(expected));
    }
    buffer_fini(&out);
}

static void expect_verdict(struct span content, enum downgrade_verdict verdict)
{
    for (size_t piece = 1; piece <= content.len + 1; piece += piece < 40 ? 1 : 997) {
        struct downgrade *d = downgrade_new();
        enum downgrade_verdict got = survey(d, content, piece);
        if (got != verdict)
            print_error("%.*s\n", SPAN_PRINT(content));
        assert_int_equal(got, verdict);
        downgrade_free(d);
    }
}

static void single_texts(void **state)
{
    (void)state;
    expect_result("Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                  "Content-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9f"
                  "e = all, \r\n.dot\t\r\nend\r\n",
                  "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                  "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                  "Gr=C3=BC=C3=9Fe =3D all,=20\r\n.dot=09\r\nend\r\n");
    /* The field is said anew wherever it stood, folded, in any case. */
    expect_result(
        "MIME-Version: 1.0\r\ncontent-TRANSFER-encoding :\r\n\t8bit\r\nSubject: x\r\n\r\n"
        "an e with an accent: \xe9 and a rather long line behind it, which has to be broken\r\n",
        "MIME-Version: 1.0\r\nSubject: x\r\n"
        "Content-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        "an e with an accent: =E9 and a rather long line behind it, which has to be =\r\n"
        "broken\r\n");
    /* No MIME at all (RFC 1428). */
    expect_result(
        "Subject: x\r\n\r\nthere is but one in this text: \xe4\r\n",
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit"
        "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        "there is but one in this text: =E4\r\n");
    /* Mostly 8-bit: base64 is shorter. */
    expect_result("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n"
                  "\xf0\xd2\xc9\xd7\xc5\xd4\r\n",
                  "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=koi8-r\r\n"
                  "Content-Transfer-Encoding: base64\r\n\r\n8NLJ18XUDQo=\r\n");
    /* A soft break makes no boundary. */
    expect_result(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
        "\xe4 56789 123456789 123456789 123456789 123456789 123456789 123456789 12345--b\r\n"
        "--b--\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        "=E4 56789 123456789 123456789 123456789 123456789 123456789 123456789 12345=\r\n"
        "=2D-b\r\n--b--\r\n");
    /* Bytes that are no line ends, and no end of the last line. */
    expect_result("Mime-Version: 1.0\r\nContent-Type: text/plain\r\n\r\na \rb \r\r\n c long enough "
                  "\xe4 for it\r\n",
                  "Mime-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: "
                  "quoted-printable\r\n\r\na =0Db =0D\r\n c long enough =E4 for it\r\n");
    expect_result(
        "Mime-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nit has no end at all: \xe4 ",
        "Mime-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: "
        "quoted-printable\r\n\r\nit has no end at all: =E4=20=\r\n");
}

static void in_parts(void **state)
{
    (void)state;
    expect_result(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b 1\"\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--b 1\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "the first of the parts: \xc3\xa4\r\n"
        "\r\n--b 1\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "AAAA\r\n--b 1  \r\n\r\n\xe4\xe4\xe4\r\n--b 1--\r\nepilogue\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b 1\"\r\n"
        "Content-Transfer-Encoding: 7bit\r\n\r\npreamble\r\n--b 1\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        "the first of the parts: =C3=A4\r\n"
        "\r\n--b 1\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "AAAA\r\n--b 1  \r\nContent-Transfer-Encoding: base64\r\n\r\n5OTk\r\n--b 1--\r\n"
        "epilogue\r\n");
    /* A message in a digest in a message, the inner boundary ended by the outer one. */
    expect_result(
        "Content-Type: multipart/mixed; boundary=a\r\nMIME-Version: 1.0\r\n\r\n--a\r\n"
        "Content-Type: multipart/digest; boundary=ab\r\n\r\n--ab\r\n\r\nSubject: inner\r\n"
        "\r\nmost of it has only seven: \xe4\r\n--a\r\nContent-Type: message/rfc822\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\nContent-Transfer-Encoding: 8bit\r\n"
        "X: y\r\n\r\nand this is the other one: \xe4\r\n--a--\r\n",
        "Content-Type: multipart/mixed; boundary=a\r\nMIME-Version: 1.0\r\n\r\n--a\r\n"
        "Content-Type: multipart/digest; boundary=ab\r\n\r\n--ab\r\n\r\nSubject: inner\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        "most of it has only seven: =E4\r\n--a\r\nContent-Type: message/rfc822\r\n"
        "Content-Transfer-Encoding: 7bit\r\n\r\nX: y\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        "and this is the other one: =E4\r\n--a--\r\n");
    /* What is signed is let be when it has 7 bits, whatever it says. */
    expect_result("Content-Type: multipart/mixed; boundary=a\r\nMIME-Version: 1.0\r\n\r\n--a\r\n"
                  "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
                  "Content-Transfer-Encoding: 8bit\r\n\r\nx \r\n--s--\r\n--a\r\n\r\n"
                  "one, and no more of these: \xe4\r\n--a--\r\n",
                  "Content-Type: multipart/mixed; boundary=a\r\nMIME-Version: 1.0\r\n\r\n--a\r\n"
                  "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
                  "Content-Transfer-Encoding: 8bit\r\n\r\nx \r\n--s--\r\n--a\r\n"
                  "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                  "one, and no more of these: =E4\r\n--a--\r\n");
}

#define MULTI(type, part) \
    "MIME-Version: 1.0\r\nContent-Type: " type "; boundary=b\r\n\r\n--b\r\n" part "\r\n--b--\r\n"

static void refuses(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "Subject: \xe4\r\n\r\nx\r\n",
        "X-\xe4: x\r\n\r\nx\r\n",
        "\xe4\r\n",
        "no field\r\nX: y\r\n\r\n\xe4\r\n",
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=\xe4\r\n\r\nx\r\n",
        MULTI("multipart/signed", "\r\n\xe4"),
        MULTI("Multipart/ENCRYPTED", "\r\n\xe4"),
        MULTI("multipart/signed",
              "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n\xe4"),
        MULTI("multipart/signed", "Content-Type: message/rfc822\r\n\r\nX: y\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Subject: \xe4\r\n\r\nx"),
        MULTI("multipart/mixed", "\r\nx\r\n--b--\r\n\xe4"),
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\xe4\r\n"
        "--b\r\n\r\nx\r\n",
        MULTI("multipart/mixed", "Content-Transfer-Encoding: base64\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Transfer-Encoding: quoted-printable\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Transfer-Encoding: x-uuencode\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: "
                                 "8bit\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Transfer-Encoding: 8bit x\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Transfer-Encoding:\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Type: text\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Type: text/plain; charset\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Type: text/plain; charset=\"utf-8\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Type: text/plain (comment\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Type: multipart/mixed\r\n\r\n--\r\n\r\n\xe4"),
        MULTI("multipart/mixed",
              "Content-Type: multipart/mixed; boundary=c; boundary=d\r\n\r\n--c\r\n\r\n\xe4"),
        MULTI("multipart/mixed",
              "Content-Type: multipart/mixed; boundary=\"c \"\r\n\r\n--c \r\n\r\n\xe4"),
        MULTI("multipart/mixed",
              "Content-Type: multipart/mixed; boundary*=us-ascii''c\r\n\r\n--c\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Type: multipart/mixed; boundary=c\r\n"
                                 "Content-Transfer-Encoding: base64\r\n\r\n--c\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64"
                                 "\r\n\r\nX: y\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Type: message/global\r\n\r\nX: y\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "Content-Type: message/partial\r\n\r\n\xe4"),
        MULTI("multipart/mixed", "bad header\r\n\r\n\xe4"),
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_verdict(span_text(rows[i]), DOWNGRADE_IMPOSSIBLE);
}

static void needs_nothing(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "\r\n",
        "Subject: x\r\n",
        "Subject: x\r\n\r\nx\r\n",
        "no header at all",
        MULTI("multipart/signed", "Content-Transfer-Encoding: 8bit\r\n\r\nx"),
        MULTI("multipart/mixed", "bad header\r\n\r\nx"),
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_verdict(span_text(rows[i]), DOWNGRADE_NEEDLESS);
}

static void put_nested(struct buffer *b, int depth)
{
    assert_true(buffer_put_text(b, "MIME-Version: 1.0\r\n"));
    for (int i = 0; i < depth; i++)
        assert_true(buffer_printf(
            b, "Content-Type: multipart/mixed; boundary=b%dx\r\n\r\n--b%dx\r\n", i, i));
    assert_true(buffer_put_text(b, "\r\n\xe4\r\n"));
}

static void limits(void **state)
{
    (void)state;
    struct buffer b, out;
    buffer_init(&b, OUTPUT_MAX);
    buffer_init(&out, OUTPUT_MAX);
    put_nested(&b, 32);
    expect_verdict(buffer_span(&b), DOWNGRADE_POSSIBLE);
    buffer_reset(&b);
    put_nested(&b, 33);
    expect_verdict(buffer_span(&b), DOWNGRADE_IMPOSSIBLE);
    /* Many parts, of which the last has one. */
    for (int parts = DOWNGRADE_ENTITIES_MAX - 1; parts <= DOWNGRADE_ENTITIES_MAX; parts++) {
        buffer_reset(&b);
        assert_true(buffer_put_text(&b, "Content-Type: multipart/mixed; boundary=b\r\n\r\n"));
        for (int i = 0; i < parts; i++)
            assert_true(buffer_printf(&b, "--b\r\n\r\n%s\r\n", i == parts - 1 ? "\xe4" : "x"));
        expect_verdict(buffer_span(&b),
                       parts < DOWNGRADE_ENTITIES_MAX ? DOWNGRADE_POSSIBLE : DOWNGRADE_IMPOSSIBLE);
    }
    /* Lines without end. */
    buffer_reset(&b);
    assert_true(buffer_put_text(&b, "Content-Type: text/plain\r\nX: "));
    for (int i = 0; i < 10000; i++)
        assert_true(buffer_put_text(&b, "long "));
    assert_true(buffer_put_text(&b, "\r\n\r\n"));
    for (int i = 0; i < 10000; i++)
        assert_true(buffer_put_text(&b, "lon\xe4 and on and on "));
    for (size_t piece = 1; piece < 100000; piece = piece * 7 + 1) {
        convert(buffer_span(&b), piece, &out);
        for (struct span line, rest = span_skip(buffer_span(&out), 50100); rest.len > 0;) {
            rest = span_split(rest, '\n', &line);
            assert_true(line.len <= 77);
        }
    }
    /* An output that is full is told. */
    struct downgrade *d = downgrade_new();
    assert_int_equal(survey(d, buffer_span(&b), 1000), DOWNGRADE_POSSIBLE);
    buffer_fini(&out);
    buffer_init(&out, 1000);
    downgrade_begin(d);
    assert_false(downgrade_put(d, buffer_span(&b), &out));
    downgrade_free(d);
    buffer_fini(&b);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_texts),  cmocka_unit_test(in_parts), cmocka_unit_test(refuses),
        cmocka_unit_test(needs_nothing), cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
