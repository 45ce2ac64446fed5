"""Servers of others that take our mail, each with the extensions it offers: Postfix, Exim, OpenSMTPD,
chasquid, aiosmtpd."""

import os
import re
import smtplib
import subprocess

import peers
import pytest

from harness.process import free_port, wait_until
from harness.receivers import (Aiosmtpd, Chasquid, Exim, OpenSmtpd, Postfix, needs_root)
from make_messages import MESSAGES

as_root = pytest.mark.skipif(os.geteuid() != 0, reason=needs_root)
HOST = "127.0.0.8"
# Not those that these servers change or refuse by themselves.
CHOSEN = ["plain", "attachment", "alternative", "dots_at_line_starts", "utf8_8bit", "folded_header",
          "nested", "line_of_998", "every_line_a_dot", "base64_300k"]


@pytest.fixture
def unpacked(ends):
    def start(make):
        thing = make()
        ends.append(thing)
        try:
            return thing.start()
        except peers.Unavailable as reason:
            pytest.skip(str(reason))
    return start


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem", "-days", "2",
         "-subj", "/CN=real", "-addext", f"subjectAltName=IP:{HOST}"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"openssl makes no certificate here: {done.stderr}")
    return folder


def expect_all(came, names):
    for name in names:
        body = MESSAGES[name].partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n").rstrip(b"\n")
        assert any(content.replace(b"\r\n", b"\n").rstrip(b"\n").endswith(body)
                   for content in came), name


@as_root
@pytest.mark.parametrize("kind", ["Postfix", "Exim", "OpenSmtpd", "Chasquid", "Aiosmtpd"])
def test_each_takes_all_kinds_of_mail(unpacked, start_postrider, certificates, kind, interop):
    port = free_port(HOST)
    make = {"Postfix": lambda: Postfix(HOST, port, "real.test"),
            "Exim": lambda: Exim(HOST, port, "real.test"),
            "OpenSmtpd": lambda: OpenSmtpd(HOST, port, "real.test"),
            "Chasquid": lambda: Chasquid(HOST, port, "real.test", "r", certificates),
            "Aiosmtpd": lambda: Aiosmtpd(HOST, port, True)}[kind]
    receiver = unpacked(make)
    postrider = start_postrider(next_hop=(HOST, port))
    for name in CHOSEN:
        postrider.send(MESSAGES[name], recipients=["r@real.test"])
    expect_all(receiver.wait_messages(len(CHOSEN), 60), CHOSEN)
    postrider.wait_drained()
    assert len(re.findall("message-delivered ", postrider.log())) == len(CHOSEN)
    interop({"OpenSmtpd": "OpenSMTPD", "Chasquid": "chasquid", "Aiosmtpd": "aiosmtpd"}.get(kind, kind), "out")


@as_root
def test_chasquid_under_tls_that_must_be(unpacked, start_postrider, certificates, interop):
    port = free_port(HOST)
    receiver = unpacked(lambda: Chasquid(HOST, port, "real.test", "r", certificates))
    postrider = start_postrider(next_hop=(HOST, port),
                                deliver=f"tls must\n tls-ca {certificates}/fullchain.pem")
    postrider.send(MESSAGES["attachment"], recipients=["r@real.test"])
    expect_all(receiver.wait_messages(1), ["attachment"])
    postrider.wait_drained()
    assert re.search(r'message-delivered .*tls="?TLSv1.3 \w+ verified', postrider.log())
    interop("chasquid", "out TLS")


def send_utf8(postrider, sender, recipients, content):
    with smtplib.SMTP("127.0.0.1", postrider.port, local_hostname="client.test") as client:
        client.ehlo()
        code, text = client.docmd(f"MAIL FROM:<{sender}> BODY=8BITMIME SMTPUTF8".encode().decode("latin1")) \
            if sender.isascii() else client.docmd("MAIL", f"FROM:<{sender}> BODY=8BITMIME SMTPUTF8")
        assert code == 250, text
        for recipient in recipients:
            assert client.docmd("RCPT", f"TO:<{recipient}>")[0] == 250
        assert client.data(content)[0] == 250


