#!/usr/bin/python3
"""Makes the messages of tests/e2e/messages: real in shape, odd in detail, the same on every run.

  make_messages.py            writes the files anew
  make_messages.py --check    fails when a file differs from what this script makes

Each is the content as a client sends it before dot-stuffing: lines end with CRLF. What is too large
for the repository is made by large() at run time.
"""

import base64
import pathlib
import quopri
import random
import sys

FOLDER = pathlib.Path(__file__).resolve().parent / "messages"
MESSAGES = {}
CRLF = b"\r\n"


def message(function):
    """Registers a message under its function's name; the docstring says what is odd about it."""
    content = function()
    assert b"\0" not in content
    assert content.endswith(CRLF), function.__name__
    assert content.replace(CRLF, b"").count(b"\r") == content.replace(CRLF, b"").count(b"\n") == 0
    MESSAGES[function.__name__] = content
    return function


def lines(*parts):
    """Each part with CRLF; text is UTF-8."""
    return b"".join((part.encode() if isinstance(part, str) else part) + CRLF for part in parts)


def header(subject, *more):
    return lines("From: Anna Ahrends <anna@client.test>", "To: Recipient <r@recipient.test>",
                 "Date: Mon, 2 Mar 2026 09:00:00 +0100",
                 f"Message-ID: <{subject.lower().replace(' ', '-').encode().hex()[:40]}@client.test>",
                 f"Subject: {subject}", *more)


def noise(size, seed):
    return random.Random(seed).randbytes(size)


def base64_lines(data, width=76):
    text = base64.b64encode(data)
    return CRLF.join(text[at : at + width] for at in range(0, len(text), width)) + CRLF


def multipart(kind, boundary, *parts):
    body = b"".join(b"--" + boundary.encode() + CRLF + part for part in parts)
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"'
    return head, body + b"--" + boundary.encode() + b"--" + CRLF


def part(kind, body, *more):
    return lines(f"Content-Type: {kind}", *more, "") + body


# Plain ----------------------------------------------------------------------------------------------


@message
def plain():
    return header("Hello") + lines("", "Just a line.")


@message
def one_header_field():
    return lines("Subject: nothing else", "", "body")


@message
def no_body():
    """Header and the empty line, nothing behind it."""
    return header("No body") + lines("")


@message
def no_empty_line():
    """The header ends with the message."""
    return header("No empty line")


@message
def no_header():
    """The first line is empty: all of it is body."""
    return lines("", "There is no header at all.", "", "Really.")


@message
def no_header_no_empty_line():
    """The first line is no header field."""
    return lines("This is not a header field", "and neither is this", "", "after an empty line")


@message
def empty_lines_only():
    return lines("", "", "", "")


@message
def many_empty_lines_at_end():
    return header("Empty lines at the end") + lines("", "text", *[""] * 50)


@message
def trailing_blanks():
    return header("Trailing blanks", "X-Blank: value   \t ") + lines("", "blanks   ", "tab\t", "   ", "\t")


@message
def format_flowed():
    return header("Flowed", "Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes") + lines(
        "", *["A paragraph that goes on and on, softly broken with a blank at its end " for _ in range(30)],
        "end.", "-- ", "Anna")


# Dots -----------------------------------------------------------------------------------------------


@message
def dots_at_line_starts():
    return header("Dots") + lines("", ".", "..", "...", ".a", "..a", ". ", "a.", "", ".", "", ".")


@message
def dots_only():
    return lines(".", "..", ".", "...")


@message
def dot_in_header():
    return header("Dot in header") + lines(".X-Odd: begins with a dot", "", "body")


@message
def every_line_a_dot():
    return header("Five thousand dots") + lines("", *["."] * 5000)


@message
def dots_around_buffers():
    """Dots at the line starts next to the usual sizes of buffers."""
    body = b""
    for size in (1024, 2048, 4096, 8192, 16384, 32768, 65536):
        for shift in range(-3, 4):
            body += b"x" * 70 + CRLF
            while len(body) < size + shift - 80:
                body += b"x" * 70 + CRLF
            body += b"y" * max(0, size + shift - len(body) - 2) + CRLF + b"." + CRLF + b"..z" + CRLF
    return header("Dots around buffers") + CRLF + body


@message
def smtp_in_body():
    return header("A talk") + lines("", "QUIT", "MAIL FROM:<>", "RSET", "DATA", "250 OK", "421 bye",
                                    "From here on", "From anna@client.test Mon Mar  2 09:00:00 2026")


# Long -----------------------------------------------------------------------------------------------


