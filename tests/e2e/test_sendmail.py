"""Local programs hand mail over as they always did: by calling `sendmail`."""

import email
import os
import shutil
import stat
import subprocess

import pytest

from harness.process import BUILD, wait_until
from harness.server import BINARY


class Local:
    """The program by its other names, with the configuration of one server."""

    def __init__(self, server):
        self.server = server
        self.names = server.folder / "bin"
        self.names.mkdir()
        self.drop = server.folder / "drop"
        for name in ("sendmail", "mailq", "newaliases"):
            (self.names / name).symlink_to(BINARY)

    def call(self, *words, name="sendmail", text="", code=0, **more):
        done = subprocess.run([self.names / name, "-C", self.server.config, *words], input=text, text=True,
                              capture_output=True, timeout=30, **more)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done

    def files(self):
        return sorted(path.name for path in self.drop.iterdir())


@pytest.fixture
def local(folder, start_postrider, start_sink):
    sink = start_sink(save=True)
    drop = folder / "postrider" / "drop"
    drop.mkdir(parents=True)
    drop.chmod(0o730)
    server = start_postrider(next_hop=("127.0.0.1", sink.port), extra=f"drop {drop}\n")
    made = Local(server)
    made.sink = sink
    return made


MESSAGE = """To: Bob <bob@recipient.test>, "Last, First" <carl@recipient.test>
Cc: bob@recipient.test
Bcc: secret@recipient.test
Subject: from a script

One line.
.
Another.
"""


def received(local, count=1):
    """Envelopes and messages of what has arrived, once there are so many."""
    return [(envelope, email.message_from_bytes(content), content)
            for envelope, content in local.sink.wait_messages(count)]


def recipients(envelope):
    return sorted(text.split()[0].strip("<>") for text in envelope["recipients"])


def test_recipients_of_the_header(local):
    local.call("-t", "-i", text=MESSAGE)
    (envelope, message, content), = received(local)
    assert recipients(envelope) == ["bob@recipient.test", "carl@recipient.test", "secret@recipient.test"]
    assert message["Bcc"] is None and b"secret" not in content
    assert message["From"] and message["Date"] and message["Message-ID"].endswith("@mx.test>")
    assert content.endswith(b"One line.\r\n.\r\nAnother.\r\n")
    assert local.files() == []


def test_as_cron_calls_it(local):
    local.call("-FCronDaemon", "-i", "-B8BITMIME", "-oem", "-f", "root", "bob@recipient.test",
               text="From: root (Cron Daemon)\nTo: bob\nSubject: Cron <root@here> true\n\nout\n")
    (envelope, message, _), = received(local)
    assert str(envelope["mail"]).split()[0].strip("<>") == "root@mx.test"
    assert message["Subject"] == "Cron <root@here> true"


def test_a_lone_dot_ends_it_without_i(local):
    local.call("bob@recipient.test", text="Subject: x\n\none\n.\ntwo\n")
    (_, _, content), = received(local)
    assert content.endswith(b"one\r\n")


@pytest.mark.parametrize("text", ["a\r\nb\r\n", "a\nb\n", "a\rb\r", "a\nb"])
def test_ends_of_lines(local, text):
    subprocess.run([local.names / "sendmail", "-C", local.server.config, "bob@recipient.test"],
                   input=("Subject: x\n\n" + text).encode(), check=True, timeout=30)
    (_, _, content), = received(local)
    assert content.endswith(b"\r\n\r\na\r\nb\r\n")


def test_a_large_one(local):
    text = "Subject: large\n\n" + "x" * 70 + "\n"
    text += ("y" * 70 + "\n") * 20000
    local.call("-i", "bob@recipient.test", text=text)
    (_, _, content), = received(local)
    assert content.count(b"\r\n" + b"y" * 70) == 20000


def test_while_the_server_is_down(local):
    local.server.kill()
    done = local.call("-v", "-t", "-i", text=MESSAGE)
    name = done.stdout.strip()
    assert local.files() == [name]
    mode = (local.drop / name).stat().st_mode
    assert stat.S_IMODE(mode) == 0o640
    local.server.start()
    received(local)
    local.server.wait_drained()
    assert local.files() == []
    local.server.kill()
    local.server.start()
    assert len(local.sink.wait_messages(1)) == 1  # and not once more


