"""Real messages pass unchanged: what arrives is what was sent, with a Received field on top."""

import re
import shutil
import time

import pytest

from harness import server, traffic
from make_messages import MESSAGES, large, sizes_around_limits

CORPUS = {**MESSAGES, **sizes_around_limits()}
BDAT_CHUNK = 8191  # odd, so that lines and CRLF pairs are cut


def send_data(client, content):
    code, reply = client.data(content)
    assert code == 250, reply


def send_bdat(client, content):
    """RFC 3030: the bytes as they are, in chunks, pipelined."""
    chunks = [content[at : at + BDAT_CHUNK] for at in range(0, len(content), BDAT_CHUNK)]
    for number, chunk in enumerate(chunks, 1):
        last = b" LAST" if number == len(chunks) else b""
        client.sock.sendall(b"BDAT %d%s\r\n" % (len(chunk), last) + chunk)
    for _ in chunks:
        code, reply = client.getreply()
        assert code == 250, reply


def send_all(postrider, messages, send):
    with postrider.smtp(60) as client:
        client.ehlo()
        for name, content in messages.items():
            eight_bits = " BODY=8BITMIME" if max(content) > 127 else ""
            assert client.docmd("MAIL", f"FROM:<anna@client.test> SIZE={len(content)}{eight_bits}")[0] == 250
            assert client.docmd("RCPT", f"TO:<{name}@recipient.test>")[0] == 250
            send(client, content)


def by_name(messages):
    """The content of each message by the local part of its one recipient."""
    found = {}
    for envelope, content in messages:
        name = re.search(r"<([^@>]+)@", str(envelope["recipients"][0])).group(1)
        assert name not in found, f"{name} came twice"
        found[name] = content
    return found


@pytest.fixture(scope="module", params=["DATA", "BDAT"])
def arrived(request, tmp_path_factory):
    """All messages, sent once, as they came to the sink."""
    if not server.BINARY.exists() or not traffic.SINK.exists():
        pytest.skip(f"{server.BINARY} and {traffic.SINK} do not both exist yet")
    folder = tmp_path_factory.mktemp(request.param)
    sink = traffic.Sink(folder, save=True)
    postrider = server.Postrider(folder, next_hop=sink.address)
    try:
        sink.start()
        postrider.start()
        send_all(postrider, CORPUS, send_data if request.param == "DATA" else send_bdat)
        yield by_name(sink.wait_messages(len(CORPUS), 60))
    finally:
        postrider.stop()
        sink.stop()
        shutil.rmtree(folder, ignore_errors=True)


# One field: its name, then lines of which all but the first are folded.
TRACE = re.compile(rb"\A(?:Received:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+\Z", re.IGNORECASE)


def assert_only_trace_added(sent, came):
    assert came.endswith(sent), f"changed: sent {len(sent)} bytes, {len(came)} came"
    trace = came[: len(came) - len(sent)]
    assert TRACE.match(trace), trace
    assert trace.lower().count(b"received:") == 1
    assert b"mx.test" in trace and b"client.test" in trace
    assert all(len(line) <= 998 for line in trace.split(b"\r\n"))


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_arrives_unchanged(arrived, name):
    assert name in arrived, "never came"
    assert_only_trace_added(CORPUS[name], arrived[name])


def test_all_of_them_arrive_unchanged(arrived, figure):
    same = sum(1 for name, content in CORPUS.items() if arrived.get(name, b"").endswith(content))
    figure(f"{same} of {len(CORPUS)} varied messages arrived byte for byte below one Received field")
    assert same == len(CORPUS) >= 40


def test_25_megabytes(start_postrider, start_sink):
    sink = start_sink(save=True)
    postrider = start_postrider(next_hop=sink.address)
    content = large(25)
    with postrider.smtp(120) as client:
        client.sendmail("anna@client.test", ["large@recipient.test"], content)
    (_, came), = sink.wait_messages(1, 60)
    assert_only_trace_added(content, came)


def test_recipients_of_one_message_each_get_it_once(start_postrider, start_sink):
    sink = start_sink(save=True)
    postrider = start_postrider(next_hop=sink.address)
    recipients = [f"r{number}@d{number % 7}.test" for number in range(250)]
    postrider.send(MESSAGES["plain"], recipients=recipients)
    def came():
        return sorted(address for envelope, _ in sink.messages() for given in envelope["recipients"]
                      for address in re.findall(r"<([^>]+)>", str(given)))
    end = time.monotonic() + 20
    while len(came()) < 250 and time.monotonic() < end:
        time.sleep(0.1)
    assert came() == sorted(recipients)


SMUGGLED = b"MAIL FROM:<smuggler@client.test>\r\nRCPT TO:<smuggled@recipient.test>\r\nDATA\r\nSubject: in\r\n\r\nx"


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n",
                                 b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n", b"\n\n.\r\n"])
def test_only_crlf_dot_crlf_ends_a_message(start_postrider, start_sink, end):
    """CVE-2023-51764, -51765, -51766."""
    sink = start_sink(save=True)
    postrider = start_postrider(next_hop=sink.address)
    with postrider.smtp(10) as client:
        client.ehlo()
        client.mail("anna@client.test")
        client.rcpt("r@recipient.test")
        assert client.docmd("DATA")[0] == 354
        client.sock.sendall(b"Subject: out\r\n\r\nx" + end + SMUGGLED + b"\r\n.\r\n")
        code, reply = client.getreply()
        assert 400 <= code < 600 or code == 250, reply
        assert client.noop()[0] == 250  # exactly one answer has come
    postrider.send(MESSAGES["plain"], recipients=["last@recipient.test"])
    names = set(by_name(sink.wait_messages(1)))
    time.sleep(0.3)
    names |= set(by_name(sink.messages()))
    assert "smuggled" not in names and "last" in names