@message
def line_of_998():
    return header("Longest line") + lines("", "x" * 998, "short", "y" * 997, "z" * 996)


@message
def line_of_999_and_more():
    """Over the limit of RFC 5321 4.5.3.1.6, but seen every day."""
    return header("Longer than allowed") + lines("", "a" * 999, "b" * 1000, "c" * 1001, "d" * 2048,
                                                 "e" * 4096, "f" * 10000)


@message
def line_of_100000():
    """HTML of one line."""
    return header("One line", "Content-Type: text/html") + lines("", "<p>" + "word " * 20000 + "</p>")


@message
def long_lines_with_dots():
    return header("Long lines with dots") + lines("", "." * 998, "." + "x" * 1500, "." * 5000)


@message
def header_line_of_998():
    return header("Long header", "X-Long: " + "h" * (998 - 8)) + lines("", "body")


@message
def references_of_many():
    ids = [f" <{number:032x}.{number * 7919:x}@lists.client.test>" for number in range(400)]
    return header("Re: a long thread", "References:" + ids[0], *ids[1:]) + lines("", "still here")


@message
def many_header_fields():
    return header("Many fields", *[f"X-Field-{number}: value {number}" for number in range(900)]) + lines("", "body")


@message
def many_received_fields():
    hops = [line for number in range(18) for line in (
        f"Received: from hop{number}.client.test (hop{number}.client.test [192.0.2.{number}])",
        f"\tby hop{number + 1}.client.test (Postfix) with ESMTPS id {number:010X}",
        f"\tfor <r@recipient.test>; Mon,  2 Mar 2026 08:{number:02}:00 +0000 (UTC)")]
    return lines(*hops) + header("Hops") + lines("", "body")


# Odd headers ----------------------------------------------------------------------------------------


@message
def folded_header():
    return lines("From: Anna", " <anna@client.test>", "To: a@recipient.test,", "\tb@recipient.test,",
                 "   c@recipient.test", "Subject: This subject", " is", "\tfolded", "  many", " times",
                 "Date: Mon, 2 Mar 2026", " 09:00:00 +0100", "", "body")


@message
def folded_with_blank_lines():
    """Continuations of nothing but blanks: RFC 5322 4.2 (obsolete)."""
    return lines("Subject: first", " ", "\t", "  second", "X-Empty:", "X-Blank: ", "X-Fold:", " value",
                 "", "body")


@message
def odd_field_names():
    return header("Odd names", "x: y", "X-_.!#$%&'*+/=?^`{|}~-: every printable sign",
                  "SUBJECT: twice", "subject: three times", "Received : a blank before the colon",
                  "X-Nothing:", ": no name at all", "Resent-To: someone@recipient.test") + lines("", "body")


@message
def line_without_colon_in_header():
    return header("Broken header", "this line has no colon", "X-After: it") + lines("", "body")


@message
def first_line_folded():
    """Begins with a continuation line."""
    return lines(" continues nothing", "Subject: x", "", "body")


@message
def mbox_from_line():
    """What some clients leave on top."""
    return lines("From anna@client.test Mon Mar  2 09:00:00 2026", "Subject: mbox", "", "body",
                 ">From quoted")


@message
def duplicate_fields():
    return header("Twice") + header("And again") + lines("Bcc: hidden@recipient.test",
                                                        "Return-Path: <forged@client.test>", "", "body")


@message
def odd_addresses():
    return lines('From: "Anna \\"the quoted\\" (not a comment)" <"an na"@client.test>',
                 "Sender: (comment (nested \\) )) anna@client.test (more)",
                 "To: undisclosed-recipients:;",
                 "Cc: A Group:one@recipient.test, Two <two@recipient.test>;, @route.test:x@recipient.test",
                 "Reply-To: <>", "Subject: addresses", "", "body")


@message
def header_only_8bit():
    return lines(b"From: J\xfcrgen <j@client.test>", b"Subject: unencoded Latin-1: \xe4\xf6\xfc\xdf", "", "ascii")


# Alphabets ------------------------------------------------------------------------------------------


@message
def utf8_8bit():
    return header("UTF-8", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
                  "Content-Transfer-Encoding: 8bit") + lines(
        "", "Grüße aus Köln", "Καλημέρα", "Здравствуйте", "こんにちは世界", "你好", "안녕하세요", "שלום",
        "مرحبا", "नमस्ते", "🦉📮", "e\u0301 is not é", "zero\u200bwidth, \u202eturned\u202c")


