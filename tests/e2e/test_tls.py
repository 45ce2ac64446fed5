"""STARTTLS with real clients, and what must not survive it."""

import smtplib
import socket
import ssl

import pytest

from harness.process import make_certificate
from make_messages import MESSAGES

TEXT = MESSAGES["attachment"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


def with_tls(folder, key="key.pem"):
    return f"tls {{ certificate {folder}/certificate.pem  key {folder}/{key} }}\n"


@pytest.fixture
def pair(certificate, start_postrider, start_sink):
    sink = start_sink(save=True)
    return start_postrider(next_hop=sink.address, extra=with_tls(certificate)), sink


def trusting(certificate):
    """Verifies the certificate and the name, as a careful client does."""
    return ssl.create_default_context(cafile=certificate / "certificate.pem")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_smtplib_sends_under_tls(pair, certificate, version, interop):
    server, sink = pair
    context = trusting(certificate)
    context.minimum_version = context.maximum_version = version
    with smtplib.SMTP("127.0.0.1", server.port, local_hostname="client.test") as client:
        client._host = "mx.test"
        assert client.starttls(context=context)[0] == 220
        client.ehlo()
        assert not client.has_extn("starttls")
        for name in ("attachment", "base64_300k", "every_line_a_dot"):
            client.sendmail("anna@client.test", [f"{name}@recipient.test"], MESSAGES[name])
    for _, content in sink.wait_messages(3):
        assert b"with ESMTPS id" in content.replace(b"\r\n\t", b" ")
        assert any(content.endswith(MESSAGES[name])
                   for name in ("attachment", "base64_300k", "every_line_a_dot"))
    interop("Python smtplib", "in TLS")


def test_old_versions_are_refused(pair):
    server, _ = pair
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        with pytest.raises((ssl.SSLError, OSError)):
            client.starttls(context=context)
            client.ehlo()
        client.close()


def test_nothing_in_clear_survives_the_handshake(pair):
    """CVE-2011-0411: commands behind STARTTLS in one piece are nobody's."""
    server, sink = pair
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        reader = connection.makefile("rb")
        reader.readline()
        connection.sendall(b"EHLO client.test\r\n")
        while not reader.readline().startswith(b"250 "):
            pass
        connection.sendall(b"STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\n")
        assert reader.readline().startswith(b"220 ")
        with context.wrap_socket(connection) as secured:
            secured.sendall(b"RCPT TO:<r@recipient.test>\r\n")
            assert secured.recv(1000).startswith(b"503 ")
            secured.sendall(b"QUIT\r\n")
            assert secured.recv(1000).startswith(b"221 ")
            assert secured.recv(1000) == b""
    assert sink.messages() == []


@pytest.mark.parametrize("key", ["certificate.pem", "missing.pem"])
def test_bad_files_start_nothing(certificate, start_postrider, key):
    from harness.process import Trouble
    with pytest.raises(Trouble) as trouble:
        start_postrider(extra=with_tls(certificate, key), timeout_s=5)
    assert key in str(trouble.value)