def test_what_is_hostile_is_set_aside(local, folder):
    good = local.call("-v", "bob@recipient.test", text="x\n").stdout.strip()
    received(local)
    local.server.kill()
    local.call("-v", "bob@recipient.test", text="again\n")
    whole = (local.drop / local.files()[0]).read_bytes()
    (local.drop / local.files()[0]).unlink()

    def put(end, content, mode=0o640):
        path = local.drop / (good[:-1] + end)
        path.write_bytes(content)
        path.chmod(mode)
        return path.name
    bad = [put("1", b""), put("2", whole[:-5]), put("3", whole + b"x"), put("4", whole, 0o666),
           put("5", b"\0" * 5000), put("6", whole.replace(b"\r\n", b"\n\n"))]
    os.link(local.drop / put("7", whole), local.drop / "other")
    bad.append(good[:-1] + "7")
    (local.drop / (good[:-1] + "8")).symlink_to("/etc/passwd")
    os.mkfifo(local.drop / (good[:-1] + "9"))
    (local.drop / "no-id").write_bytes(whole)
    put("A", whole)
    local.server.start()
    assert len(local.sink.wait_messages(2)) == 2
    wait_until(lambda: all(f"{name}.bad" in local.files() for name in bad), 10, lambda: str(local.files()))
    assert good[:-1] + "A" not in local.files()
    assert local.server.log().count(" drop-aside ") == len(bad)


def drop(*words, code, **more):
    done = subprocess.run([BUILD / "postrider-drop", *words], capture_output=True, timeout=20, **more)
    assert done.returncode == code, done.stderr
    return done


PLAIN = b"PRDROP1\nF\0\0\0\0R\3\0\0\0a@bD\3\0\0\0x\r\nE\0\0\0\0"


def test_postrider_drop_keeps_only_what_is_whole(folder):
    where = folder / "d"
    where.mkdir(mode=0o730)
    for text in (b"", b"PRDROP1\n", b"PRDROP2\n" + PLAIN[8:], PLAIN[:-1], PLAIN + b"x",
                 b"PRDROP1\nD\1\0\1\0" + b"x" * 70000, b"PRDROP1\n\0\0\0\0\0"):
        drop(where, input=text, code=65)
    assert list(where.iterdir()) == []
    done = drop(where, input=PLAIN, code=0, umask=0o777)
    made = where / done.stdout.decode().strip()
    assert made.read_bytes() == PLAIN and stat.S_IMODE(made.stat().st_mode) == 0o640
    drop(folder / "none", input=PLAIN, code=69)
    where.chmod(0o733)
    drop(where, input=PLAIN, code=77)  # others may write to it
    drop(where, where, input=PLAIN, code=64)


def test_postrider_drop_with_closed_descriptors(folder):
    where = folder / "d"
    where.mkdir(mode=0o730)
    for closed in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
        subprocess.run(["sh", "-c", f'printf x | "$0" "$1" {closed}; exit 0', BUILD / "postrider-drop", where],
                       check=True, timeout=20, capture_output=True)
    assert list(where.iterdir()) == []
    subprocess.run(["sh", "-c", '"$0" "$1" <"$2" 1>&- 2>&-; exit 0', BUILD / "postrider-drop", where,
                    folder / "plain"], check=True, timeout=20) if (folder / "plain").write_bytes(PLAIN) else None
    made, = where.iterdir()
    assert made.read_bytes() == PLAIN


@pytest.mark.parametrize("words, text, code, said", [
    ((), "x", 64, "no recipient"),
    (("-t",), "Subject: x\n\nx", 64, "no recipient"),
    (("a b@",), "x", 65, "no address"),
    (("-f", "a@@b", "c@d.test"), "x", 64, "sender"),
    (("-N", "sometimes", "c@d.test"), "x", 64, "-N"),
    (("-R", "half", "c@d.test"), "x", 64, "-R"),
    (("-bz",), "", 64, "mode"),
    (("-bd",), "", 64, "postrider serve"),
    (("-f",), "", 64, "value"),
])
def test_what_is_wrong_is_said(local, words, text, code, said):
    done = local.call(*words, text=text, code=code)
    assert said in done.stderr
    assert local.files() == []


def test_the_other_names(local):
    assert local.call(name="mailq").stdout == ""
    local.call("-bp")
    local.call("-q")
    local.call("-bv", "someone")
    local.call(name="newaliases")
    said = local.call("-bs", text="EHLO here.test\r\nQUIT\r\n").stdout
    assert said.startswith("220 mx.test") and "\n221 " in said
    local.server.kill()
    assert "421" in local.call("-bs", text="QUIT\r\n", code=69).stdout


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_another_user(local):
    """Without rights on the folder nothing is dropped, and the queue is not shown."""
    for path in [local.server.folder, *local.server.folder.parents]:
        if path.stat().st_uid == 0 and path != path.parent and "pytest" in str(path):
            path.chmod(0o711)
    local.server.config.chmod(0o644)
    program = shutil.which("setpriv")
    if program is None:
        pytest.skip("there is no setpriv")
    done = subprocess.run([program, "--reuid", "65534", "--regid", "65534", "--clear-groups", BINARY, "queue", "list",
                           "--config", local.server.config], capture_output=True, text=True, timeout=20)
    assert done.returncode in (69, 77) and done.stdout == ""
