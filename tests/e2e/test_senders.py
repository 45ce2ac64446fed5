"""The programs that people send with: each gets its message through, and the content is right."""

import shutil
import subprocess

import peers
import pytest

from harness.receivers import smtp_source
from make_messages import MESSAGES

TEXT = MESSAGES["attachment"]


def tool(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (make deps)")
    return path


def run(command, content=None, environment=None):
    done = subprocess.run([str(word) for word in command], input=content, capture_output=True,
                          timeout=60, env=environment)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture
def pair(start_postrider, start_sink):
    sink = start_sink(save=True)
    return start_postrider(next_hop=sink.address), sink


def one(sink):
    (envelope, content), = sink.wait_messages(1)
    return str(envelope), content


def test_swaks(pair, folder):
    postrider, sink = pair
    (folder / "text.eml").write_bytes(TEXT.replace(b"\r\n", b"\n"))
    said = run([tool("swaks"), "--server", f"127.0.0.1:{postrider.port}", "--helo", "client.test",
                "--from", "anna@client.test", "--to", "a@recipient.test,b@recipient.test",
                "--pipeline", "--data", f"@{folder}/text.eml"])
    assert "250 " in said
    envelope, content = one(sink)
    assert "<a@recipient.test>" in envelope and "<b@recipient.test>" in envelope
    assert b"The picture is attached." in content


def test_msmtp(pair, folder):
    postrider, sink = pair
    run([tool("msmtp"), "--host=127.0.0.1", f"--port={postrider.port}", "--from=anna@client.test",
         "--tls=off", "--auth=off", "--", "r@recipient.test"], TEXT.replace(b"\r\n", b"\n"))
    envelope, content = one(sink)
    assert "<anna@client.test>" in envelope
    assert content.endswith(TEXT)


def test_curl(pair, folder):
    postrider, sink = pair
    (folder / "text.eml").write_bytes(TEXT)
    run([tool("curl"), "--silent", "--show-error", f"smtp://127.0.0.1:{postrider.port}/client.test",
         "--mail-from", "anna@client.test", "--mail-rcpt", "r@recipient.test",
         "--upload-file", folder / "text.eml"])
    assert one(sink)[1].endswith(TEXT)


def test_smtplib(pair):
    postrider, sink = pair
    with postrider.smtp() as client:
        assert client.ehlo()[0] == 250
        for extension in ("pipelining", "size", "8bitmime", "enhancedstatuscodes", "chunking"):
            assert client.has_extn(extension), extension
        assert client.sendmail("anna@client.test", ["r@recipient.test"], TEXT) == {}
        code, reply = client.docmd("VRFY", "root")
        assert code in (252, 502, 500), reply
    assert one(sink)[1].endswith(TEXT)


@pytest.mark.parametrize("options", [[], ["-d"], ["-r", "5"], ["-l", "300000", "-m", "20"]],
                         ids=["plain", "one-connection", "five-recipients", "300-KB"])
def test_smtp_source(pair, options):
    postrider, sink = pair
    try:
        program, environment = smtp_source()
    except peers.Unavailable as reason:
        pytest.skip(str(reason))
    count = 20 if "-m" in options else 200
    run([program, "-s", "10", "-m", str(count), *options, "-f", "anna@client.test", "-t",
         "r@recipient.test", f"127.0.0.1:{postrider.port}"], environment=environment)
    assert len(sink.wait_messages(count, 60)) == count
