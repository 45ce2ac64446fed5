"""What a sender asks to be told (RFC 3461), what comes of it (RFC 3464), and SMTPUTF8 (RFC 6531)."""

import re
import shutil
import subprocess
import time

import pytest

from harness.listener import Listener
from harness.process import wait_until
from make_messages import MESSAGES

TEXT = MESSAGES["plain"]
BODY = TEXT.partition(b"\r\n\r\n")[2]
GONE = {"gone@": "550 5.1.1 gone for good", "later@": "451 4.2.0 not now"}


@pytest.fixture
def world(ends, start_postrider):
    """world(extensions, extra): postrider, and the one server to which it hands everything."""
    def make(extensions=("PIPELINING", "8BITMIME"), extra="", refusals=None):
        listener = Listener(extensions, GONE if refusals is None else refusals)
        ends.append(listener)
        listener.start()
        return start_postrider(next_hop=listener.address, extra=extra), listener
    return make


def send(postrider, recipient, mail=(), rcpt=(), sender="anna@client.test", content=TEXT):
    with postrider.smtp() as client:
        client.sendmail(sender, [recipient], content, mail_options=list(mail),
                        rcpt_options=list(rcpt))


def reports(listener):
    return [taken for taken in listener.taken if b"multipart/report" in taken.content]


def wait_report(listener, timeout_s=15):
    return wait_until(lambda: reports(listener), timeout_s,
                      lambda: f"a report came: {[t.mail for t in listener.taken]}")[0]


def field(report, name):
    found = re.search(rb"^" + name.encode() + rb": (.*?)\r$", report.content, re.MULTILINE)
    return found[1].decode() if found else None


def wait_drained_without_report(postrider, listener):
    postrider.wait_drained()
    assert reports(listener) == []


def test_dsn_and_smtputf8_are_offered(world):
    postrider, _ = world()
    with postrider.smtp() as client:
        client.ehlo()
        assert client.has_extn("dsn") and client.has_extn("smtputf8")


