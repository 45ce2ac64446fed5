"""Where mail goes: MX by a real name server, to real servers, and what happens when they fail."""

import os
import re
import time

import peers
import pytest

from harness.names import NameServer
from harness.process import free_port
from harness.receivers import Exim, Postfix, SmtpSink, needs_root
from make_messages import MESSAGES

TEXT = MESSAGES["attachment"]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason=needs_root)

# 127.0.0.1 is postrider itself; .2 and above are the servers of others; nobody listens on .9.
ZONE = """
client.test.            MX 10 mx2.test.
one.test.               MX 10 mx2.test.
preference.test.        MX 20 mx3.test.
preference.test.        MX 10 mx2.test.
dead-first.test.        MX 10 dead.test.
dead-first.test.        MX 20 mx2.test.
two-addresses.test.     MX 10 half.test.
null.test.              MX 0 .
implicit.test.          A 127.0.0.2
ourselves.test.         MX 10 mx2.test.
ourselves.test.         MX 20 mx.test.
ourselves.test.         MX 30 mx3.test.
only-us.test.           MX 10 mx.test.
alias.test.             CNAME one.test.
mx-alias.test.          MX 10 cname-of-mx2.test.
cname-of-mx2.test.      CNAME mx2.test.
nothing.test.           TXT "neither MX nor address"
unresolved-mx.test.     MX 10 missing.test.
dead.test.              MX 10 dead.test.
mx.test.                A 127.0.0.1
mx2.test.               A 127.0.0.2
mx3.test.               A 127.0.0.3
dead.test.              A 127.0.0.9
half.test.              A 127.0.0.9
half.test.              A 127.0.0.2
"""


@pytest.fixture
def unpacked(ends):
    def start(make):
        try:
            thing = make()
            ends.append(thing)
            return thing.start()
        except peers.Unavailable as reason:
            pytest.skip(str(reason))
    return start


@pytest.fixture
def world(folder, unpacked, start_postrider, start_sink):
    """postrider, who asks the name server, and sinks at .2 and .3 on the port it delivers to."""
    class World:
        pass
    world = World()
    world.port = free_port("127.0.0.2")
    names = unpacked(lambda: NameServer(folder, ZONE))
    world.two = start_sink(save=True, host="127.0.0.2", port=world.port)
    world.three = start_sink(save=True, host="127.0.0.3", port=world.port)
    world.postrider = start_postrider(dns=names.address, remote_port=world.port)
    return world


def reports(sink, count=1, timeout_s=20):
    """Failure reports (RFC 3464) that came to the sink."""
    end = time.monotonic() + timeout_s
    while True:
        found = [content for envelope, content in sink.messages()
                 if b"multipart/report" in content and str(envelope["mail"]).startswith("<>")]
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.1)


@pytest.mark.parametrize("domain", ["one", "preference", "dead-first", "two-addresses", "implicit",
                                    "ourselves", "alias", "mx-alias"])
def test_comes_to_the_best_server_that_lives(world, domain):
    world.postrider.send(TEXT, recipients=[f"r@{domain}.test"])
    (envelope, content), = world.two.wait_messages(1)
    assert content.endswith(TEXT)
    assert f"<r@{domain}.test>" in str(envelope["recipients"])
    assert world.three.messages() == []


def test_the_second_server_when_the_first_is_down(world):
    world.two.stop()
    world.postrider.send(TEXT, recipients=["r@preference.test"])
    assert world.three.wait_messages(1)[0][1].endswith(TEXT)


@pytest.mark.parametrize("domain, status", [
    ("null", r"5\.1\.10"),      # RFC 7505 4
    ("only-us", r"5\.4\.6|5\.3\.5"),   # RFC 5321 5.1: it would loop
    ("nothing", r"5\.1\.2"),
    ("does-not-exist", r"5\.1\.2"),
])
def test_fails_at_once_with_a_report(world, domain, status):
    world.postrider.send(TEXT, sender="anna@client.test", recipients=[f"r@{domain}.test"])
    found = reports(world.two)
    assert len(found) == 1, world.postrider.log()[-3000:]
    report = found[0]
    assert re.search(rb"^Status: (" + status.encode() + rb")", report, re.MULTILINE), report
    assert re.search(rb"^Final-Recipient: rfc822; ?r@%s\.test" % domain.encode(), report, re.MULTILINE)
    assert re.search(rb"^Action: failed", report, re.MULTILINE)
    assert b"Auto-Submitted: auto-replied" in report or b"Auto-Submitted: auto-generated" in report
    world.postrider.wait_drained()


def test_a_dead_server_is_tried_again(world):
    """Nobody listens at first: the message waits in the queue and arrives by a retry."""
    world.two.stop()
    world.postrider.send(TEXT, recipients=["r@one.test"])
    time.sleep(1)
    assert world.postrider.queue_length() == 1
    world.two.start()
    world.postrider.retry_all()
    assert world.two.wait_messages(1)[0][1].endswith(TEXT)
    world.postrider.wait_drained()


def test_a_report_that_fails_makes_no_report(world):
    """An empty sender gets nothing back: the message is held or goes to the postmaster."""
    world.postrider.send(TEXT, sender="", recipients=["r@does-not-exist.test"])
    time.sleep(2)
    assert world.two.messages() == [] and world.three.messages() == []


