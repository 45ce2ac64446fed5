"""TLS to the next hop: what is demanded, what is verified, and what an attacker may try in between.

The peer is a small server of Python's own ssl module; Postfix stands for real ones."""

import os
import re
import socket
import ssl
import subprocess
import threading

import peers
import pytest

from harness.process import free_port, wait_until
from harness.receivers import Postfix, needs_root
from make_messages import MESSAGES

TEXT = MESSAGES["attachment"]


def make(folder, name, subject):
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem", "-days", "2",
         "-subj", f"/CN={subject}", "-addext", f"subjectAltName={subject}"],
        capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"openssl makes no certificate here: {done.stderr}")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    make(folder, "right", "IP:127.0.0.6")
    make(folder, "wrong", "DNS:other.test")
    return folder


class Peer(threading.Thread):
    """Takes mail. `behind_220` is sent in clear in one piece with the reply to STARTTLS; `breaks`:
    answers the handshake with what is none; `ends_tls_at`: says close_notify instead of replying."""

    def __init__(self, certificate=None, behind_220=b"", breaks=False, ends_tls_at=None):
        super().__init__(daemon=True)
        self.context = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(f"{certificate}.pem", f"{certificate}.key")
        self.behind_220, self.breaks, self.ends_tls_at = behind_220, breaks, ends_tls_at
        self.listener = socket.create_server(("127.0.0.6", 0))
        self.mails, self.connections, self.commands = [], 0, []
        self.start()

    @property
    def address(self):
        return self.listener.getsockname()

    def stop(self):
        self.listener.close()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                with connection:
                    self.serve(connection, False)
            except (OSError, ssl.SSLError):
                pass

    def serve(self, connection, is_secure):
        reader = connection.makefile("rb")
        if not is_secure:
            connection.sendall(b"220 peer\r\n")
        while line := reader.readline():
            verb = line[:4].upper()
            self.commands.append((is_secure, line))
            if self.ends_tls_at == verb and is_secure:
                connection.unwrap()
                return
            if verb == b"EHLO":
                offer = b"250-STARTTLS\r\n" if self.context and not is_secure else b""
                connection.sendall(b"250-peer\r\n" + offer + b"250 8BITMIME\r\n")
            elif verb == b"STAR":
                connection.sendall(b"220 go ahead\r\n" + self.behind_220)
                if self.breaks:
                    connection.recv(5)
                    connection.sendall(b"500 no\r\n")
                    return
                with self.context.wrap_socket(connection, server_side=True) as secured:
                    self.serve(secured, True)
                return
            elif verb == b"DATA":
                connection.sendall(b"354 go ahead\r\n")
                content = b""
                while (line := reader.readline()) != b".\r\n":
                    if not line:
                        return
                    content += line[1:] if line.startswith(b".") else line
                self.mails.append((is_secure, content))
                connection.sendall(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT":
                connection.sendall(b"221 bye\r\n")
                return
            else:
                connection.sendall(b"250 ok\r\n")


@pytest.fixture
def start_peer(ends):
    def start(*arguments, **named):
        peer = Peer(*arguments, **named)
        ends.append(peer)
        return peer
    return start


@pytest.fixture
def deliver(start_postrider, certificates):
    def deliver(peer, tls, authority="right"):
        server = start_postrider(next_hop=peer.address,
                                 deliver=f"tls {tls}\n tls-ca {certificates}/{authority}.pem")
        server.send(TEXT, recipients=["r@peer.test"])
        return server
    return deliver


def expect_one(peer, is_secure):
    wait_until(lambda: peer.mails, 10, lambda: f"a message, after {peer.commands}")
    assert peer.mails[0][0] == is_secure and peer.mails[0][1].endswith(TEXT)


def expect_deferred(server, peer, text):
    wait_until(lambda: "message-deferred" in server.log(), 10, server.log)
    assert re.search(text, server.log()), server.log()[-3000:]
    assert peer.mails == []
    assert not any(line[:4] == b"MAIL" for _, line in peer.commands)
    assert server.queue_length() == 1


def test_verified(certificates, start_peer, deliver):
    peer = start_peer(certificates / "right")
    server = deliver(peer, "must")
    expect_one(peer, True)
    server.wait_drained()
    assert re.search(r'message-delivered .*tls="?TLSv1.3 \w+ verified', server.log())


def test_any_certificate_will_do_where_clear_would(certificates, start_peer, deliver):
    peer = start_peer(certificates / "wrong")
    server = deliver(peer, "may")
    expect_one(peer, True)
    server.wait_drained()
    assert re.search(r'message-delivered .*tls="?TLSv1.3 \w+ unverified', server.log())


@pytest.mark.parametrize("certificate, authority, why", [
    ("wrong", "wrong", "another name"), # valid, for somebody else
    ("wrong", "right", "self"),         # nobody vouches for it
    ("right", "wrong", "self"),
])
def test_unverified_where_it_must_be(certificates, start_peer, deliver, certificate, authority, why):
    peer = start_peer(certificates / certificate)
    server = deliver(peer, "must", authority)
    expect_deferred(server, peer, r"UNVERIFIED|not valid for the host")
    assert why in server.log()


def test_not_offered_where_it_must_be(start_peer, deliver):
    peer = start_peer()
    expect_deferred(deliver(peer, "must"), peer, r"NO_TLS|does not offer it")


def test_never(certificates, start_peer, deliver):
    peer = start_peer(certificates / "right")
    server = deliver(peer, "never")
    expect_one(peer, False)
    server.wait_drained()
    assert re.search(r"message-delivered .*tls=none", server.log())


def test_a_failed_handshake_is_followed_by_clear_or_patience(certificates, start_peer, deliver):
    peer = start_peer(certificates / "right", breaks=True)
    deliver(peer, "may")
    expect_one(peer, False)
    assert peer.connections == 2


def test_a_failed_handshake_where_it_must_work(certificates, start_peer, deliver):
    peer = start_peer(certificates / "right", breaks=True)
    expect_deferred(deliver(peer, "must"), peer, r"TLS_FAILED|handshake failed")


def test_injected_replies_are_dropped(certificates, start_peer, deliver):
    """CVE-2021-38371: they would be the answers to EHLO, MAIL, RCPT, DATA and the dot."""
    peer = start_peer(certificates / "right",
                      behind_220=b"250 evil\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 stolen\r\n")
    server = deliver(peer, "must")
    expect_one(peer, True)
    server.wait_drained()
    assert "stolen" not in server.log() and "2.0.0 taken" in server.log()


@pytest.mark.parametrize("verb", [b"EHLO", b"MAIL", b"RCPT", b"DATA"])
def test_the_end_of_tls_is_the_end(certificates, start_peer, deliver, verb):
    peer = start_peer(certificates / "right", ends_tls_at=verb)
    server = deliver(peer, "must")
    wait_until(lambda: "message-deferred" in server.log(), 10, server.log)
    assert peer.mails == [] and server.queue_length() == 1


@pytest.mark.skipif(os.geteuid() != 0, reason=needs_root)
def test_to_postfix(certificates, ends, start_postrider, interop):
    port = free_port("127.0.0.6")
    settings = (f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {certificates}/right.pem\n"
                f"smtpd_tls_key_file = {certificates}/right.key\nsmtpd_tls_loglevel = 1\n"
                "smtpd_tls_received_header = yes\n")
    receiver = Postfix("127.0.0.6", port, "real.test", settings)
    ends.append(receiver)
    try:
        receiver.start()
    except peers.Unavailable as reason:
        pytest.skip(str(reason))
    server = start_postrider(next_hop=("127.0.0.6", port),
                             deliver=f"tls must\n tls-ca {certificates}/right.pem")
    for _ in range(3):
        server.send(TEXT, recipients=["r@real.test"])
    came = receiver.wait_messages(3)
    assert all(b"(using TLSv1.3 with cipher" in content for content in came)
    server.wait_drained()
    assert server.log().count("verified") >= 3
    interop("Postfix", "out TLS")