@message
def utf8_header():
    """RFC 6532, sent without SMTPUTF8 by many."""
    return header("Grüße 你好 🦉", "From: Jürgen Größe <j@client.test>", "X-Привет: мир") + lines("", "body")


@message
def encoded_words():
    return header("=?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus?= =?ISO-8859-1?Q?_K=F6ln?=",
                  "Comments: =?UTF-8?B?" + base64.b64encode("日本語の件名".encode()).decode() + "?=",
                  "X-Broken: =?UTF-8?Q?never ends", "X-Unknown: =?x-klingon?B?AAAA?=") + lines("", "body")


@message
def latin1():
    return header("Latin-1", "Content-Type: text/plain; charset=iso-8859-1",
                  "Content-Transfer-Encoding: 8bit") + lines("", "Größe, señor, ça".encode("latin-1"))


@message
def koi8():
    return header("KOI8", "Content-Type: text/plain; charset=koi8-r") + lines("", "Привет, мир".encode("koi8-r"))


@message
def shift_jis():
    return header("SJIS", "Content-Type: text/plain; charset=shift_jis") + lines("", "表示、ソース、能力".encode("shift_jis"))


@message
def iso2022jp():
    """Seven bits with escape sequences."""
    return header("JIS", "Content-Type: text/plain; charset=iso-2022-jp") + lines("", "日本語のメール".encode("iso-2022-jp"))


@message
def big5_and_gb18030():
    return header("Chinese", "Content-Type: text/plain; charset=gb18030") + lines(
        "", "郵件伺服器".encode("big5"), "邮件服务器".encode("gb18030"))


@message
def invalid_utf8():
    return header("Invalid", "Content-Type: text/plain; charset=utf-8") + lines(
        "", b"\xc3\x28 \xa0\xa1 \xe2\x28\xa1 \xf0\x28\x8c\xbc \xff\xfe \xc0\x80")


@message
def every_byte():
    """All bytes but NUL, CR and LF, in each order of neighbours that matters."""
    every = bytes(value for value in range(1, 256) if value not in (10, 13))
    return header("Every byte") + lines("", every, every[::-1], every * 3)


@message
def telecom_controls():
    """Bytes that a terminal or a telnet client would act on."""
    return header("Controls") + lines("", b"\xff\xf4\xff\xfd\x06 \x1b[2J\x07\x08\x0c\x7f\x1a\x04")


# MIME -----------------------------------------------------------------------------------------------


@message
def alternative():
    kind, body = multipart(
        "alternative", "=_alternative",
        part("text/plain; charset=utf-8", lines("Grüße"), "Content-Transfer-Encoding: 8bit"),
        part("text/html; charset=utf-8", lines(quopri.encodestring("<p>Grüße &amp; mehr</p>".encode())),
             "Content-Transfer-Encoding: quoted-printable"))
    return header("Alternative", "MIME-Version: 1.0", kind) + CRLF + body


@message
def attachment():
    """What `make run` sends: a letter with a picture."""
    kind, body = multipart(
        "mixed", "----=_Part_1_2.3",
        part("text/plain; charset=us-ascii", lines("The picture is attached.", "", ".", "Anna")),
        part('image/png; name="owl.png"', base64_lines(b"\x89PNG\r\n\x1a\n" + noise(30000, "png")),
             "Content-Transfer-Encoding: base64", 'Content-Disposition: attachment; filename="owl.png"'))
    return header("A picture", "MIME-Version: 1.0", kind) + lines("", "This is a message in MIME format.") + body


@message
def nested():
    inner = lines("Content-Type: text/plain", "", "the heart of it")
    for depth in range(40):
        kind, body = multipart("mixed", f"b{depth}", inner)
        inner = lines(kind, "") + body
    return header("Nested", "MIME-Version: 1.0") + inner


@message
def related_html():
    kind, body = multipart(
        "related", "rel",
        part("text/html", lines('<img src="cid:1@client.test">')),
        part("image/gif", base64_lines(noise(800, "gif"), 72), "Content-ID: <1@client.test>",
             "Content-Transfer-Encoding: base64"))
    return header("Related", "MIME-Version: 1.0", kind) + CRLF + body


@message
def forwarded():
    kind, body = multipart("mixed", "fwd", part("text/plain", lines("see below")),
                           part("message/rfc822", MESSAGES["attachment"]))
    return header("Fwd: A picture", "MIME-Version: 1.0", kind) + CRLF + body


@message
def boundary_never_closed():
    return header("Unclosed", 'Content-Type: multipart/mixed; boundary="b"') + lines("", "--b", "", "part", "--c--")