@as_root
@pytest.mark.parametrize("kind", [Postfix, Exim])
def test_real_servers_receive(folder, unpacked, start_postrider, kind, interop):
    port = free_port("127.0.0.4")
    names = unpacked(lambda: NameServer(folder, "real.test. MX 10 mx4.test.\nmx4.test. A 127.0.0.4"))
    receiver = unpacked(lambda: kind("127.0.0.4", port, "real.test"))
    postrider = start_postrider(dns=names.address, remote_port=port)
    # Not those that these servers change or refuse by themselves.
    chosen = ["plain", "attachment", "alternative", "dots_at_line_starts", "utf8_8bit", "folded_header",
              "nested", "line_of_998", "every_line_a_dot", "base64_300k", "no_body"]
    for name in chosen:
        postrider.send(MESSAGES[name], recipients=[f"{name}@real.test"])
    came = receiver.wait_messages(len(chosen), 60)
    postrider.wait_drained()
    for name in chosen:
        body = MESSAGES[name].partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
        assert any(content.endswith(body) and name.encode() + b"@real.test" in content
                   or content.endswith(b"\n\n" + body) for content in came), name
    interop(kind.__name__, "out")


@as_root
def test_a_real_server_refuses_one_of_three(folder, unpacked, start_postrider, start_sink):
    """Recipients of one transaction with mixed replies: two arrive, one is reported."""
    port = free_port("127.0.0.4")
    names = unpacked(lambda: NameServer(folder, "real.test. MX 10 mx4.test.\nmx4.test. A 127.0.0.4\n"
                                                "client.test. MX 10 mx2.test.\nmx2.test. A 127.0.0.2"))
    receiver = unpacked(lambda: Postfix("127.0.0.4", port, "real.test",
                                        "smtpd_recipient_restrictions = check_recipient_access "
                                        "inline:{{gone@real.test = 550 5.1.1 gone for good}} "
                                        "reject_unauth_destination"))
    sink = start_sink(save=True, host="127.0.0.2", port=port)
    postrider = start_postrider(dns=names.address, remote_port=port)
    postrider.send(TEXT, sender="anna@client.test",
                   recipients=["a@real.test", "gone@real.test", "b@real.test"])
    receiver.wait_messages(2)
    report, = reports(sink)
    assert b"gone@real.test" in report and b"gone for good" in report and b"Status: 5.1.1" in report
    assert b"rfc822; a@real.test" not in report
    postrider.wait_drained()


SINK_TROUBLE = {
    "no-esmtp": (["-e"], "arrives"),
    "no-pipelining": (["-p"], "arrives"),
    "no-enhanced-codes": (["-E"], "arrives"),
    "slow": (["-w", "1"], "arrives"),
    "small-window": (["-T", "1000"], "arrives"),
    "421-at-connect": (["-Q", "connect"], "waits"),
    "421-at-mail": (["-Q", "mail"], "waits"),
    "421-at-rcpt": (["-Q", "rcpt"], "waits"),
    "421-at-data": (["-Q", "data"], "waits"),
    "421-at-dot": (["-Q", "."], "waits"),
    "lost-at-connect": (["-q", "connect"], "waits"),
    "lost-at-ehlo": (["-q", "ehlo"], "waits"),
    "lost-at-mail": (["-q", "mail"], "waits"),
    "lost-at-rcpt": (["-q", "rcpt"], "waits"),
    "lost-at-data": (["-q", "data"], "waits"),
    "lost-at-dot": (["-q", "."], "waits"),
    "4xx-at-connect": (["-r", "connect"], "waits"),
    "4xx-at-ehlo": (["-r", "ehlo"], "waits or arrives"),
    "4xx-at-mail": (["-r", "mail"], "waits"),
    "4xx-at-rcpt": (["-r", "rcpt"], "waits"),
    "4xx-at-data": (["-r", "data"], "waits"),
    "4xx-at-dot": (["-r", "."], "waits"),
    "5xx-at-ehlo": (["-f", "ehlo"], "arrives"),
    "5xx-at-mail": (["-f", "mail"], "fails"),
    "5xx-at-rcpt": (["-f", "rcpt"], "fails"),
    "5xx-at-data": (["-f", "data"], "fails"),
    "5xx-at-dot": (["-f", "."], "fails"),
    "5xx-without-text": (["-f", "rcpt", "-B", "550"], "fails"),
    "4xx-odd-code": (["-r", "rcpt", "-b", "499 9.9.9 what"], "waits"),
    "550-in-mid-data": (["-A", "0"], "fails"),
}


@pytest.mark.parametrize("trouble", sorted(SINK_TROUBLE))
def test_smtp_sink_with_errors(folder, unpacked, start_postrider, start_sink, trouble, interop):
    options, fate = SINK_TROUBLE[trouble]
    port = free_port("127.0.0.4")
    names = unpacked(lambda: NameServer(folder, "real.test. MX 10 mx4.test.\nmx4.test. A 127.0.0.4\n"
                                                "client.test. MX 10 mx2.test.\nmx2.test. A 127.0.0.2"))
    sink = unpacked(lambda: SmtpSink("127.0.0.4", port, *options))
    reported = start_sink(save=True, host="127.0.0.2", port=port)
    postrider = start_postrider(dns=names.address, remote_port=port)
    postrider.send(TEXT, sender="anna@client.test", recipients=["r@real.test"])
    if fate == "arrives":
        sink.wait_messages(1)
        postrider.wait_drained() # only now is the file whole
        kept, = sink.wait_messages(1)
        assert b"The picture is attached." in kept
    elif fate == "fails":
        report, = reports(reported)
        assert re.search(rb"^Status: 5\.", report, re.MULTILINE)
        postrider.wait_drained()
    else:
        time.sleep(1.5)
        waiting = postrider.queue_length()
        assert waiting == 1 or (fate == "waits or arrives" and len(sink.files()) == 1)
        assert reports(reported, timeout_s=0) == []
    interop("smtp-sink", "out", "errs in many ways")
