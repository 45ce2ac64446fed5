"""The commands about the queue and about users, as an operator calls them."""

import json
import subprocess

import pytest

from harness.process import wait_until
from harness.server import BINARY

DOMAINS = 4


def rows(server, *words):
    return [json.loads(line) for line in server.command("queue", *words, "--json").stdout.splitlines()]


def count(server, where):
    return rows(server, "count", "--where", where)[0]["matched"]["messages"]


@pytest.fixture
def full(start_postrider):
    """A server with 40 messages that cannot be delivered: nobody listens at the next hop."""
    server = start_postrider(next_hop=("127.0.0.1", 9))
    with server.smtp() as client:
        for number in range(40):
            client.sendmail(f"anna{number % 2}@client.test", [f"bob@d{number % DOMAINS}.test"],
                            f"Subject: {number}\r\n\r\n{'x' * 60 * number}\r\n")
    wait_until(lambda: count(server, "last~refused") > 0 and count(server, "state=active") == 0, 10,
               lambda: server.command("queue", "list").stdout)
    return server


@pytest.mark.parametrize("where, matches", [
    ("recipient=bob@d1.test", 10), ("recipient~d[12]", 20), ("sender = anna1@client.test", 20),
    ("sender = anna1@client.test and recipient ~ d1", 10), ("size > 1K", 23), ("attempts > 100", 0),
    ("not sender~anna1 or recipient=bob@d1.test", 30), ("domain = d1.test", 10), ("age < 1h", 40),
])
def test_filters(full, where, matches):
    assert count(full, where) == matches
    assert len(rows(full, "list", "--where", where)) == matches
    assert len(rows(full, "list", "--limit", "5", "--where", where)) == min(5, matches)


@pytest.mark.parametrize("where, said", [
    ("domin=x", "did you mean 'domain'?"), ("size > big", "a size is wanted"), ("(age > 1h", ") is missing"),
    ("last ~ [", "column"), ("", "field is missing"), ("state = helt", "a state is wanted"),
])
def test_a_bad_filter_is_shown_with_its_place(full, where, said):
    done = full.command("queue", "hold", "--where", where, check=False)
    assert done.returncode == 64 and said in done.stderr and "^" in done.stderr
    assert count(full, "state=held") == 0


def test_changes(full):
    held = "recipient=bob@d1.test"
    assert full.command("queue", "hold", "--where", held).stdout == "hold: 10 messages\n"
    assert count(full, "state=held") == 10
    full.kill_engine()
    full.wait_answering()
    wait_until(lambda: count(full, "state=held") == 10, 10, "what was answered is durable")
    assert full.command("queue", "release", "--where", "state=held").stdout == "release: 10 messages\n"
    assert full.command("queue", "remove", "--where", "recipient~d[01]").stdout == "remove: 20 messages\n"
    assert full.command("queue", "bounce", "--where", "recipient~d2").stdout == "bounce: 10 messages\n"
    assert count(full, "sender=\"\"") == 10  # the notifications
    assert full.command("queue", "remove", "--all").stdout == "remove: 20 messages\n"


def test_groups_and_sites(full):
    groups = rows(full, "group", "by", "sender")
    assert {(g["group"], g["messages"]) for g in groups} == {("anna0@client.test", 20), ("anna1@client.test", 20)}
    replies = rows(full, "group", "by", "reply")
    assert sum(g["recipients"] for g in replies) == 40 and "connection refused" in [g["group"] for g in replies]
    site, = rows(full, "sites")
    assert site["state"] in ("back-off", "probe", "well") and site["ready"] + site["waiting"] == 40
    assert "refused" in site["fault"]
    assert full.command("queue", "group", "by", "colour", check=False).returncode == 64


def test_one_message(full):
    row = rows(full, "list", "--where", "recipient=bob@d3.test", "--limit", "1")[0]
    text = full.command("queue", "cat", row["id"]).stdout
    assert text.startswith("Received: ") and "Subject: 3\n" in text
    assert full.command("queue", "cat", "01M89ES2AMEE8T2PDA739V29D3", check=False).returncode == 66
    assert full.command("queue", "show", "nonsense", check=False).returncode == 64


def test_a_server_that_is_down(full):
    full.kill()
    for words in (("queue", "list"), ("queue", "count"), ("status",), ("queue", "hold", "--all", "--yes")):
        done = full.command(*words, check=False)
        assert done.returncode == 69 and "is it running?" in done.stderr


def user(server, *words, text="", code=0):
    done = subprocess.run([BINARY, "user", *words, "--config", server.config], input=text, text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def test_users(folder, start_postrider):
    users = folder / "users"
    users.write_text("# ours\nanna:$y$old:1000:1000:/home/anna\nbob\n")
    users.chmod(0o600)
    server = start_postrider(extra=f"domain our.test {{\n  users file:{users}\n  deliver discard\n}}\n")
    user(server, "add", "carl@our.test", text="secret\n")
    user(server, "passwd", "anna@our.test", text="other\n")
    assert user(server, "list", "our.test").stdout == "anna@our.test\nbob@our.test\ncarl@our.test\n"
    lines = users.read_text().splitlines()
    assert lines[0] == "# ours" and lines[1].startswith("anna:$y$") and lines[1].endswith(":1000:1000:/home/anna")
    assert lines[3].startswith("carl:$y$") and "secret" not in users.read_text()
    assert users.stat().st_mode & 0o777 == 0o600
    with server.smtp() as client:
        client.ehlo()
        client.mail("x@client.test")
        assert client.rcpt("carl@our.test")[0] == 250
    user(server, "remove", "carl@our.test")
    assert "carl" not in users.read_text()
    for words, text, code in ((("add", "anna@our.test"), "x\n", 65), (("passwd", "none@our.test"), "x\n", 67),
                              (("remove", "none@our.test"), "", 67), (("add", "x@other.test"), "x\n", 68),
                              (("add", "anna"), "x\n", 64), (("add", "dora@our.test"), "", 65)):
        assert user(server, *words, text=text, code=code).stderr
    assert sorted(path.name for path in folder.glob("users*")) == ["users"]


def test_send_shows_the_dialog(start_postrider, start_sink):
    sink = start_sink(save=True)
    server = start_postrider(next_hop=sink.address)
    done = server.command("send", "bob@recipient.test", "--from", "anna@client.test", "--body", ".a dot")
    assert "C: MAIL FROM:<anna@client.test>" in done.stdout and "S: 354" in done.stdout
    (_, content), = sink.wait_messages(1)
    assert content.endswith(b"\r\n\r\n.a dot\r\n")
    done = server.command("send", "bob@recipient.test", "--server", "127.0.0.1:9", check=False)
    assert done.returncode == 69 and "refused" in done.stderr
