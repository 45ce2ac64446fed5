"""Listening in all ways that the configuration has: kinds, certificates by name, proxies."""

import smtplib
import socket
import ssl
import subprocess

import pytest

from harness.process import free_port, make_certificate
from make_messages import MESSAGES

TEXT = MESSAGES["attachment"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Of mx.test, which is the first, and of two other names."""
    return {names[0]: make_certificate(tmp_path_factory.mktemp(names[0]), names)
            for names in (["mx.test"], ["mail.other.test"], ["*.wild.test", "wild.test"])}


def tls_blocks(certificates):
    return "".join(f"tls {{ certificate {folder}/certificate.pem  key {folder}/key.pem }}\n"
                   for folder in certificates.values())


def shown_certificate(port, name, starttls):
    """The subject that openssl s_client is shown when it asks for the name (None: for none)."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-no_ign_eof"]
    command += ["-servername", name] if name else ["-noservername"]
    command += ["-starttls", "smtp"] if starttls else []
    done = subprocess.run(command, input=b"QUIT\r\n", capture_output=True, timeout=20)
    said = (done.stdout + done.stderr).decode(errors="replace")
    return [line.split("CN")[-1].strip(" =") for line in said.splitlines() if line.startswith("depth=0")][0]


@pytest.mark.parametrize("starttls", [True, False])
def test_the_certificate_is_chosen_by_name(certificates, start_postrider, starttls, interop):
    implicit = free_port()
    server = start_postrider(extra=tls_blocks(certificates) +
                             f"listen submissions {{ bind 127.0.0.1:{implicit} }}\n")
    port = server.port if starttls else implicit
    for name, subject in [("mx.test", "mx.test"), ("mail.other.test", "mail.other.test"),
                          ("MAIL.OTHER.TEST", "mail.other.test"), ("a.wild.test", "*.wild.test"),
                          ("wild.test", "*.wild.test"), ("unknown.test", "mx.test"), (None, "mx.test")]:
        assert shown_certificate(port, name, starttls) == subject, name
    interop("openssl s_client", "in TLS", "server names, several certificates")


def test_submissions_are_under_tls_from_the_first_byte(certificates, start_postrider, start_sink):
    sink, port = start_sink(save=True), free_port()
    start_postrider(next_hop=sink.address, extra=tls_blocks(certificates) +
                    f"listen submissions {{ bind 127.0.0.1:{port} }}\n")
    context = ssl.create_default_context(cafile=certificates["mx.test"] / "certificate.pem")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname="mx.test") as connection:
            assert connection.recv(3) == b"220"
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP_SSL("127.0.0.1", port, context=context, timeout=20) as client:
        client.ehlo()
        assert not client.has_extn("starttls")
        client.sendmail("a@client.test", ["b@elsewhere.test"], TEXT)
    (_, content), = sink.wait_messages(1)
    assert content.endswith(TEXT)


def test_submission_without_a_certificate_is_plain(start_postrider, start_sink):
    sink, port = start_sink(save=True), free_port()
    start_postrider(next_hop=sink.address, extra=f"listen submission {{ bind 127.0.0.1:{port} }}\n")
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail("a@client.test", ["b@elsewhere.test"], TEXT)
    sink.wait_messages(1)


def ask(stream, command):
    """The last line of the reply to a command; to the greeting without one."""
    stream.write(command)
    stream.flush()
    while True:
        line = stream.readline()
        if line[3:4] != b"-":
            return line


def test_lmtp_answers_for_each_recipient(folder, start_postrider, start_sink):
    sink, port = start_sink(save=True), free_port()
    users = folder / "users"
    users.write_text("anna\nbert\n")
    start_postrider(extra=f"""\
listen lmtp {{ bind 127.0.0.1:{port} }}
domain ours.test {{ users file:{users}  deliver smtp:{sink.host}:{sink.port} }}
""")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        stream = connection.makefile("rwb")
        assert b"LMTP" in ask(stream, b"")
        assert ask(stream, b"EHLO c.test\r\n").startswith(b"5")
        assert ask(stream, b"LHLO c.test\r\n").startswith(b"250")
        assert ask(stream, b"MAIL FROM:<a@client.test>\r\n").startswith(b"250")
        for name, code in (("anna", b"250"), ("carl", b"550 5.1.1"), ("bert", b"250")):
            assert ask(stream, f"RCPT TO:<{name}@ours.test>\r\n".encode()).startswith(code)
        assert ask(stream, b"DATA\r\n").startswith(b"354")
        assert ask(stream, TEXT.replace(b"\n.", b"\n..") + b".\r\n").startswith(b"250")
        assert ask(stream, b"").startswith(b"250") # the second of the two
        assert ask(stream, b"QUIT\r\n").startswith(b"221")
    sink.wait_messages(1)


def test_a_proxy_says_for_whom_it_connects(start_postrider):
    """127.0.0.1 is a proxy here; who may relay is decided by the address that it names."""
    port = free_port()
    server = start_postrider(extra=f"listen smtp {{ bind 127.0.0.1:{port}  proxy-from 127.0.0.1 }}\n")
    assert server.relay_from == "127.0.0.0/8"
    for client, code in [("127.0.0.9", b"250"), ("192.0.2.9", b"550")]:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(f"PROXY TCP4 {client} 127.0.0.1 1234 25\r\n".encode())
            stream = connection.makefile("rwb")
            assert ask(stream, b"").startswith(b"220")
            assert ask(stream, b"HELO c.test\r\n").startswith(b"250")
            assert ask(stream, b"MAIL FROM:<a@c.test>\r\n").startswith(b"250")
            assert ask(stream, b"RCPT TO:<b@elsewhere.test>\r\n").startswith(code)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"EHLO c.test\r\n")
        assert connection.recv(100) == b""


def test_submissions_needs_a_certificate(folder, start_postrider):
    server = start_postrider()
    config = folder / "bad.conf"
    config.write_text("hostname mx.test\nlisten submissions { bind 127.0.0.1:1 }\n")
    done = subprocess.run([server.binary, "config", "check", "--config", config], capture_output=True, text=True)
    assert done.returncode == 78 and "needs a certificate" in done.stderr
