"""The programs beside postrider work without it, so that a failure elsewhere is postrider's."""

import os
import smtplib

import peers
import pytest

from harness.names import NameServer
from harness.process import free_port
from harness.traffic import Ledger, settle
from harness.receivers import Exim, Postfix, SmtpSink, needs_root
from make_messages import FOLDER, MESSAGES

as_root = pytest.mark.skipif(os.geteuid() != 0, reason=needs_root)


@pytest.fixture
def unpacked(ends):
    """start(thing): starts and stops it, or skips where Debian's archive cannot be reached."""
    def start(make):
        try:
            thing = make()
            ends.append(thing)
            return thing.start()
        except peers.Unavailable as reason:
            pytest.skip(str(reason))
    return start


def send(receiver, content, recipient):
    with smtplib.SMTP(receiver.host, receiver.port, timeout=20) as client:
        client.sendmail("sender@client.test", [recipient], content)


def test_the_messages_are_what_their_script_makes():
    assert len(MESSAGES) >= 40
    for name, content in MESSAGES.items():
        assert (FOLDER / f"{name}.eml").read_bytes() == content, name


def test_name_server(unpacked, folder):
    server = unpacked(lambda: NameServer(folder, "recipient.test. MX 10 mx.recipient.test."))
    assert server.is_answering()


@as_root
@pytest.mark.parametrize("kind", [Postfix, Exim])
def test_receiver_keeps_a_message(unpacked, kind):
    receiver = unpacked(lambda: kind("127.0.0.2", free_port("127.0.0.2"), "recipient.test"))
    send(receiver, MESSAGES["attachment"], "r@recipient.test")
    kept, = receiver.wait_messages(1)
    assert kept.endswith(MESSAGES["attachment"].replace(b"\r\n", b"\n"))
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(receiver, MESSAGES["plain"], "r@stranger.test")


def test_smtp_sink_keeps_a_message_and_fails_when_told(unpacked):
    sink = unpacked(lambda: SmtpSink("127.0.0.2", free_port("127.0.0.2")))
    send(sink, MESSAGES["dots_at_line_starts"], "r@recipient.test")
    kept, = sink.wait_messages(1)
    assert MESSAGES["plain"] != kept and b"Dots" in kept
    failing = unpacked(lambda: SmtpSink("127.0.0.3", free_port("127.0.0.3"), "-r", "RCPT"))
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(failing, MESSAGES["plain"], "r@recipient.test")
    assert refused.value.recipients["r@recipient.test"][0] // 100 == 4


def test_generator_sink_and_ledger_agree(start_sink, start_generator):
    sink = start_sink()
    generator = start_generator(sink.port, "--messages", "300", "--sessions", "5", "--size", "2000")
    assert generator.finish()
    ledger = settle(generator, sink, 5)
    assert len(ledger.acknowledged) == 300 and not ledger.missing and not ledger.repeats


def test_a_sink_that_loses_connections_is_seen_by_the_ledger(start_sink, start_generator):
    """What the generator never saw acknowledged may be at the sink; the other way round is a loss."""
    sink = start_sink("--drop", "20", "--tempfail", "10")
    generator = start_generator(sink.port, "--messages", "300", "--sessions", "5", "--persist")
    generator.program.process.wait(60)
    ledger = settle(generator, sink, 5)
    assert 100 < len(ledger.acknowledged) < 300 and not ledger.missing
    forgotten = Ledger({"a": 1, "b": 1}, {"b": 2})
    assert forgotten.missing == ["a"] and forgotten.repeats == {"b": 1}


def test_sink_saves_what_came(start_sink):
    sink = start_sink(save=True)
    send(sink, MESSAGES["dots_around_buffers"], "r@recipient.test")
    (envelope, content), = sink.wait_messages(1)
    assert content == MESSAGES["dots_around_buffers"]
    assert "r@recipient.test" in str(envelope["recipients"])
