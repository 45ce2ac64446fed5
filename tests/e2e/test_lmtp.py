"""LMTP to a real Dovecot, which puts mail into Maildirs: each recipient has his own outcome."""

import os
import re

import peers
import pytest

from harness.process import answers, free_port
from harness.receivers import Dovecot, needs_root
from make_messages import MESSAGES

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason=needs_root)

USERS = {"anna": None, "bert": None, "full": 1000, "clara": None}


@pytest.fixture
def dovecot(ends):
    made = Dovecot("127.0.0.5", free_port("127.0.0.5"), USERS)
    ends.append(made)
    try:
        return made.start()
    except peers.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(params=["tcp", "socket"])
def postrider(request, dovecot, start_postrider):
    to = f"{dovecot.host}:{dovecot.port}" if request.param == "tcp" else dovecot.socket
    return start_postrider(next_hop=f"lmtp:{to}")


def test_messages_arrive_byte_by_byte(postrider, dovecot, interop):
    chosen = ["plain", "attachment", "dots_at_line_starts", "utf8_8bit", "nested", "every_line_a_dot",
              "base64_300k", "line_of_998"]
    for name in chosen:
        postrider.send(MESSAGES[name], recipients=["anna@store.test"])
    postrider.wait_drained()
    came = dovecot.wait_inbox("anna", len(chosen))
    for name in chosen:
        assert any(content.endswith(MESSAGES[name]) for content in came), name
    interop("Dovecot", "out LMTP")


def test_many_messages_over_few_connections(postrider, dovecot):
    for number in range(40):
        postrider.send(MESSAGES["plain"], recipients=[f"{['anna', 'bert'][number % 2]}@store.test"])
    postrider.wait_drained()
    assert len(dovecot.wait_inbox("anna", 20)) == 20
    assert len(dovecot.wait_inbox("bert", 20)) == 20
    assert dovecot.log().count("Connect from") < 40


def test_each_recipient_has_his_own_outcome(dovecot, start_postrider):
    """Two take it, one is unknown at RCPT, one is full after the dot: in one transaction. The report
    to the sender goes the same way."""
    postrider = start_postrider(next_hop=f"lmtp:{dovecot.socket}")
    postrider.send(MESSAGES["attachment"], sender="clara@client.test",
                   recipients=["anna@store.test", "nobody@store.test", "full@store.test",
                               "bert@store.test"])
    for user in ("anna", "bert"):
        (content,) = dovecot.wait_inbox(user)
        assert content.endswith(MESSAGES["attachment"])
        assert f"for <{user}@store.test>".encode() in content or b"for " not in content
    reports = dovecot.wait_inbox("clara", 1)
    text = b"".join(reports)
    postrider.wait_drained()
    reports = dovecot.inbox("clara")
    text = b"".join(reports)
    assert re.search(rb"^Final-Recipient: rfc822; ?nobody@store\.test", text, re.MULTILINE)
    assert re.search(rb"^Status: 5\.1\.1", text, re.MULTILINE)
    assert re.search(rb"^Final-Recipient: rfc822; ?full@store\.test", text, re.MULTILINE)
    assert re.search(rb"^Status: 5\.2\.2", text, re.MULTILINE)
    assert b"anna@store.test\r\nAction" not in text
    assert dovecot.inbox("full") == []


def test_a_store_that_is_down_is_waited_for(dovecot, start_postrider):
    postrider = start_postrider(next_hop=f"lmtp:{dovecot.socket}")
    dovecot.program.stop()
    postrider.send(MESSAGES["plain"], recipients=["anna@store.test"])
    assert postrider.queue_length() == 1
    dovecot.program.start()
    dovecot.program.wait_for(lambda: answers(dovecot.host, dovecot.port), 15, "dovecot is back")
    postrider.retry_all()
    assert dovecot.wait_inbox("anna")[0].endswith(MESSAGES["plain"])
    postrider.wait_drained()
    assert len(dovecot.inbox("anna")) == 1