@message
def signed():
    kind, body = multipart(
        'signed; protocol="application/pgp-signature"; micalg=pgp-sha512', "sig",
        part("text/plain", lines("signed text ", "- dashes", "trailing  ")),
        part("application/pgp-signature", lines("-----BEGIN PGP SIGNATURE-----", "",
                                                base64.b64encode(noise(90, "pgp")).decode(),
                                                "-----END PGP SIGNATURE-----")))
    return header("Signed", "MIME-Version: 1.0", kind,
                  "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=client.test; s=s1;",
                  "\th=from : to : subject; bh=" + base64.b64encode(noise(32, "bh")).decode() + ";",
                  "\tb=" + base64.b64encode(noise(256, "b")).decode()[:60],
                  "\t " + base64.b64encode(noise(256, "b")).decode()[60:]) + CRLF + body


@message
def delivery_report():
    kind, body = multipart(
        "report; report-type=delivery-status", "dsn",
        part("text/plain", lines("It did not arrive.")),
        part("message/delivery-status", lines("Reporting-MTA: dns; mx.client.test", "",
                                              "Final-Recipient: rfc822; gone@recipient.test", "Action: failed",
                                              "Status: 5.1.1")),
        part("text/rfc822-headers", header("The original")))
    return lines("Auto-Submitted: auto-replied") + header("Undelivered", "MIME-Version: 1.0", kind) + CRLF + body


@message
def calendar():
    kind, body = multipart("alternative", "cal", part(
        "text/calendar; method=REQUEST; charset=utf-8",
        lines("BEGIN:VCALENDAR", "VERSION:2.0", "BEGIN:VEVENT", "UID:1@client.test", "SUMMARY:Größeres",
              " Treffen", "END:VEVENT", "END:VCALENDAR")))
    return header("Invitation", "MIME-Version: 1.0", kind) + CRLF + body


@message
def uuencoded():
    import binascii
    data = noise(2000, "uu")
    body = [binascii.b2a_uu(data[at : at + 45]).rstrip(b"\n") for at in range(0, len(data), 45)]
    return header("uuencode") + lines("", "begin 644 owl.bin", *body, "`", "end")


@message
def yenc_like():
    """Eight bits in lines of 128, with dots in front."""
    data = bytes(value if value not in (0, 10, 13) else 46 for value in noise(20000, "yenc"))
    return header("yEnc") + lines("", "=ybegin", *[b"." + data[at : at + 128] for at in range(0, len(data), 128)], "=yend")


@message
def base64_300k():
    """Over the size at which content goes to a file of its own."""
    kind, body = multipart("mixed", "big", part("application/octet-stream", base64_lines(noise(230000, "300k")),
                                                "Content-Transfer-Encoding: base64"))
    return header("300 KB", "MIME-Version: 1.0", kind) + CRLF + body


def at_size(size, name):
    """Of exactly `size` bytes."""
    head = header(name) + CRLF
    body = bytearray()
    while len(head) + len(body) < size:
        body += b"x" * min(70, max(0, size - len(head) - len(body) - 2)) + CRLF
        if 0 < size - len(head) - len(body) < 3:
            body[-2:] = b"xxx"[: size - len(head) - len(body)] + CRLF
    return head + bytes(body)


def sizes_around_limits():
    """Sizes next to where storage changes its ways."""
    return {f"size_{size}": at_size(size, f"Size {size}")
            for middle in (4096, 65536, 262144)
            for size in (middle - 1, middle, middle + 1)}


def large(megabytes=25):
    """Many MB, base64 and plain lines with dots mixed; the same bytes on every run."""
    head = header(f"{megabytes} MB", "MIME-Version: 1.0", "Content-Type: application/octet-stream",
                  "Content-Transfer-Encoding: base64") + CRLF
    block = base64_lines(noise(190000, "large")) + b"." + CRLF + b"..dots" + CRLF
    body = block * (megabytes * 1000 * 1000 // len(block))
    return head + body


def main():
    FOLDER.mkdir(exist_ok=True)
    files = {f"{name}.eml": content for name, content in MESSAGES.items()}
    if sys.argv[1:] == ["--check"]:
        wrong = [name for name, content in files.items()
                 if not (FOLDER / name).exists() or (FOLDER / name).read_bytes() != content]
        wrong += [path.name for path in FOLDER.glob("*.eml") if path.name not in files]
        print("\n".join(f"{name} is not what make_messages.py makes" for name in wrong))
        return 1 if wrong else 0
    for path in FOLDER.glob("*.eml"):
        path.unlink()
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)
    print(f"{len(files)} messages, {sum(map(len, files.values()))} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