@pytest.fixture
def utf8_client(monkeypatch):
    """smtplib writes ASCII unless it is told otherwise."""
    init = smtplib.SMTP.__init__
    def init_utf8(self, *arguments, **named):
        init(self, *arguments, **named)
        self.command_encoding = "utf-8"
    monkeypatch.setattr(smtplib.SMTP, "__init__", init_utf8)


CONTENT = "Subject: Grüße\r\n\r\nx\r\n".encode()


def test_smtputf8_where_it_is_offered(unpacked, start_postrider, utf8_client, interop):
    port = free_port(HOST)
    receiver = unpacked(lambda: Aiosmtpd(HOST, port, True))
    postrider = start_postrider(next_hop=(HOST, port))
    send_utf8(postrider, "jürgen@client.test", ["müller@real.test", "r@bücher.test"], CONTENT)
    came = b"".join(receiver.wait_messages(1))
    wait_until(lambda: postrider.queue_length() == 0, 10, postrider.log)
    came = b"".join(receiver.wait_messages(1))
    assert "jürgen@client.test\n".encode() in came and b"SMTPUTF8" in came
    assert "müller@real.test".encode() in came and "r@bücher.test".encode() in came
    assert CONTENT in came
    # What needs nothing of the kind is sent without it.
    send_utf8(postrider, "a@client.test", ["r@real.test"], b"Subject: x\r\n\r\ny\r\n")
    wait_until(lambda: postrider.queue_length() == 0, 10, postrider.log)
    plain = [mail for mail in receiver.wait_messages(2) if b"a@client.test" in mail.split(b"\n\n")[0]]
    assert len(plain) == 1 and b"SMTPUTF8" not in plain[0].split(b"\n\n")[0]
    interop("aiosmtpd", "out", "SMTPUTF8")


def test_smtputf8_where_it_is_not(unpacked, start_postrider, utf8_client):
    """A domain becomes A-labels; a local part that is not ASCII fails, and only he."""
    port = free_port(HOST)
    receiver = unpacked(lambda: Aiosmtpd(HOST, port, False))
    postrider = start_postrider(next_hop=(HOST, port))
    send_utf8(postrider, "a@client.test", ["müller@real.test", "r@bücher.test"],
              b"Subject: x\r\n\r\ny\r\n")
    came = receiver.wait_messages(2) # the mail, and the report of the other one
    said = [mail.split(b"\n\n")[0] for mail in came]
    assert any(b"r@xn--bcher-kva.test" in envelope for envelope in said)
    assert not any("müller".encode() in envelope for envelope in said)
    report = next(mail for mail in came if b"multipart/report" in mail)
    assert b"Status: 5.6.7" in report
    postrider.wait_drained()


def test_smart_hosts_in_their_order(start_sink, start_postrider):
    """The second one only while the first is down, and the first one again when it is back."""
    first, second = (start_sink(save=True, host=host) for host in ("127.0.0.2", "127.0.0.3"))
    to = " ".join(f"smtp:{sink.address[0]}:{sink.address[1]}" for sink in (first, second))
    postrider = start_postrider(next_hop=to, deliver="idle 0s")
    postrider.send(MESSAGES["plain"], recipients=["a@real.test"])
    first.wait_messages(1)
    postrider.wait_drained()
    first.stop()
    postrider.send(MESSAGES["attachment"], recipients=["b@real.test"])
    assert second.wait_messages(1)[0][1].endswith(MESSAGES["attachment"])
    first.start()
    postrider.send(MESSAGES["nested"], recipients=["c@real.test"])
    assert any(content.endswith(MESSAGES["nested"]) for _, content in first.wait_messages(2))
    postrider.wait_drained()
    assert len(second.messages()) == 1