def test_a_server_that_offers_dsn_is_told_all_of_it(world):
    postrider, listener = world(["PIPELINING", "DSN"])
    send(postrider, "b@there.test", ["RET=HDRS", "ENVID=QQ+2B314159"],
         ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;B@there.test"])
    taken, = wait_until(lambda: listener.taken, 15, "the message arrives")
    assert " RET=HDRS" in taken.mail and " ENVID=QQ+2B314159" in taken.mail
    assert taken.recipients[0].split(" ", 2)[2] == "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;B@there.test"
    wait_drained_without_report(postrider, listener)


def test_swaks_asks_for_a_report(world):
    if shutil.which("swaks") is None:
        pytest.skip("swaks is not installed (make deps)")
    postrider, listener = world(["DSN"])
    # It knows no parameters of MAIL: they go in behind the address, with its > as their end.
    subprocess.run(["swaks", "--server", f"127.0.0.1:{postrider.port}", "--helo", "client.test",
                    "--from", "anna@client.test> RET=FULL ENVID=swaks", "--to", "b@there.test",
                    "--data", "Subject: x\\n\\nx\\n"], check=True, capture_output=True, timeout=60)
    taken, = wait_until(lambda: listener.taken, 15, "the message arrives")
    assert " RET=FULL" in taken.mail and " ENVID=swaks>" in taken.mail


def test_what_was_asked_for_is_shown(world):
    postrider, _ = world()
    send(postrider, "later@there.test", ["RET=HDRS", "ENVID=abc"],
         ["NOTIFY=NEVER", "ORCPT=rfc822;x@y"])
    row = wait_until(lambda: postrider.command("queue", "list").stdout, 10, "it is queued")
    shown = postrider.command("queue", "show", row.split(" ")[0]).stdout
    for word in ("HDRS", "abc", "NEVER", "rfc822;x@y"):
        assert word in shown, shown


def test_a_failure_is_reported_with_what_was_said(world):
    postrider, listener = world()
    send(postrider, "gone@there.test", ["ENVID=QQ+2B314159"], ["ORCPT=rfc822;C+2Bd@there.test"])
    report = wait_report(listener)
    assert report.mail.startswith("MAIL FROM:<>")
    assert field(report, "Action") == "failed" and field(report, "Status") == "5.1.1"
    assert field(report, "Original-Envelope-Id") == "QQ+314159"
    assert field(report, "Original-Recipient") == "rfc822;C+d@there.test"
    postrider.wait_drained()


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS", "DELAY", "SUCCESS,DELAY"])
def test_no_failure_is_reported_to_who_did_not_ask(world, notify):
    postrider, listener = world()
    send(postrider, "gone@there.test", [], [f"NOTIFY={notify}"])
    # The queue may not have heard of it yet: then it would look empty.
    wait_until(lambda: "message-failed" in postrider.log(), 10, "it has failed")
    wait_drained_without_report(postrider, listener)


def test_success_at_a_server_without_dsn_is_relayed(world):
    postrider, listener = world()
    send(postrider, "b@there.test", ["ENVID=abc"], ["NOTIFY=SUCCESS,FAILURE"])
    report = wait_report(listener)
    assert field(report, "Action") == "relayed" and field(report, "Status").startswith("2.")
    assert field(report, "Original-Envelope-Id") == "abc"
    postrider.wait_drained()
    assert len(reports(listener)) == 1 and len(listener.taken) == 2


def test_ret_decides_what_comes_back(world):
    postrider, listener = world()
    send(postrider, "gone@there.test", ["RET=FULL"])
    assert BODY in wait_report(listener).content
    postrider.wait_drained()
    listener.taken.clear()
    send(postrider, "gone@there.test", ["RET=HDRS"])
    report = wait_report(listener)
    assert BODY not in report.content and b"Subject:" in report.content
    postrider.wait_drained()


@pytest.mark.parametrize("notify, told", [(None, True), ("DELAY", True), ("FAILURE", False),
                                          ("NEVER", False)])
def test_a_delay_is_reported_once(world, notify, told):
    postrider, listener = world(extra="queue { retry-first 1s delay-notice 2s }\n")
    send(postrider, "later@there.test", [], [f"NOTIFY={notify}"] if notify else [])
    if told:
        report = wait_report(listener, 20)
        assert field(report, "Action") == "delayed" and field(report, "Status").startswith("4.")
    time.sleep(4)
    postrider.retry_all()
    time.sleep(1)
    assert len(reports(listener)) == told
    assert postrider.queue_length() == 1


def test_a_report_that_fails_goes_to_the_postmaster(world):
    postrider, listener = world(extra="postmaster master@home.test\n")
    send(postrider, "gone@there.test", sender="")
    report = wait_report(listener)
    assert "<master@home.test>" in report.recipients[0] and report.mail.startswith("MAIL FROM:<>")
    postrider.wait_drained()


def test_the_postmaster_gets_no_report_about_himself(world):
    postrider, listener = world(extra="postmaster gone@home.test\n")
    send(postrider, "gone@there.test", sender="")
    wait_until(lambda: "held" in postrider.command("queue", "list").stdout, 15, "it is held")
    time.sleep(1)
    assert postrider.queue_length() == 1 and listener.taken == []


@pytest.fixture
def lists(ends, folder, start_postrider):
    """A domain of ours, with a list of two and an alias, whose mail goes to the listener."""
    aliases = folder / "aliases"
    aliases.write_text("list: one, two\nalias: one\nbroken: one, gone\n")
    listener = Listener(["DSN"], GONE)
    ends.append(listener)
    listener.start()
    port = listener.address[1]
    extra = f"domain ours.test {{ aliases file:{aliases}  deliver smtp:127.0.0.1:{port} }}\n"
    return start_postrider(next_hop=listener.address, extra=extra), listener


def mail(listener):
    return [taken for taken in listener.taken if b"multipart/report" not in taken.content]


def recipients(listener):
    return sorted(line for taken in mail(listener) for line in taken.recipients)


def test_a_list_is_reported_as_expanded(lists):
    postrider, listener = lists
    send(postrider, "list@ours.test", ["ENVID=abc"],
         ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;list@ours.test"])
    report = wait_report(listener)
    assert field(report, "Action") == "expanded" and field(report, "Status").startswith("2.")
    assert field(report, "Original-Recipient") == "rfc822;list@ours.test"
    assert field(report, "Original-Envelope-Id") == "abc"
    assert field(report, "Final-Recipient").endswith("list@ours.test")
    postrider.wait_drained()
    assert recipients(listener) == [
        "RCPT TO:<one@ours.test> NOTIFY=FAILURE ORCPT=rfc822;list@ours.test",
        "RCPT TO:<two@ours.test> NOTIFY=FAILURE ORCPT=rfc822;list@ours.test"]
    assert len(reports(listener)) == 1


def test_members_of_a_list_are_asked_for_nothing_else(lists):
    postrider, listener = lists
    send(postrider, "list@ours.test", [], ["NOTIFY=SUCCESS"])
    wait_report(listener)
    postrider.wait_drained()
    assert recipients(listener) == ["RCPT TO:<one@ours.test> NOTIFY=NEVER",
                                    "RCPT TO:<two@ours.test> NOTIFY=NEVER"]


def test_an_alias_of_one_passes_all_of_it_on(lists):
    postrider, listener = lists
    send(postrider, "alias@ours.test", [], ["NOTIFY=SUCCESS"])
    wait_drained_without_report(postrider, listener)
    assert recipients(listener) == ["RCPT TO:<one@ours.test> NOTIFY=SUCCESS"]


def test_a_member_that_fails_is_reported(lists):
    postrider, listener = lists
    send(postrider, "broken@ours.test")
    report = wait_report(listener)
    assert field(report, "Action") == "failed"
    assert field(report, "Final-Recipient").endswith("gone@ours.test")
    postrider.wait_drained()
    assert recipients(listener) == ["RCPT TO:<one@ours.test>"]


UTF8 = "Subject: Grüße\r\nFrom: <änne@client.test>\r\n\r\nGrüße\r\n".encode()


def test_smtputf8_arrives_as_it_came(world):
    postrider, listener = world(["PIPELINING", "8BITMIME", "SMTPUTF8"])
    send(postrider, "björn@there.test", ["SMTPUTF8", "BODY=8BITMIME"], sender="änne@client.test",
         content=UTF8)
    taken, = wait_until(lambda: listener.taken, 15, "the message arrives")
    assert "<änne@client.test>" in taken.mail and " SMTPUTF8" in taken.mail
    assert "<björn@there.test>" in taken.recipients[0]
    assert taken.content.endswith(UTF8) and b" with UTF8SMTP id " in taken.content
    postrider.wait_drained()


def test_smtputf8_fails_where_it_is_not_offered(world):
    postrider, listener = world()
    send(postrider, "björn@there.test", ["SMTPUTF8", "BODY=8BITMIME"], content=UTF8)
    report = wait_report(listener)
    assert field(report, "Status") == "5.6.7"
    postrider.wait_drained()


@pytest.mark.parametrize("mail, rcpt, code", [
    (["RET=ALL"], [], 501), (["ENVID=a+"], [], 501), (["ENVID=a", "ENVID=b"], [], 501),
    (["NOTIFY=NEVER"], [], 555), (["SMTPUTF8=1"], [], 501), ([], ["NOTIFY=NEVER,DELAY"], 501),
    ([], ["ORCPT=a@b"], 501), ([], ["RET=FULL"], 555)])
def test_bad_parameters_are_refused(world, mail, rcpt, code):
    postrider, _ = world()
    with postrider.smtp() as client:
        client.ehlo()
        got = client.mail("a@client.test", mail)[0]
        if not mail:
            got = client.rcpt("b@there.test", rcpt)[0]
        assert got == code
