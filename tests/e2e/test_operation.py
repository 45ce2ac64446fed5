"""What an operator does: configuration, status, queue, spool; and who is let in."""

import socket
import subprocess

import pytest

from harness.process import wait_until
from harness.server import BINARY, Postrider
from make_messages import MESSAGES

PLAIN = MESSAGES["plain"]


def check_config(start_postrider, folder, text):
    """The exit status and words of `config check`."""
    path = folder / "checked.conf"
    path.write_text(text)
    done = subprocess.run([BINARY, "config", "check", "--config", path], capture_output=True, text=True,
                          timeout=20)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("text, said", [
    ("hostnam mx.test\n", ["1:1", "hostname"]),
    ("hostname mx.test\nlisten smtp { bind 127.0.0.1:99999 }\n", ["2:"]),
    ("hostname mx.test\nlisten smtp { bind 127.0.0.1:2525\n", []),
    ("hostname mx.test\nrelay { from 300.0.0.0/8 }\n", ["2:"]),
    ("hostname mx.test\nhostname mx2.test\n", ["2:1"]),
    ("\0\1\2\n", ["1:1"]),
    ("", []),
])
def test_a_bad_configuration_starts_nothing(start_postrider, folder, text, said):
    status, words = check_config(start_postrider, folder, text)
    assert status != 0
    for word in said:
        assert word in words, words
    done = subprocess.run([BINARY, "serve", "--config", folder / "checked.conf"], capture_output=True,
                          timeout=20, cwd=folder)
    assert done.returncode != 0
    assert not (folder / "spool").exists()


def test_every_error_is_named_at_once(start_postrider, folder):
    status, words = check_config(start_postrider, folder,
                                 "hostnam a.test\nlisten smtp { bnd 127.0.0.1:1 }\nrelay { from nowhere }\n")
    assert status != 0
    for place in ("1:1", "2:15", "3:14"):
        assert place in words, words
    assert "^" in words and "hostname" in words


def test_config_show_can_be_read_again(start_postrider, folder):
    server = start_postrider()
    shown = server.command("config", "show", "--all").stdout
    status, words = check_config(start_postrider, folder, shown)
    assert status == 0, words


def test_strangers_are_refused(folder, ends):
    """Relaying only for the ranges named: here the client is in none."""
    server = Postrider(folder)
    ends.append(server)
    server.relay_from = "192.0.2.0/24"
    if not BINARY.exists():
        pytest.skip("not built yet")
    server.start()
    with server.smtp() as client:
        client.ehlo()
        assert client.mail("anna@client.test")[0] == 250
        code, reply = client.rcpt("r@recipient.test")
        assert code // 100 == 5 and b"5.7.1" in reply, (code, reply)


def test_queue_list_show_retry_remove(start_postrider, start_sink):
    sink = start_sink(save=True)
    sink.stop()
    server = start_postrider(next_hop=sink.address)
    for name in ("a", "b"):
        server.send(PLAIN, recipients=[f"{name}@recipient.test"])
    assert server.queue_length() == 2
    listed = server.command("queue", "list").stdout
    first = next(line.split()[0] for line in listed.splitlines() if "a@recipient.test" in line or len(line.split()[0]) == 26)
    shown = server.command("queue", "show", first).stdout
    assert "recipient.test" in shown and "sender@client.test" in shown
    server.command("queue", "remove", first)
    assert server.queue_length() == 1
    assert server.command("queue", "show", first, check=False).returncode != 0
    sink.start()
    server.retry_all()
    assert len(sink.wait_messages(1)) == 1
    server.wait_drained()
    # What an operator removed stays removed over a crash.
    server.kill()
    server.start()
    server.wait_drained()
    assert len(sink.messages()) == 1


def test_status_counts(start_postrider, start_sink):
    sink = start_sink(save=True)
    server = start_postrider(next_hop=sink.address)
    for _ in range(5):
        server.send(PLAIN)
    sink.wait_messages(5)
    status = server.command("status").stdout
    assert any("5" in line.split() for line in status.splitlines()), status
    for counter in ("letter", "wake", "copies", "call"):
        assert counter in status.lower(), status


def test_spool_verify_dump_export(start_postrider, start_sink, folder):
    sink = start_sink()
    sink.stop()
    server = start_postrider(next_hop=sink.address)
    sent = ["plain", "attachment", "dots_at_line_starts", "base64_300k"]
    for name in sent:
        server.send(MESSAGES[name], recipients=[f"{name}@recipient.test"])
    server.kill()
    assert server.command("spool", "verify").returncode == 0
    assert server.command("spool", "dump").stdout
    out = folder / "export"
    out.mkdir()
    exported = [path.read_bytes() for path in server.export(out)]
    for name in sent:
        assert any(content.endswith(MESSAGES[name]) for content in exported), name


def test_commands_without_a_server_say_so(start_postrider):
    server = start_postrider()
    server.kill()
    done = server.command("queue", "list", check=False)
    assert done.returncode != 0 and done.stderr.strip()


def test_the_reply_names_the_message_and_the_log_has_it(start_postrider, start_sink):
    sink = start_sink(save=True)
    server = start_postrider(next_hop=sink.address)
    with server.smtp() as client:
        client.ehlo()
        client.mail("anna@client.test")
        client.rcpt("r@recipient.test")
        code, reply = client.data(PLAIN)
    assert code == 250
    name = next(word for word in reply.decode().split() if len(word) == 26)
    (_, content), = sink.wait_messages(1)
    assert name.encode() in content
    server.wait_drained()
    lines = [line for line in server.log().splitlines() if name in line]
    assert any("message-accepted" in line for line in lines), server.log()
    assert any("message-delivered" in line for line in lines), server.log()


@pytest.mark.parametrize("sent, codes", [
    (b"EHLO\r\n", {501}), (b"HELO client.test extra\r\n", {250, 501}), (b"NONSENSE\r\n", {500}),
    (b"MAIL FROM:<a@b.test>\r\n", {503, 250}), (b"RCPT TO:<a@b.test>\r\n", {503}), (b"DATA\r\n", {503}),
    (b"BDAT x\r\n", {501, 503}), (b"\r\n", {500}), (b"\xff\xfe\x00\r\n", {500, 501}),
    (b"NOOP " + b"x" * 3000 + b"\r\n", {500}), (b"MAIL FROM:<" + b"a" * 300 + b"@b.test>\r\n", {501, 503, 500}),
    (b"MAIL FROM:<a@b.test> SIZE=99999999999\r\n", {552, 501, 503}),
])
def test_bad_input_gets_a_precise_answer_and_one_log_line(start_postrider, sent, codes):
    server = start_postrider()
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        connection.settimeout(5)
        reader = connection.makefile("rb")
        assert reader.readline().startswith(b"220 ")
        connection.sendall(sent)
        reply = reader.readline()
        assert int(reply[:3]) in codes, reply
        if reply[:1] == b"5":
            assert reply[4:6] == b"5.", reply  # an enhanced code (RFC 2034)
        connection.sendall(b"QUIT\r\n")
        assert reader.readline().startswith(b"221 ")
    assert server.is_answering()
    def said():
        return [line for line in server.log().splitlines() if " command-refused " in line]
    if reply[:1] == b"5":
        wait_until(said, 5, "the log says it")
        assert len(said()) == 1 and reply[:3].decode() in said()[0], said()
    else:
        assert not said()
